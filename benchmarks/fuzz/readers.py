"""The ways in which an input is read: command lines, and functions where there is no verb."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzz.seeds import HEADER, main

Way = str | Callable[[Path], bool]
"""A command line, in which ``{}`` is the damaged file, or a function of its path."""
BEGINNING = "log head {}"
"""The way that reads no more than the first samples."""


def read(way: Way, path: Path) -> bool:
    """Read an input; return whether it was accepted.

    Raises:
        FlopbenchError: it was refused.
    """
    if not isinstance(way, str):
        return way(path)
    words = [str(path) if word == "{}" else word for word in way.split()]
    if words[0] == "figure":
        return _figure(words[1], words[2])
    return main(*words) in {0, 1}


def _figure(name: str, path: str) -> bool:
    """Make the numbers of a figure; drawing it reads no input."""
    from flopbench.present.kind import load_kind

    kind = load_kind(name)
    argument = "points" if name == "tradeoff" else next(iter(kind.takes.values()))
    data = kind.make(**{argument: [path]})
    return bool(data.caption.lines()) and data.table is not None


def cached_profile(path: Path) -> bool:
    """Read an entry of the cache, and lay it out."""
    from flopbench.counting import cache
    from flopbench.counting.explain_text import operator_grid
    from flopbench.counting.profile import CostProfile

    key = json.loads(GOOD_ENTRY[0].read_bytes())["key"]
    profile = cache.load(cache.CacheEntry(key=key, path=path))
    return isinstance(profile, CostProfile) and bool(operator_grid(profile))


GOOD_ENTRY: list[Path] = []
"""A good entry of the cache, whose key is expected."""


def cached_roofs(path: Path) -> bool:
    """Read roofs from the cache."""
    from flopbench.counting import cache
    from flopbench.timing.roofs import _Cached

    found = cache.read_stored(path, _Cached, lambda one: one.key == "k")
    return found is not None and found.roofs.of("fp32") is not None


def configuration(path: Path) -> bool:
    """Read the check's configuration."""
    from flopbench.check.config import budget_for, config_in, read_config, unmatched_budgets

    config_in(path.parent)
    config = read_config(path)
    for entry in config.entries:
        budget_for(config, entry, "macs")
    return isinstance(unmatched_budgets(config), tuple)


def specification(path: Path) -> bool:
    """Build the network of a specification, on no device."""
    from flopbench.models.build.by_source import build
    from flopbench.models.spec import parse_spec

    spec = parse_spec(path.read_bytes().decode("utf-8", "surrogateescape"))
    if spec.source == "value" or spec.is_user_code:
        return str(parse_spec(str(spec))) == str(spec)
    return build(spec, "meta").module is not None


def transformers(path: Path) -> bool:
    """Build the network of a configuration of transformers."""
    from flopbench.models.build.by_source import build
    from flopbench.models.spec import parse_spec

    return build(parse_spec(f"transformers:{path}@32"), "meta").module is not None


def frames(path: Path) -> bool:
    """Read the frames of a video."""
    from flopbench.policy.samples import Sample
    from flopbench.present.figures.frames.media import pictures_of, source_of

    named = path.suffix not in {".npz", ".npy"}
    sample = Sample(id="v0", actions=[0, 1], frames=[path.name] * 2 if named else [0, 5])
    source = source_of(path if path.suffix == ".npz" else path.parent, path)
    found, _, problem = pictures_of(sample, 2, [(0, (8, 8)), (1, None)], source)
    return not problem and all(picture.pixels is not None for picture in found.values())


def journal(path: Path) -> bool:
    """Continue a log."""
    from flopbench import PolicyLogger

    header = {k: v for k, v in HEADER.items() if k not in {"format", "version"}}
    with PolicyLogger(path, header=header, append=True, sync=False) as log:
        log.add(["new"], [[0, 1, 2, 2, 0, 1]])
    return main("log", "validate", str(path)) == 0


def code(path: Path) -> bool:
    """Look for factories in source code."""
    from flopbench.models.factories import specs_in

    return bool(specs_in(path))


def annotations(path: Path) -> bool:
    """Split Mini-Kinetics."""
    from benchmarks.policy_learning.mini_kinetics import main as mini_kinetics

    words = ["--train", str(path), "--val", "val.csv", "-o", "split", "--classes", "classes.txt"]
    return mini_kinetics(words) == 0


def class_list(path: Path) -> bool:
    """Say whose list of classes it is."""
    from benchmarks.policy_learning.mini_kinetics import main as mini_kinetics

    return mini_kinetics(["--identify", str(path)]) == 0


def arguments(path: Path) -> bool:
    """Run a command line."""
    words = json.loads(path.read_bytes())
    if words[:1] == ["table"] and not {"value:5", "--from"} & set(words):
        return False  # Table 2, or another network, may take as long as it takes
    return main(*words) in {0, 1}


def points(path: Path) -> bool:
    """Make a trade-off of points."""
    return _figure("tradeoff", str(path))


def fast_csv(path: Path) -> bool:
    """Read CSV the fast way."""
    from flopbench.policy.forms import csv_form

    before, csv_form.LARGE_BYTES = csv_form.LARGE_BYTES, 1
    try:
        return main("estimate", str(path)) == 0
    finally:
        csv_form.LARGE_BYTES = before

"""Every kind of input that flopbench reads: how one is damaged, and the ways that it is read.

A way is a command line, in which ``{}`` is the damaged file, or a function of its path that returns
whether it was accepted. One way is drawn for each input.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from benchmarks.fuzz import mutations as damage
from benchmarks.fuzz.seeds import HEADER, PRESET, ROOT, TIMED, main
from flopbench.core.errors import FlopbenchError

Way = str | Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of input.

    Attributes:
        name: as ``--kind`` has it.
        file: what the damaged file is called.
        damage: how its structure is damaged; its bytes are damaged, too.
        ways: how it is read.
        bytes_too: share of the inputs whose bytes are damaged instead.
    """

    name: str
    file: str
    damage: damage.Mutate
    ways: tuple[Way, ...]
    bytes_too: float = 0.35

    def draw(self, rng: Random, seeds: list[bytes]) -> tuple[bytes, bool, Way]:
        """Return an input, whether no reader may accept it, and the way to read it."""
        seed = rng.choice(seeds)
        if rng.random() < self.bytes_too:
            data, never = damage.damaged_bytes(rng, seed)
        else:
            data, never = self.damage(rng, seed)
        return data, never, rng.choice(self.ways)


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


# --- functions that read --------------------------------------------------------------------------


def _cached_profile(path: Path) -> bool:
    from flopbench.counting import cache
    from flopbench.counting.explain_text import operator_grid
    from flopbench.counting.profile import CostProfile

    key = json.loads(_GOOD_KEY[0].read_bytes())["key"]
    profile = cache.load(cache.CacheEntry(key=key, path=path))
    return isinstance(profile, CostProfile) and bool(operator_grid(profile))


_GOOD_KEY: list[Path] = []
"""A good entry of the cache, whose key is expected."""


def _cached_roofs(path: Path) -> bool:
    from flopbench.counting import cache
    from flopbench.timing.roofs import _Cached

    found = cache.read_stored(path, _Cached, lambda one: one.key == "k")
    return found is not None and found.roofs.of("fp32") is not None


def _configuration(path: Path) -> bool:
    from flopbench.check.config import budget_for, config_in, read_config, unmatched_budgets

    config_in(path.parent)
    config = read_config(path)
    for entry in config.entries:
        budget_for(config, entry, "macs")
    return isinstance(unmatched_budgets(config), tuple)


def _specification(path: Path) -> bool:
    from flopbench.models.build.by_source import build
    from flopbench.models.spec import parse_spec

    spec = parse_spec(path.read_bytes().decode("utf-8", "surrogateescape"))
    if spec.source == "value" or spec.is_user_code:
        return str(parse_spec(str(spec))) == str(spec)
    return build(spec, "meta").module is not None


def _transformers(path: Path) -> bool:
    from flopbench.models.build.by_source import build
    from flopbench.models.spec import parse_spec

    return build(parse_spec(f"transformers:{path}@32"), "meta").module is not None


def _foreign(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage JSON of others: what no file of ours may hold, their unknown fields may."""
    return damage.damaged_json(rng, data)[0], False


def _frames(path: Path) -> bool:
    from flopbench.policy.samples import Sample
    from flopbench.present.figures.frames.media import pictures_of, source_of

    named = path.suffix not in {".npz", ".npy"}
    sample = Sample(id="v0", actions=[0, 1], frames=[path.name] * 2 if named else [0, 5])
    source = source_of(path if path.suffix == ".npz" else path.parent, path)
    found, _, problem = pictures_of(sample, 2, [(0, (8, 8)), (1, None)], source)
    return not problem and all(picture.pixels is not None for picture in found.values())


def _journal(path: Path) -> bool:
    from flopbench import PolicyLogger

    header = {k: v for k, v in HEADER.items() if k not in {"format", "version"}}
    with PolicyLogger(path, header=header, append=True, sync=False) as log:
        log.add(["new"], [[0, 1, 2, 2, 0, 1]])
    return main("log", "validate", str(path)) == 0


def _code(path: Path) -> bool:
    from flopbench.models.factories import specs_in

    return bool(specs_in(path))


def _annotations(path: Path) -> bool:
    from benchmarks.policy_learning.mini_kinetics import main as mini_kinetics

    words = ["--train", str(path), "--val", "val.csv", "-o", "split", "--classes", "classes.txt"]
    return mini_kinetics(words) == 0


def _class_list(path: Path) -> bool:
    from benchmarks.policy_learning.mini_kinetics import main as mini_kinetics

    return mini_kinetics(["--identify", str(path)]) == 0


def _arguments(path: Path) -> bool:
    words = json.loads(path.read_bytes())
    if words[:1] == ["table"] and not {"value:5", "--from"} & set(words):
        return False  # Table 2, or another network, may take as long as it takes
    return main(*words) in {0, 1}


def _points(path: Path) -> bool:
    return _figure("tradeoff", str(path))


def _fast_csv(path: Path) -> bool:
    from flopbench.policy.forms import csv_form

    before, csv_form.LARGE_BYTES = csv_form.LARGE_BYTES, 1
    try:
        return main("estimate", str(path)) == 0
    finally:
        csv_form.LARGE_BYTES = before


def damaged_words(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage a command line: words in place of words, more of them, fewer of them."""
    words = json.loads(data)
    at = rng.randrange(len(words))
    odd = [
        *(
            "",
            "-",
            "--",
            "-1",
            "0",
            "9" * 40,
            "9" * 400,
            "9" * 5000,
            "nan",
            "inf",
            "1e400",
            "=",
            "@",
        ),
        *(
            "\udcff",
            "a\udcff.json",
            damage.LONG,
            "x" * 300 + ".json",
            "../..",
            ".",
            "/dev/null",
            "*",
        ),
        *("[", "{}", "a=b", "net=", "=x", "net=gru:12x5", "value:" + "9" * 400, "log.jsonl", "id:"),
    ]
    way = rng.randrange(5)
    if way < 3:
        words[at] = rng.choice(odd)
    elif way == 3:
        words.insert(at, rng.choice([*odd, *words, "--help", "--wide", "-o"]))
    else:
        del words[at]
    return json.dumps(words).encode(), False


LOG_WAYS = (
    *("estimate {} --resamples 20", "estimate {} --by class --resamples 20", "log validate {}"),
    *(
        "log head {}",
        "log convert {} -o out.parquet",
        "log convert {} -o out.csv",
        "figure usage {}",
    ),
    *("log convert {} -o out.npz", "compare {} good.jsonl --resamples 20", "figure cost {}"),
    *("estimate {} --duplicates first --allow-truncated --resamples 20", "figure classes {}"),
)
SHORT_WAYS = ("estimate {} --resamples 20", "log validate {}", "log convert {} -o out.jsonl")
FROM = ("--from {}", "--from {} --format md", "--from {} --format json", "--from {} --format latex")


def _from(verb: str) -> tuple[str, ...]:
    return tuple(f"{verb} {words}" for words in FROM)


KINDS = (
    Kind("log-jsonl", "log.jsonl", damage.damaged_lines, LOG_WAYS),
    Kind("log-json", "log.json", damage.damaged_json, LOG_WAYS),
    Kind(
        "log-list", "list.json", damage.damaged_json,
        tuple(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    ),
    Kind(
        "log-map", "map.json", damage.damaged_json,
        tuple(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    ),
    Kind("log-header", "log.header.json", damage.damaged_json, (
        "estimate log.csv --resamples 20", "log validate log.csv", "log head log.csv",
    )),
    Kind("log-csv", "log.csv", damage.damaged_csv, (*LOG_WAYS[:-1], _fast_csv)),
    Kind("log-parquet", "log.parquet", damage.damaged_parquet, LOG_WAYS),
    Kind("log-npz", "log.npz", damage.damaged_npz, LOG_WAYS),
    Kind("log-gzip", "log.jsonl.gz", damage.damaged_gzip, SHORT_WAYS),
    Kind("log-zstd", "log.jsonl.zst", damage.damaged_zstd, SHORT_WAYS),
    Kind("arnet-npz", "meta-val.npz", damage.damaged_npz, (
        *(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    )),
    Kind("shard", "run.rank0-of-2.jsonl", damage.damaged_lines, (
        "estimate run.jsonl --resamples 20", "log validate run.jsonl", "figure usage run.jsonl",
    )),
    Kind("journal", "run.jsonl", damage.damaged_lines, (_journal,)),
    Kind("console", "console.txt", damage.damaged_text, (
        "estimate {} --preset arnet.toml --steps 16",
    )),
    Kind("shares", "log.csv", damage.damaged_csv, (
        "estimate {} --steps 6", "estimate {} --steps 6 --normalize", "figure usage {}",
    )),
    Kind("counts-csv", "counts.csv", damage.damaged_csv, (
        "estimate --counts {} --preset arnet.toml --resamples 20",
    )),
    Kind("counts-parquet", "counts.parquet", damage.damaged_parquet, (
        "estimate --counts {} --preset arnet.toml --resamples 20",
    )),
    Kind("table", "table.json", damage.damaged_json, (
        *_from("table"), "estimate good.jsonl --table {} --resamples 20",
    )),
    Kind("profiles", "profiles.json", damage.damaged_json, (
        "figure layers {}", "figure counters {}",
    )),
    Kind("timings", "timings.json", damage.damaged_json, (
        *_from("latency"), "compare {}", "compare {} good-timings.json", "figure theory {}",
        "figure roofline {}", "estimate timed.jsonl --table full.json --resamples 20 --times {}",
    )),
    Kind("replay", "replay.json", damage.damaged_json, (*_from("replay"), "figure waterfall {}")),
    Kind("baseline", "baseline.json", damage.damaged_json, (
        "check --verify-baseline --config flopbench-verify.toml",
    )),
    Kind("check-report", "report.json", damage.damaged_json, (
        "check --from {}", "check --from {} --format md --verbose", "check --from {} --format json",
        "check --from {} --junit j.xml --badge b.json --report r.json --verbose",
    )),
    Kind("configuration", "flopbench.toml", damage.damaged_toml, (_configuration,)),
    Kind("pyproject", "pyproject.toml", damage.damaged_toml, (_configuration,)),
    Kind("preset", "preset.toml", damage.damaged_toml, (
        "estimate exits.csv --preset {} --resamples 20", "log validate exits.csv --preset {}",
    )),
    Kind("claims", "claims.toml", damage.damaged_toml, ("audit {}", "audit {} --strict")),
    Kind("points", "points.csv", damage.damaged_csv, (_points,)),
    Kind("cached-profile", "cached.json", damage.damaged_json, (_cached_profile,)),
    Kind("cached-roofs", "roofs.json", damage.damaged_json, (_cached_roofs,)),
    Kind("frames-npz", "frames.npz", damage.damaged_npz, (_frames,)),
    Kind("frames-npy", "v0.npy", damage.damaged_bytes, (_frames,)),
    Kind("image", "image.png", damage.damaged_bytes, (_frames,)),
    Kind("annotations", "train.csv", damage.damaged_csv, (_annotations,)),
    Kind("class-list", "classes.txt", damage.damaged_text, (_class_list,)),
    Kind("code", "nets.py", damage.damaged_text, (_code,)),
    Kind("specification", "specification.txt", damage.damaged_text, (_specification,), 0.2),
    Kind("transformers", "config.json", _foreign, (_transformers,)),
    Kind("arguments", "arguments.json", damaged_words, (_arguments,), 0.0),
)  # fmt: skip


def lay_out(folder: Path, kind: Kind, seeds: dict[str, list[bytes]]) -> None:
    """Write the good files that stand beside the damaged one into its folder."""

    beside: dict[str, bytes] = {
        "good.jsonl": seeds["log-jsonl"][0],
        "good-timings.json": seeds["timings"][1],
        "run.rank1-of-2.jsonl": seeds["shard"][0]
        .replace(b'"rank": 0', b'"rank": 1')
        .replace(b'"id": "v', b'"id": "w'),
        "exits.csv": b"id,exit\na,frame 1\nb,9\n",
        "flopbench-verify.toml": b'baseline = "baseline.json"\n' + seeds["configuration"][0],
        "cached-good.json": seeds["cached-profile"][0],
        "classes.txt": b"a b\n",
        "arnet.toml": PRESET.encode(),
        "val.csv": seeds["annotations"][0].replace(b",x", b",y"),
        "timed.jsonl": TIMED,
        "full.json": (ROOT / "tests/data/table-schema1.json").read_bytes(),
    }
    if kind.file.startswith("log.") and kind.name != "log-header":
        beside["log.header.json"] = json.dumps(HEADER).encode()
    if kind.name in {"log-header", "arguments"}:
        beside["log.csv"] = seeds["log-csv"][0]
    if kind.name == "arguments":
        names = {"log.jsonl": "log-jsonl", "table.json": "table", "timings.json": "timings"}
        names["report.json"] = "check-report"
        beside |= {file: seeds[name][0] for file, name in names.items()}
    for name, data in beside.items():
        (folder / name).write_bytes(data)
    _GOOD_KEY[:] = [folder / "cached-good.json"]


def refused_undamaged(
    kinds: Iterable[Kind], seeds: dict[str, list[bytes]], folder: Path
) -> list[str]:
    """Read each seed in each way; return those that no way accepts, and ways that accept none.

    It also loads what reading needs, once, before processes are forked.
    """
    refused = []
    for kind in kinds:
        own = folder / kind.name
        own.mkdir(parents=True)
        lay_out(own, kind, seeds)
        os.chdir(own)
        told: dict[tuple[int, Way], str] = {}
        for number, way in product(range(len(seeds[kind.name])), kind.ways):
            Path(kind.file).write_bytes(seeds[kind.name][number])
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    accepted = read(way, Path(kind.file))
                except FlopbenchError as error:
                    printed.write(str(error))
                    accepted = False
            told[number, way] = "" if accepted else printed.getvalue()[-300:] or "refused"
        for at in (0, 1):
            for one in dict.fromkeys(key[at] for key in told):
                own_told = [text for key, text in told.items() if key[at] == one]
                if all(own_told):
                    refused.append(f"{kind.name} {one}: {own_told[0]}")
    return refused

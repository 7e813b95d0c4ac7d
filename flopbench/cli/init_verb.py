"""``flopbench init``: make a configuration, a baseline and a CI job."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.cli.common import progress_bar, require
from flopbench.cli.parser import Parser
from flopbench.core import stopping
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK, MeasureError
from flopbench.core.files import check_writable, locked, write_atomic

if TYPE_CHECKING:
    from flopbench.check.records import Entry

CONFIG = "flopbench.toml"
FIRST_REASON = "first baseline"


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Write a commented flopbench.toml and the first baseline for the models and policy "
            "logs that are named. Without names, the Python files below this folder are searched "
            "(read, not run) for factories and modules that need no arguments, and JSON files for "
            "policy logs; each model found is then run once, to count it."
        ),
    )
    parser.add_argument(
        "entries",
        nargs="*",
        metavar="MODEL|LOG",
        help="models and policy logs to guard; a file of code stands for all that it offers",
    )
    parser.option("--list", "only list what was found; run and write nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the configuration and the first baseline; print a job for CI."""
    from flopbench.check.init.finding import find_entries

    if args.list:
        require(not args.entries, "--list searches this folder: it takes no names")
        lines = [f"{entry.what}  ({why})\n" for entry, why in find_entries(Path())]
        sys.stdout.write("".join(lines) or "nothing was found\n")
        return EXIT_OK
    _refuse_second()
    if args.entries:
        return _begin(_named(args.entries), named=True)
    found = find_entries(Path())
    require(
        bool(found),
        "no factory, module or policy log was found below this folder",
        "name what to guard: flopbench init my_pkg.nets:build@224 resnet50@224 logs/run.jsonl",
    )
    return _begin([entry for entry, _ in found], named=False)


def _refuse_second() -> None:
    """Refuse to start where a configuration or a baseline exists."""
    from flopbench.check.config import config_in
    from flopbench.check.records import BASELINE

    found = config_in(Path())
    require(
        found is None,
        f"{found} already holds a configuration, which init does not change",
        "add entries to it, then: flopbench accept ENTRY --reason ...",
    )
    require(
        not Path(BASELINE).exists(),
        f"{BASELINE} already exists; only 'flopbench accept' moves it",
        f"write {CONFIG} by hand, or delete the baseline to start again",
    )
    check_writable(Path(CONFIG))


def _named(texts: list[str]) -> list[Entry]:
    from flopbench.check.init.finding import unique_name
    from flopbench.check.records import Entry
    from flopbench.models.factories import is_code, leaving_out_weights, offered_by
    from flopbench.models.spec import parse_spec

    entries: list[Entry] = []
    taken: set[str] = set()
    offered = (map(str, offered_by(text)) if is_code(text) else [text] for text in texts)
    for text in dict.fromkeys(chain.from_iterable(offered)):
        if Path(text).is_file():
            name = unique_name([Path(text).stem, text], taken)
            entries.append(Entry(name=name, policy_log=text))
            continue
        spec = leaving_out_weights(parse_spec(text))
        require(spec.source != "value", f"{text!r} is a constant: there is nothing to guard")
        entries.append(Entry(name=unique_name([str(spec)], taken), model=str(spec)))
    return entries


def _begin(entries: list[Entry], *, named: bool) -> int:
    from flopbench.check.accepting import accept
    from flopbench.check.baseline.file import render_baseline
    from flopbench.check.entry_costs import measure_entries
    from flopbench.check.init.finding import CI_SNIPPET, config_text, how_counted
    from flopbench.check.records import Config
    from flopbench.check.text.blocks import describe_moves

    config = Config(path=CONFIG, root=".", entries=tuple(entries))
    with progress_bar() as progress:
        costs = measure_entries(config, progress=progress)
    failures = {name: cost for name, cost in costs.items() if isinstance(cost, str)}
    good = [entry.name for entry in entries if entry.name not in failures]
    if not good:
        name, why = next(iter(failures.items()))
        raise MeasureError(f"nothing could be counted; {name}: {why}", "nothing was written")
    baseline, moves = accept(None, costs, good, FIRST_REASON)
    kept = Path(config.baseline)
    kept.parent.mkdir(exist_ok=True)
    with locked(Path()), stopping.held():
        _refuse_second()  # another process may have begun here meanwhile
        write_atomic(kept, render_baseline(baseline))
        write_atomic(Path(CONFIG), config_text(entries, failures))
    lines = [
        f"{CONFIG} written: entries, and budgets to fill in",
        *describe_moves(moves, str(kept)),
        *how_counted({entry.name: entry.model for entry in entries if entry.model}, costs),
        *(f"{name}: left out, commented: {why}" for name, why in failures.items()),
        "",
        "A job for GitHub, such as .github/workflows/model-cost.yml:",
        "",
        CI_SNIPPET.rstrip(),
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return EXIT_MEASURE if failures and named else EXIT_OK

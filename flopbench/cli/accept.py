"""``flopbench accept``: the only way to move the baseline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.cli.common import progress_bar, require
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_OK, InputError, near_match
from flopbench.core.files import check_writable, locked, read_if_there, write_atomic

if TYPE_CHECKING:
    from flopbench.check.records import Baseline, Config


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Measure entries and write their costs into the committed baseline, with old, new and "
            "the reason. An entry that the configuration lacks is removed. Nothing else moves "
            "the baseline."
        ),
    )
    group = parser.group("what to accept")
    group.add_argument("entries", nargs="*", metavar="ENTRY", help="names of entries")
    group.option("--all", "every entry, including removed ones")
    group.option("--improvements", "only entries that became cheaper")
    group.option("--reason TEXT", "why; kept in the baseline", required=True)
    parser.option("--config FILE", "the configuration (default: searched for)")
    parser.option("--in-ci", "allow it even if the variable CI is set")
    parser.option("--refresh", "count again instead of reading the cache")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Move the baseline and say by how much."""
    ways = [bool(args.entries), args.all, args.improvements]
    require(
        sum(ways) == 1,
        "nothing to accept was named: expected names of entries, --all or --improvements"
        if not any(ways)
        else "names of entries, --all and --improvements exclude each other",
    )
    from flopbench.check.accepting import runs_in_ci

    require(
        args.in_ci or not runs_in_ci(),
        "accept does not run where CI is set: a job that accepts its own cost guards nothing",
        "run it on your own machine and commit the baseline, or pass --in-ci",
    )
    from flopbench.check.config import find_config, read_config
    from flopbench.check.running import inside

    config = read_config(find_config(args.config))
    with inside(config):
        return _accept(args, config)


def _accept(args: argparse.Namespace, config: Config) -> int:
    from flopbench.check.accepting import accept
    from flopbench.check.baseline.file import WHAT, parse_baseline, render_baseline
    from flopbench.check.entry_costs import measure_entries
    from flopbench.check.judging import Against, judge_entries
    from flopbench.check.latency.gate import accept_latency, guarded
    from flopbench.check.text.blocks import describe_moves

    path = Path(config.baseline)
    before = read_if_there(path, WHAT)
    baseline = None if before is None else parse_baseline(before, str(path))
    if path.parent.exists():
        check_writable(path)
    names = _chosen(args, config, baseline)
    with progress_bar() as progress:
        chosen = [entry for entry in config.entries if entry.name in names]
        costs = measure_entries(config, entries=chosen, refresh=args.refresh, progress=progress)
        if args.improvements:
            report = judge_entries(config, Against(baseline=baseline), costs)
            names = [entry.name for entry in report.improvements]
        moved, moves = accept(baseline, costs, names, args.reason)
        path.parent.mkdir(parents=True, exist_ok=True)
        timed = {entry.name for entry, _ in guarded(config)} & set(names)
        lines = accept_latency(config, sorted(timed), progress=progress) if timed else ()
    text = render_baseline(moved)
    with locked(path.parent):
        found = read_if_there(path, WHAT)
        require(
            found == before,
            f"{path} changed while this measured, so nothing was accepted",
            "run flopbench accept again",
        )
        if found != text:  # also to put its form right
            write_atomic(path, text)
    sys.stdout.write("".join(f"{line}\n" for line in (*describe_moves(moves, str(path)), *lines)))
    return EXIT_OK


def _chosen(args: argparse.Namespace, config: Config, baseline: Baseline | None) -> list[str]:
    """List the entries to measure; one that only the baseline has may be accepted as gone."""
    require(
        baseline is not None or not args.improvements,
        f"there is no baseline {config.baseline} yet, so nothing can have improved",
        "flopbench accept --all --reason ... writes the first one",
    )
    ours = [entry.name for entry in config.entries]
    if args.improvements:
        return ours
    known = list(dict.fromkeys([*ours, *(baseline.entries if baseline is not None else ())]))
    for name in args.entries:
        if name not in known:
            raise InputError(
                f"there is no entry {name!r} in {config.path} or its baseline",
                near_match(name, known, "entries"),
            )
    return known if args.all else list(dict.fromkeys(args.entries))

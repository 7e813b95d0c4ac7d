"""Options of the verbs that read policy logs, and their conversion into choices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from flopbench.cli.common import load_numpy, positive, require
from flopbench.cli.parser import Parser
from flopbench.core.limits import MOST_RESAMPLES

if TYPE_CHECKING:
    from flopbench.estimate.runs import Choices


def add_preset(parser: Parser) -> None:
    """Add the option for what decisions mean."""
    parser.group("reading the log").option(
        "--preset NAME",
        "what the decisions mean, for logs that do not say: a preset, or a .toml file",
    )


def add_meaning(parser: Parser) -> None:
    """Add the options for what decisions mean and how they are counted."""
    add_preset(parser)
    parser.group("reading the log").option(
        "--rule",
        "how decisions over several steps are counted (default: exact; both are shown)",
        choices=("exact", "published"),
    )


def add_bootstrap(parser: Parser) -> None:
    """Add the options of the bootstrap."""
    group = parser.group("intervals")
    group.option(
        "--resamples N", "bootstrap resamples (default: 1000)", type=_resamples, default=1000
    )
    group.option("--seed N", "seed of the bootstrap (default: 0)", type=int, default=0)


def add_cluster(parser: Parser) -> None:
    """Add the option for videos that belong together."""
    parser.group("intervals").option(
        "--cluster COLUMN",
        "draw whole clusters in every interval, such as the frames of a clip: a column of "
        "the log's 'extra', or id:SEP for what stands before the last SEP of an id (id:/)",
    )


def add_pricing(parser: Parser, *, measures: bool = True, intervals: bool = True) -> None:
    """Add the options for prices and the rule; ``measures`` says whether missing ones are."""
    add_meaning(parser)
    lacks = "is measured and cached" if measures else "comes from the cache; nothing is measured"
    group = parser.group("prices")
    group.option(
        "--counter NAME",
        "whose prices to charge: a counter, or 'published' for the publication's printed "
        "figures (default: the counter that the preset's publication used, else torch)",
    )
    group.option(
        "--table FILE", f"a saved cost table (JSON) to take prices from; what it lacks {lacks}"
    )
    group.option(
        "--variant COMPONENT=NAME",
        "charge a component in one of its variants, such as lstm=published (d²), "
        "lstm=released (2d²) or lstm=counted; repeatable",
        action="append",
        default=[],
    )
    group.option(
        "--component NAME=MODEL",
        "another model in place of the log's component; repeatable",
        action="append",
        default=[],
    )
    if intervals:
        add_bootstrap(parser)
    if measures:
        group.option("--refresh", "measure prices again instead of using the cache")


def add_log(parser: Parser, help: str) -> None:
    """Add ``LOG``, which may also be given as ``--policy-log``."""
    group = parser.group("input")
    group.add_argument("logs", nargs="*", metavar="LOG", help=help)
    group.option("--policy-log FILE", "the same", nargs="+")


def log_of(args: argparse.Namespace, instead: str) -> list[str]:
    """Return the files of the log, none where the option ``instead`` was given."""
    given = [*args.logs, *(args.policy_log or [])]
    other = getattr(args, "saved" if instead == "--from" else "counts")
    require(
        bool(given) != bool(other),
        f"a log and {instead} were given: one of them" if other else f"no log, and no {instead}",
        f"such as: flopbench {args.verb} run.jsonl",
    )
    return given


def add_reading(parser: Parser) -> None:
    """Add the options for reading a log."""
    group = parser.group("reading the log")
    group.option(
        "--allow-truncated",
        "leave out what a killed run may leave: a last line that is cut off, or, of several "
        "shards, one without a whole header",
    )
    group.option(
        "--duplicates",
        "records of one id and view: refuse them, or keep the first (default: error)",
        choices=("error", "first"),
        default="error",
    )


def add_shares(parser: Parser) -> None:
    """Add the options for what a table of shares does not say."""
    group = parser.group("reading the log")
    group.option(
        "--steps N", "for a table of shares: how many steps (frames) a video has", type=positive
    )
    group.option(
        "--shares-of",
        "for a table of shares: what they are shares of (default: frames)",
        choices=("frames", "decisions"),
        default="frames",
    )
    group.option("--normalize", "divide a table's shares by their sum")


def add_times(parser: Parser) -> None:
    """Add the options for measured times as prices."""
    group = parser.group("time and energy")
    group.option(
        "--times FILE",
        "saved timings of 'flopbench latency' as a second list of prices: ms per video and "
        "frame, videos/s, and mJ where energy was measured",
        nargs="+",
    )
    group.option("--batch N", "take times of this batch (default: 1)", type=positive)
    group.option("--dtype TYPE", "take times of this dtype, of several")


def check_times(args: argparse.Namespace) -> None:
    """Refuse a choice of times without any, with an InputError."""
    require(
        args.times is not None or (args.batch is None and args.dtype is None),
        "--batch and --dtype say which times of --times to take, which is not given",
    )


LOG_OPTIONS: Mapping[str, Callable[[Parser], None]] = {
    "preset": add_preset,
    "meaning": add_meaning,
    "prices": partial(add_pricing, measures=False, intervals=False),
    "bootstrap": add_bootstrap,
    "cluster": add_cluster,
    "reading": add_reading,
    "shares": add_shares,
}
"""Groups of options that a kind of figure may have: see ``present.kind.LogOptions``."""


def _resamples(text: str) -> int:
    value = positive(text)
    if value > MOST_RESAMPLES:
        raise argparse.ArgumentTypeError(f"{value:,} where at most {MOST_RESAMPLES:,} make sense")
    return value


def choices_of(args: argparse.Namespace) -> Choices:
    """Turn parsed arguments into choices; options that a verb lacks have their defaults."""
    load_numpy()
    from flopbench.counting.table import CostTable
    from flopbench.estimate.runs import Choices, parse_pairs

    own = vars(args)
    seed, table = own.get("seed", 0), own.get("table")
    require(seed >= 0, f"--seed is {seed} where 0 or more was expected")
    return Choices(
        preset=args.preset,
        rule=own.get("rule"),
        counter=own.get("counter"),
        table=CostTable.load(table) if table else None,
        table_source=table or "",
        variants=parse_pairs(own.get("variant", []), "--variant"),
        components=parse_pairs(own.get("component", []), "--component"),
        by=own.get("by"),
        difficulty=own.get("difficulty") or "cost",
        steps=own.get("steps"),
        shares_of=own.get("shares_of", "frames"),
        normalize=own.get("normalize", False),
        allow_truncated=args.allow_truncated,
        duplicates=args.duplicates,
        resamples=own.get("resamples", 1000),
        seed=seed,
        cluster=own.get("cluster"),
        refresh=own.get("refresh", False),
    )

"""``flopbench log``: show policy logs, check them, convert one form into another, reduce them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flopbench.cli.common import check_output, load_numpy, positive, require, warn
from flopbench.cli.parser import Parser
from flopbench.cli.policy_options import add_preset, add_reading
from flopbench.core.errors import EXIT_INPUT, EXIT_OK, complain
from flopbench.policy import ENGINES

SHOWN_SAMPLES = 5
SHOWN_DEFECTS = 20


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb and its subcommands to the command line."""
    parser = add(
        description="Check, convert, reduce or show policy logs; docs/policy-log.md has the forms.",
    )
    parts = parser.add_subparsers(dest="part", metavar="ACTION", required=True)
    validate = parts.add_parser(
        "validate",
        help="read a whole log with the exact reader and list its defects",
        description="Read a whole log with the exact reader; list every defect with file and line.",
    )
    _add_files(validate)
    validate.set_defaults(run=run_validate)
    _add_convert(parts)
    _add_reduce(parts)
    head = parts.add_parser(
        "head",
        help="show the header and the first samples",
        description="Show what a log declares, and its first samples as JSON lines.",
    )
    _add_files(head)
    head.group("output").add_argument(
        "-n", type=positive, default=SHOWN_SAMPLES, help=f"samples (default: {SHOWN_SAMPLES})"
    )
    head.set_defaults(run=run_head)


def _add_convert(parts: Any) -> None:
    convert = parts.add_parser(
        "convert",
        help="write a log in another form, nothing lost",
        description=(
            "Write a log in the form that the suffix of -o names: .json .jsonl .csv .parquet "
            ".npz, text forms also with .gz or .zst. Shards become one file."
        ),
    )
    _add_files(convert)
    output = convert.group("output")
    output.add_argument("-o", "--output", metavar="FILE", required=True, help="the file to write")
    output.add_argument(
        "--random",
        action="store_true",
        help="deal the decisions out again among the samples: a random policy that costs as much, "
        "to run the networks on; scores are left out",
    )
    output.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of --random (default: 0)"
    )
    convert.set_defaults(run=run_convert)


def _add_reduce(parts: Any) -> None:
    reduce = parts.add_parser(
        "reduce",
        help="write what shards of a log add up to, one part of its counts",
        description=(
            "Count a log, or some of its shards, into a small Parquet file. 'flopbench estimate "
            "--counts' merges such parts, in any order, into exactly what the whole log gives."
        ),
    )
    _add_files(reduce)
    output = reduce.group("output")
    output.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the part, such as part0.counts"
    )
    output.add_argument(
        "--sums",
        action="store_true",
        help="keep sums over the videos instead of a row for each record and action: one size for "
        "any number of videos, for means, classes and the intervals of many; docs/scale.md",
    )
    reduce.group("reading the log").add_argument(
        "--cluster",
        metavar="COLUMN",
        help="keep this column of the log's 'extra', for --cluster of estimate; id:SEP needs none",
    )
    engine = reduce.group("engine")
    engine.add_argument(
        "--engine",
        choices=ENGINES,
        default="exact",
        help="what counts: flopbench's exact reader (the default), or SQL, for JSON lines and "
        "Parquet: docs/scale.md",
    )
    engine.add_argument(
        "--master",
        metavar="URL",
        help="the cluster of --engine spark: spark://host:port, or local[N] for N cores here",
    )
    reduce.set_defaults(run=run_reduce)


def _add_files(parser: Parser) -> None:
    group = parser.group("input")
    group.add_argument("files", nargs="+", metavar="FILE", help="the log, or its shards")
    add_preset(parser)
    add_reading(parser)


def _open(args: argparse.Namespace) -> Any:
    from flopbench.policy.forms.base import Options
    from flopbench.policy.log import open_log

    options = Options(allow_truncated=args.allow_truncated)
    # A single shard may be read on its own.
    alone = len(args.files) == 1
    log = open_log(args.files, preset=args.preset, options=options, complete=not alone)
    if args.duplicates == "first":
        from flopbench.policy.log import without_duplicates

        log = without_duplicates(log)
    return log


def run_validate(args: argparse.Namespace) -> int:
    """List the defects of a log; exit status 2 if there are any."""
    load_numpy()
    from flopbench.policy.log import check_log

    log = _open(args)
    defects, warnings, samples = check_log(log)
    warn(warnings)
    if defects:
        for error in defects[:SHOWN_DEFECTS]:
            complain(f"error: {error}")
        more = len(defects) - SHOWN_DEFECTS
        if more > 0:
            complain(f"and {more} more defects")
        return EXIT_INPUT
    files = len(log.readers)
    what = f"{files} files" if files > 1 else log.source
    sys.stdout.write(f"{what}: {_samples(samples)}, {log.form}, no defects\n")
    return EXIT_OK


def run_convert(args: argparse.Namespace) -> int:
    """Write a log in another form."""
    load_numpy()
    from flopbench.policy.forms import form_to_write
    from flopbench.policy.log import at_random
    from flopbench.policy.writers import convert

    form_to_write(Path(args.output))
    check_output(args)
    log = _open(args)
    if args.random:
        log = at_random(log, args.seed)
    count = convert(log, Path(args.output))
    warn(log.warnings())
    sys.stdout.write(f"{args.output}: {_samples(count)}\n")
    return EXIT_OK


def run_reduce(args: argparse.Namespace) -> int:
    """Write a part of a log's counts."""
    load_numpy()
    from flopbench.estimate.reducing import reduce_log

    check_output(args)
    spark = args.engine == "spark"
    require(spark == (args.master is not None), "--engine spark and --master go together")
    counts = reduce_log(
        args.files,
        args.output,
        preset=args.preset,
        cluster=args.cluster,
        duplicates=args.duplicates,
        allow_truncated=args.allow_truncated,
        sums=args.sums,
        engine=args.engine,
        master=args.master or "",
    )
    warn(counts.warnings)
    sys.stdout.write(f"{args.output}: {_samples(counts.records)}\n")
    return EXIT_OK


def _samples(count: int) -> str:
    from flopbench.core.units import plural

    return f"{count:,} {plural(count, 'sample')}"


def run_head(args: argparse.Namespace) -> int:
    """Show the header and the first samples."""
    load_numpy()
    import json
    import re

    import msgspec

    log = _open(args)
    shown: list[Any] = []
    for samples, _ in log.samples():
        shown += samples[: args.n - len(shown)]
        if len(shown) == args.n:
            break
    header = json.dumps(msgspec.to_builtins(log.plan.header), indent=1, ensure_ascii=False)
    # The counts of a component stay on one line each.
    header = re.sub(
        r"(?<=\n   )\{\n.*?\n   \}",
        lambda row: json.dumps(json.loads(row[0]), ensure_ascii=False),
        header,
        flags=re.DOTALL,
    )
    for text in (header, *(msgspec.json.encode(sample).decode() for sample in shown)):
        # JSON leaves control characters above 127 as they are, and a terminal obeys some.
        plain = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
        sys.stdout.write("".join(plain) + "\n")
    return EXIT_OK

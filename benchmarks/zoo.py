"""Count whole libraries, and note what that takes: processor time and memory of each model.

    python -m benchmarks.zoo count torchvision -o zoo/torchvision.json
    python -m benchmarks.zoo count timm --small --shard 1/5 -o zoo/timm-1.json
    python -m benchmarks.zoo report zoo -o reports/zoo

``count`` is ``flopbench table --all`` with a file ``NAME.times.csv`` beside the table, a line a
model: ``spec,cpu_s,worker_peak_mb,own_peak_mb``; both are continued. ``report`` makes of them
``LIBRARY.csv``, a line a model, and ``README.md``.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from flopbench.cli.common import progress_bar
from flopbench.cli.table import LIBRARIES, _shard
from flopbench.core import stopping
from flopbench.core.errors import complain
from flopbench.core.grid import to_markdown
from flopbench.core.memory import peak_resident_bytes, text_of
from flopbench.core.workers import Answer
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.against import against, against_tables
from flopbench.counting.cost_row import CostRow, leading_row
from flopbench.counting.table import CostTable
from flopbench.counting.table_text import flat_csv, sort_table
from flopbench.counting.zoo import count_into, library_models, merged
from flopbench.models.spec import ModelSpec

LARGE = (
    *("*large*", "*huge*", "*gig*", "*giant*", "*enormous*", "*so400m*", "*[0-9]b_patch*", "*xl*"),
    *("*384*", "*448*", "*512*", "*518*", "*560*"),
)
"""Names of large models and of variants of others at large inputs: two thirds of the time of timm,
and up to 17 GB a model, since fvcore runs them with values."""

Costs = dict[str, tuple[float, float]]
"""Specification -> processor seconds, and megabytes of its process so far."""

STATUSES = ("verified", "unverified", "partial", "disputed", "failed")
BEGINNINGS = ("against ", "lists what it leaves out")
HEAD = """# Whole libraries

Made by `python -m benchmarks.zoo` (its first lines have the commands) with the counters of
`flopbench table`, on {machine}, beside other work. Times are processor time; the first model of
each process pays for imports. The process that hands out the work had {own} MB at most.

Of timm it is every fifth of the names that `LARGE` leaves, twice: shards 1/5 and 3/5, merged. One
row a model in `torchvision.csv` and `timm.csv`, with every note.
"""
KINDS_TEXT = """A model is verified all the same, unless a table above lists it: two other libraries
agree. What a counter lists itself is partial, what it does not see is disputed."""

AGAINST_TEXT = """timm's figures are fvcore's without fused attention: every score matrix counts
among its activations, while a fused operator writes its output alone. So those of networks with
attention differ: of deit_small_patch16_224 by 12 layers × 6 heads × 197² = 2.79 M.
"""


def count(given: argparse.Namespace) -> None:
    """Count a library into a table, and append to the file of times."""
    specs = library_models(given.library, exclude=LARGE if given.small else (), shard=given.shard)
    output: Path = given.output
    with output.with_suffix(".times.csv").open("a", encoding="utf-8") as times:

        def told(spec: ModelSpec, answer: Answer) -> None:
            peaks = (answer.peak_bytes / 1e6, peak_resident_bytes() / 1e6)
            times.write(f"{spec},{answer.cpu_s:.2f},{peaks[0]:.0f},{peaks[1]:.0f}\n")
            times.flush()

        with progress_bar("counting") as progress:
            count_into(
                output,
                specs,
                DEFAULT_COUNTERS,
                jobs=given.jobs,
                retry_failed=given.retry_failed,
                progress=progress,
                begin=lambda left: complain(f"{left} of {len(specs)} to count"),
                told=told,
            )


def report(folder: Path, output: Path) -> None:
    """Write ``LIBRARY.csv`` and ``README.md`` from the tables and times in a folder."""
    tables: dict[str, dict[str, CostTable]] = {}
    for path in sorted(folder.glob("*.json")):
        tables.setdefault(path.stem.partition("-")[0], {})[path.name] = CostTable.load(path)
    costs: Costs = {}
    own_mb = 0
    for path in sorted(folder.glob("*.times.csv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            spec, cpu_s, peak_mb, *own = line.split(",")
            costs[spec] = float(cpu_s), float(peak_mb)
            own_mb = max(own_mb, *map(int, own), 0)
    parts = [HEAD.format(machine=machine(), own=own_mb)]
    rows: list[CostRow] = []
    for library, found in tables.items():
        table = sort_table(merged(found), "model")
        (output / f"{library}.csv").write_text(flat_csv(table), encoding="utf-8")
        parts += [library_text(library, table, costs)]
        if (published := output / f"{library}-published.csv").is_file():
            compared = against_tables(against(table, published))
            parts += [AGAINST_TEXT, to_markdown(compared.grids["against"])]
        rows += table.rows
    parts += [disagreements(rows), slowest(costs)]
    (output / "README.md").write_text("\n".join(parts), encoding="utf-8")


def library_text(library: str, table: CostTable, costs: Costs) -> str:
    """Return the section of one library: statuses, time, memory, and each model in doubt."""
    lines = table.lines()
    leads = [leading_row(line) for line in lines]
    own = [costs[row.spec] for row in leads if row.spec in costs]
    cpu_s = [cpu_s for cpu_s, _ in own] or [0.0]
    statuses = Counter(row.status for row in leads)
    grid = markdown(
        ("models", *STATUSES, "CPU s: median", "mean", "most", "MB of a worker, most"),
        [
            (
                len(leads),
                *(statuses[status] for status in STATUSES),
                *(f"{value:.1f}" for value in (median(cpu_s), fmean(cpu_s), max(cpu_s))),
                f"{max((peak_mb for _, peak_mb in own), default=0):,.0f}",
            )
        ],
    )
    by_counter = Counter((row.counter, row.status) for row in table)
    counters = markdown(
        ("counter", *STATUSES),
        [(c, *(by_counter[c, status] for status in STATUSES)) for c in table.counters()],
    )
    doubted = [
        (row.spec, row.input, row.status, row.notes[0] if row.notes else "")
        for row in leads
        if row.status != "verified"
    ]
    said = markdown(("model", "input", "status", "why"), doubted) if doubted else ""
    return f"## {library}\n\n{grid}\n{counters}\n{said}"


def disagreements(rows: Sequence[CostRow]) -> str:
    """Group what counters differ in, numbers and classes left out, with an example of each."""
    kinds: dict[tuple[str, str, str], list[str]] = {}
    together: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        reason = next((note for note in row.notes if note.startswith(BEGINNINGS)), "")
        if row.status in ("partial", "disputed") and reason:
            listed = "lists it; " if reason.startswith("lists") else ""
            what = re.sub(r"\b[\d,]+ of [\d,]+ MACs", "", reason.partition("against torch: ")[2])
            what = f"{listed}{re.sub('  +', ' ', what)}"
            together.setdefault((row.spec, row.status, what), []).append(row.counter)
    for (spec, status, what), counters in together.items():
        kinds.setdefault((", ".join(counters), status, what), []).append(spec)
    found = sorted(kinds.items(), key=lambda pair: (pair[0][0], -len(pair[1])))
    cells = [(*kind, len(specs), specs[0]) for kind, specs in found]
    titles = ("counter", "status", "family (operators)", "models", "such as")
    return f"## Disagreements by kind\n\n{KINDS_TEXT}\n\n{markdown(titles, cells)}"


def slowest(costs: Costs) -> str:
    """Return the ten slowest models."""
    top = sorted(costs.items(), key=lambda pair: -pair[1][0])[:10]
    cells = [(spec, f"{cpu_s:.0f}", f"{peak_mb:,.0f}") for spec, (cpu_s, peak_mb) in top]
    return f"## Slowest models\n\n{markdown(('model', 'CPU s', 'MB of its worker so far'), cells)}"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def machine() -> str:
    """Describe this machine."""
    found = re.search(r"model name\s*: (.*)", text_of(Path("/proc/cpuinfo")))
    memory = re.search(r"MemTotal:\s*(\d+)", text_of(Path("/proc/meminfo")))
    name, kilobytes = (match[1] if match else "" for match in (found, memory))
    return f"{os.cpu_count()} shared cores of {name}, {int(kilobytes or 0) / 1e6:.0f} GB"


def main(args: Sequence[str] | None = None) -> int:
    """Count, or report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    counting = verbs.add_parser("count")
    counting.add_argument("library", choices=LIBRARIES)
    counting.add_argument("-o", "--output", type=Path, required=True)
    counting.add_argument("--shard", type=_shard, default=(1, 1))
    counting.add_argument("--jobs", type=int, default=1)
    counting.add_argument("--small", action="store_true", help="without LARGE names")
    counting.add_argument("--retry-failed", action="store_true")
    reporting = verbs.add_parser("report")
    reporting.add_argument("folder", type=Path)
    reporting.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(args)
    if given.verb == "count":
        count(given)
    else:
        report(given.folder, given.output)
    return 0


if __name__ == "__main__":
    stopping.install()
    sys.exit(main())

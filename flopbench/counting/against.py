"""A cost table against published figures in the columns of timm's results files.

``infer_gmacs`` are MACs by fvcore's rules / 1e9, ``infer_macts`` activations / 1e6, ``param_count``
parameters / 1e6, each printed to some decimals. What agrees when rounded to them is the same.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

from flopbench.core.errors import DataError
from flopbench.core.files import read_text
from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.tables import Tables
from flopbench.core.units import PREFIXES, number_of
from flopbench.counting.cost_row import QUOTED, CostRow, bare_name, leading_row
from flopbench.counting.table import CostTable

_QUANTITIES = {
    "GMACs": (PREFIXES["G"], ("infer_gmacs", "gmacs")),
    "M activations": (PREFIXES["M"], ("infer_macts", "macts")),
    "M params": (PREFIXES["M"], ("param_count",)),
}
"""Quantity -> its unit, and its columns, in files of ``benchmark.py`` and ``validate.py``."""

_SIZES = ("infer_img_size", "img_size")
_EXPECTED = "expected the columns of timm's results files: model, infer_img_size, infer_gmacs"


class Difference(Struct, frozen=True):
    """A published figure that is not ours to its last printed decimal.

    Attributes:
        model: its name in the published file.
        input: the size, in pixels.
        quantity: ``GMACs``, ``M activations`` or ``M params``.
        published: as printed.
        ours: the nearest of our counts, in the same unit.
        counter: whose that is.
    """

    model: str
    input: str
    quantity: str
    published: str
    ours: float
    counter: str

    @property
    def share(self) -> float:
        """How much larger the published figure is than ours, as a share of ours."""
        return float(self.published) / self.ours - 1 if self.ours else float("inf")


class Against(Struct, frozen=True, kw_only=True):
    """What a comparison found.

    Attributes:
        path: the published file.
        differences: the largest first.
        agreeing: (quantity, counter) -> figures that agree with this counter's.
        compared: models that both have at the same input.
        other_size: models that both have, at no common input.
        only_ours: models that only the table has.
        only_theirs: models that only the file has.
    """

    path: str
    differences: tuple[Difference, ...]
    agreeing: Mapping[tuple[str, str], int]
    compared: int
    other_size: int
    only_ours: int
    only_theirs: int


def against(table: CostTable, path: Path) -> Against:
    """Compare a table with a published file: models of the same name at the same input.

    Raises:
        InputError: there is no such file.
        DataError: it has no such columns, or something else than a number in one.
    """
    published, decimals = _published(path)
    ours: dict[tuple[str, str], list[CostRow]] = {}
    for line in table.lines():
        if line[0].classes is None and line[0].counter != "constant":
            ours.setdefault((bare_name(line[0]), line[0].input), []).extend(line)
    agreeing: Counter[tuple[str, str]] = Counter()
    differences: list[Difference] = []
    common = ours.keys() & published.keys()
    for key in sorted(common):
        for quantity, printed in published[key].items():
            counts = _counts(ours[key], quantity)
            half = 0.5 * 10 ** -decimals[quantity] * (1 + 1e-9)
            off = {c: abs(count - float(printed)) for c, count in counts.items()}
            same = [c for c in counts if off[c] <= half]
            if same:
                agreeing[quantity, same[0]] += 1
            elif counts:
                nearest = min(counts, key=off.__getitem__)
                differences.append(Difference(*key, quantity, printed, counts[nearest], nearest))
    known, theirs = {name for name, _ in ours}, {name for name, _ in published}
    return Against(
        path=str(path),
        differences=tuple(sorted(differences, key=lambda d: -abs(d.share))),
        agreeing=dict(agreeing.most_common()),
        compared=len(common),
        other_size=len((known & theirs) - {name for name, _ in common}),
        only_ours=len(known - theirs),
        only_theirs=len(theirs - known),
    )


def _counts(line: Sequence[CostRow], quantity: str) -> dict[str, float]:
    """Return our counts of a quantity, in its unit, by counter; MACs are each counter's total."""
    lead = leading_row(line)
    if quantity == "GMACs":
        rows = sorted(line, key=lambda row: row.counter != QUOTED)  # the first of equals wins
        found = [(row.counter, row.total_macs) for row in rows]
    else:
        found = [(lead.counter, lead.params if quantity == "M params" else lead.activations)]
    unit, _ = _QUANTITIES[quantity]
    return {counter: count / unit for counter, count in found if count is not None}


def _published(path: Path) -> tuple[dict[tuple[str, str], dict[str, str]], dict[str, int]]:
    """Read a file: its figures by model and input, as printed, and decimals by quantity."""
    lines = read_text(path, "published figures").splitlines()
    try:
        first, *rows = list(csv.reader(lines)) or [[]]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}") from None
    header = [cell.strip() for cell in first]
    found = {
        quantity: header.index(name)
        for quantity, (_, names) in _QUANTITIES.items()
        for name in names
        if name in header
    }
    size = next((header.index(name) for name in _SIZES if name in header), None)
    if "model" not in header or size is None or not found:
        has = ", ".join(header[:8]) or "nothing"
        raise DataError(f"{path}:1: has {has}", f"{_EXPECTED}, infer_macts, param_count")
    figures: dict[tuple[str, str], dict[str, str]] = {}
    decimals = dict.fromkeys(found, 0)
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        where = f"{path}:{number}"
        if len(row) != len(header):
            fields = number_of(len(row), "field")
            raise DataError(f"{where}: {fields}, the header has {len(header)}")
        printed = {q: row[place].replace(",", "") for q, place in found.items() if row[place]}
        for quantity, text in printed.items():
            column = header[found[quantity]]
            decimals[quantity] = max(decimals[quantity], _decimals(text, f"{where}: {column}"))
        name = row[header.index("model")].partition(".")[0]  # behind a dot: whose weights
        figures.setdefault((name, row[size]), printed)
    return figures, decimals


def _decimals(text: str, where: str) -> int:
    try:
        value = Decimal(text)
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and value >= 0:
            return max(0, -exponent)
    except InvalidOperation:
        pass
    raise DataError(f"{where} is {text!r} where a number of at least 0 was expected")


def against_tables(found: Against) -> Tables:
    """Lay out a comparison: the figures that differ, and how many agree."""
    titles = ("model", "input", "quantity", "published", "ours", "counter", "difference")
    shares = [f"{d.share:+.1%}".replace("%", " %").replace("-", "−") for d in found.differences]
    summary = tuple(_summary(found))
    grid = Grid(
        title=f"Figures of {found.path} that differ in a printed decimal",
        columns=columns(titles, ("model", "quantity", "counter"), spare=("counter", "input")),
        rows=tuple(
            (d.model, d.input, d.quantity, d.published, f"{d.ours:.4f}", d.counter, share)
            for d, share in zip(found.differences, shares, strict=True)
        ),
        caption=summary,
        stay=summary,
    )
    return Tables(
        grids={"against": grid},
        csv=lambda: to_csv(titles, [[*asdict(d).values(), d.share] for d in found.differences]),
        json=lambda: json.dumps(_as_json(found), indent=1) + "\n",
    )


def _summary(found: Against) -> Iterable[str]:
    for quantity in _QUANTITIES:
        by = {c: number for (q, c), number in found.agreeing.items() if q == quantity}
        differing = sum(d.quantity == quantity for d in found.differences)
        if by or differing:
            who = ", ".join(f"{counter} {number:,}" for counter, number in by.items())
            who = f" ({who})" if quantity == "GMACs" and by else ""
            yield f"{quantity}: {sum(by.values()):,} agree{who}, {differing:,} differ."
    alone = f"{found.only_ours:,} in the table alone, {found.only_theirs:,} in the file alone"
    compared = number_of(found.compared, "model")
    yield f"{compared} at the same input; {found.other_size:,} at other inputs only, {alone}."


def _as_json(found: Against) -> dict[str, object]:
    agreeing = [
        {"quantity": quantity, "counter": counter, "figures": number}
        for (quantity, counter), number in found.agreeing.items()
    ]
    return {**asdict(found), "differences": to_builtins(found.differences), "agreeing": agreeing}

"""Published set-ups, as TOML files in this folder: networks, inputs, heads, printed figures.

File format: ``schema = 1``, ``title``, ``source`` (the publication), ``classes`` (width of the
heads there), ``counted_by`` (the counter whose rules the publication used), and one ``[[table]]``
entry per published row: ``model``, ``input``, ``published_gflops`` (text, digits as printed),
``feature_dim``, for figures that were not profiled ``scaled_from = {gflops, input_px,
figure_input_px, source}``, and for a misprint ``corrected_gflops`` with its reason,
``correction``. A preset may instead include others: ``include = [...]``. A ``[policy]`` table says
what an adaptive method decides and what each decision costs: the fields of a policy log's header
(``policy.header``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from flopbench.core.errors import DataError, InputError, cut, near_match
from flopbench.core.records import Positive, Record, decode
from flopbench.core.toml_lines import toml_values
from flopbench.core.units import GIGA, giga
from flopbench.models.spec import ModelSpec, parse_size, parse_spec

_FOLDER = Path(__file__).parent


Printed = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")]
"""A figure with its digits as printed, so text in quotes."""


class ScaledFigure(Record, frozen=True, kw_only=True):
    """How a publication got a figure without profiling: another figure times (r / r0)².

    Attributes:
        gflops: the figure that was scaled, as printed in its source.
        input_px: the input size that the scaling assumed.
        figure_input_px: the input size that the figure actually belongs to.
        source: where the figure was printed.
    """

    gflops: Printed
    input_px: Positive
    figure_input_px: Positive
    source: str

    def at(self, height_px: int) -> float:
        """Apply the rule: ``gflops × (height_px / input_px)²``."""
        return float(self.gflops) * (height_px / self.input_px) ** 2


class _Entry(Record, frozen=True, kw_only=True):
    model: str
    input: str
    published_gflops: Printed
    feature_dim: Positive | None = None
    scaled_from: ScaledFigure | None = None
    corrected_gflops: Printed | None = None
    correction: str = ""


class _File(Record, frozen=True, kw_only=True):
    schema: Literal[1]
    title: str = ""
    source: str = ""
    classes: Positive | None = None
    counted_by: str = ""
    include: tuple[str, ...] = ()
    table: tuple[_Entry, ...] = ()
    policy: dict[str, Any] | None = None


class PublishedRow(Struct, frozen=True, kw_only=True):
    """One row of a published table.

    Attributes:
        spec: network, input and head.
        gflops: the figure with its digits as printed.
        feature_dim: the printed width of the head's input.
        counted_by: the counter whose rules the publication used.
        source: the publication.
        scaled_from: set where the figure was scaled, not profiled.
        corrected: the figure that was meant, where the printed one is a misprint.
        correction: how that is known.
    """

    spec: ModelSpec
    gflops: Decimal
    feature_dim: int | None
    counted_by: str
    source: str
    scaled_from: ScaledFigure | None
    corrected: Decimal | None = None
    correction: str = ""


class Preset(Struct, frozen=True, kw_only=True):
    """A named set of published rows.

    Attributes:
        name: file name without its suffix, or the path of a user's file.
        title: one line.
        rows: in the publication's order.
        policy: what the method decides, as the fields of a policy log's header.
        counted_by: the counter whose rules the publication used, empty if none is named.
    """

    name: str
    title: str
    rows: tuple[PublishedRow, ...]
    policy: Mapping[str, Any] | None = None
    counted_by: str = ""


def preset_names() -> list[str]:
    """List the presets that ship with flopbench."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_preset(name: str, _including: tuple[str, ...] = ()) -> Preset:
    """Read a preset by name, or a user's own file by path (``.toml``).

    Raises:
        InputError: no such preset or file.
        DataError: the file does not follow the format; the message names file and key.
    """
    own = name.endswith(".toml")
    path = Path(name) if own else _FOLDER / f"{name}.toml"
    if not (os.path.isfile(path) if own else name in preset_names()):
        hint = near_match(name, preset_names(), "presets")
        raise InputError(
            f"there is no preset {name!r}", f"{hint}; or give the path of a .toml file"
        )
    data = toml_values(path, str(path))
    if os.path.realpath(path) in map(os.path.realpath, _including):
        raise DataError(f"{path} includes itself (through {' -> '.join(_including)})")
    file = decode(data, _File, str(path), toml=True)
    rows: list[PublishedRow] = []
    for included in file.include:
        included = preset_beside(included, path, f"{path}: include")
        rows += load_preset(included, (*_including, str(path))).rows
    if file.table and not (file.counted_by and file.source):
        raise DataError(f"{path}: a preset with tables needs 'counted_by' and 'source'")
    for number, entry in enumerate(file.table, 1):
        rows.append(_row(entry, file, f"{path}, [[table]] {number}"))
    return Preset(
        name=name,
        title=file.title or name,
        rows=tuple(rows),
        policy=file.policy,
        counted_by=file.counted_by,
    )


def preset_beside(name: str, file: Path, where: str) -> str:
    """Return a preset that a file names: one of flopbench, or a file in its own folder.

    Raises:
        DataError: it is elsewhere; ``where`` names the file and the field.
    """
    if not name.endswith(".toml"):
        return name
    beside, folder = file.parent / name, os.path.realpath(file.parent)
    path = beside if beside.is_file() else Path(name)
    if not Path(os.path.realpath(path)).is_relative_to(folder):
        raise DataError(
            f"{where} is {cut(name)!r}, which is not in the folder of {file.name}",
            "a file may name a preset of flopbench, or one in its own folder: copy it there",
        )
    return str(path)


def find_published(spec: ModelSpec) -> PublishedRow | None:
    """Find a published row for this network and input, whatever the head."""
    for name in preset_names():
        for row in load_preset(name).rows:
            same_head = spec.classes is None or spec.classes == row.spec.classes
            if same_head and (row.spec.model, row.spec.input) == (spec.model, spec.input):
                return row
    return None


def _row(entry: _Entry, file: _File, where: str) -> PublishedRow:
    spec = parse_spec(entry.model).at(parse_size(entry.input, where))
    if spec.is_user_code:
        raise DataError(
            f"{where}: model is {cut(entry.model)!r}, code that a preset must not start",
            f"name it on the command line: flopbench table {cut(str(spec))}",
        )
    return PublishedRow(
        spec=spec if file.classes is None else spec.with_classes(file.classes),
        gflops=Decimal(entry.published_gflops),
        feature_dim=entry.feature_dim,
        counted_by=file.counted_by,
        source=file.source,
        scaled_from=entry.scaled_from,
        corrected=None if entry.corrected_gflops is None else Decimal(entry.corrected_gflops),
        correction=entry.correction,
    )


def explain_published(row: PublishedRow, total: int | None, dense_macs: int | None) -> str:
    """Explain, in one sentence, how a published figure relates to the measured ones.

    Args:
        row: the publication's row.
        total: what the publication's counter gives for this model today, by its own rules.
        dense_macs: the exact dense multiply-accumulates.
    """
    printed = str(row.gflops)
    if row.scaled_from is not None:
        return _explain_scaled(row, dense_macs)
    if total is None:
        return f"published {printed}; not compared, since {row.counted_by} was not run"
    digits = -int(row.gflops.as_tuple().exponent)
    measured = giga(total, digits)
    if measured == printed:
        return f"published {printed}: reproduced to the last printed digit by {row.counted_by}"
    if digits_exchanged(printed, measured):
        return (
            f"published {printed}: {row.counted_by} gives {measured}, so two digits were "
            "exchanged in print"
        )
    return (
        f"published {printed}: not reproduced, {row.counted_by} gives {measured}, so the published "
        f"figure is {_too_much(row.gflops, total)}"
    )


def rule_value(row: PublishedRow) -> float | None:
    """Return the figure that the publication's scaling rule gives, None if it profiled."""
    if row.scaled_from is None:
        return None
    return row.scaled_from.at(row.spec.size[0])


def digits_exchanged(one: str, other: str) -> bool:
    """Whether two numbers differ by exactly one swap of two adjacent digits."""
    if len(one) != len(other):
        return False
    places = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) != 2 or places[1] != places[0] + 1:
        return False
    first, second = places
    return one[first] == other[second] and one[second] == other[first]


def _explain_scaled(row: PublishedRow, dense_macs: int | None) -> str:
    scaled = row.scaled_from
    value = rule_value(row)
    assert scaled is not None
    assert value is not None
    step = Decimal(1).scaleb(int(row.gflops.as_tuple().exponent))
    rounded = Decimal(value).quantize(step, rounding=ROUND_HALF_EVEN)
    side = row.spec.size[0]
    rule = f"{scaled.gflops} × ({side}/{scaled.input_px})²"
    if rounded == row.gflops:
        notes = [f"published {row.gflops} = {rule}: scaled, not profiled, from {scaled.source}"]
    else:
        notes = [f"published {row.gflops} is not {rule} = {rounded}"]
    if scaled.figure_input_px != scaled.input_px:
        notes.append(
            f"{scaled.gflops} belongs to {scaled.figure_input_px} px, not {scaled.input_px} px"
        )
    if dense_macs:
        notes.append(
            f"measured {giga(dense_macs)} dense GMACs, so the published figure is "
            f"{_too_much(row.gflops, dense_macs)}"
        )
    return "; ".join(notes)


def _too_much(gflops: Decimal, counted: int) -> str:
    off = 100 * (float(gflops) * GIGA / counted - 1)
    return f"{abs(off):.0f} % too {'high' if off > 0 else 'low'}"

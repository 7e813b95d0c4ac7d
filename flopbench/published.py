"""Measured figures beside published ones: how did the printed number come about?

Every sentence returned here is computed: a published figure is reproduced, or explained by one of
the two slips known in this literature (exchanged digits; scaling by area in place of profiling),
or it is neither, and that is said too.

Lives here: that comparison. Does not live here: the figures (``presets``), counting.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from flopbench.presets import PublishedRow
from flopbench.units import GIGA, giga


def explain_published(row: PublishedRow, total: int | None, dense_macs: int | None) -> str:
    """Say how a published figure relates to the measured ones.

    Args:
        row: the publication's row.
        total: what the publication's counter says of this model today, in MACs of its own rules.
        dense_macs: the exact dense multiply-accumulates.

    Returns:
        One sentence, computed from the arguments.
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
    """Return the figure that the publication's scaling rule gives, None where it profiled."""
    if row.scaled_from is None:
        return None
    return row.scaled_from.at(row.spec.size[0])


def digits_exchanged(one: str, other: str) -> bool:
    """Whether two numbers differ by exactly one swap of two neighbouring digits."""
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


def _too_much(gflops: Decimal, macs: int) -> str:
    off = 100 * (float(gflops) * GIGA / macs - 1)
    return f"{abs(off):.0f} % too {'high' if off > 0 else 'low'}"

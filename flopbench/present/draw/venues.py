"""Column widths and text sizes of venues, from their own LaTeX classes and style files.

For a venue with one column, ``column`` and ``page`` are equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flopbench.core.errors import InputError, near_match

TEX_POINTS_PER_INCH = 72.27
MM_PER_INCH = 25.4
SMALLEST_IN, LARGEST_IN = 1.0, 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One venue's page: widths of a column and of the text, size of the text."""

    column_in: float
    page_in: float
    body_pt: float = 10.0


VENUES = {
    # cvpr.sty: \textwidth 6.875 in, \columnsep 0.3125 in; also ICCV and WACV.
    "cvpr": Venue(column_in=(6.875 - 0.3125) / 2, page_in=6.875),
    # llncs.cls: \textwidth 12.2 cm; ECCV and other LNCS proceedings.
    "eccv": Venue(column_in=122 / MM_PER_INCH, page_in=122 / MM_PER_INCH),
    # neurips.sty and iclr_conference.sty: \textwidth 5.5 in.
    "neurips": Venue(column_in=5.5, page_in=5.5),
    "iclr": Venue(column_in=5.5, page_in=5.5),
    # icml.sty: \textwidth 6.75 in, \columnsep 0.25 in.
    "icml": Venue(column_in=(6.75 - 0.25) / 2, page_in=6.75),
    # IEEEtran.cls, letter paper: \textwidth 43 pc, \columnsep 1 pc, a pica being 12 TeX points.
    "ieee": Venue(
        column_in=(43 - 1) / 2 * 12 / TEX_POINTS_PER_INCH, page_in=43 * 12 / TEX_POINTS_PER_INCH
    ),
}
DEFAULT_VENUE = "cvpr"


def find_venue(name: str) -> Venue:
    """Return a venue."""
    if name not in VENUES:
        raise InputError(f"unknown venue {name!r}", near_match(name, VENUES, "venues"))
    return VENUES[name]


def width_in_of(width: str | float, venue: Venue) -> float:
    """Return a figure's width in inches."""
    if width == "column":
        return venue.column_in
    if width == "page":
        return venue.page_in
    try:
        inches = float(width)
    except ValueError:
        inches = math.nan
    if not SMALLEST_IN <= inches <= LARGEST_IN:
        raise InputError(
            f"width {width!r}: expected 'column', 'page' or inches from {SMALLEST_IN:g} to "
            f"{LARGEST_IN:g}"
        )
    return inches

"""The style of figures in papers: widths of venues, sizes of text, colours, hatches, fonts.

Settings last for a ``with`` block and are restored after it; no state of matplotlib outlives a
call. Colours are Okabe and Ito's, distinguishable with any kind of colour blindness (Wong, Nature
Methods 8, 2011); each has its own hatch, marker and dash, so that a figure printed in black and
white carries the same information.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from msgspec import Struct

from flopbench.core.errors import InputError, near_match
from flopbench.present.draw.venues import DEFAULT_VENUE, find_venue, width_in_of

FONT = "STIXGeneral"
"""A Times that comes with matplotlib: the same on every machine, and close to most venues' font."""

FALLBACK_FONT = "DejaVu Sans"
"""Also comes with matplotlib; has letters that ``FONT`` lacks (Greek, Cyrillic, arrows, …)."""

SMALLEST_PT, LARGEST_PT = 4.0, 40.0


class Look(Struct, frozen=True, kw_only=True):
    """How one series looks: each of the four alone distinguishes it from the others."""

    color: str
    hatch: str
    marker: str
    dash: Any


# Dots come late: they make vector files large.
LOOKS = (
    Look(color="#0072B2", hatch="", marker="o", dash="-"),
    Look(color="#E69F00", hatch="////", marker="s", dash=(0, (5, 1.5))),
    Look(color="#009E73", hatch="----", marker="^", dash=(0, (1, 1))),
    Look(color="#CC79A7", hatch="xxxx", marker="D", dash=(0, (5, 1.5, 1, 1.5))),
    Look(color="#56B4E9", hatch="\\\\\\\\", marker="v", dash=(0, (3, 1, 1, 1, 1, 1))),
    Look(color="#D55E00", hatch="++++", marker="P", dash=(0, (8, 2))),
    Look(color="#F0E442", hatch="...", marker="X", dash=(0, (2, 2))),
    Look(color="#999999", hatch="||||", marker="*", dash=(0, (4, 1, 1, 1, 1, 1, 1, 1))),
)
INK = "#222222"
"""Of text, edges and hatches."""
FAINT = "#BBBBBB"
"""Of grids and reference lines."""


def look(index: int) -> Look:
    """Return the look of series number ``index``; after eight they repeat."""
    return LOOKS[index % len(LOOKS)]


class Style(Struct, frozen=True, kw_only=True):
    """The settings that ``paper_style`` was given; ``text_pt`` is the size of labels."""

    width_in: float
    text_pt: float
    font: str

    @property
    def small_pt(self) -> float:
        """Size of tick labels and notes."""
        return self.text_pt - 1

    def inches(self, lines: float) -> float:
        """Return the height of this many lines of small text, for figures that grow by rows."""
        return lines * 1.25 * self.small_pt / 72


LONGEST_WAIT_S = 120.0
"""How long a thread waits for another thread's block; figures take seconds."""
_LOCK = threading.RLock()
_IN_FORCE: ContextVar[Style | None] = ContextVar("style in force", default=None)


@contextmanager
def paper_style(
    width: str | float = "column",
    *,
    venue: str = DEFAULT_VENUE,
    font: str | None = None,
    text_pt: float | None = None,
) -> Iterator[Style]:
    """Draw and save in the style of a paper; restore all settings at the end.

    Inside the block matplotlib's defaults apply, then these settings: the same numbers give the
    same figure, whatever the user's ``matplotlibrc``. Other threads that draw wait until the block
    ends: the settings are those of the process.

    Args:
        width: ``column``, ``page``, or inches.
        venue: whose columns and text size: see ``venues``.
        font: a font family that is installed; None takes ``FONT``.
        text_pt: size of labels; None takes a point less than the venue's body text.

    Raises:
        InputError: an unknown venue, width or font, an illegible size, or another thread that stays
            inside such a block.
    """
    place = find_venue(venue)
    size = place.body_pt - 1 if text_pt is None else text_pt
    if not SMALLEST_PT <= size <= LARGEST_PT:
        raise InputError(
            f"a text size of {size:g} pt: expected {SMALLEST_PT:g} to {LARGEST_PT:g} pt"
        )
    family = found_font(FONT if font is None else font)
    style = Style(width_in=width_in_of(width, place), text_pt=size, font=family)
    with _alone(), mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)
        # The backend belongs to the process, not to the figure: leave it.
        mpl.rcParams.update(
            {key: value for key, value in mpl.rcParamsDefault.items() if "backend" not in key}
        )
        mpl.rcParams.update(_settings(style))
        token = _IN_FORCE.set(style)
        try:
            yield style
        finally:
            _IN_FORCE.reset(token)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one thread at a time change matplotlib's settings, which are those of the process."""
    if not _LOCK.acquire(timeout=LONGEST_WAIT_S):
        raise InputError(
            f"another thread has been inside 'paper' for {LONGEST_WAIT_S:g} s",
            "matplotlib's settings are those of the process: leave the block before other threads "
            "draw, or draw in processes",
        )
    try:
        yield
    finally:
        _LOCK.release()


@contextmanager
def in_style() -> Iterator[Style]:
    """Stay in the style of the enclosing block, or enter the default one."""
    around = _IN_FORCE.get()
    if around is not None:
        yield around
        return
    with paper_style() as style:
        yield style


def chosen_style(ax: Axes) -> Style:
    """Return the style to draw in: that of the enclosing block, else matplotlib's settings."""
    around = _IN_FORCE.get()
    if around is not None:
        return around
    figure: Any = ax.get_figure(root=True)
    size = font_manager.FontProperties(size=mpl.rcParams["axes.labelsize"])
    return Style(
        width_in=figure.get_size_inches()[0],
        text_pt=size.get_size_in_points(),
        font=str(mpl.rcParams["font.family"][0]),
    )


def found_font(name: str) -> str:
    """Return a font family's name if it is installed."""
    try:
        # By family: plain text would be read as a pattern, such as ``Times:bold``.
        wanted = font_manager.FontProperties(family=[name])
        font_manager.findfont(wanted, fallback_to_default=False)
    except ValueError:
        known = sorted(set(font_manager.get_font_names()))
        raise InputError(
            f"the font {name!r} is not installed",
            near_match(name, known, "installed families")
            + f"; without --font it is {FONT}, which comes with matplotlib",
        ) from None
    return name


def _settings(style: Style) -> dict[str, Any]:
    text, small = style.text_pt, style.small_pt
    tick: dict[str, Any] = {"labelsize": small, "color": INK}
    tick |= {"major.width": 0.6, "major.size": 2.5, "minor.width": 0.4, "minor.size": 1.5}
    return {
        "font.family": list(dict.fromkeys([style.font, FALLBACK_FONT])),
        "mathtext.fontset": "stix",
        "font.size": text,
        "text.hinting": "none",  # else glyphs, and so layouts, depend on the resolution
        "axes.titlesize": text,
        "axes.labelsize": text,
        "legend.fontsize": small,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.columnspacing": 1.2,
        "legend.borderaxespad": 0.3,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "patch.edgecolor": INK,
        "hatch.linewidth": 0.4,
        "patch.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.5,
        "axes.linewidth": 0.6,
        **{f"{axis}tick.{key}": value for axis in "xy" for key, value in tick.items()},
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.4,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.03,
        "figure.facecolor": "white",
        "savefig.dpi": 300,
        # TrueType fonts, embedded: venues refuse Type 3.
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "flopbench",
    }

"""Classes in rows: dots of both ratios with 95 % intervals, or stacked bars; all videos on top."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.units import GIGA, Words, interval_decimals, scale_of
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import below_legend
from flopbench.present.draw.parts import NAMES_TAKE, bar_key, name_rows, note, stacked_bar
from flopbench.present.draw.style import FAINT, INK, Style, look
from flopbench.present.draw.text import fitting_names
from flopbench.present.figures.class_bars import ClassBars
from flopbench.present.figures.class_choice import HIGH, USAGE
from flopbench.present.figures.class_ratios import Classes, ClassesOfRuns, ratio_in
from flopbench.present.figures.ratios import Ratio

SHORT = {HIGH: "rel. high-resolution usage", USAGE: USAGE}
"""What an axis calls a ratio."""
NAMELESS, WHOLE = "(empty name)", "whole run"
ABOVE = -1.25
"""Row of the whole run, a little apart from the first class."""
SPREAD = 0.64
"""Distance of the outer dots of a row, were there infinitely many, in rows."""
THICK = 0.8
"""Share of a row for its bars."""
FEWEST_LINES = 6.0
"""Minimum height of the axes, for their label, in lines."""
LINES_A_ROW, LINES_A_BAR = 1.35, 1.15
MOST_DECIMALS = 4
ROOM = 1.16
"""Length of the axis of costs, in lengths of the longest bar: its text follows it."""


class _Series(Struct, frozen=True, kw_only=True):
    """Dots of one look: the ratio of each class, and of the whole run."""

    label: str
    ratios: Sequence[Ratio | None]
    whole: Ratio | None


def classes_drawing(data: Classes | ClassesOfRuns | ClassBars) -> Drawing:
    """Return classes, ready to be drawn."""
    return _bars_drawing(data) if isinstance(data, ClassBars) else _dots_drawing(data)


def _dots_drawing(data: Classes | ClassesOfRuns) -> Drawing:
    runs = data.runs if isinstance(data, ClassesOfRuns) else (data,)
    first, alone = runs[0], len(runs) == 1
    series = [
        _Series(
            label=name if alone else run.run,
            ratios=[ratio_in(one, name) for one in run.classes],
            whole=ratio_in(run.whole, name),
        )
        for run in runs
        for name in run.series
    ]
    names = [one.name for one in first.classes]
    counts = [[run.classes[n].videos for run in runs] for n in range(len(names))]
    legend: list[tuple[Artist, str]] = [
        (_dots(n, [], []), one.label) for n, one in enumerate(series)
    ]

    def draw(ax: Axes, style: Style) -> None:
        for n, one in enumerate(series):
            _draw_series(ax, one, n, (n - (len(series) - 1) / 2) * SPREAD / len(series))
        ax.hlines([ABOVE, *range(len(names))], 0, 100, color=FAINT, linewidth=0.4, zorder=0)
        _name(ax, style, names, counts, [run.whole.videos for run in runs], data.words)
        ax.set_xlim(0, 100)
        ax.set_xlabel(f"{f'share of {data.words.steps}' if alone else SHORT[first.series[0]]} (%)")

    lines = max(LINES_A_ROW * (len(names) + 1), FEWEST_LINES)
    return below_legend(data, draw, lambda: legend, lines=lines + 3.6)


def _name(
    ax: Axes,
    style: Style,
    names: Sequence[str],
    counts: Sequence[Sequence[int]],
    whole: Sequence[int],
    words: Words,
) -> None:
    """Name the rows, each with its number of samples in the runs: once where all have as many."""
    endings = [f" ({', '.join(f'{n:,}' for n in dict.fromkeys(own))})" for own in (whole, *counts)]
    shown = [WHOLE, *(name or NAMELESS for name in names)]
    short = fitting_names(shown, NAMES_TAKE * style.width_in, style.small_pt, endings)
    labels = [name + end for name, end in zip(short, endings, strict=True)]
    rows = [ABOVE, *range(len(names))]
    title = f"class (number of {words.samples})"
    name_rows(ax, rows, labels, title, ends=(len(names) - 0.45, ABOVE - 0.5))


def _dots(n: int, x: list[float], y: list[float]) -> Line2D:
    own = look(n)
    return Line2D(
        x,
        y,
        linestyle="none",
        marker=own.marker,
        color=own.color,
        markeredgecolor=INK,
        markeredgewidth=0.4,
        clip_on=False,
        zorder=3,
    )


def _draw_series(ax: Axes, series: _Series, n: int, shift: float) -> None:
    """Draw dots with their intervals, and a dashed line down from that of the whole run."""
    own = look(n)
    rows = [(ABOVE, series.whole), *enumerate(series.ratios)]
    known = [(y + shift, ratio) for y, ratio in rows if ratio is not None]
    for y, ratio in known:
        if ratio.low is not None and ratio.high is not None:
            ends = [100 * ratio.low, 100 * ratio.high]
            ax.plot(ends, [y, y], color=own.color, clip_on=False, linewidth=1.0)
    ax.add_line(_dots(n, [100 * ratio.share for _, ratio in known], [y for y, _ in known]))
    if series.whole is not None:
        at, ends = 100 * series.whole.share, [ABOVE + shift, len(series.ratios) - 0.45]
        ax.plot([at, at], ends, color=own.color, linestyle="--", linewidth=0.9, zorder=1)


def _bars_drawing(data: ClassBars) -> Drawing:
    rows = [(ABOVE, data.whole), *enumerate(data.classes)]
    looks = {
        part: replace(look(n), color="white") if part in data.unseen else look(n)
        for n, part in enumerate(data.stacked)
    }
    legend: list[tuple[Artist, str]] = [(bar_key(own), part) for part, own in looks.items()]
    if len(data.runs) > 1:
        which = ("upper", "lower") if len(data.runs) == 2 else ("1st", "2nd", "3rd", "4th")
        named = zip(which, data.runs, strict=False)
        legend += [(Line2D([], [], linestyle="none"), f"{n} bar: {run}") for n, run in named]
    cost = data.bars == "cost"
    longest = max((bar.length for _, own in rows for bar in own), default=0.0)
    scale = scale_of(round(10 * longest * GIGA))  # 0.3 GMACs, but 50 MMACs
    unit = GIGA / scale.divisor if cost else 100.0
    digits = interval_decimals([unit * longest / 10], MOST_DECIMALS)  # three of the longest bar

    def draw(ax: Axes, style: Style) -> None:
        thick = THICK / len(data.runs)
        for row, own in rows:
            for n, bar in enumerate(own):
                y = row + (n - (len(own) - 1) / 2) * thick
                lengths = (
                    (looks[segment], unit * sum(bar.parts.get(part, 0.0) for part in parts))
                    for segment, parts in data.stacked.items()
                )
                stacked_bar(ax, y, lengths, thick=thick)
                if cost and bar.videos:
                    end = unit * bar.length
                    note(ax, f"{end:.{digits}f}", (end, y), style)
        counts = [[bar.videos for bar in own] for own in data.classes]
        names = [own[0].name for own in data.classes]
        _name(ax, style, names, counts, [bar.videos for bar in data.whole], data.words)
        ax.set_xlim(0, unit * longest * ROOM or 1 if cost else 100)
        per = f"cost ({scale.prefix}MACs/{data.words.sample})"
        ax.set_xlabel(per if cost else f"share of {data.counted} (%)")

    each = max(LINES_A_BAR * len(data.runs), LINES_A_ROW)
    lines = max(each * len(rows), FEWEST_LINES) + 3.6
    return below_legend(data, draw, lambda: legend, lines=lines)

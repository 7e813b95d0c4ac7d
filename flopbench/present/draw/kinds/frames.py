"""Film strips: rows of frames, each as large as the input that its action chose."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.units import Scale
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.style import FAINT, INK, SMALLEST_PT, Style, chosen_style
from flopbench.present.draw.text import drawn_width_in, fitting_line, plain_text
from flopbench.present.figures.frames.figure import Frames
from flopbench.present.figures.frames.media import Picture
from flopbench.present.figures.frames.rows import PROCESSED, Decision, Film, amount, unit_of

SMALLEST_CELL = 3.6
"""Minimum width of a cell, in sizes of small text: ``skip 4`` fits below it."""
LARGEST_CELL_IN = 0.8
FILLED = 0.94
"""Share of a cell's side for the largest input."""
BOX = 0.62
"""Height of a box without a frame, as a share of a cell's side."""
LINE = 1.1
"""Height of the label below a line of cells, in lines of text."""
BETWEEN = 0.9
"""Lines of text between two rows."""
PAD_IN = 0.06
"""What constrained layout leaves free, left and right together."""
PALE = 0.45
"""Contrast of a frame where it is unknown whether it was processed."""
PLACEHOLDER, GREY, PALE_INK = "#E4E4E4", "#777777", "#555555"
HATCH = "////"
SHRINK = 0.95
TOLERANCE_IN = 0.01


class Layout(Struct, frozen=True, kw_only=True):
    """The dimensions that all rows share.

    Attributes:
        per_line: cells of a full line.
        full_px: side of an input that fills its cell; None where the log gives no sizes.
    """

    width_in: float
    per_line: int
    cell_in: float
    text_in: float
    text_pt: float
    full_px: int | None

    @property
    def line_in(self) -> float:
        """Height of one line of cells with its labels."""
        return self.cell_in + LINE * self.text_in

    def stream_in(self, film: Film) -> float:
        """Return the height of the cells of one stream of a row."""
        return -(-film.drawn // self.per_line) * self.line_in

    def film_in(self, film: Film) -> float:
        """Return the height of one row, the text above it included."""
        texts = 1 + bool(heading_of(film)) + sum(map(bool, film.streams))
        return texts * self.text_in + len(film.streams) * self.stream_in(film)

    def height_in(self, frames: Frames) -> float:
        """Return the height of the whole drawing."""
        rows = sum(self.film_in(film) + BETWEEN * self.text_in for film in frames.films)
        return rows + len(self.notes(frames)) * self.text_in + 0.02

    def notes(self, frames: Frames) -> list[str]:
        """Return the lines below the rows: the scale, what hatches mean, the unit."""
        notes = []
        if self.full_px is not None:
            notes.append(f"side of a frame = side of its input; full: {self.full_px} px")
        if any(film.missing for film in frames.films):
            notes.append("hatched: no image")
        unit = unit_of(frames.films).prefix
        notes.append(f"{unit}FLOPS = {unit}MACs")
        one = "; ".join(notes)
        fits = drawn_width_in(one, self.text_pt) <= self.width_in
        return [one] if fits else [notes[0], "; ".join(notes[1:])]

    def places(self, decision: Decision) -> list[tuple[int, int, int]]:
        """Cut the steps of a decision where lines end: (line, first column, columns)."""
        found, step = [], decision.start
        while step < decision.end:
            line, column = divmod(step, self.per_line)
            columns = min(decision.end - step, self.per_line - column)
            found.append((line, column, columns))
            step += columns
        return found


def layout_of(frames: Frames, style: Style, width_in: float) -> Layout:
    """Return the layout of a drawing of this width.

    Lines hold as many cells of the smallest size as fit, then are evened out.
    """
    most = max(1, int(width_in / (SMALLEST_CELL * style.small_pt / 72)))
    longest = max(film.drawn for film in frames.films)
    per_line = -(-longest // -(-longest // most))
    return Layout(
        width_in=width_in,
        per_line=per_line,
        cell_in=min(width_in / per_line, LARGEST_CELL_IN),
        text_in=style.inches(1),
        text_pt=style.small_pt,
        full_px=frames.full_px,
    )


def frames_drawing(frames: Frames) -> Drawing:
    """Return film strips, ready to be drawn."""

    def height_in(style: Style) -> float:
        return layout_of(frames, style, style.width_in - PAD_IN).height_in(frames) + PAD_IN

    return Drawing(data=frames, draw=lambda ax: _draw(frames, ax), height_in=height_in)


def _draw(frames: Frames, ax: Axes) -> None:
    """Draw the rows from top to bottom, in inches; all smaller where the axes are too low."""
    style = chosen_style(ax)
    width, height = _room_in(ax)
    layout = layout_of(frames, style, width)
    while layout.height_in(frames) > height + TOLERANCE_IN and style.text_pt > SMALLEST_PT:
        style = replace(style, text_pt=SHRINK * style.text_pt)
        layout = layout_of(frames, style, width)
    ax.set_axis_off()
    ax.set_autoscale_on(False)
    ax.set_xlim(0, layout.width_in)
    ax.set_ylim(layout.height_in(frames), 0)
    ax.set_aspect("equal", adjustable="box", anchor="NW")
    top = 0.0
    for film in frames.films:
        _draw_film(film, ax, layout, top, unit_of(frames.films))
        top += layout.film_in(film) + BETWEEN * layout.text_in
    for n, note in enumerate(layout.notes(frames)):
        _write(ax, layout, 0, top + n * layout.text_in, note, color=PALE_INK, ha="left")


def _room_in(ax: Axes) -> tuple[float, float]:
    """Return the width and height of axes, inches."""
    figure: Any = ax.get_figure(root=True)
    width, height = figure.get_size_inches()
    spec = ax.get_subplotspec()
    if spec is None or figure.get_layout_engine() is None:
        place = ax.get_position()
        return float(width * place.width), float(height * place.height)
    # Before the layout has run: they will fill their part of the grid.
    grid = spec.get_gridspec()
    wide, high = len(spec.colspan) / grid.ncols, len(spec.rowspan) / grid.nrows
    return float(width * wide - PAD_IN), float(height * high - PAD_IN)


def _write(ax: Axes, layout: Layout, x: float, y: float, text: str, **options: Any) -> None:
    options = {"ha": "center", "va": "top", "color": INK, "fontsize": layout.text_pt, **options}
    # Positions are fixed: text must not move the axes.
    ax.text(x, y, plain_text(text), **options).set_in_layout(False)


def heading_of(film: Film) -> list[tuple[str, str]]:
    """Return the parts of the second line above a row, each a word and a name."""
    parts: list[tuple[str, str]] = []
    if film.prediction and film.label:
        parts.append(("✓ right:" if film.right else "✗ wrong:", film.prediction))
        if film.label != film.prediction:
            parts.append(("label:", film.label))
    elif film.label:
        parts += [("label:", film.label), ("no prediction", "")]
    elif film.prediction:
        parts += [("predicted:", film.prediction), ("no label", "")]
    if film.exit:
        parts.append(("exit:", film.exit))
    if film.drawn < film.steps:
        parts.append((f"first {film.drawn} of {film.steps:,} steps", ""))
    return parts


def _draw_film(film: Film, ax: Axes, layout: Layout, top: float, unit: Scale) -> None:
    """Draw one row: two lines of text, then each stream."""
    cost = f"{amount(film.gflops_per_video, unit)} {unit.prefix}FLOPS"
    if film.group_gflops is not None:
        cost += f" (group's median {amount(film.group_gflops, unit)})"
    _write(ax, layout, layout.width_in, top, cost, ha="right")
    view = "" if film.view is None else f", view {film.view}"
    name = f"{film.group}: {film.id}{view}" if film.group else f"{film.id}{view}"

    def line(parts: list[tuple[str, str]], taken_in: float = 0.0, **font: Any) -> None:
        nonlocal top
        said = fitting_line(parts, layout.width_in - taken_in, layout.text_pt, **font)
        _write(ax, layout, 0, top, said, ha="left", **font)
        top += layout.text_in

    line([("", name)], drawn_width_in(cost, layout.text_pt) + layout.text_in, weight="bold")
    if heading_of(film):
        line(heading_of(film))
    for stream, decisions in film.streams.items():
        if stream:
            line([("", stream)], style="italic")
        for decision in decisions:
            _draw_decision(decision, ax, layout, top)
            _draw_labels(decision, ax, layout, top)
        top += layout.stream_in(film)


def _draw_decision(decision: Decision, ax: Axes, layout: Layout, top: float) -> None:
    cell = layout.cell_in
    places = layout.places(decision)
    pictures = iter(decision.pictures)
    for n, (line, column, columns) in enumerate(places):
        left, middle = column * cell, top + line * layout.line_in + cell / 2
        if decision.kind in PROCESSED:
            for offset in range(columns):
                at = (left + (offset + 0.5) * cell, middle)
                _draw_picture(next(pictures), decision, ax, layout, at)
        else:
            ends = n == len(places) - 1 and not decision.cut
            _draw_box(decision, ax, cell, (left, middle), columns, starts=n == 0, ends=ends)


def _draw_labels(decision: Decision, ax: Axes, layout: Layout, top: float) -> None:
    """Write a decision's label below it; in brackets where it continues from the line before."""
    if not decision.label:
        return
    cell = layout.cell_in
    places = layout.places(decision)
    labels = [decision.label if n == 0 else f"({decision.label})" for n in range(len(places))]
    rooms = [FILLED * columns * cell for _, _, columns in places]
    fitted = [
        fitting_line([("", label)], room, layout.text_pt)
        for label, room in zip(labels, rooms, strict=True)
    ]
    # Where a label is complete in one line, the others are omitted.
    whole = [short == label for short, label in zip(fitted, labels, strict=True)]
    for n, (line, column, columns) in enumerate(places):
        if whole[n] or not any(whole):
            x, y = (column + columns / 2) * cell, top + line * layout.line_in + cell
            _write(ax, layout, x, y, fitted[n])


def _draw_picture(
    picture: Picture, decision: Decision, ax: Axes, layout: Layout, at: tuple[float, float]
) -> None:
    """Draw one frame, or its placeholder, at the centre of its cell."""
    height, width = _shown_in(picture, decision, layout)
    left, top = at[0] - width / 2, at[1] - height / 2
    empty = picture.pixels is None
    if not empty:
        pixels = picture.pixels
        if decision.kind == "unknown":
            pixels = (255 - PALE * (255 - pixels.astype(np.float32))).astype(np.uint8)
        # "none" keeps every pixel in PDF and SVG, and takes the nearest pixel in PNG.
        image = AxesImage(
            ax, interpolation="none", origin="upper", extent=(left, left + width, top + height, top)
        )
        image.set_data(pixels)
        image.set_clip_path(ax.patch)
        ax.add_image(image)
    ax.add_patch(
        Rectangle(
            (left, top),
            width,
            height,
            facecolor=PLACEHOLDER if empty else "none",
            edgecolor=GREY if empty else INK,
            hatch=HATCH if empty else None,
            linewidth=1.6 if decision.kind == "exit" else 0.5,
        )
    )


def _shown_in(picture: Picture, decision: Decision, layout: Layout) -> tuple[float, float]:
    """Return the height and width of a frame in the drawing, inches."""
    side = FILLED * layout.cell_in
    if decision.size is not None and layout.full_px is not None:
        return side * decision.size[0] / layout.full_px, side * decision.size[1] / layout.full_px
    if picture.pixels is None:
        return side, side
    height, width = picture.pixels.shape[:2]
    return side * height / max(height, width), side * width / max(height, width)


def _draw_box(
    decision: Decision,
    ax: Axes,
    cell: float,
    at: tuple[float, float],
    columns: int,
    *,
    starts: bool,
    ends: bool,
) -> None:
    """Draw the box of steps without a frame; it is open on a side where the decision continues."""
    gap = (1 - FILLED) / 2 * cell
    left, right = at[0] + gap * starts, at[0] + columns * cell - gap * ends
    high, low = at[1] - BOX * cell / 2, at[1] + BOX * cell / 2
    if decision.kind == "unreached":
        size = right - left, low - high
        ax.add_patch(Rectangle((left, high), *size, facecolor=PLACEHOLDER, edgecolor=FAINT))
        return
    corners = [(left, low), (left, high), (right, high), (right, low), (left, low)]
    codes = [Path.MOVETO, Path.LINETO if starts else Path.MOVETO, Path.LINETO]
    codes += [Path.LINETO if ends else Path.MOVETO, Path.LINETO]
    reuse = decision.kind == "reuse"
    ax.add_patch(
        PathPatch(
            Path(corners, codes),
            fill=False,
            edgecolor=INK,
            linewidth=0.7,
            linestyle=(0, (1, 1.2)) if reuse else (0, (4, 2)),
        )
    )
    ax.add_line(
        Line2D(
            [at[0] + (n + 0.5) * cell for n in range(columns)],
            [at[1]] * columns,
            linestyle="none",
            marker="$=$" if reuse else "x",
            markersize=4,
            markeredgewidth=0.6,
            color=GREY,
        )
    )

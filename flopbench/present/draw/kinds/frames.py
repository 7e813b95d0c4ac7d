"""Film strips: rows of frames, each as large as the input that its action chose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.strip_layout import (
    BETWEEN,
    PAD_IN,
    Ruler,
    StripLayout,
    heading_of,
    strip_layout_of,
)
from flopbench.present.draw.style import FAINT, INK, SMALLEST_PT, Style, chosen_style
from flopbench.present.draw.text import plain_text
from flopbench.present.figures.frames.figure import Frames
from flopbench.present.figures.frames.films import Film, Strip
from flopbench.present.figures.frames.images import FrameImage
from flopbench.present.figures.frames.steps import PROCESSED, Decision

FILLED = 0.94
"""Share of a cell's side for the largest input."""
BOX = 0.62
"""Height of a box without a frame, as a share of a cell's side."""
PALE = 0.45
"""Contrast of a frame where it is unknown whether it was processed."""
PLACEHOLDER = "#E4E4E4"
SHRINK = 0.95
TOLERANCE_IN = 0.01
HATCH = "////"


def frames_drawing(frames: Frames) -> Drawing:
    """Return film strips, ready to be drawn."""
    return Drawing(
        data=frames,
        draw=lambda ax: draw_frames(frames, ax),
        height_in=lambda style: frames_height_in(frames, style),
    )


def frames_height_in(frames: Frames, style: Style) -> float:
    """Return the height that all rows need, inches."""
    return strip_layout_of(frames, style, style.width_in - PAD_IN).height_in(frames) + PAD_IN


def draw_frames(frames: Frames, ax: Axes) -> None:
    """Draw the rows from top to bottom, in inches; the axes have no ticks.

    Where the caller's axes are not high enough for the rows, everything is drawn smaller.
    """
    style = chosen_style(ax)
    width, height = _room_in(ax)
    layout = strip_layout_of(frames, style, width)
    while layout.height_in(frames) > height + TOLERANCE_IN and style.text_pt > SMALLEST_PT:
        style = replace(style, text_pt=SHRINK * style.text_pt)
        layout = strip_layout_of(frames, style, width)
    ax.set_axis_off()
    ax.set_autoscale_on(False)
    ax.set_xlim(0, layout.width_in)
    ax.set_ylim(layout.height_in(frames), 0)
    ax.set_aspect("equal", adjustable="box", anchor="NW")
    top = 0.0
    for film in frames.films:
        _draw_film(film, frames.full_px, ax, layout, top)
        top += layout.film_in(film) + BETWEEN * layout.text_in
    for n, note in enumerate(layout.notes(frames)):
        _write(ax, layout, 0, top + n * layout.text_in, note, color="#555555", ha="left")


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


def _write(ax: Axes, layout: StripLayout, x: float, y: float, text: str, **options: Any) -> None:
    options = {"ha": "center", "va": "top", "color": INK, "fontsize": layout.text_pt, **options}
    # Positions are fixed: text must not move the axes.
    ax.text(x, y, plain_text(text), **options).set_in_layout(False)


def _draw_film(film: Film, full_px: int | None, ax: Axes, layout: StripLayout, top: float) -> None:
    ruler = Ruler(layout.text_pt)
    cost = f"{_gflops(film.gflops_per_video)} GFLOPS (= GMACs)"
    _write(ax, layout, layout.width_in, top, cost, ha="right")
    view = "" if film.view is None else f", view {film.view}"
    name = f"{film.group}: {film.id}{view}" if film.group else f"{film.id}{view}"
    room = layout.width_in - ruler.width_in(cost) - layout.text_in
    _write(ax, layout, 0, top, ruler.fitted(name, room, weight="bold"), ha="left", weight="bold")
    top += layout.text_in
    if heading_of(film):
        said = ruler.line_of(heading_of(film), layout.width_in)
        _write(ax, layout, 0, top, said, ha="left")
        top += layout.text_in
    for strip in film.strips:
        if strip.stream:
            stream = ruler.fitted(strip.stream, layout.width_in, style="italic")
            _write(ax, layout, 0, top, stream, ha="left", style="italic")
            top += layout.text_in
        for decision in strip.decisions:
            _draw_decision(decision, strip, full_px, ax, layout, top)
            _draw_labels(decision, ax, layout, top, ruler)
        top += layout.lines(film) * layout.line_in()


def _gflops(cost: float) -> str:
    return f"{cost:,.2f}" if cost >= 1 or cost == 0 else f"{cost:.3g}"


def _draw_decision(
    decision: Decision, strip: Strip, full_px: int | None, ax: Axes, layout: StripLayout, top: float
) -> None:
    cell = layout.cell_in
    places = layout.places(decision.start, decision.steps)
    step = decision.start
    for n, (line, column, columns) in enumerate(places):
        left, middle = column * cell, top + line * layout.line_in() + cell / 2
        if decision.kind in PROCESSED:
            for offset in range(columns):
                at = (left + (offset + 0.5) * cell, middle)
                _draw_picture(strip.pictures[step + offset], decision, full_px, ax, cell, at)
            step += columns
        else:
            ends = n == len(places) - 1 and not decision.cut
            _draw_box(decision, ax, cell, (left, middle), columns, starts=n == 0, ends=ends)


def _draw_labels(
    decision: Decision, ax: Axes, layout: StripLayout, top: float, ruler: Ruler
) -> None:
    """Write a decision's label below it; in brackets where it continues from the line before."""
    if not decision.label:
        return
    cell = layout.cell_in
    places = layout.places(decision.start, decision.steps)
    labels = [decision.label if n == 0 else f"({decision.label})" for n in range(len(places))]
    rooms = [FILLED * columns * cell for _, _, columns in places]
    # Where a label is complete in one line, the others are omitted.
    whole = [ruler.fits(label, room) for label, room in zip(labels, rooms, strict=True)]
    for n, (line, column, columns) in enumerate(places):
        if any(whole) and not whole[n]:
            continue
        x, y = (column + columns / 2) * cell, top + line * layout.line_in() + cell
        _write(ax, layout, x, y, ruler.fitted(labels[n], rooms[n]))


def _draw_picture(
    picture: FrameImage,
    decision: Decision,
    full_px: int | None,
    ax: Axes,
    cell: float,
    at: tuple[float, float],
) -> None:
    """Draw one frame, or its placeholder, at the centre of its cell."""
    height, width = _shown(picture, decision, full_px, cell)
    left, top = at[0] - width / 2, at[1] - height / 2
    if picture.pixels is not None:
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
    empty = picture.pixels is None
    ax.add_patch(
        Rectangle(
            (left, top),
            width,
            height,
            facecolor=PLACEHOLDER if empty else "none",
            edgecolor="#777777" if empty else INK,
            hatch=HATCH if empty else None,
            linewidth=1.6 if decision.kind == "exit" else 0.5,
        )
    )


def _shown(
    picture: FrameImage, decision: Decision, full_px: int | None, cell: float
) -> tuple[float, float]:
    """Return the height and width of a frame in the drawing, inches."""
    side = FILLED * cell
    if decision.size is not None and full_px is not None:
        return side * decision.size[0] / full_px, side * decision.size[1] / full_px
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
    marks = [at[0] + (n + 0.5) * cell for n in range(columns)]
    if decision.kind == "unreached":
        ax.add_patch(
            Rectangle(
                (left, high), right - left, low - high, facecolor=PLACEHOLDER, edgecolor=FAINT
            )
        )
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
            marks,
            [at[1]] * columns,
            linestyle="none",
            marker="$=$" if reuse else "x",
            markersize=4,
            markeredgewidth=0.6,
            color="#777777",
        )
    )

"""Figures for papers, from files or records; nothing here ever measures.

Every kind is a function that takes what it draws and ``ax``, and returns the axes. Without ``ax``
it draws on a new figure in the style of ``paper``; matplotlib is imported when the first one is
called, and its settings are as before afterwards.

Lives here: the public functions. Does not live here: what a figure shows (``figures``), how it is
drawn (the modules beside).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flopbench.figures.logs import Log
    from flopbench.figures.usage import Of
    from flopbench.plots.style import Style
    from flopbench.runs import Choices


@contextmanager
def paper(width: str | float = "column", **options: Any) -> Iterator[Style]:
    """Draw and save in the style of a paper; see ``style.paper`` for the options.

    Args:
        width: ``column``, ``page``, or inches.
        **options: ``venue``, ``font``, ``text_pt``.

    Raises:
        InputError: an unknown venue, width or font.
    """
    from flopbench.plots.style import paper as in_paper

    with in_paper(width, **options) as style:
        yield style


def save(target: Axes | Figure, path: str | Path) -> tuple[str, ...]:
    """Write a figure as PDF, SVG or PNG: the same figure gives the same bytes.

    Args:
        target: axes that a function of this module returned, or their figure.
        path: the suffix says which format.

    Returns:
        Warnings: letters that no installed font has.

    Raises:
        InputError: an unknown suffix, or a path that cannot be written.
    """
    from flopbench.plots.drawing import save as save_figure

    return save_figure(target, path)


def usage(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    of: Of = "frames",
    group_below: float | None = None,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Axes:
    """Draw how often each action was chosen (AR-Net's Figure 1a).

    Args:
        log: a policy log's file, a ``Run`` or counts; or several, side by side.
        ax: where to draw; None makes a new figure.
        of: what the shares are shares of: ``frames`` or ``decisions``.
        group_below: draw actions whose share is below this in every run together.
        names: what to call the runs.
        choices: how to read and count.

    Returns:
        The axes: lengths of bars in percent.

    Raises:
        InputError: a file of another kind, or a log without actions.
        DataError: a defect in a log.
    """
    from flopbench.figures.usage import usage_of
    from flopbench.plots.drawing import on_axes
    from flopbench.plots.usage import usage_drawing

    found = usage_of(log, choices, of=of, group_below=group_below, names=names)
    return on_axes(usage_drawing(found), ax)

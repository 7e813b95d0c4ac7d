"""The figures of a report, drawn as ``flopbench plot`` draws them.

A figure whose data are missing (no labels, no accuracies) is left out, and the report gives the
reason in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from flopbench.core.errors import InputError, NotComparableError, Remark
from flopbench.core.grid import to_csv
from flopbench.present.figures.inputs.files import called
from flopbench.present.kind import load_kind
from flopbench.present.report.material import USER
from flopbench.present.report.records import Part, ReportFigure

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing

_Item = TypeVar("_Item")


def figure(kind: str, *data: Any, **options: Any) -> Callable[[], Drawing]:
    """Return what reads the data of one kind of ``flopbench plot`` and makes its drawing."""
    return lambda: load_kind(kind).drawing(*data, **options)


def draw(figures: Mapping[str, Callable[[], Drawing]], suffix: str = "", subject: str = "") -> Part:
    """Draw figures at page width, and at column width for small screens.

    Args:
        figures: kind -> what makes the drawing; raises InputError where there is nothing to draw.
        suffix: ends the names of their files (``-2``).
        subject: what they show, where they show a single thing.

    Returns:
        The figures, the reasons for those left out, and warnings.
    """
    from flopbench.present.draw.drawing import bytes_of
    from flopbench.present.draw.style import paper_style

    found, left_out = [], []
    warnings: list[Remark] = []
    letters: list[str] = []
    for kind, make in figures.items():
        try:
            with called(USER):
                drawing = make()
            with paper_style("page"):
                svg, missing = bytes_of(drawing, "svg")
                pdf, _ = bytes_of(drawing, "pdf")
            with paper_style("column"):
                narrow, _ = bytes_of(drawing, "svg")
        except (InputError, NotComparableError) as error:
            left_out.append(f"{kind}: {error.message.removeprefix(f'{USER}: ')}")
            continue
        caption, table = drawing.data.caption, drawing.data.table
        found.append(
            ReportFigure(
                name=f"{kind}{suffix}",
                caption=caption,
                svg=svg,
                narrow=narrow,
                pdf=pdf,
                csv=to_csv(table.header, table.rows),
            )
        )
        warnings += [one.of(subject) if subject else one for one in caption.warnings]
        letters += missing
    return Part(
        figures=found,
        lists={"Figures left out": left_out} if left_out else {},
        warnings=[*warnings, *map(Remark, letters)],
    )


def figure_groups(runs: Sequence[_Item]) -> list[Sequence[_Item]]:
    """Split logs into groups of about equal size, each small enough for one figure."""
    from flopbench.present.figures.usage import MOST_RUNS

    count = -(-len(runs) // MOST_RUNS)
    ends = [len(runs) * n // count for n in range(count + 1)]
    return [runs[low:high] for low, high in pairwise(ends)]

"""The figures of a report: which ones a set of files gives, and how each is drawn.

A figure whose data are missing (no labels, no accuracies) is left out, and the report gives the
reason in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flopbench.core.errors import InputError, NotComparableError, Remark
from flopbench.core.grid import to_csv
from flopbench.present.figures.inputs.files import called
from flopbench.present.figures.inputs.logs import NamedRun
from flopbench.present.report.material import USER
from flopbench.present.report.records import ReportFigure

if TYPE_CHECKING:
    from flopbench.counting.run import Explanation
    from flopbench.estimate.runs import Choices
    from flopbench.present.draw.drawing import Drawing
    from flopbench.replay.records import Replay
    from flopbench.timing.file import TimingFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A figure that may be drawn.

    Attributes:
        kind: as ``flopbench plot`` has it.
        make: reads the data; raises InputError where there is nothing to draw.
    """

    kind: str
    make: Callable[[], Drawing]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFigures:
    """The results of drawing sketches.

    Attributes:
        figures: those that could be drawn.
        left_out: the others, each with a reason.
        warnings: from the data.
        missing: warnings from drawing: letters that no font has.
    """

    figures: tuple[ReportFigure, ...]
    left_out: tuple[str, ...]
    warnings: tuple[Remark, ...]
    missing: tuple[str, ...]


def draw(sketches: Iterable[Sketch], suffix: str = "") -> DrawnFigures:
    """Draw figures at page width, and at column width for small screens.

    Args:
        sketches: what to draw.
        suffix: ends the names of their files (``-2``).
    """
    from flopbench.present.draw.drawing import bytes_of
    from flopbench.present.draw.style import paper_style

    figures, left_out = [], []
    warnings: list[Remark] = []
    missing: list[str] = []
    for sketch in sketches:
        try:
            with called(USER):
                drawing = sketch.make()
            with paper_style("page"):
                svg, letters = bytes_of(drawing, "svg")
                pdf, _ = bytes_of(drawing, "pdf")
            with paper_style("column"):
                narrow, _ = bytes_of(drawing, "svg")
        except (InputError, NotComparableError) as error:
            left_out.append(f"{sketch.kind}: {error.message.removeprefix(f'{USER}: ')}")
            continue
        caption, table = drawing.data.caption, drawing.data.table
        figures.append(
            ReportFigure(
                name=f"{sketch.kind}{suffix}",
                caption=caption,
                svg=svg,
                narrow=narrow,
                pdf=pdf,
                csv=to_csv(table.header, table.rows),
            )
        )
        warnings += caption.warnings
        missing += letters
    return DrawnFigures(
        figures=tuple(figures),
        left_out=tuple(left_out),
        warnings=tuple(dict.fromkeys(warnings)),
        missing=tuple(dict.fromkeys(missing)),
    )


def figure_groups(runs: Sequence[NamedRun]) -> list[Sequence[NamedRun]]:
    """Split logs into groups of about equal size, each small enough for one figure."""
    from flopbench.present.figures.usage import MOST_RUNS

    count = -(-len(runs) // MOST_RUNS)
    ends = [len(runs) * n // count for n in range(count + 1)]
    return [runs[low:high] for low, high in pairwise(ends)]


def of_runs(runs: Sequence[NamedRun], choices: Choices) -> list[Sketch]:
    """Return the figures of logs side by side."""
    own, names = [one.run for one in runs], [one.name for one in runs]

    def usage() -> Drawing:
        from flopbench.present.figures.usage import usage

        return usage.drawing(own, choices=choices, names=names)

    def cost() -> Drawing:
        from flopbench.present.figures.cost import cost

        return cost.drawing(own, choices=choices, names=names)

    return [Sketch(kind="usage", make=usage), Sketch(kind="cost", make=cost)]


def of_run(one: NamedRun, choices: Choices) -> list[Sketch]:
    """Return the figures of a single log."""

    def classes() -> Drawing:
        from flopbench.present.figures.classes import classes

        return classes.drawing(one.run, choices=choices, name=one.name)

    return [Sketch(kind="classes", make=classes)]


def of_comparison(runs: Sequence[NamedRun], choices: Choices) -> list[Sketch]:
    """Return the figures that compare logs."""
    own, names = [one.run for one in runs], [one.name for one in runs]

    def tradeoff() -> Drawing:
        from flopbench.present.figures.tradeoff import tradeoff

        return tradeoff.drawing(own, choices=choices, names=names)

    return [Sketch(kind="tradeoff", make=tradeoff)]


def of_timings(file: TimingFile) -> list[Sketch]:
    """Return the figures of one timing file."""

    def theory() -> Drawing:
        from flopbench.present.figures.theory import theory

        return theory.drawing(file)

    def roofline() -> Drawing:
        from flopbench.present.figures.roofline import roofline

        return roofline.drawing(file)

    return [Sketch(kind="theory", make=theory), Sketch(kind="roofline", make=roofline)]


def of_replay(replay: Replay) -> list[Sketch]:
    """Return the figures of one replay."""

    def waterfall() -> Drawing:
        from flopbench.present.figures.waterfall import waterfall

        return waterfall.drawing(replay)

    return [Sketch(kind="waterfall", make=waterfall)]


def of_profiles(explanation: Explanation) -> list[Sketch]:
    """Return the figures of one model under several counters."""

    def layers() -> Drawing:
        from flopbench.present.figures.layers import layers

        return layers.drawing(explanation)

    def counters() -> Drawing:
        from flopbench.present.figures.counters import counters

        return counters.drawing(explanation)

    return [Sketch(kind="layers", make=layers), Sketch(kind="counters", make=counters)]

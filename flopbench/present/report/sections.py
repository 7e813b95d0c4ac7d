"""The sections of a report.

The tables are those that the verbs print; a section exists if some file has content for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flopbench.core.errors import NotComparableError, Remark
from flopbench.core.grid import Grid
from flopbench.counting.explain_text import (
    counter_grid,
    gap_lines,
    module_grid,
    note_lines,
    operator_grid,
    verdict_lines,
)
from flopbench.counting.table_grid import cost_table_grid
from flopbench.counting.table_text import cost_table_csv
from flopbench.estimate.as_json import estimate_csv
from flopbench.estimate.compare import Comparison, compare
from flopbench.estimate.comparison_text import (
    comparison_csv,
    comparison_warnings,
    differences_grid,
    methods_grid,
)
from flopbench.estimate.text import estimate_grids, with_warnings
from flopbench.present.report import figures as drawing
from flopbench.present.report.material import Material
from flopbench.present.report.records import Listing, ReportPart, Section, Table
from flopbench.replay.figures import figures_of, warnings_of
from flopbench.replay.text import LABELS, replay_csv, replay_grids
from flopbench.timing.as_json import timings_csv
from flopbench.timing.text import timing_grids

if TYPE_CHECKING:
    from flopbench.counting.run import Explanation
    from flopbench.estimate.runs import Choices
    from flopbench.present.figures.inputs.logs import NamedRun
    from flopbench.replay.records import Replay
    from flopbench.timing.file import TimingFile

DEPTH = 2
"""Levels of the module tree that are shown, as in ``flopbench explain``."""


@dataclass(slots=True)
class ReportWarnings:
    """Warnings collected while building, for stderr."""

    warnings: list[Remark] = field(default_factory=list)

    def keep(self, drawn: drawing.DrawnFigures, name: str = "") -> drawing.DrawnFigures:
        """Keep the warnings of figures that are new; return the figures.

        Args:
            drawn: the figures.
            name: of what they show, where they show a single thing.
        """
        for remark in drawn.warnings:
            own = remark.of(name) if name else remark
            # Figures of several runs repeat without a name what was reported for one of them.
            if not any(str(own) in (str(one), one.text) for one in self.warnings):
                self.warnings.append(own)
        self.warnings += [one for one in map(Remark, drawn.missing) if one not in self.warnings]
        return drawn


def compared(material: Material) -> tuple[Comparison | None, str]:
    """Return the comparison of all logs, or None and the reason (empty for fewer than two logs).

    Raises:
        InputError: the logs cannot be read as runs of one metric.
    """
    if len(material.runs) < 2:
        return None, ""
    try:
        runs, names = [one.run for one in material.runs], [one.name for one in material.runs]
        return compare(runs, material.choices, names=names), ""
    except NotComparableError as error:
        return None, error.message


def sections_of(
    material: Material, comparison: Comparison | None, why_none: str
) -> tuple[tuple[Section, ...], tuple[str, ...]]:
    """Return the sections in order, and warnings."""
    warned = ReportWarnings()
    found = [
        Section(anchor="costs", title="Offline cost", parts=tuple(_costs(material))),
        Section(
            anchor="explanations",
            title="Where the MACs are",
            parts=tuple(_explanations(material, warned)),
        ),
        Section(
            anchor="estimates",
            title="What the policies cost",
            parts=tuple(_estimates(material, warned)),
        ),
        Section(
            anchor="comparison",
            title="Method against method",
            parts=tuple(_comparison(material, comparison, why_none, warned)),
        ),
        Section(
            anchor="latency",
            title="Latency against theory",
            parts=tuple(_latency(material, warned)),
        ),
        Section(
            anchor="replay",
            title="From theoretical to measured speed-up",
            parts=tuple(_replays(material, warned)),
        ),
    ]
    return tuple(section for section in found if section.parts), tuple(map(str, warned.warnings))


def _number(index: int, of: int) -> str:
    """Return a suffix that distinguishes several files (``-2``), empty for the only one."""
    return f"-{index}" if of > 1 else ""


def _costs(material: Material) -> Iterator[ReportPart]:
    for n, (name, table) in enumerate(material.tables, 1):
        own = f"costs{_number(n, len(material.tables))}"
        one = Table(
            name=own,
            grid=cost_table_grid(table.rows, table.environment),
            unrounded=cost_table_csv(table),
        )
        yield ReportPart(title=name, tables=(one,))


def _explanations(material: Material, warned: ReportWarnings) -> Iterator[ReportPart]:
    for n, (_, explanation) in enumerate(material.profiles, 1):
        yield _explanation(explanation, _number(n, len(material.profiles)), warned)


def _explanation(explanation: Explanation, suffix: str, warned: ReportWarnings) -> ReportPart:
    profile = explanation.reference
    title = f"{profile.model} at {profile.input}"
    drawn = warned.keep(drawing.draw(drawing.of_profiles(explanation), suffix), title)
    grids = {
        "modules": module_grid(profile, DEPTH),
        "operators": operator_grid(profile),
        "counters": counter_grid(explanation),
    }
    lists = {
        "Verdicts": verdict_lines(explanation),
        "Not counted": gap_lines(explanation.profiles),
        "Notes": note_lines(explanation.profiles),
        "Published": list(explanation.published),
    }
    return ReportPart(
        title=title,
        tables=tuple(
            Table(name=f"explain{suffix}-{word}", grid=grid) for word, grid in grids.items()
        ),
        figures=drawn.figures,
        left_out=drawn.left_out,
        lists=tuple(Listing(title=t, items=tuple(lines)) for t, lines in lists.items() if lines),
    )


def _estimates(material: Material, warned: ReportWarnings) -> Iterator[ReportPart]:
    runs = material.runs
    if not runs:
        return
    for n, one in enumerate(runs, 1):
        yield _estimate(one, material.choices, _number(n, len(runs)), warned)
    groups = drawing.figure_groups(runs)
    found = [
        warned.keep(drawing.draw(drawing.of_runs(group, material.choices), _number(n, len(groups))))
        for n, group in enumerate(groups, 1)
    ]
    yield ReportPart(
        title="All runs" if len(runs) > 1 else "The run in figures",
        figures=tuple(figure for drawn in found for figure in drawn.figures),
        left_out=tuple(dict.fromkeys(text for drawn in found for text in drawn.left_out)),
    )


def _estimate(one: NamedRun, choices: Choices, suffix: str, warned: ReportWarnings) -> ReportPart:
    run = one.run
    warned.warnings += [remark.of(one.name) for remark in run.warnings]
    grids = estimate_grids(run)
    grids["estimate"] = with_warnings(grids["estimate"], run.warnings)
    drawn = warned.keep(drawing.draw(drawing.of_run(one, choices), suffix), one.name)
    return ReportPart(
        title=one.name,
        tables=tuple(
            _tables(f"estimate{suffix}", list(grids)[1:], list(grids.values()), estimate_csv(run))
        ),
        figures=drawn.figures,
        left_out=drawn.left_out,
    )


def _comparison(
    material: Material, comparison: Comparison | None, why_none: str, warned: ReportWarnings
) -> Iterator[ReportPart]:
    if why_none:
        warned.warnings.append(Remark(f"the logs are not compared: {why_none}"))
        yield ReportPart(lines=(f"The logs cannot be compared: {why_none}.",))
        return
    if comparison is None:
        return
    drawn = warned.keep(drawing.draw(drawing.of_comparison(material.runs, material.choices)))
    approaches = with_warnings(methods_grid(comparison), comparison_warnings(comparison))
    yield ReportPart(
        tables=(
            Table(name="comparison", grid=approaches, unrounded=comparison_csv(comparison)),
            Table(name="differences", grid=differences_grid(comparison)),
        ),
        figures=drawn.figures,
        left_out=drawn.left_out,
    )


def _latency(material: Material, warned: ReportWarnings) -> Iterator[ReportPart]:
    for n, (name, file) in enumerate(material.timings, 1):
        yield _timing(name, file, _number(n, len(material.timings)), warned)


def _timing(name: str, file: TimingFile, suffix: str, warned: ReportWarnings) -> ReportPart:
    drawn = warned.keep(drawing.draw(drawing.of_timings(file), suffix), name)
    grids = timing_grids(file)
    words = [str(n) for n in range(2, len(grids) + 1)]
    return ReportPart(
        title=name,
        tables=tuple(_tables(f"latency{suffix}", words, grids, timings_csv(file))),
        figures=drawn.figures,
        left_out=drawn.left_out,
    )


def _replays(material: Material, warned: ReportWarnings) -> Iterator[ReportPart]:
    for n, (_, replay) in enumerate(material.replays, 1):
        yield _replay(replay, _number(n, len(material.replays)), warned)


def _replay(replay: Replay, suffix: str, warned: ReportWarnings) -> ReportPart:
    figures = {mode: figures_of(replay, mode) for mode in replay.modes}
    warnings = warnings_of(replay, figures)
    warned.warnings += [Remark(text, replay.method) for text in warnings]
    grids = replay_grids(replay, figures)
    grids[-1] = with_warnings(grids[-1], warnings)
    unrounded = replay_csv([replay], [figures])
    drawn = warned.keep(drawing.draw(drawing.of_replay(replay), suffix), replay.method)
    on = f" on {replay.dataset}" if replay.dataset else ""
    return ReportPart(
        title=f"{replay.method}{on}",
        tables=tuple(_tables(f"replay{suffix}", LABELS[1:], grids, unrounded)),
        figures=drawn.figures,
        left_out=drawn.left_out,
    )


def _tables(
    name: str, words: Sequence[str], grids: Sequence[Grid], unrounded: str
) -> Iterator[Table]:
    """Yield grids as tables; the first has the plain name, and the numbers behind all of them."""
    names = [name, *(f"{name}-{word}" for word in words)]
    for n, (own, grid) in enumerate(zip(names, grids, strict=True)):
        yield Table(name=own, grid=grid, unrounded="" if n else unrounded)

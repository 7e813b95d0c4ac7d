"""The sections of a report.

The tables are those that the verbs print, the figures those that ``flopbench plot`` draws; a
section exists if some file has content for it. A figure whose data are missing (no labels, no
accuracies) is left out, and the report gives the reason in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from flopbench.core.errors import InputError, NotComparableError
from flopbench.core.grid import Grid, to_csv
from flopbench.core.remarks import Remark
from flopbench.counting.explain_text import (
    counter_grid,
    gap_lines,
    module_grid,
    note_lines,
    operator_grid,
    verdict_lines,
)
from flopbench.counting.table import CostTable
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
from flopbench.estimate.text import estimate_grids
from flopbench.present.figures.caption import MOST_LOOKS
from flopbench.present.figures.inputs.files import called
from flopbench.present.kind import load_kind
from flopbench.present.report.material import USER, Material
from flopbench.present.report.records import Part, ReportFigure, Section, Table
from flopbench.replay.figures import figures_of, warnings_of
from flopbench.replay.text import LABELS, replay_csv, replay_grids
from flopbench.timing.as_csv import timings_csv
from flopbench.timing.text import timing_grids

if TYPE_CHECKING:
    from flopbench.counting.run import Explanation
    from flopbench.estimate.runs import Choices
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import NamedRun
    from flopbench.replay.records import Replay
    from flopbench.timing.file import TimingFile

DEPTH = 2
"""Levels of the module tree that are shown, as in ``flopbench explain``."""

_Item = TypeVar("_Item")


def compared(material: Material) -> tuple[Comparison | None, str]:
    """Return the comparison of all logs, or None and the reason (empty for fewer than two logs)."""
    if len(material.runs) < 2:
        return None, ""
    try:
        runs, names = [one.run for one in material.runs], [one.name for one in material.runs]
        return compare(runs, material.choices, names=names), ""
    except NotComparableError as error:
        return None, error.message


def sections_of(
    material: Material,
    comparison: Comparison | None,
    why_none: str,
    progress: Callable[[int, str], None] | None = None,
) -> tuple[Section, ...]:
    """Return the sections in order; ``progress`` is called before each."""
    choices = material.choices
    makers: dict[tuple[str, str], Callable[[], list[Part]]] = {
        ("costs", "Offline cost"): lambda: _each(material.tables, _costs),
        ("explanations", "Where the MACs are"): lambda: _each(material.profiles, _explanation),
        ("estimates", "What the policies cost"): lambda: [
            *_each([(one.name, one) for one in material.runs], _estimate(choices)),
            *_all_runs(material.runs, choices),
        ],
        ("comparison", "Method against method"): lambda: [
            *_comparison(material, comparison, why_none)
        ],
        ("latency", "Latency against theory"): lambda: _each(material.timings, _timing),
        ("replay", "From theoretical to measured speed-up"): lambda: _each(
            material.replays, _replay
        ),
    }
    found = []
    for number, ((anchor, title), make) in enumerate(makers.items()):
        if progress is not None:
            progress(number, title)
        parts = make()
        found += [Section(anchor=anchor, title=title, parts=parts)] if parts else []
    return tuple(found)


def warnings_in(sections: Sequence[Section]) -> tuple[str, ...]:
    """Return the warnings of all parts, each once."""
    found: list[Remark] = []
    for one in (one for section in sections for part in section.parts for one in part.warnings):
        # Figures of several runs repeat without a name what was reported for one of them.
        if not any(str(one) in (str(known), known.text) for known in found):
            found.append(one)
    return tuple(map(str, found))


def _each(
    items: Sequence[tuple[str, _Item]], part: Callable[[str, _Item, str], Part]
) -> list[Part]:
    """Make a part of each file: from its name, its content and what distinguishes its tables."""
    return [
        part(name, item, f"-{n}" if len(items) > 1 else "")
        for n, (name, item) in enumerate(items, 1)
    ]


def _costs(name: str, table: CostTable, suffix: str) -> Part:
    grid = cost_table_grid(table.rows, table.environment)
    only = Table(name=f"costs{suffix}", grid=grid, unrounded=cost_table_csv(table))
    return Part(title=name, tables=[only])


def _explanation(_name: str, explanation: Explanation, suffix: str) -> Part:
    profile = explanation.reference
    title = f"{profile.model} at {profile.input}"
    kinds = {kind: figure(kind, explanation) for kind in ("layers", "counters")}
    drawn = draw(kinds, suffix, title)
    grids = {
        "modules": module_grid(profile, DEPTH),
        "operators": operator_grid(profile),
        "counters": counter_grid(explanation),
    }
    lists = {
        "Verdicts": verdict_lines(explanation),
        "Not counted": gap_lines(explanation.profiles),
        "Notes": note_lines(explanation.profiles),
        "Published": explanation.published,
    }
    shown = {heading: lines for heading, lines in lists.items() if lines}
    tables = [Table(name=f"explain{suffix}-{word}", grid=grid) for word, grid in grids.items()]
    return replace(drawn, title=title, tables=tables, lists={**shown, **drawn.lists})


def _estimate(choices: Choices) -> Callable[[str, NamedRun, str], Part]:
    def part(name: str, one: NamedRun, suffix: str) -> Part:
        run = one.run
        grids = estimate_grids(run)
        grids["estimate"] = grids["estimate"].with_warnings(run.warnings)
        drawn = draw({"classes": figure("classes", run, choices=choices, name=name)}, suffix, name)
        words = list(grids)[1:]
        tables = _tables(f"estimate{suffix}", words, list(grids.values()), estimate_csv(run))
        warnings = [*(remark.of(name) for remark in run.warnings), *drawn.warnings]
        return replace(drawn, title=name, tables=tables, warnings=warnings)

    return part


def _all_runs(runs: Sequence[NamedRun], choices: Choices) -> Iterator[Part]:
    """Yield the figures of all logs side by side."""
    if not runs:
        return
    groups = figure_groups(runs)
    found = []
    for n, group in enumerate(groups, 1):
        own, names = [one.run for one in group], [one.name for one in group]
        kinds = {
            kind: figure(kind, own, choices=choices, names=names) for kind in ("usage", "cost")
        }
        found.append(draw(kinds, f"-{n}" if len(groups) > 1 else ""))
    left_out = [text for one in found for texts in one.lists.values() for text in texts]
    yield Part(
        title="All runs" if len(runs) > 1 else "The run in figures",
        figures=[drawn for one in found for drawn in one.figures],
        lists={"Figures left out": list(dict.fromkeys(left_out))} if left_out else {},
        warnings=[warning for one in found for warning in one.warnings],
    )


def _comparison(material: Material, comparison: Comparison | None, why_none: str) -> Iterator[Part]:
    if why_none:
        remark = Remark(f"the logs are not compared: {why_none}")
        yield Part(lines=[f"The logs cannot be compared: {why_none}."], warnings=[remark])
        return
    if comparison is None:
        return
    runs, names = [one.run for one in material.runs], [one.name for one in material.runs]
    drawn = draw({"tradeoff": figure("tradeoff", runs, choices=material.choices, names=names)})
    methods = methods_grid(comparison).with_warnings(comparison_warnings(comparison))
    tables = [
        Table(name="comparison", grid=methods, unrounded=comparison_csv(comparison)),
        Table(name="differences", grid=differences_grid(comparison)),
    ]
    yield replace(drawn, tables=tables)


def _timing(name: str, file: TimingFile, suffix: str) -> Part:
    drawn = draw({kind: figure(kind, file) for kind in ("theory", "roofline")}, suffix, name)
    grids = timing_grids(file)
    words = [str(n) for n in range(2, len(grids) + 1)]
    tables = _tables(f"latency{suffix}", words, grids, timings_csv(file))
    return replace(drawn, title=name, tables=tables)


def _replay(_name: str, replay: Replay, suffix: str) -> Part:
    figures = {mode: figures_of(replay, mode) for mode in replay.modes}
    warnings = warnings_of(replay, figures)
    grids = replay_grids(replay, figures)
    grids[-1] = grids[-1].with_warnings(warnings)
    drawn = draw({"waterfall": figure("waterfall", replay)}, suffix, replay.method)
    on = f" on {replay.dataset}" if replay.dataset else ""
    tables = _tables(f"replay{suffix}", LABELS[1:], grids, replay_csv([replay], [figures]))
    own = [Remark(text, replay.method) for text in warnings]
    return replace(
        drawn, title=f"{replay.method}{on}", tables=tables, warnings=[*own, *drawn.warnings]
    )


def _tables(name: str, words: Sequence[str], grids: Sequence[Grid], unrounded: str) -> list[Table]:
    """Return grids as tables; the first has the plain name, and the numbers behind all of them."""
    names = [name, *(f"{name}-{word}" for word in words)]
    return [
        Table(name=own, grid=grid, unrounded="" if n else unrounded)
        for n, (own, grid) in enumerate(zip(names, grids, strict=True))
    ]


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
    count = -(-len(runs) // MOST_LOOKS)
    ends = [len(runs) * n // count for n in range(count + 1)]
    return [runs[low:high] for low, high in pairwise(ends)]

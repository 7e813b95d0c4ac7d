"""One page with tables, figures and how they were made, from result files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flopbench.core.workers import Progress
    from flopbench.estimate.runs import Choices
    from flopbench.present.report.records import CostReport

DEFAULT_TITLE = "Cost report"
STEPS = 8
"""Of writing a report: reading, six sections, writing."""


def write_report(
    files: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    title: str | None = None,
    choices: Choices | None = None,
    names: Sequence[str] = (),
    command: str = "",
    done: Callable[[CostReport, tuple[str, ...]], None] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a report: an HTML page, the same as Markdown, and its tables and figures as files.

    Nothing is measured. The same files, arguments and versions give the same bytes.

    Args:
        files: cost tables, policy logs (a glob names the shards of one), timing files, replays and
            profiles files, in any order.
        folder: created if missing; one with an earlier report is overwritten, any other that is not
            empty is refused. Nothing in it is ever deleted.
        title: of the page; None or blanks give "Cost report".
        choices: how logs are read and priced; if they name no table, the cost table among the files
            prices them, and what it lacks comes from the cache.
        names: what to call the runs, in the order of the logs.
        command: the command shown on the page; empty names this function.
        done: called with the report and its warnings when everything is written.
        progress: called with (done, total, what comes next) before the files are read, before each
            section, and before everything is written.

    Returns:
        The page.

    Raises:
        InputError: matplotlib or Jinja2 is not installed, no files, a file twice or of a kind that
            a report cannot use, a price that is found nowhere, a folder that cannot be written.
        DataError: a damaged file.
    """
    from flopbench.present.report import building
    from flopbench.present.report.material import read_material

    where = Path(folder)
    building.check_folder(where)
    building.require_libraries()
    given = [files] if isinstance(files, (str, Path)) else files
    tell = progress or (lambda *_: None)
    tell(0, STEPS, "files")
    material = read_material(given, choices, names)
    titled = (title or "").strip() or DEFAULT_TITLE
    own = command or "flopbench.write_report"
    report = building.build_report(
        material, title=titled, command=own, progress=lambda k, what: tell(k + 1, STEPS, what)
    )
    tell(STEPS - 1, STEPS, "writing")
    left_over = building.write_folder(where, building.files_of(report))
    if done is not None:
        more = f"left by an earlier report, not part of this one: {', '.join(left_over)}"
        done(report, (*report.warnings, more) if left_over else tuple(report.warnings))
    return where / building.PAGE

"""Which videos a film strip shows: some of each level of difficulty or class, or those named.

Without names the choice follows a reproducible rule: of each group the video whose cost is nearest
to the group's median (for N videos, to the quantiles 1/2N, 3/2N, …), the first in the log if tied.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flopbench.core.errors import InputError, near_match
from flopbench.estimate.difficulty import COST, MARGIN, Levels, difficulty_groups
from flopbench.estimate.runs import Choices
from flopbench.policy.blocks import Place
from flopbench.policy.counts import LogCounts
from flopbench.policy.file_kinds import LOG
from flopbench.policy.forms import SHARE_FORMS, sniff
from flopbench.policy.forms.base import Options
from flopbench.policy.log import Log, open_log, without_duplicates
from flopbench.policy.samples import Sample
from flopbench.policy.shards import find_files
from flopbench.present.figures.class_choice import check_classes, members_of
from flopbench.present.figures.inputs.files import require_kind

MOST_COMPARED = 20_000
"""At most this many ids are compared with an unknown one, for the hint."""


def opened(path: str | Path, choices: Choices) -> Log:
    """Open a log, to be read sample by sample."""
    require_kind(path, (LOG,))
    first = find_files([str(path)])[0]
    form = sniff(first)
    if form in SHARE_FORMS:
        raise InputError(
            f"{first} holds shares of actions ({form}) and no videos: there are no frames",
            "plot frames needs a log with the decisions of each video",
        )
    options = Options(allow_truncated=choices.allow_truncated)
    log = open_log([path], preset=choices.preset, options=options)
    return without_duplicates(log) if choices.duplicates == "first" else log


def usual_measure(log: Log) -> str:
    """Return the margin where the log's first samples have scores, else the cost."""
    samples, _ = next(iter(log.samples()), ((), None))
    scored = any(len(sample.scores or ()) > 1 for sample in samples)
    # Views of one video differ in their margins; costs are of whole videos.
    views = any(sample.view is not None for sample in samples)
    return MARGIN if scored and not views else COST


def levels_of(
    counts: LogCounts, costs_macs: Any, measure: str | None, classes: Sequence[str]
) -> Levels:
    """Return the groups that videos are taken from; ``costs_macs``, (videos,), is the cost of each.

    They are levels of the measure, the classes that are named, or each level of each of them.
    """
    import numpy as np

    levels = None if measure is None else difficulty_groups(counts, measure, costs_macs)
    if levels is not None and not classes:
        return levels
    check_classes(classes, [name for name, _ in members_of(counts)[0]])
    labelled = {counts.label_name(value): own for value, own in counts.by_label().items()}
    groups = {name: labelled[name] for name in dict.fromkeys(classes)}
    if levels is None:
        return Levels(groups=groups, note="by class", thirds=False)
    both = {
        f"{name}, {level}": np.intersect1d(own, among)
        for name, own in groups.items()
        for level, among in levels.groups.items()
    }
    note = f"by class; {levels.note}" if levels.note else "by class"
    return Levels(groups={k: own for k, own in both.items() if len(own)}, note=note, thirds=True)


def of_videos(members: Any, video: Any) -> Any:
    """Return one record, the first, of each video among (k,) records."""
    import numpy as np

    members = np.sort(members)
    if video is None:
        return members
    return np.sort(members[np.unique(video[members], return_index=True)[1]])


def nearest(members: Any, costs: Any, video: Any, many: int) -> list[int]:
    """Return as many records, of other videos, nearest to the middle quantiles of a group's costs.

    ``members`` are (k,) records of the group, ``costs`` and ``video``, (n,), the cost and the index
    of each record's video; None where each is one.
    """
    import numpy as np

    members = of_videos(members, video)
    own = costs[members]
    found: list[int] = []
    for n in range(min(many, len(members))):
        distance: Any = np.abs(own - np.quantile(own, (2 * n + 1) / (2 * many)))
        distance[np.isin(members, found)] = np.inf
        found.append(int(members[int(np.argmin(distance))]))
    return found


def read_records(
    log: Log, records: Sequence[int], videos: Sequence[str], *, views: bool
) -> dict[int, tuple[Sample, Place]]:
    """Read some records by number, then all of the videos that are named; no further than needed.

    ``views``: a video may have several records, which need not be adjacent.
    """
    numbers, names = set(records), set(videos)
    found: dict[int, tuple[Sample, Place]] = {}
    ids: list[str] = []
    at = 0
    for samples, place in log.samples():
        for i, sample in enumerate(samples):
            if at + i in numbers or sample.id in names:
                found[at + i] = sample, lambda _, i=i, place=place: place(i)  # type: ignore[misc]
        ids += [sample.id for sample in samples[: max(0, MOST_COMPARED - len(ids))]]
        at += len(samples)
        complete = numbers <= found.keys() and names <= {one.id for one, _ in found.values()}
        if complete and not (names and views):
            break
    order = list(records)
    for name in dict.fromkeys(videos):
        own = [record for record, (sample, _) in found.items() if sample.id == name]
        if not own:
            hint = near_match(name, dict.fromkeys(ids), "videos")
            raise InputError(f"{log.source} has no video {name!r}", hint)
        order += own
    return {record: found[record] for record in order}

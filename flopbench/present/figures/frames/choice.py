"""Which videos a film strip shows: some of each level of difficulty, or those named.

Without names the choice follows a reproducible rule: of each group the video whose cost is nearest
to the group's median (for N videos, to the quantiles 1/2N, 3/2N, …), the first in the log if tied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flopbench.core.errors import InputError, Remark, near_match
from flopbench.core.units import gflops
from flopbench.estimate.difficulty import CORRECT, COST, MARGIN, Levels, difficulty_groups
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.blocks import Place
from flopbench.policy.counts import LogCounts
from flopbench.policy.file_kinds import LOG
from flopbench.policy.log import Log, open_log, without_duplicates
from flopbench.policy.readers import SHARE_FORMS
from flopbench.policy.readers.base import Options
from flopbench.policy.readers.raw import find_files, sniff
from flopbench.policy.samples import Sample
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs.files import require_kind
from flopbench.present.figures.inputs.logs import left_out, priced, videos_text

MOST_COMPARED = 20_000
"""At most this many ids are compared with an unknown one, for the hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRecord:
    """One record that is drawn.

    Attributes:
        record: its number in the log, from 0.
        group: its level of difficulty; empty where it has none.
        gflops_per_video: cost of its video, all views together.
        sample: as the log has it.
        place: where it is, for messages.
    """

    record: int
    group: str
    gflops_per_video: float
    sample: Sample
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is drawn, and why.

    Attributes:
        run: the log, counted and priced.
        file: its first file.
        chosen: the records, group by group, or in the order named.
        measure: of difficulty.
        levels: the groups.
        by_hand: whether the videos were named.
        warnings: groups with fewer videos than asked for.
    """

    run: Run
    file: Path
    chosen: tuple[ChosenRecord, ...]
    measure: str
    levels: Levels
    by_hand: bool
    warnings: tuple[Remark, ...] = ()


def choose(
    path: str | Path,
    choices: Choices,
    *,
    videos: Sequence[str] = (),
    difficulty: str | None = None,
    per_group: int = 1,
) -> Choice:
    """Count and price a log, and choose what is drawn of it.

    Args:
        path: the log, or a glob of its shards.
        choices: how to read and price.
        videos: ids to draw; empty for some of each group.
        difficulty: the measure that makes groups; None takes the margin where the log has scores,
            else the cost.
        per_group: how many videos of each group.

    Raises:
        InputError: a file of another kind, a table of shares, an unknown id or measure.
        DataError: a defect in the log.
    """
    files, log = _opened(path, choices)
    measure = difficulty or _usual_measure(log)
    # One price list and no intervals: nothing else is drawn.
    terms = replace(choices, by="difficulty", difficulty=measure, alone=True, resamples=1)
    run = priced([path], terms)[0].run
    counts = run.counts
    assert isinstance(counts, LogCounts)
    costs = video_costs(counts, run.prices, run.primary.rule)
    levels = difficulty_groups(counts, measure, costs)
    records = costs if counts.video is None else costs[counts.video]
    picks = {
        name: _nearest(members, records, counts.video, per_group)
        for name, members in levels.groups.items()
        if not videos
    }
    if choices.duplicates == "first":
        log = without_duplicates(log)
    return Choice(
        run=run,
        file=files[0],
        chosen=_records(log, counts, picks, videos, levels.groups, records),
        measure=measure,
        levels=levels,
        by_hand=bool(videos),
        warnings=tuple(
            Remark(
                f"the group {name!r} has only {videos_text(len(own))} where {per_group} were "
                "requested"
            )
            for name, own in picks.items()
            if len(own) < per_group
        ),
    )


def _records(
    log: Log,
    counts: LogCounts,
    picks: Mapping[str, Sequence[int]],
    videos: Sequence[str],
    groups: Mapping[str, Any],
    costs: Any,
) -> tuple[ChosenRecord, ...]:
    """Read what is drawn: the picks of each group, or the videos that were named.

    Args:
        log: to be read again.
        counts: of it.
        picks: group -> records.
        videos: ids; empty where the groups choose.
        groups: name -> (k,) its records.
        costs: (n,) MACs of each record's video.
    """
    order = [record for own in picks.values() for record in own]
    found, ids = _find(log, set(order), set(videos), views=counts.video is not None)
    if videos:
        order = _named(videos, found, ids, str(counts.source))
    return tuple(
        ChosenRecord(
            record=record,
            group=_group_of(record, groups),
            gflops_per_video=gflops(float(costs[record])),
            sample=found[record][0],
            place=found[record][1],
        )
        for record in order
    )


def _opened(path: str | Path, choices: Choices) -> tuple[list[Path], Log]:
    """Open a log; refuse one without videos."""
    require_kind(path, (LOG,))
    files = find_files([str(path)])
    form = sniff(files[0])
    if form in SHARE_FORMS:
        raise InputError(
            f"{files[0]} holds shares of actions ({form}) and no videos: there are no frames",
            "plot frames needs a log with the decisions of each video",
        )
    options = Options(allow_truncated=choices.allow_truncated)
    return files, open_log([path], preset=choices.preset, options=options)


def _usual_measure(log: Log) -> str:
    """Return the margin where the log's first samples have scores, else the cost."""
    for samples, _ in log.samples():
        scored = any(len(sample.scores or ()) > 1 for sample in samples)
        # Views of one video differ in their margins; costs are of whole videos.
        views = any(sample.view is not None for sample in samples)
        return MARGIN if scored and not views else COST
    return COST


def _nearest(members: Any, costs: Any, video: Any, many: int) -> list[int]:
    """Return the records nearest to the middle quantiles of their group's costs.

    Args:
        members: (k,) records of the group.
        costs: (n,) cost of each record's video.
        video: (n,) index of each record's video, None where each is one.
        many: how many; each of another video.
    """
    import numpy as np

    members = np.sort(members)
    if video is not None:  # the first view represents its video
        members = np.sort(members[np.unique(video[members], return_index=True)[1]])
    own = costs[members]
    found: list[int] = []
    for n in range(min(many, len(members))):
        distance: Any = np.abs(own - np.quantile(own, (2 * n + 1) / (2 * many)))
        distance[np.isin(members, found)] = np.inf
        found.append(int(members[int(np.argmin(distance))]))
    return found


def _find(
    log: Log, records: set[int], ids: set[str], *, views: bool
) -> tuple[dict[int, tuple[Sample, Place]], list[str]]:
    """Read the log until all records and ids are found; return them and the ids read so far."""
    found: dict[int, tuple[Sample, Place]] = {}
    met: list[str] = []
    missing, at = set(ids), 0
    for samples, place in log.samples():
        here = {record - at for record in records if at <= record < at + len(samples)}
        if ids:
            here |= {i for i, sample in enumerate(samples) if sample.id in ids}
            met += [sample.id for sample in samples[: max(0, MOST_COMPARED - len(met))]]
        for i in sorted(here):
            found[at + i] = samples[i], lambda _, i=i, place=place: place(i)  # type: ignore[misc]
            missing.discard(samples[i].id)
        at += len(samples)
        # Views of a video need not be adjacent.
        if records <= found.keys() and not missing and not (ids and views):
            break
    return found, met


def _named(
    videos: Sequence[str], found: dict[int, tuple[Sample, Place]], ids: list[str], source: str
) -> list[int]:
    order: list[int] = []
    for name in dict.fromkeys(videos):
        own = [record for record, (sample, _) in found.items() if sample.id == name]
        if not own:
            raise InputError(
                f"{source} has no video {name!r}", near_match(name, dict.fromkeys(ids), "videos")
            )
        order += own
    return order


def _group_of(record: int, groups: Mapping[str, Any]) -> str:
    return next((name for name, members in groups.items() if (members == record).any()), "")


def choice_sentences(choice: Choice, per_group: int) -> list[str]:
    """Return how the videos were chosen and what their groups are, for the caption."""
    counts = choice.run.counts
    assert isinstance(counts, LogCounts)
    if choice.by_hand:
        how = "The videos were chosen by hand"
    elif per_group == 1:
        how = (
            "Of each group the video is drawn whose cost is nearest to the group's median cost "
            "(the first in the log where several are)"
        )
    else:
        quantiles = [f"{2 * n + 1}/{2 * per_group}" for n in range(per_group)]
        how = (
            f"Of each group {per_group} videos are drawn: those whose costs are nearest to the "
            f"quantiles {listed(quantiles)} of the group's costs"
        )
    what = {COST: "thirds by cost", CORRECT: "by whether the prediction is right"}
    usual = "" if choice.levels.thirds else f"by the column {choice.measure!r}"
    note = choice.levels.note
    groups = "; ".join(text for text in (what.get(choice.measure, usual), note) if text)
    return [
        f"{how}; the log has {videos_text(counts.videos, counts.records)}.",
        f"Groups: {groups}.",
        *left_out(choice.run.warnings),
    ]

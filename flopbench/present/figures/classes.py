"""How a policy treats each class: AR-Net's Figures 1b and 1c.

Both ratios are of sums over a class's videos. Relative high-resolution usage: frames at the highest
resolution / frames at any resolution that runs its own network. Resolution usage: frames at
any such resolution / all frames.

With AR-Net's preset these are 224 px / (224, 168 and 112 px) and (224, 168 and 112 px) / all. At
84 px the policy's own prediction is used: it is in neither numerator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP
from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import Words
from flopbench.estimate.clusters import Clusters, clusters_of
from flopbench.estimate.runs import Choices
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.caption import listed
from flopbench.present.figures.class_bars import Bars, ClassBars, Of, class_bars
from flopbench.present.figures.class_choice import (
    HIGH,
    MOST,
    ORDERS,
    USAGE,
    Sort,
    aligned,
    chosen_of,
    log_of_videos,
    members_of,
    sorted_by,
)
from flopbench.present.figures.class_ratios import Classes, ClassesOfRuns, ClassRatios, Which
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import Log, counted, logs_of
from flopbench.present.figures.ratios import (
    Resolutions,
    interval_sentence,
    ratio_of,
    resolutions_of,
    video_sums,
)
from flopbench.present.kind import NAMES, Axes, Option, kind

MOST_LOGS = 4
"""More cannot be told apart in one row."""
SMALLEST_LIMIT = 250
"""Videos of a class for which the bootstrap is always drawn."""


@kind(
    takes={LOG: "log"},
    options=(
        Option(
            "--classes N",
            "draw N classes, evenly spaced in the sorted order (default: all up to 40)",
            positive=True,
        ),
        Option("--class NAME", "draw this class; repeatable", "classes", repeat=True),
        Option(
            "--sort",
            "by a ratio or the number of videos, largest first, or by name (default: the first "
            "ratio that is drawn)",
            choices=get_args(Sort),
        ),
        Option(
            "--ratio",
            "relative high-resolution usage, resolution usage, or both (default: both; of several "
            "logs high)",
            choices=get_args(Which),
        ),
        Option(
            "--high ACTION",
            "the action at the highest resolution (default: the one with the largest input)",
        ),
        Option(
            "--among ACTION",
            "an action that runs its own network; repeatable (default: every one that costs "
            "something)",
            repeat=True,
        ),
        Option(
            "--bars",
            "stacked bars in place of dots: the share of each action, or the cost of a video",
            choices=get_args(Bars),
        ),
        Option(
            "--of",
            "bars of the share of each action, or of each exit taken (default: actions, where the "
            "log has any)",
            choices=get_args(Of),
        ),
        replace(NAMES, sets="name"),
    ),
    log_options=("prices", "bootstrap", "cluster", "reading"),
)
def classes(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    classes: int | Sequence[str] | None = None,
    high: str | None = None,
    among: Sequence[str] = (),
    sort: Sort | None = None,
    ratio: Which | None = None,
    bars: Bars | None = None,
    of: Of | None = None,
    name: str | Sequence[str] = (),
    choices: Choices | None = None,
) -> Classes | ClassesOfRuns | ClassBars:
    """Draw how much resolution each class gets, with 95 % intervals (AR-Net's Figures 1b and 1c).

    Class by class, it is the share of the highest resolution among the resolutions that run their
    own network, and the share of these among all frames; of several logs one of the two, side by
    side. With ``bars`` it is the share of every action, or the cost of a video.

    Args:
        log: a policy log's file with labels, a ``Run`` or counts; or up to four, side by side.
        ax: where to draw; None makes a new figure.
        classes: how many, evenly spaced in the sorted order, or which; None draws all, beyond 40
            that many evenly spaced ones.
        high: the action at the highest resolution; None takes the one with the largest input.
        among: actions that run their own network; empty means all with a cost.
        sort: by ``high``, ``usage`` or ``n``, largest first, or by ``name``, of the first log; None
            takes the first ratio that is drawn, or the length of bars.
        ratio: ``high`` (relative high-resolution usage), ``usage`` (resolution usage) or ``both``;
            None draws both of one log, and ``high`` of several.
        bars: ``share`` of each action in the class's frames, or ``cost`` of a video by action.
        of: ``action`` or ``exit``: bars of the share of each; None takes actions, where the log has
            any.
        name: what to call the run, or each of them.
        choices: how to read and price; resamples, seed and clusters of the intervals.

    Returns:
        The axes: dots or bars in percent, or GFLOPS/video; all videos on top, then the first class.

    Raises:
        InputError: a file of another kind, more than four logs, no labels, an unknown class or
            action, both ratios of several logs, options of dots with bars, or a highest resolution
            that the log does not single out.
        DataError: a defect in the log.
    """
    choices = choices or Choices()
    logs = logs_of(log)
    _check(logs, classes, sort, ratio)
    names = [name] if isinstance(name, str) and name else list(name)
    if bars is not None or of is not None:
        if ratio is not None or high is not None or among:
            raise InputError(
                "ratio, high and among are of dots: bars show every action", "leave them out"
            )
        return class_bars(
            logs, bars or "share", of=of, classes=classes, sort=sort, names=names, choices=choices
        )
    found = counted(logs, choices, names=names)
    asked = ratio or ("both" if len(found) == 1 else "high")
    runs = [log_of_videos(one.counts) for one in found]
    own = [
        resolutions_of(counts.plan, high=high, among=among, need_high=asked != "usage")
        for counts in runs
    ]
    kinds = [_drawn(one, asked, high) for one in own]
    drawn = "usage" if "usage" in [kind for kind, _ in kinds] else asked
    order = sort or ("usage" if drawn == "usage" else "high")
    sums = [video_sums(counts, one) for counts, one in zip(runs, own, strict=True)]
    read = [members_of(counts) for counts in runs]
    members = aligned([one for one, _ in read])

    def weight(videos: Any) -> float:
        row = {"high": 0, "usage": 1}[order]
        above, below = (int(n) for n in sums[0][row : row + 2, videos].sum(axis=1))
        return above / below if below else -1.0  # undefined ratios come last

    by = ORDERS[order].format(words=runs[0].plan.words)
    chosen, note = chosen_of(sorted_by(members[0], order, weight), classes, by)
    # The classes share one log's limit of the bootstrap.
    largest = max(SMALLEST_LIMIT, LARGEST_BOOTSTRAP // (len(chosen) * len(runs)))
    made = []
    for n, (one, counts) in enumerate(zip(found, runs, strict=True)):
        videos, words = dict(members[n]), counts.plan.words
        clusters = None if choices.cluster is None else clusters_of(counts, choices.cluster)
        ratios_in = partial(_ratios, sums[n], drawn, clusters, choices, largest)
        ratios = [ratios_in(k, videos[k]) for k, _ in chosen]
        made.append(
            Classes(
                run=one.name,
                source=str(counts.source),
                resolutions=own[n],
                others=tuple(a for a in own[n].looking if a not in own[n].among),
                ratio=drawn,
                classes=tuple(ratios),
                views=counts.records,
                whole=ratios_in("", slice(None)),
                notes=(note, *read[n][1], *_said(ratios, drawn, choices, clusters, words)),
                warnings=(
                    *counts.warnings,
                    *map(Remark, kinds[n][1]),
                    *(() if clusters is None else clusters.remarks),
                ),
                words=words,
            )
        )
    return made[0] if len(made) == 1 else ClassesOfRuns(runs=tuple(made))


def _check(logs: Sequence[Log], classes: object, sort: str | None, ratio: str | None) -> None:
    if len(logs) > MOST_LOGS:
        raise CallerError(
            f" draws the classes of up to {MOST_LOGS} logs; {len(logs)} were given",
            "draw several figures; the shards of one log go into one glob, in quotes",
        )
    if len(logs) > 1 and ratio == "both":
        raise InputError(
            "both ratios of several logs cannot be told apart", "--ratio high or usage"
        )
    if sort not in {None, "high", "usage", "name", "n"}:
        raise InputError(f"sort is {sort!r}: expected high, usage, name or n")
    if ratio not in {None, "both", "high", "usage"}:
        raise InputError(f"ratio is {ratio!r}: expected both, high or usage")
    if isinstance(classes, int) and not 1 <= classes <= MOST:
        raise InputError(
            f"classes is {classes}: expected 1 to {MOST}, as at most {MOST} rows are drawn"
        )
    if isinstance(classes, Sequence) and not 1 <= len(classes) <= MOST:
        raise InputError(f"{len(classes)} classes were named: expected 1 to {MOST}")


def _drawn(own: Resolutions, ratio: Which, high: str | None) -> tuple[Which, tuple[str, ...]]:
    """Return which ratios are informative, and a warning."""
    if ratio == "usage" or len(own.among) > 1:
        return ratio, ()
    only = f"{own.among[0]} alone runs a network of its own, so its share of such frames is 100 %"
    if ratio == "high" or high is not None:
        raise InputError(f"{only}: there is no {HIGH} to draw", f"--ratio usage draws the {USAGE}")
    return "usage", (f"{only}: only the {USAGE} is drawn",)


def _ratios(
    sums: Any,
    drawn: Which,
    clusters: Clusters | None,
    choices: Choices,
    largest: int,
    name: str,
    videos: Any,
) -> ClassRatios:
    sums = sums[:, videos]
    own = None if clusters is None else clusters.of(videos)
    high, among, frames = (int(n) for n in sums.sum(axis=1))
    terms = {"resamples": choices.resamples, "seed": choices.seed, "largest": largest}
    return ClassRatios(
        name=name,
        videos=sums.shape[1],
        frames=frames,
        frames_among=among,
        frames_high=None if drawn == "usage" else high,
        high=None if drawn == "usage" else ratio_of(sums[0], sums[1], own, **terms),
        usage=None if drawn == "high" else ratio_of(sums[1], sums[2], own, **terms),
    )


def _said(
    made: Sequence[ClassRatios],
    drawn: Which,
    choices: Choices,
    clusters: Clusters | None,
    words: Words,
) -> list[str]:
    """Return notes on the intervals, and on undefined ratios."""
    notes = interval_sentence(
        [r for c in made for r in (c.high, c.usage) if r is not None], choices, clusters, words
    )
    undefined = [c.name for c in made if drawn != "usage" and c.high is None]
    if undefined:
        notes.append(
            f"{HIGH.capitalize()} is undefined (0 of 0 {words.steps}) for {listed(undefined)}."
        )
    return notes

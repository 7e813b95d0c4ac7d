"""How a policy treats each class: AR-Net's Figures 1b and 1c.

Both ratios are of sums over a class's videos. Relative high-resolution usage: frames at the highest
resolution / frames at any resolution that runs its own network. Resolution usage: frames at
any such resolution / all frames.

With AR-Net's preset these are 224 px / (224, 168 and 112 px) and (224, 168 and 112 px) / all. At
84 px the policy's own prediction is used: it is in neither numerator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP
from flopbench.core.errors import InputError, Remark
from flopbench.estimate.runs import Choices
from flopbench.policy.counts import ShareCounts
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.class_choice import (
    HIGH,
    MOST,
    USAGE,
    Sort,
    chosen_of,
    classes_text,
    members_of,
    sorted_by,
)
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import Log, counted, left_out, videos_text
from flopbench.present.figures.ratios import (
    Ratio,
    Resolutions,
    interval_sentence,
    ratio_of,
    resolutions_of,
    video_sums,
)
from flopbench.present.kind import Option, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Which = Literal["both", "high", "usage"]

SMALLEST_LIMIT = 250
"""Videos of a class for which the bootstrap is always drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRatios:
    """One class, or all videos (without a name).

    Attributes:
        frames_among: at resolutions that run their own network.
        frames_high: at the highest of them; None where not requested.
        high: relative high-resolution usage; None where not requested or 0 / 0.
        usage: resolution usage; None where not requested.
    """

    name: str
    videos: int
    frames: int
    frames_among: int
    frames_high: int | None
    high: Ratio | None
    usage: Ratio | None

    @property
    def columns(self) -> dict[str, object]:
        """What the table has of it."""
        columns: dict[str, object] = {
            "class": self.name,
            "videos": self.videos,
            "frames_high": self.frames_high,
            "frames_among": self.frames_among,
            "frames": self.frames,
        }
        named = {"relative_high_resolution_usage": self.high, "resolution_usage": self.usage}
        for name, ratio in named.items():
            columns[name] = ratio and ratio.share
            columns[f"{name}_ci95_low"] = ratio and ratio.low
            columns[f"{name}_ci95_high"] = ratio and ratio.high
            columns[f"{name}_interval"] = ratio and ratio.method
        return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Classes of one run.

    Attributes:
        others: further actions that process frames without running their own network.
        classes: those drawn, the first on top.
        views: of all videos.
        whole: all videos, classes or not.
        notes: what qualifies the ratios.
        warnings: from reading, and where the figure departs from the request.
    """

    run: str
    source: str
    resolutions: Resolutions
    others: tuple[str, ...]
    ratio: Which
    classes: tuple[ClassRatios, ...]
    views: int
    whole: ClassRatios
    notes: tuple[str, ...]
    warnings: tuple[Remark, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """The ratios that are drawn: ``HIGH``, ``USAGE`` or both."""
        return {"both": (HIGH, USAGE), "high": (HIGH,), "usage": (USAGE,)}[self.ratio]

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        among = listed(self.resolutions.among)
        sentences = []
        if HIGH in self.series:
            sentences.append(f"{HIGH.capitalize()}: frames at {self.resolutions.high} of {among}.")
        if USAGE in self.series:
            sentences.append(f"{USAGE.capitalize()}: frames at {among} of all frames.")
        if self.others:
            sentences.append(
                f"{listed(self.others)}: without a network of its own, so in neither numerator."
            )
        files = f"{self.run}: {videos_text(self.whole.videos, self.views)}, {self.source}."
        sentences += [*self.notes, "Dashed: the whole run.", files, *left_out(self.warnings)]
        return Caption(
            title=f"Resolutions by class: {self.run}",
            sentences=tuple(sentences),
            alt=self._alt,
            warnings=self.warnings,
        )

    @property
    def _alt(self) -> str:
        parts = [f"Dots of {listed(self.series)} for {classes_text(len(self.classes))}."]
        for series in self.series:
            known = [(r.share, c.name) for c in self.classes if (r := ratio_in(c, series))]
            if known:
                low, high = min(known), max(known)
                parts.append(
                    f"{series.capitalize()}: from {low[0]:.1%} ({low[1]}) to {high[0]:.1%} "
                    f"({high[1]})."
                )
        return " ".join(parts)

    @property
    def table(self) -> FigureTable:
        """One row a class that is drawn, and one for the whole run."""
        rows = [{"row": "class", **one.columns} for one in self.classes]
        return FigureTable.of([*rows, {"row": "whole run", **self.whole.columns}])


def ratio_in(one: ClassRatios, series: str) -> Ratio | None:
    """Return one of a class's ratios, ``HIGH`` or ``USAGE``."""
    return one.high if series == HIGH else one.usage


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
            "relative high-resolution usage, resolution usage, or both",
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
        Option("--name TEXT", "what to call the run"),
    ),
    log_options=("preset", "bootstrap", "reading"),
)
def classes(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    classes: int | Sequence[str] | None = None,
    high: str | None = None,
    among: Sequence[str] = (),
    sort: Sort | None = None,
    ratio: Which = "both",
    name: str = "",
    choices: Choices | None = None,
) -> Classes:
    """Draw how much resolution each class gets, with 95 % intervals (AR-Net's Figures 1b and 1c).

    Class by class, it is the share of the highest resolution among the resolutions that run their
    own network, and the share of these among all frames.

    Args:
        log: a policy log's file with labels, a ``Run`` or counts.
        ax: where to draw; None makes a new figure.
        classes: how many, evenly spaced in the sorted order, or which; None draws all, beyond 40
            that many evenly spaced ones.
        high: the action at the highest resolution; None takes the one with the largest input.
        among: actions that run their own network; empty means all with a cost.
        sort: by ``high``, ``usage`` or ``n``, largest first, or by ``name``; None takes the first
            ratio that is drawn.
        ratio: ``high`` (relative high-resolution usage), ``usage`` (resolution usage) or ``both``.
        name: what to call the run.
        choices: how to read; resamples and seed of the intervals.

    Returns:
        The axes: dots in percent, the first class on top.

    Raises:
        InputError: a file of another kind, several logs, no labels, an unknown class or action, or
            a highest resolution that the log does not single out.
        DataError: a defect in the log.
    """
    choices = choices or Choices()
    _check(log, classes, sort, ratio)
    found = counted(log, choices, names=[name] if name else ())[0]
    counts = found.counts
    if isinstance(counts, ShareCounts):
        raise InputError(f"{counts.source} is a table of shares: it has no videos and no classes")
    own = resolutions_of(counts.plan, high=high, among=among, need_high=ratio != "usage")
    drawn, warned = _drawn(own, ratio, high)
    order = sort or ("usage" if drawn == "usage" else "high")
    sums = video_sums(counts, own)
    members, notes = members_of(counts)
    chosen, note = chosen_of(sorted_by(members, sums, order), classes, order)
    # The classes share one log's limit of the bootstrap.
    largest = max(SMALLEST_LIMIT, LARGEST_BOOTSTRAP // len(chosen))
    ratios = [_ratios(n, sums[:, videos], drawn, choices, largest) for n, videos in chosen]
    return Classes(
        run=found.name,
        source=str(counts.source),
        resolutions=own,
        others=tuple(a for a in own.looking if a not in own.among),
        ratio=drawn,
        classes=tuple(ratios),
        views=counts.records,
        whole=_ratios("", sums, drawn, choices, largest),
        notes=(note, *notes, *_said(ratios, drawn, choices)),
        warnings=(*counts.warnings, *map(Remark, warned)),
    )


def _check(log: object, classes: object, sort: str | None, ratio: str) -> None:
    if isinstance(log, Sequence) and not isinstance(log, str) and len(log) > 1:
        raise CallerError(
            f" draws the classes of one log; {len(log)} were given",
            "draw one figure a log; the shards of one log go into one glob, in quotes",
        )
    if sort not in {None, "high", "usage", "name", "n"}:
        raise InputError(f"sort is {sort!r}: expected high, usage, name or n")
    if ratio not in {"both", "high", "usage"}:
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


def _ratios(name: str, sums: Any, drawn: Which, choices: Choices, largest: int) -> ClassRatios:
    high, among, frames = (int(n) for n in sums.sum(axis=1))
    terms = {"resamples": choices.resamples, "seed": choices.seed, "largest": largest}
    return ClassRatios(
        name=name,
        videos=sums.shape[1],
        frames=frames,
        frames_among=among,
        frames_high=None if drawn == "usage" else high,
        high=None if drawn == "usage" else ratio_of(sums[0], sums[1], **terms),
        usage=None if drawn == "high" else ratio_of(sums[1], sums[2], **terms),
    )


def _said(made: Sequence[ClassRatios], drawn: Which, choices: Choices) -> list[str]:
    """Return notes on the intervals, and on undefined ratios."""
    notes = interval_sentence(
        [r for c in made for r in (c.high, c.usage) if r is not None], choices
    )
    undefined = [c.name for c in made if drawn != "usage" and c.high is None]
    if undefined:
        notes.append(f"{HIGH.capitalize()} is undefined (0 of 0 frames) for {listed(undefined)}.")
    return notes

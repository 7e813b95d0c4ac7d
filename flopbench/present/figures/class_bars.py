"""Stacked bars by class: shares of actions, or the cost of a video by what it is spent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION, Words, common_words, gflops, number_of
from flopbench.estimate.estimator import cost_parts
from flopbench.estimate.runs import Choices
from flopbench.policy.counts import LogCounts
from flopbench.present.figures.caption import Caption, FigureTable, listed, with_own_look
from flopbench.present.figures.class_choice import (
    ORDERS,
    aligned,
    chosen_of,
    log_of_videos,
    members_of,
    of_videos,
    sorted_by,
)
from flopbench.present.figures.inputs.logs import (
    COLUMN,
    Log,
    charged_as,
    charged_sentences,
    counted,
    left_out,
    priced,
    videos_text,
    words_of,
)

Bars = Literal["share", "cost"]
Of = Literal["action", "exit"]


NO_NETWORK = frozenset({"skip", "reuse"})


class Bar(Struct, frozen=True, kw_only=True):
    """One class of one run: part -> its share of frames, or GFLOPS a video; none without videos.

    ``name`` is empty for all videos, ``charged`` where all is charged as by default.
    """

    run: str
    name: str
    videos: int
    parts: Mapping[str, float]
    charged: str

    @property
    def length(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


class ClassBars(Struct, frozen=True, kw_only=True):
    """Classes of one run or several.

    Attributes:
        of: what shares are shares of: ``frames``, or ``records`` for exits.
        whole: bars of all videos, one a run.
        classes: bars of each class, one a run, the first class on top.
        stacked: what is drawn as one segment, and the parts in it.
        unseen: segments that process no frame.
    """

    bars: Bars
    of: str
    runs: tuple[str, ...]
    whole: tuple[Bar, ...]
    classes: tuple[tuple[Bar, ...], ...]
    stacked: Mapping[str, tuple[str, ...]]
    unseen: frozenset[str]
    sentences: tuple[str, ...]
    warnings: tuple[Remark, ...]
    words: Words

    @property
    def counted(self) -> str:
        """What shares are shares of, as the logs call it."""
        return self.words.steps if self.of == "frames" else self.of

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        unit = f"GFLOPS/{self.words.sample}"
        what = f"Cost of {self.words.a_sample}" if self.bars == "cost" else "Actions"
        alt = [f"Stacked bars of {number_of(len(self.classes), 'class')}."]
        for n, run in enumerate(self.runs):
            ends = sorted((own[n].length, own[n].name) for own in self.classes if own[n].videos)
            if ends and self.bars == "cost":
                (low, least), (high, most) = ends[0], ends[-1]
                alt.append(f"{run}: from {low:.2f} ({least}) to {high:.2f} {unit} ({most}).")
        return Caption(
            title=f"{what} by class: {listed(self.runs)}",
            sentences=self.sentences,
            alt=" ".join(alt),
            warnings=self.warnings,
        )

    @property
    def table(self) -> FigureTable:
        """One row a run, class and part; the whole run has no class."""
        unit = "gflops_per_video" if self.bars == "cost" else f"share_of_{self.of}"
        return FigureTable.of(
            {
                "run": bar.run,
                "class": bar.name,
                "videos": bar.videos,
                "part": part,
                unit: bar.parts.get(part),
                COLUMN: bar.charged or None,
            }
            for own in (*self.classes, self.whole)
            for bar in own
            for parts in self.stacked.values()
            for part in parts
        )


class _Amounts(Struct, frozen=True, kw_only=True):
    """One run: (videos,) amounts of each part, and what they are divided by."""

    run: str
    counts: LogCounts
    parts: Mapping[str, Any]
    per: Any
    charged: str = ""

    def bar(self, name: str, videos: Any) -> Bar:
        """Return the bar of some videos."""
        per = float(self.per[videos].sum())
        parts = {k: float(own[videos].sum()) / per for k, own in self.parts.items()} if per else {}
        return Bar(
            run=self.run, name=name, videos=len(self.per[videos]), parts=parts, charged=self.charged
        )


def class_bars(
    log: Log | Sequence[Log],
    bars: Bars,
    *,
    of: Of | None,
    classes: int | Sequence[str] | None,
    sort: str | None,
    names: Sequence[str],
    choices: Choices,
) -> ClassBars:
    """Return the bars."""
    if sort not in {None, "name", "n"}:
        raise InputError(
            f"sort is {sort!r}: bars are sorted by their length, or by n or name",
            f"--sort {sort} is for dots, without --bars",
        )
    if of is not None and bars == "cost":
        raise InputError(
            f"of is {of!r}: it says what shares are shares of", "bars of cost have all"
        )
    runs, said = _costs(log, names, choices) if bars == "cost" else _shares(log, names, choices, of)
    read = [members_of(one.counts) for one in runs]
    members = [dict(one) for one in aligned([own for own, _ in read])]
    first, main = runs[0], next(iter(runs[0].parts), "")

    def weight(videos: Any) -> float:
        bar = first.bar("", videos)
        return bar.length if bars == "cost" else bar.parts.get(main, 0.0)

    by = "cost" if bars == "cost" else f"share of {main}"
    by = by if sort is None else ORDERS[sort].format(words=first.counts.plan.words)
    chosen, how = chosen_of(sorted_by([*members[0].items()], sort, weight), classes, by)
    wholes = tuple(one.bar("", slice(None)) for one in runs)
    warnings = tuple(dict.fromkeys(w for one in runs for w in one.counts.warnings))
    notes = dict.fromkeys(note for _, own in read for note in own)
    files = [
        f"{one.run}: {videos_text(c.plan.words, c.videos, c.records)}, {c.source}."
        for one in runs
        for c in [one.counts]
    ]
    return ClassBars(
        bars=bars,
        of="frames" if of != "exit" and runs[0].counts.plan.actions else "records",
        runs=tuple(one.run for one in runs),
        whole=wholes,
        classes=tuple(
            tuple(one.bar(name, own[name]) for one, own in zip(runs, members, strict=True))
            for name, _ in chosen
        ),
        stacked=_stacked(wholes),
        unseen=frozenset(
            one.counts.plan.action_label(i)
            for one in runs
            for i, action in enumerate(one.counts.plan.actions)
            if action.kind in NO_NETWORK
        ),
        sentences=(*said, how, *notes, *files, *left_out(warnings)),
        warnings=warnings,
        words=common_words(one.counts.plan.words for one in runs),
    )


def _stacked(wholes: Sequence[Bar]) -> dict[str, tuple[str, ...]]:
    """Return segment -> its parts: each by itself, beyond eight the smallest together."""
    sizes = {k: max(bar.parts.get(k, 0.0) for bar in wholes) for bar in wholes for k in bar.parts}
    alone = with_own_look(sizes)
    rest = tuple(name for name in sizes if name not in alone)
    return {name: (name,) for name in alone} | ({f"{len(rest)} others": rest} if rest else {})


def _costs(
    log: Log | Sequence[Log], names: Sequence[str], choices: Choices
) -> tuple[list[_Amounts], list[str]]:
    """Return GFLOPS of each video by part, and how they were priced."""
    import numpy as np

    found = priced(log, choices, names=names)
    amounts = []
    for one in found:
        counts = log_of_videos(one.run.counts)
        parts = cost_parts(counts, one.run.prices, one.run.primary.rule)
        amounts.append(
            _Amounts(
                run=one.name,
                counts=counts,
                parts={k: of_videos(counts, own) * gflops(1) for k, own in parts.items()},
                per=np.ones(counts.videos),
                charged=charged_as(one.run),
            )
        )
    run = found[0].run
    said = [
        f"Cost of {words_of(found).a_sample}: the networks of each action, and the rest. Rule: "
        f"{run.primary.rule}; counter {run.prices.counted_by}, {run.prices.origin}.",
        CONVENTION,
        *charged_sentences(found),
    ]
    return amounts, said


def _shares(
    log: Log | Sequence[Log], names: Sequence[str], choices: Choices, of: Of | None
) -> tuple[list[_Amounts], list[str]]:
    """Return frames of each video by action, or which exit it took, and what is shared."""
    import numpy as np

    amounts = []
    found = counted(log, choices, names=names)
    words = common_words(one.counts.plan.words for one in found)
    said = f"Share of each action, of all {words.steps} of a class."
    for one in found:
        counts = log_of_videos(one.counts)
        plan = counts.plan
        if len(plan.streams) > 1 and of != "exit":
            raise InputError(
                f"{counts.source} has {len(plan.streams)} streams: their shares do not add up",
                "--bars cost adds up",
            )
        each = {plan.action_label(i): counts.frames[:, i] for i in range(len(plan.actions))}
        if of == "exit" or (of is None and not each):
            said = "Share of each exit, of all records of a class."
            each = {plan.exit_label(i): counts.exits == i for i in range(len(plan.exits))}
        if not each:
            lacks = f"{of}s" if of is not None else "actions and no exits"
            raise InputError(f"{counts.source} has no {lacks}: there are no shares")
        parts = {k: of_videos(counts, own.astype(np.float64)) for k, own in each.items()}
        amounts.append(_Amounts(run=one.name, counts=counts, parts=parts, per=sum(parts.values())))
    return amounts, [said]

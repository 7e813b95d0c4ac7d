"""The sentences of a film strip's caption: what the marks mean, which frames, which videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from flopbench.core.units import CONVENTION, Scale
from flopbench.estimate.difficulty import CORRECT, COST, LEVELS, MARGIN, Levels
from flopbench.estimate.runs import Run
from flopbench.policy.counts import LogCounts
from flopbench.policy.plan import Plan
from flopbench.present.figures.caption import listed
from flopbench.present.figures.frames.media import SIZE_UNKNOWN_PX, FrameSource
from flopbench.present.figures.frames.rows import Film, Kind, action_labels, amount, largest_side
from flopbench.present.figures.inputs.logs import NamedRun, charged_sentences, left_out, videos_text

MARKS: dict[Kind, str] = {
    "skip": "A dashed box with × is one decision to skip the frames that it spans; it is open on "
    "the right where the steps end before the skip does, and where it continues in the next line.",
    "reuse": "A dotted box with = is a step for which an earlier result was used.",
    "exit": "A thick outline marks the frame at which the policy stopped.",
    "unreached": "Grey without hatches: steps after the exit, which were not processed.",
    "unknown": "Pale frames: the log has no decisions for single steps, so which of them were "
    "processed is not known.",
}
"""Kind of decision -> what its mark means."""


def drawing_sentences(films: Sequence[Film], plan: Plan) -> list[str]:
    """Say what the marks and labels mean."""
    decisions = [decision for film in films for decision in film.decisions]
    kinds = {decision.kind for decision in decisions}
    full = largest_side(plan)
    shape = "" if full is None else f": its side is that of the input, the full one {full} px"
    sentences = [
        "Steps in order, from left to right and line by line. A processed frame is as large "
        f"as the input that its action chose{shape}.",
        *(text for kind, text in MARKS.items() if kind in kinds),
    ]
    # Labels with a letter stand for one of several actions of that size.
    shown = {decision.label for decision in decisions}
    pairs = dict(zip(action_labels(plan), plan.actions, strict=True))
    letters = [
        f"{k}: {a.name}" for k, a in pairs.items() if k in shown and k != a.name and " " in k
    ]
    if letters:
        sentences.append(f"{'; '.join(letters)}.")
    unknown = [d.label for d in decisions if d.kind in {"run", "exit"} and not d.size and d.label]
    if unknown:
        named = listed(list(dict.fromkeys(unknown)))
        sentences.append(f"The log does not give the input size of {named}: drawn at full size.")
    cut = [f"{f.drawn} of {f.steps:,} of {f.id}" for f in films if f.drawn < f.steps]
    if cut:
        sentences.append(f"Only the first steps are drawn: {', '.join(cut)}.")
    return sentences


def picture_sentences(films: Sequence[Film], source: FrameSource, plan: Plan) -> list[str]:
    """Say which frames are drawn, and what was not found."""
    processed, missing = sum(f.processed for f in films), sum(f.missing for f in films)
    if missing == processed:
        return ["No frames were found: all of them are hatched placeholders."]
    seen = f"whole, at {SIZE_UNKNOWN_PX} px on the longer side at most"
    if largest_side(plan) is not None:
        seen = "each is cropped at its centre to the shape of the input and has as many pixels"
    sentences = [f"Frames: {source.name}; {seen}."]
    even = [film.id for film in films if film.evenly_spaced]
    if even:
        whose = "" if len(even) == len(films) else f" of {listed(even)}"
        sentences.append(
            f"The log does not say which frames the steps{whose} are: evenly spaced ones are drawn."
        )
    if missing:
        sentences.append(f"{missing} of {processed} frames were not found: hatched placeholders.")
    return sentences


def choice_sentences(
    run: Run,
    levels: Levels,
    measure: str | None,
    medians: Mapping[str, float],
    unit: Scale,
    *,
    by_hand: bool,
    per_group: int,
) -> list[str]:
    """Say how the videos were chosen and what their groups are."""
    counts, words = run.counts, run.header.words
    assert isinstance(counts, LogCounts)
    if by_hand:
        how = f"The {words.samples} were chosen by hand"
    elif per_group == 1:
        how = (
            f"Of each group the {words.sample} is drawn whose cost is nearest to the group's "
            "median cost (the first in the log where several are)"
        )
    else:
        quantiles = [f"{2 * n + 1}/{2 * per_group}" for n in range(per_group)]
        how = (
            f"Of each group {per_group} {words.samples} are drawn: those whose costs are nearest "
            f"to the quantiles {listed(quantiles)} of the group's costs"
        )
    what = {COST: "thirds by cost", CORRECT: "by whether the prediction is right", None: ""}
    usual = "" if levels.thirds else f"by the column {measure!r}"
    groups = [text for text in (what.get(measure, usual), levels.note) if text]
    many, costs = (
        words.samples,
        listed([f"{name} {amount(median, unit)}" for name, median in medians.items()]),
    )
    why = ""
    if measure == MARGIN and medians.get(LEVELS[0], 0.0) > medians.get(LEVELS[-1], inf):
        why = "; the margin is that of the run itself: "
        why += f"{many} that it looked at longer may seem easier"
    return [
        f"{how}; the log has {videos_text(words, counts.videos, counts.records)}.",
        f"Groups: {'; '.join(groups)}.",
        f"Median {unit.prefix}FLOPS of a group's {many}: {costs}{why}.",
        *left_out(run.warnings),
    ]


def cost_sentences(run: Run, unit: Scale) -> list[str]:
    """Say which prices the costs use."""
    prices = run.prices
    one = run.header.words.sample
    views = "" if getattr(run.counts, "video", None) is None else ", all of its views together"
    return [
        f"{unit.prefix}FLOPS are those of the {one}{views}: rule {run.primary.rule}, counter "
        f"{prices.counted_by}, {prices.origin}; {run.source}.",
        CONVENTION,
        *charged_sentences([NamedRun(name=run.method, run=run)]),
    ]

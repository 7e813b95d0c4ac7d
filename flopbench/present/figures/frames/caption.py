"""The sentences of a film strip's caption: how it is drawn, from which frames, at which prices."""

from __future__ import annotations

from collections.abc import Sequence

from flopbench.core.units import CONVENTION
from flopbench.policy.plan import Plan
from flopbench.present.figures.caption import listed
from flopbench.present.figures.charged import charged_sentences
from flopbench.present.figures.frames.choice import Choice
from flopbench.present.figures.frames.films import Film
from flopbench.present.figures.frames.images import SIZE_UNKNOWN_PX, FrameSource, How
from flopbench.present.figures.frames.steps import action_labels, largest_side
from flopbench.present.figures.inputs.logs import NamedRun


def drawing_sentences(films: Sequence[Film], plan: Plan) -> list[str]:
    """Say what the marks mean."""
    kinds = {d.kind for film in films for strip in film.strips for d in strip.decisions}
    full = largest_side(plan)
    shape = "" if full is None else f": its side is that of the input, the full one {full} px"
    sentences = [
        "Steps in order, from left to right and line by line. A processed frame is as large "
        f"as the input that its action chose{shape}."
    ]
    if "skip" in kinds:
        sentences.append(
            "A dashed box with × is one decision to skip the frames that it spans; it is open on "
            "the right where the video ends before the skip does, and where it continues in the "
            "next line."
        )
    if "reuse" in kinds:
        sentences.append("A dotted box with = is a step for which an earlier result was used.")
    if "exit" in kinds:
        sentences.append("A thick outline marks the frame at which the policy stopped.")
    if "unreached" in kinds:
        sentences.append("Grey without hatches: steps after the exit, which were not processed.")
    if "unknown" in kinds:
        sentences.append(
            "Pale frames: the log has no decisions for single steps, so which of them were "
            "processed is not known."
        )
    sentences += _label_key(films, plan)
    cut = [film for film in films if film.drawn < film.steps]
    if cut:
        sentences.append(
            "Only the first steps are drawn: "
            + ", ".join(f"{film.drawn} of {film.steps:,} of {film.id}" for film in cut)
            + "."
        )
    return sentences


def _label_key(films: Sequence[Film], plan: Plan) -> list[str]:
    """Explain labels that are not self-explanatory."""
    pairs = dict(zip(action_labels(plan), plan.actions, strict=True))
    shown = {d.label for film in films for strip in film.strips for d in strip.decisions}
    letters = [
        f"{k}: {a.name}" for k, a in pairs.items() if k in shown and k != a.name and " " in k
    ]
    unknown = [
        d.label
        for film in films
        for strip in film.strips
        for d in strip.decisions
        if d.kind in {"run", "exit"} and d.size is None
    ]
    sentences = [f"{'; '.join(letters)}."] if letters else []
    if unknown:
        named = listed(list(dict.fromkeys(unknown)))
        sentences.append(f"The log does not give the input size of {named}: drawn at full size.")
    return sentences


def picture_sentences(
    films: Sequence[Film], hows: Sequence[How], source: FrameSource, plan: Plan
) -> list[str]:
    """Say which frames are drawn, and what was not found."""
    looked, missing = sum(f.processed for f in films), sum(f.missing for f in films)
    if missing == looked:
        return ["No frames were found: all of them are hatched placeholders."]
    seen = f"whole, at {SIZE_UNKNOWN_PX} px on the longer side at most"
    if largest_side(plan) is not None:
        seen = "each is cropped at its centre to the shape of the input and has as many pixels"
    sentences = [f"Frames: {source.name}; {seen}."]
    even = [film.id for film, how in zip(films, hows, strict=True) if how == "evenly spaced"]
    if even:
        whose = "" if len(even) == len(films) else f" of {listed(even)}"
        sentences.append(
            f"The log does not say which frames the steps{whose} are: evenly spaced ones are drawn."
        )
    if missing:
        sentences.append(f"{missing} of {looked} frames were not found: hatched placeholders.")
    return sentences


def cost_sentences(choice: Choice) -> list[str]:
    """Say which prices the costs use."""
    run = choice.run
    prices = run.prices
    counter = f"{prices.counter} {prices.version}".strip()
    views = "" if getattr(run.counts, "video", None) is None else ", all of its views together"
    return [
        f"GFLOPS are those of the video{views}: rule {run.primary.rule}, counter {counter}, prices "
        f"from {prices.source}; {run.source}.",
        CONVENTION,
        *charged_sentences([NamedRun(name=run.method, run=run)]),
    ]

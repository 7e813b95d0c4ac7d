"""Ratios of frames over videos: which resolutions count, and 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from flopbench.core.bootstrap import ends_of, resampled_means
from flopbench.core.errors import InputError, near_match
from flopbench.core.statistics import Z_95
from flopbench.core.units import Words
from flopbench.estimate.clusters import Clusters
from flopbench.estimate.components import default_text
from flopbench.estimate.runs import Choices
from flopbench.models.shapes import leaves, parse_shapes
from flopbench.models.spec import parse_spec
from flopbench.policy.counts import LogCounts
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan
from flopbench.present.figures.caption import listed
from flopbench.present.figures.class_choice import of_videos

BOOTSTRAP, LIMIT = "bootstrap", "normal limit of the bootstrap"
WITHOUT_PIXELS = frozenset({"value", "lstm", "linear"})
"""Sources of specifications whose size, if any, is not that of an image."""


class Resolutions(Struct, frozen=True, kw_only=True):
    """The actions that the ratios are made of, by name and by index in the plan.

    Attributes:
        high: the one at the highest resolution; empty where not requested.
        among: those that run their own network.
        looking: every action of their stream that processes a frame.
    """

    high: str
    among: tuple[str, ...]
    looking: tuple[str, ...]
    high_indices: tuple[int, ...]
    among_indices: tuple[int, ...]
    stream_indices: tuple[int, ...]


class Ratio(Struct, frozen=True, kw_only=True):
    """A share with its 95 % interval, which one video or cluster has not; ``method`` made it."""

    share: float
    low: float | None = None
    high: float | None = None
    method: str = ""


def resolutions_of(
    plan: Plan, *, high: str | None, among: Sequence[str], need_high: bool
) -> Resolutions:
    """Find the actions that run their own network, and the one with the largest input."""
    labels = [plan.action_label(i) for i in range(len(plan.actions))]
    if among:
        chosen = [_index(name, labels, "--among") for name in dict.fromkeys(among)]
    else:
        chosen = [i for i, a in enumerate(plan.actions) if a.kind == "run" and a.costs]
    if not chosen:
        raise InputError(
            "no action runs a network of its own: there are no resolutions to compare",
            f"--among ACTION names them; {near_match('', labels, 'actions')}",
        )
    for i in chosen:
        if plan.actions[i].kind in {"skip", "reuse"}:
            raise InputError(
                f"{labels[i]!r} is a {plan.actions[i].kind}: it processes no {plan.words.step}"
            )
    streams = dict.fromkeys(plan.actions[i].stream for i in chosen)
    if len(streams) > 1:
        raise InputError(
            f"actions of the streams {listed([str(s) for s in streams])} run networks of their own",
            "--among ACTION, once for each resolution, names those of one stream",
        )
    stream = [i for i, a in enumerate(plan.actions) if a.stream in streams]
    top = _highest(plan, labels, chosen, high) if need_high else None
    return Resolutions(
        high="" if top is None else labels[top],
        among=tuple(labels[i] for i in chosen),
        looking=tuple(labels[i] for i in stream if plan.actions[i].kind == "run"),
        high_indices=() if top is None else (top,),
        among_indices=tuple(chosen),
        stream_indices=tuple(stream),
    )


def _index(name: str, labels: Sequence[str], flag: str) -> int:
    if name not in labels:
        raise InputError(f"{flag} {name!r} is not an action", near_match(name, labels, "actions"))
    return labels.index(name)


def _highest(plan: Plan, labels: Sequence[str], chosen: Sequence[int], high: str | None) -> int:
    names = listed([labels[i] for i in chosen])
    if high is not None:
        found = _index(high, labels, "--high")
        if found not in chosen:
            raise InputError(
                f"--high {high!r} is not among {names}",
                "--among ACTION, once for each resolution, says which are",
            )
        return found
    if len(chosen) == 1:
        return chosen[0]
    sizes = [action_size(plan, i) for i in chosen]
    areas = [size[0] * size[1] if size else -1 for size in sizes]
    if min(areas) < 0 or areas.count(max(areas)) > 1:
        raise InputError(
            f"the log does not say which of {names} has the highest resolution",
            "name it with --high ACTION",
        )
    return chosen[areas.index(max(areas))]


def action_size(plan: Plan, index: int) -> tuple[int, int] | None:
    """Return (height_px, width_px) of the frame as an action sees it, None where that is not known.

    It is the largest input among the networks that the action runs; for an action without its own
    networks (AR-Net's 84 px, where the policy's prediction is used) it is taken from the action's
    name, where that is a specification (``mobilenet_v2@84``). A skip or a reuse has none.
    """
    action = plan.actions[index]
    if action.kind in {"skip", "reuse"}:
        return None
    return costs_size(plan, action.costs) or _spec_size(action.name)


def costs_size(plan: Plan, costs: Costs) -> tuple[int, int] | None:
    """Return the largest (height_px, width_px) among networks that run; None if none is known."""
    sizes = [_component_size(plan, name) for name, n in costs.items() if n]
    known = [size for size in sizes if size is not None]
    return max(known, key=lambda size: size[0] * size[1]) if known else None


def _component_size(plan: Plan, name: str) -> tuple[int, int] | None:
    component = (plan.header.components or {}).get(name)
    return None if component is None else _spec_size(default_text(component))


def _spec_size(text: str) -> tuple[int, int] | None:
    try:
        spec = parse_spec(text)
    except InputError:
        return None
    if spec.shapes:
        shapes = [one.extents for one in leaves(parse_shapes(spec.shapes))]
        images = [extents for extents in shapes if len(extents) > 3]
        return (images[0][-2], images[0][-1]) if len(images) == 1 else None
    if not spec.size or spec.source in WITHOUT_PIXELS:
        return None
    return (spec.size[0], spec.size[0]) if len(spec.size) == 1 else (spec.size[-2], spec.size[-1])


def video_sums(counts: LogCounts, own: Resolutions) -> Any:
    """Return (3, videos) float64 frames of each video: at the highest, among, in all."""
    import numpy as np

    sets = (own.high_indices, own.among_indices, own.stream_indices)
    sums = np.zeros((3, counts.videos))
    for row, indices in enumerate(sets):
        frames = np.zeros(counts.records)
        for index in indices:
            frames += counts.frames[:, index]
        sums[row] = of_videos(counts, frames)
    return sums


def ratio_of(
    above: Any, below: Any, clusters: Any = None, *, resamples: int, seed: int, largest: int
) -> Ratio | None:
    """Return sum / sum over videos with the 95 % interval of resampled videos; None for 0 below.

    ``clusters``, (videos,), is the cluster of each where whole clusters are drawn, as ``interval``.
    Beyond ``largest`` videos or clusters the interval is the bootstrap's limit, the ratio ± 1.96
    standard errors of the linearised ratio (Cochran, Sampling Techniques, 1977, equation 6.13).
    """
    import numpy as np

    whole = float(below.sum())
    if not whole:
        return None
    share = float(above.sum()) / whole
    if clusters is not None:
        above, below = (np.bincount(clusters, weights=one) for one in (above, below))
    n = len(below)
    if n < 2:
        return Ratio(share=share)
    if n > largest:
        error = math.sqrt(float(np.square(above - share * below).sum())) / whole
        low, high = max(share - Z_95 * error, 0.0), min(share + Z_95 * error, 1.0)
        return Ratio(share=share, low=low, high=high, method=LIMIT)
    tops, bottoms = resampled_means(np.stack([above, below]), resamples=resamples, seed=seed)
    # A resample without any such frame has no ratio.
    shares = tops[bottoms > 0] / bottoms[bottoms > 0]
    if not len(shares):
        return Ratio(share=share)
    low, high = ends_of(shares, clusters)
    return Ratio(share=share, low=low, high=high, method=BOOTSTRAP)


def interval_sentence(
    ratios: Sequence[Ratio], choices: Choices, clusters: Clusters | None, words: Words
) -> list[str]:
    """Return sentences on how intervals were made, and on their limits."""
    drawn = None if clusters is None else clusters.drawn
    over = words.samples if drawn is None else f"clusters ({choices.cluster})"
    notes = []
    methods = {ratio.method for ratio in ratios}
    if BOOTSTRAP in methods:
        notes.append(
            f"Lines: 95 % intervals, percentile bootstrap over the class's {over}, "
            f"{choices.resamples:,} resamples, seed {choices.seed}."
        )
    if LIMIT in methods:
        rest = "the larger classes: " if BOOTSTRAP in methods else "lines: 95 % intervals, "
        notes.append(f"{rest}the bootstrap's normal limit.".capitalize())
    if "" in methods:
        one = words.sample if drawn is None else "cluster"
        notes.append(f"A class of one {one} has no interval.")
    if any(ratio.low is not None and ratio.low == ratio.high for ratio in ratios):
        notes.append(
            f"An interval without width: all {words.samples} of the class agree, which does not "
            "show how far others would differ."
        )
    return notes

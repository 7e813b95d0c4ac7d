"""Where a model's MACs are: its modules in order, each split by operator family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from flopbench.core.errors import InputError, near_match
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION, Scale, number_of, percent, scale_of
from flopbench.counting.module_sums import ModelPart, deepest_cut, parts_at
from flopbench.counting.profile import CostProfile
from flopbench.counting.run import Explanation
from flopbench.policy.file_kinds import PROFILES
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.profiles import Profiles, doubt_of, in_order, profiled
from flopbench.present.kind import Axes, Option, kind

FEWEST_BARS, MOST_BARS = 5, 20
"""The number of bars that the default depth aims for: fewer show no shape, more fill a column."""


class LayerBar(Struct, frozen=True, kw_only=True):
    """One module, or the group of those that are not drawn individually: ``N others``.

    Attributes:
        by_family: dense operator family -> MACs.
        share: of the model's dense MACs.
    """

    name: str
    by_family: Mapping[str, int]
    share: float

    @property
    def dense_macs(self) -> int:
        """Of all families."""
        return sum(self.by_family.values())


class Layers(Struct, frozen=True, kw_only=True):
    """One model cut into modules.

    Attributes:
        profile: under the counter chosen.
        doubt: that counter's verdict, where it is another than verified; else empty.
        depth: the level of the module tree at which the model was cut.
        parts: every module with dense MACs, in order of registration.
        top: how many are drawn individually; None draws all.
    """

    profile: CostProfile
    doubt: str
    depth: int
    parts: tuple[ModelPart, ...]
    top: int | None

    @property
    def bars(self) -> tuple[LayerBar, ...]:
        """What is drawn, from top to bottom; the group of the others last."""
        others = self.others
        small = {part.name for part in others}
        drawn = {part.name: part.by_family for part in self.parts if part.name not in small}
        if others:
            rest: Counter[str] = Counter()
            for part in others:
                rest.update(part.by_family)
            drawn[f"{len(others)} others"] = rest
        return tuple(
            LayerBar(name=name, by_family=own, share=sum(own.values()) / self.whole)
            for name, own in drawn.items()
        )

    @property
    def whole(self) -> int:
        """Dense MACs of all parts together."""
        return sum(part.dense_macs for part in self.parts)

    @property
    def others(self) -> tuple[ModelPart, ...]:
        """Modules that are drawn together: all but the ``top`` largest, if there are two."""
        if self.top is None or len(self.parts) < self.top + 2:
            return ()
        ranked = sorted(self.parts, key=lambda part: -part.dense_macs)
        small = {part.name for part in ranked[self.top :]}
        return tuple(part for part in self.parts if part.name in small)

    @property
    def families(self) -> tuple[str, ...]:
        """Dense operator families of the model, in order of stacking."""
        return in_order(family for part in self.parts for family in part.by_family)

    @property
    def scale(self) -> Scale:
        """The unit of the axis."""
        return scale_of(max(bar.dense_macs for bar in self.bars))

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        profile = self.profile
        levels = number_of(self.depth, "level")
        sentences = [
            f"Dense MACs of {profile.spec} for one sample by module, {levels} down the module "
            "tree, everything below included, in order of registration; every MAC is in exactly "
            f"one bar, together {self.whole:,}. Percent: share of them."
        ]
        if self.others:
            sentences.append(
                f"The {self.top} largest are drawn individually, the other {len(self.others)} "
                f"together ({percent(self.bars[-1].dense_macs, self.whole)})."
            )
        counted = {op.module for op in profile.operators if op.dense_macs}
        if any(module.params and module.path not in counted for module in profile.modules):
            sentences.append(
                "Modules without dense MACs (normalisation, activation) are not drawn."
            )
        sentences.append(f"Counter: {profile.counter} {profile.counter_version}. {CONVENTION}")
        doubt = [self.doubt] if self.doubt else []
        hidden = sorted({gap.name for gap in profile.gaps_that_may_multiply()})
        if hidden:
            doubt.append(f"{profile.counter} did not count {listed(hidden)}")
        sentences += [f"{text}." for text in doubt]
        largest = max(self.parts, key=lambda part: part.dense_macs)
        return Caption(
            title=f"Where the MACs of {profile.spec} are",
            sentences=tuple(sentences),
            short=(
                f"Dense MACs of each module, together {self.whole:,}, counted by "
                f"{profile.counter} {profile.counter_version}.",
            ),
            alt=(
                f"Bars of the dense MACs of {len(self.bars)} modules. Most are in {largest.name}: "
                f"{percent(largest.dense_macs, self.whole)} of {self.whole:,}."
            ),
            warnings=tuple(map(Remark, doubt)),
        )

    @property
    def table(self) -> FigureTable:
        """One row a module and family."""
        types = {module.path: module.type for module in self.profile.modules}
        small = {part.name for part in self.others}
        return FigureTable.of(
            {
                "spec": self.profile.spec,
                "counter": self.profile.counter,
                "module": part.name,
                "module_type": types.get(part.path),
                "family": family,
                "dense_macs": part.by_family[family],
                "share_of_dense_macs": part.by_family[family] / self.whole,
                "drawn_in_group": part.name in small,
            }
            for part in self.parts
            for family in in_order(part.by_family)
        )


@kind(
    takes={PROFILES: "profiles"},
    options=(
        Option(
            "--depth N",
            "levels of the module tree (default: the first with 5 to 20 bars)",
            type=int,
        ),
        Option(
            "--top N",
            "draw the N largest modules individually, the others together (default: draw all)",
            type=int,
        ),
        Option("--counter NAME", "whose breakdown (default: torch, or the file's first)"),
    ),
)
def layers(
    profiles: Profiles | Sequence[Profiles],
    ax: Axes | None = None,
    *,
    depth: int | None = None,
    top: int | None = None,
    counter: str | None = None,
) -> Layers:
    """Draw the dense MACs of a model's modules in order, each split by operator family.

    Counts nothing itself: it reads what 'flopbench explain MODEL -o profiles.json' wrote.

    Args:
        profiles: a file of ``flopbench explain -o``, or an ``Explanation``.
        ax: where to draw; None makes a new figure.
        depth: levels of the module tree; None takes the first with 5 to 20 bars.
        top: how many of the largest modules to draw individually; None draws all.
        counter: whose breakdown; None takes the reference counter's.

    Returns:
        The axes: dense MACs a sample in the unit that their label names.

    Raises:
        InputError: a file of another kind, several models, an unknown counter, an invalid depth or
            top, or a model without dense MACs.
        DataError: a damaged file.
    """
    found = profiled(profiles)
    if len(found) > 1:
        raise CallerError(
            f" draws one model, and {len(found)} files were given",
            "draw one figure a model; plot counters takes several models",
        )
    if depth is not None and depth < 0:
        raise InputError(f"depth is {depth}: expected 0 or more levels of the module tree")
    if top is not None and top < 1:
        raise InputError(f"top is {top}: expected 1 or more modules")
    profile = _under(found[0], counter)
    if not profile.dense_macs or not any(op.dense_macs for op in profile.operators):
        raise InputError(
            f"{profile.spec} has no dense MACs under {profile.counter}: no bar to draw"
        )
    chosen = default_depth(profile) if depth is None else min(depth, deepest_cut(profile))
    return Layers(
        profile=profile,
        doubt=doubt_of(profile.counter, found[0].verdicts),
        depth=chosen,
        parts=parts_at(profile, chosen),
        top=top,
    )


def _under(explanation: Explanation, counter: str | None) -> CostProfile:
    if counter is None:
        return explanation.reference
    names = [profile.counter for profile in explanation.profiles]
    if counter in explanation.failures:
        raise InputError(
            f"{counter} could not count {explanation.reference.spec}: "
            f"{explanation.failures[counter]}",
            f"counters of the file: {listed(names)}",
        )
    if counter not in names:
        raise InputError(
            f"the file has no profile under {counter!r}",
            near_match(counter, names, "counters of the file"),
        )
    return explanation.profiles[names.index(counter)]


def default_depth(profile: CostProfile) -> int:
    """Return the first depth with ``FEWEST_BARS`` to ``MOST_BARS`` bars, or the closest to it.

    Where no depth has as many, it is the deepest with fewer bars, unless that is a single bar: then
    the first with more.
    """
    counts = [len(parts_at(profile, depth)) for depth in range(deepest_cut(profile) + 1)]
    for depth, bars in enumerate(counts):
        if FEWEST_BARS <= bars <= MOST_BARS:
            return depth
    few = [depth for depth, bars in enumerate(counts) if 1 < bars < FEWEST_BARS]
    if few:
        return counts.index(counts[few[-1]])
    return next((depth for depth, bars in enumerate(counts) if bars > MOST_BARS), 0)

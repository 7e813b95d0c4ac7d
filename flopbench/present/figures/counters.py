"""One model under each counter: totals split by operator family, against the dense MACs.

Every counter's total is in its own unit, MACs under its own rules; the dense part is the same
integer for every counter that sees everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from flopbench.core.errors import distinct
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION, Scale, plural, scale_of
from flopbench.counting.cost_row import summarise_gaps
from flopbench.counting.profile import DENSE_FAMILIES, CostProfile
from flopbench.counting.run import Explanation
from flopbench.policy.file_kinds import PROFILES
from flopbench.present.figures.caption import Caption, FigureTable, listed, with_own_look
from flopbench.present.figures.inputs.profiles import (
    PLAIN_NAMES,
    Profiles,
    doubt_of,
    in_order,
    profiled,
)
from flopbench.present.kind import Axes, kind


class CounterBar(Struct, frozen=True, kw_only=True):
    """One counter's count of one model.

    Attributes:
        by_family: operator family -> its share of the total, in the total's unit.
        status: the verdict, empty where the file has none; so is the reason.
        doubt: the verdict with its reason, where it is another than verified; else empty.
        gaps: what it left out that may multiply, as text.
    """

    profile: CostProfile
    by_family: Mapping[str, int]
    status: str
    reason: str
    doubt: str
    gaps: tuple[str, ...]

    @property
    def counter(self) -> str:
        """Its name."""
        return self.profile.counter

    @property
    def total(self) -> int:
        """Its result, in its own unit."""
        return self.profile.total


class ModelBars(Struct, frozen=True, kw_only=True):
    """One model, and each counter's count of it in the file's order.

    Attributes:
        reference: the counter whose dense MACs the others are compared with.
        agreed: whether two libraries give them.
        failures: counter -> why it could not count.
    """

    name: str
    reference: str
    dense_macs: int
    agreed: bool
    bars: tuple[CounterBar, ...]
    failures: Mapping[str, str]


class Counters(Struct, frozen=True, kw_only=True):
    """Models, each under every counter, in the order given."""

    models: tuple[ModelBars, ...]

    @property
    def relative(self) -> bool:
        """Whether bars are percentages of each model's dense MACs: where there are several."""
        return len(self.models) > 1 and all(model.dense_macs for model in self.models)

    @property
    def scale(self) -> Scale:
        """The unit of an axis of counts."""
        return scale_of(max(bar.total for model in self.models for bar in model.bars))

    @property
    def stacked(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(what a legend calls it, families) of every segment, in order of stacking."""
        bars = [bar for model in self.models for bar in model.bars]
        families = in_order(name for bar in bars for name, n in bar.by_family.items() if n)
        counted = [bar for bar in bars if bar.total]
        alone = with_own_look(
            {k: max(bar.by_family.get(k, 0) / bar.total for bar in counted) for k in families}
        )
        small = tuple(name for name in families if name not in alone)
        together = [(f"{len(small)} smaller families", small)] if small else []
        return (*((PLAIN_NAMES[name], (name,)) for name in alone), *together)

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        references = dict.fromkeys(model.reference for model in self.models)
        agreed = all(model.agreed for model in self.models)
        which = "on which two libraries agree" if agreed else "see the verdicts"
        sentences = [
            "Total of one sample under each counter's own rules, split by operator family; above "
            "it the exact total and how far it is from the dense MACs of "
            f"{listed(list(references))} (vertical line; {which}). Bars start at 0."
        ]
        grouped = next((f for label, f in self.stacked if len(f) > 1), ())
        if grouped:
            sentences.append(f"Drawn together: {listed([PLAIN_NAMES[name] for name in grouped])}.")
        profiles = [bar.profile for model in self.models for bar in model.bars]
        sentences += dict.fromkeys(
            f"{p.counter} {p.counter_version}: {p.convention}." for p in profiles
        )
        doubts = self._doubts()
        return Caption(
            title=f"Counter against counter: {listed([model.name for model in self.models])}",
            sentences=(*sentences, *(f"{text}." for text in doubts), CONVENTION),
            alt=" ".join(_alt(model) for model in self.models),
            warnings=tuple(map(Remark, doubts)),
        )

    def _doubts(self) -> list[str]:
        several = len(self.models) > 1
        texts = []
        for model in self.models:
            place = f"{model.name}, " if several else ""
            for bar in model.bars:
                if bar.doubt:
                    texts.append(f"{place}{bar.doubt}")
                if bar.gaps:
                    texts.append(f"{place}{bar.counter} did not count {listed(bar.gaps)}")
            texts += [
                f"{place}{name} could not count it: {why.rstrip('.')}"
                for name, why in model.failures.items()
            ]
        return texts

    @property
    def table(self) -> FigureTable:
        """One row a model, counter and family; a counter that failed has one row without counts."""
        return FigureTable.of(row for model in self.models for row in _rows(model))


def _rows(model: ModelBars) -> Iterator[dict[str, object]]:
    for bar in model.bars:
        over = bar.total / model.dense_macs - 1 if model.dense_macs else None
        for family in in_order(bar.by_family) or (None,):
            yield {
                "spec": model.name,
                "counter": bar.counter,
                "counter_version": bar.profile.counter_version,
                "total": bar.total,
                "dense_macs": bar.profile.dense_macs,
                "total_over_reference_dense": over,
                "family": family,
                "family_total": None if family is None else bar.by_family[family],
                "family_is_dense": None if family is None else family in DENSE_FAMILIES,
                "verdict": bar.status or None,
                "reason": bar.reason or None,
                "convention": bar.profile.convention,
            }
    for name, why in model.failures.items():
        yield {
            "spec": model.name,
            "counter": name,
            **dict.fromkeys(COUNTED),
            "verdict": "failed",
            "reason": why,
            "convention": None,
        }


COUNTED = (
    *("counter_version", "total", "dense_macs", "total_over_reference_dense"),
    *("family", "family_total", "family_is_dense"),
)
"""Columns that a counter which failed leaves empty."""


@kind(takes={PROFILES: "profiles"})
def counters(profiles: Profiles | Sequence[Profiles], ax: Axes | None = None) -> Counters:
    """Draw each counter's total for a model, split by operator family.

    With it come the exact figure and how far it is from the dense MACs. Several files are several
    models, each in percent of its own dense MACs.

    Args:
        profiles: a file of ``flopbench explain -o``, an ``Explanation``, or several models.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes: each counter's total a sample under its own rules; of several models in percent
        of each one's dense MACs.

    Raises:
        InputError: a file of another kind, or none.
        DataError: a damaged file.
    """
    found = profiled(profiles)
    names = distinct([one.reference.spec for one in found])
    return Counters(models=tuple(_model(one, name) for one, name in zip(found, names, strict=True)))


def _model(explanation: Explanation, name: str) -> ModelBars:
    reference = explanation.reference
    bars = []
    for profile in explanation.profiles:
        verdict = explanation.verdicts.get(profile.counter)
        bars.append(
            CounterBar(
                profile=profile,
                by_family={f: op.total for f, op in profile.by_family().items()},
                status=verdict.status if verdict is not None else "",
                reason=verdict.reason if verdict is not None else "",
                doubt=doubt_of(profile.counter, explanation.verdicts),
                gaps=tuple(
                    f"{gap['name']} ({gap['modules']} {plural(gap['modules'], 'module')})"
                    for gap in summarise_gaps(profile.not_counted)
                    if gap["may_multiply"]
                ),
            )
        )
    own = explanation.verdicts.get(reference.counter)
    return ModelBars(
        name=name,
        reference=reference.counter,
        dense_macs=reference.dense_macs,
        agreed=own is not None and own.status == "verified",
        bars=tuple(bars),
        failures=dict(explanation.failures),
    )


def dense_difference(total: int, dense: int) -> str:
    """Return how far a total is from the dense MACs: ``+1.09 %``, ``= dense``.

    A difference never rounds to zero: it gets as many decimals as it needs.
    """
    if total == dense:
        return "= dense"
    if not dense:
        return ""
    value = 100 * (total - dense) / dense
    digits = 2
    while digits < 9 and not float(f"{value:.{digits}f}"):
        digits += 1
    return f"{value:+.{digits}f} %".replace("-", "−")


def total_text(model: ModelBars, bar: CounterBar) -> str:
    """Return a total with how far it is from the dense MACs: ``1,030 (+3.00 %)``."""
    far = dense_difference(bar.total, model.dense_macs)
    return f"{bar.total:,} ({far})" if far else f"{bar.total:,}"


def _alt(model: ModelBars) -> str:
    parts = [f"{bar.counter} {total_text(model, bar)}" for bar in model.bars]
    parts += [f"{name} could not count it" for name in model.failures]
    return f"{model.name}: {', '.join(parts)}."

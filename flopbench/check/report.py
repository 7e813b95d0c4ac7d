"""The result of a check: one record with one JSON form, from which every output is rendered.

JSON: kind ``flopbench.check``, schema 2, keys as the attributes below. An amount is a JSON integer
where it is whole, a JSON number where its decimal text is exact, else a fraction as text
(``"41131473600/3"``); its unit follows from the metric: MACs, elements, MACs per video, seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from typing import Any, Literal

from msgspec import Struct

from flopbench.check.records import EARLIER_NAMES, Budget, Gate, Metric
from flopbench.core.errors import EXIT_CHECK_FAILED, EXIT_MEASURE, EXIT_NOT_COMPARABLE, EXIT_OK

KIND = "flopbench.check"
SCHEMA = 2
"""Schema history: 1; 2 calls ``dense_macs`` and ``macs_per_video`` what 1 called ``macs`` and
``gflops_per_video``."""

State = Literal[
    "same", "better", "worse", "new", "gone", "not comparable", "not measured", "inconclusive"
]
Cause = Literal[
    "resolution", "width", "depth", "kernel", "groups", "new operator", "calls", "other"
]
Part = Literal["choices", "unit costs"]

ADVISORY = "advisory: this does not fail the check"
"""Reason of a violation under an advisory gate."""


class MetricResult(Struct, frozen=True, kw_only=True):
    """One metric of one entry against its baseline and its budget.

    Attributes:
        state: against the baseline; ``inconclusive`` for a latency only.
        old: the baseline's amount, None where there is none.
        new: the measured amount, None where there is none.
        limit: of the budget, as are ``limit_text``, ``max_increase`` and ``note``.
        allowed: the most that the baseline and its tolerance allow; None without a baseline.
        budget_line: line of the budget in the configuration, 0 for the default.
        reason: one sentence where the state or the verdict needs one, else empty.
        accepted: the reason with which a growth against another revision was accepted, else empty.
    """

    metric: Metric
    state: State
    failed: bool
    gate: Gate
    old: Fraction | None = None
    new: Fraction | None = None
    limit: Fraction | None = None
    limit_text: str = ""
    over_limit: bool = False
    max_increase: Fraction = Fraction(0)
    allowed: Fraction | None = None
    budget_line: int = 0
    note: str = ""
    reason: str = ""
    accepted: str = ""

    @classmethod
    def under(
        cls,
        budget: Budget,
        state: State,
        *,
        violated: bool,
        old: Fraction | None,
        new: Fraction | None,
        over_limit: bool,
        reason: str,
    ) -> MetricResult:
        """Make the result of one metric under its budget; an advisory gate never fails."""
        return cls(
            metric=budget.metric,
            state=state,
            failed=violated and budget.gate != "advisory",
            gate=budget.gate,
            old=old,
            new=new,
            limit=budget.limit,
            limit_text=budget.limit_text,
            over_limit=over_limit,
            max_increase=budget.max_increase,
            allowed=None if old is None else budget.allowed_from(old),
            budget_line=budget.line,
            note=budget.note,
            reason=reason,
        )

    @property
    def delta(self) -> Fraction | None:
        """How much the amount grew, negative where it shrank."""
        if self.old is None or self.new is None:
            return None
        return self.new - self.old


class ModuleChange(Struct, frozen=True, kw_only=True):
    """One module of a model that changed.

    Attributes:
        path: its path now, or its old one where it is gone; ``""`` is the model itself.
        old_path: its path in the baseline where that differs, else empty.
        added_macs: dense MACs now minus before.
        detail: what exactly, in a few words (``weight 64x64x3x3 -> 128x64x3x3``).
        follows: whether the change is derived: it only results from another module's (a wider
            input, fewer or more positions), which is the one to look at.
        source: ``file:line`` of the class to look at, empty where it is not the user's code.
    """

    path: str
    old_path: str = ""
    type: str
    added_macs: int
    added_params: int
    added_activations: int
    cause: Cause
    detail: str = ""
    follows: bool = False
    source: str = ""


class CauseShare(Struct, frozen=True, kw_only=True):
    """How much of an entry's change has one cause.

    Attributes:
        detail: what started it, in a few words, naming a module, all blocks or the input.
    """

    cause: Cause
    added_macs: int
    added_params: int
    detail: str = ""


class EventShare(Struct, frozen=True, kw_only=True):
    """One action's, exit's or charge's part in the change of a policy's cost, in MACs per video.

    Attributes:
        old_times: how often per video before, None where it did not exist; so are the next three.
        old_macs: cost each time before.
        choices: part of the change that is due to how often it happens.
        unit_costs: part that is due to what it costs each time.
    """

    name: str
    old_times: Fraction | None
    new_times: Fraction | None
    old_macs: Fraction | None
    new_macs: Fraction | None
    choices: Fraction
    unit_costs: Fraction


class ComponentChange(Struct, frozen=True, kw_only=True):
    """A network of a policy whose price changed, in MACs per run; None where it did not exist."""

    name: str
    old_spec: str
    new_spec: str
    old_macs: int | None
    new_macs: int | None


class Split(Struct, frozen=True, kw_only=True):
    """The change of a policy's cost, split into choices and unit costs; exact.

    Attributes:
        choices: MACs per video because the policy's mix changed.
        unit_costs: MACs per video because the costs of its networks changed.
        events: one per action; they sum to the whole.
    """

    choices: Fraction
    unit_costs: Fraction
    leading: Part
    events: tuple[EventShare, ...]
    components: tuple[ComponentChange, ...] = ()


class EntryResult(Struct, frozen=True, kw_only=True):
    """One entry.

    Attributes:
        what: its specification or log; from the baseline where the entry is gone.
        line: its line in the configuration, 0 where it has none.
        state: the worst of its metrics' states.
        modules: the five modules that grew most (shrank most, where the entry is better): those
            that started the change first, then the derived ones.
        notes: further remarks (a library changed a total but no dense MACs; gaps).
        source: ``file:line`` to look at: the class of the first module, else the configuration.
        reason: why it is not comparable or could not be measured, else empty.
    """

    name: str
    what: str
    line: int = 0
    state: State
    failed: bool
    metrics: tuple[MetricResult, ...] = ()
    causes: tuple[CauseShare, ...] = ()
    modules: tuple[ModuleChange, ...] = ()
    more_modules: int = 0
    split: Split | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    reason: str = ""


class SelfTestResult(Struct, frozen=True, kw_only=True):
    """One injected growth and what the check made of it.

    Attributes:
        caught: whether the check failed, as it must.
        reason: why it did not, else empty.
    """

    entry: str
    metric: Metric
    caught: bool
    reason: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """One check.

    Attributes:
        baseline: the baseline: a file, or ``REF:file``; empty where there is none yet.
        counter: the counter whose MACs are guarded; ``convention`` says how it counts.
        entries: in the order of the configuration, then those that are gone.
        budgets: how many the configuration has.
        unmatched: the budgets that match no entry, as ``file:line: match metric``.
        drill: results of the self-test; empty outside one.
        drill_share: how much growth it injected, as a share.
        notices: remarks on the whole check (no baseline yet).
    """

    config: str
    baseline: str
    counter: str
    convention: str
    entries: tuple[EntryResult, ...]
    budgets: int = 0
    unmatched: tuple[str, ...] = ()
    drill: tuple[SelfTestResult, ...] = ()
    drill_share: Fraction | None = None
    notices: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[EntryResult, ...]:
        """The entries that fail the check."""
        return tuple(entry for entry in self.entries if entry.failed)

    @property
    def improvements(self) -> tuple[EntryResult, ...]:
        """The entries that became cheaper and did not grow in any metric."""
        return tuple(entry for entry in self.entries if entry.state == "better")

    @property
    def exit_status(self) -> int:
        """1 where something costs more than allowed or is gone; else 3, 4 or 0.

        A certain failure outweighs an entry that could not be checked.
        """
        if self.failures or not all(result.caught for result in self.drill):
            return EXIT_CHECK_FAILED
        states = {entry.state for entry in self.entries}
        if "not measured" in states:
            return EXIT_MEASURE
        return EXIT_NOT_COMPARABLE if "not comparable" in states else EXIT_OK

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with ``kind``, ``schema`` and the exit ``status``."""
        import msgspec

        fields: dict[str, Any] = msgspec.to_builtins(self, enc_hook=plain_amount)
        return {"kind": KIND, "schema": SCHEMA, "status": self.exit_status, **fields}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Report:
        """Rebuild what ``to_json`` returned.

        Args:
            data: what JSON gave.
            where: names the file, for messages.

        Raises:
            DataError: another kind, a newer schema, or a missing or wrong field.
        """
        from flopbench.core.files import check_schema
        from flopbench.core.records import decode

        check_schema(
            data,
            where,
            kind=KIND,
            schema=SCHEMA,
            what="a report of flopbench check",
            remake="flopbench check --format json",
        )
        fields = {
            key: _with_current_names(data[key]) for key in data if key in cls.__struct_fields__
        }
        return decode(fields, cls, where, dec_hook=lambda _, value: amount_from(value))


def _with_current_names(value: Any) -> Any:
    """Give the metrics of a report of schema 1 their current names."""
    if isinstance(value, list):
        return [_with_current_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _with_current_names(item) for key, item in value.items()}
    name = renamed.get("metric")
    if isinstance(name, str):
        renamed["metric"] = EARLIER_NAMES.get(name, name)
    return renamed


def plain_amount(value: Fraction) -> int | float | str:
    """Return an amount as JSON holds it: a whole number, an exact decimal number, or ``n/d``."""
    if value.denominator == 1:
        return value.numerator
    number = float(value)
    return number if Fraction(repr(number)) == value else str(value)


def amount_from(value: Any) -> Fraction:
    """Rebuild an amount; of anything but a number or a fraction a ValueError says so."""
    if type(value) is int or (isinstance(value, float) and isfinite(value)):
        return Fraction(value if isinstance(value, int) else repr(value))
    # The only text allowed is n/d: Fraction would write out the zeros of "1e999999999".
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,400}/[1-9][0-9]{0,399}", value):
        return Fraction(value)
    raise ValueError("a number or a fraction")

"""Times, accepted times and budgets -> verdicts. Pure.

A time is never exact, so one number decides nothing. A ratio (time now / time before) has an
interval of 95 %; with an allowance of 10 % it is

* ``worse`` where the whole interval is above 1.1: only this can fail;
* ``inconclusive`` where 1.1 is inside the interval, or the samples cannot be trusted;
* ``better`` where the whole interval is below 1 / 1.1: going back would be ``worse``. A smaller
  gain is no reason to move the accepted time, since noise could then make the next check fail;
* ``same`` otherwise.

A limit fails where even the lower end of the interval for a repeat exceeds it.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct

from flopbench.check.records import Budget
from flopbench.check.report import ADVISORY, MetricResult, State
from flopbench.core.errors import NotComparableError
from flopbench.core.statistics import FEWEST_PROCESSES
from flopbench.core.units import milliseconds
from flopbench.timing.comparison import TimeComparison, compare_rows
from flopbench.timing.devices import DeviceFacts, differing
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing
from flopbench.timing.verdicts import Summary, summarise

SHOWN_FACTS = 3
"""How many differences between two machines a reason names."""

_LIBRARY = "torch."
"""Prefix of the facts about the library among those of the machine."""


class TimedModel(Struct, frozen=True, kw_only=True):
    """One row, and the machine that it was measured on."""

    row: Timing
    facts: DeviceFacts

    @classmethod
    def all_of(cls, file: TimingFile) -> list[TimedModel]:
        """Return the rows of a file."""
        return [cls(row=row, facts=file.device_of(row)) for row in file.rows]

    @property
    def summary(self) -> Summary:
        """Summary of the row."""
        return summarise(self.row, self.facts)


def outcome(
    budget: Budget,
    state: State,
    reason: str = "",
    *,
    old: Fraction | None = None,
    new: Fraction | None = None,
    over: bool = False,
) -> MetricResult:
    """Return a verdict; it fails where the time is worse or over its limit, unless advisory.

    ``old`` and ``new`` are seconds; ``over`` says that the limit is certainly exceeded.
    """
    spared = old is not None and new is not None and new - old <= budget.min_delta
    violated = over or (state == "worse" and not spared)
    reasons = [reason]
    if state == "worse" and spared:
        reasons.append("at most min-delta more, so it passes")
    if violated and budget.gate == "advisory":
        reasons.append(ADVISORY)
    return MetricResult.under(
        budget,
        state,
        violated=violated,
        old=old,
        new=new,
        over_limit=over,
        reason="; ".join(filter(None, reasons)),
    )


def judge_time(
    budget: Budget,
    old: TimedModel | None,
    new: TimedModel,
    *,
    state: State = "new",
    reason: str = "",
) -> MetricResult:
    """Compare a time with an earlier one, and with its limit.

    Rows timed with alternating calls are compared sample by sample. Without an old time ``state``
    and ``reason`` say why there is none.
    """
    if new.row.failure or not new.row.processes:
        return outcome(budget, "not measured", new.row.failure or "no process timed it")
    if old is not None:
        state, reason = _change(budget, old, new)
    over, doubt = _limit(budget, new)
    if doubt:
        state = state if state in {"worse", "not comparable"} else "inconclusive"
        reason = "; ".join(filter(None, (reason, doubt)))
    before = _seconds(old) if old is not None else None
    return outcome(budget, state, reason, old=before, new=_seconds(new), over=over)


def other_machine(accepted: DeviceFacts, here: DeviceFacts) -> str:
    """Say why an accepted time cannot be compared here; an empty text where it can."""
    apart = differing(accepted, here)
    if not apart:
        return ""
    shown = apart[:SHOWN_FACTS]
    listed = "; ".join(f"{key}: {then!r} then, {now!r} here" for key, then, now in shown)
    more = f" and {len(apart) - SHOWN_FACTS} more" if apart[SHOWN_FACTS:] else ""
    library = all(key.startswith(_LIBRARY) for key, _, _ in apart)
    what = "with another torch" if library else "on another machine"
    return f"the accepted time was measured {what} ({listed}{more})"


def _change(budget: Budget, old: TimedModel, new: TimedModel) -> tuple[State, str]:
    """Return the state of a time against an earlier one, and its reason."""
    try:
        comparison = compare_rows(old.row, new.row)
    except NotComparableError as error:
        return "not comparable", error.message
    doubt = _doubt(old, "the earlier time", comparison) or _doubt(new, "the time", comparison)
    fewest = min(len(row.processes) for row in (old.row, new.row))
    if comparison.interval is None or comparison.ratio is None or fewest < FEWEST_PROCESSES:
        return "inconclusive", doubt or comparison.reason
    if doubt:
        return "inconclusive", doubt
    low, high = comparison.interval
    ratio = f"{comparison.ratio:.3f} times as long (95 %: {low:.3f} to {high:.3f})"
    most = 1 + budget.max_increase
    if low > most:
        return "worse", ratio
    if high > most:
        return "inconclusive", f"{ratio}, and {float(most):.3f} is allowed"
    return ("better", ratio) if high * most < 1 else ("same", "")


def _doubt(timed: TimedModel, name: str, comparison: TimeComparison) -> str:
    """Say why a row cannot be judged; an empty text where it can."""
    summary = timed.summary
    # Processes may differ where calls alternate: what disturbed one disturbed the other too.
    severe = {"invalid"} if comparison.paired else {"invalid", "unstable"}
    if summary.verdict not in severe:
        return ""
    return f"{name} is {summary.verdict}: {summary.reasons[0]}"


def _limit(budget: Budget, new: TimedModel) -> tuple[bool, str]:
    """Return whether the limit is certainly exceeded, and if it only seems so, why."""
    summary = new.summary
    if budget.limit is None or _seconds(new) <= budget.limit:
        return False, ""
    seems = f"{milliseconds(float(_seconds(new)))} ms seems to be over the limit"
    if summary.verdict in {"invalid", "unstable"}:
        return False, f"{seems}, but the time is {summary.verdict}: {summary.reasons[0]}"
    if summary.interval_s is None or summary.processes < FEWEST_PROCESSES:
        return False, f"{seems}, but {FEWEST_PROCESSES} processes are needed to decide"
    low = summary.interval_s[0]
    if low > budget.limit:
        return True, ""
    return False, f"{seems}, but a repeat may give {milliseconds(low)} ms"


def _seconds(timed: TimedModel) -> Fraction:
    """Return the headline time from its shortest exact decimal text, in seconds."""
    headline = timed.summary.headline_s
    return Fraction(repr(headline if headline is not None else 0.0))

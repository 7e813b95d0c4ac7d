"""Published numbers, recomputed: each claim reproduced, off by so much, or not derivable, and why.

Claims are read from TOML files (``reading``), recomputed (``deriving``) and judged (``verdicts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flopbench.audit.deriving import components_of, derive
from flopbench.audit.pricing import Counted, Measured
from flopbench.audit.reading import PUBLISHED, read_claims, shipped_claims
from flopbench.audit.records import Claim, ClaimFile, Derived, as_printed, decimals, rounded
from flopbench.audit.verdicts import VERDICTS, ClaimVerdict, Verdict, judge_claim, signed_percent
from flopbench.core.errors import InputError, MeasureError
from flopbench.core.units import FLOPS_PER_MAC, Count
from flopbench.core.version import VERSION
from flopbench.core.workers import Progress
from flopbench.counting.registry import find_counter, installed_version, own_counters
from flopbench.counting.rows import table_environment
from flopbench.counting.run import measure
from flopbench.models.spec import LIBRARY_SOURCES, ModelSpec

__all__ = [
    "Audit",
    "Claim",
    "ClaimFile",
    "ClaimResult",
    "audit",
    "check_claims",
    "read_claims",
    "shipped_claims",
]

FURTHER_DIGITS = 2
"""A recomputed number is shown with so many more digits than the printed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One claim and its verdict.

    Attributes:
        file: name of the claims file.
        claim: what was printed.
        verdict: one of ``verdicts.VERDICTS``.
        read_as: for a unit with two readings (``GFLOPS``), the one that gives the printed number;
            None for other units, and where neither does: ``recomputed`` is in MACs then.
        recomputed: in the claim's unit, exact; None where it could not be derived.
        off: printed / recomputed - 1 where the claim is off.
        reasons: why it is not reproduced, as far as known.
        derivation: spelled out; empty where there is none.
        notes: sources of prices, misprints, the claim's own note.
        unmeasured: whether there is no number because a model could not be counted.
    """

    file: str
    claim: Claim
    verdict: Verdict
    read_as: Count | None = None
    recomputed: Fraction | None = None
    off: Fraction | None = None
    reasons: tuple[str, ...] = ()
    derivation: str = ""
    notes: tuple[str, ...] = ()
    unmeasured: bool = False

    @property
    def printed_text(self) -> str:
        """The number as printed, with its unit."""
        return f"{as_printed(self.claim.printed)} {self.claim.unit}"

    @property
    def recomputed_text(self) -> str:
        """The recomputed number with two more digits than the printed one; empty without one."""
        if self.recomputed is None:
            return ""
        return rounded(self.recomputed, decimals(self.claim.printed) + FURTHER_DIGITS)

    @property
    def off_text(self) -> str:
        """How far the printed number is off (``+87 %``); empty where it is not off."""
        return "" if self.off is None else signed_percent(self.off)

    @property
    def verdict_text(self) -> str:
        """The verdict in a few words, such as ``off by +87 %``; it names a reading as FLOPs."""
        if self.read_as == "FLOPs":
            return f"{self.verdict} as FLOPs ({FLOPS_PER_MAC} per MAC)"
        return f"off by {self.off_text}" if self.off is not None else self.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All claims of some files.

    Attributes:
        files: in the order requested.
        results: of every claim, in the files' order.
        counters: counter -> its rules, for those that were used.
        environment: name -> version of the libraries that counted.
    """

    files: tuple[ClaimFile, ...]
    results: tuple[ClaimResult, ...]
    counters: Mapping[str, str]
    environment: Mapping[str, str]

    def of(self, file: ClaimFile) -> tuple[ClaimResult, ...]:
        """Return the results of one file."""
        return tuple(f for f in self.results if f.file == file.name)

    def counts(self) -> dict[Verdict, int]:
        """Return how many claims have each verdict."""
        found = Counter(result.verdict for result in self.results)
        return {verdict: found[verdict] for verdict in VERDICTS}


def audit(
    files: Sequence[ClaimFile], *, refresh: bool = False, progress: Progress | None = None
) -> Audit:
    """Recompute every claim of some files.

    Args:
        files: from ``read_claims``.
        refresh: count models again instead of reading the cache.
        progress: called before each measurement.

    Raises:
        InputError: a model that does not exist; the message names file and claim.
        DataError: a name or a published figure that does not exist.
    """
    claims = [(file.name, claim) for file in files for claim in file.claims]
    measured = _measured([claim for _, claim in claims], refresh, progress)
    counted = {key: p for key, p in measured.items() if not isinstance(p, str)}
    versions = {"flopbench": VERSION}
    if counted:
        specs, counters = zip(*counted, strict=True)
        versions = table_environment(specs, counters)
    return Audit(
        files=tuple(files),
        results=tuple(_result(name, claim, measured) for name, claim in claims),
        counters={p.counter: p.convention for p in counted.values()},
        environment=versions,
    )


def check_claims(files: Sequence[ClaimFile]) -> None:
    """Refuse faulty claims as far as possible before anything is counted.

    Raises:
        DataError: a preset, an action, a variant or a published figure that does not exist; shares
            that do not add up.
    """
    for file in files:
        for claim in file.claims:
            wanted = components_of(claim).values()
            if all(c.counter in {"", PUBLISHED} for c in wanted):
                derive(claim, {})


def _result(file: str, claim: Claim, measured: Measured) -> ClaimResult:
    derived = derive(claim, measured)
    notes = (claim.note,) if claim.note else ()
    if isinstance(derived, str):
        wanted = [(c.spec, c.counter) for c in components_of(claim).values()]
        return ClaimResult(
            file=file,
            claim=claim,
            verdict="not derivable",
            reasons=tuple(text for text in (claim.reason, derived) if text),
            notes=notes,
            unmeasured=any(isinstance(measured.get(key), str) for key in wanted),
        )
    read_as: Count | None = None
    judged = _judge(claim, derived)
    if claim.has_two_readings:
        if judged.verdict != "off":
            read_as = "MACs"
        else:
            of_flops = derive(claim, measured, "FLOPs")
            if not isinstance(of_flops, str) and _judge(claim, of_flops).verdict != "off":
                read_as, derived, judged = "FLOPs", of_flops, _judge(claim, of_flops)
    return ClaimResult(
        file=file,
        claim=claim,
        verdict=judged.verdict,
        read_as=read_as,
        recomputed=derived.value,
        off=judged.off,
        reasons=judged.reasons,
        derivation=derived.text,
        notes=(*notes, *derived.notes),
    )


def _judge(claim: Claim, derived: Derived) -> ClaimVerdict:
    is_cost = bool(claim.readings)
    return judge_claim(claim.printed, derived, is_cost=is_cost, reason=claim.reason)


def _measured(claims: Sequence[Claim], refresh: bool, progress: Progress | None) -> Measured:
    wanted: dict[tuple[ModelSpec, str], str] = {}
    for claim in claims:
        for component in components_of(claim).values():
            if component.counter not in {"", PUBLISHED}:
                wanted.setdefault((component.spec, component.counter), claim.where)
    results: dict[tuple[ModelSpec, str], Counted] = {}
    for done, ((spec, counter), where) in enumerate(wanted.items()):

        def tell(_done: int, _all: int, what: str, done: int = done) -> None:
            if progress is not None:
                progress(done, len(wanted), what)

        results[spec, counter] = _count(spec, counter, where, refresh, tell)
    return results


def _count(spec: ModelSpec, counter: str, where: str, refresh: bool, progress: Progress) -> Counted:
    try:
        result = measure([spec], [counter], refresh=refresh, progress=progress)[0]
    except InputError as error:
        missing = _missing_library(spec, counter)
        if missing:
            return f"{missing} is not installed"
        raise InputError(f"{where}: {error.message}", error.hint) from None
    except MeasureError as error:
        return error.message
    return result.under(counter) or result.failures[counter]


def _missing_library(spec: ModelSpec, counter: str) -> str:
    """Return the first library that counting needs and that is not installed; empty if none."""
    own = {info.name: info.distribution for info in own_counters()}
    needed = [own.get(counter) or find_counter(counter).distribution, "torch"]
    needed += [spec.source] if spec.source in LIBRARY_SOURCES else []
    return next((name for name in needed if installed_version(name) is None), "")

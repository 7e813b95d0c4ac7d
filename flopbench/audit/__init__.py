"""Published numbers, recomputed: each claim reproduced, off by so much, or not derivable, and why.

Claims are read from TOML files (``reading``), recomputed (``deriving``) and judged (``verdicts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction

from msgspec import Struct

from flopbench.audit.deriving import derive
from flopbench.audit.records import Claim, ClaimFile, Derived, NotDerived, decimals, rounded
from flopbench.audit.verdicts import VERDICTS, ClaimVerdict, Verdict, judge_claim, signed_percent
from flopbench.core.errors import InputError, MeasureError
from flopbench.core.units import FLOPS_PER_MAC, Count
from flopbench.core.version import VERSION
from flopbench.core.workers import Progress
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import find_counter, installed_version, own_counters
from flopbench.counting.rows import table_environment
from flopbench.counting.run import measure
from flopbench.estimate.prices import PUBLISHED
from flopbench.models.spec import LIBRARY_SOURCES, ModelSpec

READ_AS: Mapping[Count, str] = {"MACs": "MACs", "FLOPs": f"FLOPs ({FLOPS_PER_MAC} a MAC)"}
FURTHER_DIGITS = 2
"""A recomputed number is shown with so many more digits than the printed one."""


class ClaimResult(Struct, frozen=True, kw_only=True):
    """One claim of a file, and its verdict.

    Attributes:
        read_as: for a unit with two readings (``GFLOPS``), the one that gives the printed number;
            None for other units, and where neither does: ``recomputed`` is by the first then.
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
        return f"{self.claim.printed:f} {self.claim.unit}"

    @property
    def recomputed_text(self) -> str:
        """The recomputed number with two more digits than the printed one; empty without one."""
        if self.recomputed is None:
            return ""
        return rounded(self.recomputed, decimals(self.claim.printed) + FURTHER_DIGITS)

    @property
    def off_text(self) -> str:
        """How far the printed number is off (``+87 %``); empty where it is reproduced."""
        return "" if self.off is None else signed_percent(self.off)

    @property
    def verdict_text(self) -> str:
        """The verdict in a few words: ``off by +87 %``, ``reproduced as FLOPs (2 a MAC)``."""
        if self.off is not None and self.verdict == "off":
            return f"off by {self.off_text}"
        text = f"{self.verdict} ({self.off_text})" if self.off is not None else self.verdict
        return f"{text} as {READ_AS[self.read_as]}" if self.read_as else text


class Audit(Struct, frozen=True, kw_only=True):
    """All claims of some files, in their order, and by which counters and libraries."""

    files: tuple[ClaimFile, ...]
    results: tuple[ClaimResult, ...]
    counters: Mapping[str, str]
    """Counter -> its rules, for those that were used."""
    environment: Mapping[str, str]
    """Name -> version of the libraries that counted."""

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
    """Recompute every claim of some files from ``read_claims``."""
    claims = [(file.name, claim) for file in files for claim in file.claims]
    wanted: dict[tuple[ModelSpec, str], str] = {}
    for _, claim in claims:
        for component in claim.components.values():
            if component.counter not in {"", PUBLISHED}:
                wanted.setdefault((component.spec, component.counter), claim.where)
    measured: dict[tuple[ModelSpec, str], CostProfile | str] = {}
    for done, ((spec, counter), where) in enumerate(wanted.items()):

        def tell(_done: int, _all: int, what: str, done: int = done) -> None:
            if progress is not None:
                progress(done, len(wanted), what)

        measured[spec, counter] = _count(spec, counter, where, refresh, tell)
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
    """Refuse faulty claims as far as possible before anything is counted."""
    for claim in (claim for file in files for claim in file.claims):
        if all(c.counter in {"", PUBLISHED} for c in claim.components.values()):
            with suppress(NotDerived):
                derive(claim, {})


def _result(
    file: str, claim: Claim, measured: Mapping[tuple[ModelSpec, str], CostProfile | str]
) -> ClaimResult:
    notes = (claim.note,) if claim.note else ()
    try:
        derived = derive(claim, measured)
    except NotDerived as why:
        wanted = [(c.spec, c.counter) for c in claim.components.values()]
        return ClaimResult(
            file=file,
            claim=claim,
            verdict="not derivable",
            reasons=tuple(text for text in (claim.reason, str(why)) if text),
            notes=notes,
            unmeasured=any(isinstance(measured.get(key), str) for key in wanted),
        )
    read_as: Count | None = None
    judged = _judge(claim, derived)
    for reading in claim.readings if claim.has_two_readings else ():
        by_reading = derive(claim, measured, reading)
        found = _judge(claim, by_reading)
        if found.verdict != "off":
            read_as, derived, judged = reading, by_reading, found
            break
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


def _count(
    spec: ModelSpec, counter: str, where: str, refresh: bool, progress: Progress
) -> CostProfile | str:
    """Count a model; return why that failed where it is not the claim's fault."""
    try:
        result = measure([spec], [counter], refresh=refresh, progress=progress)[0]
    except InputError as error:
        own = {info.name: info.library for info in own_counters()}
        needed = [own.get(counter) or find_counter(counter).library, "torch"]
        needed += [spec.source] if spec.source in LIBRARY_SOURCES else []
        for library in needed:
            if installed_version(library) is None:
                return f"{library} is not installed"
        raise InputError(f"{where}: {error.message}", error.hint) from None
    except MeasureError as error:
        return error.line
    return result.under(counter) or result.failures[counter]

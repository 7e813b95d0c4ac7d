"""Audited claims as text: one table per publication, one footnote per claim.

File format (JSON): ``{"schema": 1, "kind": "flopbench.audit", "convention": ..., "counters":
{name: rules}, "environment": {name: version}, "summary": {verdict: how many}, "files": [{"name",
"title", "source"}], "results": [{"file", "id", "what", "printed", "unit", "recomputed",
"recomputed_exact", "verdict", "read_as", "off_percent", "reasons", "derivation", "notes",
"unmeasured"}]}``.
``printed`` and ``recomputed`` are text with their digits, ``recomputed_exact`` is a fraction; the
last two are null where a number could not be derived. ``read_as`` is ``MACs`` or ``FLOPs`` where
one of the two readings of a unit (``GFLOPS``, ``GFLOPs``) gives the printed number, else null.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flopbench.audit import READ_AS, Audit, ClaimResult
from flopbench.audit.records import ClaimFile
from flopbench.core.grid import Grid, to_csv
from flopbench.core.tables import Tables, grid_of
from flopbench.core.units import CONVENTION, number_of

SCHEMA = 1
KIND = "flopbench.audit"

STYLES = {"reproduced": "green", "rounding only": "yellow", "not derivable": "yellow"}
"""Colours of verdicts; a claim that is off is drawn red."""

MEANING = "off by: printed against recomputed, which is exact and shown with two more digits."
READINGS = (
    "A unit of FLOPs may count MACs, as in many papers, or FLOPs (2 a MAC): both are tried, and "
    "the verdict names the one that gives the number."
)


def audit_grid(audit: Audit, file: ClaimFile) -> Grid:
    """Lay out the claims of one file, with the derivation and reasons of each as a footnote."""
    results = audit.of(file)
    notes = {result.claim.id: _footnote(result) for result in results}
    rows = [
        {
            "claim": f"{result.claim.id} [{number}]",
            "what": result.claim.what,
            "printed": result.printed_text,
            "recomputed": result.recomputed_text or "-",
            "verdict": result.verdict_text,
        }
        for number, result in enumerate(results, 1)
    ]
    doubted = {notes[one.claim.id] for one in results if one.verdict != "reproduced"}
    return grid_of(
        f"{file.title} ({file.source})" if file.source else file.title,
        rows,
        ("claim", "what", "verdict"),
        spare=("what", "printed", "recomputed"),
        footnotes=tuple(notes.values()),
        stay=doubted.union(_convention(results)),
        caption=_convention(results),
    )


def _convention(results: Sequence[ClaimResult]) -> tuple[str, ...]:
    """Say what a publication's units count, where two readings were tried."""
    units = {one.claim.unit.partition("/")[0] for one in results if one.read_as}
    counts = Counter(READ_AS[one.read_as] for one in results if one.read_as)
    told = [f"{what} in {number_of(n, 'claim')}" for what, n in counts.items()]
    many = " and ".join(told) if len(counts) > 1 else "".join(counts)
    return (f"By {' and '.join(sorted(units))}, {many} are meant here.",) if counts else ()


def audit_tables(audit: Audit) -> Tables:
    """Return an audit, ready to be shown: a table per publication."""
    summary, general, *notes = _below(audit)
    return Tables(
        grids={f"audit-{n}": audit_grid(audit, file) for n, file in enumerate(audit.files, 1)},
        csv=lambda: audit_csv(audit),
        json=lambda: audit_json(audit),
        below=(summary, general),
        notes=notes,
        styles={f.verdict_text: STYLES.get(f.verdict, "red") for f in audit.results},
    )


def audit_json(audit: Audit) -> str:
    """Return the audit file; the same audit gives the same bytes."""
    data = {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "counters": dict(audit.counters),
        "environment": dict(audit.environment),
        "summary": audit.counts(),
        "files": [{"name": f.name, "title": f.title, "source": f.source} for f in audit.files],
        "results": [_record(result) for result in audit.results],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def audit_csv(audit: Audit) -> str:
    """Return one line per claim, lists joined by ``; ``."""
    records = [_record(result) for result in audit.results]
    rows = [
        ["; ".join(value) if isinstance(value, list) else value for value in record.values()]
        for record in records
    ]
    return to_csv(list(records[0]), rows)


def _record(result: ClaimResult) -> dict[str, Any]:
    return {
        "file": result.file,
        "id": result.claim.id,
        "what": result.claim.what,
        "printed": f"{result.claim.printed:f}",
        "unit": result.claim.unit,
        "recomputed": result.recomputed_text or None,
        "recomputed_exact": None if result.recomputed is None else str(result.recomputed),
        "verdict": result.verdict,
        "read_as": result.read_as,
        "off_percent": result.off_text.removesuffix(" %") or None,
        "reasons": list(result.reasons),
        "derivation": result.derivation,
        "notes": list(result.notes),
        "unmeasured": result.unmeasured,
    }


def _footnote(result: ClaimResult) -> str:
    parts = [result.derivation, *result.reasons, *result.notes]
    return "; ".join(part.rstrip(".") for part in parts if part) + "."


def _below(audit: Audit) -> list[str]:
    counts = audit.counts()
    summary = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    claims = number_of(len(audit.results), "claim")
    versions = ", ".join(f"{name} {value}" for name, value in audit.environment.items())
    return [
        f"{claims}: {summary}.",
        f"{MEANING} {CONVENTION}",
        *([READINGS] if any(f.claim.has_two_readings for f in audit.results) else []),
        *(f"{name}: {rules}." for name, rules in audit.counters.items()),
        f"Made with {versions}.",
    ]

"""Where the prices of a log come from: rows of a saved table, of the cache, or measured now.

Code that a log names is never measured here: its rows come from a table or from the cache.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flopbench.core.errors import FlopbenchError, InputError
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.cost_row import CostRow, trusted_row
from flopbench.counting.own_code import is_below_here
from flopbench.counting.registry import is_installed
from flopbench.counting.rows import measured_rows
from flopbench.counting.run import NOT_CACHED, measure
from flopbench.counting.table import CostTable
from flopbench.estimate.components import Chosen, code_of_log, named
from flopbench.models.spec import ModelSpec


class UnpricedError(InputError):
    """Components that have no price and must not be measured; ``components`` says what they are."""

    components: Mapping[str, str] = {}


def rows_of(
    chosen: Mapping[str, Chosen],
    counters: list[str],
    table: CostTable | None,
    may_measure: bool,
    terms: Mapping[str, Any],
    log: str = "",
) -> tuple[dict[str, dict[str, CostRow]], set[str]]:
    """Return specification -> counter -> row, and the specifications that the table lacked.

    A table that has a model only under counters other than the primary one lacks it: its rows are
    kept, and the rest is measured, on the terms of ``measure``. Messages name the log.
    """
    specs = [one.spec for one in chosen.values() if one.spec.source != "value"]
    rows = {str(spec): _in_table(spec, table) for spec in specs}
    primary = set(counters[:1])
    missing = [s for s in specs if not rows[str(s)] or not primary <= rows[str(s)].keys()]
    # Without a counter's library, its cached profiles may be of another version.
    installed = [name for name in counters if is_installed(name)]
    by_user = {one.spec for one in chosen.values() if not one.of_log}
    code = {one.spec for one in code_of_log(chosen).values()} - by_user
    still = code if may_measure else set(specs)
    runs = [spec for spec in missing if spec not in still]
    found_now = measure(runs, counters, **terms, keep_going=True) if runs else []
    _refuse_broken(chosen, {one.spec: one.broken for one in found_now if one.broken}, log)
    # Even to look for counts of it, no file is read that a log names elsewhere.
    lost = {spec for spec in code if not is_below_here(spec)}
    kept = [spec for spec in missing if spec in still - lost]
    if kept and installed:
        still_terms = {**terms, "refresh": False}  # what must not run cannot be refreshed
        found_now += measure(kept, installed, **still_terms, keep_going=True, cached_only=True)
    for one in found_now:
        for row in measured_rows(one, counters if one.spec in runs else installed, None):
            rows[str(one.spec)].setdefault(row.counter, row)
    if table is None or not (may_measure or installed):
        return rows, set()
    for spec in specs:
        of_spec = rows[str(spec)]
        doubted = any(row.is_doubted for row in of_spec.values())
        if doubted and REFERENCE not in of_spec and trusted_row(of_spec.values()) is None:
            with contextlib.suppress(FlopbenchError):  # then the doubt remains, and is named
                one = measure([spec], [REFERENCE], cached_only=spec in still)[0]
                of_spec |= {row.counter: row for row in measured_rows(one, [REFERENCE], None)}
    return rows, {str(spec) for spec in missing}


def refuse_unpriced(
    chosen: Mapping[str, Chosen],
    counter: str,
    rows: Mapping[str, Mapping[str, CostRow]],
    may_measure: bool,
    table_source: str,
    make_table: str,
) -> None:
    """Name all components without a price that must not be measured, and the way to one."""
    lacking = {}
    for name, one in chosen.items():
        row = rows.get(str(one.spec), {}).get(counter)
        absent = row is None or any(note.endswith(NOT_CACHED) for note in row.notes)
        held = one.is_code_of_log or not may_measure
        if absent and held and one.spec.source != "value":
            lacking[name] = one
    if not lacking:
        return
    code = code_of_log(lacking)
    by_user = shlex.join(str(one.spec) for one in lacking.values() if not one.of_log)
    make_table = (
        make_table.replace("table --for", f"table {by_user} --for") if by_user else make_table
    )
    why = "a log does not run code" if len(code) == len(lacking) else "nothing is measured here"
    error = UnpricedError(
        f"no price under {counter}{table_source and f' in {table_source}'} for {named(lacking)}: "
        f"{why}",
        f"{'if you trust the code' if code else 'count them once'}: {make_table}; then add "
        "--table table.json",
    )
    error.components = {name: str(one.spec) for name, one in lacking.items()}
    raise error


def _refuse_broken(chosen: Mapping[str, Chosen], broken: Mapping[ModelSpec, str], log: str) -> None:
    """Name all components that cannot be built or do not run, each with its reason."""
    said = [
        f"{name} ({one.spec}): {broken[one.spec].removeprefix(str(one.spec)).lstrip()}"
        for name, one in chosen.items()
        if one.spec in broken
    ]
    if said:
        hint = "--component NAME=MODEL prices another model in its place"
        of_log = log and any(one.of_log and one.spec in broken for one in chosen.values())
        raise InputError(f"{log}: " * bool(of_log) + f"no price for {'; '.join(said)}", hint)


def _in_table(spec: ModelSpec, table: CostTable | None) -> dict[str, CostRow]:
    def same(row: CostRow) -> bool:
        if row.spec:
            return row.spec == str(spec)
        return row.key == (spec.model, spec.input, spec.classes)

    return {row.counter: row for row in table or () if same(row)}


def table_command(
    logs: Sequence[str | Path], preset: str | None = None, counter: str | None = None
) -> str:
    """Return the command that makes a table with the prices of logs."""
    words = ["flopbench", "table", "--for", *map(str, logs)]
    words += ["--preset", preset] if preset else []
    words += ["--counter", counter] if counter and counter not in DEFAULT_COUNTERS else []
    return shlex.join([*words, "-o", "table.json"])

"""All models of a library: their names, and a cost table of them that grows in its file.

The file is saved every few seconds and at the end, also after Ctrl-C, and a second run counts what
it lacks. Its rows are in the order of their specifications, so that it does not tell how often it
was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from flopbench.core import stopping
from flopbench.core.errors import InputError, NotComparableError, near_match
from flopbench.core.limits import MODEL_LIMIT_S
from flopbench.core.workers import Answer, Progress, run_job
from flopbench.counting.cost_row import CostRow
from flopbench.counting.registry import WITNESS
from flopbench.counting.rows import table_environment
from flopbench.counting.run import counted_rows
from flopbench.counting.table import CostTable
from flopbench.models.spec import ModelSpec

SAVE_EVERY_S = 15.0
"""A table of all of timm takes half a second to write; what is lost is in the cache of profiles."""

_MACHINE = {"python", "platform", "machine"}
"""What a table names and no count depends on."""


def library_models(
    library: str,
    match: Sequence[str] = (),
    exclude: Sequence[str] = (),
    shard: tuple[int, int] = (1, 1),
) -> list[ModelSpec]:
    """Return models of a library at their own input sizes; a process of its own lists them.

    Args:
        library: ``torchvision``, ``timm`` or ``transformers``.
        match: patterns as in a shell, of which a name matches one; empty for all names.
        exclude: patterns of which it matches none.
        shard: (i, n) takes every n-th of the sorted names, beginning with the i-th.

    Raises:
        InputError: the library is not installed, or no name is left.
    """
    names = run_job("flopbench.models.build.library:library_names", {"library": library})
    chosen = chosen_names(names, match, exclude, shard)
    if not chosen:
        wrong = next((p for p in match if not any(fnmatchcase(n, p) for n in names)), "")
        if wrong:
            hint = near_match(wrong, sorted(names), "models")
            raise InputError(f"no model of {library} matches {wrong!r}", hint)
        raise InputError(f"no model of {library} is left")
    return [ModelSpec(source=library, name=name) for name in chosen]


def chosen_names(
    names: Iterable[str], match: Sequence[str], exclude: Sequence[str], shard: tuple[int, int]
) -> list[str]:
    """Return some names, sorted; see ``library_models``."""
    found = [
        name
        for name in sorted(names)
        if (not match or any(fnmatchcase(name, pattern) for pattern in match))
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    ]
    number, shards = shard
    return found[number - 1 :: shards]


def count_into(
    path: Path | None,
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    jobs: int = 1,
    limit_s: float = MODEL_LIMIT_S,
    refresh: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    begin: Callable[[int], object] = lambda left: None,
    told: Callable[[ModelSpec, Answer], object] = lambda spec, answer: None,
) -> CostTable:
    """Count models in worker processes, and keep their rows in a file that is continued.

    Args:
        path: the table; None keeps none.
        specs: models; the rows that the file has of others stay.
        counters: their names.
        jobs: worker processes at once.
        limit_s: seconds that one model may take.
        refresh: count again what the file has, and what the cache of profiles has.
        retry_failed: count again the models of which a row of the file has failed.
        progress: called before and after each model.
        begin: called with the number of models that are to be counted.
        told: called with each model and what counting it took.

    Raises:
        InputError: the file was made with other counters.
        DataError: it is no cost table.
        NotComparableError: it was made with other versions.
    """
    kept, environment = _begun(path, counters, table_environment(specs, counters))
    wrong = {spec for spec, rows in kept.items() if any(row.status == "failed" for row in rows)}
    done = set() if refresh else kept.keys() - (wrong if retry_failed else set())
    todo = [spec for spec in dict.fromkeys(specs) if str(spec) not in done]
    begin(len(todo))

    def table() -> CostTable:
        rows = tuple(row for spec in sorted(kept) for row in kept[spec])
        return CostTable(rows=rows, environment=environment)

    def save() -> None:
        if path is not None:
            table().save(path)

    found = counted_rows(
        todo, counters, refresh=refresh, processes=jobs, progress=progress, limit_s=limit_s
    )
    saved_s = time.monotonic()
    with stopping.cleaned(save), closing(found):
        try:
            for spec, rows, answer in found:
                kept[str(spec)] = rows
                told(spec, answer)
                if time.monotonic() - saved_s > SAVE_EVERY_S:
                    save()
                    saved_s = time.monotonic()
        finally:
            save()
    return table()


def _begun(
    path: Path | None, counters: Sequence[str], environment: dict[str, str]
) -> tuple[dict[str, list[CostRow]], dict[str, str]]:
    """Return the rows that a file has already, by specification; and all versions."""
    if path is None or not path.exists():
        return {}, environment
    table = CostTable.load(path)
    theirs = [counter for counter in table.counters() if counter != WITNESS]
    if theirs and theirs != [counter for counter in counters if counter != WITNESS]:
        raise InputError(
            f"{path} was counted with {', '.join(theirs)}, not with {', '.join(counters)}",
            "name another file, or the same counters",
        )
    check_versions({str(path): table.environment, "this installation": environment})
    rows: dict[str, list[CostRow]] = {}
    for row in table:
        rows.setdefault(row.spec, []).append(row)
    return rows, {**table.environment, **environment}


def merged(tables: Mapping[str, CostTable]) -> CostTable:
    """Return one table with the rows of several, such as shards, each row once.

    Args:
        tables: by the names of their files.

    Raises:
        NotComparableError: they were made with other versions, or differ about a model.
    """
    check_versions({name: table.environment for name, table in tables.items()})
    everything = [(name, row) for name, table in tables.items() for row in table]
    counted = {(row.spec, row.counter) for _, row in everything if row.status != "failed"}
    rows: dict[tuple[object, ...], CostRow] = {}
    environment: dict[str, str] = {}
    for name, row in everything:
        if row.status == "failed" and (row.spec, row.counter) in counted:
            continue
        known = rows.setdefault((*row.key, row.counter), row)
        if (known.total_macs, known.dense_macs) != (row.total_macs, row.dense_macs):
            raise NotComparableError(
                f"{name} and a file before it differ about {row.spec} under {row.counter}",
                "merge tables that were made with the same options",
            )
    for table in tables.values():
        environment |= {**table.environment, **environment}
    return CostTable(rows=tuple(rows.values()), environment=environment)


def check_versions(environments: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse tables of different versions of one library.

    Args:
        environments: library -> version, by the name of what was made with it.

    Raises:
        NotComparableError: names the library, and both versions.
    """
    seen: dict[str, tuple[str, str]] = {}
    for where, versions in environments.items():
        for name, version in versions.items():
            first, other = seen.setdefault(name, (where, version))
            if other != version and name not in _MACHINE:
                raise NotComparableError(
                    f"{first} has counts of {name} {other}, {where} is {name} {version}",
                    "count again into another file",
                )

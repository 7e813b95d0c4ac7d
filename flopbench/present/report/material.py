"""The input of a report: files of any mix of kinds, read, and where each came from.

Nothing is measured: logs are priced by the cost table among the files, or by the cache.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.policy.file_kinds import (
    LOG,
    MADE_BY,
    POINTS,
    PROFILES,
    REPLAY,
    TABLE,
    TIMINGS,
    kind_of,
)
from flopbench.present.figures.inputs.files import called
from flopbench.present.figures.inputs.logs import NamedRun, priced

if TYPE_CHECKING:
    from flopbench.counting.run import Explanation
    from flopbench.replay.records import Replay
    from flopbench.timing.file import TimingFile

USER = "report"
TAKES = (TABLE, LOG, TIMINGS, REPLAY, PROFILES)
TAKEN = ", ".join(f"{kind}s" for kind in TAKES[:-1]) + f" or {TAKES[-1]}s"
PIECE_BYTES = 1 << 20


class InputFile(Struct, frozen=True, kw_only=True):
    """One input file, as the report lists it.

    Attributes:
        name: as given; for a shard, the shard's name.
        kind: see ``policy.file_kinds``.
        sha256: of its bytes, in hexadecimal.
        made_with: what it records about the environment that it was made in.
    """

    name: str
    kind: str
    sha256: str
    size: int
    made_with: str


class Material(Struct, frozen=True, kw_only=True):
    """Everything that was given, in the order given; each named as given.

    Logs are counted and priced under ``choices``, with ids and scores; ``sources`` is every file.
    """

    tables: tuple[tuple[str, CostTable], ...]
    runs: tuple[NamedRun, ...]
    timings: tuple[tuple[str, TimingFile], ...]
    replays: tuple[tuple[str, Replay], ...]
    profiles: tuple[tuple[str, Explanation], ...]
    sources: tuple[InputFile, ...]
    choices: Choices


def read_material(
    files: Sequence[str | Path], choices: Choices | None = None, names: Sequence[str] = ()
) -> Material:
    """Read cost tables, policy logs (a glob names shards), timings, replays and profiles.

    If the choices name no table, the cost table among the files prices the logs, and what it lacks
    comes from the cache. ``names`` are of the runs, in the order of the logs.
    """
    from flopbench.policy.shards import find_files

    given = [str(path) for path in files]
    if not given:
        raise InputError("no files for a report", f"give {TAKEN}")
    kinds = {name: _kind(name) for name in given}
    parts = {name: find_files([name]) if kinds[name] == LOG else [Path(name)] for name in given}
    _check_distinct(given, parts)
    read: dict[str, Any] = {n: _read(n, kinds[n]) for n in given if kinds[n] != LOG}

    def of(kind: str) -> tuple[tuple[str, Any], ...]:
        return tuple((name, read[name]) for name in given if kinds[name] == kind)

    logs = [name for name in given if kinds[name] == LOG]
    chosen = _with_table(choices or Choices(), of(TABLE)) if logs else choices or Choices()
    runs = _runs(logs, chosen, names)
    read |= {name: run.run for name, run in zip(logs, runs, strict=True)}
    sources = [
        _source(file, name, kinds[name], _made_with(kinds[name], read[name]))
        for name in given
        for file in parts[name]
    ]
    sources += _unnamed_files(chosen, parts, bool(runs))
    return Material(
        tables=of(TABLE),
        runs=tuple(runs),
        timings=of(TIMINGS),
        replays=of(REPLAY),
        profiles=of(PROFILES),
        sources=tuple(sources),
        choices=chosen,
    )


def _kind(name: str) -> str:
    """Return the kind of a file; refuse one that a report cannot use."""
    if not name:
        raise InputError("a file name is empty", f"give {TAKEN}")
    exists = os.path.exists(name)
    if exists and not os.path.isfile(name) and not os.path.isdir(name):
        raise InputError(
            f"cannot read {name}: not a file, and a report reads its files more than once",
            "write the output of a pipe to a file first",
        )
    # It may be a glob, or the name that shards share; but names of shards do not end in .json.
    if not exists and name.endswith(".json") and not glob.has_magic(name):
        raise InputError(f"cannot read {name}: there is no such file", "check the name")
    kind = kind_of(name)
    if kind not in TAKES:
        hint = f"a {kind} goes into: plot tradeoff" if kind == POINTS else ""
        raise InputError(f"{name} is a {kind}; a report takes {TAKEN}", hint)
    if kind != LOG and not exists:
        raise InputError(
            f"{name!r} matches a {kind}, but only shards of a policy log can be named by a glob",
            "name each file",
        )
    return kind


def _check_distinct(given: Sequence[str], parts: dict[str, list[Path]]) -> None:
    seen: dict[str, str] = {}
    for name in given:
        for file in parts[name]:
            real = os.path.realpath(file)
            if real in seen:
                other = seen[real]
                also = "" if other == name else f", as {other} and as {name}"
                raise InputError(f"{file} is given twice{also}", "give each file once")
            seen[real] = name


def _read(name: str, kind: str) -> Any:
    if kind == TABLE:
        return CostTable.load(name)
    if kind == TIMINGS:
        from flopbench.timing.file import TimingFile

        timings = TimingFile.load(name)
        if not timings.rows:
            raise DataError(f"{name} holds no timing", f"it is made by {MADE_BY[TIMINGS]}")
        return timings
    if kind == REPLAY:
        from flopbench.replay.records import load_replay

        return load_replay(name)
    from flopbench.counting.profiles_file import load

    return load(name)


def _with_table(choices: Choices, tables: Sequence[tuple[str, CostTable]]) -> Choices:
    if choices.table is not None or not tables:
        return choices
    if len(tables) > 1:
        listed = ", ".join(name for name, _ in tables)
        raise InputError(
            f"{len(tables)} cost tables could price the logs: {listed}",
            f"choose one: --table {tables[0][0]}",
        )
    name, table = tables[0]
    return replace(choices, table=table, table_source=name)


def _runs(logs: Sequence[str], choices: Choices, names: Sequence[str]) -> list[NamedRun]:
    if not logs:
        if names:
            given = "a name of a run is" if len(names) == 1 else f"{len(names)} names of runs are"
            raise InputError(
                f"{given} given, but no policy log among the files", "leave --name out"
            )
        return []
    with called(USER):
        runs = priced(logs, choices, names=names, keep_scores=True)
    if not names:
        return runs
    # The name that the user chose replaces the method in every table, too.
    return [NamedRun(name=one.name, run=replace(one.run, method=one.name)) for one in runs]


def _unnamed_files(
    choices: Choices, parts: dict[str, list[Path]], runs: bool
) -> Iterator[InputFile]:
    """Yield files that were read but not named: headers of logs, presets, the table."""
    from flopbench.policy.forms.base import header_path
    from flopbench.policy.forms.raw import without_packing

    files = [file for own in parts.values() for file in own]
    known = {os.path.realpath(file) for file in files}
    found: dict[Path, tuple[str, str]] = {}
    if runs:
        bare = (".csv", ".json")
        heads = [header_path(file) for file in files if without_packing(file).suffix in bare]
        found |= dict.fromkeys(heads, ("header of a policy log", "not stated"))
        if choices.preset is not None and choices.preset.endswith(".toml"):
            found[Path(choices.preset)] = ("preset", "not stated")
    if choices.table is not None and choices.table_source:
        found[Path(choices.table_source)] = (TABLE, _versions(choices.table.environment))
    for path, (kind, made_with) in found.items():
        if path.is_file() and os.path.realpath(path) not in known:
            yield _source(path, str(path), kind, made_with)


def _source(file: Path, name: str, kind: str, made_with: str) -> InputFile:
    digest, size = hashlib.sha256(), 0
    try:
        with open(file, "rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    return InputFile(
        name=name if os.path.exists(name) else str(file),
        kind=kind,
        sha256=digest.hexdigest(),
        size=size,
        made_with=made_with,
    )


def _made_with(kind: str, read: Any) -> str:
    """Return what a file records about how it was made."""
    if kind == TABLE:
        return _versions(read.environment)
    if kind == PROFILES:
        return _versions({k: v for p in read.profiles for k, v in p.versions.items()})
    if kind == TIMINGS:
        return "; ".join(_device(d.name, d.facts) for d in read.devices)
    if kind == REPLAY:
        return f"{_device(read.device.name, read.device.facts)}; log {read.source}"
    header = read.header
    said = {"method": header.method, "data": header.data, "preset": header.preset}
    parts = [f"{name} {value}" for name, value in said.items() if value]
    parts += [] if header.seed is None else [f"seed {header.seed}"]
    return f"its header says: {', '.join(parts)}" if parts else "its header does not say"


def _versions(environment: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items()) or "not stated"


def _device(name: str, facts: Mapping[str, Any]) -> str:
    keys = {"torch": "torch.version", "CUDA": "gpu.cuda_runtime", "driver": "gpu.driver"}
    known = [f"{title} {facts[key]}" for title, key in keys.items() if facts.get(key)]
    return ", ".join([name, *known])

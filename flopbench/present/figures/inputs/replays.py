"""Replays that a figure is drawn from: read and named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from flopbench.core.errors import InputError, near_match
from flopbench.core.units import number_of
from flopbench.estimate.methods import names_of
from flopbench.policy.file_kinds import REPLAY
from flopbench.present.figures.inputs.files import read_all, several
from flopbench.replay.records import Replay, load_replay

Replays: TypeAlias = "str | Path | Replay | Sequence[str | Path | Replay]"


class NamedReplay(Struct, frozen=True, kw_only=True):
    """One replay, and where it was read: for a record, the file of the log that was replayed."""

    name: str
    file: str
    replay: Replay


def loaded(replays: Replays, *, names: Sequence[str] = ()) -> list[NamedReplay]:
    """Read replays, none at all too, and name them by method, adding dataset or file where needed.

    Raises:
        InputError: a file that is not a replay, or a wrong number of names.
        DataError: a damaged file.
    """
    given = several(replays, Replay)
    read = read_all(given, REPLAY, Replay, load_replay) if given else []
    files = [one.source if isinstance(one, Replay) else str(one) for one in given]
    called = names_of([one.method for one in read], [one.dataset for one in read], files, names)
    return [
        NamedReplay(name=name, file=file, replay=one)
        for name, file, one in zip(called, files, read, strict=True)
    ]


def check_mode(mode: str, found: Sequence[NamedReplay]) -> None:
    """Refuse a mode that no replay has, with an InputError."""
    known = list(dict.fromkeys(name for one in found for name in one.replay.modes))
    if mode not in known:
        raise InputError(f"no replay has the mode {mode!r}", near_match(mode, known, "modes"))


def terms_of(replay: Replay) -> dict[str, str]:
    """Return what times depend on, by name; replays that differ in any of it are not comparable."""
    own = replay.settings
    return {
        "device": replay.device.name,
        "dtype": own.dtype,
        "threads": "as the library chose" if own.threads is None else str(own.threads),
        "layout": "channels last" if own.channels_last else "channels first",
        "compiler": "torch.compile" if own.compiled else "none",
        "clock": replay.clocks[0],
        "torch": str(replay.device.facts.get("torch.version") or "unknown"),
    }


def machine_text(replay: Replay) -> str:
    """Say where and how a replay was measured, in one line."""
    own, torch = replay.settings, replay.device.facts.get("torch.version")
    version = f", torch {torch}" if torch else ""
    return (
        f"{own.text(replay.device.name)}{version}; {replay.clocks[0]}; "
        f"{own.repeats_text(len(replay.runs))}, {number_of(replay.videos, 'video')}, "
        f"{own.frames_text}"
    )

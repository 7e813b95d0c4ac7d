"""What is given to a figure: files or records, one or several; and errors that name the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flopbench.core.errors import InputError
from flopbench.policy.file_kinds import MADE_BY, kind_of

Record = TypeVar("Record")


class CallerError(InputError):
    """An input error whose message names who asked: a verb, a function or the report.

    Args:
        after: what follows the caller's name in the message.
        hint: as for every error.
        before: what precedes the name.
        kind: the kind of a file that the caller does not take; empty for other errors.
    """

    def __init__(self, after: str, hint: str = "", *, before: str = "", kind: str = "") -> None:
        super().__init__(f"{before}this figure{after}", hint)
        self.after, self.before, self.kind = after, before, kind


@contextmanager
def called(name: str, takers: Callable[[str], Sequence[str]] | None = None) -> Iterator[None]:
    """Put the caller's name (``plot usage``) into the errors that have room for it.

    ``takers`` returns who else takes a kind of file, for a hint.
    """
    try:
        yield
    except CallerError as error:
        others = takers(error.kind) if takers is not None and error.kind else ()
        hint = f"a {error.kind} goes into: {', '.join(others)}" if others else error.hint
        raise InputError(f"{error.before}{name}{error.after}", hint) from None


def require_kind(path: str | Path, wanted: Sequence[str]) -> str:
    """Return the kind of a file, if it is one of the wanted ones of ``policy.file_kinds``."""
    if not isinstance(path, (str, Path)):
        raise CallerError(
            f" takes files and results, not {type(path).__name__}",
            "name the shards of one log by a pattern, such as 'run-*.jsonl'",
        )
    kind = kind_of(path)
    if kind in wanted:
        return kind
    takes = " or ".join(f"a {name} ({MADE_BY[name]})" for name in wanted)
    raise CallerError(f" takes {takes}", before=f"{path} is a {kind}; ", kind=kind)


def read_all(
    given: object, kind: str, record: type[Record], load: Callable[[str | Path], Record]
) -> list[Record]:
    """Return records: those given, and those that files of one kind hold."""
    found: list[Record] = []
    for one in several(given, record):
        if isinstance(one, record):
            found.append(one)
        else:
            require_kind(one, (kind,))
            found.append(load(one))
    if not found:
        raise InputError(f"no {kind} was given")
    return found


def several(given: object, *records: type) -> list[Any]:
    """Return one file or record, or several, as a list."""
    return [given] if isinstance(given, (str, Path, *records)) else list(given)  # type: ignore[call-overload]

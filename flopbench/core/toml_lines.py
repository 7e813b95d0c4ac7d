"""TOML files with the line of each key, which ``tomllib`` does not give.

A path is a tuple of keys and, inside arrays, indices from 0: ``("entries", 1, "model")``. The n-th
``[[entries]]`` block and the n-th element of ``entries = [...]`` both have the path
``("entries", n - 1)``.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError, near_match, shown_value
from flopbench.core.limits import MOST_KEY_PARTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

KeyPath = tuple[str | int, ...]
_Choice = TypeVar("_Choice", bound=str)

_CLOSING = re.compile(r"""[\]}]|\"{3}|'{3}""")
"""Without one of these no line further down ends a value, or a table inside it."""
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_MORE_PARTS = rf"(?:[ \t]*\.[ \t]*{_KEY_PART}){{{MOST_KEY_PARTS}}}"
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*{_KEY_PART}{_MORE_PARTS}", re.MULTILINE)
MOST_AGAIN = 1 << 21
"""Characters of long values that are read again at each of their lines: no more lines then."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(
    path: Path, shown: str = "", *, parse_float: Callable[[str], Any] = float
) -> tuple[str, dict[str, Any]]:
    """Return a file's text, its line ends as ``\\n``, and its TOML values.

    Args:
        path: the file.
        shown: how messages name it; by default its path.
        parse_float: turns digits into a number; ``Decimal`` keeps them as written.

    Raises:
        InputError: the file cannot be read.
        DataError: it is not UTF-8 or not TOML; names file and line.
    """
    shown = shown or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        if _LONG_KEY.search(text):
            raise ValueError(f"a key of more than {MOST_KEY_PARTS} parts")
        return text, dict(tomllib.loads(text, parse_float=parse_float))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{shown}:{line}: not UTF-8 text", "save the file as UTF-8") from None
    except RecursionError:
        raise DataError(f"{shown}:1: not TOML: nested too deeply") from None
    except ValueError as error:  # broken syntax, or a number of thousands of digits
        found = re.search(r" \(at line (\d+), column \d+\)$| \(at end of document\)$", str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        reason = str(error)[: found.start()] if found else str(error)
        hint = "text is written in quotes, a block begins with double brackets: [[entries]]"
        raise DataError(f"{shown}:{line}: not TOML: {reason}", hint) from None


def toml_values(
    path: Path, shown: str, *, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """Return the values of a TOML file alone; see ``read_toml``."""
    return read_toml(path, shown, parse_float=parse_float)[1]


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, on which each key, block and element begins.

    A table that several places mention (``[tool.a]``, ``[tool.b]``) counts where it is first
    mentioned; what an element of several lines holds counts where the element begins.

    Args:
        text: a document that ``tomllib`` accepts.
    """
    lines: dict[KeyPath, int] = {}
    blocks: Counter[KeyPath] = Counter()  # arrays of tables: how many blocks so far
    table: KeyPath = ()
    statement, start, again = "", 1, 0
    for number, line in enumerate(text.split("\n"), 1):
        opened = bool(statement)
        statement += f"{line}\n"
        if opened and not _CLOSING.search(line):
            continue
        again += opened * len(statement)
        if again > MOST_AGAIN:
            return lines  # what stands further down counts where the key around it begins
        whole = _parsed(statement)
        data = _parsed(f"{statement}]") if whole is None else whole  # the elements so far
        if data is None:
            continue  # a value of several lines ends further down
        if statement.lstrip().startswith("["):
            table = _open_table(data, blocks, lines, start)
        else:
            _note_keys(data, table, lines, start)
        start = number + 1
        if whole is not None:
            statement = ""
    return lines


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return dict(tomllib.loads(text))
    except (ValueError, RecursionError):
        return None


def _open_table(
    header: Mapping[str, Any], blocks: Counter[KeyPath], lines: dict[KeyPath, int], line: int
) -> KeyPath:
    """Note the line of ``[a.b]`` or ``[[a.b]]``; return the path of what follows."""
    table: KeyPath = ()
    while header:  # one key inside the other; the last of [[a.b]] holds [{}]
        ((key, inner),) = header.items()
        table = (*table, key)
        lines.setdefault(table, line)
        blocks[table] += isinstance(inner, list)
        if blocks[table]:
            table = (*table, blocks[table] - 1)
            lines.setdefault(table, line)
        header = {} if isinstance(inner, list) else inner
    return table


def _note_keys(value: Any, path: KeyPath, lines: dict[KeyPath, int], line: int) -> None:
    """Note the line of all keys and elements inside a value."""
    inside = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        inside = dict(enumerate(value))
    for key, inner in inside.items():
        lines.setdefault((*path, key), line)
        _note_keys(inner, (*path, key), lines, line)


def line_of(lines: Mapping[KeyPath, int], path: Sequence[str | int]) -> int:
    """Return the line of a path, or of the nearest key around it; 1 where none is known."""
    around = (tuple(path[:length]) for length in range(len(path), 0, -1))
    return next((lines[keys] for keys in around if keys in lines), 1)


class TomlBlock(Struct, frozen=True, kw_only=True):
    """One table of a file, and where it is.

    Attributes:
        file: the file as messages name it.
        lines: from ``key_lines``.
        keys: path of the table, ``()`` for the whole file.
        data: its keys and values.
    """

    file: str
    lines: Mapping[KeyPath, int]
    keys: KeyPath
    data: Mapping[str, Any]

    @property
    def line(self) -> int:
        """Where the table begins."""
        return line_of(self.lines, self.keys)

    def fault(self, key: str | None, what: str, hint: str = "") -> DataError:
        """Return the error about a key; None means the table itself."""
        keys = self.keys if key is None else (*self.keys, key)
        steps = (f"[{k + 1}]" if isinstance(k, int) else f".{_shown_key(k)}" for k in keys)
        label = "".join(steps).removeprefix(".")
        return DataError(f"{self.file}:{line_of(self.lines, keys)}: {label} {what}", hint)

    def expect(self, kind: type, key: str, expected: str, default: Any) -> Any:
        """Return a value of one type; refuse any other."""
        value = self.data.get(key, default)
        if not isinstance(value, kind):
            raise self.fault(key, f"is {shown_value(value)} where {expected} expected")
        return value

    def only(self, known: Iterable[str]) -> None:
        """Refuse any key that is not known, with a near match."""
        names = list(known)
        for key in self.data:
            if key not in names:
                raise self.fault(key, "is an unknown key", near_match(key, names, "keys"))

    def text(self, key: str, default: str = "") -> str:
        """Return text of one line, without blanks around it."""
        value: str = self.expect(str, key, "text in quotes was", default)
        if key in self.data and not value.strip():
            raise self.fault(key, "is empty")
        if not value.isprintable():
            raise self.fault(key, f"is {shown_value(value)}: it may not hold control characters")
        return value.strip()

    def choice(self, key: str, known: Sequence[_Choice], default: _Choice) -> _Choice:
        """Return one of the known texts; refuse anything else, with a near match."""
        value = self.text(key, default)
        if key in self.data and value not in known:
            raise self.fault(key, f"is {value!r}", near_match(value, known, f"{key}s"))
        return next((name for name in known if name == value), default)

    def texts(self, key: str) -> dict[str, str]:
        """Return a table of texts, such as ``{ policy = "nets.py:policy@84" }``."""
        inner = replace(
            self, keys=(*self.keys, key), data=self.expect(dict, key, "a table was", {})
        )
        return {name: inner.text(name) for name in inner.data}

    def blocks(self, key: str) -> list[TomlBlock]:
        """Return the blocks of an array of tables; none where the key is missing."""
        value = self.expect(list, key, f"[[{key}]] blocks were", [])
        blocks = [replace(self, keys=(*self.keys, key, n), data=one) for n, one in enumerate(value)]
        for block in blocks:
            if not isinstance(block.data, dict):
                what = f"is {shown_value(block.data)} where a [[{key}]] block was expected"
                raise block.fault(None, what)
        return blocks


def _shown_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else repr(key)

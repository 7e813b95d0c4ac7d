"""TOML files with the line of each key, which ``tomllib`` does not give.

A path is a tuple of keys and, inside arrays, indices from 0: ``("entries", 1, "model")``. The n-th
``[[entries]]`` block and the n-th element of ``entries = [...]`` both have the path
``("entries", n - 1)``.
"""

from __future__ import annotations

import contextlib
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flopbench.core.errors import DataError, InputError, cut, near_match

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

KeyPath = tuple[str | int, ...]
_Choice = TypeVar("_Choice", bound=str)

MOST_BITS = 200
"""Python refuses to print numbers of thousands of digits, which TOML may hold in base 16."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may come right before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[^,\]}\s#]*|[^,\]}\s#]+")
"""A number, a truth value or a time; between date and time there may be a space."""


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, on which each key, block and element of a TOML text begins.

    A table that several places mention (``[tool.a]``, ``[tool.b]``) counts where it is first
    mentioned.

    Args:
        text: a document that ``tomllib`` accepts; for anything else the result is meaningless.
    """
    scanner = _Scanner(text)
    # Endlessly nested arrays, or a key that is not TOML: the lines so far are right.
    with contextlib.suppress(RecursionError, tomllib.TOMLDecodeError):
        scanner.document()
    return scanner.lines


def line_of(lines: Mapping[KeyPath, int], path: Sequence[str | int]) -> int:
    """Return the line of a path, or of the nearest key around it; 1 where none is known."""
    for length in range(len(path), 0, -1):
        line = lines.get(tuple(path[:length]))
        if line is not None:
            return line
    return 1


def toml_values(
    path: Path, shown: str, *, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """Return the values of a TOML file, without their lines.

    Args:
        path: the file.
        shown: how messages name it.
        parse_float: turns digits into a number; ``Decimal`` keeps them as written.

    Raises:
        InputError: the file cannot be read.
        DataError: it is not UTF-8 or not TOML.
    """
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8"), parse_float=parse_float))
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # ValueError covers broken syntax, bytes that are not UTF-8, and numbers without end.
        raise DataError(f"{shown} is not TOML: {error}") from None


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a file's text, its line ends as ``\\n``, and its TOML values.

    Raises:
        InputError: the file cannot be read.
        DataError: it is not UTF-8 or not TOML; names file and line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 text", "save the file as UTF-8") from None
    try:
        return text, dict(tomllib.loads(text))
    except RecursionError:
        raise DataError(f"{path}:1: not TOML: nested too deeply") from None
    except ValueError as error:  # broken syntax, or a number of thousands of digits
        found = re.search(r" \(at line (\d+), column \d+\)$| \(at end of document\)$", str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        reason = str(error)[: found.start()] if found else str(error)
        hint = "text is written in quotes, a block begins with [[entries]] or [[budgets]]"
        raise DataError(f"{path}:{line}: not TOML: {reason}", hint) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlBlock:
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
        label = "".join(f"[{k + 1}]" if isinstance(k, int) else f".{_shown_key(k)}" for k in keys)[
            1:
        ]
        return DataError(f"{self.file}:{line_of(self.lines, keys)}: {label} {what}", hint)

    def only(self, known: Iterable[str]) -> None:
        """Refuse any key that is not known, with a near match."""
        names = list(known)
        for key in self.data:
            if key not in names:
                raise self.fault(key, "is an unknown key", near_match(key, names, "keys"))

    def text(self, key: str, default: str) -> str:
        """Return text of one line, without blanks around it."""
        value = self.data.get(key, default)
        if not isinstance(value, str):
            raise self.fault(key, f"is {shown_value(value)} where text in quotes was expected")
        if key in self.data and not value.strip():
            raise self.fault(key, "is empty")
        if not value.isprintable():
            raise self.fault(key, f"is {shown_value(value)}: it may not hold control characters")
        return value.strip()

    def choice(self, key: str, known: Sequence[_Choice], default: _Choice) -> _Choice:
        """Return one of the known texts; refuse anything else, with a near match."""
        value = self.text(key, default)
        for name in known:
            if name == value:
                return name
        if key in self.data:
            raise self.fault(key, f"is {value!r}", near_match(value, known, f"{key}s"))
        return default

    def texts(self, key: str) -> dict[str, str]:
        """Return a table of texts, such as ``{ policy = "nets.py:policy@84" }``."""
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"is {shown_value(value)} where a table was expected")
        inner = TomlBlock(file=self.file, lines=self.lines, keys=(*self.keys, key), data=value)
        return {name: inner.text(name, "") for name in value}

    def blocks(self, key: str) -> list[TomlBlock]:
        """Return the blocks of an array of tables; none where the key is missing."""
        value = self.data.get(key, [])
        if not isinstance(value, list):
            raise self.fault(key, f"is {shown_value(value)} where [[{key}]] blocks were expected")
        blocks = [
            TomlBlock(file=self.file, lines=self.lines, keys=(*self.keys, key, n), data=item)
            for n, item in enumerate(value)
        ]
        for block in blocks:
            if not isinstance(block.data, dict):
                what = f"is {shown_value(block.data)} where a [[{key}]] block was expected"
                raise block.fault(None, what)
        return blocks


def shown_value(value: Any) -> str:
    """Show a value as it was written, cut where it is long."""
    if value is None or isinstance(value, bool):
        return "missing" if value is None else str(value).lower()
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return "a huge number"
    return cut(repr(value) if isinstance(value, str) else str(value))


def _shown_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else repr(key)


class _Scanner:
    """Walks through a document and notes where keys begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.breaks = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.blocks: dict[KeyPath, int] = {}  # arrays of tables: how many blocks so far

    def document(self) -> None:
        table: KeyPath = ()
        self.skip_blank()
        while self.position < len(self.text):
            before = self.position
            if self.at("["):
                table = self.header()
            else:
                self.pair(table)
            self.skip_blank()
            if self.position == before:  # not TOML: there is nothing to walk over
                break

    def header(self) -> KeyPath:
        """Walk over ``[a.b]`` or ``[[a.b]]``; return the path of what follows."""
        line = self.line()
        brackets = 2 if self.text.startswith("[[", self.position) else 1
        self.position += brackets
        table: KeyPath = ()
        keys = self.dotted_key()
        for number, key in enumerate(keys, 1):
            table = (*table, key)
            self.lines.setdefault(table, line)
            if number == len(keys) and brackets == 2:
                self.blocks[table] = self.blocks.get(table, 0) + 1
            if table in self.blocks:
                table = (*table, self.blocks[table] - 1)
                self.lines.setdefault(table, line)
        self.skip_blank()
        self.position += brackets
        return table

    def pair(self, table: KeyPath) -> None:
        """Walk over ``a.b = value``."""
        line = self.line()
        for key in self.dotted_key():
            table = (*table, key)
            self.lines.setdefault(table, line)
        self.skip_blank()
        self.position += 1  # the equals sign
        self.value(table)

    def value(self, path: KeyPath) -> None:
        self.skip_blank()
        if self.at("["):
            self.array(path)
        elif self.at("{"):
            self.inline_table(path)
        else:
            match = (_STRING if self.at("\"'") else _SCALAR).match(self.text, self.position)
            self.position = match.end() if match else len(self.text)

    def array(self, path: KeyPath) -> None:
        self.position += 1
        index = 0
        while self.more("]"):
            element = (*path, index)
            self.lines[element] = self.line()
            self.value(element)
            index += 1

    def inline_table(self, path: KeyPath) -> None:
        self.position += 1
        while self.more("}"):
            self.pair(path)

    def more(self, end: str) -> bool:
        """Step to the next element; return False past the last one, and past the bracket."""
        self.skip_blank()
        if self.at(","):
            self.position += 1
            self.skip_blank()
        if self.at(end):
            self.position += 1
            return False
        return self.position < len(self.text)

    def dotted_key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self.skip_blank()
            quoted = self.at("\"'")
            match = (_STRING if quoted else _BARE_KEY).match(self.text, self.position)
            if match is None:
                return keys
            self.position = match.end()
            keys.append(tomllib.loads(f"key = {match[0]}")["key"] if quoted else match[0])
            self.skip_blank()
            if not self.at("."):
                return keys
            self.position += 1

    def skip_blank(self) -> None:
        match = _BLANK.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def at(self, characters: str) -> bool:
        """Return whether one of some characters is here."""
        return self.position < len(self.text) and self.text[self.position] in characters

    def line(self) -> int:
        return bisect_left(self.breaks, self.position) + 1

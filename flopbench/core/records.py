"""Records out of the values of a file, each defect named with its place.

Imports msgspec, which takes a while: import this module where files are read, not at start-up.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from flopbench.core.errors import DataError, near_match, shown_value

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
"""Finite: JSON as Python reads it may hold NaN and Infinity."""

_MESSAGE = r"(?s)(.*?)(?: - at `(key` in `)?\$([\w.\[\]]*)`)?"
"""msgspec's: the defect, whether a key of a map has it, and the path to value or map."""
_ABOUT_A_FIELD = r"(?s)Object (contains unknown|missing required) field `(.*)`"
_STEP = r"\[(\d+|\.\.\.)\]|\.(\w+)"
_ANY_KEY = ("...", "")
"""The step that msgspec writes in place of a key of a map, as ``_STEP`` finds it."""
_BARE_KEY = r"[A-Za-z0-9_-]+"

_WORDS: Mapping[type, str] = {
    inspect.NoneType: "null",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
}
_LIMITS = {"gt": "more than {}", "ge": "at least {}", "le": "at most {}"}

_Keys = tuple[str | int, ...]
_Hook = Callable[[Any, Any], Any]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strict record: unknown fields are refused."""


def decode(
    data: Any,
    kind: type[T],
    where: str,
    *,
    complete: bool = False,
    dec_hook: _Hook | None = None,
    toml: bool = False,
    hint: str = "",
) -> T:
    """Turn plain values into a record.

    Args:
        data: what JSON or TOML gave.
        kind: a ``Record``, another Struct, or any type that msgspec knows.
        where: names the file, for the message.
        complete: whether a field that has a default must be there too.
        dec_hook: turns a value into a type that msgspec does not know; the text of its ValueError
            says what was expected (``an amount of at least 0``).
        toml: messages say "table" where JSON has an object.
        hint: what to do about any defect.

    Raises:
        DataError: a field is missing, unknown or wrong; names ``where``, the path to it, what is
            there, and what was expected.
    """
    try:
        record = msgspec.convert(data, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        what, near = _Fault(str(error), data, kind, dec_hook).told(where, toml)
        raise DataError(what, "; ".join(filter(None, (near, hint)))) from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: a key has half of a surrogate pair", hint) from None
    except RecursionError:
        raise DataError(f"{where} is nested too deeply", hint) from None
    if complete and (left_out := _missing(record, data)):
        raise DataError(f"{where}: {_place(left_out)} is missing", hint)
    return record


def _missing(record: Any, data: Any) -> _Keys:
    """Return the path of the first field left out in favour of its default; empty if none is."""
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(record, msgspec.Struct):
        inside = zip(record.__struct_encode_fields__, msgspec.structs.astuple(record), strict=True)
    elif isinstance(record, (tuple, list)) and record and isinstance(record[0], msgspec.Struct):
        inside = enumerate(record)
    elif isinstance(record, dict):
        inside = record.items()
    for key, one in inside:
        if isinstance(record, msgspec.Struct) and key not in data:
            return (key,)
        holds = isinstance(one, (msgspec.Struct, tuple, list, dict))
        if holds and (rest := _missing(one, data[key])):
            return (key, *rest)
    return ()


def _place(keys: _Keys) -> str:
    """Return a path as messages show it: ``rows[1].columns['a b']``, or ``'rows'`` in quotes."""
    bare = [isinstance(key, str) and re.fullmatch(_BARE_KEY, key) for key in keys]
    steps = [f".{key}" if plain else f"[{key!r}]" for key, plain in zip(keys, bare, strict=True)]
    return repr(keys[0]) if all(bare) and len(keys) == 1 else "".join(steps).removeprefix(".")


class _Fault:
    """A defect that msgspec found; ``message`` is its own."""

    def __init__(self, message: str, data: Any, kind: Any, dec_hook: _Hook | None) -> None:
        self.message, self.data, self.kind, self.dec_hook = message, data, kind, dec_hook

    def told(self, where: str, toml: bool) -> tuple[str, str]:
        """Return the message, and a near match where a key is unknown."""
        matched = re.fullmatch(_MESSAGE, self.message)
        said, of_key, path = matched.groups()  # type: ignore[union-attr]
        steps = re.findall(_STEP, path or "")
        keys, kinds, value = self._walk(steps)
        about = re.fullmatch(_ABOUT_A_FIELD, said)
        if of_key:
            keys, *_ = self._walk([*steps, _ANY_KEY])
        elif about:
            keys = (*keys, about[2])
        place = f"{where}: {_place(keys)}" if keys else where
        if about and about[1] == "missing required":
            return f"{place} is missing", ""
        if about or of_key:
            names = [name for one in kinds for name in _names(one)]
            near = near_match(str(keys[-1]), names, "keys") if names else "a key is text"
            return f"{place} is an unknown key", near
        if said.startswith(("Expected ", "Invalid ")):
            said = _either([words for one in kinds for words in _expected(one, toml)])
        elif inspect.CustomType not in map(type, kinds):
            return f"{place}: {said[:1].lower()}{said[1:]}", ""
        return f"{place} is {_shown(value, kinds, toml)} where {said} was expected", ""

    def _walk(self, steps: Iterable[tuple[str, str]]) -> tuple[_Keys, list[inspect.Type], Any]:
        """Follow msgspec's path; return it with the keys of maps, and the value's types."""
        keys: _Keys = ()
        data = value = self.data
        kinds = _options(inspect.type_info(self.kind), value)
        for number, name in steps:
            any_key = (number, name) == _ANY_KEY
            key = self._wrong_key(data, keys, value) if any_key else name or int(number)
            data = _with_only(data, keys, [key]) if any_key else data
            keys, value = (*keys, key), value[key]
            kinds = [inner for one in kinds for inner in _inside(one, key, value)]
        return keys, kinds, value

    def _wrong_key(self, data: Any, keys: _Keys, held: Mapping[Any, Any]) -> Any:
        """Return the first key of the map at a path that leads to the same message."""
        left = list(held)
        while len(left) > 1:  # halves, as each attempt takes as long as the map is large
            half = left[: len(left) // 2]
            left = half if self._fails(_with_only(data, keys, half)) else left[len(half) :]
        return left[0]

    def _fails(self, data: Any) -> bool:
        try:
            msgspec.convert(data, self.kind, dec_hook=self.dec_hook)
        except msgspec.ValidationError as error:
            return str(error) == self.message
        except UnicodeEncodeError:  # half of a surrogate pair, in another key
            return False
        return False


def _with_only(value: Any, keys: _Keys, only: Iterable[Any]) -> Any:
    """Return a copy of a value in which the map at a path has some keys only."""
    if not keys:
        return {key: value[key] for key in only}
    copy = list(value) if isinstance(value, (list, tuple)) else dict(value)
    copy[keys[0]] = _with_only(value[keys[0]], keys[1:], only)  # type: ignore[index]
    return copy


def _options(kind: Any, value: Any) -> list[inspect.Type]:
    """Return the types that a value may have; a record with the value's tag rules out others."""
    if isinstance(kind, inspect.Metadata):
        return _options(kind.type, value)
    kinds: list[inspect.Type] = [*kind.types] if isinstance(kind, inspect.UnionType) else [kind]
    records = [one for one in kinds if isinstance(one, inspect.StructType) and one.tag]
    has = value if isinstance(value, Mapping) else {}
    return [one for one in records if has.get(one.tag_field) == one.tag] or kinds


def _inside(kind: Any, key: str | int, value: Any) -> list[inspect.Type]:
    """Return the types of a value that a record, a map or a list has under a key."""
    inner = [field.type for field in getattr(kind, "fields", ()) if field.encode_name == key]
    if isinstance(kind, inspect.StructType) and key == kind.tag_field:
        inner.append(inspect.LiteralType((kind.tag,)))
    elif isinstance(kind, inspect.DictType):
        inner.append(kind.value_type)
    elif isinstance(kind, (inspect.ListType, inspect.VarTupleType)):
        inner.append(kind.item_type)
    elif isinstance(kind, inspect.TupleType):
        inner.append(kind.item_types[int(key)])
    return [option for one in inner for option in _options(one, value)]


def _names(kind: Any) -> Iterable[Any]:
    """Return the keys that a type knows."""
    if isinstance(kind, inspect.DictType):
        return getattr(kind.key_type, "values", ())
    return [field.encode_name for field in getattr(kind, "fields", ())]


def _expected(kind: Any, toml: bool) -> Iterable[str]:
    """Return what a value of a type may be, in words."""
    if isinstance(kind, inspect.LiteralType):
        return map(repr, kind.values)
    if isinstance(kind, inspect.BoolType):
        return ["true", "false"]
    if isinstance(kind, inspect.NoneType) and toml:
        return []  # TOML has no null
    if isinstance(kind, inspect.TupleType):
        return [f"a list of {len(kind.item_types)}"]
    words = _WORDS.get(type(kind), "a table { name = ... }" if toml else "an object")
    if isinstance(kind, inspect.StrType):
        words += " in quotes" if toml else ""
        words += " that is not empty" if kind.min_length else ""
        words += f" that matches {kind.pattern}" if kind.pattern else ""
    limits = {name: getattr(kind, name, None) for name in _LIMITS}
    if limits["le"] == sys.float_info.max:
        words, limits["le"] = "a finite number", None
    bounds = [_LIMITS[name].format(limit) for name, limit in limits.items() if limit is not None]
    return [f"{words} of {' and '.join(bounds)}" if bounds else words]


def _either(names: Iterable[str]) -> str:
    """Join what is allowed: ``a, b or c``."""
    *rest, last = dict.fromkeys(names)
    return f"{', '.join(rest)} or {last}" if rest else last


def _shown(value: Any, kinds: Iterable[inspect.Type], toml: bool) -> str:
    """Show a wrong value in a few words; the length of a list where it is fixed."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}" if inspect.TupleType in map(type, kinds) else "a list"
    if isinstance(value, Mapping):
        return "a table" if toml else "an object"
    return "null" if value is None else shown_value(value)

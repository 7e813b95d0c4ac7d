"""Inputs by their shapes, as text or as Python values: one grammar for every verb and the API.

As text, the extents are joined by ``x`` and the arguments of ``forward`` by ``+``; a dtype follows
a colon, the name of a keyword argument stands before ``=``::

    1x3x16x16                            one tensor
    1x100:int64                          of whole numbers, all of them 1
    1x1x64x64+1x1x32x32                  two positional arguments
    1x100:int64+mask=1x100:bool          and a keyword argument
    ((1, 1, 64, 64), (1, 1, 32, 32))     the same as Python writes it
    {left: 1x1x64x64, right: 1x1x32x32}  keyword arguments
    (1, 100):int64                       one tensor, as Python writes it
"""

from __future__ import annotations

import math
import re
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral
from typing import Any

from msgspec import Struct

from flopbench.core.errors import InputError, cut, near_match
from flopbench.core.limits import LONGEST_SPECIFICATION, MOST_ELEMENTS

DTYPES = (
    *("float32", "float64", "float16", "bfloat16", "complex64", "complex128"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)
ALIASES = {"long": "int64", "int": "int32", "float": "float32", "double": "float64"}
ALIASES |= {"half": "float16"}

SCALAR = "scalar"
"""The shape of a tensor without dimensions."""

_EXTENTS = r"\d+(?:\s*[x×]\s*\d+)*|scalar\b"
_IN_BRACKETS = r"\(\s*\d+\s*(?:,\s*\d+\s*)*,?\s*\)"
_SHAPE = re.compile(rf"(?P<extents>{_EXTENTS}|{_IN_BRACKETS})(?:\s*:\s*(?P<dtype>[a-z]\w*))?")
_TOKEN = re.compile(
    rf"(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<shape>{_SHAPE.pattern})|(?P<key>[A-Za-z_]\w*)\s*[:=]"
)
_NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*=(?P<shapes>.*)", re.DOTALL)
_QUOTED = re.compile(r"(?<![^\s=,:+(\[{])(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", re.DOTALL)

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


class Shape(Struct, frozen=True):
    """A tensor to be made: its shape, and its dtype where that is not the model's own."""

    extents: tuple[int, ...]
    dtype: str = ""

    def __post_init__(self) -> None:
        if min(self.extents, default=1) < 1:
            raise InputError(f"input shape {self}: every dimension must be at least 1")
        if math.prod(self.extents) > MOST_ELEMENTS:
            raise InputError(
                f"an input shape of more than {MOST_ELEMENTS:.0e} elements is beyond any model"
            )
        if self.dtype and self.dtype not in DTYPES:
            raise InputError(
                f"input shape {self}: unknown dtype", near_match(self.dtype, DTYPES, "dtypes")
            )

    def __str__(self) -> str:
        extents = "x".join(map(str, self.extents)) or SCALAR
        return f"{extents}:{self.dtype}" if self.dtype else extents

    @property
    def reads_as_size(self) -> bool:
        """Whether the text of it alone would be an image size (see ``spec.parse_size``)."""
        return not self.dtype and 1 <= len(self.extents) <= 3


def split_outside(text: str, separator: str, *, strict: bool = True) -> list[str]:
    """Split text at a separator, but not inside brackets or quotes.

    Raises:
        InputError: a bracket is not closed, if ``strict``.
    """
    parts, depth, begin, at = [], 0, 0, 0
    while at < len(text):
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            at = quoted.end()
            continue
        depth += (text[at] in "([{") - (depth > 0 and text[at] in ")]}")
        if text[at] == separator and not depth:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    if depth and strict:
        raise InputError(f"{cut(text)!r}: a bracket is not closed")
    return [part.strip() for part in (*parts, text[begin:])]


def are_shapes(text: str) -> bool:
    """Whether text is meant as shapes, not as the size of one image, clip or sequence."""
    signs = any(sign in text for sign in "([{:+=") or text.strip() == SCALAR
    return signs or len(re.split("[x×]", text)) > 3


def parse_shapes(text: str) -> Arguments:
    """Read inputs by their shapes (see the module's docstring).

    Raises:
        InputError: the text does not follow the grammar, or a shape or dtype does not exist.
    """
    if len(text) > LONGEST_SPECIFICATION:
        raise InputError(f"{cut(text)!r} has {len(text):,} characters, more than any shape needs")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parts = split_outside(text, "+")
    for part in parts:
        named = _NAMED.fullmatch(part)
        tree = _tree(named["shapes"] if named else part, text)
        if named is None and len(parts) == 1 and isinstance(tree, (tuple, list, dict)):
            return as_arguments(tree)
        if named is None and kwargs:
            raise InputError(f"{cut(text)!r}: a positional input after one with a name")
        if named is not None and named["name"] in kwargs:
            raise InputError(f"{cut(text)!r} gives {named['name']!r} twice")
        if named is None:
            args.append(tree)
        else:
            kwargs[named["name"]] = tree
    return tuple(args), kwargs


def format_shapes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Print shapes the way ``parse_shapes`` reads them."""
    parts = [_print(tree) for tree in args]
    if len(args) == 1 and not kwargs:
        only = args[0]
        if not isinstance(only, Shape):
            return f"({parts[0]},)"  # else it would be read as all the arguments
        if only.reads_as_size:
            parts = [str(only.extents).replace(" ", "")]
    return "+".join([*parts, *(f"{name}={_print(tree)}" for name, tree in kwargs.items())])


def as_arguments(inputs: Any) -> Arguments:
    """Return a tuple, list or mapping of inputs as positional and keyword arguments."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return tuple(inputs), {}


def shapes_in(value: Any) -> Any:
    """Return inputs with a ``Shape`` for each shape in them: tuples of whole numbers, and text.

    Text that is not a shape, such as a number, and everything that is no container, stays.
    """
    if isinstance(value, str):
        match = _SHAPE.fullmatch(value.strip())
        return value if match is None or value.isdecimal() else _shape(match)
    if isinstance(value, (tuple, list)) and value and all(map(is_whole, value)):
        return Shape(tuple(map(int, value)))
    return map_containers(value, shapes_in)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, Python's or NumPy's."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def map_containers(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to what a dict, tuple or list holds; return anything else as it is."""
    if isinstance(value, dict):
        return {key: function(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(function, value))
    if isinstance(value, (tuple, list)):
        return type(value)(map(function, value))
    return value


def leaves(value: Any) -> Iterator[Any]:
    """Yield what containers within containers hold."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def _tree(text: str, where: str) -> Any:
    """Read one argument: a shape, or brackets with arguments inside."""
    refused = InputError(
        f"cannot read the input {cut(text.strip())!r} in {cut(where)!r}",
        "expected shapes such as 1x3x16x16, 1x100:int64, 1x1x64x64+1x1x32x32, name=1x7 or "
        "((1, 100):int64, (1, 7))",
    )

    def quoted(token: re.Match[str]) -> str:
        if token["key"]:
            return f"{token['key']!r}:"
        return token["quoted"] or repr(str(_shape(token)))

    only = _SHAPE.fullmatch(text.strip())
    if only is not None:
        return _shape(only)
    try:
        tree = literal_eval(_TOKEN.sub(quoted, text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise refused from None
    if not isinstance(tree, (tuple, list, dict)):
        raise refused

    def read(value: Any) -> Any:
        value = map_containers(value, read) if value else None
        match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
        if match is None and not isinstance(value, (tuple, list, dict)):
            raise refused
        return value if match is None else _shape(match)

    return read(tree)


def _shape(match: re.Match[str]) -> Shape:
    digits = re.findall(r"\d+", match["extents"])
    if any(len(number) > len(str(MOST_ELEMENTS)) for number in digits):
        raise InputError(f"input shape {cut(match['extents'])}: beyond any model")
    dtype = match["dtype"] or ""
    return Shape(tuple(map(int, digits)), ALIASES.get(dtype, dtype))


def _print(tree: Any) -> str:
    if isinstance(tree, dict):
        names = {key: key if str(key).isidentifier() else repr(key) for key in tree}
        inner = ",".join(f"{names[key]}:{_print(item)}" for key, item in tree.items())
        return f"{{{inner}}}"
    if isinstance(tree, (tuple, list)):
        inner = ",".join(map(_print, tree))
        return f"[{inner}]" if isinstance(tree, list) else f"({inner},)"
    plain = isinstance(tree, Shape) and len(tree.extents) == 1 and not tree.dtype
    return f"({tree},)" if plain else str(tree)  # (7, 8) is one shape

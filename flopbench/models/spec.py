"""Model specifications: the text that a user types for a network and its input, as a record.

Grammar (everything in brackets is optional)::

    [source:]name[#submodule][@input][,key=value ...]

    resnet50@224                         torchvision, the default source
    timm:efficientnet_b3@300             timm
    transformers:vit@224                 a transformers model type, class, or a local config.json
    transformers:llava@336,tokens=64     a model of an image and a text of 64 tokens
    r3d_18@16x112x112,classes=400        a clip: frames x height x width, 400-way head
    swin_t@224,depths=[2,2,6,2]          options may be lists, tuples, dicts and quoted text
    my_pkg.nets:build@224,width=2        your own function that returns a Module
    nets.py:build@224                    the same from a file
    nets.py:build@1x100:int64+mask=1x100 with inputs by their shapes: see ``shapes``
    nets.py:Net#backbones.0@224          one of its submodules, at an input of its own
    resnet50#layer2@1x256x56x56
    lstm:1280x512@16                     LSTMCell-like work for 16 steps; also gru: and rnn:
    linear:1280x7                        one fully connected layer
    value:1.8e9 "EfficientNet paper"     a constant in MACs, with its source
"""

from __future__ import annotations

import math
import re
from ast import literal_eval
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, cut
from flopbench.core.limits import LONGEST_SPECIFICATION, MOST_ELEMENTS
from flopbench.core.units import parse_macs
from flopbench.models.shapes import (
    are_shapes,
    format_shapes,
    parse_shapes,
    split_outside,
)

LIBRARY_SOURCES = ("torchvision", "timm", "transformers")
LAYER_SOURCES = ("lstm", "gru", "rnn", "linear")
SOURCES = (*LIBRARY_SOURCES, *LAYER_SOURCES, "value", "python")

DEFAULT_SIZE = (224,)
"""Of one image for the user's own code that names no input and brings none."""

_EXAMPLES = "expected something like resnet50@224, timm:efficientnet_b3@300 or pkg.module:factory"
_PART = re.compile(r"\w+(\.\w+)*")
_VALUE = re.compile(r"value:(?P<amount>[^\"]+)(?:\"(?P<source>[^\"]*)\")?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[^\s'\"()\[\]{},@][^'\"()\[\]{},@]*")
"""Text that needs no quotes as an option."""


class ModelSpec(Struct, frozen=True, kw_only=True, eq=False):
    """One network at one input.

    Attributes:
        source: one of ``SOURCES``; ``python`` is the user's own code.
        name: what the source calls it (``resnet50``, ``pkg.module:factory``, ``1280x512``).
        part: path of the submodule that is meant; empty for the whole network.
        size: the input size as typed: ``(224,)``, ``(height_px, width_px)``,
            ``(frames, height_px, width_px)`` or ``(steps,)``; empty means the model's own default.
        shapes: instead of a size, the inputs of the user's own code or of a submodule by their
            shapes, as ``shapes.format_shapes`` prints them.
        classes: width of the classification head, None to leave the head as it is.
        options: further keyword arguments of the builder, sorted by name.
        quote: where a constant comes from.
    """

    source: str
    name: str
    part: str = ""
    size: tuple[int, ...] = ()
    shapes: str = ""
    classes: int | None = None
    options: tuple[tuple[str, Any], ...] = ()
    quote: str = ""

    @property
    def model(self) -> str:
        """The network without its input and head: ``resnet50``, ``timm:efficientnet_b3``."""
        return f"{self._named}{_print_options(self.options)}"

    @property
    def _named(self) -> str:
        prefix = "" if self.source in {"torchvision", "python"} else f"{self.source}:"
        return f"{prefix}{self.name}{self.part and f'#{self.part}'}"

    @property
    def input(self) -> str:
        """The input as text: ``224``, ``16x112x112``, ``1x100:int64``; empty for the default."""
        return self.shapes or format_size(self.size)

    @property
    def is_user_code(self) -> bool:
        """Whether the model comes from the user's own code."""
        return self.source == "python" or (
            self.source == "transformers" and self.name.endswith(".json")
        )

    def at(self, size: tuple[int, ...]) -> ModelSpec:
        """Return the same network at another input size."""
        return replace(self, size=size, shapes="")

    def with_input(self, text: str, where: str = "") -> ModelSpec:
        """Return the same network at an input: a size, or shapes for own code and submodules.

        Raises:
            InputError: the text is neither.
        """
        if not are_shapes(text):
            return self.at(parse_size(text, where))
        if self.source != "python" and not self.part:
            raise InputError(
                f"{self.model}@{cut(text)}: give a size such as 224, 112x168 or 16x112x112",
                "inputs by their shapes are for your own code and for submodules",
            )
        return replace(self, size=(), shapes=format_shapes(*parse_shapes(text)))

    def with_classes(self, classes: int) -> ModelSpec:
        """Return the same network with another head."""
        return replace(self, classes=classes)

    def __str__(self) -> str:
        if self.source == "value":
            return f'value:{self.name} "{self.quote}"' if self.quote else f"value:{self.name}"
        at = f"@{self.input}" if self.input else ""
        head = () if self.classes is None else (("classes", self.classes),)
        return f"{self._named}{at}{_print_options((*head, *self.options))}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSpec) and str(self) == str(other)

    def __hash__(self) -> int:  # options may hold lists
        return hash(str(self))


def parse_spec(text: str) -> ModelSpec:
    """Read a model specification (grammar in the module's docstring).

    Raises:
        InputError: the text does not follow the grammar.
    """
    text = text.strip()
    if len(text) > LONGEST_SPECIFICATION:
        raise InputError(f"{cut(text)!r} has {len(text):,} characters: {_EXAMPLES}")
    if text.startswith("value:"):
        return _parse_value(text)
    named, at, size_text, tail = _cut(text)
    if at and not size_text:
        raise InputError(f"{text!r} has nothing after '@': expected an input size such as @224")
    named, part = _split_part(named)
    source, name = _split_source(named)
    if not name:
        raise InputError(f"{text!r} names no model: {_EXAMPLES}")
    if source in LAYER_SOURCES and not size_text.isdigit() and size_text:
        raise InputError(f"{text!r}: expected the number of steps after '@', such as @16")
    options = dict(_parse_option(option, text) for option in tail)
    if len(options) != len(tail):
        raise InputError(f"{text!r} gives an option twice")
    classes = options.pop("classes", None)
    if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int)):
        raise InputError(f"{text!r}: classes={classes!r} where a whole number was expected")
    if classes is not None and classes < 1:
        raise InputError(f"{text!r}: classes={classes} where at least 1 was expected")
    spec = ModelSpec(
        source=source,
        name=name,
        part=part,
        classes=classes,
        options=tuple(sorted(options.items())),
    )
    return spec.with_input(size_text, text) if size_text else spec


def parse_size(text: str, where: str = "") -> tuple[int, ...]:
    """Read an input size: ``224``, ``112x168`` (height x width), ``16x112x112`` (a clip).

    ``224x224`` becomes ``(224,)``, so that one input has one name.

    Raises:
        InputError: not one to three whole numbers of at least 1, joined by ``x``.
    """
    where = where or text
    parts = re.split(r"[x×]", text.strip())
    try:
        size = tuple(int(part) for part in parts)
    except ValueError:
        raise InputError(
            f"input size {text!r} in {where!r} is not a number: expected pixels such as 224, "
            "HEIGHTxWIDTH such as 112x168, or FRAMESxHEIGHTxWIDTH such as 16x112x112"
        ) from None
    if len(size) > 3:
        raise InputError(
            f"input size {text!r} in {where!r} has {len(size)} dimensions: expected one to three"
        )
    if math.prod(size) > MOST_ELEMENTS:
        raise InputError(f"input size {cut(text)!r} is beyond any model")
    if min(size) < 1:
        raise InputError(
            f"input size {text!r} in {where!r}: every dimension must be at least 1, got {min(size)}"
        )
    return size[:1] if len(size) == 2 and size[0] == size[1] else size


def format_size(size: tuple[int, ...]) -> str:
    """Print an input size the way ``parse_size`` reads it."""
    return "x".join(str(extent) for extent in size)


def cross(models: Sequence[ModelSpec], inputs: Sequence[str]) -> list[ModelSpec]:
    """Pair every model with every input, a size or shapes, models outermost.

    Raises:
        InputError: not an input, a model already names its own, or a constant is given one.
    """
    if not inputs:
        return list(models)
    for spec in models:
        if spec.input or spec.source == "value":
            raise InputError(
                f"{str(spec)!r} already has its own input, so -r/--resolution cannot apply to it",
                "write the input after '@' for every model, or use -r and no '@'",
            )
    return [spec.with_input(text) for spec in models for text in inputs]


def _split_part(named: str) -> tuple[str, str]:
    """Cut off the path of a submodule; folders may have a ``#`` in their names, too."""
    name, sign, part = named.rpartition("#")
    if not sign or "/" in part or ":" in part:
        return named, ""
    if not _PART.fullmatch(part):
        raise InputError(
            f"{named!r} names no submodule after '#'", f"a path such as {name}#layer1.0"
        )
    return name, part


def _split_source(named: str) -> tuple[str, str]:
    source, colon, name = named.partition(":")
    if colon and source in (*LIBRARY_SOURCES, *LAYER_SOURCES):
        if source in LAYER_SOURCES and not re.fullmatch(r"[1-9]\d{0,12}x[1-9]\d{0,12}", name):
            raise InputError(
                f"{named!r}: {source} needs its widths as INPUTxOUTPUT, such as {source}:1280x512"
            )
        return source, name
    if not colon:
        return "torchvision", named
    path, _, factory = named.rpartition(":")
    if not path or not factory.isidentifier():
        raise InputError(
            f"{named!r} is not a model: {source!r} is not one of the sources "
            f"{', '.join((*LIBRARY_SOURCES, *LAYER_SOURCES, 'value'))}, and in your own code "
            "the part after the last ':' must be the name of a function"
        )
    return "python", named


def _parse_value(text: str) -> ModelSpec:
    match = _VALUE.fullmatch(text)
    if match is None:
        raise InputError(
            f'cannot read {text!r}: expected value:MACS "where it comes from", such as '
            'value:1.8e9 "EfficientNet paper, 300 px"'
        )
    return ModelSpec(
        source="value",
        name=str(parse_macs(match["amount"])),
        quote=(match["source"] or "").strip(),
    )


def _cut(text: str) -> tuple[str, str, str, list[str]]:
    """Cut a specification into name (to the last ``@`` before a comma), ``@``, input, options."""
    named, at, _ = text.partition(",")[0].rpartition("@")
    if not at:
        named = text.partition(",")[0]
    size, *tail = split_outside(text[len(named) + len(at) :], ",")
    if not all(tail):
        raise InputError(f"cannot read the model {text!r}: {_EXAMPLES}")
    return named.strip(), at, size, tail


def _parse_option(option: str, where: str) -> tuple[str, Any]:
    key, equals, value = (part.strip() for part in option.partition("="))
    if not equals or not _KEY.fullmatch(key) or not value:
        raise InputError(f"{where!r}: expected key=value after a comma, got {option!r}")
    return key, _read_value(key, value, where)


def _read_value(key: str, text: str, where: str) -> Any:
    """Read the value of an option: a Python literal, or else text without quotes."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if value is text and "@" in text:
        raise InputError(f"{where!r}: the input size goes before the first comma: name@size,...")
    number = text.lstrip("+-").isdecimal() and len(text) > len(str(MOST_ELEMENTS))
    if (value is text and (number or text[0] in "([{")) or not _is_plain(value):
        raise InputError(
            f"{cut(where)!r}: cannot read {key}={cut(text)}",
            "expected numbers of a usual size, 'text in quotes', True, False or None, alone or in "
            "lists, tuples or dicts, such as depths=[2,2,6,2]",
        )
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, (int, float)):
        return abs(value) <= MOST_ELEMENTS
    return value is None or isinstance(value, str)


def _print_options(options: Iterable[tuple[str, Any]]) -> str:
    return "".join(f",{key}={_print_value(value)}" for key, value in options)


def _print_value(value: Any) -> str:
    """Print the value of an option the way it is read; text without quotes where it can be."""
    bare = isinstance(value, str) and _BARE.fullmatch(value) and value == value.strip()
    return value if bare and _read_value("", value, "") == value else _print_literal(value)


def _print_literal(value: Any) -> str:
    if isinstance(value, dict):
        inner = ",".join(f"{_print_literal(k)}:{_print_literal(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if not isinstance(value, (list, tuple)):
        return repr(value)
    inner = ",".join(map(_print_literal, value))
    if isinstance(value, list):
        return f"[{inner}]"
    return f"({inner},)" if len(value) == 1 else f"({inner})"

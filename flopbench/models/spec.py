"""Model specifications: the text that a user types for a network and its input, as a record.

Grammar (everything in brackets is optional)::

    [source:]name[@input][,key=value ...]

    resnet50@224                         torchvision, the default source
    timm:efficientnet_b3@300             timm
    transformers:vit@224                 a transformers model type, or a local config.json
    r3d_18@16x112x112,classes=400        a clip: frames x height x width, 400-way head
    my_pkg.nets:build@224,width=2        your own function that returns a Module
    nets.py:build@224                    the same from a file
    lstm:1280x512@16                     LSTMCell-like work for 16 steps; also gru: and rnn:
    linear:1280x7                        one fully connected layer
    value:1.8e9 "EfficientNet paper"     a constant in MACs, with its source
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from flopbench.core.errors import InputError
from flopbench.core.units import parse_macs

LIBRARY_SOURCES = ("torchvision", "timm", "transformers")
LAYER_SOURCES = ("lstm", "gru", "rnn", "linear")
SOURCES = (*LIBRARY_SOURCES, *LAYER_SOURCES, "value", "python")

_EXAMPLES = "expected something like resnet50@224, timm:efficientnet_b3@300 or pkg.module:factory"
_VALUE = re.compile(r"value:(?P<amount>[^\"]+?)\s*(?:\"(?P<source>[^\"]*)\")?\s*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One network at one input.

    Attributes:
        source: one of ``SOURCES``; ``python`` is the user's own code.
        name: what the source calls it (``resnet50``, ``pkg.module:factory``, ``1280x512``).
        size: the input size as typed: ``(224,)``, ``(height_px, width_px)``,
            ``(frames, height_px, width_px)`` or ``(steps,)``; empty means the model's own default.
        classes: width of the classification head, None to leave the head as it is.
        options: further keyword arguments of the builder, sorted by name.
        quote: where a constant comes from.
    """

    source: str
    name: str
    size: tuple[int, ...] = ()
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
        return f"{prefix}{self.name}"

    @property
    def input(self) -> str:
        """The input as text: ``224``, ``112x168``, ``16x112x112``; empty for the default."""
        return format_size(self.size)

    @property
    def is_user_code(self) -> bool:
        """Whether the model comes from the user's own code, which is never cached."""
        return self.source == "python" or (
            self.source == "transformers" and self.name.endswith(".json")
        )

    def at(self, size: tuple[int, ...]) -> ModelSpec:
        """Return the same network at another input size."""
        return replace(self, size=size)

    def with_classes(self, classes: int) -> ModelSpec:
        """Return the same network with another head."""
        return replace(self, classes=classes)

    def __str__(self) -> str:
        if self.source == "value":
            return f'value:{self.name} "{self.quote}"' if self.quote else f"value:{self.name}"
        size = f"@{self.input}" if self.size else ""
        head = () if self.classes is None else (("classes", self.classes),)
        return f"{self._named}{size}{_print_options((*head, *self.options))}"


def parse_spec(text: str) -> ModelSpec:
    """Read a model specification (grammar in the module's docstring).

    Raises:
        InputError: the text does not follow the grammar.
    """
    text = text.strip()
    if text.startswith("value:"):
        return _parse_value(text)
    head, *tail = _split_options(text)
    named, at, size_text = head.rpartition("@") if "@" in head else (head, "", "")
    if at and not size_text:
        raise InputError(f"{text!r} has nothing after '@': expected an input size such as @224")
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
    return ModelSpec(
        source=source,
        name=name,
        size=parse_size(size_text, text) if size_text else (),
        classes=classes,
        options=tuple(sorted(options.items())),
    )


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
    if min(size) < 1:
        raise InputError(
            f"input size {text!r} in {where!r}: every dimension must be at least 1, got {min(size)}"
        )
    return size[:1] if len(size) == 2 and size[0] == size[1] else size


def format_size(size: tuple[int, ...]) -> str:
    """Print an input size the way ``parse_size`` reads it."""
    return "x".join(str(extent) for extent in size)


def cross(models: list[ModelSpec], sizes: list[tuple[int, ...]]) -> list[ModelSpec]:
    """Pair every model with every input size, models outermost.

    Raises:
        InputError: a model already names its own input, or a constant is given a size.
    """
    if not sizes:
        return models
    for spec in models:
        if spec.size or spec.source == "value":
            raise InputError(
                f"{str(spec)!r} already has its own input, so -r/--resolution cannot apply to it",
                "write the input after '@' for every model, or use -r and no '@'",
            )
    return [spec.at(size) for spec in models for size in sizes]


def _split_source(named: str) -> tuple[str, str]:
    source, colon, name = named.partition(":")
    if colon and source in (*LIBRARY_SOURCES, *LAYER_SOURCES):
        if source in LAYER_SOURCES and not re.fullmatch(r"[1-9]\d*x[1-9]\d*", name):
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


def _split_options(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not parts[0] or not all(parts):
        raise InputError(f"cannot read the model {text!r}: {_EXAMPLES}")
    return parts


def _parse_option(option: str, where: str) -> tuple[str, Any]:
    key, equals, value = option.partition("=")
    if not equals or not _KEY.fullmatch(key.strip()) or not value.strip():
        raise InputError(f"{where!r}: expected key=value after a comma, got {option!r}")
    if "@" in value:
        raise InputError(f"{where!r}: the input size goes before the first comma: name@size,...")
    try:
        return key.strip(), literal_eval(value.strip())
    except (ValueError, SyntaxError):
        words = {"true": True, "false": False, "none": None}
        return key.strip(), words.get(value.strip().lower(), value.strip())


def _print_options(options: Iterable[tuple[str, Any]]) -> str:
    return "".join(f",{key}={v if isinstance(v, str) else repr(v)}" for key, v in options)

"""What a formula is given: the settings of a model, read by name, and the size of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from flopbench.core.errors import MeasureError


class Asked(Struct, frozen=True, kw_only=True):
    """What a formula knows beside the configuration, for one sample.

    Attributes:
        tokens: length of a text, 0 for an image.
        cached: tokens in a cache of keys and values.
        image: (height, width) in pixels, empty for a text.
        labels: outputs of a classifier.
        pooled: whether the model was asked for with its pooler.
    """

    tokens: int = 0
    cached: int = 0
    image: tuple[int, ...] = ()
    labels: int = 0
    pooled: bool = False


class Configuration:
    """The settings of a model of one family with one head, and which of them were read."""

    def __init__(self, family: str, head: str, values: Mapping[str, Any]) -> None:
        self.family = family
        self.head = head
        self._values = values
        self._read: set[str] = set()

    def get(self, *names: str, default: Any = None) -> Any:
        """Return the first of some settings that is set, or else the default.

        Raises:
            MeasureError: none is set, and there is no default.
        """
        self._read.update(names)
        found = next((v for n in names if (v := self._values.get(n)) is not None), default)
        if found is None:
            raise MeasureError(f"no formula without {' or '.join(names)}")
        return found

    def count(self, *names: str, default: int | None = None) -> int:
        """Return a setting that is a whole number.

        Raises:
            MeasureError: it is none, or not set.
        """
        found = self.get(*names, default=default)
        if not isinstance(found, int):
            raise MeasureError(f"no formula for {names[0]} = {found!r}")
        return int(found)

    def pair(self, name: str) -> tuple[int, int]:
        """Return a size that is one number or (height, width)."""
        value = self.get(name)
        height, width = value if isinstance(value, (list, tuple)) else (value, value)
        return int(height), int(width)

    def require(self, name: str, *allowed: Any) -> None:
        """Refuse a setting, or a list of them, with another value than those of the formula."""
        self._read.add(name)
        value = self._values.get(name, allowed[0])
        if not all(v in allowed for v in (value if isinstance(value, list) else [value])):
            raise MeasureError(f"no formula for {name} = {value!r}")

    def refuse_unread(self, free: Callable[[str], Any]) -> None:
        """Refuse settings that no formula knows."""
        unknown = sorted(n for n in self._values if n not in self._read and not free(n))
        if unknown:
            raise MeasureError(f"no formula for the setting {', '.join(unknown)}")

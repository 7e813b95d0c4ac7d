"""What the constructors of library models are given: the configuration of timm and torchvision."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import nn


@contextmanager
def arguments_noted(*kinds: type[nn.Module]) -> Iterator[dict[nn.Module, dict[str, Any]]]:
    """Note what the constructors of some classes are given, defaults included, by model.

    Classes and functions among the arguments are noted by their name.
    """
    noted: dict[nn.Module, dict[str, Any]] = {}

    def noting(kind: type[nn.Module]) -> Callable[..., None]:
        original: Callable[..., None] = kind.__init__
        signature = inspect.signature(original)

        def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
            with suppress(TypeError):  # the constructor itself will say what does not fit
                bound = signature.bind(self, *args, **kwargs)
                bound.apply_defaults()
                noted[self] = {k: _by_name(v) for k, v in list(bound.arguments.items())[1:]}
            original(self, *args, **kwargs)

        return init

    before = {kind: kind.__init__ for kind in kinds}
    try:
        for kind in kinds:
            kind.__init__ = noting(kind)
        yield noted
    finally:
        for kind, original in before.items():
            kind.__init__ = original


def _by_name(value: Any) -> Any:
    return getattr(getattr(value, "func", value), "__name__", value) if callable(value) else value

"""The options that a specification may give a library's builder: those that open nothing.

A specification may come from a file of somebody else's. An option is therefore a parameter of the
network itself, as the signatures of its library have them, with a plain value: numbers, True,
False, None and short names such as ``gelu``, alone or in lists and dicts. What a builder would
open, download or import has no such name, or no such value.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn

from flopbench.core.errors import InputError, cut, nearest
from flopbench.models.build.builders import NO_DOWNLOAD, DownloadRefused
from flopbench.models.factories import names_weights
from flopbench.models.spec import ModelSpec

KERNELS = "_implementation"
"""End of settings of transformers that may name a repository, whose code would be imported."""
_NAME = re.compile(r"\w[\w+-]{0,39}")
"""A value that is text: no path, no address, no repository."""
_WHAT_IS_ONE = (
    "an option is a parameter of its constructor, and names no file, folder, address or repository"
)


def check_options(spec: ModelSpec, known: Iterable[str]) -> None:
    """Refuse an option that is no parameter of the network, or whose value may name a file.

    Args:
        spec: a model of a library.
        known: the network's parameters, from ``parameters_beside`` or ``parameters_of``.

    Raises:
        InputError: an option that the network does not have, or a value that is not plain.
        DownloadRefused: an option that would load weights.
    """
    known = set(known)
    for name, value in spec.options:
        _refuse_weights(spec, name, value)
        if name not in known:
            near = nearest(name, sorted(known))
            raise InputError(
                f"{cut(str(spec))}: {cut(name)} is no option of the network itself",
                (f"did you mean {near!r}? " if near else "") + _WHAT_IS_ONE,
            )
        if not _is_plain(spec, value):
            raise InputError(
                f"{cut(str(spec))}: {name}={cut(repr(value))} where numbers, True, False, None or "
                "names such as gelu were expected",
                _WHAT_IS_ONE,
            )


def parameters_beside(builder: Callable[..., Any]) -> set[str]:
    """Return the parameters of a builder, and of the constructors that its file can see.

    Builders hand on what they do not know to a class, often through a function of their file that
    takes a ``variant``, or to a record of settings.
    """
    found = parameters_of(builder)
    for one in vars(sys.modules[builder.__module__]).values():
        if isinstance(one, type) and (issubclass(one, nn.Module) or dataclasses.is_dataclass(one)):
            found |= parameters_of_class(one)
        elif inspect.isfunction(one) and "variant" in (own := parameters_of(one)):
            found |= own if one.__module__ == builder.__module__ else set()
    return found


def parameters_of(*functions: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters of some functions that can be given by name."""
    return {one.name for function in functions for one in _named(function)}


def parameters_of_class(kind: type) -> set[str]:
    """Return the parameters of a constructor, and of those that it may hand them on to."""
    return parameters_of(
        *(vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base))
    )


def _named(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # what Python has no signature of
        return
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    yield from (one for one in every if one.kind in named and one.name != "self")


def _refuse_weights(spec: ModelSpec, name: Any, value: Any) -> None:
    """Lists are sizes, such as ``pretrained_window_size``; anything else switches weights on."""
    off = value is None or value is False or isinstance(value, (list, tuple))
    if not off and isinstance(name, str) and names_weights(name):
        raise DownloadRefused(
            f"{cut(str(spec))} wants to load weights, and {NO_DOWNLOAD}",
            f"weights do not change a cost: leave out {name}={cut(str(value))}",
        )


def _is_plain(spec: ModelSpec, value: Any) -> bool:
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_weights(spec, name, inner)
            if str(name).endswith(KERNELS):
                return False
        return all(_is_plain(spec, one) for one in (*value, *value.values()))
    if isinstance(value, (list, tuple)):
        return all(_is_plain(spec, one) for one in value)
    if isinstance(value, str):
        return _NAME.fullmatch(value) is not None
    return value is None or isinstance(value, (int, float))

"""How large a model is: its memory, builders that are stopped in time, errors that mean it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from flopbench.core.errors import InputError, cut, shown_value
from flopbench.core.limits import MOST_LAYERS, MOST_PARTS
from flopbench.models.spec import ModelSpec

_OF_LAYERS = re.compile(r"(?:\w*_)?(?:layers?|depths?|blocks?|stages?|repeats?)")
"""Options that say how often something is built."""


class TooLarge(BaseException):
    """More weights than were allowed; no ``Exception``, since builders catch those."""


def weight_bytes(module: nn.Module) -> int:
    """Return the size of all parameters and buffers, on whatever device they are."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@contextmanager
def at_most(limit: float) -> Iterator[None]:
    """Stop a builder, by ``TooLarge``, that registers more bytes of parameters on the CPU."""
    made = 0

    def count(parameter: nn.Parameter) -> nn.Parameter:
        nonlocal made
        if parameter.device.type == "cpu" and not nn.parameter.is_lazy(parameter):
            made += parameter.numel() * parameter.element_size()
        if made > limit:
            raise TooLarge
        return parameter

    with registering(count):
        yield


class _TooMany(BaseException):
    """More parts than any model has; no ``Exception``, since builders catch those."""


@contextmanager
def of_usual_size(spec: ModelSpec) -> Iterator[None]:
    """Stop a builder that makes more modules and parameters than any model has.

    Raises:
        InputError: it does, or an option asks for more layers than any model has.
    """
    if spec.source != "python":
        check_layers(dict(spec.options), str(spec))
    made = itertools.count(1)

    def count(*_: object) -> None:
        if next(made) > MOST_PARTS:
            raise _TooMany

    hooks = [
        torch.nn.modules.module.register_module_module_registration_hook(count),
        torch.nn.modules.module.register_module_parameter_registration_hook(count),
    ]
    try:
        yield
    except _TooMany:
        raise InputError(
            f"{cut(str(spec))} has more than {MOST_PARTS:,} modules and parameters"
        ) from None
    finally:
        for hook in hooks:
            hook.remove()


def check_layers(options: Mapping[str, Any], where: str) -> None:
    """Refuse options, or a configuration, with more layers than any model has.

    Raises:
        InputError: they have; the message names the option.
    """
    waiting = list(options.items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.items()
        elif isinstance(value, (list, tuple)):
            waiting += [(name, one) for one in value]
        elif _OF_LAYERS.fullmatch(name) and isinstance(value, int) and value > MOST_LAYERS:
            raise InputError(
                f"{where}: {name}={shown_value(value)} where at most {MOST_LAYERS} make sense"
            )


@contextmanager
def registering(change: Callable[[nn.Parameter], nn.Parameter]) -> Iterator[None]:
    """Pass each parameter through ``change`` as a module registers it."""
    original = nn.Module.register_parameter

    def register(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        original(module, name, None if parameter is None else change(parameter))

    nn.Module.register_parameter = register
    try:
        yield
    finally:
        nn.Module.register_parameter = original


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means too little memory, on any device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)

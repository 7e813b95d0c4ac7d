"""How much memory a model takes: its size, a builder that stops in time, errors that mean it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


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

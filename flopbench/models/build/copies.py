"""Private copies of a live module, so that a user's model is never changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from flopbench.core.errors import FlopbenchError, MeasureError
from flopbench.models.build.built import reason

_PLAIN_TYPES = {torch.Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter)}
_WRAPPERS = ("DistributedDataParallel", "DataParallel")


def unwrap(module: nn.Module) -> nn.Module:
    """Return the model inside DataParallel, DistributedDataParallel or torch.compile."""
    while True:
        if type(module).__name__ in _WRAPPERS and isinstance(
            getattr(module, "module", None), nn.Module
        ):
            module = module.module
        elif isinstance(getattr(module, "_orig_mod", None), nn.Module):
            module = module._orig_mod
        else:
            return module


def private_copy(module: nn.Module, device: str) -> nn.Module:
    """Copy a module, in evaluation mode.

    To ``meta`` only shapes are copied; else every tensor is cloned on its device, since a forward
    pass may write to its weights.

    Raises:
        MeasureError: the module cannot be copied, or has parameters that have no shape yet.
    """
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise MeasureError(
            "the model has lazy parameters, which have no shape yet",
            "run it once on an input, then count it",
        )
    memo: dict[int, Any] = {}
    for child in module.modules():
        tensors = [*child._parameters.values(), *child._buffers.values()]
        tensors += [v for v in vars(child).values() if isinstance(v, torch.Tensor)]
        for tensor in tensors:
            if tensor is None or id(tensor) in memo or not _plain(tensor):
                continue
            memo[id(tensor)] = (
                _on_meta(tensor)
                if device == "meta"
                else _as_parameter(tensor.detach().clone(), tensor)
            )
    try:
        copied: nn.Module = copy.deepcopy(module, memo)
    except Exception as error:
        raise MeasureError(
            f"the model cannot be copied ({type(error).__name__}: {error})",
            "leave what cannot be copied (locks, files, generators) out of the module, or name a "
            "factory, such as package.module:build",
        ) from error
    copied.eval()  # what a model's own train() returns is its affair
    return copied


class TensorSwap:
    """Swap the tensors of a module for shapes on the meta device, and back.

    A module that was built on ``meta`` cannot go to ``cpu``.
    """

    def __init__(self, module: nn.Module, device: str) -> None:
        self._device = device
        self._places: list[tuple[dict[str, Any], str, dict[str, torch.Tensor]]] = []
        on_meta: dict[int, torch.Tensor] = {}
        for child in module.modules():
            for names in (child._parameters, child._buffers, vars(child)):
                for name, tensor in names.items():
                    if not isinstance(tensor, torch.Tensor) or not _plain(tensor):
                        continue
                    if id(tensor) not in on_meta:
                        on_meta[id(tensor)] = tensor if device == "meta" else _on_meta(tensor)
                    choices = {device: tensor, "meta": on_meta[id(tensor)]}
                    self._places.append((names, name, choices))

    def to(self, device: str) -> None:
        """Install the tensors of one device."""
        if device != self._device:
            for names, name, choices in self._places:
                names[name] = choices[device]
            self._device = device


def move_inputs(value: Any, device: str) -> Any:
    """Return a copy of inputs: shapes on the meta device, or clones on their device.

    Raises:
        MeasureError: something among them cannot be copied.
    """

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return _on_meta(tensor) if device == "meta" else tensor.clone()

    return copy_inputs(value, moved)


def copy_inputs(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return a copy of inputs in which a function has replaced every tensor.

    Tensors are found wherever they are: in containers, and in objects such as a key-value cache.

    Raises:
        MeasureError: something among them cannot be copied.
    """
    try:
        with _Replacing(function):
            return copy.deepcopy(value)
    except FlopbenchError:
        raise
    except Exception as error:
        raise MeasureError(
            f"the inputs cannot be copied ({reason(error)})",
            "leave what cannot be copied (locks, files, generators) out of them",
        ) from error


class _Replacing(TorchFunctionMode):
    """Replace the copy of every tensor."""

    _COPIES = (torch.Tensor.__deepcopy__, torch.Tensor.clone)  # a parameter clones its data

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._function = function

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in self._COPIES:
            return self._function(args[0].detach())
        return func(*args, **(kwargs or {}))


def _plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is an ordinary one: quantised, lazy and wrapper tensors copy themselves."""
    return type(tensor) in _PLAIN_TYPES and not (tensor.is_quantized or is_lazy(tensor))


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return _as_parameter(torch.empty_like(tensor, device="meta"), tensor)


def _as_parameter(copied: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
    if isinstance(original, nn.Parameter):
        return nn.Parameter(copied, requires_grad=original.requires_grad)
    return copied

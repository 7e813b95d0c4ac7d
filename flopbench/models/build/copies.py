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
from flopbench.models.build.environment import Name, replaced

_PLAIN_TYPES = {torch.Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter)}
_WRAPPERS = ("DistributedDataParallel", "DataParallel")


def unwrap(module: nn.Module) -> nn.Module:
    """Return the model inside DataParallel, DistributedDataParallel or torch.compile."""
    while True:
        if type(module).__name__ in _WRAPPERS and isinstance(
            getattr(module, "module", None), nn.Module
        ):
            module = module.module
        elif is_compiled(module):
            module = module._orig_mod
        else:
            return module


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is the wrapper that ``torch.compile`` puts around another."""
    return "_orig_mod" in dict(module.named_children())


def private_copy(module: nn.Module, device: str) -> nn.Module:
    """Copy a module, in evaluation mode, with the originals of compiled submodules.

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

    def copied_tensor(_key: Name, own: Callable[..., Any]) -> Callable[..., Any]:
        def deep_copy(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
            if id(tensor) not in memo:
                if not _plain(tensor):
                    memo[id(tensor)] = own(tensor, memo)
                elif device == "meta":
                    memo[id(tensor)] = _on_meta(tensor)
                else:
                    memo[id(tensor)] = _as_parameter(tensor.detach().clone(), tensor)
            copied: torch.Tensor = memo[id(tensor)]
            return copied

        return deep_copy

    kinds = [(kind, "__deepcopy__") for kind in (torch.Tensor, nn.Parameter)]
    try:
        with replaced(kinds, copied_tensor):  # whatever holds them: a list, a dict, an object
            copied: nn.Module = copy.deepcopy(module)
    except Exception as error:
        raise MeasureError(
            f"the model cannot be copied ({type(error).__name__}: {error})",
            "leave what cannot be copied (locks, files, generators) out of the module, or name a "
            "factory, such as package.module:build",
        ) from error
    for parent in list(copied.modules()):
        for name, child in parent._modules.items():
            if child is not None and is_compiled(child):
                parent._modules[name] = unwrap(child)
    copied.eval()  # what a model's own train() returns is its affair
    return copied


class Restored:
    """A module that becomes what it was when it was built, on the meta device or its own.

    What counters and the model itself leave behind is undone: attributes, hooks, buffers, flags,
    and what they put into lists and dicts. A module that was built on ``meta`` stays there.
    """

    def __init__(self, module: nn.Module, device: str) -> None:
        self._device = device
        self._on_meta: dict[int, torch.Tensor] = {}
        self._states = [
            (child, {name: _copied(value) for name, value in vars(child).items()})
            for child in module.modules()
        ]

    def to(self, device: str) -> None:
        """Restore every attribute, with the tensors of one device."""
        swap = self._swapped if device == "meta" != self._device else _itself
        for child, state in self._states:
            names = vars(child)
            names.clear()
            names.update((name, _copied(value, swap)) for name, value in state.items())

    def _swapped(self, tensor: torch.Tensor) -> torch.Tensor:
        if not _plain(tensor):
            return tensor
        if id(tensor) not in self._on_meta:
            self._on_meta[id(tensor)] = _on_meta(tensor)
        return self._on_meta[id(tensor)]


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _copied(value: Any, tensor: Callable[[torch.Tensor], torch.Tensor] = _itself) -> Any:
    """Copy containers within containers, and the tensors in them by ``tensor``."""
    if isinstance(value, torch.Tensor):
        return tensor(value)
    if isinstance(value, dict):
        copied = copy.copy(value)
        for key, item in value.items():
            dict.__setitem__(copied, key, _copied(item, tensor))  # some refuse update()
        return copied
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_copied(item, tensor) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_copied(item, tensor) for item in value)
    return copy.copy(value) if isinstance(value, (set, bytearray)) else value


def move_inputs(value: Any, device: str, *, keep_integers: bool = False) -> Any:
    """Return a copy of inputs: shapes on the meta device, or clones on their device.

    With ``keep_integers`` only floating-point tensors become shapes.

    Raises:
        MeasureError: something among them cannot be copied.
    """

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        to_meta = device == "meta" and (tensor.is_floating_point() or not keep_integers)
        return _on_meta(tensor) if to_meta else tensor.clone()

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

"""Private copies of a live module, so that a user's model is never changed."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType, ModuleType
from typing import Any

import torch
from msgspec.structs import replace
from torch import nn
from torch.nn.parameter import UninitializedBuffer, is_lazy
from torch.overrides import TorchFunctionMode

from flopbench.core.errors import FlopbenchError, MeasureError
from flopbench.models.build.built import Built, head_width, reason
from flopbench.models.build.environment import Name, counting_state, replaced

_PLAIN_TYPES = {torch.Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter)}
_REGISTRIES = {"_parameters", "_buffers", "_modules"}
_EMPTIED = (dict, list, set, bytearray)
_COPIED = (torch.Tensor, tuple, *_EMPTIED)
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


def countable(built: Built) -> Built:
    """Return a model of the user's that can be copied and counted, with notes on what it hides.

    Lazy layers get their shapes in a copy that runs once; the user's stay uninitialised.

    Raises:
        MeasureError: it cannot be copied, or the forward pass does not reach a lazy layer.
    """
    hidden = _unregistered(built.module)
    if hidden:
        kinds = " or ".join(sorted({kind for kind, _ in hidden.values()}))
        named = ", ".join(f"{path} ({count:,})" for path, (_, count) in hidden.items())
        note = f"parameters in a Python {kinds}, which the model does not register: {named}"
        built = replace(built, notes=(*built.notes, note))
    if not _lazy_layers(built.module):
        return built
    module = private_copy(built.module, "")
    with counting_state():
        module(*move_inputs(built.args, ""), **move_inputs(dict(built.kwargs), ""))
    left = _lazy_layers(module)
    if left:
        raise MeasureError(
            f"the lazy layer {left[0]!r} has no shape: the forward pass does not reach it",
            "leave it out, or give it a shape",
        )
    return replace(built, module=module, feature_dim=head_width(module))


def _lazy_layers(module: nn.Module) -> list[str]:
    return [
        path
        for path, child in module.named_modules()
        if any(is_lazy(t) for t in (*child._parameters.values(), *child._buffers.values()))
    ]


def _unregistered(module: nn.Module) -> dict[str, tuple[str, int]]:
    """Return attributes with parameters that no module registers: path -> type, elements."""
    registered = {id(parameter) for parameter in module.parameters()}
    found: dict[str, tuple[str, int]] = {}
    for path, child in module.named_modules():
        for name, value in vars(child).items():
            if name in _REGISTRIES:  # children come as modules of their own
                continue
            sizes = {
                id(t): t.numel()
                for t in _tensors_in(value)
                if isinstance(t, nn.Parameter) and id(t) not in registered and not is_lazy(t)
            }
            if sizes:
                where = f"{path}.{name}".removeprefix(".")
                found[where] = type(value).__name__, sum(sizes.values())
    return found


def _tensors_in(value: Any, seen: set[int] | None = None) -> Iterator[torch.Tensor]:
    """Yield the tensors of lists, tuples, sets and dicts, and of the modules in them."""
    seen = set() if seen is None else seen
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple, set, nn.Module)) and id(value) not in seen:
        seen.add(id(value))
        inner: Iterable[Any] = value.values() if isinstance(value, dict) else value
        if isinstance(value, nn.Module):
            inner = vars(value).values()
        for item in inner:
            yield from _tensors_in(item, seen)


def private_copy(module: nn.Module, device: str) -> nn.Module:
    """Copy a module, in evaluation mode, with the originals of compiled submodules.

    To ``meta`` only shapes are copied; else every tensor is cloned on its device, since a forward
    pass may write to its weights.

    Raises:
        MeasureError: the module cannot be copied.
    """
    registered = {id(parameter) for parameter in module.parameters()}

    def copied_tensor(_key: Name, own: Callable[..., Any]) -> Callable[..., Any]:
        def deep_copy(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
            if id(tensor) not in memo:
                if isinstance(tensor, UninitializedBuffer):  # which torch does not copy
                    memo[id(tensor)] = UninitializedBuffer(False, tensor.device, tensor.dtype)
                elif not _plain(tensor):
                    memo[id(tensor)] = own(tensor, memo)
                elif device == "meta":
                    memo[id(tensor)] = _on_meta(tensor)
                else:
                    made = _as_parameter(tensor.detach().clone(), tensor)
                    if id(tensor) not in registered:  # which a trace takes as a constant
                        made.requires_grad_(False)
                    memo[id(tensor)] = made
            found: torch.Tensor = memo[id(tensor)]
            return found

        return deep_copy

    kinds = [(kind, "__deepcopy__") for kind in (torch.Tensor, nn.Parameter)]
    with replaced(kinds, copied_tensor):  # whatever holds them: a list, a dict, an object
        try:
            copied: nn.Module = copy.deepcopy(module)
        except Exception as error:
            raise _not_copied(_attributes(module), "the model cannot", error) from error
    for parent in list(copied.modules()):
        for name, child in parent._modules.items():
            if child is not None and is_compiled(child):
                parent._modules[name] = unwrap(child)
    evaluate(copied)
    return copied


def evaluate(module: nn.Module) -> None:
    """Put a module into evaluation mode; what its own ``train()`` returns is its affair."""
    with contextlib.suppress(NotImplementedError):  # an exported program was exported in one mode
        module.eval()


def _not_copied(values: Iterable[tuple[str, Any]], what: str, error: Exception) -> MeasureError:
    """Name what cannot be copied among attributes or inputs."""
    hint = "make it where it is used, or leave it out in __getstate__"
    culprit = _culprit(values)
    if culprit is not None:
        where, value = culprit
        kind = "attribute " if "." in where else ""
        return MeasureError(f"{kind}`{where}` ({_kind(value)}) cannot be copied", hint)
    return MeasureError(f"{what} be copied: {reason(error)}", hint)


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of all modules, but not what they register: path, value."""
    for path, child in module.named_modules():
        place = f"model.{path}".rstrip(".")
        for name, value in vars(child).items():
            if name not in _REGISTRIES:
                yield f"{place}.{name}", value


def _culprit(values: Iterable[tuple[str, Any]], depth: int = 4) -> tuple[str, Any] | None:
    """Return place and value of the innermost part that cannot be copied."""
    for place, value in values:
        try:
            copy.deepcopy(value)
        except Exception:
            inner: list[tuple[str, Any]] = []
            if isinstance(value, dict):
                inner = [(f"{place}[{key!r}]", item) for key, item in value.items()]
            elif isinstance(value, (list, tuple)):
                inner = [(f"{place}[{n}]", item) for n, item in enumerate(value)]
            elif not isinstance(value, (torch.Tensor, ModuleType)):
                own = getattr(value, "__dict__", {})
                inner = [(f"{place}.{name}", item) for name, item in own.items()]
            deeper = _culprit(inner, depth - 1) if depth else None
            return deeper or (place, value)
    return None


def _kind(value: Any) -> str:
    """Say in a few words what cannot be copied."""
    if type(value).__module__ == "_thread":
        return "a lock"
    if isinstance(value, io.IOBase):
        return "an open file"
    if isinstance(value, GeneratorType):
        return "a generator"
    return f"of type {type(value).__name__}"


class Restored:
    """A module that becomes what it was when it was built, on the meta device or its own.

    What counters and the model itself leave behind is undone: attributes, hooks, buffers, flags,
    and what they put into lists and dicts. A module that was built on ``meta`` stays there.
    """

    def __init__(self, module: nn.Module, device: str) -> None:
        self._device = device
        self._on_meta: dict[int, torch.Tensor] = {}
        self._states: list[tuple[dict[str, Any], dict[str, Any], list[str], list[Any]]] = []
        for child in module.modules():
            state, full, empty = dict(vars(child)), [], []
            for name, value in state.items():
                if isinstance(value, _EMPTIED) and not value:
                    empty.append(value)
                elif isinstance(value, _COPIED):
                    state[name] = _copied(value)
                    full.append(name)
            self._states.append((vars(child), state, full, empty))

    def to(self, device: str) -> None:
        """Restore every attribute, with the tensors of one device."""
        swap = self._swapped if device == "meta" != self._device else _itself
        for names, state, full, empty in self._states:
            names.clear()
            names.update(state)
            for name in full:
                names[name] = _copied(state[name], swap)
            for container in empty:  # most are: hooks, buffers, children
                if container:
                    container.clear()

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
        raise _not_copied([("input", value)], "the inputs cannot", error) from error


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

"""From a specification to a model and one sample to run it on. Nothing is ever downloaded.

Lives here: the choice of the source and what all sources share. The sources themselves:
``library_models`` (torchvision, timm, transformers), ``user_models`` (code of the user's own);
built-in layers are here. Does not live here: running or counting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from flopbench.errors import InputError
from flopbench.specs import LAYER_SOURCES, LIBRARY_SOURCES, ModelSpec, format_size

SEED = 0
"""Random weights and inputs are drawn from this seed, so that value-dependent costs repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A model in evaluation mode and one sample.

    Attributes:
        module: the model.
        args: positional inputs, a batch of one.
        kwargs: keyword inputs, a batch of one.
        input: the input size as resolved, such as ``224`` or ``16x112x112``.
        feature_dim: input width of the classification head, None where there is none.
    """

    module: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    input: str = ""
    feature_dim: int | None = None


def build(spec: ModelSpec, device: str, *, initialise: bool = True) -> Built:
    """Build a model and its input.

    Args:
        spec: what to build; not a ``value:`` constant.
        device: ``meta`` (no memory, no values) or ``cpu``.
        initialise: False gives library models zeros for weights: quicker, for counting models
            whose cost was seen not to depend on values.

    Raises:
        InputError: the model does not exist, its library is not installed, an option or the input
            size does not fit it, or the user's factory failed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if spec.source in LIBRARY_SOURCES:
            built = _build_library(spec, device, initialise)
        else:
            # The CPU is where tensors are made anyway; a device context slows every call down.
            context = contextlib.nullcontext() if device == "cpu" else torch.device(device)
            with context:
                built = _build_layer(spec) if spec.source in LAYER_SOURCES else _build_users(spec)
    built.module.eval()
    return built


def image_input(spec: ModelSpec, default: tuple[int, ...], channels: int = 3) -> torch.Tensor:
    """Draw one image ``(1, C, H, W)`` or clip ``(1, C, T, H, W)`` with values in [0, 1).

    Args:
        spec: gives the size, if it has one.
        default: the size to take otherwise.
        channels: C.
    """
    size = spec.size or default
    if len(size) == 1:
        size = (size[0], size[0])
    return torch.rand(1, channels, *size)


def last_linear(module: nn.Module) -> nn.Linear | None:
    """Return the last fully connected layer in registration order, which is the head."""
    found = None
    for child in module.modules():
        if isinstance(child, nn.Linear):
            found = child
    return found


def head_width(module: nn.Module) -> int | None:
    """Return the input width of the classification head, None where there is no linear layer."""
    head = last_linear(module)
    return head.in_features if head is not None else None


def replace_head(module: nn.Module, classes: int, name: str) -> None:
    """Put a new ``nn.Linear(in_features, classes)`` where the last linear layer is.

    Raises:
        InputError: there is no linear layer to replace.
    """
    paths = [path for path, child in module.named_modules() if isinstance(child, nn.Linear)]
    if not paths or not paths[-1]:
        raise InputError(
            f"{name} has no classification head to replace, so classes={classes} cannot apply"
        )
    parent, _, attribute = paths[-1].rpartition(".")
    old = module.get_submodule(paths[-1])
    new = nn.Linear(old.in_features, classes, bias=old.bias is not None)
    setattr(module.get_submodule(parent), attribute, new)


def reason(error: BaseException) -> str:
    """Put an exception of other people's code into one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _build_library(spec: ModelSpec, device: str, initialise: bool) -> Built:
    from flopbench.measure.library_models import build_library_model, build_on_meta

    with contextlib.nullcontext() if initialise else _ZerosForDraws():
        return build_on_meta(spec) if device == "meta" else build_library_model(spec)


def _build_users(spec: ModelSpec) -> Built:
    from flopbench.measure.user_models import build_user_model

    return build_user_model(spec)


def _build_layer(spec: ModelSpec) -> Built:
    if spec.classes is not None:
        raise InputError(f"{str(spec)!r}: a single layer has no head, so classes= cannot apply")
    steps = spec.size[0] if spec.size else 1
    width_in, width_out = (int(width) for width in spec.name.split("x"))
    kinds: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "linear": nn.Linear}
    renamed = {"layers": "num_layers", "projection": "proj_size"}
    options = {renamed.get(key, key): value for key, value in spec.options}
    if spec.source != "linear":
        options["batch_first"] = True
    try:
        module = kinds[spec.source](width_in, width_out, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"cannot build {str(spec)!r}: {reason(error)}") from None
    return Built(module=module, args=(torch.rand(1, steps, width_in),), input=format_size((steps,)))


class _ZerosForDraws(TorchFunctionMode):
    """Zero the weights where a model would draw them: far quicker, and as quick to compute with.

    Memory as allocated would be quicker still to get, but holds denormal numbers, which make the
    arithmetic several times slower.
    """

    _DRAWS = frozenset(
        {
            torch.Tensor.normal_,
            torch.Tensor.uniform_,
            torch.Tensor.erfinv_,
        }
    )

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in self._DRAWS:
            return args[0].zero_()
        return func(*args, **(kwargs or {}))

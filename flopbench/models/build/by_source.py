"""Builds a model, and one sample to run it on, from a specification. Nothing is ever downloaded."""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Callable
from typing import Any

import torch
from msgspec.structs import replace
from torch import nn

from flopbench.core.errors import InputError, near_match
from flopbench.models.build.builders import offline
from flopbench.models.build.built import Built, reason
from flopbench.models.build.copies import evaluate
from flopbench.models.build.environment import (
    Name,
    made_on_cpu,
    no_addresses,
    replaced,
    seeded,
)
from flopbench.models.build.fusing import branch_notes
from flopbench.models.build.library import build_library_model, build_on_meta
from flopbench.models.build.memory import of_usual_size
from flopbench.models.build.stand_ins import late_dynamo
from flopbench.models.build.user import build_user_model, with_inputs
from flopbench.models.shapes import Shape
from flopbench.models.spec import LAYER_SOURCES, LIBRARY_SOURCES, ModelSpec, format_size

_DRAWS = [(torch.Tensor, name) for name in ("normal_", "uniform_", "erfinv_")]


def build(spec: ModelSpec, device: str, *, initialise: bool = True) -> Built:
    """Build a model and its input.

    Args:
        spec: what to build; not a ``value:`` constant.
        device: ``meta`` (no memory, no values) or ``cpu``.
        initialise: False gives library models zero weights, which is quicker; for models whose
            cost is known not to depend on values.

    Raises:
        InputError: the model or its submodule does not exist, its library is not installed, an
            option or the input size does not fit it, or the user's factory failed.
        DownloadRefused: it wanted to download something.
    """
    named, spec = spec, _whole(copy.deepcopy(spec))  # a builder may write to lists among options
    context = made_on_cpu() if device == "cpu" else no_addresses()
    with of_usual_size(spec), seeded(), context, offline(), late_dynamo():
        if spec.source in LIBRARY_SOURCES:
            built = _build_library(spec, device, initialise)
        else:
            make = _build_layer if spec.source in LAYER_SOURCES else build_user_model
            with contextlib.nullcontext() if device == "cpu" else torch.device(device):
                built = make(spec)
        if named.part:
            with contextlib.nullcontext() if device == "cpu" else torch.device(device):
                built = _part(built.module, named)
    try:
        evaluate(built.module)
    except Exception as error:
        raise InputError(f"{named} fails in eval(): {reason(error)}") from error
    return replace(built, notes=(*built.notes, *branch_notes(built.module, named)))


def _whole(spec: ModelSpec) -> ModelSpec:
    """Return the network that a submodule belongs to; the input named is the submodule's."""
    if not spec.part:
        return spec
    own = spec.source == "python"  # it may bring inputs of its own
    image = () if own or len(spec.size) > 2 else spec.size  # some networks have no default
    return replace(spec, part="", shapes="", size=image)


def _part(whole: nn.Module, spec: ModelSpec) -> Built:
    paths = dict(whole.named_modules())
    if spec.part not in paths:
        above = spec.part
        while above not in paths:
            above = above.rpartition(".")[0]
        beside = [path for path in paths if path and path.rpartition(".")[0] == above]
        near = difflib.get_close_matches(spec.part, paths, n=3)
        known = dict.fromkeys([*(beside if set(near) & set(beside) else near[:1]), *beside])
        raise InputError(
            f"{_whole(spec).model} has no submodule {spec.part!r}",
            near_match(spec.part, known, "submodules"),
        )
    return with_inputs(paths[spec.part], spec)


def _build_library(spec: ModelSpec, device: str, initialise: bool) -> Built:
    with contextlib.nullcontext() if initialise else replaced(_DRAWS, _zeros):
        return build_on_meta(spec) if device == "meta" else build_library_model(spec)


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
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"cannot build {str(spec)!r}: {reason(error)}") from None
    shape = Shape((1, steps, width_in))
    return Built(module=module, args=(torch.rand(shape.extents),), input=format_size((steps,)))


def _zeros(_key: Name, _given: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    """Zero the weights where a model would draw them, which is much quicker.

    Uninitialised memory would be quicker still, but holds denormal numbers, which make the
    arithmetic several times slower.
    """
    return lambda tensor, *_args, **_kwargs: tensor.zero_()

"""Inputs of a live module or of a user's factory, from whatever was given: tensors or shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.environment import SEED
from flopbench.models.shapes import (
    SCALAR,
    Arguments,
    Shape,
    are_shapes,
    as_arguments,
    format_shapes,
    is_whole,
    leaves,
    map_containers,
    parse_shapes,
    shapes_in,
)
from flopbench.models.spec import parse_size


def example_inputs(
    module: nn.Module, given: Any, kwargs: Mapping[str, Any] | None = None
) -> Arguments:
    """Return positional and keyword inputs; what is given as a shape is made.

    Tensors of floating point are uniform in [0, 1) from a fixed seed, in the dtype of the model's
    first parameter if the shape names none, and on its device; whole numbers and truth values are
    all 1.

    Args:
        module: the model.
        given: a shape ``(1, 3, 224, 224)``, a tensor or object such as a graph, a size (``224``,
            ``"16x112x112"``) for one RGB image or clip, a tuple or list of positional arguments, a
            mapping of keyword arguments, or text as ``models.shapes`` reads it. Where there is a
            tensor among the arguments, nothing is read as a shape.
        kwargs: keyword arguments besides positional ones.

    Raises:
        InputError: something else, nothing at all, or keyword arguments given twice.
    """
    tensor = next(module.parameters(), None)
    device = torch.empty(0).device if tensor is None else tensor.device
    own = tensor.dtype if tensor is not None and tensor.is_floating_point() else torch.float32
    generator = torch.Generator().manual_seed(SEED)

    def made(value: Any) -> Any:
        if not isinstance(value, Shape):
            return map_containers(value, made)
        dtype = getattr(torch, value.dtype) if value.dtype else own
        if device.type == "meta":
            return torch.empty(value.extents, dtype=dtype, device=device)
        if not (dtype.is_floating_point or dtype.is_complex):
            return torch.ones(value.extents, dtype=dtype, device=device)
        return torch.rand(value.extents, generator=generator, device="cpu").to(device, dtype)

    args, named = _arguments(given, kwargs)
    return made(args), made(named)


def shapes_text(given: Any, kwargs: Mapping[str, Any] | None) -> str:
    """Return inputs that Python code gave for a specification as the text that names them.

    Raises:
        InputError: there is something among them that no text can name, such as a tensor.
    """
    args, named = _arguments(given, kwargs)
    other = next((v for v in leaves((args, named)) if not isinstance(v, Shape)), None)
    if other is not None:
        raise InputError(
            f"input holds {type(other).__name__}",
            "with a specification, give a size such as 224 or, for your own code, shapes",
        )
    return format_shapes(args, named)


def describe_inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Print the shapes of the tensors among the arguments: ``1x3x32x32+1x7``."""
    tensors = [v for v in leaves((args, dict(kwargs))) if isinstance(v, torch.Tensor)]
    return "+".join("x".join(map(str, tensor.shape)) or SCALAR for tensor in tensors)


def _arguments(given: Any, kwargs: Mapping[str, Any] | None) -> Arguments:
    """Sort inputs into positional and keyword arguments, with a ``Shape`` for each shape."""
    args: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    if given is None:
        if not kwargs:
            raise InputError(
                "a live module needs its input", "pass input=(1, 3, 224, 224), a tensor or a dict"
            )
    elif isinstance(given, str) or is_whole(given):
        args, named = _of_text(str(given))
    elif isinstance(given, torch.Tensor) or isinstance(shapes_in(given), Shape):
        args = (given,)
    elif isinstance(given, (Mapping, tuple, list)):
        args, named = as_arguments(given)
    elif hasattr(given, "__dict__"):  # an object of a class of the user's or a library's
        args = (given,)
    else:
        raise InputError(
            f"inputs are {type(given).__name__}: expected a tensor, a shape, a tuple of positional "
            "arguments, or a dict of keyword arguments",
            "put an object of any other kind into a tuple: (object,)",
        )
    if named and kwargs:
        raise InputError(
            "keyword arguments are given twice", "give a tuple of positional ones beside kwargs"
        )
    named = {**named, **(kwargs or {})}
    if any(isinstance(value, torch.Tensor) for value in leaves((args, named))):
        return args, named
    return tuple(map(shapes_in, args)), {name: shapes_in(value) for name, value in named.items()}


def _of_text(text: str) -> Arguments:
    if are_shapes(text):
        return parse_shapes(text)
    size = parse_size(text)
    return (Shape((1, 3, *(size * 2 if len(size) == 1 else size))),), {}

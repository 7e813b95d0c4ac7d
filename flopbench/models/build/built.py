"""A built model with its input, as a record, and the helpers that every source of models shares."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

import torch
from msgspec import Struct
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.shapes import Shape
from flopbench.models.spec import ModelSpec

LONGEST_REASON = 300
"""Characters of another library's message to pass on; some hold whole tensors or stack traces."""

_DUMP = re.compile(r"(?:Columns \d+ to \d+\W*|[-+]?\d+\.\d*(?:e[-+]?\d+)?[^\w(]+){4,}")
"""The elements of a tensor, as torch prints them."""


FRAMES = 16
"""Default number of frames of a clip, as in torchvision's published figures for videos."""

DEFAULT_STEPS = 128
"""Default number of tokens of a text."""


class Built(Struct, frozen=True, kw_only=True):
    """A model in evaluation mode and one sample, a batch of one.

    Attributes:
        input: the input size as resolved, such as ``224`` or ``16x112x112``.
        feature_dim: input width of the classification head, None where there is none.
        notes: notes on the model's cost.
        arguments: what the constructor of a covered class was given, defaults included, None
            where that is not known. Classes and functions are given by name.
        keeps_integers: whether the work depends on the values of integer inputs, which then keep
            them on the meta device.
    """

    module: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    input: str = ""
    feature_dim: int | None = None
    notes: tuple[str, ...] = ()
    arguments: Mapping[str, Any] | None = None
    keeps_integers: bool = False


def image_input(spec: ModelSpec, default: tuple[int, ...], channels: int = 3) -> torch.Tensor:
    """Draw one image ``(1, C, H, W)`` or clip ``(1, C, T, H, W)`` with values in [0, 1).

    Its size is that of ``spec`` or else ``default``.
    """
    size = spec.size or default
    if len(size) == 1:
        size = (size[0], size[0])
    return torch.rand(Shape((1, channels, *size)).extents)


def last_linear(module: nn.Module, unused: Container[str] = ()) -> tuple[str, nn.Linear] | None:
    """Return path and module of the last linear layer in registration order: the head.

    ``unused`` holds paths of layers that cannot be it, since they took no part.
    """
    layers = [
        (path, one)
        for path, one in module.named_modules()
        if isinstance(one, nn.Linear) and path not in unused
    ]
    return layers[-1] if layers else None


def head_width(module: nn.Module, unused: Container[str] = ()) -> int | None:
    """Return the input width of the classification head, None where there is no linear layer."""
    head = last_linear(module, unused)
    return head[1].in_features if head is not None else None


def replace_head(module: nn.Module, classes: int, name: str) -> None:
    """Replace the last linear layer by a new ``nn.Linear(in_features, classes)``.

    Raises:
        InputError: there is no linear layer to replace.
    """
    head = last_linear(module)
    if head is None or not head[0]:
        raise InputError(
            f"{name} has no classification head to replace, so classes={classes} cannot apply"
        )
    path, old = head
    parent, _, attribute = path.rpartition(".")
    new = nn.Linear(old.in_features, classes, bias=old.bias is not None)
    setattr(module.get_submodule(parent), attribute, new)


def reason(error: BaseException) -> str:
    """Return an exception of foreign code as one line of printable text, without its tensors."""
    text = "".join(c if c.isprintable() else " " for c in str(error)[: 10 * LONGEST_REASON])
    text = " ".join(_DUMP.sub("... ", text).split())
    if len(text) > LONGEST_REASON:
        text = text[:LONGEST_REASON] + " ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

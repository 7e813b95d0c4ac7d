"""Number formats in torch: the tensor type, and what "fp32" arithmetic may be rounded to.

By default torch lets cuDNN convolutions use TF32 but not matrix products, so that "fp32" means two
things in one network. ``precision`` sets both alike. torch 2.9 introduced ``fp32_precision``, and
refuses to read the older flags once the two families disagree, so only one family is set: the new
one if it exists.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch

from flopbench.core.errors import InputError, near_match
from flopbench.timing.devices import DTYPES

TORCH_DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""The type of tensors; TF32 is arithmetic on float32 tensors."""

_SETTINGS = (
    "cuda.matmul",
    "cudnn.conv",
    "cudnn.rnn",
    # oneDNN on the CPU can be set to round float32 to bfloat16 internally.
    "mkldnn.matmul",
    "mkldnn.conv",
    "mkldnn.rnn",
)
_PARENTS = {"cuda": "cudnn", "cudnn": "cudnn", "mkldnn": "mkldnn"}  # settings of "all" of a backend
_FLAGS = (
    "cuda.matmul.allow_fp16_accumulation",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
    "cudnn.benchmark",
    "cudnn.deterministic",
)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[torch.dtype]:
    """Compute float32 as TF32 (``tf32``) or in full (every other format); yield the tensor type.

    Convolutions, matrix products and recurrent layers are set alike, on the GPU and in oneDNN.
    Everything is restored on leaving, also after an exception. Inside, from torch 2.9 on, code
    that reads the older flags (``allow_tf32``, ``torch.backends.cudnn.flags``) may raise in torch.
    """
    if dtype not in TORCH_DTYPES:
        raise InputError(f"unknown dtype {dtype!r}", near_match(dtype, DTYPES, "dtypes"))
    with _new_flags(dtype) if _has_new_flags() else _old_flags(dtype):
        yield TORCH_DTYPES[dtype]


def precision_facts() -> dict[str, str | bool]:
    """Report the flags in force: ``torch.backends``' dotted name -> value."""
    facts: dict[str, str | bool] = {}
    if _has_new_flags():
        facts |= {f"{name}.fp32_precision": _backend(name).fp32_precision for name in _settings()}
    else:
        facts["cuda.matmul.allow_tf32"] = torch.backends.cuda.matmul.allow_tf32
        facts["cudnn.allow_tf32"] = torch.backends.cudnn.allow_tf32
        facts["float32_matmul_precision"] = torch.get_float32_matmul_precision()
    for name in _FLAGS:
        with contextlib.suppress(AttributeError, AssertionError):  # only newer torch has it
            value = _backend(name)  # torch 2.9 gives some as enumerations or pairs
            facts[name] = value if isinstance(value, bool) else str(value)
    return facts


@contextlib.contextmanager
def _new_flags(dtype: str) -> Iterator[None]:
    before = {name: _own_value(name) for name in _settings()}
    try:
        for name in before:
            tf32 = dtype == "tf32" and not name.startswith("mkldnn")
            _backend(name).fp32_precision = "tf32" if tf32 else "ieee"
        yield
    finally:
        for name, value in before.items():
            _backend(name).fp32_precision = value


@contextlib.contextmanager
def _old_flags(dtype: str) -> Iterator[None]:
    # cuda.matmul.allow_tf32 is a view of float32_matmul_precision, so only the latter is set.
    matmul, conv = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = dtype == "tf32"
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = conv


def _has_new_flags() -> bool:
    return hasattr(torch.backends, "fp32_precision")


def _settings() -> list[str]:
    """Return those of ``_SETTINGS`` that this torch has."""
    known = []
    for name in _SETTINGS:
        with contextlib.suppress(AttributeError):
            if isinstance(_backend(name).fp32_precision, str):
                known.append(name)
    return known


def _own_value(name: str) -> str:
    """Return the value that, written back, restores the setting.

    torch gives only the value in force, which may come from the parent; a setting that equals its
    parent is assumed to inherit it ("none") and inherits it again. One state cannot be restored:
    until they are first written to, cuDNN's convolutions and recurrent layers use TF32 and yet
    inherit from a parent that is set; afterwards they keep TF32.
    """
    value: str = _backend(name).fp32_precision
    parent = _backend(_PARENTS[name.partition(".")[0]]).fp32_precision
    return "none" if value == parent else value


def _backend(name: str) -> Any:
    return reduce(getattr, name.split("."), torch.backends)

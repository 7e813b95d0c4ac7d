"""Kernels that give shapes, or zeros, at once, where torch would take Python or arithmetic.

On the meta device torch decomposes many operators in Python, dozens of calls each, only to return
the shape of their input. The kernels here serve meta tensors of the plainest kind, hand all others
to torch's own, and are removed on exit.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from flopbench.models.build.environment import Name, replaced
from flopbench.models.build.stand_ins import plain_numbers

Kernel = Callable[..., Any]

_FLOATS, _NUMBERS = ({torch.float32}, {torch.float64}), {bool, int, float, type(None)}


@contextlib.contextmanager
def quick_shapes() -> Iterator[None]:
    """Speed up the meta device: frequent operators, and questions for which torch imports sympy.

    ``relu6`` takes 2.5 ms there, batch normalisation half of the time of a whole model.
    """
    homes = map(sys.modules.get, ("torch._prims_common", "torch._meta_registrations"))
    with (
        _kernels("Meta", _shape_kernels()),
        plain_numbers(),
        replaced([(one, "elementwise_dtypes") for one in homes], _same_dtype),
    ):
        yield


def _shape_kernels() -> dict[str, Kernel]:
    """Return kernels of the operators that this torch decomposes in Python."""
    norms = ("native_batch_norm", "_native_batch_norm_legit_no_training")
    kernels: dict[str, Kernel] = dict.fromkeys(norms, _batch_norm_shapes)
    for name, make in _MAKERS.items():
        packet, _, overload = name.partition(".")
        found = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
        own = getattr(found, "py_kernels", {}).get(torch._C.DispatchKey.Meta)
        if own is not None:
            kernels[name] = make(own)
    return kernels


def quick_convolutions() -> contextlib.AbstractContextManager[None]:
    """Convolve to zeros on the CPU, which is what weights of zero give, without the arithmetic."""
    return _kernels("CPU", {"_convolution": _convolved_to_zeros})


@contextlib.contextmanager
def _kernels(device: str, kernels: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Install kernels of operators on a device; where torch refuses, its slower ones are used."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")  # torch warns that a kernel is overridden, as intended
        with contextlib.suppress(Exception):
            library = stack.enter_context(torch.library._scoped_library("aten", "IMPL", device))
            for name, kernel in kernels.items():
                # Not library.impl: before allow_override it refuses where torch has a kernel.
                library.m.impl(name, device, kernel, False)
        yield


def _convolved_to_zeros(
    input: torch.Tensor,
    weight: torch.Tensor,
    _bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *_how: bool,
) -> torch.Tensor:
    """Return zeros in the shape of ``aten::_convolution``: (N, C, ...)."""
    sizes = []
    for axis, (n, kernel) in enumerate(zip(input.shape[2:], weight.shape[2:], strict=True)):
        settings = (stride, padding, dilation, output_padding)
        s, p, d, more = (one[axis % len(one)] for one in settings)
        span = d * (kernel - 1) + 1
        whole = (n - 1) * s + span + more - 2 * p
        sizes.append(whole if transposed else (n + 2 * p - span) // s + 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return torch.zeros((input.shape[0], channels, *sizes), dtype=input.dtype)


def _batch_norm_shapes(input: torch.Tensor, *_: Any) -> tuple[torch.Tensor, ...]:
    """Return the shapes of batch normalisation: output, saved mean, saved 1/deviation."""
    statistics = torch.empty(input.shape[1], dtype=input.dtype, device="meta")
    if not input.is_contiguous():
        return torch.empty_like(input), statistics, statistics
    # Unlike empty_like, this is no Python function on the meta device.
    return torch.empty(input.shape, dtype=input.dtype, device="meta"), statistics, statistics


def _plain(*tensors: Any) -> bool:
    """Whether all are contiguous meta tensors of one floating dtype."""
    return all(
        isinstance(one, torch.Tensor)
        and one.is_meta
        and one.dtype is tensors[0].dtype
        and one.is_floating_point()
        and one.is_contiguous()
        for one in tensors
    )


def _made(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    return torch.empty(shape, dtype=like.dtype, device="meta")


def _elementwise(own: Kernel) -> Kernel:
    def kernel(input: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return _made(input.shape, input) if _plain(input) else own(input, *args, **kwargs)

    return kernel


def _in_place(own: Kernel) -> Kernel:
    def kernel(input: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return input if _plain(input) else own(input, *args, **kwargs)

    return kernel


def _binary(own: Kernel) -> Kernel:
    """Serve two tensors of which one has the shape of the result."""

    def kernel(left: Any, right: Any, *args: Any, **kwargs: Any) -> Any:
        if _plain(left, right):
            small, whole = sorted((left.shape, right.shape), key=lambda s: (len(s), math.prod(s)))
            shown = whole[len(whole) - len(small) :]
            if all(n in (1, m) for n, m in zip(small, shown, strict=True)):
                return _made(whole, left)
        return own(left, right, *args, **kwargs)

    return kernel


def _mean(own: Kernel) -> Kernel:
    def kernel(input: torch.Tensor, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Any:
        gone = {axis % input.dim() for axis in dim or () if -input.dim() <= axis < input.dim()}
        if not (_plain(input) and gone and len(gone) == len(dim) and dtype is None):
            return own(input, dim, keepdim, dtype=dtype)
        kept = [1 if axis in gone else n for axis, n in enumerate(input.shape)]
        if not keepdim:
            kept = [n for axis, n in enumerate(kept) if axis not in gone]
        return _made(kept, input)

    return kernel


def _addmm(own: Kernel) -> Kernel:
    def kernel(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor, **kwargs: Any) -> Any:
        one_dtype = bias.dtype is a.dtype is b.dtype and a.is_floating_point()
        fit = a.dim() == b.dim() == 2 and a.shape[1] == b.shape[0]
        if one_dtype and fit and bias.is_meta and bias.shape == b.shape[1:]:
            return _made((a.shape[0], b.shape[1]), a)
        return own(bias, a, b, **kwargs)

    return kernel


def _layer_norm(own: Kernel) -> Kernel:
    def kernel(input: torch.Tensor, over: Sequence[int], *args: Any) -> Any:
        kept, shape = input.dim() - len(over), torch.Size(over)
        scales = [one for one in args[:2] if one is not None]
        fit = kept >= 0 and over and input.shape[kept:] == shape
        alike = {input.dtype} in _FLOATS and all(one.shape == shape for one in scales)
        if not (fit and alike and _plain(input, *scales)):
            return own(input, over, *args)
        statistics = (*input.shape[:kept], *[1] * len(over))
        return _made(input.shape, input), _made(statistics, input), _made(statistics, input)

    return kernel


_ACTIVATIONS = ("relu", "gelu", "hardtanh", "hardswish", "hardsigmoid", "silu", "sigmoid", "tanh")
_MAKERS: dict[str, Callable[[Kernel], Kernel]] = {
    **dict.fromkeys(_ACTIVATIONS, _elementwise),
    **{f"{name}_": _in_place for name in _ACTIVATIONS},
    **{f"{name}.Tensor": _binary for name in ("add", "sub", "mul", "div")},
    "mean.dim": _mean,
    "addmm": _addmm,
    "native_layer_norm": _layer_norm,
}
"""Operator -> what makes a kernel for it from torch's own, which takes what is less plain."""


def _same_dtype(_key: Name, given: Callable[..., Any]) -> Callable[..., Any]:
    """Answer at once where all tensors are of one common dtype; torch's rules import sympy."""

    def dtypes(*values: Any, type_promotion_kind: Any) -> tuple[torch.dtype, torch.dtype]:
        kinds = {one.dtype for one in values if isinstance(one, torch.Tensor)}
        others = {type(one) for one in values if not isinstance(one, torch.Tensor)}
        rule = type_promotion_kind.name
        alike = kinds in _FLOATS or (kinds == {torch.bool} and rule == "DEFAULT")
        if not alike or not others <= ({type(None)} if kinds == {torch.bool} else _NUMBERS):
            found: tuple[torch.dtype, torch.dtype] = given(
                *values, type_promotion_kind=type_promotion_kind
            )
            return found
        (dtype,) = kinds
        return dtype, torch.bool if rule == "ALWAYS_BOOL" else dtype

    return dtypes

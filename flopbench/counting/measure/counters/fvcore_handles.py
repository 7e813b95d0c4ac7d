"""Prices for operators that fvcore leaves out or gets wrong, written from what they compute.

The formulas are independent of torch's, so that the two counters can confirm each other. Where an
operator leaves the order of work open (``einsum``, ``bilinear``, ``multi_dot``), the order is the
one that torch takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from flopbench.counting.measure.counters.contractions import chain_macs, einsum_macs

Values = Sequence[Any]
"""Inputs or outputs of a node: ``torch._C.Value``."""

Handle = Callable[[Values, Values], int]
"""A price: (inputs, outputs) -> multiply-accumulates."""

LEFT_OUT = "fvcore itself leaves it out"
MISREAD = "fvcore itself gets it wrong"


class Mend(Struct, frozen=True, kw_only=True):
    """A price in place of fvcore's: why, and for which inputs it is needed."""

    handle: Handle
    reason: str = LEFT_OUT
    needed: Callable[[Values], bool] = lambda _inputs: True


_LINEAR = (
    *("mkldnn_linear", "_mixed_dtypes_linear", "_wrapped_quantized_linear_prepacked"),
    *("fbgemm_linear_int8_weight", "fbgemm_linear_int8_weight_fp32_activation"),
    *("fbgemm_linear_fp16_weight", "fbgemm_linear_fp16_weight_fp32_activation"),
)
_ATTENTION = (
    *("scaled_dot_product_attention", "_scaled_dot_product_attention_math"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
)
_PRODUCTS = (
    *("mv", "dot", "vdot", "_int_mm", "_scaled_mm", "_scaled_mm_v2", "_weight_int8pack_mm"),
    *("_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu"),
    "_weight_int4pack_mm_with_scales_and_zeros",
)
_ADDED_PRODUCTS = ("addmm_", "_addmm_activation", "addmv", "addmv_", "baddbmm", "baddbmm_")
_OUTER_PRODUCTS = ("outer", "ger", "addr", "addr_", "kron")
_GROUPED_PRODUCTS = ("_grouped_mm", "_scaled_grouped_mm", "_scaled_grouped_mm_v2")
_POWERS = ("matrix_power", "linalg_matrix_power")

FAMILIES = {
    **dict.fromkeys(("linear", "addmm", "addmm_", "_addmm_activation", *_LINEAR), "linear"),
    "bilinear": "bilinear",
    "deform_conv2d": "deform_conv",
    **dict.fromkeys(("_native_multi_head_attention", *_ATTENTION), "attention"),
    **dict.fromkeys(("_convolution", "_convolution_mode", "conv_tbc"), "conv"),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), "recurrent"),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), "recurrent"),
    **dict.fromkeys(("mm", "bmm", "matmul", "inner", "addbmm", "addbmm_", *_PRODUCTS), "matmul"),
    **dict.fromkeys((*_ADDED_PRODUCTS[2:], *_OUTER_PRODUCTS, *_GROUPED_PRODUCTS), "matmul"),
    **dict.fromkeys(_POWERS, "matmul"),
    **dict.fromkeys(("einsum", "tensordot", "linalg_multi_dot", "chain_matmul"), "matmul"),
    **dict.fromkeys(("linalg_vecdot", "affine_grid_generator"), "matmul"),
    "batch_norm": "batch_norm",
    **dict.fromkeys(("group_norm", "layer_norm", "instance_norm"), "norm"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler"), "resample"),
    "adaptive_avg_pool2d": "pool",
}
"""Operator without its namespace -> one of the families of ``profile``."""


def is_transposed(name: str, inputs: Values) -> bool:
    """Whether a convolution is transposed: torch calls both kinds ``_convolution``."""
    return name == "_convolution" and bool(inputs[6].toIValue())


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor in a graph."""
    return tuple(value.type().sizes())


def _elements(value: Any) -> int:
    return math.prod(shape_of(value))


def _listed(value: Any) -> list[Any]:
    """Return the members of a list in a graph; a constant has none."""
    return list(value.node().inputs())


def _integers(value: Any) -> list[int]:
    whole = value.toIValue()
    return list(whole) if whole is not None else [v.toIValue() for v in _listed(value)]


def _is_tensor_list(value: Any) -> bool:
    return str(value.type()) == "List[Tensor]" or str(value.type()) == "Tensor[]"


# --- products of two -------------------------------------------------------------------------


def _product(inputs: Values, outputs: Values) -> int:
    # Each output element sums over the last dimension of the first factor, whatever is broadcast.
    return _elements(outputs[0]) * shape_of(inputs[0])[-1]


def _inner(inputs: Values, outputs: Values) -> int:
    # With a scalar this is an elementwise product.
    if not shape_of(inputs[0]) or not shape_of(inputs[1]):
        return 0
    return _product(inputs, outputs)


def _added_product(inputs: Values, outputs: Values) -> int:
    return _product(inputs[1:3], outputs)


def _added_sum_of_products(inputs: Values, outputs: Values) -> int:
    # addbmm sums the (n, p) products of a batch: (b, n, m) @ (b, m, p).
    batch, _, middle = shape_of(inputs[1])
    return batch * middle * _elements(outputs[0])


def _broadcasts(inputs: Values) -> bool:
    left, right = shape_of(inputs[0]), shape_of(inputs[1])
    if len(left) < 2 or len(right) < 2:
        return True
    return len(right) > 2 and left[:-2] != right[:-2]


def _vecdot(inputs: Values, outputs: Values) -> int:
    axis = inputs[2].toIValue()
    return _elements(outputs[0]) * max(shape_of(v)[axis] for v in inputs[:2])


def _affine_grid(inputs: Values, outputs: Values) -> int:
    # Each point of the grid, as (x, y, 1), times theta: (N, 2, 3).
    return _elements(outputs[0]) * shape_of(inputs[0])[-1]


def _tensordot(inputs: Values, outputs: Values) -> int:
    left, right = shape_of(inputs[0]), shape_of(inputs[1])
    pairs = zip(_integers(inputs[2]), _integers(inputs[3]), strict=True)
    # A dimension of size 1 meets a longer one that torch sums up first.
    summed = math.prod(min(left[i], right[j]) for i, j in pairs)
    return _elements(outputs[0]) * summed


def _multi_dot(inputs: Values, _outputs: Values) -> int:
    return chain_macs([shape_of(v) for v in _listed(inputs[0])])


def _outer(_inputs: Values, outputs: Values) -> int:
    # Each element is one product, as in a matrix product of a column and a row.
    return _elements(outputs[0])


def _grouped(inputs: Values, _outputs: Values) -> int:
    # Rows, columns or summed elements are divided among groups, unless both are (groups, ., .).
    left, right = shape_of(inputs[0]), shape_of(inputs[1])
    groups = left[0] if len(left) == len(right) == 3 else 1
    return groups * left[-2] * left[-1] * right[-1]


def _power(inputs: Values, outputs: Values) -> int:
    # By squaring: a product for each binary digit after the first, and for each further 1.
    exponent = inputs[1].toIValue()
    if exponent < 0:
        raise TypeError("a negative power inverts the matrix first")
    products = max(exponent.bit_length() + exponent.bit_count() - 2, 0)
    return products * _product(inputs, outputs)


def _einsum(inputs: Values, _outputs: Values) -> int:
    shapes = [shape_of(v) for v in _listed(inputs[1])]
    path = _integers(inputs[2]) if len(inputs) > 2 else []
    return einsum_macs(inputs[0].toIValue(), shapes, path)


# --- layers ----------------------------------------------------------------------------------


def _windows(inputs: Values, outputs: Values) -> int:
    # weight: (out, in / groups, *kernel); one window for each output element
    return _elements(outputs[0]) * math.prod(shape_of(inputs[1])[1:])


def _windows_unless_part(inputs: Values, outputs: Values) -> int:
    return 0 if _is_part(inputs) else _windows(inputs, outputs)


def _is_part(inputs: Values) -> bool:
    # torch convolves real parts, imaginary parts and their sums: three for one complex product.
    sources = [next(iter(v.node().inputs()), None) for v in inputs[:2]]
    parts = all(v and v.node().kind() == "aten::view_as_real" for v in sources)
    return parts and any(use.user.kind() == "aten::add" for use in inputs[0].uses())


def _steps_times_width(inputs: Values, outputs: Values) -> int:
    # conv_tbc; weight: (kernel, in, out)
    return _elements(outputs[0]) * math.prod(shape_of(inputs[1])[:2])


def _bilinear(inputs: Values, outputs: Values) -> int:
    # weight: (out, in1, in2). First x1 with the weight, over in1, then x2, over in2.
    _, first, second = shape_of(inputs[2])
    return _elements(outputs[0]) * (first * second + second)


def _attention(inputs: Values, outputs: Values) -> int:
    # query: (..., L, E), key: (..., S, E), output: (..., L, Ev); a mask saves no work.
    rows, width = math.prod(shape_of(outputs[0])[:-1]), shape_of(outputs[0])[-1]
    keys, depth = shape_of(inputs[1])[-2:]
    return rows * keys * (depth + width)


def _multi_head_attention(inputs: Values, _outputs: Values) -> int:
    # query: (B, L, E), key: (B, S, E); projections of three inputs and of the output
    (batch, rows, width), (_, keys, _) = shape_of(inputs[0]), shape_of(inputs[1])
    projections = batch * width * width * (2 * rows + 2 * keys)
    return projections + 2 * batch * rows * keys * width


def _recurrent(inputs: Values, _outputs: Values) -> int:
    # Every step, or packed token, multiplies by every matrix of each layer and direction. The
    # parameters are the last list of tensors; input: (steps, batch, in) or packed (tokens, in).
    tokens = math.prod(shape_of(inputs[0])[:-1])
    parameters = [value for value in inputs if _is_tensor_list(value)][-1]
    matrices = [v for v in _listed(parameters) if len(shape_of(v)) == 2]
    return tokens * sum(_elements(v) for v in matrices)


def _cell(inputs: Values, _outputs: Values) -> int:
    # (input, state, w_ih, w_hh, b_ih, b_hh); input: (batch, in) or (in,)
    batch = math.prod(shape_of(inputs[0])[:-1])
    return batch * (_elements(inputs[2]) + _elements(inputs[3]))


def _is_vector(inputs: Values) -> bool:
    return len(shape_of(inputs[1])) < 2


MENDS: dict[str, Mend] = {
    "aten::matmul": Mend(handle=_product, reason=MISREAD, needed=_broadcasts),
    "aten::linear": Mend(handle=_product, reason=MISREAD, needed=_is_vector),
    "aten::einsum": Mend(handle=_einsum, reason="fvcore itself reads a rounded figure"),
    "aten::inner": Mend(handle=_inner),
    "aten::linalg_vecdot": Mend(handle=_vecdot),
    "aten::affine_grid_generator": Mend(handle=_affine_grid),
    "aten::tensordot": Mend(handle=_tensordot),
    "aten::linalg_multi_dot": Mend(handle=_multi_dot),
    "aten::chain_matmul": Mend(handle=_multi_dot),
    "aten::_convolution": Mend(
        handle=_windows_unless_part,
        reason="fvcore itself counts a complex product as three",
        needed=_is_part,
    ),
    "aten::_convolution_mode": Mend(handle=_windows_unless_part),
    "aten::conv_tbc": Mend(handle=_steps_times_width),
    "torchvision::deform_conv2d": Mend(handle=_windows),
    "aten::bilinear": Mend(handle=_bilinear),
    **{f"aten::{name}": Mend(handle=_attention) for name in _ATTENTION},
    "aten::_native_multi_head_attention": Mend(handle=_multi_head_attention),
    **{f"aten::{name}": Mend(handle=_product) for name in (*_PRODUCTS, *_LINEAR)},
    **{f"aten::{name}": Mend(handle=_grouped) for name in _GROUPED_PRODUCTS},
    **{f"aten::{name}": Mend(handle=_outer) for name in _OUTER_PRODUCTS},
    **{f"aten::{name}": Mend(handle=_power) for name in _POWERS},
    **{f"aten::{name}": Mend(handle=_added_product) for name in _ADDED_PRODUCTS},
    **{f"aten::addbmm{end}": Mend(handle=_added_sum_of_products) for end in ("", "_")},
    **{f"aten::{name}": Mend(handle=_recurrent) for name in ("lstm", "gru")},
    **{f"aten::rnn_{kind}": Mend(handle=_recurrent) for kind in ("tanh", "relu")},
    **{f"aten::{name}_cell": Mend(handle=_cell) for name in ("lstm", "gru")},
    **{f"aten::rnn_{kind}_cell": Mend(handle=_cell) for kind in ("tanh", "relu")},
}
"""Operators with a price of our own."""

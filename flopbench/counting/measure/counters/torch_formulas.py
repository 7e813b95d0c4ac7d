"""Prices of operators for ``FlopCounterMode``: what its table lacks, and what it gets wrong.

Each formula gives MACs from the shapes of the arguments and of the output (``_Shape`` is a tuple
of sizes; arguments that are not tensors stay as they are); ``custom_mapping`` doubles them, since
``FlopCounterMode`` counts two operations per MAC. Formulas are dense: a mask, a causal attention or
a sparse layout saves nothing. Complex products count one MAC, not four.

Priced are composite operators (``linear``, ``matmul``, ``lstm``, ...), which reach a dispatch mode
whole in inference mode and whose integers thus do not depend on the device's kernels, and the
lower-level and fused forms, which other paths reach. Signatures: torch's
``native_functions.yaml`` and torchvision's ``deform_conv2d``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import prod
from typing import Any

import torch
from torch.utils._pytree import tree_map

from flopbench.counting.measure.counters.contractions import einsum_macs

_Formula = Callable[[Sequence[Any], Any], int]


def _contraction(args: Sequence[Any], out: Any) -> int:
    """Out elements times the contracted length: ``a (..., m, k) @ b``, however broadcast."""
    if not args[0] or not args[1]:
        return 0  # inner with a 0-d operand only scales
    return prod(out) * args[0][-1]


def _last_contracted(args: Sequence[Any], out: Any) -> int:
    """Out elements times the last dimension of the input, whatever form the weight is packed in."""
    return prod(out) * args[0][-1]


def _contraction_added(args: Sequence[Any], out: Any) -> int:
    """``self + a (m, k) @ b``: as ``_contraction``; the addition is left out, as a bias is."""
    return prod(out) * args[1][-1]


def _batches_added(args: Sequence[Any], _out: Any) -> int:
    """``self + sum over b of a (b, m, k) @ b (b, k, n)``: the sum over b is a contraction too."""
    return prod(args[1]) * args[2][-1]


def _vecdot(args: Sequence[Any], _out: Any) -> int:
    """Every pair of elements of the two broadcast operands, whichever dimension is summed."""
    return prod(_broadcast(args[0], args[1]))


def _grouped_mm(args: Sequence[Any], _out: Any) -> int:
    """Every row is multiplied by the matrix of its group: ``(m, k) x (g, k, n)`` and the like."""
    a, b = args[0], args[1]
    return prod(a) * b[-1] if len(a) == 2 or len(b) == 3 else prod(a[1:]) * b[-1]


def _outer(_args: Sequence[Any], out: Any) -> int:
    """One product for each element: a matrix product over a single one."""
    return prod(out)


def _einsum(args: Sequence[Any], _out: Any) -> int:
    """``einsum(equation, operands, path)``, some of whose products torch makes elementwise."""
    return einsum_macs(args[0], args[1], (args[2] if len(args) > 2 else None) or ())


def _affine_grid(args: Sequence[Any], out: Any) -> int:
    """Base grid ``(N, positions, d + 1)`` @ theta ``(N, d, d + 1)`` transposed."""
    return prod(out) * args[0][-1]


def _convolution(args: Sequence[Any], out: Any) -> int:
    """Out elements times weights of one output channel, ``(out, in / groups, *kernel)``."""
    return prod(_first(out)) * prod(args[1][1:])


def _convolution_transpose(args: Sequence[Any], _out: Any) -> int:
    """In elements times weights of one input channel, ``(in, out / groups, *kernel)``."""
    return prod(args[0]) * prod(args[1][1:])


def _any_convolution(args: Sequence[Any], out: Any) -> int:
    """``convolution(x, weight, bias, stride, padding, dilation, transposed, ...)``."""
    return _convolution_transpose(args, out) if args[6] else _convolution(args, out)


def _conv_tbc(args: Sequence[Any], out: Any) -> int:
    """Weight ``(kernel, in, out)``, output ``(time, batch, out)``."""
    return prod(out) * prod(args[1][:2])


def _unpacked(convolution: _Formula, name: str) -> _Formula:
    """Price a quantised convolution, which takes a packed weight, as its float form is."""

    def macs(args: Sequence[Any], out: Any) -> int:
        packed = next(arg for arg in args if isinstance(arg, torch.ScriptObject))
        weight, _ = getattr(torch.ops.quantized, f"{name}_unpack")(packed)
        return convolution([args[0], weight.shape], out)

    return macs


def _pointwise(args: Sequence[Any], out: Any) -> int:
    """``onednn.qconv_pointwise(x, scale, zero, weight, ...)``."""
    return _convolution([None, args[3]], out)


def _attention(args: Sequence[Any], _out: Any) -> int:
    """Scores and weighted values of ``q (..., L, E)``, ``k (..., S, E)``, ``v (..., S, V)``.

    Leading sizes broadcast; under grouped-query attention the heads are those of the query.
    """
    q, k, v = args[:3]
    batch = _broadcast(q[:-2], k[:-2])
    scores = prod(batch) * q[-2] * k[-2] * q[-1]
    return scores + prod(_broadcast(batch, v[:-2])) * q[-2] * k[-2] * v[-1]


def _multi_head(args: Sequence[Any], _out: Any) -> int:
    """``_native_multi_head_attention(q (B, L, E), k, v (B, S, E), E, heads, ...)``.

    Projections of query (E x E), key and value, the attention (head sizes add up to E), and the
    output projection.
    """
    (batch, length, width), source = args[0], args[1][1]
    projections = 2 * length * width**2 + 2 * source * width**2
    return batch * (projections + 2 * length * source * width)


def _encoder_layer(args: Sequence[Any], _out: Any) -> int:
    """``_transformer_encoder_layer_fwd``: self-attention and the two feed-forward products."""
    batch, length, _ = args[0]
    attention = _multi_head([args[0], args[0]], None)
    return attention + batch * length * (prod(args[14]) + prod(args[16]))


def _recurrent(args: Sequence[Any], _out: Any) -> int:
    """Every weight matrix multiplies every time step of every sequence, layer and direction.

    ``lstm``, ``gru``, ``rnn_*`` and their backends take ``(input, hx, weights, ...)``, or
    ``(data, batch_sizes, hx, weights, ...)`` for packed sequences, whose rows are the real steps.
    """
    lists = [a for a in args[1:4] if isinstance(a, (list, tuple)) and a and _is_shape(a[0])]
    steps = prod(args[0][:-1])
    return steps * sum(prod(weight) for weight in lists[-1] if len(weight) == 2)


def _recurrent_layer(args: Sequence[Any], _out: Any) -> int:
    """``mkldnn_rnn_layer(input, w_ih, w_hh, b_ih, b_hh, ...)``: one layer, one direction."""
    return prod(args[0][:-1]) * (prod(args[1]) + prod(args[2]))


def _bilinear(args: Sequence[Any], out: Any) -> int:
    """``x1 (..., n1)``, ``x2 (..., n2)``, weight ``(out, n1, n2)``: x1 with W, then with x2."""
    _, n1, n2 = args[2]
    return prod(out) * n2 * (n1 + 1)


def _trilinear(args: Sequence[Any], _out: Any) -> int:
    """``sum(i1 * i2 * i3)`` over ``sumdim``, as two contractions, in the order torch does them.

    Operands are first unsqueezed at their ``expand`` dimensions. Dimensions that only the first
    two share are summed with their product, the others with the second; a product that sums over
    nothing is elementwise and counts nothing.
    """
    shapes = []
    for shape, expand in zip(args[:3], args[3:6], strict=True):
        sizes = list(shape)
        for dim in sorted(expand):
            sizes.insert(dim, 1)
        shapes.append(sizes)
    first = set(args[6]) & set(args[5])
    second = set(args[6]) - first
    pair = _broadcast(shapes[0], shapes[1])
    left = [1 if dim in first else size for dim, size in enumerate(pair)]
    return (prod(pair) if first else 0) + (prod(_broadcast(left, shapes[2])) if second else 0)


def _broadcast(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Broadcast two shapes; where both are longer than 1 (grouped-query heads) the first's size."""
    pairs = zip_longest(reversed(a), reversed(b), fillvalue=1)
    return [y if x == 1 else x for x, y in pairs][::-1]


def _first(out: Any) -> Any:
    """Return the shape of the first tensor of an output."""
    return out if _is_shape(out) else _first(out[0])


def _is_shape(value: Any) -> bool:
    return isinstance(value, torch.Size)


_QUANTISED = """quantized.{0} quantized.{0}_relu quantized.{0}_dynamic quantized.{0}_add
    quantized.{0}_add_relu _quantized.{0} _quantized.{0}_relu"""
"""Forms of a quantised convolution, of which torch has some for each number of dimensions."""

_PRICES: tuple[tuple[str, _Formula, str], ...] = (
    (
        "linear",
        _last_contracted,
        """linear mkldnn_linear _mixed_dtypes_linear fbgemm_linear_int8_weight
        fbgemm_linear_int8_weight_fp32_activation fbgemm_linear_fp16_weight
        fbgemm_linear_fp16_weight_fp32_activation _wrapped_quantized_linear_prepacked
        quantized.linear quantized.linear_relu quantized.linear_leaky_relu quantized.linear_tanh
        quantized.linear_dynamic quantized.linear_relu_dynamic quantized.linear_dynamic_fp16
        quantized.linear_relu_dynamic_fp16 quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        quantized.linear_with_input_q_dq_qweight_dq_relu_output_fp32 _quantized.linear
        _quantized.linear_dynamic _quantized.wrapped_fbgemm_linear_fp16_weight
        _quantized.wrapped_quantized_linear _quantized._wrapped_quantized_linear_prepacked
        onednn.qlinear_pointwise onednn.linear_dynamic_fp16 onednn.linear_relu_dynamic_fp16""",
    ),
    (
        "matmul",
        _contraction,
        """matmul mm bmm mv dot vdot inner _int_mm _scaled_mm _scaled_mm_v2 _weight_int8pack_mm
        _weight_int4pack_mm _weight_int4pack_mm_for_cpu
        _weight_int4pack_mm_with_scales_and_zeros""",
    ),
    (
        "matmul",
        _contraction_added,
        "addmm addmm_ addmv addmv_ baddbmm baddbmm_ _addmm_activation",
    ),
    ("matmul", _batches_added, "addbmm addbmm_"),
    ("matmul", _vecdot, "linalg_vecdot"),
    ("matmul", _grouped_mm, "_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2"),
    ("matmul", _affine_grid, "affine_grid_generator"),
    ("matmul", _outer, "outer ger addr kron"),
    ("matmul", _einsum, "einsum"),
    ("bilinear", _bilinear, "bilinear"),
    ("bilinear", _trilinear, "_trilinear"),
    ("conv", _any_convolution, "convolution _convolution convolution_overrideable"),
    (
        "conv",
        _convolution,
        """cudnn_convolution cudnn_convolution_relu cudnn_convolution_add_relu mkldnn_convolution
        miopen_convolution miopen_convolution_relu miopen_convolution_add_relu
        miopen_depthwise_convolution _mps_convolution _nnpack_spatial_convolution
        _conv_depthwise2d conv_depthwise3d _slow_conv2d_forward slow_conv3d_forward
        slow_conv_dilated2d slow_conv_dilated3d conv1d conv2d conv3d""",
    ),
    ("conv", _conv_tbc, "conv_tbc"),
    *(
        (kind, _unpacked(formula, f"{kind}{dims}d"), _QUANTISED.format(f"{kind}{dims}d"))
        for kind, formula in (("conv", _convolution), ("conv_transpose", _convolution_transpose))
        for dims in (1, 2, 3)
    ),
    (
        "conv",
        _pointwise,
        """onednn.qconv_pointwise onednn.qconv1d_pointwise onednn.qconv2d_pointwise
        onednn.qconv3d_pointwise""",
    ),
    (
        "conv_transpose",
        _convolution_transpose,
        """conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution_transpose
        miopen_convolution_transpose _mps_convolution_transpose
        slow_conv_transpose2d slow_conv_transpose3d""",
    ),
    ("deform_conv", lambda args, out: prod(out) * prod(args[1][1:]), "torchvision.deform_conv2d"),
    (
        "attention",
        _attention,
        """scaled_dot_product_attention _scaled_dot_product_attention_math
        _scaled_dot_product_attention_math_for_mps _scaled_dot_product_cudnn_attention
        _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
        _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_fused_attention_overrideable _triton_scaled_dot_attention""",
    ),
    ("attention", _multi_head, "_native_multi_head_attention _triton_multi_head_attention"),
    ("attention", _encoder_layer, "_transformer_encoder_layer_fwd"),
    ("recurrent", _recurrent, "lstm gru rnn_tanh rnn_relu _cudnn_rnn miopen_rnn _lstm_mps"),
    ("recurrent", _recurrent_layer, "mkldnn_rnn_layer"),
)


def custom_mapping() -> dict[Any, Callable[..., int]]:
    """Return the formulas for the operators of the installed torch, in FLOPs.

    Returns:
        operator -> formula in the form of ``FlopCounterMode``'s ``custom_mapping``. Keys are the
        operators and each of their overloads: older versions of torch look up the overload
        when they decide what to decompose, and the operator when they price it.
    """
    mapping: dict[Any, Callable[..., int]] = {}
    for _, formula, names in _PRICES:
        priced = _in_flops(formula)
        for operator in filter(None, map(_operator, names.split())):
            mapping[operator] = priced
            mapping.update((getattr(operator, name), priced) for name in operator.overloads())
    return mapping


def family(name: str, transposed: bool = False) -> str:
    """Return the dense family of a priced operator.

    Args:
        name: the operator as ``aten.linear``. One whose price comes from torch itself or
            from the user is classified by its name.
        transposed: whether ``convolution`` ran transposed.
    """
    if known := _FAMILIES.get(name.removeprefix("aten.")):
        return "conv_transpose" if transposed and known == "conv" else known
    words = (("attention", "attn", "sdpa"), ("conv",), ("lstm", "gru", "rnn"), ("linear",))
    for members, result in zip(words, ("attention", "conv", "recurrent", "linear"), strict=True):
        if any(word in name for word in members):
            return result
    return "matmul"


def is_priced(name: str) -> bool:
    """Whether the price of ``aten.linear`` or ``quantized.linear`` is torch's or ours."""
    return name.startswith("aten.") or name in _FAMILIES


_FAMILIES = {name: kind for kind, _, names in _PRICES for name in names.split()}


def _operator(name: str) -> Any:
    space, _, base = name.rpartition(".")
    return getattr(getattr(torch.ops, space or "aten"), base, None)


def _in_flops(dense_macs: _Formula) -> Callable[..., int]:
    def flops(*args: Any, out_val: Any = None, path: Any = None, **_kwargs: Any) -> int:
        shapes, out = tree_map(_shape, (args, out_val))
        return 2 * dense_macs((*shapes, path) if path else shapes, out)

    # FlopCounterMode hands it tensors, and does not wrap it: for all overloads that takes 30 ms.
    flops._get_raw = True  # type: ignore[attr-defined]
    return flops


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, torch.Tensor) else value

"""Single operators with their true cost: multiply-accumulates by hand, from named dimensions.

Each ``Truth`` comes with its arithmetic; none was taken from a program's output. The dimensions
of one model are all different, so that a formula that confuses two of them gives another integer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization
from torchvision.ops import DeformConv2d, deform_conv2d

B, T, S = 3, 7, 11  # batch, steps (queries), steps of the source (keys)
CI, CO = 4, 6  # channels in and out, both even, for groups of 2
L, H, W, D = 17, 13, 19, 5  # length; height, width, depth of inputs
K = 3  # kernel
I, O, J = 10, 14, 22  # noqa: E741  widths of linear layers and matrices
E, HEADS, FF = 12, 4, 20  # width, heads and feed-forward width of attention
HID, PROJ = 8, 5  # hidden and projected width of recurrent layers


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A model, what it runs on, and what it costs.

    Attributes:
        name: what a failing test prints.
        macs: dense multiply-accumulates of one forward pass.
        build: makes the model, on the current default device.
        inputs: shapes of random inputs, or functions that make one.
        kwargs: the same, for keyword arguments.
        needs_values: True where the meta device cannot run it.
        families: the dense families that it belongs to.
    """

    name: str
    macs: int
    build: Callable[[], nn.Module]
    inputs: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    needs_values: bool = False
    families: tuple[str, ...] = ()

    def args(self) -> tuple[Any, ...]:
        """Make the inputs on the current default device."""
        return tuple(_make(item) for item in self.inputs)

    def keyword_args(self) -> dict[str, Any]:
        """Make the keyword inputs on the current default device."""
        return {name: _make(item) for name, item in self.kwargs.items()}


def _make(item: Any) -> Any:
    return item() if callable(item) else torch.randn(item)


class Call(nn.Module):
    """A function, and parameters or children it may use, as a module."""

    def __init__(self, function: Callable[..., Any], *children: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(children)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with the children first."""
        return self.function(*self.layers, *args, **kwargs)


class OwnConv(nn.Conv2d):
    """A subclass, unknown to counters that look up exact classes."""


class Scaled(nn.Module):
    """A parametrization: one product an element, nothing accumulated."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Scale a weight."""
        return weight * 0.5


def truth(
    name: str, macs: int, build: Callable[[], nn.Module], *inputs: Any, **options: Any
) -> Truth:
    """Make a ``Truth`` in one line."""
    return Truth(name=name, macs=macs, build=build, inputs=inputs, **options)


def fn(name: str, macs: int, function: Callable[..., Any], *inputs: Any, **options: Any) -> Truth:
    """Make a ``Truth`` of a function of tensors."""
    return truth(name, macs, lambda: Call(function), *inputs, **options)


def out(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Length of a convolution's output."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


IMAGE = (B, CI, H, W)
# Positions of a plain K x K convolution over the image, and the weights of one output channel.
POSITIONS, WINDOW = out(H, K) * out(W, K), CI * K * K

CONVOLUTIONS = [
    truth("conv1d", B * CO * out(L, K) * CI * K, lambda: nn.Conv1d(CI, CO, K), (B, CI, L)),
    truth("conv2d", B * CO * POSITIONS * WINDOW, lambda: nn.Conv2d(CI, CO, K), IMAGE),
    truth(
        "conv2d without bias",
        B * CO * POSITIONS * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, bias=False),
        IMAGE,
        families=("conv",),
    ),
    truth(
        "conv2d stride and padding",
        B * CO * out(H, K, 2, 1) * out(W, K, 2, 1) * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, stride=2, padding=1),
        IMAGE,
    ),
    truth(
        "conv2d unequal kernel and stride",
        B * CO * out(H, 3, 2) * out(W, 5, 3) * CI * 3 * 5,
        lambda: nn.Conv2d(CI, CO, (3, 5), stride=(2, 3)),
        IMAGE,
    ),
    truth(  # the output is as large as the input; padding is multiplied like anything else
        "conv2d padding same",
        B * CO * H * W * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, padding="same"),
        IMAGE,
    ),
    truth(  # an even kernel pads unevenly
        "conv2d padding same, even kernel",
        B * CO * H * W * CI * 4 * 4,
        lambda: nn.Conv2d(CI, CO, 4, padding="same"),
        IMAGE,
    ),
    truth(
        "conv2d padding valid",
        B * CO * POSITIONS * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, padding="valid"),
        IMAGE,
    ),
    truth(
        "conv2d circular padding",
        B * CO * H * W * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, padding=1, padding_mode="circular"),
        IMAGE,
    ),
    truth(
        "conv2d reflected padding",
        B * CO * H * W * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, padding=1, padding_mode="reflect"),
        IMAGE,
    ),
    truth(
        "conv2d dilation",
        B * CO * out(H, K, dilation=3) * out(W, K, dilation=3) * WINDOW,
        lambda: nn.Conv2d(CI, CO, K, dilation=3),
        IMAGE,
    ),
    truth(  # each output channel sees half of the input channels
        "conv2d groups",
        B * CO * POSITIONS * WINDOW // 2,
        lambda: nn.Conv2d(CI, CO, K, groups=2),
        IMAGE,
    ),
    truth(
        "conv2d depthwise",
        B * CI * POSITIONS * K * K,
        lambda: nn.Conv2d(CI, CI, K, groups=CI),
        IMAGE,
    ),
    truth(
        "conv2d depthwise, two filters a channel",
        B * 2 * CI * POSITIONS * K * K,
        lambda: nn.Conv2d(CI, 2 * CI, K, groups=CI),
        IMAGE,
    ),
    truth("conv2d pointwise", B * CO * H * W * CI, lambda: nn.Conv2d(CI, CO, 1), IMAGE),
    truth("conv2d unbatched", CO * POSITIONS * WINDOW, lambda: nn.Conv2d(CI, CO, K), (CI, H, W)),
    truth("conv1d unbatched", CO * out(L, K) * CI * K, lambda: nn.Conv1d(CI, CO, K), (CI, L)),
    truth(
        "conv2d channels last",
        B * CO * POSITIONS * WINDOW,
        lambda: nn.Conv2d(CI, CO, K).to(memory_format=torch.channels_last),
        lambda: torch.randn(IMAGE).to(memory_format=torch.channels_last),
    ),
    truth(
        "conv3d",
        B * CO * out(D, K) * POSITIONS * WINDOW * K,
        lambda: nn.Conv3d(CI, CO, K),
        (B, CI, D, H, W),
    ),
    truth(
        "conv3d stride, padding, groups",
        B * CO * out(D, 1, 2) * out(H, 3, 2, 1) * out(W, 3, 2, 1) * CI // 2 * 1 * 3 * 3,
        lambda: nn.Conv3d(CI, CO, (1, 3, 3), stride=2, padding=(0, 1, 1), groups=2),
        (B, CI, D, H, W),
    ),
    truth("lazy conv2d", B * CO * POSITIONS * WINDOW, lambda: nn.LazyConv2d(CO, K), IMAGE),
    truth("subclass of Conv2d", B * CO * POSITIONS * WINDOW, lambda: OwnConv(CI, CO, K), IMAGE),
    truth(
        "conv2d under weight_norm",
        B * CO * POSITIONS * WINDOW,
        lambda: parametrizations.weight_norm(nn.Conv2d(CI, CO, K)),
        IMAGE,
    ),
    truth(
        "conv2d under the old weight_norm",
        B * CO * POSITIONS * WINDOW,
        lambda: nn.utils.weight_norm(nn.Conv2d(CI, CO, K)),
        IMAGE,
    ),
    truth(
        "parametrized conv2d",
        B * CO * POSITIONS * WINDOW,
        lambda: _parametrized(nn.Conv2d(CI, CO, K)),
        IMAGE,
    ),
    truth(  # besides: the weight as a CO x WINDOW matrix times v, and the dot product with u
        "conv2d under spectral_norm",
        B * CO * POSITIONS * WINDOW + CO * WINDOW + CO,
        lambda: parametrizations.spectral_norm(nn.Conv2d(CI, CO, K)),
        IMAGE,
    ),
    fn(
        "F.conv2d",
        B * CO * POSITIONS * WINDOW,
        lambda x, w: F.conv2d(x, w),
        IMAGE,
        (CO, CI, K, K),
    ),
    fn(
        "torch.conv_tbc",
        out(T, K) * B * CO * CI * K,
        lambda x, w, b: torch.conv_tbc(x, w, b),
        (T, B, CI),
        (K, CI, CO),
        (CO,),
    ),
    truth(
        "child.forward called directly",
        B * CO * POSITIONS * WINDOW,
        lambda: Call(lambda conv, x: conv.forward(x), nn.Conv2d(CI, CO, K)),
        IMAGE,
    ),
    fn(  # a convolution as unfold and product
        "F.unfold and matmul",
        B * CO * POSITIONS * WINDOW,
        lambda x, w: w @ F.unfold(x, K),
        IMAGE,
        (CO, WINDOW),
    ),
]


def _parametrized(layer: nn.Module) -> nn.Module:
    register_parametrization(layer, "weight", Scaled())
    return layer


# Every input element meets every weight of its channel: in elements x out channels x kernel.
TRANSPOSED = [
    truth(
        "conv_transpose1d",
        B * CI * L * CO * K,
        lambda: nn.ConvTranspose1d(CI, CO, K),
        (B, CI, L),
    ),
    truth(
        "conv_transpose2d",
        B * CI * H * W * CO * K * K,
        lambda: nn.ConvTranspose2d(CI, CO, K),
        IMAGE,
        families=("conv_transpose",),
    ),
    truth(
        "conv_transpose2d stride and output_padding",
        B * CI * H * W * CO * K * K,
        lambda: nn.ConvTranspose2d(CI, CO, K, stride=2, padding=1, output_padding=1),
        IMAGE,
    ),
    truth(
        "conv_transpose2d groups and dilation",
        B * CI * H * W * CO // 2 * K * K,
        lambda: nn.ConvTranspose2d(CI, CO, K, groups=2, dilation=2, bias=False),
        IMAGE,
    ),
    truth(
        "conv_transpose2d unbatched",
        CI * H * W * CO * K * K,
        lambda: nn.ConvTranspose2d(CI, CO, K, stride=3),
        (CI, H, W),
    ),
    truth(
        "conv_transpose3d",
        B * CI * D * H * W * CO * K**3,
        lambda: nn.ConvTranspose3d(CI, CO, K, stride=2),
        (B, CI, D, H, W),
    ),
]

DEFORMABLE = [
    truth(
        "DeformConv2d",
        B * CO * POSITIONS * WINDOW,
        lambda: DeformConv2d(CI, CO, K),
        IMAGE,
        (B, 2 * K * K, out(H, K), out(W, K)),
        families=("deform_conv",),
    ),
    fn(  # two weight groups, two offset groups, a mask
        "deform_conv2d groups and mask",
        B * CO * POSITIONS * WINDOW // 2,
        lambda x, offset, w, mask: deform_conv2d(x, offset, w, mask=mask),
        IMAGE,
        (B, 2 * 2 * K * K, out(H, K), out(W, K)),
        (CO, CI // 2, K, K),
        (B, 2 * K * K, out(H, K), out(W, K)),
    ),
]

LINEAR = [
    truth("linear", B * I * O, lambda: nn.Linear(I, O), (B, I), families=("linear",)),
    truth("linear 4d", B * T * S * I * O, lambda: nn.Linear(I, O, bias=False), (B, T, S, I)),
    truth("linear unbatched", I * O, lambda: nn.Linear(I, O), (I,)),
    truth("lazy linear", B * I * O, lambda: nn.LazyLinear(O), (B, I)),
    truth(
        "linear in bfloat16",
        B * I * O,
        lambda: nn.Linear(I, O, dtype=torch.bfloat16),
        lambda: torch.randn(B, I, dtype=torch.bfloat16),
    ),
    fn("F.linear", B * I * O, F.linear, (B, I), (O, I), (O,)),
    fn("F.linear with a vector", B * I, F.linear, (B, I), (I,)),
    fn("torch.addmm", I * J * O, torch.addmm, (I, O), (I, J), (J, O)),
    # x1 with W: O x I x J, then with x2: O x J
    truth(
        "Bilinear",
        B * O * J * (I + 1),
        lambda: nn.Bilinear(I, J, O),
        (B, I),
        (B, J),
        families=("bilinear",),
    ),
    truth(
        "Bilinear 3d",
        B * T * O * J * (I + 1),
        lambda: nn.Bilinear(I, J, O, bias=False),
        (B, T, I),
        (B, T, J),
    ),
    fn("F.bilinear", B * O * J * (I + 1), F.bilinear, (B, I), (B, J), (O, I, J)),
    # a[i] * b[i] * c[i], summed where c has no size: each sum is scaled by c, which counts nothing.
    fn(
        "_trilinear with one sum",
        B * I * J,
        lambda a, b, c: torch._trilinear(a, b, c, [], [], [2], [2]),
        (B, I, J),
        (B, I, J),
        (B, I),
    ),
]

# (…, I, J) @ (…, J, O): I x O sums of J products, for each batch after broadcasting.
MATMUL = [
    fn("mm", I * J * O, torch.mm, (I, J), (J, O), families=("matmul",)),
    fn("bmm", B * I * J * O, torch.bmm, (B, I, J), (B, J, O)),
    fn("matmul 2d @ 2d", I * J * O, torch.matmul, (I, J), (J, O)),
    fn("matmul 2d @ 1d", I * J, torch.matmul, (I, J), (J,)),
    fn("matmul 1d @ 2d", J * O, torch.matmul, (J,), (J, O)),
    fn("matmul 1d @ 1d", J, torch.matmul, (J,), (J,)),
    fn("matmul 3d @ 1d", B * I * J, torch.matmul, (B, I, J), (J,)),
    fn("matmul 1d @ 3d", B * J * O, torch.matmul, (J,), (B, J, O)),
    fn("matmul 3d @ 2d", B * I * J * O, torch.matmul, (B, I, J), (J, O)),
    fn("matmul 2d @ 3d", B * I * J * O, torch.matmul, (I, J), (B, J, O)),
    fn("matmul broadcast", B * T * I * J * O, torch.matmul, (B, 1, I, J), (T, J, O)),
    fn("a @ b, 4d", B * T * I * J * O, lambda a, b: a @ b, (B, T, I, J), (B, T, J, O)),
    fn("matmul, transposed operands", I * J * O, lambda a, b: a.T @ b.mT, (J, I), (O, J)),
    fn("matmul of a column and a row", I * O, torch.matmul, (I, 1), (1, O)),
    fn("matmul without rows", 0, torch.matmul, (0, J), (J, O)),
    fn("mm into out", I * J * O, lambda a, b: torch.mm(a, b, out=a.new_empty(I, O)),
       (I, J), (J, O)),
    fn("addmm_", I * J * O, lambda c, a, b: c.addmm_(a, b), (I, O), (I, J), (J, O)),
    fn("baddbmm", B * I * J * O, torch.baddbmm, (B, I, O), (B, I, J), (B, J, O)),
    fn("baddbmm_", B * I * J * O, lambda c, a, b: c.baddbmm_(a, b),
       (B, I, O), (B, I, J), (B, J, O)),
    fn("addbmm", B * I * J * O, torch.addbmm, (I, O), (B, I, J), (B, J, O)),
    fn("addmv", I * J, torch.addmv, (I,), (I, J), (J,)),
    fn("addmv_", I * J, lambda c, a, b: c.addmv_(a, b), (I,), (I, J), (J,)),
    fn("mv", I * J, torch.mv, (I, J), (J,)),
    fn("dot", J, torch.dot, (J,), (J,)),
    fn("vdot", J, torch.vdot, (J,), (J,)),
    fn("inner 1d", J, torch.inner, (J,), (J,)),
    fn("inner 2d", I * O * J, torch.inner, (I, J), (O, J)),
    fn("inner with a number", 0, torch.inner, (I, J), ()),
    fn("linalg.vecdot", B * J, lambda a, b: torch.linalg.vecdot(a, b), (B, J), (B, J)),
    fn("linalg.vecdot dim 0, broadcast", J * I * O,
       lambda a, b: torch.linalg.vecdot(a, b, dim=0), (J, I, O), (J, 1, O)),
    fn("tensordot", I * O * T * S, lambda a, b: torch.tensordot(a, b, dims=2),
       (I, T, S), (T, S, O)),
    fn("linalg.multi_dot", I * J * T + I * T * O,  # from the left is cheaper here
       lambda a, b, c: torch.linalg.multi_dot([a, b, c]), (I, J), (J, T), (T, O)),
    fn("chain_matmul", I * J * T + I * T * O, torch.chain_matmul, (I, J), (J, T), (T, O)),
    fn("linalg.matrix_power 3", 2 * I**3, lambda a: torch.linalg.matrix_power(a, 3), (I, I)),
    fn("complex matmul, one MAC a complex product", I * J * O, torch.matmul,
       lambda: torch.randn(I, J, dtype=torch.complex64),
       lambda: torch.randn(J, O, dtype=torch.complex64)),
    fn("cov", I * I * J, torch.cov, (I, J),  # the centred matrix times its transpose
       needs_values=True),
    fn("affine_grid", B * H * W * 2 * 3,  # (x, y, 1) times a 2 x 3 matrix at every position
       lambda theta: F.affine_grid(theta, [B, CI, H, W], align_corners=False), (B, 2, 3)),
    fn("einsum as mm", I * J * O, lambda a, b: torch.einsum("ij,jo->io", a, b), (I, J), (J, O)),
    fn("einsum as bmm", B * I * J * O,
       lambda a, b: torch.einsum("bij,bjo->bio", a, b), (B, I, J), (B, J, O)),
    fn("einsum over two indices", B * I * J * O,
       lambda a, b: torch.einsum("bij,ijo->bo", a, b), (B, I, J), (I, J, O)),
    fn("einsum of attention scores", B * HEADS * T * S * E,
       lambda q, k: torch.einsum("bthe,bshe->bhts", q, k), (B, T, HEADS, E), (B, S, HEADS, E)),
    # from the left: (B x I x J) first, then (B x J x O)
    fn("einsum of three operands", B * I * J + B * J * O,
       lambda a, b, c: torch.einsum("bi,ij,jo->bo", a, b, c), (B, I), (I, J), (J, O)),
    fn("einsum dot", J, lambda a, b: torch.einsum("j,j->", a, b), (J,), (J,)),
    fn("einsum elementwise", 0, lambda a, b: torch.einsum("ij,ij->ij", a, b), (I, J), (I, J)),
    fn("outer: einsum over an index of size 1", B * I * J,
       lambda a, b: torch.einsum("bik,bkj->bij", a, b), (B, I, 1), (B, 1, J)),
    fn("einsum trace", 0, lambda a: torch.einsum("ii->", a), (I, I)),
    fn("einsum diagonal and transpose", 0, lambda a: torch.einsum("iij->ji", a), (I, I, J)),
    fn("product and sum by hand", 0, lambda a, b: (a * b).sum(-1), (I, J), (I, J)),
]  # fmt: skip

# A column times a row, however it is written. Without inference mode most are elementwise to torch.
OUTER = [
    fn("outer: matmul", I * O, lambda a, b: a[:, None] @ b[None], (I,), (O,)),
    fn("outer: tensordot", I * O, lambda a, b: torch.tensordot(a, b, dims=0), (I,), (O,)),
    fn("outer: einsum", I * O, lambda a, b: torch.einsum("i,j->ij", a, b), (I,), (O,)),
    fn("outer: einsum of a batch", B * I * O,
       lambda a, b: torch.einsum("bi,bj->bij", a, b), (B, I), (B, O)),
    # a column times a row, then J results of B x I products
    fn("outer: einsum, then a sum", B * I + J * B * I,
       lambda a, b, c: torch.einsum("b,i,bij->j", a, b, c), (B,), (I,), (B, I, J)),
    fn("outer: outer", I * O, lambda a, b: torch.outer(a, b), (I,), (O,)),
    fn("outer: ger", I * O, lambda a, b: a.ger(b), (I,), (O,)),
    fn("outer: addr", I * O, torch.addr, (I, O), (I,), (O,)),
    fn("outer: kron", I * J * T * O, lambda a, b: torch.kron(a, b), (I, J), (T, O)),
]  # fmt: skip


def _complex(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(shape, dtype=torch.complex64)


# One complex product is one MAC, as in a complex matmul; torch runs three real convolutions.
COMPLEX = [
    fn("complex convolution 1d", B * CO * out(L, K) * CI * K, F.conv1d,
       _complex(B, CI, L), _complex(CO, CI, K), families=("conv",)),
    fn("complex convolution 2d, grouped, padded", B * CO * H * W * CI // 2 * K * K,
       lambda x, w: F.conv2d(x, w, padding="same", groups=2),
       _complex(B, CI, H, W), _complex(CO, CI // 2, K, K)),
    fn("complex convolution 3d with a bias", B * CO * out(D, K) * out(H, K) * out(W, K) * CI * K**3,
       F.conv3d, _complex(B, CI, D, H, W), _complex(CO, CI, K, K, K), _complex(CO)),
    fn("complex convolution, transposed", B * CI * L * CO * K,
       lambda x, w: F.conv_transpose1d(x, w, stride=2), _complex(B, CI, L), _complex(CI, CO, K),
       families=("conv_transpose",)),
]  # fmt: skip


def _ones(dtype: Any, *shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.ones(shape).to(dtype)


def _has(name: str) -> bool:
    return hasattr(torch.ops.aten, name)


def _int4(x: torch.Tensor) -> torch.Tensor:
    weight = torch.ones(48, 64, dtype=torch.int32)  # 64 to 48 features, in groups of 32
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight, 1)
    scales = torch.ones(2, 48, 2).bfloat16()
    return torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, 32, scales)


def _fp8(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch._scaled_mm(a, b.t(), torch.ones(()), torch.ones(()))


def _grouped(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    ends = torch.tensor([3, 8], dtype=torch.int32) if a.dim() == 2 else None
    return torch._grouped_mm(a, b, offs=ends)


# As the products of wider numbers. Few kernels of a CPU, and shape rules for few of them.
LOW_PRECISION = [
    truth(name, macs, lambda function=function: Call(function), *inputs, needs_values=True)
    for operator, name, macs, function, *inputs in (
        ("_int_mm", "int8 product", 32 * 16 * 24, lambda a, b: torch._int_mm(a, b),
         _ones(torch.int8, 32, 16), _ones(torch.int8, 16, 24)),
        ("_weight_int8pack_mm", "int8 weights", T * 64 * 32,
         lambda *a: torch.ops.aten._weight_int8pack_mm(*a),
         _ones(torch.bfloat16, T, 64), _ones(torch.int8, 32, 64), _ones(torch.bfloat16, 32)),
        ("_weight_int4pack_mm_for_cpu", "int4 weights", T * 64 * 48, _int4,
         _ones(torch.bfloat16, T, 64)),
        ("_scaled_mm", "fp8 product", 16 * 32 * 48, _fp8,
         _ones(torch.float8_e4m3fn, 16, 32), _ones(torch.float8_e4m3fn, 48, 32)),
        # 8 rows, 3 to the first matrix of 16 x 32 and 5 to the second
        ("_grouped_mm", "grouped product", 8 * 16 * 32, _grouped,
         _ones(torch.bfloat16, 8, 16), _ones(torch.bfloat16, 2, 16, 32)),
        ("_grouped_mm", "grouped product of batches", 2 * 8 * 16 * 32, _grouped,
         _ones(torch.bfloat16, 2, 8, 16), _ones(torch.bfloat16, 2, 16, 32)),
        # 13 is 1101 in binary: three squares, and two products for the further ones
        ("linalg_matrix_power", "matrix power 13", 5 * I**3,
         lambda a: torch.linalg.matrix_power(a, 13), lambda: torch.eye(I)),
    )
    if _has(operator)
]  # fmt: skip


def _quantised(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(shape), 0.1, 0, torch.qint8)


def _quantised_layer(name: str, weight: tuple[int, ...], *options: Any) -> nn.Module:
    kind = name.removesuffix("_relu").removesuffix("_dynamic")
    packed = getattr(torch.ops.quantized, f"{kind}_prepack")(_quantised(weight), None, *options)
    layer = getattr(torch.ops.quantized, name)
    rest = () if "dynamic" in name else (0.1, 0)
    return Call(lambda x: layer(x, packed, *rest))


def _bytes(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.quantize_per_tensor(torch.ones(shape), 0.1, 0, torch.quint8)


def _onednn(convolves: bool) -> nn.Module:
    scales, zeros, operators = torch.ones(CO), torch.zeros(CO, dtype=torch.int), torch.ops.onednn
    output = (None, 1.0, 0, torch.float32, "none", [], "")
    if not convolves:
        packed = operators.qlinear_prepack(_ones(torch.int8, CO, I)(), [B, I])
        return Call(
            lambda x: operators.qlinear_pointwise(x, 1.0, 0, packed, scales, zeros, *output)
        )
    where = ([1, 1], [0, 0], [1, 1], 2)
    weight = _ones(torch.int8, CO, CI // 2, K, K)()
    packed = operators.qconv_prepack(weight, scales, 1.0, 0, *where, [B, CI, H, W])
    run = getattr(operators, "qconv_pointwise", None) or operators.qconv2d_pointwise
    return Call(lambda x: run(x, 1.0, 0, packed, scales, zeros, None, *where, *output[1:]))


ONEDNN = [
    truth("quantised linear of oneDNN", B * I * CO, lambda: _onednn(False),
          _ones(torch.uint8, B, I), needs_values=True, families=("linear",)),
    truth("quantised convolution of oneDNN, grouped",
          B * CO * out(H, K) * out(W, K) * CI // 2 * K * K,
          lambda: _onednn(True), _ones(torch.uint8, B, CI, H, W), needs_values=True,
          families=("conv",)),
]  # fmt: skip

# As the layers of floating-point numbers that they stand for.
QUANTISED = [
    truth(name, macs, lambda layer=layer: _quantised_layer(*layer), x, needs_values=True)
    for name, macs, layer, x in (
        ("quantised linear", B * I * O, ("linear", (O, I)), _bytes(B, I)),
        ("quantised linear and ReLU", B * I * O, ("linear_relu", (O, I)), _bytes(B, I)),
        ("quantised linear, dynamic", B * T * I * O, ("linear_dynamic", (O, I)), (B, T, I)),
        ("quantised convolution 1d", B * CO * out(L, K) * CI * K,
         ("conv1d", (CO, CI, K), [1], [0], [1], 1), _bytes(B, CI, L)),
        ("quantised convolution 2d and ReLU, grouped",
         B * CO * out(H, K) * out(W, K) * CI // 2 * K * K,
         ("conv2d_relu", (CO, CI // 2, K, K), [1, 1], [0, 0], [1, 1], 2), _bytes(B, CI, H, W)),
        ("quantised convolution, transposed", B * CI * H * W * CO * K * K,
         ("conv_transpose2d", (CI, CO, K, K), [2, 2], [0, 0], [0, 0], [1, 1], 1),
         _bytes(B, CI, H, W)),
    )
    if torch.backends.quantized.engine not in ("none", "") and hasattr(torch, "quantize_per_tensor")
]  # fmt: skip

OPERATORS: tuple[Truth, ...] = (
    *CONVOLUTIONS,
    *TRANSPOSED,
    *DEFORMABLE,
    *LINEAR,
    *MATMUL,
    *OUTER,
    *COMPLEX,
    *LOW_PRECISION,
    *QUANTISED,
    *(ONEDNN if hasattr(torch.ops.onednn, "qconv_prepack") else ()),
)

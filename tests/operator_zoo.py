"""Small models with their true cost: multiply-accumulates by hand, from named dimensions.

Each ``Truth`` has its arithmetic beside it; none was taken from a program's output. The dimensions
that meet in one model are different, so that a formula which confuses two of them
gives another integer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, rnn
from torch.nn.utils.parametrize import register_parametrization
from torch.utils.checkpoint import checkpoint
from torchvision.ops import DeformConv2d, deform_conv2d, roi_align

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
        families: the dense families it shall be filed under.
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
    """A subclass, which counters that look up exact classes do not know."""


class Scaled(nn.Module):
    """A parametrization: one product an element, nothing accumulated."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Scale a weight."""
        return weight * 0.5


class DictInOut(nn.Module):
    """Takes a dict and gives one, nested, with a tensor that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(I, O)

    def forward(self, batch: dict[str, torch.Tensor], *, scale: torch.Tensor) -> dict[str, Any]:
        """Use ``batch["x"]``."""
        y = self.head(batch["x"]) * scale
        return {"logits": y, "aux": [y, {"again": y}]}


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
    fn("linalg.vecdot", B * J, torch.linalg.vecdot, (B, J), (B, J)),
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
    fn("einsum outer", 0, lambda a, b: torch.einsum("i,j->ij", a, b), (I,), (J,)),
    fn("einsum trace", 0, lambda a: torch.einsum("ii->", a), (I, I)),
    fn("einsum diagonal and transpose", 0, lambda a: torch.einsum("iij->ji", a), (I, I, J)),
    # An outer product sums nothing: free, unless it is written as a matrix product (above).
    fn("outer", 0, torch.outer, (I,), (J,)),
    fn("ger", 0, torch.ger, (I,), (J,)),
    fn("addr", 0, torch.addr, (I, J), (I,), (J,)),
    fn("kron", 0, torch.kron, (I, J), (T, O)),
    fn("product and sum by hand", 0, lambda a, b: (a * b).sum(-1), (I, J), (I, J)),
]  # fmt: skip

QUERY, KEYS = (B, HEADS, T, E), (B, HEADS, S, E)
# Scores: T x S sums over E; values: T x E sums over S. A mask saves nothing.
SDPA_MACS = B * HEADS * T * S * (E + E)


def sdpa(name: str, macs: int, *shapes: Any, **options: Any) -> Truth:
    """Make a ``Truth`` of scaled_dot_product_attention."""
    return fn(
        f"sdpa {name}",
        macs,
        lambda *a: F.scaled_dot_product_attention(*a, **options),
        *shapes,
        families=("attention",),
    )


ATTENTION = [
    sdpa("self", B * HEADS * T * T * (E + E), QUERY, QUERY, QUERY),
    sdpa("cross", SDPA_MACS, QUERY, KEYS, KEYS),
    sdpa("causal", B * HEADS * T * T * (E + E), QUERY, QUERY, QUERY, is_causal=True),
    sdpa("mask", SDPA_MACS, QUERY, KEYS, KEYS, (T, S)),
    sdpa("boolean mask", SDPA_MACS, QUERY, KEYS, KEYS, lambda: torch.ones(T, S, dtype=torch.bool)),
    sdpa("3d", B * T * S * (E + E), (B, T, E), (B, S, E), (B, S, E)),
    sdpa("wider values", B * HEADS * T * S * (E + FF), QUERY, KEYS, (B, HEADS, S, FF)),
    sdpa("keys of one batch", SDPA_MACS, QUERY, (1, HEADS, S, E), (1, HEADS, S, E)),
    # 2 x HEADS query heads over HEADS key heads: every query head does its own products
    sdpa("grouped queries", 2 * SDPA_MACS, (B, 2 * HEADS, T, E), KEYS, KEYS, enable_gqa=True),
    fn("attention written out", SDPA_MACS,
       lambda q, k, v: (q @ k.transpose(-2, -1)).softmax(-1) @ v, QUERY, KEYS, KEYS),
]  # fmt: skip


def mha_macs(t: int, s: int, kdim: int = E, vdim: int = E, extra: int = 0) -> int:
    """Projections of t queries and s keys and values, attention over s + extra, projection."""
    return t * E * E + s * kdim * E + s * vdim * E + 2 * t * (s + extra) * E + t * E * E


def mha(
    name: str, macs: int, *shapes: Any, call: dict[str, Any] | None = None, **options: Any
) -> Truth:
    """Make a ``Truth`` of nn.MultiheadAttention."""

    def build() -> nn.Module:
        layer = nn.MultiheadAttention(E, HEADS, **options)
        return Call(lambda m, *a: m(*a, **(call or {})), layer)

    return truth(f"MultiheadAttention {name}", macs, build, *shapes)


def _tied(name: str, **options: Any) -> Truth:
    def build() -> nn.Module:
        layer = nn.MultiheadAttention(E, HEADS, batch_first=True)
        return Call(lambda m, x: m(x, x, x, **options), layer)

    return truth(f"MultiheadAttention {name}", B * mha_macs(T, T), build, (B, T, E))


X, SOURCE = (B, T, E), (B, S, E)
ENCODER_LAYER = mha_macs(T, T) + 2 * T * E * FF
DECODER_LAYER = mha_macs(T, T) + mha_macs(T, S) + 2 * T * E * FF
LAYER = {"d_model": E, "nhead": HEADS, "dim_feedforward": FF, "batch_first": True}

TRANSFORMER = [
    mha("cross", B * mha_macs(T, S), X, SOURCE, SOURCE, batch_first=True),
    mha("steps first", B * mha_macs(T, S), (T, B, E), (S, B, E), (S, B, E)),
    mha("unbatched", mha_macs(T, S), (T, E), (S, E), (S, E)),
    mha("without weights", B * mha_macs(T, S), X, SOURCE, SOURCE, batch_first=True,
        call={"need_weights": False}),
    mha("other key and value widths", B * mha_macs(T, S, I, O), X, (B, S, I), (B, S, O),
        kdim=I, vdim=O, batch_first=True),
    mha("bias_kv and zero_attn: two more keys", B * mha_macs(T, S, extra=2), X, SOURCE, SOURCE,
        add_bias_kv=True, add_zero_attn=True, batch_first=True),
    _tied("self"),
    _tied("self, without weights", need_weights=False),
    _tied("self, weights per head", average_attn_weights=False),
    truth("TransformerEncoderLayer", B * ENCODER_LAYER,
          lambda: nn.TransformerEncoderLayer(**LAYER), X),
    truth("TransformerEncoderLayer, norm first, gelu", B * ENCODER_LAYER,
          lambda: nn.TransformerEncoderLayer(**LAYER, norm_first=True, activation="gelu"), X),
    truth("TransformerEncoder", 2 * B * ENCODER_LAYER,
          lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER), 2), X),
    truth("TransformerDecoderLayer", B * DECODER_LAYER,
          lambda: nn.TransformerDecoderLayer(**LAYER), X, SOURCE),
    truth("TransformerDecoder", 2 * B * DECODER_LAYER,
          lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(**LAYER), 2), X, SOURCE),
    truth("Transformer",  # the source is encoded, then decoded for the target
          B * (mha_macs(S, S) + 2 * S * E * FF) + 2 * B * DECODER_LAYER,
          lambda: nn.Transformer(num_encoder_layers=1, num_decoder_layers=2, **LAYER),
          SOURCE, X),
]  # fmt: skip


def cell(gates: int, inputs: int, hidden: int) -> int:
    """One step of one sequence: input and hidden state, each with every gate's matrix."""
    return gates * hidden * (inputs + hidden)


LSTM, GRU, RNN = 4, 3, 1  # gates
STEPS_FIRST = (T, B, I)


def _packed() -> rnn.PackedSequence:
    return rnn.pack_padded_sequence(torch.randn(STEPS_FIRST), torch.tensor([7, 4, 2], device="cpu"))


RECURRENT = [
    truth("LSTM", T * B * cell(LSTM, I, HID), lambda: nn.LSTM(I, HID), STEPS_FIRST,
          families=("recurrent",)),
    truth("LSTM without bias", T * B * cell(LSTM, I, HID), lambda: nn.LSTM(I, HID, bias=False),
          STEPS_FIRST),
    truth("LSTM batch first", T * B * cell(LSTM, I, HID),
          lambda: nn.LSTM(I, HID, batch_first=True), (B, T, I)),
    truth("LSTM unbatched", T * cell(LSTM, I, HID), lambda: nn.LSTM(I, HID), (T, I)),
    truth("LSTM, 3 layers", T * B * (cell(LSTM, I, HID) + 2 * cell(LSTM, HID, HID)),
          lambda: nn.LSTM(I, HID, num_layers=3), STEPS_FIRST),
    truth("LSTM bidirectional", T * B * 2 * cell(LSTM, I, HID),
          lambda: nn.LSTM(I, HID, bidirectional=True), STEPS_FIRST),
    truth("LSTM, 2 layers, bidirectional",  # the second layer reads both directions
          T * B * 2 * (cell(LSTM, I, HID) + cell(LSTM, 2 * HID, HID)),
          lambda: nn.LSTM(I, HID, num_layers=2, bidirectional=True), STEPS_FIRST),
    truth("LSTM with projection",  # the gates see the projected state; then HID x PROJ
          T * B * (LSTM * HID * (I + PROJ) + HID * PROJ),
          lambda: nn.LSTM(I, HID, proj_size=PROJ), STEPS_FIRST),
    truth("LSTM of a packed sequence",  # lengths 7, 4 and 2: padding is not computed
          (7 + 4 + 2) * cell(LSTM, I, HID), lambda: nn.LSTM(I, HID), _packed, needs_values=True),
    truth("GRU of a packed sequence, bidirectional", (7 + 4 + 2) * 2 * cell(GRU, I, HID),
          lambda: nn.GRU(I, HID, bidirectional=True), _packed, needs_values=True),
    truth("LSTM with states", T * B * cell(LSTM, I, HID),
          lambda: Call(lambda m, x, h, c: m(x, (h, c)), nn.LSTM(I, HID)),
          STEPS_FIRST, (1, B, HID), (1, B, HID)),
    truth("GRU", T * B * cell(GRU, I, HID), lambda: nn.GRU(I, HID), STEPS_FIRST),
    truth("GRU, 2 layers, bidirectional",
          T * B * 2 * (cell(GRU, I, HID) + cell(GRU, 2 * HID, HID)),
          lambda: nn.GRU(I, HID, num_layers=2, bidirectional=True), STEPS_FIRST),
    truth("RNN tanh", T * B * cell(RNN, I, HID), lambda: nn.RNN(I, HID), STEPS_FIRST),
    truth("RNN relu", T * B * cell(RNN, I, HID),
          lambda: nn.RNN(I, HID, nonlinearity="relu"), STEPS_FIRST),
    truth("LSTMCell", B * cell(LSTM, I, HID), lambda: nn.LSTMCell(I, HID), (B, I)),
    truth("GRUCell", B * cell(GRU, I, HID), lambda: nn.GRUCell(I, HID), (B, I)),
    truth("RNNCell", B * cell(RNN, I, HID), lambda: nn.RNNCell(I, HID), (B, I)),
    truth("LSTMCell, 4 steps by hand", 4 * B * cell(LSTM, I, HID),
          lambda: Call(_four_steps, nn.LSTMCell(I, HID)), (B, I)),
]  # fmt: skip


def _four_steps(layer: nn.LSTMCell, x: torch.Tensor) -> torch.Tensor:
    state = None
    for _ in range(4):
        state = layer(x, state)
    return state[0]


def _until_small(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    norm = torch.full((), 100.0, device=x.device)
    while norm > 10:  # 100, 50, 25, 12.5: four rounds
        x, norm = layer(x), norm / 2
    return x


def _own_gradient(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(layer(x).sum(), x)[0]


def _twice(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return layer(layer(x))


def _aliased() -> nn.Module:
    module = nn.Module()
    module.one = module.two = nn.Linear(I, I)
    return Call(lambda m, x: m.two(m.one(x)), module)


def _tied_embedding(embedding: nn.Embedding, tokens: torch.Tensor) -> torch.Tensor:
    return F.linear(embedding(tokens), embedding.weight)


def _branch(x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > -1e9, lambda x: x @ x, lambda x: x @ x @ x, (x,))


STRUCTURE = [
    truth("shared module, called twice", 2 * B * I * I, lambda: Call(_twice, nn.Linear(I, I)),
          (B, I)),
    truth("one module under two names", 2 * B * I * I, _aliased, (B, I)),
    truth("module never called", B * I * O,
          lambda: Call(lambda used, unused, x: used(x), nn.Linear(I, O), nn.Linear(I, I)), (B, I)),
    truth("output weights tied to an embedding", B * T * E * S,
          lambda: Call(_tied_embedding, nn.Embedding(S, E)),
          lambda: torch.zeros(B, T, dtype=torch.long)),
    truth("checkpointing, reentrant", B * I * O,
          lambda: Call(lambda m, x: checkpoint(m, x, use_reentrant=True), nn.Linear(I, O)), (B, I)),
    truth("checkpointing, not reentrant", B * I * O,
          lambda: Call(lambda m, x: checkpoint(m, x, use_reentrant=False), nn.Linear(I, O)),
          (B, I)),
    truth("loop that depends on data", 4 * B * I * I,
          lambda: Call(_until_small, nn.Linear(I, I)), (B, I), needs_values=True),
    truth("gradient inside forward",  # forwards, and backwards to the input
          2 * B * I * O, lambda: Call(_own_gradient, nn.Linear(I, O)), (B, I)),
    truth("no_grad inside forward", B * I * O,
          lambda: Call(torch.no_grad()(lambda m, x: m(x)), nn.Linear(I, O)), (B, I)),
    truth("inference_mode inside forward", B * I * O,
          lambda: Call(torch.inference_mode()(lambda m, x: m(x)), nn.Linear(I, O)), (B, I)),
    truth("several inputs", B * I * O + B * J * O,
          lambda: Call(lambda a, b, x, y: a(x) + b(y), nn.Linear(I, O), nn.Linear(J, O)),
          (B, I), (B, J)),
    truth("dict in, dict out", B * I * O, DictInOut, lambda: {"x": torch.randn(B, I), "id": 3},
          kwargs={"scale": (1,)}),
    truth("scripted module", B * I * O + B * O * J,
          lambda: torch.jit.script(
              nn.Sequential(nn.Linear(I, O), nn.ReLU(), nn.Linear(O, J)).eval()), (B, I)),
    truth("compiled module", B * I * O,
          lambda: Call(lambda m, x: m(x), torch.compile(nn.Linear(I, O))), (B, I)),
    truth("vmap of a matrix-vector product", B * I * J,
          lambda: Call(lambda a, b: torch.vmap(torch.mv)(a, b)), (B, I, J), (B, J)),
    truth("torch.cond, the branch that is taken", I**3, lambda: Call(_branch), (I, I),
          needs_values=True),
]  # fmt: skip

# Nothing here is a convolution, a linear layer or a matrix product.
FREE = [
    truth(name, 0, build, *inputs)
    for name, build, *inputs in (
        ("BatchNorm2d", lambda: nn.BatchNorm2d(CI), IMAGE),
        ("LayerNorm", lambda: nn.LayerNorm(W), IMAGE),
        ("GroupNorm", lambda: nn.GroupNorm(2, CI), IMAGE),
        ("InstanceNorm2d", lambda: nn.InstanceNorm2d(CI, affine=True), IMAGE),
        ("LocalResponseNorm", lambda: nn.LocalResponseNorm(2), IMAGE),
        ("F.normalize", lambda: Call(F.normalize), (B, I)),
        ("MaxPool2d", lambda: nn.MaxPool2d(2), IMAGE),
        ("AvgPool2d", lambda: nn.AvgPool2d(2), IMAGE),
        ("AdaptiveAvgPool2d", lambda: nn.AdaptiveAvgPool2d((2, 3)), IMAGE),
        ("AdaptiveAvgPool2d to 1", lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
        ("AdaptiveMaxPool2d", lambda: nn.AdaptiveMaxPool2d(2), IMAGE),
        ("MaxPool3d", lambda: nn.MaxPool3d(2), (B, CI, D, H, W)),
        ("LPPool2d", lambda: nn.LPPool2d(2, 2), IMAGE),
        ("Upsample nearest", lambda: nn.Upsample(scale_factor=2), IMAGE),
        ("Upsample bilinear", lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
        ("Upsample bicubic", lambda: nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE),
        (
            "F.interpolate antialiased",
            lambda: Call(
                lambda x: F.interpolate(x, size=(5, 6), mode="bilinear", antialias=True)
            ),
            IMAGE,
        ),
        ("F.grid_sample", lambda: Call(lambda x, g: F.grid_sample(x, g, align_corners=False)),
         IMAGE, (B, 5, 6, 2)),
        ("PixelShuffle", lambda: nn.PixelShuffle(2), IMAGE),
        ("Embedding", lambda: nn.Embedding(S, E), lambda: torch.zeros(B, T, dtype=torch.long)),
        ("EmbeddingBag", lambda: nn.EmbeddingBag(S, E),
         lambda: torch.zeros(B, T, dtype=torch.long)),
        ("Softmax", lambda: nn.Softmax(-1), (B, I)),
        ("LogSoftmax", lambda: nn.LogSoftmax(-1), (B, I)),
        ("activations", lambda: nn.Sequential(
            nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.SELU(), nn.CELU(),
            nn.GELU(), nn.GELU("tanh"), nn.SiLU(inplace=True), nn.Mish(), nn.Sigmoid(), nn.Tanh(),
            nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Softplus(), nn.Softsign(),
            nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(), nn.LogSigmoid(), nn.RReLU(),
            nn.Threshold(0.1, 0.0)), IMAGE),
        ("GLU", lambda: nn.GLU(1), IMAGE),
        ("Dropout", lambda: nn.Dropout(), IMAGE),
        ("ZeroPad2d and Flatten", lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Flatten()), IMAGE),
        ("Fold", lambda: nn.Fold((4, 5), (2, 2)), (B, CI, 12)),
        ("CosineSimilarity", lambda: nn.CosineSimilarity(), (B, I), (B, I)),
        ("losses", lambda: Call(
            lambda a, b: F.mse_loss(a, b) + F.smooth_l1_loss(a, b) + F.cross_entropy(a, b.argmax(1))
            + F.binary_cross_entropy_with_logits(a, b.sigmoid())), (B, I), (B, I)),
        ("sorting", lambda: Call(lambda x: x.sort()[0] + x.topk(I)[0] + x.argsort()), (B, I)),
        ("scans and statistics", lambda: Call(
            lambda x: x.cumsum(1).std() + x.var(1).sum() + x.norm() + x.logsumexp(1).amax()
            + x.median() + x.prod()), (B, I)),
        ("indexing and views", lambda: Call(
            lambda x: torch.cat([x[:, 1:], x.roll(1, 1).flip(0)], 1).unfold(1, 2, 1).tril().clone()
            + torch.where(x[..., :2, None] > 0, 1.0, torch.zeros_like(x[..., :2, None]))[:, :1]),
         (B, I)),
        ("in-place and foreach arithmetic", lambda: Call(
            lambda x: torch._foreach_add([x.add_(1).mul_(2).clamp_(0), x], 1)), (B, I)),
    )
]  # fmt: skip

VALUES_ONLY = [
    fn("roi_align", 0, lambda x, boxes: roi_align(x, [boxes] * B, 2), IMAGE,
       lambda: torch.tensor([[0.0, 0.0, 4.0, 4.0]]), needs_values=True),
    fn("fake quantisation", 0, lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -9, 9),
       (B, I), needs_values=True),
    fn("sparse times dense, as if dense", I * J * O, lambda a, b: a.to_sparse() @ b,
       (I, J), (J, O), needs_values=True),
]  # fmt: skip

TRUTHS: tuple[Truth, ...] = (
    *CONVOLUTIONS,
    *TRANSPOSED,
    *DEFORMABLE,
    *LINEAR,
    *MATMUL,
    *ATTENTION,
    *TRANSFORMER,
    *RECURRENT,
    *STRUCTURE,
    *FREE,
    *VALUES_ONLY,
)

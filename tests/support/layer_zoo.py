"""Layers and structures with their true cost, like ``operator_zoo`` for single operators."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from operator_zoo import (
    CI,
    FF,
    HEADS,
    HID,
    IMAGE,
    PROJ,
    B,
    Call,
    D,
    E,
    H,
    I,
    J,
    O,
    S,
    T,
    Truth,
    W,
    fn,
    truth,
)
from torch import nn
from torch.nn.utils import rnn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torchvision.ops import roi_align


class DictInOut(nn.Module):
    """Takes and returns a nested dict, with a tensor that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(I, O)

    def forward(self, batch: dict[str, torch.Tensor], *, scale: torch.Tensor) -> dict[str, Any]:
        """Use ``batch["x"]``."""
        y = self.head(batch["x"]) * scale
        return {"logits": y, "aux": [y, {"again": y}]}


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


# 2 x HEADS query heads over HEADS key heads: every query head does its own products. Torch 2.5 on.
GROUPED_QUERIES = [
    sdpa("grouped queries", 2 * SDPA_MACS, (B, 2 * HEADS, T, E), KEYS, KEYS, enable_gqa=True)
    for _ in range("enable_gqa" in (F.scaled_dot_product_attention.__doc__ or ""))
]

ATTENTION = [
    sdpa("self", B * HEADS * T * T * (E + E), QUERY, QUERY, QUERY),
    sdpa("cross", SDPA_MACS, QUERY, KEYS, KEYS),
    sdpa("causal", B * HEADS * T * T * (E + E), QUERY, QUERY, QUERY, is_causal=True),
    sdpa("mask", SDPA_MACS, QUERY, KEYS, KEYS, (T, S)),
    sdpa("boolean mask", SDPA_MACS, QUERY, KEYS, KEYS, lambda: torch.ones(T, S, dtype=torch.bool)),
    sdpa("3d", B * T * S * (E + E), (B, T, E), (B, S, E), (B, S, E)),
    sdpa("wider values", B * HEADS * T * S * (E + FF), QUERY, KEYS, (B, HEADS, S, FF)),
    sdpa("keys of one batch", SDPA_MACS, QUERY, (1, HEADS, S, E), (1, HEADS, S, E)),
    *GROUPED_QUERIES,
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


def _while(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    loop = import_module("torch._higher_order_ops.while_loop").while_loop
    start = torch.zeros((), dtype=torch.int64, device=x.device)
    return loop(lambda i, _: i < 4, lambda i, x: (i + 1, layer(x)), (start, x))[1]


def _scan(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    scan = import_module("torch._higher_order_ops.scan").scan
    return scan(lambda state, row: (layer(state + row), state @ x), x[0], x)[1]


def _map(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    mapped = import_module("torch._higher_order_ops.map").map
    return mapped(lambda row, x: layer(row) + row @ x, x, x)


# Older torch cannot run a higher-order operator under a dispatch mode that does not know it, nor
# checkpointing on meta.
SEES_HIGHER_ORDER = hasattr(TorchDispatchMode, "supports_higher_order_operators")
HIGHER_ORDER = [
    truth(name, macs, build, (I, I), needs_values=needs_values)
    for module, name, macs, build, needs_values in (
        ("cond", "torch.cond, the branch that is taken", I**3, lambda: Call(_branch), True),
        ("while_loop", "while_loop, four rounds", 4 * I**3,
         lambda: Call(_while, nn.Linear(I, I)), True),
        ("scan", "scan of a layer and a product", I * 2 * I**2,
         lambda: Call(_scan, nn.Linear(I, I)), False),
        ("map", "map of a layer and a product", I * 2 * I**2,
         lambda: Call(_map, nn.Linear(I, I)), False),
    )
    if SEES_HIGHER_ORDER and find_spec(f"torch._higher_order_ops.{module}")
]  # fmt: skip


class _Product(torch.autograd.Function):
    """A product behind a name of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight.sign().T


class _Pair(torch.autograd.Function):
    """Another function inside, two results, its context set up apart."""

    @staticmethod
    def forward(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _Product.apply(x, weight), weight.abs()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs, *output)


class _Layer(torch.autograd.Function):
    """Weights that are not arguments, as in a reversible network."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
        return layer(x)


_bound_early = _Pair.apply

OWN_FUNCTIONS = [
    truth(f"own function: {name}", B * I * O,
          lambda function=function: Call(function, nn.Linear(I, O)), (B, I))
    for name, function in (
        ("a product", lambda m, x: _Product.apply(x, m.weight)),
        ("nested, bound early", lambda m, x: _bound_early(x, m.weight)[0]),
        ("nested", lambda m, x: _Pair.apply(x, m.weight)[0]),
        ("a layer in a closure", lambda m, x: _Layer.apply(x, m)),
    )
]  # fmt: skip

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
          lambda: Call(lambda m, x: checkpoint(m, x, use_reentrant=True), nn.Linear(I, O)), (B, I),
          needs_values=not SEES_HIGHER_ORDER),
    truth("checkpointing, not reentrant", B * I * O,
          lambda: Call(lambda m, x: checkpoint(m, x, use_reentrant=False), nn.Linear(I, O)),
          (B, I), needs_values=not SEES_HIGHER_ORDER),
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
    *HIGHER_ORDER,
    *OWN_FUNCTIONS,
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

LAYERS: tuple[Truth, ...] = (
    *ATTENTION,
    *TRANSFORMER,
    *RECURRENT,
    *STRUCTURE,
    *FREE,
    *VALUES_ONLY,
)

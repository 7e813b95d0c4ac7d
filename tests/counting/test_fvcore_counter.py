"""fvcore with corrected handles, against the arithmetic written next to each case."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("fvcore")
torchvision = pytest.importorskip("torchvision")

import counted  # noqa: E402
from counted import dense, gaps, zeros  # noqa: E402
from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS as own_handles  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.backends import opt_einsum  # noqa: E402
from torch.nn import functional  # noqa: E402

from flopbench.counting.measure.counters.base import Counted  # noqa: E402
from flopbench.counting.measure.counters.contractions import chain_macs, einsum_macs  # noqa: E402
from flopbench.counting.measure.counters.fvcore_counter import FvcoreCounter  # noqa: E402
from flopbench.counting.measure.counters.fvcore_handles import MENDS  # noqa: E402
from flopbench.counting.measure.counters.torch_formulas import custom_mapping  # noqa: E402

SDPA = functional.scaled_dot_product_attention


def count(module: nn.Module, *args: Any, **kwargs: Any) -> Counted:
    return counted.count(FvcoreCounter(), module, *args, **kwargs)


class Call(nn.Module):
    """One function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


# --- whole networks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "dense_macs"),
    [
        ("swin_t", (224, 224), 4_490_566_656),
        ("convnext_tiny", (224, 224), 4_455_531_264),
        ("vit_b_16", (224, 224), 17_563_828_224),
        ("r3d_18", (16, 112, 112), 40_696_553_472),
    ],
)
def test_networks(name: str, shape: tuple[int, ...], dense_macs: int) -> None:
    """Dense MACs are the exact integers, and no gap can hide more."""
    models = torchvision.models
    build = getattr(models, name, None) or getattr(models.video, name)
    counted = count(build(), torch.rand(1, 3, *shape))
    assert dense(counted) == dense_macs
    assert not gaps(counted)


@pytest.mark.parametrize(
    ("name", "side", "total"),
    [
        ("mobilenet_v2", 84, 52_676_896),
        # dense + 2 x batch-normalised elements + pooled elements (512 x 4 x 4)
        ("resnet18", 112, 484_950_016 + 2 * 630_528 + 8_192),
    ],
)
def test_fvcores_own_total(name: str, side: int, total: int) -> None:
    """The total keeps fvcore's rules: batch norm 2 per element, adaptive pooling 1."""
    model = getattr(torchvision.models, name)()
    if name == "mobilenet_v2":
        model.classifier = nn.Linear(1280, 200)
    else:
        model.fc = nn.Linear(512, 200)
    found = count(model, torch.rand(1, 3, side, side))
    assert found.total == total
    assert found.notes == ()
    assert {op.family for op in found.operators} == {"conv", "linear", "batch_norm", "pool"}


def test_breakdown() -> None:
    """Each entry names its module, fvcore's operator and what the layer wrote."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))
    conv, norm, linear = count(model, zeros(1, 3, 5, 5)).operators
    assert (conv.module, conv.module_type, conv.op, conv.family) == ("0", "Conv2d", "conv", "conv")
    assert (conv.total, conv.activations) == (36 * 27, 36)
    assert (norm.family, norm.total, norm.dense_macs, norm.activations) == ("batch_norm", 72, 0, 0)
    assert (linear.module, linear.dense_macs, linear.calls) == ("3", 72, 1)


# --- mended handles: the rest is in test_counters_zoo ----------------------------------------

EINSUMS = [
    ("ab,bc->ac", [(2, 3), (3, 4)], 24),
    ("bij, bjk -> bik", [(5, 2, 3), (5, 3, 4)], 120),
    ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)], 120),
    ("bij,bjk", [(5, 2, 3), (5, 3, 4)], 120),
    ("ij,ij->", [(2, 3), (2, 3)], 6),
    ("i,j->ij", [(2,), (3,)], 6),  # an outer product: a sum of one product
    ("ij,ij->ij", [(2, 3), (2, 3)], 0),  # an elementwise product
    ("ij,j->ij", [(2, 3), (3,)], 0),
    ("bik,bkj->bij", [(5, 2, 1), (5, 1, 3)], 30),
    ("bik,bkj->bij", [(5, 2, 4), (1, 4, 3)], 120),  # b is broadcast
    ("aab,bc->ac", [(2, 2, 3), (3, 4)], 24),
    ("ab,bc->a", [(2, 3), (3, 4)], 6),  # c is summed up before they meet
    ("ij->ji", [(2, 3)], 0),
    ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)], 24 + 2 * 4 * 5),
    # left to right: an outer product, then 2 x 5 results of 3 x 4 products
    ("ab,cd,bc->ad", [(2, 3), (4, 5), (3, 4)], 2 * 3 * 4 * 5 + 2 * 5 * 12),
]


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    EINSUMS,
    ids=[f"{case[0]} {i}" for i, case in enumerate(EINSUMS)],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    """Contractions are priced pair by pair, as torch computes them."""
    model = Call(lambda *operands: torch.einsum(equation, *operands))
    with opt_einsum.flags(enabled=False):  # it would choose another order
        found = count(model, *[zeros(*shape) for shape in shapes])
    assert dense(found) == macs
    assert [op.family for op in found.operators] == ["matmul"]


@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (lambda a, b: torch.tensordot(a, b, ([0], [1])), [(3, 2), (4, 3)], 24),
        (lambda a, b: torch.tensordot(a, b, 0), [(2, 3), (4,)], 24),
        # (30 x 4)(4) first, then (2 x 30)(30)
        (lambda *m: torch.linalg.multi_dot(m), [(2, 30), (30, 4), (4,)], 120 + 60),
        (lambda t: functional.affine_grid(t, [2, 3, 4, 5], False), [(2, 2, 3)], 2 * 20 * 2 * 3),
    ],
)
def test_functions(function: Any, shapes: list[tuple[int, ...]], macs: int) -> None:
    """A function of tensors costs what its definition multiplies and adds."""
    found = count(Call(function), *[zeros(*shape) for shape in shapes])
    assert dense(found) == found.total == macs
    assert not gaps(found)


# The fast path of an encoder is off, and ``bilinear`` is traced whole.
LOWER = {"_transformer_encoder_layer_fwd", "_trilinear"}
BACKENDS = re.compile(
    r"cudnn|miopen|mps|mkldnn_(convolution|rnn)|slow_|nnpack|depthwise|triton|over"
)


def test_every_price_of_the_reference_has_a_handle() -> None:
    """What ``torch`` prices, fvcore does, except for kernels of backends, which no trace shows."""
    handles = {kind.partition("::")[2] for kind in {**own_handles, **MENDS}}
    priced = {str(packet).partition(".")[2] for packet in custom_mapping() if "." in str(packet)}
    aten = {name.partition(".")[0] for name in priced if hasattr(torch.ops.aten, name)}
    traced_as_convolution = {f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)}
    missing = aten - handles - traced_as_convolution - LOWER - {"convolution"}
    assert not {name for name in missing if not BACKENDS.search(name)}


def test_einsum_path() -> None:
    """A path names operands by position and puts each result at the end."""
    shapes = [(2, 3), (3, 5), (5, 7), (7, 11)]
    left_to_right = 2 * 3 * 5 + 2 * 5 * 7 + 2 * 7 * 11
    assert einsum_macs("ab,bc,cd,de->ae", shapes) == left_to_right
    # cd.de, then bc with it, then ab
    from_the_right = 5 * 7 * 11 + 3 * 5 * 11 + 2 * 3 * 11
    assert einsum_macs("ab,bc,cd,de->ae", shapes, [2, 3, 1, 2, 0, 1]) == from_the_right


def test_chain_takes_the_cheaper_order() -> None:
    """A chain of three: (10 x 30)(30 x 5) first saves a factor of six."""
    assert chain_macs([(10, 30), (30, 5), (5, 60)]) == 10 * 30 * 5 + 10 * 5 * 60
    assert chain_macs([(10, 30)]) == 0


@given(sizes=st.lists(st.integers(1, 12), min_size=3, max_size=3), batch=st.integers(1, 4))
def test_einsum_of_a_product_is_a_product(sizes: list[int], batch: int) -> None:
    """Matrix products written as einsum cost the product of their sizes, also where that is 1."""
    n, k, m = sizes
    assert einsum_macs("zik,zkj->zij", [(batch, n, k), (batch, k, m)]) == batch * n * k * m


# --- notes and gaps --------------------------------------------------------------------------


def test_only_the_mends_that_were_used_are_noted() -> None:
    """A plain product is fvcore's own; a broadcast one is noted."""
    assert count(Call(torch.matmul), zeros(2, 3), zeros(3, 4)).notes == ()
    (note,) = count(Call(torch.matmul), zeros(2, 3), zeros(5, 3, 4)).notes
    assert note.startswith("matmul priced by flopbench's handle")
    (note,) = count(Call(SDPA), *[zeros(1, 1, 2, 2)] * 3).notes
    assert note == (
        "scaled_dot_product_attention priced by flopbench's handle; fvcore itself leaves it out"
    )


def test_operators_without_a_price_are_gaps_of_their_own_module() -> None:
    """fvcore counts unsupported operators for all ancestors; here each belongs to one module."""
    model = nn.Sequential(nn.Sequential(nn.GELU(), nn.GELU()), Call(torch.linalg.inv))
    found = count(model, torch.eye(3))
    assert [(g.kind, g.name, g.module, g.calls, g.may_multiply) for g in found.not_counted] == [
        ("operator", "aten::gelu", "0.0", 1, False),
        ("operator", "aten::gelu", "0.1", 1, False),
        ("operator", "aten::linalg_inv", "1", 1, True),
    ]


def test_form_that_fvcore_cannot_read_is_a_gap() -> None:
    """fvcore's layer norm takes at most five dimensions; a sixth must not end the count."""
    found = count(nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 3)), zeros(1, 1, 1, 1, 1, 2))
    assert dense(found) == 6
    (gap,) = found.not_counted
    assert (gap.name, gap.module, gap.may_multiply) == ("aten::layer_norm", "0", False)


# --- shapes of models ------------------------------------------------------------------------


@dataclasses.dataclass
class Output:
    logits: Any
    hidden: Any = None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: {"a": [y, None], "b": (y,)},
        lambda y: Output(logits=y),
        lambda y: None,
        lambda y: "text",
        lambda y: float(y.sum()),
    ],
)
def test_any_output(wrap: Callable[[Any], Any]) -> None:
    """Whatever forward returns, the layer is found."""
    found = count(nn.Sequential(nn.Linear(3, 4), Call(wrap)), zeros(2, 3))
    assert dense(found) == 24


def test_results_that_reach_no_output() -> None:
    """Work whose result is dropped still counts."""

    class Drops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x: Any) -> Any:
            self.fc(x)
            torch.mm(x, x.t())
            return x

    found = count(Drops(), zeros(2, 3))
    assert [op.dense_macs for op in found.operators] == [24, 12]
    assert found.not_counted == ()

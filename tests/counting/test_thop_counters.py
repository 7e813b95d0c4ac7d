"""THOP today and under its rules of January 2020, against the arithmetic next to each case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
thop = pytest.importorskip("thop")
torchvision = pytest.importorskip("torchvision")

from counted import count, dense, zeros  # noqa: E402
from torch import nn  # noqa: E402

from flopbench.core.errors import MeasureError  # noqa: E402
from flopbench.counting.measure.counters import thop_ledger  # noqa: E402
from flopbench.counting.measure.counters.base import Counted  # noqa: E402
from flopbench.counting.measure.counters.thop_2020 import Thop2020Counter  # noqa: E402
from flopbench.counting.measure.counters.thop_counter import ThopCounter  # noqa: E402
from flopbench.models.build.environment import counting_state  # noqa: E402

TODAY, OLD = ThopCounter(), Thop2020Counter()
BOTH = pytest.mark.parametrize("counter", [TODAY, OLD], ids=["today", "2020"])


def empty(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def with_200_classes(name: str) -> nn.Module:
    """Replace the head the way AR-Net does."""
    model = on_meta(getattr(torchvision.models, name))
    if name == "mobilenet_v2":
        model.classifier = nn.Linear(1280, 200, device="meta")
    else:
        model.fc = nn.Linear(model.fc.in_features, 200, device="meta")
    return model


# --- whole networks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "side", "old", "today", "dense_macs"),
    [
        ("mobilenet_v2", 84, 52_921_376, 54_717_760, 50_612_992),
        ("resnet18", 112, 486_322_176, 487_480_832, 484_950_016),
        ("resnet34", 168, 2_249_000_192, 2_253_235_200, 2_244_541_440),
        ("resnet50", 224, 4_110_285_824, 4_132_104_192, 4_087_545_856),
    ],
)
def test_ar_net_backbones(name: str, side: int, old: int, today: int, dense_macs: int) -> None:
    """Both rule books give the known totals, one dense integer, and no gaps."""
    for counter, total in ((OLD, old), (TODAY, today)):
        counted = count(counter, with_200_classes(name), empty(1, 3, side, side))
        assert counted.total == total
        assert dense(counted) == dense_macs
        assert counted.not_counted == ()
        assert counted.notes == ()


def test_breakdown_of_a_network() -> None:
    """Entries carry path, class, family, calls and the size of what dense layers wrote."""
    counted = count(TODAY, with_200_classes("resnet18"), empty(1, 3, 112, 112))
    first = counted.operators[0]
    assert (first.module, first.module_type, first.family) == ("conv1", "Conv2d", "conv")
    assert (first.calls, first.activations) == (1, 64 * 56 * 56)
    assert first.dense_macs == 64 * 56 * 56 * 3 * 7 * 7
    assert next(op for op in counted.operators if op.module == "bn1").dense_macs == 0
    assert counted.operators[-1].module == "fc"


# --- the rules of 2020, one by one -----------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "shape", "total"),
    [
        # out elements x (in / groups x kernel area + bias)
        (lambda: nn.Conv2d(4, 6, 3), (1, 4, 8, 8), 6 * 36 * (4 * 9 + 1)),
        (lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False), (1, 4, 8, 8), 6 * 36 * 2 * 9),
        (lambda: nn.Conv1d(4, 6, 3), (2, 4, 8), 2 * 6 * 6 * (4 * 3 + 1)),
        (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 3 * 27 * (2 * 8 + 1)),
        (lambda: nn.ConvTranspose2d(4, 6, 2, 2), (1, 4, 5, 5), 6 * 100 * (4 * 4 + 1)),
        # out elements x (in products + in - 1 sums + bias)
        (lambda: nn.Linear(10, 7), (3, 10), 3 * 7 * (10 + 9 + 1)),
        (lambda: nn.Linear(10, 7, bias=False), (3, 10), 3 * 7 * (10 + 9)),
        (lambda: nn.BatchNorm2d(4), (1, 4, 5, 5), 2 * 100),
        (lambda: nn.BatchNorm1d(4, affine=False), (2, 4), 2 * 8),
        (lambda: nn.AvgPool2d(2), (1, 4, 6, 6), 4 * 9),
        # 7 // 3 = 2 and 5 // 3 = 1, then one division
        (lambda: nn.AdaptiveAvgPool2d(3), (1, 4, 7, 5), 4 * 9 * (2 * 1 + 1)),
        (lambda: nn.AdaptiveAvgPool2d((1, None)), (1, 4, 7, 5), 4 * 5 * (7 * 1 + 1)),
        (lambda: nn.AdaptiveAvgPool1d(2), (1, 4, 7), 4 * 2 * (3 + 1)),
        (lambda: nn.LeakyReLU(), (1, 4, 5, 5), 100),
        (lambda: nn.Upsample(scale_factor=2), (1, 4, 5, 5), 0),
        (lambda: nn.Upsample(scale_factor=2, mode="linear"), (1, 4, 5), 5 * 40),
        (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 5, 5), 11 * 400),
        (lambda: nn.UpsamplingBilinear2d(scale_factor=2), (1, 4, 5, 5), 11 * 400),
        (lambda: nn.UpsamplingNearest2d(scale_factor=2), (1, 4, 5, 5), 0),
        (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (1, 4, 5, 5), 259 * 400),
        (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), (1, 4, 2, 2, 2), 0),
        *[
            (build, (1, 4, 6, 6), 0)
            for build in (
                nn.ReLU,
                nn.ReLU6,
                nn.SiLU,
                nn.PReLU,
                nn.Dropout,
                lambda: nn.MaxPool2d(2),
                lambda: nn.AdaptiveMaxPool2d(2),
                lambda: nn.Softmax(dim=1),
                lambda: nn.LayerNorm(6),
                lambda: nn.GroupNorm(2, 4),
                lambda: nn.InstanceNorm2d(4),
                lambda: nn.Sequential(nn.PixelShuffle(2), nn.ZeroPad2d(1)),
            )
        ],
    ],
)
def test_rule_of_2020(module: Callable[[], nn.Module], shape: tuple[int, ...], total: int) -> None:
    """Each class costs what version 0.0.31.post2001170342 charged for it."""
    assert count(OLD, on_meta(module), empty(*shape)).total == total


def test_2020_dense_macs_leave_out_bias_and_count_a_linear_product_once() -> None:
    """Totals follow the old rules while dense MACs stay comparable."""
    model = on_meta(lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(216, 5)))
    counted = count(OLD, model, empty(1, 4, 8, 8))
    assert dense(counted) == 6 * 36 * 4 * 9 + 216 * 5
    assert counted.total == 6 * 36 * (4 * 9 + 1) + 5 * (216 + 215 + 1)


def test_2020_knows_no_recurrent_layer() -> None:
    """An LSTM is charged nothing and listed."""
    counted = count(OLD, on_meta(lambda: nn.LSTM(3, 4)), empty(5, 2, 3))
    assert counted.total == 0
    (gap,) = counted.not_counted
    assert (gap.kind, gap.name, gap.calls, gap.may_multiply) == ("module", "LSTM", 1, True)


# --- today's rules ---------------------------------------------------------------------------


def test_lstm_cell_total() -> None:
    """Each gate adds its bias twice and a non-linearity, the state four products."""
    counted = count(TODAY, on_meta(lambda: nn.LSTMCell(1280, 512)), empty(1, 1280))
    assert counted.total == 3_670_016 + 4 * (512 + 2 * 512) + 4 * 512
    assert counted.operators[0].activations == 512


def test_custom_rule() -> None:
    """A user's rule prices a class that THOP does not know."""

    def rule(module: Any, _inputs: Any, output: Any) -> None:
        module.total_ops += 3 * output.numel()

    counted = count(ThopCounter({nn.SiLU: rule}), nn.SiLU(), torch.zeros(1, 5))
    assert counted.total == 15
    assert dense(counted) == 0


def test_custom_rule_with_a_fraction_is_refused() -> None:
    """A charge that is not a whole number is an error, not a rounded figure."""

    def rule(module: Any, _inputs: Any, output: Any) -> None:
        module.total_ops += 0.5

    with pytest.raises(MeasureError, match="not a whole number"):
        count(ThopCounter({nn.SiLU: rule}), nn.SiLU(), torch.zeros(1))


# --- what THOP does not see ------------------------------------------------------------------


class MyConv(nn.Conv2d):
    """A subclass, which THOP has no rule for."""


def found(counted: Counted) -> set[tuple[str, str, str, int, bool]]:
    return {(g.kind, g.name, g.module, g.calls, g.may_multiply) for g in counted.not_counted}


@BOTH
def test_subclass_is_a_gap(counter: Any) -> None:
    """A subclass of Conv2d costs nothing and is named, once."""
    counted = count(counter, nn.Sequential(MyConv(3, 4, 3)), zeros(1, 3, 5, 5))
    assert counted.total == 0
    assert found(counted) == {("module", "MyConv", "0", 1, True)}


@BOTH
def test_parametrized_layer_is_a_gap(counter: Any) -> None:
    """Weight norm changes the class of a layer, which then has neither rule nor leaf."""
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    counted = count(counter, nn.Sequential(model), torch.zeros(2, 3))
    assert ("unseen", "aten::addmm", "0", 1, True) in found(counted)


def test_products_in_attention_are_gaps() -> None:
    """Attention computes by functions: its products and its uncalled projection are named."""
    model = on_meta(lambda: nn.MultiheadAttention(8, 2))
    x = empty(3, 1, 8)
    gaps = found(count(TODAY, model, x, x, x))
    assert ("uncalled", "NonDynamicallyQuantizableLinear", "out_proj", 0, True) in gaps
    assert any(kind == "unseen" and "mm" in name for kind, name, *_ in gaps)


def test_norms_tables_and_scales_are_gaps_that_multiply_nothing() -> None:
    """What has no rule and cannot hold a product is listed as harmless."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.gamma

    model = nn.Sequential(nn.Embedding(9, 4), Scale(), nn.GroupNorm(2, 4))
    counted = count(TODAY, model, torch.zeros(3, dtype=torch.long))
    assert [(g.name, g.may_multiply) for g in counted.not_counted] == [
        ("Embedding", False),
        ("Scale", False),
        ("GroupNorm", False),
    ]


def test_call_that_a_rule_cannot_read() -> None:
    """THOP's convolution rule needs a positional input; otherwise the layer is a gap."""

    class ByKeyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(input=x)

    counted = count(TODAY, ByKeyword(), zeros(1, 3, 5, 5))
    assert found(counted) == {("module", "Conv2d", "conv", 1, True)}
    assert "cannot read the call" in counted.notes[0]


@BOTH
def test_a_product_in_a_leaf_that_could_hold_none_is_a_gap(counter: Any) -> None:
    """A vector of scales multiplies nothing, unless a matrix product was seen there."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * self.gamma) @ x.mT

    class Norm(nn.LayerNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x @ x.mT)

    model = nn.Sequential(Scale(), nn.LayerNorm(3), Norm(3))
    assert found(count(counter, model, zeros(3, 4))) >= {
        ("module", "Scale", "0", 1, True),
        ("module", "Norm", "2", 1, True),
    }
    assert not any(gap[2] == "1" and gap[4] for gap in found(count(counter, model, zeros(3, 4))))


# --- what runs under THOP alone runs under our observer ---------------------------------------


def higher_order(operator: str) -> Callable[..., Any]:
    """Import ``scan`` and the like, or skip."""
    module = pytest.importorskip(
        f"torch._higher_order_ops.{operator}", reason=f"this torch lacks {operator}"
    )
    return getattr(module, operator)


def cond(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return higher_order("cond")(x.sum() > -1e9, lambda x: layer(x) @ x, lambda x: x, (x,))


def switch(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    branches = [lambda x: x, lambda x: layer(x) @ x]
    return higher_order("switch")(torch.ones((), dtype=torch.long), branches, (x,))


def scan(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return higher_order("scan")(lambda s, row: (layer(s + row), s @ x), x[0], x)[1]


def mapped(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return higher_order("map")(lambda row, x: layer(row) + row @ x, x, x)


def loop(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    start = torch.zeros((), dtype=torch.long)
    step = lambda i, x: (i + 1, layer(x) @ x)  # noqa: E731
    return higher_order("while_loop")(lambda i, _: i < 3, step, (start, x))[1]


def associative(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    rows = layer(x)[None].repeat(4, 1, 1)
    return higher_order("associative_scan")(torch.matmul, rows, dim=0, combine_mode="generic")


def flexible(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    attention = pytest.importorskip("torch.nn.attention.flex_attention").flex_attention
    x = layer(x)[None, None]
    return attention(x, x, x)


def compiled(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.compile(lambda x: layer(x) @ x)(x)


@pytest.mark.parametrize(
    ("function", "calls"),
    [(cond, 1), (switch, 1), (scan, 6), (mapped, 6), (loop, 3), (associative, 1), (flexible, 1),
     (compiled, 1)],
)  # fmt: skip
def test_higher_order_operators(function: Callable[..., Any], calls: int) -> None:
    """THOP's own figure, and the products that it does not see, which no rule covers."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(self.layer, x)

    model, x = Net().eval(), torch.rand(6, 6)
    with counting_state():
        plain, _ = thop.profile(model, inputs=(x,), verbose=False)
    counted = count(TODAY, model, x)
    assert counted.total == plain > 0
    assert counted.operators[0].calls == calls
    assert any(gap[0] == "unseen" for gap in found(counted))


def test_a_model_that_cannot_be_watched_is_counted_all_the_same(monkeypatch: Any) -> None:
    """Then nothing is known of what ran beside the layers, and a gap says so."""

    def refuse(_mode: Any, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mm.default:
            raise NotImplementedError("no rule for this mode")
        return func(*args, **(kwargs or {}))

    monkeypatch.setattr(thop_ledger._Operators, "__torch_dispatch__", refuse)

    class Net(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.mT

    model = nn.Sequential(nn.Linear(3, 4), Net(4, 4))
    counted = count(TODAY, model, zeros(2, 3))
    assert (counted.total, counted.operators[0].calls) == (2 * 3 * 4, 1)
    name = "operators, which cannot be watched here (NotImplementedError)"
    assert ("unseen", name, "", 1, True) in found(counted)
    assert not any(module._forward_hooks for module in model.modules())


# --- shapes of models ------------------------------------------------------------------------


class Tree(nn.Module):
    """One layer in two branches, called ``once`` in each."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(3, 3)
        self.a, self.b = nn.Sequential(layer), nn.Sequential(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x))


def test_layer_in_two_branches() -> None:
    """THOP's total is kept and explained; dense MACs are the two calls that ran."""
    counted = count(TODAY, Tree(), zeros(1, 3))
    assert dense(counted) == 2 * 9
    # two hooks x two calls x two places
    assert counted.total == 8 * 9
    assert counted.operators[-1].op == "counted twice"
    assert "appear twice" in counted.notes[0]


def test_layer_below_a_layer_that_has_a_rule() -> None:
    """THOP does not sum below such a layer; the breakdown says so."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.PReLU()
            self.act.add_module("inner", nn.Linear(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.act.inner(x))

    counted = count(TODAY, Gated(), zeros(1, 3))
    assert counted.operators[-1].op == "left out of the sum"
    assert dense(counted) == 9

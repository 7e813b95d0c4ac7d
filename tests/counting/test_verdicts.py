"""Models that a counter misses in part: what is said of each, and that no zero is silent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("thop")
pytest.importorskip("fvcore")

from layer_zoo import SEES_HIGHER_ORDER  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from flopbench import profile  # noqa: E402
from flopbench.core.errors import InputError  # noqa: E402
from flopbench.counting.agreement import judge_counters  # noqa: E402
from flopbench.counting.profile import UNREAD  # noqa: E402

ONE_DRAW = "for one draw: the forward pass draws random numbers, seed 0"


class SignConv(torch.autograd.Function):
    """A convolution that only the dispatcher sees."""

    @staticmethod
    def forward(_ctx: Any, x: Any, weight: Any) -> Any:
        return functional.conv2d(x, weight.sign(), padding=1)


class Binarised(nn.Module):
    """A layer of an own class around an own function."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16, 3, 3))

    def forward(self, x: Any) -> Any:
        return SignConv.apply(x, self.weight)


class PackedLinear(nn.Module):
    """256 to 512 features with weights of four bits, in buffers."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randint(0, 16, (512, 256), dtype=torch.int32)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight, 1)
        self.register_buffer("packed", packed)
        self.register_buffer("scales", torch.rand(256 // 32, 512, 2).bfloat16())

    def forward(self, x: Any) -> Any:
        product = torch.ops.aten._weight_int4pack_mm_for_cpu
        return product(x.bfloat16(), self.packed, 32, self.scales).float()


class RandomDepth(nn.Module):
    """Runs each layer or not, by a draw."""

    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(8))
        self.draw = draw

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x) if self.draw() < 0.5 else x
        return x


class ByHand(nn.Module):
    """A linear layer as an elementwise product and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, 16))

    def forward(self, x: Any) -> Any:
        return (x[:, :, None] * self.weight).sum(1)


class Streaming(nn.Module):
    """Its forward pass is a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 16)

    def forward(self, x: Any) -> Iterator[Any]:
        yield self.layer(x)


class Frozen(nn.Sequential):
    """Overrides ``train`` and returns nothing, as backbones of detection toolboxes do."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)
        self[1].eval()


def judged(model: nn.Module, *inputs: Any, counters: Any = ("thop", "fvcore", "torch")) -> Any:
    """Return counter -> (dense MACs, status), and the verdicts."""
    profiles = profile(model, inputs, counters=list(counters))
    verdicts = judge_counters(profiles)
    found = {p.counter: (p.dense_macs, verdicts[p.counter].status) for p in profiles}
    return found, verdicts


def test_a_convolution_inside_a_custom_function() -> None:
    """torch and fvcore count it; THOP gives 3 · 16 · 9 · 32² and lists what it leaves out."""
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), Binarised())
    found, verdicts = judged(model, torch.rand(1, 3, 32, 32))
    full, part = 442_368 + 16 * 16 * 9 * 32 * 32, 442_368
    assert found == {
        "thop": (part, "partial"), "fvcore": (full, "verified"), "torch": (full, "verified")
    }  # fmt: skip
    assert "Binarised" in verdicts["thop"].reason


@pytest.mark.skipif(
    not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"), reason="this torch lacks it"
)
def test_weights_of_four_bits() -> None:
    """A library that sees nothing of a product does not outvote those that price it."""
    model = nn.Sequential(nn.Linear(64, 256), PackedLinear())
    found, verdicts = judged(model, torch.rand(1, 64))
    full = 64 * 256 + 256 * 512
    assert found == {
        "thop": (64 * 256, "disputed"), "fvcore": (full, "verified"), "torch": (full, "verified")
    }  # fmt: skip
    assert "_weight_int4pack_mm_for_cpu" in verdicts["thop"].reason


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), random.random], ids=["torch", "Python"])
def test_a_random_draw_is_named(draw: Any) -> None:
    """A count of one draw says so under every counter, and every counter has the same draw."""
    profiles = profile(RandomDepth(draw), (torch.rand(1, 32),), counters=["thop", "torch"])
    assert len({p.dense_macs for p in profiles}) == 1
    assert 0 < profiles[0].dense_macs < 8 * 1024
    assert all(ONE_DRAW in p.notes for p in profiles)
    assert not any(verdict.plain for verdict in judge_counters(profiles).values())
    fixed = profile(RandomDepth(lambda: 0), (torch.rand(1, 32),), counters="torch")
    assert (fixed.dense_macs, fixed.notes) == (8 * 1024, ())


def test_a_zero_is_never_verified() -> None:
    """A linear layer by hand costs 0 by the convention; a model with weights does not."""
    x = torch.rand(4, 32)
    found, verdicts = judged(ByHand(), x)
    assert {status for _, status in found.values()} == {"unverified"}
    alone = judged(ByHand(), x, counters=["torch"])[1]
    for reason in (verdicts["torch"].reason, alone["torch"].reason):
        assert reason == "0 dense MACs of a model with 512 parameters"
    said = profile(ByHand(), (x,), counters="torch").notes
    assert said == ("none of its operators is dense: aten.mul, aten.sum",)
    assert profile(nn.ReLU(), (x,), counters="torch").notes == ()


class Chooses(nn.Module):
    """Runs one layer or two, by the values."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        branches = (lambda x: self.one(x), lambda x: self.two(self.one(x)))
        return torch.cond(x.sum() > -1e9, *branches, (x,))


@pytest.mark.skipif(not SEES_HIGHER_ORDER, reason="this torch runs no torch.cond under a mode")
@pytest.mark.parametrize("counters", [["torch"], ["thop", "torch"], ["thop", "fvcore", "torch"]])
def test_a_condition_is_counted_by_the_values(counters: list[str]) -> None:
    """The branch that is taken, 2 · 6 · 6, whoever else counts; on shapes nobody could choose."""
    profiles = profile(Chooses(), (torch.rand(2, 6),), counters=counters)
    assert {(p.dense_macs, p.device) for p in profiles} == {(72, "cpu")}
    assert any(note.startswith("for these values: ") for note in profiles[-1].notes)
    found, _ = judged(Chooses(), torch.rand(2, 6), counters=counters)
    assert found["torch"] == (72, "verified" if len(counters) > 1 else "unverified")


class Composite(nn.Module):
    """One layer is called, the weights of another are used, a tower and a vector take no part."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.read = nn.Linear(32, 16), nn.Linear(16, 4, bias=False)
        self.tower = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 64))
        self.heads = nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 8)])
        self.scale = nn.Parameter(torch.ones(7))

    def forward(self, x: Any) -> Any:
        return functional.linear(self.heads[0](self.used(x)), self.read.weight)


def test_parameters_that_took_no_part_are_named() -> None:
    """The outermost modules, with their share; not those whose weights are only read."""
    counted = profile(Composite(), (torch.rand(1, 32),), counters="torch")
    tower, head, rest = (
        32 * 64 + 64 + 64 * 64 + 64,
        16 * 8 + 8,
        32 * 16 + 16 + 16 * 4 + 16 * 16 + 16,
    )
    unread, total = tower + head + 7, tower + head + 7 + rest
    assert counted.notes == (
        f"{unread:,} of {total:,} parameters ({100 * unread / total:.1f} %) took no part: "
        "scale, tower, heads.1",
    )
    assert counted.dense_macs == 32 * 16 + 16 * 16 + 16 * 4


class Backbone(nn.Module):
    """Features of 24 numbers; what follows differs."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Linear(8, 24)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        return self.stem(x)


class Called(Backbone):
    def forward(self, x: Any) -> Any:
        return self.head(self.stem(x))


class WeightOnly(Backbone):
    def forward(self, x: Any) -> Any:
        return functional.linear(self.stem(x), functional.normalize(self.head.weight))


class Shared(Backbone):
    def forward(self, x: Any) -> Any:
        self.head.weight = self.stem.weight
        return self.head(x)


class ByData(Backbone):
    def forward(self, x: Any) -> Any:
        return functional.linear(self.stem(x), self.head.weight.data)


class Buffered(Called):
    def __init__(self, **layers: nn.Module) -> None:
        super().__init__(**layers)
        self.register_buffer("queue", torch.rand(500, 24))
        self.norm = nn.BatchNorm1d(3, affine=False)


class Listed(Backbone):
    def forward(self, x: Any) -> Any:
        return self.stem(x) @ torch.stack(list(self.head.weight)).T


def tower() -> nn.Module:
    """Return layers of 500 parameters that never run."""
    return nn.Sequential(nn.Linear(9, 20, bias=False), nn.Linear(20, 16, bias=False))


def tied(first: nn.Linear, second: nn.Linear) -> nn.Module:
    """Return two layers of one weight."""
    second.weight = first.weight
    return nn.Sequential(first, second)


# A model -> the width of what its head takes, and the parameters that took no part.
HEADS = {
    "the head is called": (Called(head=nn.Linear(24, 3)), 24, 0),
    "a tower follows it": (Called(head=nn.Linear(24, 3), tower=tower()), 24, 500),
    "its weight is read": (WeightOnly(head=nn.Linear(24, 3, bias=False)), 24, 0),
    "its weight is read, a tower follows": (
        WeightOnly(head=nn.Linear(24, 3, bias=False), tower=tower()), 24, 500
    ),
    "its bias is not": (WeightOnly(head=nn.Linear(24, 3)), 24, 3),
    "its weight is read as data": (ByData(head=nn.Linear(24, 3, bias=False)), 24, 0),
    "its weight is read row by row": (Listed(head=nn.Linear(24, 3, bias=False)), 24, 0),
    "buffers are no parameters": (Buffered(head=nn.Linear(24, 3)), 24, 0),
    "there is no head": (Backbone(tower=tower()), 8, 500),
    "weights in two layers": (Shared(head=nn.Linear(8, 24)), 8, 24),
    "a tower of normed weights": (
        Called(head=nn.Linear(24, 3), tower=parametrizations.weight_norm(nn.Linear(9, 20))), 24, 220
    ),
    "an unused layer, tied to another": (
        Called(head=nn.Linear(24, 3), tower=tied(nn.Linear(9, 5), nn.Linear(9, 5))), 24, 55
    ),
    "nothing linear": (nn.Sequential(nn.Conv2d(3, 4, 3)), None, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADS)
def test_the_feature_dimension_is_that_of_a_layer_that_took_part(case: str) -> None:
    """The last linear layer that is called or whose weights are read; the same by every counter."""
    model, width, unread = HEADS[case]
    x = torch.rand(1, 3, 8, 8) if width is None else torch.rand(2, 8)
    profiles = profile(model, (x,), counters=["thop", "torch"])
    assert {p.feature_dim for p in profiles} == {width}
    notes = [note for note in profiles[1].notes if UNREAD in note]
    assert [int(note.partition(" of ")[0]) for note in notes] == ([unread] if unread else [])


def test_a_trifle_is_not_zero_percent() -> None:
    """1 of 2,001 parameters is less than 0.1 %."""
    model = nn.Sequential(nn.Linear(40, 50, bias=False))
    model.scale = nn.Parameter(torch.ones(1))
    counted = profile(model, (torch.rand(1, 40),), counters="torch")
    assert counted.notes == ("1 of 2,001 parameters (less than 0.1 %) took no part: scale",)


def test_what_leaves_torch_by_dlpack_is_a_gap() -> None:
    """A product in NumPy is not seen, and the gap says so."""
    np = pytest.importorskip("numpy")

    class ThroughNumpy(nn.Linear):
        def forward(self, x: Any) -> Any:
            product = np.from_dlpack(x.detach()) @ np.from_dlpack(self.weight.detach().T)
            return torch.from_dlpack(product)

    found, verdicts = judged(ThroughNumpy(32, 16), torch.rand(4, 32), counters=("thop", "torch"))
    assert found["torch"] == (0, "partial")
    assert "Tensor.__dlpack__" in verdicts["torch"].reason


def test_a_forward_that_is_a_generator_is_refused() -> None:
    """Nothing runs until it is consumed, so there is nothing to count."""
    with pytest.raises(InputError, match=r"forward pass of Streaming is a generator") as caught:
        profile(Streaming(), (torch.rand(1, 32),), counters=["thop", "torch"])
    assert "consumes it" in caught.value.hint


@pytest.mark.skipif(
    not hasattr(torch.ops.quantized, "linear_dynamic"), reason="this torch has no quantised layers"
)
def test_quantised_layers_are_priced_and_thop_lists_them() -> None:
    """64 · 32 of floating-point numbers and 32 · 8 of int8, in packed weights."""
    from torch.ao.quantization import quantize_dynamic

    model = nn.Sequential(nn.Linear(64, 32), nn.Sequential(nn.ReLU(), nn.Linear(32, 8)))
    model[1] = quantize_dynamic(model[1].eval(), {nn.Linear})
    found, verdicts = judged(model, torch.rand(1, 64), counters=("thop", "torch"))
    assert found == {"thop": (2048, "disputed"), "torch": (2048 + 256, "unverified")}
    assert "quantized.linear_dynamic" in verdicts["thop"].reason


def test_train_may_return_nothing() -> None:
    """216 · 16² MACs, and the model keeps its mode."""
    model = Frozen(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    found, _ = judged(model, torch.rand(1, 3, 16, 16))
    assert set(found.values()) == {(216 * 256, "verified")}
    assert (model.training, model[1].training) == (True, True)

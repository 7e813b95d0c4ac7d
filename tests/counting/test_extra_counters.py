"""Adapters of ptflops, calflops, DeepSpeed and torchinfo, against their libraries and the truth."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="counting needs torch")

import counted  # noqa: E402
from counted import dense, gaps  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from flopbench.core.errors import MeasureError  # noqa: E402
from flopbench.counting.measure.counters.base import Counted  # noqa: E402
from flopbench.counting.measure.counters.watching import OWNERS, namespaces_restored  # noqa: E402
from flopbench.counting.profile import DENSE_FAMILIES  # noqa: E402
from flopbench.models.build.environment import counting_state  # noqa: E402

NAMES = ("ptflops", "calflops", "deepspeed", "torchinfo")
PATCHING = ("calflops", "deepspeed")


def counter(name: str) -> Any:
    """Return a counter, or skip the test where its library is not installed."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    module = importlib.import_module(f"flopbench.counting.measure.counters.{name}_counter")
    return getattr(module, f"{name.capitalize()}Counter")()


def count(name: str, module: nn.Module, *args: Any, **kwargs: Any) -> Counted:
    """Count on real values."""
    return counted.count(counter(name), module, *args, **kwargs)


class SmallNet(nn.Module):
    """Convolutions with and without bias, stride and groups, then a head."""

    size = 17
    # stem 17 -> 9 pixels: 9·9 places × 8 filters × 3 channels × 9 taps; depthwise 9 -> 9 pixels:
    # 9·9 × 8 × 1 × 9; grouped point: 9·9 × 12 × 4; head: 12 × 10.
    dense = 81 * 8 * 27 + 81 * 8 * 9 + 81 * 12 * 4 + 12 * 10
    bias = 81 * 12 + 10

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.point = nn.Conv2d(8, 12, 1, groups=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        return self.head(self.pool(self.point(self.depthwise(x))).flatten(1))

    def sample(self) -> torch.Tensor:
        return torch.rand(1, 3, self.size, self.size)


class Calls(nn.Module):
    """A model that is one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Fails(nn.Module):
    """A model whose forward raises after its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), Calls(self.fail))

    def fail(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("on purpose")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(torch.matmul(x, x.T))


def twice(layer: nn.Module) -> nn.Module:
    """Put one layer in two places."""
    return nn.Sequential(nn.Sequential(layer), nn.Sequential(layer))


@pytest.mark.parametrize("name", NAMES)
def test_dense_macs_of_a_small_net(name: str) -> None:
    """Bias, stride, groups and norms come out as the hand formula says, with no gap."""
    found = count(name, SmallNet(), SmallNet().sample())
    assert dense(found) == SmallNet.dense
    assert gaps(found) == set()
    assert {op.module: op.dense_macs for op in found.operators if op.dense_macs} == {
        "stem": 81 * 8 * 27,
        "depthwise": 81 * 8 * 9,
        "point": 81 * 12 * 4,
        "head": 120,
    }
    assert sum(op.activations for op in found.operators) == 81 * (8 + 8 + 12) + 10


def direct_total(name: str, model: nn.Module, shape: tuple[int, ...]) -> int:
    """Ask the library itself, as its documentation does."""
    with namespaces_restored(*OWNERS), counting_state():
        if name == "ptflops":
            import ptflops

            total, _ = ptflops.get_model_complexity_info(
                model, shape[1:], backend="aten", as_strings=False, print_per_layer_stat=False
            )
        elif name == "calflops":
            import calflops

            _, total, _ = calflops.calculate_flops(
                model, shape, print_results=False, output_as_string=False
            )
        elif name == "deepspeed":
            from deepspeed.profiling.flops_profiler import get_model_profile

            _, total, _ = get_model_profile(
                model, shape, print_profile=False, as_string=False, warm_up=0
            )
        else:
            import torchinfo

            total = torchinfo.summary(model, shape, verbose=0).total_mult_adds
    return int(total)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (SmallNet, (1, 3, 17, 17)),
        (lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU()), (1, 5, 8)),
        (lambda: nn.LSTM(8, 16, num_layers=2, batch_first=True), (1, 5, 8)),
        (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (1, 5, 16)),
        (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 7, 7)),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Upsample(scale_factor=2)), (1, 3, 8, 8)),
        (lambda: twice(nn.Linear(8, 8)), (1, 8)),
    ],
    ids=["small", "tokens", "lstm", "encoder", "transposed", "upsample", "shared"],
)
def test_total_is_the_library_s_own(name: str, make: Any, shape: tuple[int, ...]) -> None:
    """``total`` is what calling the library gives, and the breakdown adds up to it."""
    model = make()
    found = count(name, model, torch.rand(*shape))
    assert found.total == direct_total(name, model, shape)
    assert all(op.dense_macs == 0 for op in found.operators if op.family not in DENSE_FAMILIES)


def test_calflops_counts_a_shared_module_twice_and_it_is_said() -> None:
    """What calflops adds beyond its prices is a remainder without dense MACs."""
    found = count("calflops", twice(nn.Linear(8, 8)), torch.rand(3, 8))
    assert dense(found) == 2 * 3 * 64
    assert found.operators[-1].op == "remainder"
    assert "counts a module once for each place" in found.notes[-1]


# Two heads of attention over 5 tokens of width 8: 2 products × 2 heads × 5 · 5 · 8.
ATTENTION = 2 * 2 * 5 * 5 * 8
Q = (1, 2, 5, 8)


@pytest.mark.parametrize(
    ("name", "function", "shapes", "macs", "gap"),
    [
        ("ptflops", "matmul", [(4, 5), (5, 6)], 120, None),
        ("ptflops", "attention", [Q, Q, Q], 0, "aten._scaled_dot_product_flash_attention_for_cpu"),
        ("ptflops", "mv", [(4, 5), (5,)], 0, "aten.mv"),
        ("calflops", "matmul", [(4, 5), (5, 6)], 120, None),
        ("calflops", "operator", [(4, 5), (5, 6)], 0, "__matmul__"),
        ("calflops", "attention", [Q, Q, Q], 0, "scaled_dot_product_attention"),
        ("calflops", "einsum", [(4, 5), (5, 6)], 0, "einsum"),
        ("deepspeed", "operator", [(4, 5), (5, 6)], 120, None),
        ("deepspeed", "attention", [Q, Q, Q], ATTENTION, None),
        ("deepspeed", "matmul", [(4, 5), (3, 5, 6)], 0, "matmul"),
        ("deepspeed", "mv", [(4, 5), (5,)], 0, "mv"),
        ("torchinfo", "operator", [(4, 5), (5, 6)], 0, "__matmul__"),
        ("torchinfo", "attention", [Q, Q, Q], 0, "scaled_dot_product_attention"),
    ],
)
def test_products_outside_layers_are_counted_or_named(
    name: str, function: str, shapes: list[tuple[int, ...]], macs: int, gap: str | None
) -> None:
    """A function that multiplies is either priced exactly or listed as a gap, never dropped."""
    functions: dict[str, Any] = {
        "operator": lambda a, b: a @ b,
        "matmul": lambda a, b: torch.matmul(a, b),
        "mv": lambda a, b: torch.mv(a, b),
        "einsum": lambda a, b: torch.einsum("ij,jk->ik", a, b),
        "attention": lambda q, k, v: functional.scaled_dot_product_attention(q, k, v),
    }
    model = nn.Sequential()
    model.add_module("product", Calls(functions[function]))
    model.forward = lambda *args: model.product(*args)  # type: ignore[method-assign]
    found = count(name, model, *(torch.rand(*shape) for shape in shapes))
    assert dense(found) == macs
    assert gaps(found) == ({("unseen", gap, "product")} if gap else set())


@pytest.mark.parametrize("name", PATCHING)
def test_recurrent_layers_have_flops_but_no_macs(name: str) -> None:
    """A layer that the library prices only in FLOPs has no MACs there, and is a gap."""
    found = count(name, nn.Sequential(nn.LSTM(8, 16)), torch.rand(5, 2, 8))
    assert (found.total, found.operators) == (0, ())
    assert f"{name}'s FLOPs figure" in found.notes[0]
    assert gaps(found) == {("module", "LSTM", "0")}


@pytest.mark.parametrize("name", PATCHING)
def test_grouped_transposed_convolution(name: str) -> None:
    """DeepSpeed counts it exactly; calflops divides by the groups twice, so it is a gap."""
    model = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
    found = count(name, model, torch.rand(1, 4, 7, 7))
    expected = {"deepspeed": (49 * 4 * 3 * 9, set()), "calflops": (0, {"conv_transpose2d"})}
    assert (dense(found), {gap[1] for gap in gaps(found)}) == expected[name]


@pytest.mark.parametrize("name", ["ptflops", *PATCHING])  # torchinfo fails on one
def test_a_compiled_layer_is_counted_as_it_was_written(name: str) -> None:
    """Once, and not while it is compiled: 2 rows of 4 × 3."""
    found = count(name, nn.Sequential(torch.compile(nn.Linear(4, 3))), torch.rand(2, 4))
    assert dense(found) == 24
    assert not gaps(found)


def test_torchinfo_refuses_keywords_of_its_own() -> None:
    """A keyword that ``summary`` would keep for itself is an error, not a wrong count."""
    model = Calls(lambda x, depth: x * depth)
    with pytest.raises(MeasureError, match="cannot pass depth"):
        count("torchinfo", model, torch.rand(2), depth=torch.rand(2))


@pytest.mark.parametrize("name", PATCHING)
def test_open_lists_are_closed_after_a_failure(name: str) -> None:
    """The library's records of a model that raised do not reach the next one."""
    module = counter(name).__module__
    with pytest.raises(ValueError, match="on purpose"):
        count(name, Fails(), torch.rand(4, 4))
    adapter = importlib.import_module(module)
    library = adapter.library if name == "deepspeed" else adapter.calculate_pipline
    assert library.module_flop_count == library.module_mac_count == []


def test_torchinfo_keeps_no_model_alive() -> None:
    """``torchinfo`` caches every summary by class name; ours is removed again."""
    counter("torchinfo")
    cache = importlib.import_module("torchinfo.torchinfo")._cached_forward_pass
    before = dict(cache)
    count("torchinfo", SmallNet(), SmallNet().sample())
    assert cache == before

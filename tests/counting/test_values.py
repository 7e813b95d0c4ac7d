"""Forward passes that use values: what steers the work, what leaves torch, one figure for all."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("thop")
pytest.importorskip("fvcore")
np = pytest.importorskip("numpy")

from torch import nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from flopbench import profile  # noqa: E402
from flopbench.counting.agreement import judge_counters  # noqa: E402
from flopbench.counting.measure.counters.base import BOTH_BRANCHES  # noqa: E402
from flopbench.counting.measure.profiler import profile_spec  # noqa: E402
from flopbench.counting.profile import CostProfile  # noqa: E402
from flopbench.counting.registry import find_counters  # noqa: E402
from flopbench.models.build.by_source import build  # noqa: E402
from flopbench.models.spec import parse_spec  # noqa: E402

COUNTERS = ("thop", "fvcore", "torch")
WIDTH = 32
LAYER = WIDTH * WIDTH
"""MACs of one layer on one vector."""


class Two(nn.Module):
    """Two linear layers of 32 features, and a forward pass that is given."""

    def __init__(self, forward: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.constants = [{"scale": torch.ones(WIDTH)}]
        self.cache: list[Any] = []
        self.kept: Any = None
        self._forward = forward

    def forward(self, x: Any) -> Any:
        return self._forward(self, x)


def copied(target: int, source: int) -> None:
    """Copy 32 floats between two addresses, as foreign code does."""
    ctypes.memmove(target, source, 4 * WIDTH)


def exits_early(net: Any, x: Any) -> Any:
    x = net.one(x)
    return x if x.abs().max() < 1e9 else net.two(x)


def splits(net: Any, x: Any) -> Any:
    halves = torch.split(net.one(x), (x[0, :2].long() * 0 + 16).tolist(), 1)
    return net.two(torch.cat(halves, 1))


def picks_by_mask(net: Any, x: Any) -> Any:
    return net.two(net.one(x)[x.sum(1) > -1e9])


def picks_by_nonzero(net: Any, x: Any) -> Any:
    return net.two(net.one(x)[torch.nonzero(x.sum(1) > -1e9)[:, 0]])


def loops(net: Any, x: Any) -> Any:
    for _ in range(int(x[0, 0].abs() * 0) + 3):
        x = net.one(x)
    return x


def compares(net: Any, x: Any) -> Any:
    return net.one(x) if torch.equal(x, x) else net.two(x)


def suppresses(net: Any, x: Any) -> Any:
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).to(x.device)
    return net.one(x[nms(boxes, x[:1, 0], 0.5)])


def by_numpy(net: Any, x: Any) -> Any:
    return net.two(torch.from_numpy(net.one(x).numpy()))


def by_list(net: Any, x: Any) -> Any:
    return net.two(torch.tensor(net.one(x).tolist()))


def by_address(net: Any, x: Any) -> Any:
    y, out = net.one(x), torch.empty(1, WIDTH)
    copied(out.data_ptr(), y.data_ptr())
    return net.two(out)


def by_storage(net: Any, x: Any) -> Any:
    y, out = net.one(x), torch.empty(1, WIDTH)
    copied(out.untyped_storage().data_ptr(), y.untyped_storage().data_ptr())
    return net.two(out)


def by_bytes(net: Any, x: Any) -> Any:
    data = bytearray(bytes(net.one(x).untyped_storage()))
    return net.two(torch.frombuffer(data, dtype=torch.float32)[None])


def compares_addresses(net: Any, x: Any) -> Any:
    y = net.one(x)
    assert y.data_ptr() == y.view(-1).data_ptr()
    assert y.data_ptr() not in {x.data_ptr(), y[:, 1:].data_ptr()}
    assert y[:, 4:].data_ptr() % 16 == y.untyped_storage().data_ptr() % 16 == 0
    return net.two(y)


def takes_from_lists(net: Any, x: Any) -> Any:
    return net.two(net.one(x) * net.constants[0]["scale"])


def keeps_state(net: Any, x: Any) -> Any:
    net.cache.append(net.one(x))
    net.kept = net.two(net.cache[-1]) if net.kept is None else net.kept
    return net.kept


def adds_noise(net: Any, x: Any) -> Any:
    return net.two(net.one(x) + torch.randn_like(x))


# Forward pass, layers that run, by what the work is steered, what may multiply elsewhere.
CASES = [
    (exits_early, 1, "Tensor.item", ""),
    (splits, 2, "Tensor.tolist", ""),
    (picks_by_mask, 2, "aten.index", ""),
    (picks_by_nonzero, 2, "aten.nonzero", ""),
    (loops, 3, "Tensor.item", ""),
    (compares, 1, "aten.equal", ""),
    (suppresses, 1, "torchvision.nms", ""),
    (by_numpy, 2, "Tensor.numpy", "Tensor.numpy"),
    (by_list, 2, "Tensor.tolist", "Tensor.tolist"),
    (by_address, 2, "", "Tensor.data_ptr"),
    (by_storage, 2, "", "UntypedStorage.data_ptr"),
    (by_bytes, 2, "UntypedStorage.__iter__", "UntypedStorage.__iter__"),
]
FREE = [compares_addresses, takes_from_lists, keeps_state, adds_noise]


@pytest.mark.parametrize(
    ("forward", "layers", "steered", "left"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_values_that_steer_or_leave_are_named(
    forward: Any, layers: int, steered: str, left: str
) -> None:
    """Every counter says so and gives the same integer; none of them is plainly verified."""
    profiles = profile(Two(forward), (1, WIDTH), counters=list(COUNTERS))
    verdicts = judge_counters(profiles)
    for counted in profiles:
        assert (counted.dense_macs, counted.device) == (layers * LAYER, "cpu")
        verdict = verdicts[counted.counter]
        assert verdict.status == ("partial" if left else "verified")
        assert not verdict.plain
        assert left in verdict.reason
        unseen = [gap.name for gap in counted.not_counted if gap.kind == "unseen"]
        assert unseen == ([left] if left else [])
        notes = [note for note in counted.notes if note.startswith("for these values")]
        assert bool(notes) == bool(steered)
        if steered:
            assert steered in notes[0]
            assert notes[0].endswith("; the model's own weights")


@pytest.mark.parametrize("forward", FREE, ids=[one.__name__ for one in FREE])
def test_what_shapes_suffice_for_is_plainly_verified(forward: Any) -> None:
    """Constants in lists, state, checks of addresses and noise: no value is needed, none warns."""
    model = Two(forward)
    profiles = profile(model, (1, WIDTH), counters=list(COUNTERS))
    assert [p.dense_macs for p in profiles] == [2 * LAYER] * 3
    assert {p.counter: p.device for p in profiles} == {
        "thop": "meta",
        "fvcore": "cpu",
        "torch": "meta",
    }
    assert all(verdict.plain for verdict in judge_counters(profiles).values())
    assert all(p.notes == () for p in profiles)
    assert (model.cache, model.kept) == ([], None)
    assert "data_ptr" not in vars(torch.Tensor)


@pytest.mark.skipif(
    not hasattr(TorchDispatchMode, "supports_higher_order_operators"), reason="this torch cannot"
)
def test_of_a_condition_the_branch_taken_is_counted() -> None:
    """Both branches are only where the model has no values to choose by."""

    def chooses(net: Any, x: Any) -> Any:
        return torch.cond(x.sum() < 1e9, net.one, lambda y: net.two(net.one(y)), (x,))

    taken = profile(Two(chooses), (1, WIDTH), counters="torch")
    assert (taken.dense_macs, taken.device) == (LAYER, "cpu")
    assert any("depends on values (torch.cond)" in note for note in taken.notes)
    both = profile(
        Two(chooses).to("meta"), (torch.empty(1, WIDTH, device="meta"),), counters="torch"
    )
    assert (both.dense_macs, both.device) == (3 * LAYER, "meta")
    assert BOTH_BRANCHES in both.notes


def test_foreign_code_never_reads_at_the_address_zero() -> None:
    """Without values there is no address: one message, no crash."""
    model = Two(by_address).to("meta")
    with pytest.raises(Exception, match="the model is on the meta device"):
        profile(model, (torch.empty(1, WIDTH, device="meta"),), counters="torch")


def by_counter(spec: str, names: Any) -> dict[str, CostProfile]:
    """Measure a specification in one run, without the cache."""
    found = profile_spec(parse_spec(spec), find_counters(names))
    assert not [one for one in found.values() if isinstance(one, str)]
    return found  # type: ignore[return-value]


def products_of(model: Any, *args: Any) -> int:
    """Count the MACs of one pass by torch alone."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args)
    return counter.get_total_flops() // 2


def test_a_detector_has_one_figure_whatever_else_is_asked() -> None:
    """Alone, together, in any order: the same profile, on the weights that seed 0 draws."""
    spec = "fasterrcnn_mobilenet_v3_large_320_fpn@64,min_size=64,max_size=64"
    alone = {name: by_counter(spec, [name])[name] for name in COUNTERS}
    assert by_counter(spec, COUNTERS[::-1]) == alone
    drawn = build(parse_spec(spec), "cpu")
    true = products_of(drawn.module, *drawn.args)
    zeros = build(parse_spec(spec), "cpu", initialise=False)
    assert products_of(zeros.module, *zeros.args) != true
    for one in alone.values():
        assert one.dense_macs == true
        assert "torchvision.nms" in one.notes[1]
        assert one.notes[1].endswith("; random weights, seed 0")


def test_a_detector_that_keeps_tensors_in_lists() -> None:
    """The anchors of a pass on shapes do not reach the one on values: FlopCounterMode agrees."""
    from torchvision.models.detection import fcos_resnet50_fpn

    counted = by_counter("fcos_resnet50_fpn@64,min_size=64,max_size=64", ["torch", "fvcore"])
    model = fcos_resnet50_fpn(weights=None, weights_backbone=None, min_size=64, max_size=64)
    true = products_of(model.eval(), torch.rand(1, 3, 64, 64))
    assert [one.dense_macs for one in counted.values()] == [true, true]

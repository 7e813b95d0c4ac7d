"""The state in which counters run: entered, left, and the shortcut that changes no shape."""

from __future__ import annotations

import logging
import warnings
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from flopbench.counting.measure.counters.base import Subject
from flopbench.counting.measure.counters.torch_counter import TorchCounter
from flopbench.counting.measure.sources import SubjectSource
from flopbench.models.build import kernels
from flopbench.models.build.copies import Restored, private_copy
from flopbench.models.build.environment import counting_state
from flopbench.models.build.kernels import quick_convolutions, quick_shapes
from flopbench.models.spec import parse_spec


def global_state() -> dict[str, object]:
    """Record what counting changes temporarily."""
    return {
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "logging": logging.root.manager.disable,
        "warnings": list(warnings.filters),
        "hooks": len(nn.modules.module._global_forward_hooks),
        "generator": torch.random.get_rng_state().tolist(),
    }


def test_the_state_is_left_as_it_was_entered(capsys: pytest.CaptureFixture[str]) -> None:
    """Also after an exception; inside it, one thread, no gradients, no output."""
    before = global_state()

    def work() -> None:
        with counting_state(), quick_shapes():
            assert torch.get_num_threads() == 1
            assert not torch.is_grad_enabled()
            assert not torch.backends.mha.get_fastpath_enabled()
            print("chatter")  # noqa: T201
            logging.getLogger("library").error("chatter")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert global_state() == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 6), (4, 3, 5, 6, 7)])
def test_quick_batch_norm_changes_no_shape(training: bool, shape: tuple[int, ...]) -> None:
    """The shortcut gives what torch's own meta kernel gives: shapes, strides, types, device."""
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    norm = kinds[len(shape)](3, device="meta").train(training)
    x = torch.empty(shape, device="meta")
    x = x.to(memory_format=torch.channels_last) if len(shape) == 4 else x

    def run() -> list[tuple[object, ...]]:
        outputs = torch.ops.aten.native_batch_norm(
            x, norm.weight, norm.bias, norm.running_mean, norm.running_var, training, 0.1, 1e-5
        )
        outputs += (norm(x),)
        return [(t.shape, t.stride(), t.dtype, t.device) for t in outputs]

    slow = run()
    with quick_shapes():
        quick = run()
    assert quick == slow
    assert run() == slow


@pytest.mark.parametrize("name", list(kernels._MAKERS))
def test_quick_kernels_change_no_shape(name: str) -> None:
    """What torch's own kernel gives, or raises, for each operator and form of input."""
    packet, _, overload = name.partition(".")
    operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
    dtypes = (torch.float32, torch.float16, torch.int64)
    layouts = (torch.contiguous_format, torch.channels_last)
    calls = [call for one in product(dtypes, layouts) for call in _calls(name, *one)]

    def run() -> list[object]:
        return [_described(operator, args, kwargs) for args, kwargs in calls]

    slow = run()
    with quick_shapes():
        assert run() == slow


def _calls(
    name: str, dtype: torch.dtype, layout: torch.memory_format
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return arguments of an operator: plain ones, and what only torch's own kernel can take."""
    x = torch.empty(2, 3, 4, 5, dtype=dtype, device="meta").to(memory_format=layout)
    if name.endswith(".Tensor"):
        shapes = ((2, 3, 4, 5), (3, 1, 1), (5,), (6, 1), (2, 1, 4, 5))
        others = [torch.empty(s, dtype=dtype, device="meta") for s in shapes]
        others += [torch.ones(()), x.transpose(0, 1), x.double()]
        return [(pair, {}) for one in others for pair in ((x, one), (one, x))]
    if name == "mean.dim":
        dims = ([2, 3], [-1], [0], [], [9], [1, 1])
        kept = [((x, dim, *keep), {}) for dim in dims for keep in ([], [True])]
        return [*kept, ((x, [1]), {"dtype": torch.float64})]
    if name == "addmm":
        a, row, column = x[0, 0], x[0, 0, 0], x[0, 0, :, 0]
        return [((bias, a, b), {}) for bias in (row, column, row[0]) for b in (a, a.t())]
    if name == "native_layer_norm":
        w = torch.empty(5, dtype=dtype, device="meta")
        scales = ((None, None), (w, w), (w, None), (w.double(), w.double()), (w[:4], w))
        return [((x, over, *s, 1e-5), {}) for over in ([5], [4], []) for s in scales] + [
            ((x, [4, 5], None, None, 1e-5), {})
        ]
    return [((x,), {})]


def _described(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    try:
        made = operator(*args, **kwargs)
    except Exception as error:
        return type(error)
    made = made if isinstance(made, tuple) else (made,)
    return [(one.shape, one.stride(), one.dtype, one.device, one is args[0]) for one in made]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), (2, 4, 9)),
        (nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(0, 2)), (1, 3, 10, 7)),
        (nn.Conv2d(3, 5, 3, padding="same", padding_mode="reflect"), (3, 6, 5)),
        (nn.Conv3d(2, 4, 3, dilation=(1, 2, 1)), (1, 2, 5, 6, 7)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1, groups=2), (1, 4, 5)),
        (nn.ConvTranspose2d(4, 6, (3, 2), stride=3, padding=1, dilation=2), (2, 4, 5, 6)),
    ],
)
def test_quick_convolutions_change_nothing_where_weights_are_zero(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    """Shapes, strides, types and zeros, inside the block; outside it torch computes."""
    x = torch.rand(shape)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        slow = layer(x)
        with quick_convolutions():
            quick = layer(x)
            nn.init.ones_(layer.weight)
            assert not layer(x).any()
        assert layer(x).any()
    assert torch.equal(quick, slow)
    assert (quick.stride(), quick.dtype) == (slow.stride(), slow.dtype)


def test_a_module_is_restored_on_either_device() -> None:
    """Tensors, tied ones too, go to the meta device and come back; what was left is gone."""
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.register_buffer("lists", None)
    net.anchors, net.none = [{"x": torch.ones(2)}], None
    net.eval()
    x = torch.rand(2, 3)
    expected, identities = net(x), [id(p) for p in net.parameters()]
    restored = Restored(net, "cpu")
    restored.to("meta")
    assert {p.device.type for p in [*net.parameters(), *net.buffers()]} == {"meta"}
    assert net[2].weight is net[0].weight
    assert net.anchors[0]["x"].is_meta
    net.anchors[0]["y"] = net.none = net.new = torch.ones(2)
    net.train()[0].register_forward_hook(lambda *_: None)
    net[1].register_buffer("total", torch.ones(1))
    net[2] = nn.Identity()
    restored.to("cpu")
    assert torch.equal(net(x), expected)
    assert [id(p) for p in net.parameters()] == identities
    assert (list(net.anchors[0]), net.none, hasattr(net, "new")) == (["x"], None, False)
    assert (net.training, len(net[0]._forward_hooks), hasattr(net[1], "total")) == (False, 0, False)


def test_private_copies_share_nothing_that_can_be_written_to() -> None:
    """A copy has its own weights and statistics, or only shapes, whatever holds them."""
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    net.held = [SimpleNamespace(tensor=torch.ones(2), tied=net[0].weight)]
    copied = private_copy(net, "cpu")
    assert copied[0].weight is not net[0].weight
    assert torch.equal(copied[0].weight, net[0].weight)
    assert copied[1].running_mean is not net[1].running_mean
    assert not copied.training
    assert net.training
    shapes = private_copy(net, "meta")
    assert {p.device.type for p in shapes.parameters()} == {"meta"}
    assert shapes.held[0].tensor.is_meta
    assert shapes.held[0].tied is shapes[0].weight
    assert {p.device.type for p in [*net.parameters(), net.held[0].tensor]} == {"cpu"}


def test_a_library_model_serves_every_counter() -> None:
    """The same module each time, without what a counter left in it."""
    source = SubjectSource(spec=parse_spec("resnet18@64"), values_wanted=True)
    first = source.subject("meta")
    with counting_state():
        before = TorchCounter().count(first)
    first.module.conv1.register_forward_hook(lambda *_: torch.zeros(1))
    second = source.subject("meta")
    assert second.module is first.module
    with counting_state():
        assert TorchCounter().count(second).total == before.total
    values = source.subject("cpu")
    assert isinstance(values, Subject)
    assert {p.device.type for p in values.module.parameters()} == {"cpu"}


def test_a_builder_that_computes_is_built_on_meta_all_the_same() -> None:
    """RegNet computes its widths with tensors; its cost still needs no values."""
    source = SubjectSource(spec=parse_spec("regnet_x_400mf@64"), values_wanted=False)
    subject = source.subject("meta")
    assert {p.device.type for p in subject.module.parameters()} == {"meta"}
    with counting_state():
        assert TorchCounter().count(subject).total > 0

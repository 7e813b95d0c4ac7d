"""The state in which counters run: entered, left, and the shortcut that changes no shape."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from torch import nn

from flopbench.counting.measure.counters.base import Subject
from flopbench.counting.measure.counters.torch_counter import TorchCounter
from flopbench.counting.measure.sources import SubjectSource
from flopbench.models.build.copies import TensorSwap, private_copy
from flopbench.models.build.environment import counting_state, quick_shapes
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


def test_tensors_are_exchanged_and_come_back() -> None:
    """Parameters, buffers and tied weights go to the meta device and come back unchanged."""
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.eval()
    x = torch.rand(2, 3)
    expected, identities = net(x), [id(p) for p in net.parameters()]
    swap = TensorSwap(net, "cpu")
    swap.to("meta")
    assert {p.device.type for p in [*net.parameters(), *net.buffers()]} == {"meta"}
    assert net[2].weight is net[0].weight
    swap.to("cpu")
    assert torch.equal(net(x), expected)
    assert [id(p) for p in net.parameters()] == identities


def test_private_copies_share_nothing_that_can_be_written_to() -> None:
    """A copy has its own weights and statistics, or only shapes."""
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    copied = private_copy(net, "cpu")
    assert copied[0].weight is not net[0].weight
    assert torch.equal(copied[0].weight, net[0].weight)
    assert copied[1].running_mean is not net[1].running_mean
    assert not copied.training
    assert net.training
    shapes = private_copy(net, "meta")
    assert {p.device.type for p in shapes.parameters()} == {"meta"}
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_a_library_model_serves_every_counter_unless_one_left_a_trace() -> None:
    """The same module again while it is clean; a new one after a hook was left in it."""
    source = SubjectSource(spec=parse_spec("resnet18@64"), values_wanted=True)
    first = source.subject("meta")
    assert source.subject("meta").module is first.module
    with counting_state():
        before = TorchCounter().count(first)
    first.module.conv1.register_forward_hook(lambda *_: None)
    second = source.subject("meta")
    assert second.module is not first.module
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

"""What holds for every counter: true costs, any input and output, nothing left behind."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from counted import count, dense, gaps  # noqa: E402
from layer_zoo import LAYERS  # noqa: E402
from operator_zoo import OPERATORS, Truth  # noqa: E402
from sweeps import each  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from flopbench import profile  # noqa: E402
from flopbench.counting.measure.counters.watching import OWNERS  # noqa: E402
from flopbench.counting.registry import WITNESS, own_counters  # noqa: E402

INFOS = {info.name: info for info in own_counters() if info.name != WITNESS}
"""Those that run a model; what has no formula is refused: test_formula_counter.py."""
PATCHING = ("calflops", "deepspeed", "torchinfo")
"""They see functions that are looked up when they are called, unlike those of the operators."""

# Without inference mode an einsum is elementwise, and a complex convolution three real ones. THOP's
# own rules overcharge the others.
EXCUSED = {
    "thop-2020": ("outer: einsum", "conv_transpose"),
    "thop": ("outer: einsum", "conv_transpose", "unbatched", "with projection", "packed sequence"),
    "ptflops": ("outer: einsum", "complex convolution"),
    "fvcore": ("quantised ",),  # the tracer refuses packed weights
    **dict.fromkeys(PATCHING, ("gradient inside forward",)),
}


@pytest.fixture(params=INFOS)
def counter(request: pytest.FixtureRequest) -> Any:
    """Each counter whose library is installed."""
    info = INFOS[request.param]
    pytest.importorskip(info.distribution, reason=f"{info.distribution} is not installed")
    module, _, kind = info.target.partition(":")
    return getattr(import_module(module), kind)()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of ``counter``."""
    return str(request.node.callspec.params["counter"])


def test_counts_the_truth_or_lists_a_gap(counter: Any, name: str) -> None:
    """Dense MACs are those of the formula, or fewer, with a gap; a failure is an error."""
    exact, failed = [], []

    def check(case: Truth) -> None:
        device = "cpu" if counter.needs_values or case.needs_values else "meta"
        with torch.device(device):
            model, args, kwargs = case.build(), case.args(), case.keyword_args()
        try:
            counted = count(counter, model, *args, device=device, **kwargs)
        except AssertionError:
            raise
        except Exception:
            failed.append(case.name)
            return
        assert dense(counted) == case.macs or (dense(counted) < case.macs and gaps(counted))
        if dense(counted) == case.macs:
            exact.append(case.name)

    cases = LAYERS if name in PATCHING else OPERATORS + LAYERS
    each([c for c in cases if not any(word in c.name for word in EXCUSED.get(name, ()))], check)
    assert len(failed) <= 6, failed
    assert len(exact) >= (180 if name in ("fvcore", "torch") else 45)


@pytest.mark.parametrize(
    ("network", "macs", "layers"),
    [
        ("resnet18", 1_814_073_344, True),
        ("efficientnet_b0", 385_814_752, True),
        ("swin_t", 4_490_566_656, False),
    ],
)
def test_networks(counter: Any, network: str, macs: int, layers: bool) -> None:
    """Everyone gives one integer at 224 px; what is no layer may be a gap instead."""
    device = "cpu" if counter.needs_values else "meta"
    with torch.device(device):
        model, image = torchvision.models.get_model(network), torch.empty(1, 3, 224, 224)
    counted = count(counter, model, image, device=device)
    assert dense(counted) == macs or (dense(counted) < macs and gaps(counted) and not layers)
    assert not (layers and gaps(counted))


class Odd(nn.Module):
    """Takes keywords and dictionaries, and uses a weight without calling its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.used, self.unused = nn.Linear(4, 3), nn.Linear(3, 5), nn.Linear(4, 4)

    def forward(self, x: Any = None, *, scale: Any = None) -> Any:
        y = self.layer(x["x"] if isinstance(x, dict) else x)
        if scale is None:
            raise ValueError("on purpose")
        return {"logits": functional.linear(y * scale, self.used.weight), "none": None}


def test_inputs_and_outputs_of_any_kind(counter: Any, name: str) -> None:
    """A function's product, 2 · 3 · 5, is counted or a gap, as is a layer that is never called."""
    x, scale = torch.rand(2, 4), torch.rand(2, 3)
    layers_only = name in ("thop", "thop-2020", "torchinfo")
    for args, kwargs in (([x], {}), ([], {"x": x}), ([{"x": x}], {})):
        if args and isinstance(args[0], dict) and name == "torchinfo":
            continue  # it takes a dictionary for keywords
        counted = count(counter, Odd(), *args, scale=scale, **kwargs)
        assert {op.module: op.dense_macs for op in counted.operators if op.dense_macs} == (
            {"layer": 24} if layers_only else {"layer": 24, "": 30}
        )
        uncalled = {gap.module for gap in counted.not_counted if gap.kind == "uncalled"}
        expected = {"torch": set(), "fvcore": {"used", "unused"}}
        assert uncalled == expected.get(name, {"used", "unused"} if layers_only else {"unused"})
        if layers_only:
            assert any(gap[0] == "unseen" and gap[2] == "" for gap in gaps(counted))


def test_a_layer_in_two_places_runs_twice(counter: Any) -> None:
    """Dense MACs are those of both calls, under the first path."""
    layer = nn.Linear(3, 3)
    model = nn.Sequential(nn.Sequential(layer), nn.ReLU(), nn.Sequential(layer))
    counted = count(counter, model, torch.rand(1, 3))
    found = [(op.module, op.calls, op.dense_macs) for op in counted.operators if op.dense_macs]
    assert found == [("0.0", 2, 18)]


def test_compiled_submodules(counter: Any, name: str) -> None:
    """Their originals are counted, under their own paths, and stay compiled in the user's model."""
    model = nn.Sequential(
        nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2)
    )
    model[0], model[1] = torch.compile(model[0]), torch.compile(model[1])
    found = profile(model, (torch.rand(3, 4),), counters=name)
    expected = {"0": 3 * 4 * 8, "1.0": 3 * 8 * 8, "2": 3 * 8 * 2}
    assert {op.module: op.dense_macs for op in found.operators if op.dense_macs} == expected
    assert [facts.path for facts in found.modules] == ["", "0", "1", "1.0", "1.1", "2"]
    assert not found.gaps_that_may_multiply()
    assert hasattr(model[0], "_orig_mod")


@pytest.mark.parametrize("kind", ["in forward", "before", "decorated"])
def test_compiled_functions(counter: Any, kind: str) -> None:
    """The layer in one is seen, and torch compiles again afterwards."""
    compiler, model = torch.compile, nn.Sequential(nn.Linear(4, 3))

    def run(x: Any) -> Any:
        return model[0](x) * 2

    if kind == "before":
        run = torch.compile(run)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            if kind == "in forward":
                return torch.compile(self.model)(x)
            return torch.compile(fullgraph=True)(run)(x) if kind == "decorated" else run(x)

    assert dense(count(counter, Net(), torch.rand(2, 4))) == 24
    assert torch.compile is compiler


def test_nothing_is_left_behind(counter: Any) -> None:
    """Functions, hooks and modes of torch, and the model, are as before, also after a failure."""
    model, x, scale = Odd(), torch.rand(2, 4), torch.rand(2, 3)

    def state() -> list[Any]:
        hooks = nn.modules.module
        owners = [{k: v for k, v in vars(o).items() if callable(v)} for o in OWNERS]
        modes = torch.utils._python_dispatch._get_current_dispatch_mode_stack()
        hooked = [dict(hooks._global_forward_hooks), dict(hooks._global_forward_pre_hooks), modes]
        calls = [vars(torch.autograd.Function)["apply"], torch._ops.HigherOrderOperator.__call__]
        return [*owners, *hooked, *calls, list(model.state_dict())]

    before = state()
    first = count(counter, Odd(), x, scale=scale)
    assert state() == before
    with pytest.raises((ValueError, RuntimeError)):  # torchinfo hides the model's own behind one
        count(counter, model, x)
    assert state() == before
    assert count(counter, Odd(), x, scale=scale) == first

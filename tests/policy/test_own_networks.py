"""Networks among the components of a new log: counted once, and then the log stands alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli

torch = pytest.importorskip("torch")
pytest.importorskip("thop")
pytest.importorskip("fvcore")

from torch import nn  # noqa: E402

from flopbench.core.errors import InputError, MeasureError  # noqa: E402
from flopbench.estimate import price_rows  # noqa: E402
from flopbench.estimate.runs import Choices, run_of_log  # noqa: E402
from flopbench.policy.header import CountedRow  # noqa: E402
from flopbench.policy.log import open_log  # noqa: E402
from flopbench.policy.logger import PolicyLogger  # noqa: E402
from flopbench.present.figures.ratios import action_size  # noqa: E402

SHAPE = (1, 3, 8, 8)
NET_MACS = 8 * 8 * 4 * 3 * 9 + 256 * 10  # the convolution and the linear layer: 9,472
NET_PARAMS = 4 * 3 * 9 + 4 + 256 * 10 + 10
CELL_MACS = 4 * 7 * (5 + 7)  # four gates, from 5 inputs and 7 states: 336


def net() -> nn.Sequential:
    """A convolution and a linear layer."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 10))


class Halved(nn.Module):
    """Takes a second argument by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: Any, *, scale: Any = None) -> Any:
        """Run."""
        return self.body(x) if scale is None else self.body(x) * scale


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's log goes."""
    return tmp_path / "run.jsonl"


def log_of(path: Path, components: dict[str, Any], **fields: Any) -> Path:
    """Write two videos: net, skip and skip, net."""
    fields = {"actions": ["net", "skip"], **fields}
    with PolicyLogger(path, components=components, world_size=1, **fields) as log:
        log.add(["v0", "v1"], [["net", "skip"], ["skip", "net"]])
    return path


def rows_of(path: Path, name: str = "net") -> dict[str, CountedRow]:
    """Return the counts that a log has for a component."""
    rows = (open_log([path]).header.components or {})[name]
    assert isinstance(rows, list)
    return {row.counter: row for row in rows}


def test_a_log_with_its_own_counts_stands_alone(
    path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is priced under every default counter without code, cache or another option."""
    own = {"net": (net(), SHAPE), "cell": (nn.LSTMCell(5, 7), ((1, 5),)), "rest": 'value:7 "x"'}
    log_of(path, own, charges={"per_step": ["cell", "rest"]})
    monkeypatch.setattr(price_rows, "measure", lambda *_, **__: pytest.fail("measured"))
    run = run_of_log([path])
    # A video has one net, and two steps with cell and constant.
    assert run.primary.macs_per_video == NET_MACS + 2 * (CELL_MACS + 7)
    assert (run.prices.counter, run.prices.version) == ("torch", torch.__version__.split("+")[0])
    assert list(run.under_counters) == ["torch", "thop-2020", "thop", "fvcore"]
    assert run.book.gaps == {}
    done = run_cli("estimate", str(path))
    assert done.returncode == 0, done.stderr
    assert "counted when the log was written" in done.stdout
    assert "torch.nn:Sequential@1x3x8x8" in done.stdout
    again = log_of(path.with_name("again.jsonl"), own, charges={"per_step": ["cell", "rest"]})
    for command in (("compare", path, again), ("plot", "usage", path), ("plot", "cost", path)):
        out = () if command[0] == "compare" else ("-o", "figure.svg")
        done = run_cli(*map(str, command), *out)
        assert done.returncode == 0, done.stderr


def test_what_is_written(path: Path) -> None:
    """Integers, and of each counter its version, convention and verdict; nothing that is empty."""
    log_of(path, {"net": (net(), SHAPE)})
    header = json.loads(path.read_bytes().splitlines()[0])
    rows = header["components"]["net"]
    assert [row["counter"] for row in rows] == ["thop-2020", "thop", "fvcore", "torch"]
    assert rows[3] == {
        "model": "Sequential",
        "input": "1x3x8x8",
        "counter": "torch",
        "counter_version": torch.__version__.split("+")[0],
        "total_macs": NET_MACS,
        "dense_macs": NET_MACS,
        "params": NET_PARAMS,
        "status": "verified",
        "spec": "torch.nn:Sequential@1x3x8x8",
        "convention": "MACs: FlopCounterMode / 2, dense operators only",
    }
    assert header["environment"]["torch"] == torch.__version__
    assert action_size(open_log([path]).plan, 0) == (8, 8)


def test_the_head_of_a_log_has_a_line_for_each_count(path: Path, run_cli: RunCli) -> None:
    """The header is still JSON, and short enough to read."""
    log_of(path, {"net": (net(), SHAPE), "rest": "value:1"})
    done = run_cli("log", "head", str(path), "-n", "1")
    lines = done.stdout.splitlines()
    assert [line[3:35] for line in lines if '"counter"' in line] == [
        '{"model": "Sequential", "input":'
    ] * 4
    header = json.loads("\n".join(lines[:-1]))
    assert header["components"]["net"][3]["dense_macs"] == NET_MACS


@pytest.mark.parametrize(
    "given",
    [
        (net(), SHAPE),
        [net(), SHAPE],
        (net(), "1x3x8x8"),
        (net(), 8),
        (net(), torch.zeros(SHAPE)),
        (net(), {"input": SHAPE}),
        (Halved(), SHAPE, {"scale": (1, 10)}),
        (nn.DataParallel(net()), SHAPE),
    ],
)
def test_inputs_are_those_that_profile_takes(path: Path, given: Any) -> None:
    """Shapes, text, tensors and keyword arguments; a model inside a wrapper is that model."""
    log_of(path, {"net": given})
    assert rows_of(path)["torch"].dense_macs == NET_MACS
    assert "DataParallel" not in rows_of(path)["torch"].spec


def test_a_specification_with_its_input_is_counted_too(path: Path) -> None:
    """And so is one that names its input; a specification alone stays one."""
    log_of(path, {"net": ("linear:20x3", None), "rest": "resnet18@32"})
    assert rows_of(path)["torch"].dense_macs == 20 * 3
    assert rows_of(path)["torch"].spec == "linear:20x3"
    assert (open_log([path]).header.components or {})["rest"] == "resnet18@32"


def test_a_module_comes_back_unchanged(path: Path) -> None:
    """Weights, training flags and hooks are as they were."""
    model = net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log_of(path, {"net": (model, SHAPE)})
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(part.training and not part._forward_hooks for part in model.modules())


def test_every_process_counts_the_same(path: Path) -> None:
    """Shards of one run are one log, whoever counted."""
    for rank in (0, 1):
        own = {"net": (net(), SHAPE)}
        with PolicyLogger(path, components=own, actions=["net"], rank=rank, world_size=2) as log:
            log.add_one(rank, ["net", "net"])
    assert run_of_log([path]).primary.macs_per_video == 2 * NET_MACS


def test_a_run_goes_on_and_is_replaced(path: Path) -> None:
    """Counted again, the same networks give the same header; others are named shortly."""
    log_of(path, {"net": (net(), SHAPE)})
    with PolicyLogger(
        path, components={"net": (net(), SHAPE)}, actions=["net", "skip"], append=True
    ) as log:
        log.add_one("v2", ["net", "net"])
    assert run_of_log([path]).primary.macs_per_video * 3 == 4 * NET_MACS
    other = {"net": (net(), (1, 3, 8, 8), None), "more": "value:1"}
    with pytest.raises(InputError, match=r"has components\.more None, this run has 'value:1'"):
        PolicyLogger(path, components=other, actions=["net", "skip"], append=True)
    log_of(path, {"net": "value:5"}, overwrite=True)
    assert run_of_log([path]).primary.macs_per_video == 5


@pytest.mark.parametrize(
    ("given", "kind", "message", "hint"),
    [
        (net(), InputError, "components['net'] is of type Sequential: expected a network with its",
         "write (model, (1, 3, 224, 224)) with the input of one run"),
        (4.1e9, InputError, "components['net'] is of type float", "'value:4.1e9 \"its source\"'"),
        ((net(), 8, {}, 3), InputError, "components['net'] is of type tuple", ""),
        ((net(), (1, 4, 8, 8)), InputError,
         "components['net']: Sequential does not run at this input", ""),
        ((net(), None), InputError, "components['net']: a live module needs its input", ""),
        (("value:7", 8), InputError, "components['net']: 'value:7' is a constant", ""),
        (("no_such_model", 8), InputError, "components['net']: ", ""),
        ((net, SHAPE), InputError, "components['net']: model is ", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_counted(
    path: Path, given: Any, kind: type[Exception], message: str, hint: str
) -> None:
    """The message names the component, and no file is made."""
    with pytest.raises(kind) as caught:
        PolicyLogger(path, components={"net": given}, actions=["net"])
    assert message in str(caught.value)
    assert hint in str(caught.value)
    assert not path.exists()


def test_a_batch_where_one_input_was_expected(path: Path) -> None:
    """Its cost is that of the batch, as asked, and a warning at the call says so."""
    with pytest.warns(UserWarning, match=r"'net'\]: one run is a batch of 4 \(4x3x8x8\)") as found:
        log_of(path, {"net": (net(), (4, 3, 8, 8)), "clip": "value:1"})
    assert [one.filename for one in found] == [__file__]
    assert rows_of(path)["torch"].dense_macs == 4 * NET_MACS


def test_a_network_that_the_reference_cannot_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before the loop, not after it."""
    from flopbench.counting.measure.counters.torch_counter import TorchCounter

    def fail(self: Any, subject: Any) -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(TorchCounter, "count", fail)
    with pytest.raises(MeasureError, match=r"components\['net'\]: torch cannot count it: .*odd"):
        PolicyLogger(path, components={"net": (net(), SHAPE)}, actions=["net"])


def test_options_that_need_the_network(path: Path) -> None:
    """Another counter and a replay say what the log has, and how to name the networks."""
    log_of(path, {"net": (net(), SHAPE), "policy": (net(), SHAPE)}, charges={"per_step": "policy"})
    with pytest.raises(InputError) as caught:
        run_of_log([path], Choices(counter="ptflops"))
    assert caught.value.message.startswith(
        "no price under ptflops for net, policy: counted when the log was written, by thop-2020 "
    )
    from flopbench.replay.run import ReplayChoices, replay_of_log

    with pytest.raises(InputError) as caught:
        replay_of_log([path], ReplayChoices(device="cpu"))
    assert caught.value.message.endswith("are constants in this log: a number cannot be run")
    assert "--component net=torch.nn:Sequential@1x3x8x8" in caught.value.hint
    choices = Choices(components={"net": "linear:20x3"})
    assert run_of_log([path], choices).primary.macs_per_video == 60 + 2 * NET_MACS

"""What cannot be counted: each model and counter fails alone, with its cause and a way out."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import RunCli
from sweeps import each
from torch import nn

import flopbench
from flopbench.core import memory
from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.counting.measure import sources
from flopbench.models.build.built import LONGEST_REASON, reason

IMAGE = (1, 3, 8, 8)


class Two(nn.Module):
    """Takes two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.layer(left) + right


class Named(Two):
    """Takes one by its name alone."""

    def forward(self, x: torch.Tensor, *, mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.layer(x) * mask


class Batched(Two):
    """Takes a dict."""

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        return self.layer(batch["pixels"])


class Keywords(Two):
    """Takes any names."""

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.layer(batch["pixels"])


class Clips(Two):
    """Takes five dimensions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        _n, _c, _t, _h, width = x.shape
        return self.layer(x[..., :width])


class Elsewhere(Two):
    """Fails as a network does that makes tensors on another device."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            "cuda:0 and cpu!"
        )


ONE = torch.zeros(1, 4)

CAUSES: list[tuple[nn.Module, Any, str]] = [
    (Two(), (1, 4), "forward takes left, right: pass input=(left, right)"),
    (Named(), (1, 4), "forward takes x, mask: pass input={'x': x, 'mask': mask}"),
    (nn.ReLU(), (ONE, ONE), "forward takes input: pass input=(input,)"),
    (nn.ReLU(), {"y": ONE}, "forward takes input: pass input=(input,)"),
    (Batched(), ({},), "the network looks for 'pixels': pass input=({'pixels': tensor},)"),
    (Keywords(), {"x": ONE}, "the network looks for 'pixels': pass input={'pixels': tensor}"),
    (nn.Embedding(5, 4), (1, 7), 'such as token ids: pass input="(1, 7):int64"'),
    (nn.Conv2d(3, 4, 1), torch.zeros(IMAGE).long(), "are of different types"),
    (nn.Conv2d(3, 4, 1).half(), torch.zeros(IMAGE), "are of different types"),
    (Elsewhere(), (1, 4), "parts of the model are on different devices"),
    (nn.Conv2d(1, 8, 3), (1, 3, 28, 28), "takes 1 channel, not 3: pass input=(1, 1, 28, 28)"),
    (nn.Conv2d(3, 8, 3), (1, 28, 30, 3), "takes 3 channels, not 28: pass input=(1, 3, 28, 30)"),
    (nn.Conv3d(3, 8, 3), (1, 3, 28, 28), "a layer takes 3 channels, not 1"),
    (nn.Conv1d(3, 8, 3), IMAGE, "the input has 4 dimensions, (1, 3, 8, 8), where a layer takes"),
    (nn.GRU(5, 4), (1, 2, 3, 5), "the input has 4 dimensions"),
    (Clips(), IMAGE, "the input has 4 dimensions"),
    (nn.Conv2d(3, 8, 9), (1, 3, 4, 4), "the input is too small"),
    (nn.MaxPool2d(9), (1, 3, 4, 4), "the input is too small"),
    (nn.Linear(5, 4), (1, 4), "the size does not fit a layer"),
    (nn.BatchNorm2d(4), IMAGE, "the size does not fit a layer"),
    (nn.LayerNorm(5), (1, 4), "the size does not fit a layer"),
    (nn.LSTM(5, 4), (1, 3, 6), "the size does not fit a layer"),
]


def test_a_model_that_does_not_run_gets_a_hint_by_cause() -> None:
    """Arguments, names, types, devices, channels, layout, size: what to give in each case."""

    def check(model: nn.Module, given: Any, hint: str) -> None:
        with pytest.raises(InputError, match="does not run at this input") as refused:
            flopbench.profile(model, given, counters=["fvcore"])
        assert hint in refused.value.hint
        assert "image_size" not in refused.value.hint

    each(CAUSES, check)


def test_an_image_size_is_named_where_an_option_sets_it() -> None:
    """The option is that of the library; the text can be typed as it is."""
    cases = [
        ("vit_b_16@112", "vit_b_16@112,image_size=112"),
        ("timm:vit_tiny_patch16_224@64,depth=1", "@64,img_size=64,depth=1"),
        ("transformers:vit@112,num_hidden_layers=1", "@112,image_size=112,num_hidden_layers=1"),
        ("transformers:bert@600,num_hidden_layers=1", "@600,max_position_embeddings=600,num"),
    ]

    def check(text: str, hint: str) -> None:
        with pytest.raises(InputError) as refused:
            flopbench.profile(text)
        assert hint in refused.value.hint

    each([c for c in cases if not c[0].startswith(("timm", "transformers"))], check)
    for library in ("timm", "transformers"):
        pytest.importorskip(library)
    each(cases[1:], check)


def test_what_is_no_model_is_told_what_it_is() -> None:
    """Files of weights, of other frameworks and of programs; objects that are no module."""
    exported = type("ExportedProgram", (), {})()
    cases: list[tuple[Any, str, str]] = [
        ("net.onnx@224", "net.onnx is an ONNX graph", "only PyTorch networks"),
        ("runs/best.pth", "runs/best.pth is a checkpoint", "name the network"),
        ("model.safetensors@8", "is weights", "random weights cost the same"),
        ("m.pt2", "an exported program", "torch.export.load('m.pt2').module()"),
        ("timm:net.tflite", "a network of another framework", "converted from"),
        ("nets.py", "a file of code", "nets.py:build"),
        ("a.onnx:main", "a.onnx is an ONNX graph", "only PyTorch"),
        (exported, "model is an ExportedProgram", "program.module()"),
        (nn.Linear(4, 2).state_dict(), "model is a dict of tensors", "name the network"),
        (nn.Linear, "model is the class Linear", "Linear(...)"),
    ]

    def check(model: Any, message: str, hint: str) -> None:
        with pytest.raises(InputError) as refused:
            flopbench.profile(model, None if isinstance(model, str) else (1, 4))
        assert message in refused.value.message
        assert hint in refused.value.hint

    each(cases, check)


def test_a_tensor_is_never_dumped_into_a_message() -> None:
    """Its elements are left out of a library's text; shapes and single numbers stay."""
    for tensor in (torch.randn(40, 40), torch.rand(9, dtype=torch.float64), torch.zeros(5000)):
        text = reason(RuntimeError(f"cannot insert {tensor} as a constant"))
        assert text.startswith("RuntimeError: cannot insert tensor(")
        assert text.count(".") < 8
    kept = "weight of size [8, 1, 3, 3], got [1, 3, 28, 28] at 0.5"
    assert reason(ValueError(kept)) == f"ValueError: {kept}"
    assert len(reason(ValueError("x" * 10**6))) < LONGEST_REASON + 30


class Box:
    """Holds something."""

    def __init__(self, held: Any) -> None:
        self.held = held


def test_the_attribute_that_cannot_be_copied_is_named(tmp_path: Path) -> None:
    """At any depth; what merely looks difficult is copied."""

    def net(**attributes: Any) -> nn.Module:
        made = nn.Sequential(nn.Linear(4, 4))
        for name, value in attributes.items():
            setattr(made[0], name, value)
        return made

    with (tmp_path / "log").open("w") as stream:
        cases = [
            (net(lock=threading.Lock()), "`model.0.lock` (a lock)"),
            (net(lock=threading.RLock()), "`model.0.lock` (a lock)"),
            (net(log=stream), "`model.0.log` (an open file)"),
            (net(ids=(n for n in range(3))), "`model.0.ids` (a generator)"),
            (net(state={"a": [1, threading.Lock()]}), "`model.0.state['a'][1]` (a lock)"),
            (net(box=Box(threading.Lock())), "`model.0.box.held` (a lock)"),
            (net(jobs=queue.Queue()), "`model.0.jobs.mutex` (a lock)"),
            (net(os=json), "`model.0.os` (of type module)"),
        ]

        def check(model: nn.Module, named: str) -> None:
            with pytest.raises(MeasureError) as refused:
                flopbench.profile(model, (1, 4), counters=["fvcore", "torch"])
            assert f"attribute {named} cannot be copied: make it where" in refused.value.message

        each(cases, check)
    weights = torch.ones(3, requires_grad=True) * 2
    harmless = net(act=lambda x: x, history=[weights], steps=iter([1, 2]))
    assert flopbench.profile(harmless, (1, 4)).dense_macs == 16


def lazy_net() -> nn.Module:
    """8 x 3 x 9 x 36 + 10 x 288: a convolution of 3 x 3 on 8 x 8 and a linear layer."""
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))


def test_lazy_layers_get_their_shapes_in_the_copy_only() -> None:
    """Every counter counts them; the user's own stay without a shape, in training mode."""
    macs = 8 * 3 * 9 * 36 + 10 * 288
    for given in (IMAGE, torch.zeros(IMAGE), {"input": torch.zeros(IMAGE)}):
        net = lazy_net()
        profiles = flopbench.profile(net, given, counters=["thop", "fvcore", "torch"])
        assert [p.dense_macs for p in profiles] == [macs] * 3
        assert {p.feature_dim for p in profiles} == {288}
        assert {p.params for p in profiles} == {8 * 27 + 8 + 16 + 288 * 10 + 10}
        assert all(nn.parameter.is_lazy(p) for p in net.parameters())
        assert net.training


class InAList(nn.Module):
    """Holds layers where no module sees them."""

    def __init__(self, held: Callable[[list[nn.Module]], Any]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.rest = held([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layers = self.rest.values() if isinstance(self.rest, dict) else self.rest
        for layer in layers:
            x = layer(x)
        return self.first(x)


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (list, "list"),
        (tuple, "tuple"),
        (lambda layers: dict(enumerate(layers)), "dict"),
        (lambda layers: [*layers, layers[0]][:2], "list"),
    ],
)
def test_layers_in_a_list_are_counted_and_named(held: Any, kind: str) -> None:
    """Three layers of 16 MACs; the 40 parameters that no module registers are named."""
    net = InAList(held)
    profiles = flopbench.profile(net, (1, 4), counters=["fvcore", "torch"])
    note = f"parameters in a Python {kind}, which the model does not register: rest (40)"
    assert [(p.dense_macs, p.params, p.notes[0]) for p in profiles] == [(48, 20, note)] * 2
    layers = net.rest.values() if isinstance(net.rest, dict) else net.rest
    assert all(layer.weight.requires_grad for layer in layers)


def test_what_a_module_within_hides_is_named_once() -> None:
    """With the path of the module that holds it, not again for each module around it."""
    net = nn.Sequential(nn.Sequential(InAList(list)))
    assert flopbench.profile(net, (1, 4)).notes[0].endswith("register: 0.0.rest (40)")


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB free, and nothing small enough not to be asked about."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 20_000_000)
    monkeypatch.setattr(memory, "SMALL_BYTES", 1 << 20)
    monkeypatch.setattr(sources, "SMALL_BYTES", 1 << 20)


ALL = ["thop", "fvcore", "torch"]


@pytest.mark.usefixtures("little_memory")
def test_weights_that_do_not_fit_fail_for_the_counter_that_wants_them(tmp_path: Path) -> None:
    """A library model, a factory and a live module of 46.8 MB: fvcore alone fails."""
    (tmp_path / "nets.py").write_text(
        "from torchvision.models import resnet18\n"
        "import pathlib\n"
        "def build():\n"
        "    net = resnet18()\n"
        f"    with pathlib.Path({str(tmp_path / 'log')!r}).open('a') as log:\n"
        "        log.write(net.fc.weight.device.type + ' ')\n"
        "    return net\n"
    )
    from torchvision.models import resnet18

    with torch.device("meta"):
        live = resnet18()
    said = "it needs 0.05 GB of weights, 0.02 GB free: torch and thop count from shapes"
    for model, given in (
        ("resnet18@65", None),
        (f"{tmp_path}/nets.py:build@65", None),
        (resnet18(), 65),
    ):
        profiles = flopbench.profile(model, given, counters=ALL)
        assert [p.counter for p in profiles] == ["thop", "torch"]
        assert {p.dense_macs for p in profiles} == {flopbench.profile(live, 65).dense_macs}
        assert profiles.failures["fvcore"].startswith(said)
    assert (tmp_path / "log").read_text() == "meta "  # never as a whole with values


@pytest.mark.usefixtures("little_memory")
def test_activations_that_do_not_fit_are_named() -> None:
    """An output of 64 x 256 x 256 values, held with its input: 2 x 16.8 MB."""
    profiles = flopbench.profile(nn.Conv2d(3, 64, 1), (1, 3, 256, 256), counters=ALL)
    assert profiles.failures == {
        "fvcore": "it needs 0.03 GB of activations, 0.02 GB free: torch and thop count from "
        "shapes, without them"
    }
    with pytest.raises(MeasureError, match="fvcore could not count Conv2d: it needs"):
        flopbench.profile(nn.Conv2d(3, 64, 1), (1, 3, 256, 256), counters="fvcore")


def test_one_counter_that_fails_leaves_the_others() -> None:
    """The good profiles are returned with the failures; where all fail, that is an error."""

    class Untraced(Two):
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            if torch.jit.is_tracing():
                raise ValueError("not while traced")
            return self.layer(x)

    profiles = flopbench.profile(Untraced(), (1, 4), counters=ALL)
    assert [(p.counter, p.dense_macs) for p in profiles] == [("thop", 16), ("torch", 16)]
    assert list(profiles.failures) == ["fvcore"]
    assert "ValueError: not while traced" in profiles.failures["fvcore"]
    with pytest.raises(MeasureError, match="fvcore could not count Untraced: fvcore fails on"):
        flopbench.profile(Untraced(), (1, 4), counters=["fvcore"])
    assert flopbench.profile(nn.Linear(4, 2), (1, 4), counters=ALL).failures == {}


NETS = """
import ctypes, os, random, signal, subprocess, sys, threading, torch
from torch import nn
def gray(): return nn.Conv2d(1, 8, 3)
def good(): return nn.Conv2d(3, 8, 3)
def moves():
    os.chdir("/")
    raise ValueError("no luck")
def dies(): os.kill(os.getpid(), signal.SIGKILL)
def leaves(): os._exit(9)
def exits(): sys.exit("no licence")
def writes():
    os.write(1, b"from Python")
    ctypes.CDLL(None).printf(b"from C")
    subprocess.run(["echo", "from a child"])
    return good()
def forks():
    os.fork()
    return good()
def waits():
    threading.Thread(target=threading.Event().wait).start()
    return good()
def changes():
    os.chdir("/")
    os.environ["FLOPBENCH_CACHE_DIR"] = "elsewhere"
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(3)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.alarm(1)
    sys.setrecursionlimit(2000)
    random.seed(5)
    torch.manual_seed(5)
    return good()
"""


def process_state() -> tuple[Any, ...]:
    """Return what a factory may change."""
    torch_state = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    flags = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    drawn = random.getstate(), torch.random.get_rng_state().tolist()
    process = os.getcwd(), dict(os.environ), sys.getrecursionlimit(), torch.get_num_threads()
    timer = signal.getitimer(signal.ITIMER_REAL)
    return torch_state, flags, drawn, process, timer, signal.getsignal(signal.SIGINT)


def rows_of(text: str) -> dict[str, list[dict[str, Any]]]:
    """Group the rows of a table's JSON by model."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(text)["rows"]:
        rows.setdefault(row["model"], []).append(row)
    return rows


def test_one_bad_model_never_takes_the_table_down(run_cli: RunCli, tmp_path: Path) -> None:
    """All rows, the bad ones with their reasons, each named once on stderr; exit status 3."""
    (tmp_path / "nets.py").write_text(NETS)
    bad = ["nets.py:moves@8", "nets.py:gray@8", "resnet5O@8", "net.onnx", "nets.py:none@8"]
    args = ["table", *bad, "nets.py:good@8", "value:7", "--format", "json"]
    done = run_cli(*args, "--counter", "torch,thop", "--counter", "fvcore")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    rows = rows_of(done.stdout)
    assert {r["dense_macs"] for r in rows["nets.py:good"]} == {8 * 27 * 36}
    for text in bad:
        (note,) = {note for r in rows[text.partition("@")[0]] for note in r["notes"]}
        assert {r["status"] for r in rows[text.partition("@")[0]]} == {"failed"}
        assert note.removeprefix(text).lstrip() in done.stderr
        assert done.stderr.count(f"could not measure {text}: ") == 1
    assert "the network takes 1 channel, not 3: write nets.py:gray@1x1x8x8, or let" in done.stderr


def test_a_worker_that_dies_takes_no_other_model_down(run_cli: RunCli, tmp_path: Path) -> None:
    """What it took along is measured again, each alone."""
    (tmp_path / "nets.py").write_text(NETS)
    models = ("nets.py:dies@8", "nets.py:good@8", "nets.py:gray@8")
    done = run_cli("table", *models, "--jobs", "2", "--counter", "torch", "--format", "json")
    assert done.returncode == 3
    rows = rows_of(done.stdout)
    assert rows["nets.py:dies"][0]["notes"] == [
        "its worker process was killed, probably for lack of memory (SIGKILL)"
    ]
    assert rows["nets.py:good"][0]["dense_macs"] == 8 * 27 * 36
    assert "1 channel" in rows["nets.py:gray"][0]["notes"][0]


def test_a_factory_changes_nothing_for_others(run_cli: RunCli, tmp_path: Path) -> None:
    """It prints from C, forks, exits, leaves a thread, sets all that is global: stdout is data."""
    (tmp_path / "nets.py").write_text(NETS)
    names = ["writes", "leaves", "forks", "exits", "waits", "changes", "good"]
    before = process_state()
    models = [f"nets.py:{name}@8" for name in names]
    done = run_cli("table", *models, "--counter", "torch,thop", "--format", "json")
    assert process_state() == before
    assert done.returncode == 3
    rows = rows_of(done.stdout)
    for name, said in (("leaves", "os._exit(9)"), ("exits", "SystemExit: no licence")):
        assert all(said in row["notes"][0] for row in rows.pop(f"nets.py:{name}"))
    assert {row["dense_macs"] for of in rows.values() for row in of} == {8 * 27 * 36}
    assert len(rows) == len(names) - 2
    for text in ("from Python", "from C", "from a child"):
        assert text in done.stderr
    assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())


def test_a_table_in_python_keeps_its_failures() -> None:
    """One row a counter, with the reason; the only line of a table is an error."""
    table = flopbench.cost_table(["vit_b_16@112", "squeezenet1_1@64"], counters=["torch", "thop"])
    assert [r.status for r in table] == ["failed"] * 2 + ["verified"] * 2
    assert "Wrong image height" in table.rows[0].notes[0]
    with pytest.raises(FlopbenchError, match="Wrong image height"):
        flopbench.cost_table(["vit_b_16@112"], counters=["torch"])

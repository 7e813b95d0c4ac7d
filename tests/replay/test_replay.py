"""A replay: its passes under a simulated clock, and the verb as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, RunCli, assert_refused
from logs import write_log
from warm import run_python

from flopbench.core.errors import DataError, MeasureError
from flopbench.replay import parts
from flopbench.replay.figures import figures_of
from flopbench.replay.records import MODES, read_replay
from flopbench.replay.run import ReplayChoices, replay_of_log

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("warm_workers")

from replay_clock import ADAPTIVE, MACS, READ_S, VIDEOS, call_s, replayed  # noqa: E402

from flopbench.models.build.built import Built  # noqa: E402
from flopbench.models.build.by_source import build  # noqa: E402
from flopbench.models.spec import parse_spec  # noqa: E402
from flopbench.replay.measure import executor  # noqa: E402
from flopbench.replay.measure.device import Device  # noqa: E402
from flopbench.replay.measure.jobs import (  # noqa: E402
    open_images,
    replay,
)
from flopbench.replay.measure.networks import Bucket, Network, run_once  # noqa: E402

STEADY = ROOT / "tests" / "data" / "steady.jsonl"
FACTORS = ("arms", "fragmentation", "policy", "synchronisation")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four videos of four steps."""
    return write_log(tmp_path / "run.jsonl", ADAPTIVE, [{"actions": row} for row in VIDEOS])


def test_a_log_without_a_method_is_named_by_its_file(tmp_path: Path) -> None:
    """The whole name of the file, whatever words it holds."""
    replay = replayed(write_log(tmp_path / "cats and dogs.jsonl", ADAPTIVE, [{"actions": [0]}]))
    assert (replay.method, replay.source) == ("cats and dogs.jsonl", "cats and dogs.jsonl")


def test_a_replay_says_how_far_it_is(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each chunk, in videos of all rounds, modes and processes: online 1, split all 4."""
    # 7 big, 2 small, 13 policy, 13 LSTM, in three passes; the baseline's 16 big once; 2 FLOPs.
    macs = 3 * (7 * 4096 + 2 * 1024 + 13 * 256 + 13 * 192) + 16 * 4096
    monkeypatch.setattr(parts, "CPU_FLOPS_PER_S", 2 * macs * 2 * 2 / 36)  # 36 s a process
    told: list[tuple[int, int, str]] = []
    said: list[str] = []
    replayed(
        log,
        modes=["online", "split"],
        processes=2,
        progress=lambda *how_far: told.append(how_far),
        say=said.append,
    )
    assert said == ["2 processes, about 80 s"]  # 2 × (4 s to start + 36 s)
    process = [0, 0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16]
    rounds = [(done, what) for done, total, what in told if total == 2 * 2 * 2 * 4]
    assert [done for done, _ in rounds] == [*process, *(16 + done for done in process)]
    assert [what for _, what in rounds[:7]] == [
        *["process 1 of 2"] * 2,
        *["process 1 of 2, online"] * 4,
        "process 1 of 2, split",
    ]


# Of the four videos, by hand: the sizes of the arms' calls, of the policy's calls (the LSTM's are
# the same), the host's reads, and the baseline's size of a call.
BY_HAND = {
    "online": ({"big": [1] * 7, "small": [1] * 2}, [1] * 13, 1),
    # step 0: big 3, small 1; step 1: small 1, big 1; step 2: big 1; step 3: big 2
    "split": ({"big": [3, 1, 1, 2], "small": [1, 1]}, [4, 4, 2, 3], 4),
    "bucketed": ({"big": [2, 2, 2, 1], "small": [2]}, [4, 4, 2, 3], 2),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_factors_are_exact_under_a_known_clock(log: Path, mode: str) -> None:
    """Each link of the chain is what the calls of that mode take, to the last digit."""
    arms, decided, batch = BY_HAND[mode]
    figures = figures_of(replayed(log, modes=[mode]), mode)
    chain = figures.waterfall
    base = 4 * call_s("big", batch) / batch
    macs = [7 * MACS["big"] + 2 * MACS["small"], 13 * (MACS["policy"] + MACS["lstm"])]
    whole = 4 * 4 * MACS["big"]
    policy_share = base * macs[1] / whole
    unit = {name: call_s(name, batch) / batch for name in arms}
    arms_s = sum(call_s(name, n) for name, sizes in arms.items() for n in sizes) / 4
    before_s = sum(call_s("policy", n) + call_s("lstm", n) for n in decided) / 4
    expected = [
        base * sum(macs) / whole,
        policy_share + (7 * unit["big"] + 2 * unit["small"]) / 4,
        policy_share + arms_s,
        arms_s + before_s,
        arms_s + before_s + len(decided) * READ_S / 4,
    ]
    assert list(chain.chain_s.values()) == pytest.approx(expected, rel=1e-12)
    assert chain.theory == pytest.approx(whole / sum(macs), rel=1e-12)
    assert chain.measured == pytest.approx(base / expected[-1], rel=1e-12)
    assert chain.interval == pytest.approx((chain.measured, chain.measured))
    product = chain.theory
    for name in FACTORS:
        product *= getattr(chain, name)
    assert product == pytest.approx(chain.measured, rel=1e-12)
    assert figures.calls == {name: len(sizes) for name, sizes in arms.items()}
    assert figures.videos_per_s == pytest.approx(1 / expected[-1])


def test_a_bucketed_baseline_gathers_nothing(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames stand ready, as in other modes and for the arms' own times; what ``put`` would
    take on the clock is in no time of theirs.
    """
    put = Bucket.put

    def slow(self: Any, rows: Sequence[int], at: int) -> None:
        self._device.t += 1000 * len(rows)
        put(self, rows, at)

    monkeypatch.setattr(Bucket, "put", slow)
    run = replayed(log, modes=["bucketed"]).runs[0].modes["bucketed"]
    for row in run.baseline:
        assert row[3] == row[2] / 2 * call_s("big", 2)
    assert max(row[3] for row in run.arms) < 1000 < min(row[3] for row in run.full)


def test_without_marks_a_video_is_done_with_its_group(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPS has no times within a group, and nothing waits for them either."""
    monkeypatch.setattr(Device, "has_marks", False)
    monkeypatch.setattr(Device, "mark", lambda self: pytest.fail("a mark"))
    run = replayed(log, modes=["bucketed"]).runs[0].modes["bucketed"]
    assert {seconds for *_, seconds in run.latencies} == {run.full[0][3]}


def test_latencies_are_those_of_the_mode(log: Path) -> None:
    """Online a video's own time; split its batch's; bucketed until its last bucket has run."""
    result = replayed(log)
    own = {mode: result.runs[0].modes[mode] for mode in MODES}
    assert list(own["split"].executed.arms) == ["big", "small"]
    for mode in ("online", "split"):
        for number, chunk, videos, seconds, _ in own[mode].full:
            done = [s for n, v, s in own[mode].latencies if n == number and v // videos == chunk]
            assert done == [seconds] * videos
    (first, second) = (row[3] for row in own["bucketed"].full)
    assert first == second
    done = {v: s for n, v, s in own["bucketed"].latencies if n == 0}
    assert max(done.values()) == first  # the bucket that was flushed at the end
    # The first bucket holds videos 0 and 1, but only video 0 has nothing more to come at 'big'.
    assert done[0] < done[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_policy_that_never_adapts_gains_and_loses_nothing(tmp_path: Path, mode: str) -> None:
    """All decisions at full size, no policy: ratio 1 in its interval, every factor 1."""
    header = {"actions": ADAPTIVE["actions"][:1], "components": {"big": "linear:64x64"}}
    log = write_log(tmp_path / "run.jsonl", header, [{"actions": [0] * 4}] * 6)
    chain = figures_of(replayed(log, modes=[mode], batch=3, group=4), mode).waterfall
    assert chain.interval is not None
    assert chain.interval[0] <= 1 + 1e-12
    assert chain.interval[1] >= 1 - 1e-12
    for name in ("theory", *FACTORS, "measured"):
        assert getattr(chain, name) == pytest.approx(1, rel=1e-12), name


def exits_log(folder: Path) -> Path:
    """Five videos that leave after one, two or three stages of a policy-free network."""
    header = {
        "steps": 3,
        "exits": [{"name": f"frame {n}", "costs": {"big": n}} for n in (1, 2, 3)],
        "components": {"big": "linear:64x64"},
    }
    return write_log(folder / "exits.jsonl", header, [{"exit": n} for n in (0, 2, 1, 0, 2)])


def test_exits_shrink_the_batch(tmp_path: Path) -> None:
    """A stage is one call of all that came to it, and its gate is read before the next."""
    result = replayed(exits_log(tmp_path))
    assert result.exits == {"frame 1": 2, "frame 2": 1, "frame 3": 2}
    assert (result.baseline.name, result.baseline.per) == ("frame 3", "video")
    own = {mode: result.runs[0].modes[mode].executed for mode in MODES}
    assert own["split"].arms == {"big": {"2": 1, "3": 1, "5": 1}}
    assert own["split"].reads == 2
    # 5 = 2 + 2 + 1, 3 = 2 + 1, 2; a gate does not wait for a full bucket
    assert own["bucketed"].arms == {"big": {"1": 2, "2": 4}}
    assert own["bucketed"].reads == 5
    assert own["online"].arms == {"big": {"1": 10}}
    assert own["online"].reads == 8
    for mode in MODES:
        assert own[mode].exits == [2, 1, 2]
    chain = figures_of(result, "online").waterfall
    # 15 calls against 10; the five videos' eight gates are read
    assert chain.theory == pytest.approx(1.5)
    assert chain.measured == pytest.approx(15 * 23 / (10 * 23 + 8 * READ_S))


def test_streams_and_spans_of_their_own(tmp_path: Path) -> None:
    """Streams share the policy of a step; decisions with spans of their own stand apart."""
    header = {
        "encoding": "per_decision",
        "steps": 4,
        "streams": ["x", "y"],
        "actions": [
            {"name": "use", "stream": "x", "costs": {"big": 1}},
            {"name": "skip", "stream": "x", "kind": "skip"},
            {"name": "use", "stream": "y", "costs": {"small": 2}},
            {"name": "skip", "stream": "y", "kind": "skip"},
        ],
        "charges": {"per_step": {"policy": 1}},
        "components": {k: ADAPTIVE["components"][k] for k in ("big", "small", "policy")},
    }
    samples = [
        {"actions": {"x": [0, 1], "y": [0, 0, 0]}, "spans": {"x": [1, 3], "y": [1, 2, 1]}},
        {"actions": {"x": [0, 1, 0], "y": [1]}, "spans": {"x": [1, 2, 2], "y": [4]}},
    ]
    result = replayed(write_log(tmp_path / "run.jsonl", header, samples))
    assert result.actions == {"x: use": 3, "x: skip": 2, "y: use": 3, "y: skip": 1}
    assert result.baseline.name == "x: use + y: use"
    assert result.baseline.runs == {"big": 1, "small": 2}
    split = result.runs[0].modes["split"].executed
    assert split.policy == {"policy": {"2": 4}}
    assert split.reads == 4
    assert split.arms == {"big": {"1": 1, "2": 1}, "small": {"1": 6}}


def test_the_baseline_can_be_named(log: Path, tmp_path: Path) -> None:
    """An action, an exit or a component in place of the most expensive action."""
    assert replayed(log).baseline.runs == {"big": 1}
    assert replayed(log, baseline=["small"]).baseline.name == "small"
    assert replayed(log, baseline=["policy"]).baseline.runs == {"policy": 1}
    own = replayed(exits_log(tmp_path), baseline=["frame 1"]).baseline
    assert (own.runs, own.units) == ({"big": 1}, 5)


def test_the_device_has_work_while_the_host_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In buckets the calls of a step go to the device behind the next step's policy."""
    seen: list[str] = []
    for kind, method, word in (
        (Device, "ask", "ask"),
        (Device, "answer", "wait"),
        (Bucket, "run", "bucket"),
    ):
        original = getattr(kind, method)

        def noted(self: Any, *args: Any, original: Any = original, word: str = word) -> Any:
            seen.append(word)
            return original(self, *args)

        monkeypatch.setattr(kind, method, noted)
    log = write_log(tmp_path / "run.jsonl", ADAPTIVE, [{"actions": [0, 0]}] * 4)
    replayed(log, modes=["bucketed"], bucket=4, processes=1, rounds=1)
    text = " ".join(seen)
    assert "ask wait ask bucket wait bucket" in text


def test_a_remainder_is_padded_to_a_captured_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """With graphs of 1, 2, 4 and 6, three items run in the graph of 4."""

    class Graph:
        def __init__(self, size: int) -> None:
            self.size = size

        def replay(self) -> None:
            ran.append(self.size)

    ran: list[int] = []
    device = Device()
    network = Network("a", build(parse_spec("linear:4x4"), "cpu"), device, largest=6)
    bucket = Bucket(network, 6, device)
    bucket._graphs = {size: (Graph(size), None) for size in (6, 4, 2, 1)}
    for n in range(1, 7):
        bucket.run(n)
    assert ran == [1, 2, 4, 4, 6, 6]


def test_states_follow_their_videos() -> None:
    """A subset of rows finds and leaves the states of its own videos."""
    with torch.inference_mode():
        built = build(parse_spec("lstm:3x2"), "cpu")
        network = Network("l", built, Device(), largest=4, recurrent=True)
        network._pool = [torch.ones_like(leaf) for leaf in network._pool]
        network.begin()
        network.on([0, 2], 4)
        network.on([2], 4)
        twice = network.on([0, 1, 2, 3], 4)[:, -1]
        x, module = torch.ones(1, 1, 3), built.module
        outputs, state = [], None
        for _ in range(3):
            output, state = module(x) if state is None else module(x, state)
            outputs.append(output[0, -1])
    for row, calls in enumerate((2, 1, 3, 1)):
        assert torch.allclose(twice[row], outputs[calls - 1], atol=1e-6), row


def test_a_round_that_ran_something_else_is_refused(log: Path, monkeypatch: Any) -> None:
    """The executor's own count must be the log's."""
    by_call = executor.by_call

    def one_too_few(visits: Sequence[Any], shared: Any) -> Any:
        return by_call(visits[:-1], shared)

    monkeypatch.setattr(executor, "by_call", one_too_few)
    with pytest.raises(AssertionError, match="online: ran"):
        replayed(log)


def test_a_file_is_read_back_and_damage_is_told(log: Path) -> None:
    """What was saved gives the same figures; a newer or a damaged file names its defect."""
    result = replayed(log)
    data = json.loads(result.dumps())
    again = read_replay(data)
    assert again == result
    assert figures_of(again, "split") == figures_of(result, "split")
    bad_calls = [
        ({"4": 0}, r"runs\[0\].modes.online.executed: arms.big: 0 calls of '4' items"),
        ({"four": 1}, "1 calls of 'four' items"),
        ({"0": 1}, "1 calls of '0' items"),
        ({}, "executed: arms.big: no calls"),
    ]

    def arms(d: Any) -> Any:
        return d["runs"][0]["modes"]["online"]["executed"]["arms"]

    def full(d: Any) -> Any:
        return d["runs"][0]["modes"]["split"]["full"][0]

    damages: list[tuple[Callable[[Any], Any], str]] = [
        (lambda d: d.update(schema=2), "schema 2; this flopbench reads up to 1"),
        (lambda d: d.update(schema=True), "'schema' is True"),
        (lambda d: d.update(kind="other"), "is not a flopbench replay"),
        (lambda d: d.pop("videos"), "videos"),
        (lambda d: d.update(runs=[]), "no process"),
        (lambda d: d["runs"][0]["modes"].pop("split"), r"runs\[0\]: the modes are"),
        (lambda d: d["runs"][0]["modes"]["split"]["full"].pop(), "its rounds are not|no time"),
        (
            lambda d: d["runs"][1]["modes"]["split"]["unit"].pop("big"),
            "unit.big: its rounds are not",
        ),
        (lambda d: full(d).__setitem__(2, 0), r"modes\.split\.full\[0\]\[2\] is 0 where a whole"),
        (lambda d: full(d).__setitem__(3, -1), r"modes\.split\.full\[0\]\[3\] is -1 where a"),
        (lambda d: full(d).__setitem__(4, float("nan")), r"full\[0\]\[4\] is nan where a finite"),
        (lambda d: d["clocks"].pop(), "'clocks' is a list of 1 where a list of 2"),
        (lambda d: d["device"].pop("name"), "device.name is missing"),
        (lambda d: d["settings"].pop("frames"), "settings.frames is missing"),
        (lambda d: d["baseline"]["runs"].update(huge=1), "no component 'huge'"),
        *((lambda d, c=c: arms(d).update(big=c), m) for c, m in bad_calls),
        (lambda d: arms(d).update(huge={"1": 1}), "executed.arms.huge: there is no such component"),
    ]
    for damage, message in damages:
        broken = json.loads(result.dumps())
        damage(broken)
        with pytest.raises(DataError, match=message):
            read_replay(broken, "replay.json")


SMALL = (
    "--component", "resnet50=resnet18@32", "--component", "resnet34=mobilenet_v2@32",
    "--component", "resnet18=linear:64x64", "--component", "policy=linear:64x32",
    "--component", "lstm=lstm:32x16", "--processes", "1", "--rounds", "1", "--device", "cpu",
)  # fmt: skip


@pytest.mark.slow
def test_all_modes_on_real_networks(run_cli: RunCli, tmp_path: Path) -> None:
    """32 videos on the CPU: the decisions executed are the log's, the factors multiply up, and
    the saved file prints the same without torch.
    """
    done = run_cli(
        "replay", "--policy-log", str(STEADY), "--videos", "32", *SMALL, "-o", "replay.json"
    )
    assert done.returncode == 0, done.stderr
    assert "a single process" in done.stderr
    data = json.loads((tmp_path / "replay.json").read_text(encoding="utf-8"))
    assert list(data["modes"]) == list(MODES)
    for mode, own in data["runs"][0]["modes"].items():
        assert own["executed"]["decisions"] == list(data["actions"].values())
        runs = {
            name: sum(int(size) * n for size, n in sizes.items())
            for name, sizes in own["executed"]["arms"].items()
        }
        assert runs == {k: p["arm_runs"] for k, p in data["parts"].items() if p["arm_runs"]}
        chain = data["summary"][mode]
        product = chain["theory"]
        for name in FACTORS:
            product *= chain[name]
        assert product == pytest.approx(chain["measured"], rel=1e-9)
    assert data["runs"][0]["modes"]["bucketed"]["executed"]["arms"]["resnet50"]["16"] > 1
    assert data["clocks"] == ["process CPU time", "wall time"]
    assert data["source"] == "steady.jsonl"
    for format, needle in (
        ("table", "Decisions in the log"),
        ("md", "| online |"),
        ("csv", "steady,split,32"),
        ("latex", r"\toprule"),
        ("json", '"flopbench.replay"'),
    ):
        command = ("replay", "--from", "replay.json", "--format", format)
        shown = run_cli(*command)
        assert shown.returncode == 0, shown.stderr
        assert needle in shown.stdout
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was imported')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    shown = run_cli("replay", "--from", "replay.json", env={"PYTHONPATH": path}, process=True)
    assert shown.returncode == 0, shown.stderr


def test_images_of_a_folder_are_frames(run_cli: RunCli, tmp_path: Path) -> None:
    """Images are decoded and resized beforehand; a network that takes none says so."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "frames").mkdir()
    for n in range(2):
        image.new("RGB", (50, 40), (90 * n, 9, 9)).save(tmp_path / "frames" / f"{n}.png")
    base = ("replay", "--policy-log", str(STEADY), "--videos", "2", *SMALL, "--modes", "online")
    done = run_cli(*base, "--frames", "frames")
    assert done.returncode == 0, done.stderr
    assert "no images fit" in done.stdout
    (tmp_path / "frames" / "2.png").write_bytes(b"no image")
    assert_refused(run_cli(*base, "--frames", "frames"), "2.png cannot be read")
    (tmp_path / "empty").mkdir()
    assert_refused(run_cli(*base, "--frames", "empty"), "holds no images")


def test_a_huge_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow treats it as an attack, with an error that is not an OSError."""
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (50, 40)).save(tmp_path / "huge.png")
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"huge\.png cannot be read"):
        open_images(str(tmp_path))


FAULTY = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls, self.inner = 0, torch.nn.Linear(4, 4)

    def forward(self, x):
        self.calls += 1
        if self.calls > {after}:
            {fault}
        return self.inner(x)

def build():
    return Net(), (torch.rand(1, 4),)
"""


@pytest.mark.parametrize(
    ("after", "fault", "needle"),
    [
        (0, "raise KeyError('no such key')", "fails on a batch of 1"),
        (0, "raise SystemExit(5)", "fails on a batch of 1"),
        (0, "raise MemoryError('all gone')", "out of memory"),
        (4, "raise KeyError('no such key')", "fails in round 1 of mode online"),
        (4, "raise RuntimeError('CUDA out of memory')", "out of memory"),
    ],
)
def test_a_component_that_fails_is_named(
    tmp_path: Path, after: int, fault: str, needle: str
) -> None:
    """Whatever it raises, in the warm-up or in a round: one message, no traceback."""
    space: dict[str, Any] = {}
    exec(FAULTY.format(after=after, fault=fault), space)
    header = {"actions": [{"name": "a", "costs": {"big": 1}}], "components": {"big": "linear:4x4"}}
    path = write_log(tmp_path / "run.jsonl", header, [{"actions": [0] * 2}] * 2)

    def run(target: str, job: Mapping[str, Any], *, threads: int | None) -> dict[str, Any]:
        module, args = space["build"]()
        network = Network("big", Built(module=module, args=args, input="4"), Device(), largest=2)
        with torch.inference_mode():
            return replay(job, {"big": network}, Device())

    choices = ReplayChoices(modes=["online"], device="cpu", processes=1)
    with pytest.raises(MeasureError, match="component 'big'") as caught:
        replay_of_log([path], choices, run=run)
    assert needle in str(caught.value)


def test_a_component_that_torch_compile_leaves_alone_is_told() -> None:
    """A silent fallback to the eager model is not a compiled model."""

    class Eager(torch.nn.Module):
        @torch.compiler.disable
        def forward(self, x: Any) -> Any:
            return x + 1

    built = Built(module=Eager(), args=(torch.rand(1, 4),), input="4")
    network = Network("big", built, Device(), largest=2, compiled=True)
    run_once(network, 2)
    with pytest.raises(MeasureError, match="compiled none of component 'big'"):
        network.settle()


def test_channels_last_lays_out_weights_by_their_dimensions() -> None:
    """Weights of 3-D convolutions in the 5-D format, those of 2-D ones in the 4-D one."""
    for conv, shape, form in (
        (torch.nn.Conv3d(3, 4, 3), (1, 3, 5, 6, 7), torch.channels_last_3d),
        (torch.nn.Conv2d(3, 4, 3), (1, 3, 6, 7), torch.channels_last),
    ):
        built = Built(module=conv, args=(torch.rand(shape),), input="")
        network = Network("a", built, Device(), largest=2, channels_last=True)
        assert conv.weight.is_contiguous(memory_format=form)
        assert network.ready(2)[0].is_contiguous(memory_format=form)
        network.bare(2)


def test_a_saved_replay_is_not_measured_again(run_cli: RunCli) -> None:
    """Options that affect what is measured are refused with --from, also --seed 0."""
    for args in (
        ("--device", "cpu"),
        ("--modes", "online"),
        ("--seed", "0"),
        ("--channels-last",),
        ("--duplicates", "first"),
        ("--processes", "3"),
    ):
        done = run_cli("replay", "--from", "r.json", *args)
        assert_refused(done, f"saved replays as they are: {args[0]} cannot apply")


@pytest.mark.parametrize(
    ("args", "needles"),
    [
        (("--modes", "online,spilt"), ("--modes names 'spilt'", "did you mean 'split'?")),
        (("--modes", ","), ("names no mode",)),
        (("--baseline", "resnet51@224"), ("did you mean 'resnet50@224'?",)),
        (("--baseline", "skip 4"), ("--baseline 'skip 4' costs nothing",)),
        (("--component", "lstm=value:5"), ("lstm is a constant", "--component lstm=MODEL")),
        (("--component", "lsmt=lstm:4x4"), ("did you mean 'lstm'?",)),
        (("--variant", "lstm=count"), ("did you mean 'counted'?",)),
        (("--seed", "-1"), ("--seed is -1",)),
        (("--videos", "201"), ("--videos is 201", "200 videos")),
        (("--frames", "nowhere"), ("there is no such folder",)),
        (("--batch", "0"), ("--batch",)),
        (("--batch", "x"), ("--batch",)),
    ],
)
def test_what_means_nothing_is_refused(
    run_cli: RunCli, args: tuple[str, ...], needles: tuple[str, ...]
) -> None:
    """One message that names the flag and a way out, exit status 2, nothing on stdout."""
    base = ("replay", "--policy-log", str(STEADY), "--device", "cpu")
    assert_refused(run_cli(*base, *args), *needles)


def test_a_device_that_is_not_here(run_cli: RunCli) -> None:
    """The message names what is here instead."""
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = run_cli("replay", "--policy-log", str(STEADY), *SMALL[:-1], "cuda")
    assert_refused(done, "no CUDA device", "available: cpu")


@pytest.mark.parametrize(
    ("component", "action", "needles"),
    [
        ("value:5", {"costs": {"a": 1}}, ("a is a constant", "--component a=MODEL")),
        ("nets.py:build@8", {"costs": {"a": 1}}, ("a log does not run", "--component a=nets.py")),
        ("resnet18@32", {"costs": {"a": 0.5}}, ("the action 'r' costs 0.5 runs",)),
        ("resnet18@32", {}, ("nothing ever runs", "--preset NAME")),
    ],
)
def test_logs_that_cannot_be_run(
    run_cli: RunCli, tmp_path: Path, component: str, action: Any, needles: tuple[str, ...]
) -> None:
    """Constants without a network, code of the user's own, fractions and nothing are refused."""
    header = {"components": {"a": component}, "actions": [{"name": "r", **action}]}
    path = write_log(tmp_path / "d.jsonl", header, [{"actions": [0]}])
    assert_refused(run_cli("replay", "--policy-log", str(path), "--device", "cpu"), *needles)
    assert_refused(run_cli("replay", "--from", str(path)), "d.jsonl:2:1 is not JSON")


def test_a_preset_of_constants_runs_its_networks(run_cli: RunCli, tmp_path: Path) -> None:
    """FrameExit's printed figure cannot be run: its network variant is, and a note says so."""
    log = write_log(tmp_path / "run.jsonl", {"preset": "frameexit"}, [{"exit": 0}, {"exit": 1}])
    preset = run_cli(
        "replay", "--policy-log", str(log), "--component", "resnet50=resnet18@32", "--modes",
        "online", "--processes", "1", "--rounds", "1", "--format", "csv", "--device", "cpu",
    )  # fmt: skip
    assert preset.returncode == 0, preset.stderr
    # ten frames against one and two
    assert float(preset.stdout.splitlines()[1].split(",")[5]) == pytest.approx(20 / 3)


STOPPED = """
import pathlib, signal, sys, flopbench.replay.run as r
from flopbench.cli import main
from flopbench.core.errors import MeasureError

run, seen, target = r.run_job, [], pathlib.Path({target!r})

def job(*args, **kwargs):
    assert target.exists() == bool(seen)
    if len(seen) == {finish}:
        {stop}
    seen.append(1)
    return run(*args, **kwargs)

replay_of_log = r.replay_of_log
r.replay_of_log = lambda *a, **k: replay_of_log(*a, **k, run=job)
options = ["--rounds", "1", "--device", "cpu", "-o", {target!r}]
sys.exit(main(["replay", "--policy-log", {log!r}, *options]))
"""


@pytest.mark.parametrize(
    ("stop", "status", "failure", "first", "later"),
    [
        (
            "signal.raise_signal(signal.SIGINT)",
            130,
            "",
            ["no file is half written"],
            ["1 of 3 processes finished"],
        ),
        (
            "raise MeasureError('the disk is on fire')",
            3,
            "the disk is on fire",
            ["the disk is on fire"],
            ["the disk is on fire", "process 2 failed"],
        ),
    ],
)
def test_what_stops_a_replay_keeps_the_processes_that_finished(
    log: Path, stop: str, status: int, failure: str, first: list[str], later: list[str]
) -> None:
    """An interrupt, or a failure: they are written after each process, the message says why it is
    not complete. In the first process it is an interrupt or an error like any other.
    """
    target = log.parent / "replay.json"
    for finish, needles in ((0, first), (1, [*later, "1 finished process kept in"])):
        code = STOPPED.format(target=str(target), finish=finish, stop=stop, log=str(log))
        if failure:
            done = run_python(["-c", code], log.parent, os.environ)
        else:  # a signal needs a new interpreter
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        for needle in needles:
            assert needle in done.stderr
        assert target.exists() == bool(finish)
    data = json.loads(target.read_text(encoding="utf-8"))
    assert (len(data["runs"]), data["failure"]) == (1, failure)

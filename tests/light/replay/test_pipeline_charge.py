"""Stages of a pipeline charged with decisions: the sum by hand, sharing, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from clocks import some_device
from conftest import ROOT, RunCli, assert_refused
from logs import write_log

from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.replay.pipeline import pipeline_parts
from flopbench.replay.prediction import predict
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.records import ProcessRun, Timing, TimingSpec, Work

LOG = ROOT / "tests" / "data" / "steady.jsonl"
CHOICES = Choices(counter="published", variants={"lstm": "released"}, alone=True)
NETWORKS = {
    "resnet50@224,classes=200": 40.0,
    "resnet34@168,classes=200": 16.0,
    "resnet18@112,classes=200": 5.0,
    "mobilenet_v2@84,classes=200": 3.0,
    "lstm:1280x512": 1.0,
}
SIZES = {"224": 4.0, "168": 3.0, "112": 2.0, "84": 1.5}
STAGES = {
    "decode: h264 720x1280": 2.5,
    "colour: yuv420p 720x1280": 12.0,
    **{f"resize: 720x1280 to {size}": ms for size, ms in SIZES.items()},
    **{f"normalise: {size}": ms / 8 for size, ms in SIZES.items()},
}
"""Milliseconds, no two sums of which are alike."""
ARMS = [40.0, 16.0, 5.0, 0, 0, 0, 0]
SEEN_AT = ["224", "168", "112"]
SPANS = [1, 1, 1, 1, 1, 2, 4]


def file(rows: dict[str, float], threads: int = 1, **facts: str) -> TimingFile:
    """Return rows of three equal processes."""
    timings = []
    for spec, ms in rows.items():
        columns = {"wall_s": (ms / 1e3,) * 9, "cpu_s": (ms / 1e3,) * 9}
        one = ProcessRun(
            first_s=0.0,
            warm_up_calls=9,
            warm_up_s=1.0,
            settled=True,
            stopped="precise",
            calls_per_sample=1,
            columns=columns,
        )
        size = spec.rpartition(" ")[2] if ": " in spec else ""
        what = TimingSpec(spec=spec, threads=threads)
        work = Work(input=size)
        timings.append(Timing(what=what, lead="cpu_s", processes=(one,) * 3, work=work))
    return TimingFile(devices=(some_device(**facts),), rows=tuple(timings))


PIPELINE = file(STAGES, av__version="18.1.0")
BOTH = merge([file(NETWORKS), PIPELINE])


@pytest.fixture(scope="module")
def run() -> Run:
    """Return the counted log, its prices quoted."""
    return run_of_log([LOG], CHOICES)


def decisions(actions: list[int]) -> list[int]:
    """Return the decisions of a video: one for each span of equal actions, or its rest."""
    taken, at = [], 0
    while at < len(actions):
        end = at
        while end < len(actions) and actions[end] == actions[at]:
            end += 1
        taken += [actions[at]] * math.ceil((end - at) / SPANS[actions[at]])
        at = end
    return taken


def test_the_sum_by_hand(run: Run) -> None:
    """A policy that sees each decision's frame at 84 shares its colours, and its 84, with the arms;
    an arm has its own size; all sampled frames are decoded, three each where that is asked.
    """
    for decoded in (1, 3):
        total = []
        for line in LOG.read_text(encoding="utf-8").splitlines()[1:]:
            actions = json.loads(line)["actions"]
            ms = decoded * len(actions) * 2.5
            for action in decisions(actions):
                ms += ARMS[action] + 3.0 + 1.0 + 12.0 + 1.5 * 9 / 8
                ms += SIZES[SEEN_AT[action]] * 9 / 8 if action < 3 else 0
            total.append(ms)
        parts = pipeline_parts(run, BOTH, CHOICES, decoded=decoded)
        found = predict(run, BOTH.networks, CHOICES, further=parts)
        assert found.ms_per_video == pytest.approx(sum(total) / len(total), rel=1e-9)
        assert list(found.components)[:5] == ["resnet50", "resnet34", "resnet18", "policy", "lstm"]
    assert found.components["decode"].runs_per_video == pytest.approx(3 * 16)
    assert found.interval_ms is not None


SPECS = {"a": "resnet18@112", "b": "resnet34@112", "c": "resnet18@64", "l": "lstm:8x8"}


def own_log(folder: Path, actions: list[Any], more: dict[str, Any], taken: list[str]) -> Path:
    """Write a log of one video whose networks are charged as constants, so that none is counted."""
    components = {
        name: {"variants": {"quoted": 'value:1e9 "a test"', "network": spec}, "default": "quoted"}
        for name, spec in SPECS.items()
    }
    header = {"method": "m", "components": components, "actions": actions, **more}
    write_log(folder / "run.jsonl", header, [{"id": "v", "actions": taken}])
    return folder / "run.jsonl"


def own_times() -> tuple[TimingFile, TimingFile]:
    """Return times of these networks, and of the stages that they need."""
    stages = {**STAGES, "resize: 720x1280 to 64": 1.0, "normalise: 64": 0.1}
    return file(dict.fromkeys(SPECS.values(), 1.0)), file(stages)


def charged(tmp_path: Path, actions: list[Any], more: dict[str, Any], taken: list[str]) -> Any:
    """Return how often each stage is charged for one video; a and b see 112, c sees 64."""
    run = run_of_log([own_log(tmp_path, actions, more, taken)], Choices(alone=True))
    times = merge(own_times())
    found = predict(run, times.networks, further=pipeline_parts(run, times))
    return tuple(
        round(found.components[name].runs_per_video, 9) if name in found.components else 0
        for name in ("decode", "colour", "resize 112", "normalise 112", "resize 64")
    )


TWO = [
    {"name": "both", "costs": {"a": 1, "b": 1}},
    {"name": "small", "costs": {"c": 1}},
    {"name": "skip", "kind": "skip"},
]


@pytest.mark.parametrize(
    ("actions", "more", "expected"),
    [
        # both, both, small, skip: two networks of one action share a frame of 112
        (TWO, {}, (4, 3, 2, 2, 1)),
        # a policy sees the frame of every decision, and shares it with the arms
        (TWO, {"charges": {"per_decision": {"c": 1}}}, (4, 4, 2, 2, 4)),
        (TWO, {"charges": {"per_step": {"b": 1}}}, (4, 4, 4, 4, 1)),
        # an LSTM sees no frame
        (TWO, {"charges": {"per_decision": {"l": 1}}}, (4, 3, 2, 2, 1)),
        # one look at the whole video
        (TWO, {"charges": {"per_sample": {"c": 1}}}, (4, 4, 2, 2, 2)),
    ],
)
def test_a_frame_is_prepared_once_for_each_size(
    tmp_path: Path, actions: list[Any], more: dict[str, Any], expected: tuple[float, ...]
) -> None:
    """Decoded all the same; the expected counts are (decode, colour, 112, 112, 64)."""
    assert charged(tmp_path, actions, more, ["both", "both", "small", "skip"]) == expected


def test_images_that_no_network_sees_are_not_decoded(run: Run) -> None:
    """They are independent; and have no colours to convert."""
    images = {spec.replace("h264", "jpeg"): ms for spec, ms in STAGES.items()}
    del images["colour: yuv420p 720x1280"]
    parts = pipeline_parts(run, merge([file(NETWORKS), file(images)]), CHOICES)
    decode = parts[0]
    assert (decode.per_step, decode.per_decision) == (0, 1)
    assert "colour" not in {part.name for part in parts}


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (TimingFile(devices=(), rows=()), ("no stages of a pipeline", "--resize 224,168,112,84")),
        (merge([PIPELINE, file({"decode: vp9 360x640": 1.0})]), ("several clips", "of one")),
        (
            file({spec: ms for spec, ms in STAGES.items() if not spec.endswith("84")}),
            ("has no time of: resize 84, normalise 84", "--pipeline CLIP"),
        ),
        (file(STAGES, threads=4), ("threads of the stages are 4, of the networks 1", "alike")),
        (
            file(STAGES, cpu__model="Xeon"),
            ("not timed where resnet50@224,classes=200 was: cpu.model 'Xeon' and 'AMD EPYC'",),
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused(
    run: Run, stages: TimingFile, said: tuple[str, ...]
) -> None:
    """Each is one message with the way out."""
    with pytest.raises(InputError) as caught:
        pipeline_parts(run, merge([file(NETWORKS), stages]), CHOICES, file_name="t.json")
    for needle in said:
        assert needle in str(caught.value)


def test_a_network_of_clips_has_no_price_of_frames(tmp_path: Path) -> None:
    """How many frames it takes, and how often, no log says."""
    parts = {"variants": {"q": 'value:1 "t"', "n": "r3d_18@16x112x112"}, "default": "q"}
    header = {"method": "m", "components": {"clip": parts}, "actions": ["clip"]}
    write_log(tmp_path / "run.jsonl", header, [{"id": "v", "actions": ["clip"]}])
    run = run_of_log([tmp_path / "run.jsonl"], Choices(alone=True))
    with pytest.raises(InputError, match="takes clips of several frames"):
        pipeline_parts(run, BOTH)


def test_the_command_charges_and_says_what(run_cli: RunCli, tmp_path: Path) -> None:
    """The stages are components of the time; what the log does not know is said."""
    for times, name in zip(own_times(), ("t.json", "p.json"), strict=True):
        times.save(tmp_path / name)
    log = str(own_log(tmp_path, TWO, {}, ["both", "small", "skip"]))
    times = ("--times", "t.json", "p.json")
    given = ("estimate", log, *times, "--charge-pipeline", "--decoded", "3", "--wide")
    done = run_cli(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "decode: h264 720x1280" in done.stdout
    assert "beside them: decode, colour, resize 112, normalise 112, resize 64" in done.stdout
    assert "skipped or not" in done.stdout
    alone = run_cli("estimate", log, *times, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "h264" not in alone.stdout
    for more, said in (
        (("--charge-pipeline",), "which is not given"),
        ((*times, "--decoded", "3"), "--decoded belongs to --charge-pipeline"),
    ):
        assert_refused(run_cli("estimate", log, *more, cwd=tmp_path), said)

"""Times as prices: the sum by hand, what cannot be added, and how far the interval reaches."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocks import some_device
from conftest import ROOT, RunCli
from logs import write_log
from msgspec.structs import replace

from flopbench.core.bootstrap import interval
from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.replay.pipeline import pipeline_parts
from flopbench.replay.prediction import Prediction, predict, prediction_data
from flopbench.replay.prediction_text import prediction_tables
from flopbench.replay.run_times import run_times
from flopbench.replay.timed import Further, TimedComponent
from flopbench.timing.file import TimingFile
from flopbench.timing.records import ProcessRun, Timing, TimingSpec

LOG = ROOT / "tests" / "data" / "steady.jsonl"
SECONDS = {
    "resnet50@224,classes=200": 0.040,
    "resnet34@168,classes=200": 0.016,
    "resnet18@112,classes=200": 0.005,
    "mobilenet_v2@84,classes=200": 0.003,
    "lstm:1280x512": 0.001,
}
ARMS = [0.040, 0.016, 0.005, 0, 0, 0, 0]
"""By action; then every decision pays for the policy network and the LSTM."""


def row(spec: str, seconds: Sequence[float], **what: Any) -> Timing:
    """Return a row of processes whose calls all took the same."""
    return Timing(
        what=TimingSpec(spec=spec, **what),
        lead="cpu_s",
        processes=tuple(
            ProcessRun(
                first_s=s,
                warm_up_calls=10,
                warm_up_s=1.0,
                settled=True,
                stopped="precise",
                calls_per_sample=1,
                columns={"wall_s": (s,) * 30, "cpu_s": (s,) * 30, "wait_s": (0.0,) * 30},
            )
            for s in seconds
        ),
    )


def file(spread: float = 0.0, **what: Any) -> TimingFile:
    """Return a file with all components in three processes that differ by a share."""
    batch = what.get("batch", 1)
    factors = (1 - spread, 1.0, 1 + spread)
    rows = [row(spec, [s * f * batch for f in factors], **what) for spec, s in SECONDS.items()]
    return TimingFile(devices=(some_device(),), rows=tuple(rows))


@pytest.fixture(scope="module")
def run() -> Run:
    """Return the counted log, its prices quoted."""
    return run_of_log([LOG], CHOICES)


def priced(seconds: float, ends: tuple[float, float]) -> TimedComponent:
    """Return the time of something that is no network."""
    return TimedComponent(spec="a test", run_s=seconds, repeat_s=ends, joules=None, verdict="")


CHOICES = Choices(counter="published", by="class", variants={"lstm": "released"}, alone=True)
TIMED = Choices(by="class")


BESIDE = (
    Further(name="reading", timed=priced(0.0002, (0.0001, 0.0004)), per_step=1, per_sample=2),
    Further(
        name="switching",
        timed=priced(0.0005, (0.0005, 0.0006)),
        per_decision=2,
        per_run={"resnet50": 3, "policy": 1, "not of this log": 1},
    ),
)
BESIDE_ARMS = [3 * 0.0005, 0, 0, 0, 0, 0, 0]
"""The same by action; then every decision pays for 2 + 1 of 0.5 ms, a video for 16 + 2 of 0.2."""


def by_hand(beside: bool = False) -> list[float]:
    """Return the milliseconds of each video, from the rows of the log alone."""
    spans = [1, 1, 1, 1, 1, 2, 4]
    costs = []
    for line in LOG.read_text(encoding="utf-8").splitlines()[1:]:
        actions, total, at = json.loads(line)["actions"], 0.0, 0
        while at < len(actions):
            action = actions[at]
            end = at
            while end < len(actions) and actions[end] == action:
                end += 1
            decisions = math.ceil((end - at) / spans[action])
            total += decisions * (ARMS[action] + 0.003 + 0.001)
            if beside:
                total += decisions * (BESIDE_ARMS[action] + 3 * 0.0005)
            at = end
        total += (16 + 2) * 0.0002 if beside else 0
        costs.append(1e3 * total)
    return costs


def test_the_sum_by_hand(run: Run) -> None:
    """Runs × seconds; parts add up to the whole; one run is a share of its call."""
    for batch, further in ((1, ()), (8, ()), (1, BESIDE)):
        costs = by_hand(beside=bool(further))
        found = predict(run, file(batch=batch), TIMED, batch=batch, further=further)
        assert found.ms_per_video == pytest.approx(sum(costs) / len(costs), rel=1e-9)
        assert found.ms_per_frame == pytest.approx(found.ms_per_video / 16, rel=1e-9)
        assert found.videos_per_s == pytest.approx(1e3 * len(costs) / sum(costs), rel=1e-9)
        whole = sum(one.ms_per_video for one in found.components.values())
        assert whole == pytest.approx(found.ms_per_video, rel=1e-9)
        once = 2 * 0.2 if further else 0.0
        assert sum(found.actions_ms.values()) + once == pytest.approx(whole, rel=1e-9)
        videos = sum(group.videos or 0 for group in found.groups)
        means = sum(group.ms_per_video * (group.videos or 0) for group in found.groups)
        assert means / videos == pytest.approx(found.ms_per_video, rel=1e-9)
    assert found.components["resnet50"].run_s == pytest.approx(0.040)
    assert found.mj_per_video is None


def test_interval_joins_videos_and_processes(run: Run) -> None:
    """With equal processes it is the bootstrap's; the spread of processes is added in squares."""
    alone = predict(run, file(), TIMED)
    both = predict(run, file(spread=0.05), TIMED)
    assert alone.interval_ms is not None
    assert both.interval_ms is not None
    low, high = both.components["lstm"].repeat_s or (0.0, 0.0)
    assert low < 0.00095
    assert high > 0.00105
    for end, of_time in enumerate((low, high)):
        videos = alone.interval_ms[end] / alone.ms_per_video - 1
        times = of_time / 0.001 - 1
        joined = both.interval_ms[end] / both.ms_per_video - 1
        assert abs(joined) == pytest.approx(math.hypot(videos, times), rel=1e-6)


def test_what_is_charged_beside_the_networks(run: Run) -> None:
    """It has rows, times a video and a spread of its own; its name is nobody else's."""
    found = predict(run, file(), TIMED, further=BESIDE)
    bare = predict(run, file(), TIMED)
    assert found.further == ("reading", "switching")
    reading, switching = (found.components[name] for name in found.further)
    own = found.components["resnet50"].runs_per_video, found.components["policy"].runs_per_video
    assert reading.runs_per_video == 16 + 2
    assert switching.runs_per_video == pytest.approx(3 * own[0] + 3 * own[1])
    assert found.components["resnet50"].ms_per_video == bare.components["resnet50"].ms_per_video
    assert found.interval_ms is not None
    costs = np.array(by_hand(beside=True))
    ends = interval(costs * 1e9, resamples=TIMED.resamples, seed=TIMED.seed)
    assert ends is not None
    moved = (-0.1 * 18, 0.2 * 18 + 0.1 * switching.runs_per_video)
    for end, sign in ((0, -1), (1, 1)):
        apart = math.hypot(ends.ends[end] - costs.mean(), moved[end])
        assert found.interval_ms[end] == pytest.approx(costs.mean() + sign * apart, rel=1e-6)
    with pytest.raises(InputError, match="'lstm'"):
        predict(run, file(), TIMED, further=[replace(BESIDE[0], name="lstm")])


def test_no_time_is_no_rate(run: Run) -> None:
    """JSON has no infinity, which 1 / 0 ms would be."""
    nothing = replace(predict(run, file(), CHOICES), ms_per_video=0.0)
    assert prediction_data(nothing)["videos_per_s"] is None
    assert prediction_tables(run, nothing, "t.json").grids["time"].rows[0][3] == "-"


def test_one_process_has_no_interval(run: Run) -> None:
    """How much a repeat would differ is then unknown."""
    rows = tuple(replace(one, processes=one.processes[:1]) for one in file().rows)
    found = predict(run, replace(file(), rows=rows), TIMED)
    assert found.interval_ms is None
    assert found.ms_per_video == pytest.approx(sum(by_hand()) / len(by_hand()), rel=1e-9)


def test_a_constant_takes_the_time_of_its_network(run: Run) -> None:
    """The log charges the LSTM as a constant: its counted variant was timed, and that is said."""
    found = predict(run, file(), TIMED)
    assert found.components["lstm"].spec == "lstm:1280x512"
    assert any("cannot be run" in str(text) for text in found.warnings)


def test_code_of_a_log_is_priced_by_its_name(tmp_path: Path) -> None:
    """It was timed by whoever trusts it; here it is a name, and nothing runs."""
    header = {
        "actions": [{"name": "look", "costs": {"net": 1}}],
        "components": {
            "net": {"default": "mac", "variants": {"mac": "value:9", "code": "no.such:net@8"}}
        },
    }
    log = write_log(tmp_path / "run.jsonl", header, [{"actions": [0, 0]}] * 2)
    times = TimingFile(devices=(some_device(),), rows=(row("no.such:net@8", [0.5]),))
    run = run_of_log([log])
    assert predict(run, times).ms_per_video == pytest.approx(1000)
    assert run_times([run], times)[0].ms_per_video == pytest.approx(1000)
    with pytest.raises(InputError, match="no stages of a pipeline"):  # and not: it runs no code
        pipeline_parts(run, times)


def test_doubted_rows_are_named(run: Run) -> None:
    """A time that a repeat would not give again is charged, marked and warned of."""
    rows = list(file().rows)
    rows[0] = row(rows[0].what.spec, [0.02, 0.04, 0.08])
    found = predict(run, replace(file(), rows=tuple(rows)), TIMED)
    assert found.components["resnet50"].verdict == "unstable"
    assert any("its time is unstable" in str(text) for text in found.warnings)


def without(spec: str) -> TimingFile:
    """Return the file without one network."""
    whole = file()
    return replace(whole, rows=tuple(one for one in whole.rows if one.what.spec != spec))


def mixed(**what: Any) -> TimingFile:
    """Return a file whose first row was timed in another setting."""
    whole = file()
    first = row("resnet50@224,classes=200", [0.04] * 3, **what)
    return replace(whole, rows=(first, *whole.rows[1:]))


REFUSED = [
    (without("lstm:1280x512"), {}, "no time at batch 1 of lstm (lstm:1280x512)", "--for LOG"),
    (mixed(dtype="bf16"), {}, "no setting with all components: dtype bf16, fp32", "together"),
    (mixed(threads=2), {}, "threads 2, 1", "together"),
    (mixed(compiled=True), {}, "options compiled, none", "together"),
    (file(), {"batch": 8}, "no time at batch 8 of lstm", "it has batch 1: --batch 1"),
    (file(), {"dtype": "fp"}, "no time at batch 1", "fp32"),
    (
        replace(file(), rows=(*file().rows, *file(dtype="bf16").rows)),
        {},
        "in several settings: dtype fp32, bf16",
        "--dtype TYPE",
    ),
]


@pytest.mark.parametrize(("times", "options", "message", "hint"), REFUSED)
def test_times_that_do_not_add_up(
    times: TimingFile, options: dict[str, Any], message: str, hint: str, run: Run
) -> None:
    """Each message names what differs, or what is missing, and what to do."""
    with pytest.raises(InputError) as caught:
        predict(run, times, TIMED, **options)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_two_machines_do_not_add_up(run: Run) -> None:
    """The same network timed elsewhere is no price here."""
    whole = file()
    rows = (replace(whole.rows[0], device=1), *whole.rows[1:])
    other = TimingFile(devices=(*whole.devices, some_device("Xeon")), rows=rows)
    with pytest.raises(InputError, match="machine Xeon, AMD EPYC"):
        predict(run, other, TIMED)


def test_several_runs_of_one_row(run: Run) -> None:
    """Rows are never pooled: the last one counts."""
    whole = file()
    rows = (row("resnet50@224,classes=200", [0.4] * 3), *whole.rows)
    assert predict(run, replace(whole, rows=rows), TIMED).ms_per_video == pytest.approx(
        sum(by_hand()) / len(by_hand()), rel=1e-9
    )


def test_interval_covers_repeats(run: Run) -> None:
    """Processes vary by 3 %: the same log timed again lies inside in at least 36 of 40 cases."""
    import random

    truth = sum(by_hand()) / len(by_hand())
    inside = 0
    for seed in range(40):
        rng = random.Random(seed)

        def once(rng: random.Random = rng) -> Prediction:
            rows = []
            factors = [math.exp(rng.gauss(0, 0.03)) for _ in range(3)]
            for spec, s in SECONDS.items():
                rows.append(row(spec, [s * f for f in factors]))
            return predict(run, replace(file(), rows=tuple(rows)), Choices(resamples=50))

        first, again = once(), once()
        assert first.interval_ms is not None
        inside += first.interval_ms[0] <= again.ms_per_video <= first.interval_ms[1]
        assert abs(first.ms_per_video / truth - 1) < 0.15
    assert inside >= 36


def test_command(run_cli: RunCli, tmp_path: Path) -> None:
    """``estimate --times`` shows both prices; JSON and CSV hold them; --batch needs --times."""
    file(spread=0.02).save(tmp_path / "t.json")
    variants = {"printed": 'value:485000000 "a paper"', "network": "resnet18@112,classes=200"}
    header = {
        "actions": [{"name": "look", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
        "components": {"net": {"default": "printed", "variants": variants}},
    }
    samples = [{"id": "a", "actions": [0, 0, 1, 1]}, {"id": "b", "actions": [0, 1, 1, 1]}]
    write_log(tmp_path / "run.jsonl", header, samples)
    argv = ["estimate", "run.jsonl", "--times", "t.json"]
    result = run_cli(*argv, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Time by t.json: AMD EPYC, cpu, fp32, 1 thread, batch 1" in result.stdout
    assert "net: the log charges the constant 'printed'" in result.stderr
    found = json.loads(run_cli(*argv, "--format", "json", cwd=tmp_path).stdout)
    assert found["time"]["ms_per_video"] == pytest.approx(7.5)  # 1.5 runs of 5 ms
    assert found["time"]["ms_per_frame"] == pytest.approx(1.875)
    assert found["gflops_per_video"] == pytest.approx(1.5 * 0.485)
    lines = run_cli(*argv, "--format", "csv", cwd=tmp_path).stdout
    assert "component,net,7.5,,,5.0,1.5," in lines
    refused = run_cli("estimate", "run.jsonl", "--batch", "8", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--times" in refused.stderr

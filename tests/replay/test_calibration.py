"""Overheads: calibrated under a known clock, charged to another log, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clocks import NoiseClock, some_device, timed
from conftest import RunCli, assert_refused
from logs import write_log
from msgspec.structs import replace

torch = pytest.importorskip("torch")

from replay_clock import (  # noqa: E402
    ADAPTIVE,
    READ_S,
    VIDEOS,
    Clock,
    call_s,
    choices_for,
    job_on,
)

from flopbench.core.errors import DataError, InputError  # noqa: E402
from flopbench.core.units import milliseconds  # noqa: E402
from flopbench.estimate.runs import run_of_log  # noqa: E402
from flopbench.replay.against import Prices, against  # noqa: E402
from flopbench.replay.by_mode import predict_mode  # noqa: E402
from flopbench.replay.calibration import calibrate  # noqa: E402
from flopbench.replay.overheads import Overheads, load_overheads, overheads_of  # noqa: E402
from flopbench.replay.prediction_text import overheads_tables  # noqa: E402
from flopbench.replay.records import MODES, Replay  # noqa: E402
from flopbench.replay.run import replay_of_log  # noqa: E402
from flopbench.timing.file import TimingFile  # noqa: E402
from flopbench.timing.records import TimingSpec  # noqa: E402

SWITCH_S = 10.0
ALTERNATE = [[0, 1, 0, 1, 2, 2], [0, 1, 2, 2, 2, 2], [0, 2, 2, 1, 2, 2]]
"""Arms take turns, also from one video to the next, so each of their calls follows another network,
alone as in between: 4 big, 4 small, 5 skips, of 13 decisions."""


class Switching(Clock):
    """Each call of an arm after another network takes longer."""

    def called(self, name: str, n: int) -> None:
        self.t += SWITCH_S if name in {"big", "small"} and name != self._last else 0.0
        super().called(name, n)


def log_of(folder: Path, videos: list[list[int]], name: str = "run.jsonl") -> Path:
    """Write a log."""
    return write_log(folder / name, ADAPTIVE, [{"actions": row} for row in videos])


def calibrated(path: Path, **options: Any) -> Overheads:
    """Calibrate on a log under the clock."""
    choices = choices_for(**{"rounds": 1, "processes": 2, **options})
    return calibrate([path], choices, run=job_on(Switching))


def times(overheads: Overheads, batches: tuple[int, ...] = (1, 2, 4, 8), **what: Any) -> TimingFile:
    """Return what ``flopbench latency`` measures under that clock, on the same machine."""
    rows = [
        timed(
            [NoiseClock(call_s(name, batch))] * 3,
            TimingSpec(spec=spec, batch=batch, **what),
            budget_s=0.0,
        )
        for name, spec in overheads.components.items()
        for batch in batches
    ]
    return TimingFile(devices=(overheads.device,), rows=tuple(rows))


@pytest.fixture(scope="module")
def overheads(tmp_path_factory: pytest.TempPathFactory) -> Overheads:
    """Return overheads of the log in which arms take turns."""
    return calibrated(log_of(tmp_path_factory.mktemp("calibrated"), ALTERNATE))


def replayed_once(log: Path, *modes: str) -> Replay:
    """Replay a log under the clock."""
    choices = choices_for(modes=modes, rounds=1, processes=1)
    return replay_of_log([log], choices, run=job_on(Switching))


def measured_ms(replay: Replay, mode: str) -> float:
    """Return the mean milliseconds of a video with everything, as the clock had them."""
    full = [row for row in replay.runs[0].modes[mode].full if row[0] == 0]
    return 1e3 * sum(row[3] for row in full) / replay.videos


def test_overheads_by_hand(overheads: Overheads) -> None:
    """Online, a call of an arm takes the switch and a decision the wait, in every process."""
    own = overheads_of(overheads, "online")
    assert own.per_fragment.host_s == pytest.approx(SWITCH_S)
    assert own.per_decision.host_s == pytest.approx(READ_S)
    assert own.per_fragment.repeat_s == pytest.approx((SWITCH_S, SWITCH_S))
    assert (own.per_decision.times, own.per_fragment.times) == (13, 8)
    assert own.per_decision.device_s is None
    grid = overheads_tables(overheads).grids["overheads"]
    online = dict(zip((column.title for column in grid.columns), grid.rows[0], strict=True))
    assert online == {
        "mode": "online",
        "ms per decision": milliseconds(READ_S),
        "repeat per decision": f"{milliseconds(READ_S)} to {milliseconds(READ_S)}",
        "times per decision": "13",
        "ms per fragment": milliseconds(SWITCH_S),
        "repeat per fragment": f"{milliseconds(SWITCH_S)} to {milliseconds(SWITCH_S)}",
        "times per fragment": "8",
    }
    # six calls of up to three items: the sizes in between that are timed
    assert {name: list(sizes) for name, sizes in overheads.runs[0].hot.items()}["policy"] == [
        "1",
        "2",
        "3",
    ]


def test_another_log_is_predicted(overheads: Overheads, tmp_path: Path) -> None:
    """Where overheads are what they are taken for, a prediction is what the replay measures."""
    log = log_of(tmp_path, VIDEOS)
    found = predict_mode(run_of_log([log]), times(overheads), overheads, [log])
    again = replayed_once(log, "online")
    assert found.ms_per_video == pytest.approx(measured_ms(again, "online"), rel=1e-9)
    # 9 calls of arms, 13 decisions, 4 videos
    beside = {name: found.components[name].ms_per_video for name in found.further}
    assert beside == pytest.approx(
        {"each decision": 13 * READ_S / 4 * 1e3, "each fragment": 9 * SWITCH_S / 4 * 1e3}
    )
    assert found.mode == "online"


@pytest.mark.parametrize("mode", MODES)
def test_the_calibrated_log_is_predicted_in_every_mode(mode: str, tmp_path: Path) -> None:
    """The calls are those that the replay executed, the sum is what it measured."""
    log = log_of(tmp_path, VIDEOS)
    overheads = calibrated(log, modes=[mode])
    found = predict_mode(run_of_log([log]), times(overheads), overheads, [log], mode=mode)
    again = replayed_once(log, mode)
    assert found.ms_per_video == pytest.approx(measured_ms(again, mode), rel=1e-9)


def test_predictions_stand_beside_replays(
    overheads: Overheads, run_cli: RunCli, tmp_path: Path
) -> None:
    """What ``against`` adds up is what ``predict_mode`` says of the same videos; it is printed, in
    CSV, too, with the difference, and refused for another setting.
    """
    log = log_of(tmp_path, VIDEOS)
    again = replayed_once(log, *MODES)
    prices = Prices(times=times(overheads), overheads=overheads)
    for mode in MODES:
        one = against(again, mode, prices)
        found = predict_mode(run_of_log([log]), prices.times, overheads, [log], mode=mode)
        assert 1e3 * one.predicted_s == pytest.approx(found.ms_per_video, rel=1e-9), mode
    # the clock has no noise: only what 'measured' is, a ratio to the baseline, differs a little
    online = against(again, "online", prices)
    assert online.difference == pytest.approx(0, abs=0.001)
    assert online.interval_s == pytest.approx((online.predicted_s, online.predicted_s))
    bare = against(again, "online", Prices(times=prices.times))
    whole = (13 * READ_S + 9 * SWITCH_S) / 4
    assert online.predicted_s - bare.predicted_s == pytest.approx(whole)
    overheads.save(tmp_path / "o.json")
    times(overheads).save(tmp_path / "t.json")
    times(overheads, threads=2).save(tmp_path / "t2.json")
    again.save(tmp_path / "r.json")
    argv = ["replay", "--from", "r.json", "--predicted"]
    shown = run_cli(*argv, "t.json", "--overheads", "o.json", "--part", "predicted", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Predicted by t.json and o.json, and measured" in shown.stdout
    lines = run_cli(*argv, "t.json", "--format", "csv", cwd=tmp_path).stdout.splitlines()
    assert lines[0].endswith(",predicted_s,predicted_low95_s,predicted_high95_s")
    assert float(lines[1].split(",")[-3]) == pytest.approx(bare.predicted_s)
    refused = run_cli(*argv, "t2.json", cwd=tmp_path)
    assert_refused(refused, "the replay was measured in another setting", "threads 1 where that")


def test_exits_without_decisions_of_actions(tmp_path: Path) -> None:
    """Gates are decisions, too; a log that decides nothing charges all to its calls."""
    exits = {
        "steps": 3,
        "exits": [{"name": f"frame {n}", "costs": {"big": n}} for n in (1, 2, 3)],
        "components": {"big": "linear:64x64"},
    }
    always = {"actions": ADAPTIVE["actions"][:1], "components": {"big": "linear:64x64"}}
    for header, samples in (
        (exits, [{"exit": n} for n in (0, 2, 1, 0, 2)]),
        (always, [{"actions": [0, 0]}] * 3),
    ):
        log = write_log(tmp_path / "run.jsonl", header, samples)
        overheads = calibrated(log)
        for mode in MODES:
            found = predict_mode(run_of_log([log]), times(overheads), overheads, [log], mode=mode)
            again = replayed_once(log, mode)
            assert found.ms_per_video == pytest.approx(measured_ms(again, mode), rel=1e-9), mode


def test_a_calibration_has_the_times_of_its_networks(
    overheads: Overheads, run_cli: RunCli, tmp_path: Path
) -> None:
    """Without a timing file a prediction takes t(n) from the calibration: the same, as its clock
    has no noise; larger calls and networks that did not run are named.
    """
    log = log_of(tmp_path, VIDEOS)
    run = run_of_log([log])
    for mode in MODES:
        found = predict_mode(run, None, overheads, [log], mode=mode)
        file = times(overheads, (1, 2, 3))
        other = predict_mode(run, file, overheads, [log], mode=mode)
        assert found.ms_per_video == pytest.approx(other.ms_per_video, rel=1e-9)
        assert found.setting_text == other.setting_text
    again = replayed_once(log, *MODES)
    own, both = Prices(times=overheads, overheads=overheads), Prices(times=overheads)
    one = against(again, "online", own)
    assert one.difference == pytest.approx(0, abs=0.001)
    assert one.interval_s == pytest.approx((one.predicted_s, one.predicted_s))
    assert against(again, "online", both).predicted_s < one.predicted_s
    wide = log_of(tmp_path, [[0, 0]] * 9, "wide.jsonl")
    found = predict_mode(run_of_log([wide]), None, overheads, [wide], mode="split")
    assert "calls of up to 9 items are charged as 9 / 3 calls of 3: calibrate" in str(
        found.warnings[0]
    )
    overheads.save(tmp_path / "o.json")
    again.save(tmp_path / "r.json")
    shown = run_cli("estimate", "run.jsonl", "--overheads", "o.json", cwd=tmp_path)
    assert "Time by o.json: a test, cpu, fp32, 1 thread, online" in shown.stdout, shown.stderr
    shown = run_cli("replay", "--from", "r.json", "--overheads", "o.json", cwd=tmp_path)
    assert "Predicted by o.json, and measured" in shown.stdout, shown.stderr
    argv = ["estimate", "run.jsonl", "--component", "big=linear:8x8", "--overheads", "o.json"]
    refused = run_cli(*argv, cwd=tmp_path)
    assert_refused(refused, "o.json has no times of big (linear:8x8), which did not run in it")


def test_one_batch_stands_for_all(overheads: Overheads, tmp_path: Path) -> None:
    """Without larger batches a call of n items is charged as n calls of one."""
    log = log_of(tmp_path, [[0, 0]] * 4)
    args = (run_of_log([log]), times(overheads, (1,)), overheads, [log])
    found = predict_mode(*args, mode="split")
    assert found.components["big"].run_s == pytest.approx(call_s("big", 1))
    assert "calls of up to 4 items are charged as 4 / 1 calls of 1" in str(found.warnings[0])
    whole = predict_mode(args[0], times(overheads), *args[2:], mode="split")
    assert not whole.warnings
    assert whole.components["big"].run_s == pytest.approx(call_s("big", 4) / 4)


REFUSED: list[tuple[Callable[[Overheads], Overheads], dict[str, Any], str]] = [
    (lambda o: replace(o, device=some_device()), {}, "cpu.model AMD EPYC where that has none"),
    (
        lambda o: replace(o, settings=replace(o.settings, dtype="bf16")),
        {},
        "dtype bf16 where that has fp32",
    ),
    (
        lambda o: replace(o, settings=replace(o.settings, threads=2, compiled=True)),
        {},
        "threads 2 where that has 1; options compiled where that has none",
    ),
    (lambda o: replace(o, modes={"split": o.modes["split"]}), {}, "o.json has no mode 'online'"),
]


@pytest.mark.parametrize(("change", "options", "message"), REFUSED)
def test_overheads_that_do_not_belong(
    overheads: Overheads,
    tmp_path: Path,
    change: Callable[[Overheads], Overheads],
    options: dict[str, Any],
    message: str,
) -> None:
    """Another machine, number format, thread count or option, and a mode that is not there."""
    log = log_of(tmp_path, VIDEOS)
    other, file = change(overheads), times(overheads)
    with pytest.raises(InputError) as caught:
        predict_mode(run_of_log([log]), file, other, [log], overheads_name="o.json", **options)
    assert message in str(caught.value)


def test_other_networks_are_named(overheads: Overheads, tmp_path: Path) -> None:
    """What they take when they are switched to was not measured."""
    log = log_of(tmp_path, VIDEOS)
    known = {**overheads.components, "big": "linear:8x8"}
    file, other = times(overheads), replace(overheads, components=known)
    found = predict_mode(run_of_log([log]), file, other, [log])
    assert [str(text) for text in found.warnings] == [
        "big: linear:64x64 did not run when the overheads file was measured: its overhead may "
        "differ"
    ]


def test_the_file_is_read_back_and_damage_is_told(overheads: Overheads, tmp_path: Path) -> None:
    """What was saved gives the same figures; a newer or a damaged file names its defect."""
    path = tmp_path / "o.json"
    overheads.save(path)
    assert overheads_of(load_overheads(path), "split") == overheads_of(overheads, "split")
    own = "runs[0].modes.online"
    damages: list[tuple[Callable[[Any], Any], str]] = [
        (lambda d: d.update(schema=2), "schema 2; this flopbench reads up to 1"),
        (lambda d: d.update(kind="flopbench.replay"), "is not a file of flopbench overheads"),
        (lambda d: d.update(runs=[]), "no process"),
        (lambda d: d["runs"][0]["modes"].pop("split"), "runs[0]: the modes are"),
        (lambda d: d["runs"][0]["modes"]["online"]["full"].clear(), f"{own}: no times"),
        (
            lambda d: d["runs"][0]["modes"]["online"]["executed"].update(arms={}, decided=0),
            f"{own}.executed: no decision and no call",
        ),
        (lambda d: d["runs"][0]["hot"].pop("big"), "runs[0].hot.big: no times"),
        (lambda d: d["runs"][0]["hot"]["big"].update({"x": []}), "runs[0].hot.big: no times"),
        (lambda d: d["runs"][0]["hot"]["big"]["1"][0].__setitem__(0, 0), "hot.big.1[0][0] is 0"),
    ]
    for damage, message in damages:
        broken = json.loads(overheads.dumps())
        damage(broken)
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(DataError) as caught:
            load_overheads(path)
        assert message in str(caught.value)


def test_commands(overheads: Overheads, run_cli: RunCli, tmp_path: Path) -> None:
    """``estimate --overheads`` shows what is charged; ``--calibrate`` prints and saves it."""
    overheads.save(tmp_path / "o.json")
    times(overheads).save(tmp_path / "t.json")
    log_of(tmp_path, VIDEOS)
    argv = ["estimate", "run.jsonl", "--times", "t.json"]
    shown = run_cli(*argv, "--overheads", "o.json", "--mode", "split", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Time by t.json and o.json: a test, cpu, fp32, 1 thread, split" in shown.stdout
    assert "and beside them: each decision, each fragment" in shown.stdout
    data = run_cli(*argv, "--overheads", "o.json", "--format", "json", cwd=tmp_path)
    found = json.loads(data.stdout)["time"]
    assert (found["mode"], found["further"]) == ("online", ["each decision", "each fragment"])
    assert found["by_component"]["each fragment"]["runs_per_video"] == pytest.approx(9 / 4)
    for extra, message in (
        (["--mode", "split"], "--mode says how --overheads are charged"),
        (["--overheads", "o.json", "--batch", "2"], "--mode says which calls there are"),
        (["--overheads", "t.json"], "t.json is not a file of flopbench overheads"),
    ):
        assert_refused(run_cli(*argv, *extra, cwd=tmp_path), message)
    assert_refused(
        run_cli("replay", "run.jsonl", "--calibrate", "--baseline", "big", cwd=tmp_path),
        "--calibrate runs no uniform program",
    )
    (tmp_path / "shares.csv").write_text("action,share\nbig,0.5\nskip 2,0.5\n", encoding="utf-8")


@pytest.mark.usefixtures("warm_workers")
def test_a_calibration_on_real_networks(run_cli: RunCli, tmp_path: Path) -> None:
    """Two videos on the CPU, all modes; the file is what the estimate takes."""
    log_of(tmp_path, ALTERNATE)
    argv = ("replay", "run.jsonl", "--calibrate", "--videos", "2", "--processes", "1")
    done = run_cli(*argv, "--device", "cpu", "-o", "o.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "show no spread" in done.stderr
    found = load_overheads(tmp_path / "o.json")
    assert list(found.modes) == list(MODES)
    assert found.modes["bucketed"].group == 64
    assert found.runs[0].modes["online"].executed.decided == 9
    assert {name: sizes.keys() for name, sizes in found.runs[0].hot.items()}["policy"] == {"1", "2"}

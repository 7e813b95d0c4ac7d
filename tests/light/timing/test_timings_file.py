"""The file of timings: what is written is read, nothing else is, and several become one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clocks import NoiseClock, some_device, timed
from conftest import ROOT, RunCli, assert_refused
from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import DataError, InputError
from flopbench.timing.file import KIND, SCHEMA, TimingFile, merge
from flopbench.timing.gpu_readings import GpuReading
from flopbench.timing.records import ProcessRun, Timing, TimingSpec, Work
from flopbench.timing.text import timing_grids
from flopbench.timing.verdicts import summarise

SAVED = ROOT / "tests" / "data" / "timings-schema1.json"
"""Every kind of row on two machines: plain, failed, two that took turns, one of a sweep, one with
readings of a GPU."""

CPU = some_device()
GPU = some_device("NVIDIA H100 80GB HBM3", "cuda", gpu__ecc=True)
WORK = Work(dense_macs=37_240_000, activations=49_000, params=11_689_512, input="32")


# --- what is written is read


def test_every_kind_of_row_survives_the_file(tmp_path: Path) -> None:
    """Tuples, nulls, nested records, text beyond ASCII, and every sample to its last bit; the same
    file gives the same bytes.
    """
    file = TimingFile.load(SAVED)
    path = tmp_path / "t.json"
    file.save(path)
    again = TimingFile.load(path)
    assert again == file
    assert again.dumps() == path.read_text(encoding="utf-8") == file.dumps()
    assert again.device_of(again.rows[4]).name == "NVIDIA H100 80GB HBM3"
    assert len(again.rows[0].processes[0].columns["cpu_s"]) == 6


def test_one_process_is_one_line() -> None:
    """So that a diff of two files can be read."""
    lines = TimingFile.load(SAVED).dumps().splitlines()
    assert sum('"first_s"' in line for line in lines) == 5
    assert all(line.count('"first_s"') <= 1 for line in lines)


def test_a_file_without_rows_survives() -> None:
    """Nothing was measured yet: still a file."""
    empty = TimingFile(rows=(), devices=())
    assert TimingFile.from_json(json.loads(empty.dumps())) == empty


seconds = st.floats(min_value=0, max_value=1e6)


@given(
    st.builds(
        TimingSpec,
        spec=st.text(max_size=9),
        device=st.sampled_from(["cpu", "cuda", "mps"]),
        batch=st.integers(1, 10**6),
        dtype=st.sampled_from(["fp32", "tf32", "bf16", "fp16"]),
        compiled=st.booleans(),
        threads=st.integers(1, 256),
    ),
    st.lists(st.lists(seconds, min_size=1, max_size=5), max_size=3),
    st.text(max_size=9),
)
def test_any_row_survives_the_file(
    spec: TimingSpec, processes: list[list[float]], failure: str
) -> None:
    """Whatever the model is called, whatever it took, however it failed."""
    runs = tuple(
        ProcessRun(
            first_s=samples[0],
            warm_up_calls=4,
            warm_up_s=1.0,
            settled=True,
            stopped="budget",
            calls_per_sample=1,
            columns={"cpu_s": tuple(samples)},
        )
        for samples in processes
    )
    row = Timing(what=spec, lead="cpu_s", processes=runs, failure=failure)
    file = TimingFile(rows=(row,), devices=(CPU,))
    assert TimingFile.from_json(json.loads(file.dumps())) == file


def test_a_file_of_schema_1_is_read() -> None:
    """A file kept from the first schema stays readable, its figures what they were."""
    file = TimingFile.load(SAVED)
    assert file.dumps() == SAVED.read_text(encoding="utf-8")
    assert [str(row.what) for row in file.rows] == [
        "resnet18@32 · batch 1 · fp32 · cpu",
        "resnet18@32 · batch 4096 · fp32 · cpu",
        "resnet18@32 · batch 1 · fp32 · cpu",
        "resnet34@32 · batch 1 · fp32 · cpu",
        "resnet18@32 · batch 32 · bf16 · channels last, compiled · cuda",
    ]
    assert [device.name for device in file.devices] == ["AMD EPYC", "NVIDIA H100 80GB HBM3"]
    verdicts = [summarise(row, file.device_of(row)).verdict for row in file.rows]
    assert verdicts == ["noisy", "failed", "noisy", "noisy", "unstable"]
    last = summarise(file.rows[4], file.devices[1])
    assert (last.headline_s, last.images_per_s, last.peak_bytes) == (1 / 512, 16384, 2**30)


# --- what is refused


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"schema": SCHEMA + 1}, f"reads up to {SCHEMA}"),
        ({"schema": str(SCHEMA)}, f"'schema' is '{SCHEMA}'"),
        ({"schema": True}, "'schema' is True"),
        ({"schema": None}, "'schema' is None"),
        ({"kind": "flopbench.table"}, "t.json is not a flopbench timing file"),
        ({"kind": None}, "t.json is not a flopbench timing file"),
        ({"rows": None}, "t.json: 'rows' is null where a list was expected"),
        ({"rows": 3}, "t.json: 'rows' is 3 where a list was expected"),
        ({"devices": None}, "t.json: 'devices' is null where a list was expected"),
        ({"devices": [{"device": "cpu"}]}, "t.json: devices[0].name is missing"),
        ({"devices": []}, "t.json: rows[0]: device is 0, but the file has 0 devices"),
        ({"protocol": 3}, "t.json: 'protocol' is 3 where an object was expected"),
        ({"more": 3}, "t.json: 'more' is an unknown key"),
    ],
)
def test_other_files_are_refused(change: dict[str, Any], needle: str) -> None:
    """A newer schema, another kind or no timings at all is said to be so, with the file's name."""
    data = {**json.loads(TimingFile.load(SAVED).dumps()), **change}
    with pytest.raises(DataError) as caught:
        TimingFile.from_json(data, "t.json")
    assert needle in caught.value.message


def test_no_file_at_all_is_refused() -> None:
    """Any other JSON value is a DataError; of a newer file not even the rows are looked at."""
    for data in (None, [], "text", 3, {}, {"kind": KIND}, {"kind": KIND, "schema": 1}):
        with pytest.raises(DataError, match=r"t\.json"):
            TimingFile.from_json(data, "t.json")
    with pytest.raises(DataError, match="schema 99") as caught:
        TimingFile.from_json({"kind": KIND, "schema": 99, "rows": "anything"}, "t.json")
    assert "upgrade flopbench" in caught.value.hint


def put(*path: Any) -> Callable[[Any], None]:
    """Return a change: the last of ``path`` is the value, what is before says where."""

    def change(row: Any) -> None:
        *way, last, value = path
        for step in way:
            row = row[step]
        row[last] = value

    return change


RUN = ("processes", 0)
READING = (*RUN, "readings", 0)
NAN = float("nan")
COUNT = "where a whole number of at least 0"
POSITIVE = "where a whole number of at least 1"
FINITE = "where a finite number of at least 0"
SAMPLES = "processes[0].columns.cpu_s"


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda row: row.pop("lead"), "rows[1].lead is missing"),
        (lambda row: row.pop("device"), "rows[1].device is missing"),
        (put("surprise", 1), "surprise is an unknown key"),
        (put("what", None), "what is null where an object was expected"),
        (put("what", {"spec": "resnet18"}), "what.device is missing"),
        (put("what", "batches", 3), "what.batches is an unknown key"),
        (put("what", "batch", "four"), f"what.batch is 'four' {POSITIVE}"),
        (put("what", "batch", 0), f"what.batch is 0 {POSITIVE}"),
        (put("what", "batch", 1.5), f"what.batch is 1.5 {POSITIVE}"),
        (put("what", "spec", None), "what.spec is null where text was expected"),
        (put("what", "dtype", "fp9"), "dtype is 'fp9' where one of fp32, tf32, bf16, fp16"),
        (put("what", "device", "tpu"), "device is 'tpu' where one of cpu, cuda, mps"),
        (put("what", "threads", "1"), f"what.threads is '1' {POSITIVE}"),
        (put("what", "compiled", "no"), "what.compiled is 'no' where true or false was expected"),
        (put("work", []), "work is a list where an object was expected"),
        (put("work", {}), "work.dense_macs is missing"),
        (put("work", "dense_macs", "many"), f"work.dense_macs is 'many' {COUNT} or null"),
        (put("work", "dense_macs", -1), f"work.dense_macs is -1 {COUNT} or null"),
        (put("roofs", None), "roofs is null where an object was expected"),
        (put("roofs", {"flops_per_s": "fast"}), f"roofs.flops_per_s is 'fast' {FINITE} or null"),
        (put("roofs", {"flops_per_s": 10**400}), "roofs.flops_per_s: number out of range"),
        (put("notes", "text"), "notes is 'text' where a list was expected"),
        (put("notes", None), "notes is null where a list was expected"),
        (put("failure", None), "failure is null where text was expected"),
        (put("lead", "gpu_s"), "lead is 'gpu_s'"),
        (put("device", 1), "device is 1, but the file has 1 devices"),
        (put("device", -1), f"device is -1 {COUNT}"),
        (put("device", True), f"device is true {COUNT}"),
        (put("device", None), f"device is null {COUNT}"),
        (put("device", "0"), f"device is '0' {COUNT}"),
        (put("processes", None), "processes is null where a list was expected"),
        (put(*RUN, {}), "processes[0].first_s is missing"),
        (put(*RUN, "speed", 1), "processes[0].speed is an unknown key"),
        (put(*RUN, "columns", None), "processes[0].columns is null where an object was expected"),
        (put(*RUN, "columns", {}), "processes[0]: a process has no samples"),
        (put(*RUN, "columns", "cpu_s", []), "processes[0]: a process has no samples, or columns"),
        (put(*RUN, "columns", "cpu_s", [1.0]), "columns of different lengths"),
        (put(*RUN, "columns", "cpu_s", "123"), f"{SAMPLES} is '123' where a list was expected"),
        (put(*RUN, "columns", "cpu_s", 1, None), f"{SAMPLES}[1] is null {FINITE}"),
        (put(*RUN, "columns", "cpu_s", 0, NAN), f"{SAMPLES}[0] is nan {FINITE}"),
        (put(*RUN, "columns", "cpu_s", 0, -1.0), f"{SAMPLES}[0] is -1.0 {FINITE}"),
        (put(*RUN, "columns", "cpu_s", 0, 10**400), f"{SAMPLES}[0]: number out of range"),
        (put(*RUN, "first_s", None), f"processes[0].first_s is null {FINITE}"),
        (put(*RUN, "settled", "no"), "processes[0].settled is 'no' where true or false was"),
        (put(*RUN, "calls_per_sample", "x"), f"processes[0].calls_per_sample is 'x' {POSITIVE}"),
        (put(*RUN, "peak_bytes", "big"), f"processes[0].peak_bytes is 'big' {COUNT} or null"),
        (put(*RUN, "readings", None), "processes[0].readings is null where a list was expected"),
        (put(*RUN, "readings", [1]), "processes[0].readings[0] is 1 where an object was expected"),
        (put(*RUN, "readings", [{"t_s": 1.0}]), "processes[0].readings[0].sm_mhz is missing"),
        (put(*READING, "t_s", None), "processes[0].readings[0].t_s is null where a number"),
        (put(*READING, "sm_mhz", 1.5), "readings[0].sm_mhz is 1.5 where a whole number or"),
        (
            put(*READING, "power_w", "300"),
            "readings[0].power_w is '300' where a number or null was",
        ),
        (put(*READING, "energy_mj", True), "readings[0].energy_mj is true where a whole number or"),
        (
            put(*READING, "throttle_reasons", "x"),
            "throttle_reasons is 'x' where a list or null was",
        ),
        (
            put(*READING, "throttle_reasons", [3]),
            "throttle_reasons[0] is 3 where text was expected",
        ),
        (
            put(*RUN, "images_done", [[1.0]]),
            "processes[0].images_done[0] is a list of 1 where a list of 2",
        ),
        (put(*RUN, "paces", [1.0]), "processes[0]: a process has not one pace for each sample"),
        (
            put(*RUN, "paces", [0.0] * 10),
            "processes[0].paces[0] is 0.0 where a number of more than",
        ),
        (put(*RUN, "flags", 3), "processes[0].flags is 3 where an object was expected"),
    ],
)
def test_a_wrong_row_is_refused_at_its_place(change: Callable[[Any], object], needle: str) -> None:
    """File, row and field are named, and what was expected there.

    What is let in here is met later, as a traceback of a verdict or a wrong figure.
    """
    reading = GpuReading(t_s=1.5, throttle_reasons=("sw power cap",))
    run = {"images_done": ((0.0, 1),), "readings": (reading,)}
    row = timed([NoiseClock(1 / 16)], work=WORK, run=run)
    data = json.loads(TimingFile(rows=(row, row), devices=(CPU,)).dumps())
    change(data["rows"][1])
    with pytest.raises(DataError) as caught:
        TimingFile.from_json(data, "t.json")
    assert caught.value.message.startswith("t.json: rows[1]")
    assert needle in caught.value.message


def test_saved_files_on_the_command_line(run_cli: RunCli, tmp_path: Path) -> None:
    """A cut file, a newer one, a missing one, another kind: one message, exit 2. A good one is
    printed as it is, without torch.
    """
    text = SAVED.read_text(encoding="utf-8")
    (tmp_path / "cut.json").write_text(text[:-100])
    (tmp_path / "newer.json").write_text(text.replace('"schema": 1', '"schema": 9', 1))
    (tmp_path / "row.json").write_text(text.replace('"device": 1', '"device": 7'))
    (tmp_path / "list.json").write_text("[]")
    for name, needles in {
        "cut.json": ("cut.json:", "not JSON"),
        "newer.json": ("newer.json", "schema 9", "upgrade flopbench"),
        "row.json": ("row.json: rows[4]: device is 7",),
        "list.json": ("list.json is not a flopbench timing file", "flopbench latency ... -o"),
        "none.json": ("none.json", "No such file"),
    }.items():
        assert_refused(run_cli("latency", "--from", name), *needles)
    for extra in (["resnet18"], ["--vs", "resnet18"], ["-r", "32"], ["--preset", "arnet"]):
        refused = run_cli("latency", *extra, "--from", str(SAVED))
        assert_refused(refused, "--from prints saved timings as they are")
    (tmp_path / "torch.py").write_text("raise ImportError('torch must not be imported')")
    command = ("latency", "--from", str(SAVED), "--format")
    shown = [run_cli(*command, format) for format in ("md", "csv", "latex", "json")]
    blocked = {"PYTHONPATH": str(tmp_path)}
    for done in (*shown, run_cli(*command, "table", env=blocked, process=True)):
        assert done.returncode == 0, done.stderr
        assert "resnet18@32" in done.stdout


def test_every_line_has_as_many_cells_as_there_are_columns() -> None:
    """Also where a device adds a column to a sweep, as queued calls on CUDA do."""
    grids = timing_grids(TimingFile.load(SAVED))
    assert any("queued" in [column.title for column in grid.columns] for grid in grids)
    for grid in grids:
        assert {len(cells) for cells in grid.rows} == {len(grid.columns)}
        assert all(column.title for column in grid.columns)


@pytest.mark.parametrize(
    ("how", "said", "warned"),
    [
        ({}, "copy 4.0 GB/s.", False),
        (
            {"measured_unix_s": 1795910400.0, "load": 0.25, "others": 0.05, "spread": 0.125},
            "copy 4.0 GB/s (measured 2026-11-29, load 0.2, the median call 12 % slower than the "
            "best).",
            False,
        ),
        ({"others": 0.4, "load": 9.0}, "copy 4.0 GB/s (load 9.0).", True),
    ],
)
def test_a_table_says_how_its_roofs_were_measured(
    how: dict[str, float], said: str, warned: bool
) -> None:
    """Older files do not know; where others used the machine, a terminal says so unasked."""
    roofs = {"flops_per_s": 256e9, "bytes_per_s": 4e9, **how}
    file = TimingFile(rows=(timed([NoiseClock(1 / 16)], roofs=roofs),), devices=(CPU,))
    (grid,) = timing_grids(file)
    assert any(line.endswith(said) for line in grid.caption)
    staying = [line for line in grid.caption if line in grid.stay]
    warning = "The roofs were measured while others used 40 % of the time, so they may be too low; "
    assert [line.startswith(warning) for line in staying] == [False, True][: 1 + warned]


# --- several become one


def test_files_of_two_machines_are_merged() -> None:
    """Both machines, every row with its own; rows in the order of the files."""
    one = TimingFile(rows=(timed([NoiseClock(1 / 16)]),), devices=(CPU,), protocol={"a": 1})
    two = TimingFile(
        rows=(timed([NoiseClock(1 / 8)]), timed([NoiseClock(1 / 4)], device=1)),
        devices=(GPU, CPU),
        protocol={"b": 2},
    )
    both = merge([one, two])
    assert both.devices == (CPU, GPU)
    assert [both.device_of(row).name for row in both.rows] == [CPU.name, GPU.name, CPU.name]
    assert [row.medians()[0] for row in both.rows] == [1 / 16, 1 / 8, 1 / 4]
    assert both.protocol == {"a": 1, "b": 2}
    assert TimingFile.from_json(json.loads(both.dumps())) == both


def test_files_of_one_machine_share_it_and_pool_nothing() -> None:
    """Equal facts are kept once; two runs of one command stay two rows."""
    one = TimingFile(rows=(timed([NoiseClock(1 / 16)]),), devices=(CPU,))
    again = TimingFile(rows=(timed([NoiseClock(1 / 8)]),), devices=(copy.deepcopy(CPU),))
    both = merge([one, again])
    assert both.devices == (CPU,)
    assert [row.device for row in both.rows] == [0, 0]
    assert [row.medians() for row in both.rows] == [[1 / 16], [1 / 8]]
    other = some_device(torch__version="2.16.0")
    apart = merge([one, TimingFile(rows=one.rows, devices=(other,))])
    assert apart.devices == (CPU, other)


def test_merging_changes_no_single_file() -> None:
    """One file merged is itself; none is an empty file."""
    file = TimingFile.load(SAVED)
    assert merge([file]) == file
    assert merge([]) == TimingFile(rows=(), devices=())


def test_a_path_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    """A missing folder is named, and nothing is left behind."""
    with pytest.raises(InputError, match="there is no directory"):
        TimingFile.load(SAVED).save(tmp_path / "nowhere" / "t.json")
    assert list(tmp_path.iterdir()) == []

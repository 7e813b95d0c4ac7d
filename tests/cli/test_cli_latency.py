"""``flopbench latency`` as a user runs it: real tiny models on the CPU, formats and refusals.

No figure of time is asserted. A fresh process imports torch, which is what these tests cost, so
each measuring run is a fixture of the module, and what can be read from its file is read from it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli, assert_refused
from running import Done, run_here

from flopbench.core.statistics import median
from flopbench.timing.file import TimingFile
from flopbench.timing.roofs import roofs_folder

pytestmark = pytest.mark.usefixtures("warm_workers")

QUICK = ("--device", "cpu", "--budget", "0.2", "--samples", "6", "--processes", "1")

NETS = '''
import torch
from torch import nn

class Net(nn.Module):
    """A convolution of some width."""

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, x):
        return self.conv(x).relu().mean((2, 3))

class Raises(Net):
    """Counts well, and fails as soon as it has to compute."""

    def forward(self, x):
        if x.device.type != "meta":
            raise ValueError("no pictures today")
        return super().forward(x)

class Huge(Net):
    """Asks for four petabytes."""

    def forward(self, x):
        return super().forward(x) + torch.empty(10**15, device=x.device).sum()

class Eager(Net):
    """Runs, but not through a compiler."""

    def forward(self, x):
        if torch.compiler.is_compiling():
            x = x.view(7, 13)
        return super().forward(x)

def build(): return Net()
def wide(): return Net(64)
def raises(): return Raises()
def huge(): return Huge()
def eager(): return Eager()
def gray(): return nn.Conv2d(1, 8, 3)
def three(): return Net(), (torch.rand(3, 3, 32, 32),)
'''

# One 3 × 3 convolution, 3 -> 8 channels, 32 × 32 to 30 × 30: 8 · 3 · 9 · 900 MACs.
MACS = 8 * 3 * 9 * 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models, where the files of the measuring runs go too."""
    made = tmp_path_factory.mktemp("latency")
    (made / "nets.py").write_text(NETS)
    return made


def flopbench(folder: Path, *args: str) -> Done:
    """Run the command line in the folder of the models."""
    return run_here(args, folder, os.environ)


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Done:
    """Five models in one run, three of which fail; the file is ``mixed.json``."""
    models = ("nets.py:raises@32", "nets.py:build@32", "nets.py:huge@32", "resnet18@32")
    models = (*models, "nets.py:gray@32")
    return flopbench(folder, "latency", *models, *QUICK, "-o", "mixed.json")


@pytest.fixture(scope="module")
def turns(folder: Path) -> Done:
    """Two models that take turns in two processes; the file is ``turns.json``."""
    models = ("nets.py:build@32", "--vs", "nets.py:wide@32")
    return flopbench(folder, "latency", *models, *QUICK[:-1], "2", "-o", "turns.json")


def loaded(folder: Path, name: str) -> TimingFile:
    """Load a file that a run wrote."""
    return TimingFile.load(folder / name)


# --- what is measured


def test_a_row_that_fails_does_not_stop_the_others(folder: Path, mixed: Done) -> None:
    """One that raises, one that does not run, one without memory: rows, exit 3, the others."""
    assert mixed.returncode == 3, mixed.stderr
    assert "Traceback" not in mixed.stderr
    rows = loaded(folder, "mixed.json").rows
    assert rows[4].failure.startswith("nets.py:gray@32 does not run at this input: RuntimeError")
    assert rows[4].failure.endswith("let the factory return (model, torch.rand(1, 1, 32, 32))")
    assert [(row.what.spec, row.failure) for row in rows[:4]] == [
        ("nets.py:raises@32", "the model failed: ValueError: no pictures today"),
        ("nets.py:build@32", ""),
        ("nets.py:huge@32", "out of memory at batch 1"),
        ("resnet18@32", ""),
    ]
    assert [len(row.processes) for row in rows] == [0, 1, 0, 1, 0]
    assert mixed.stderr.count("could not time") == 3
    for row in rows:
        assert (str(row.what) in mixed.stderr) == bool(row.failure)


def test_a_row_holds_theory_and_raw_samples(folder: Path, mixed: Done) -> None:
    """Exact MACs, at least the samples that were asked for, roofs, and the facts of the machine."""
    file = loaded(folder, "mixed.json")
    rows = file.rows
    row = rows[1]
    assert row.work.dense_macs == MACS
    assert row.work.params == 3 * 8 * 9 + 8
    (run,) = row.processes
    assert {"wall_s", "cpu_s"} <= set(run.columns)
    assert all(len(samples) >= 6 for samples in run.columns.values())
    assert all(seconds > 0 for seconds in run.columns["cpu_s"])
    assert run.first_s > 0
    assert run.warm_up_calls >= 10
    assert run.peak_bytes is not None
    assert 0 < (run.best_pace_s or 0) < 2 * median(run.paces)
    assert row.lead == "paced_s"
    assert len(run.paces) == len(run.columns["cpu_s"])
    assert max(run.paces) > min(run.paces) > 0
    assert {"flops_per_s", "bytes_per_s", "measured_unix_s", "spread"} <= set(row.roofs)
    assert row.roofs["flops_per_s"]
    assert (row.roofs["measured_unix_s"] or 0) > 1.7e9  # after 2023
    for one in (row, rows[3]):  # the operators that ran do the work that was counted
        assert sum(op.calls * op.macs for op in one.operators) == one.work.dense_macs
        assert all(op.least_s > 0 for op in one.operators)
    device = file.device_of(row)
    assert device.device == "cpu"
    assert device.facts["torch.version"]
    assert {"processes", "budget_s", "warm_up_s"} <= set(file.protocol)


def test_the_file_names_no_machine(folder: Path, mixed: Done) -> None:
    """Files are published: no path, no host name."""
    text = (folder / "mixed.json").read_text(encoding="utf-8")
    assert str(folder) not in text
    assert os.uname().nodename not in text or len(os.uname().nodename) < 4


@pytest.mark.parametrize("format", ["table", "md", "latex"])
def test_every_text_states_what_its_figures_are(
    run_cli: RunCli, folder: Path, mixed: Done, format: str
) -> None:
    """Convention, counter, processes, device, torch; each row with its verdict and reason."""
    done = run_cli("latency", "--from", "mixed.json", "--format", format, cwd=folder)
    text = " ".join(done.stdout.replace("\\_", "_").split())
    for words in (
        "GMACs: dense multiply-accumulates of one image, counter torch",
        "1 MAC = 2 FLOPs",
        "CPU time (at the machine's best pace) of one call",
        "1 fresh processes",
        "random weights",
        "Measured roofs",
        "resnet18@32",
        "no pictures today",
        "out of memory at batch 1",
    ):
        assert words in text, words
    assert text.count("failed") >= 3
    assert done.returncode == 3  # the file holds rows that failed, and says so again


def test_csv_holds_one_line_a_row_in_seconds(run_cli: RunCli, folder: Path, mixed: Done) -> None:
    """Numbers to the last digit, empty where there is none."""
    text = run_cli("latency", "--from", "mixed.json", "--format", "csv", cwd=folder).stdout
    lines = list(csv.DictReader(io.StringIO(text)))
    rows = loaded(folder, "mixed.json").rows
    assert [line["spec"] for line in lines] == [row.what.spec for row in rows]
    assert lines[1]["dense_macs"] == str(MACS)
    assert float(lines[1]["latency_s"]) == rows[1].medians()[0]
    assert lines[0]["latency_s"] == ""
    assert [line["verdict"] for line in lines[::2]] == ["failed"] * 3


def test_json_is_the_file_itself(run_cli: RunCli, folder: Path, mixed: Done) -> None:
    """Reading and printing changes no byte."""
    text = run_cli("latency", "--from", "mixed.json", "--format", "json", cwd=folder).stdout
    assert text == (folder / "mixed.json").read_text(encoding="utf-8")


def test_files_are_merged(run_cli: RunCli, folder: Path, mixed: Done, turns: Done) -> None:
    """``--from`` twice: all rows, the one machine once."""
    args = ("--from", "mixed.json", "--from", "turns.json", "--format", "json")
    data = json.loads(run_cli("latency", *args, cwd=folder).stdout)
    assert len(data["rows"]) == 5 + 2
    assert len(data["devices"]) == 1


def test_an_input_without_a_batch_of_one_cannot_be_enlarged(folder: Path) -> None:
    """The factory's three images cannot become a batch of two; the row says what to do."""
    args = ("--batch", "2", *QUICK, "--format", "json")
    done = flopbench(folder, "latency", "nets.py:three", *args)
    assert done.returncode == 3, done.stderr
    (three,) = TimingFile.from_json(json.loads(done.stdout)).rows
    assert "shape (3, 3, 32, 32), which is not a batch of one that could become" in three.failure
    assert "--batch 1" in three.failure


@pytest.mark.slow
def test_a_model_that_cannot_be_compiled_is_marked(folder: Path) -> None:
    """It runs otherwise; its row says that compiling failed, and the compiled one is timed."""
    models = ("nets.py:eager@32", "nets.py:build@32")
    done = flopbench(folder, "latency", *models, "--compile", *QUICK, "--format", "json")
    assert done.returncode == 3, done.stderr
    eager, plain = TimingFile.from_json(json.loads(done.stdout)).rows
    assert eager.failure.startswith("torch.compile failed: ")
    assert "\n" not in eager.failure
    assert (plain.failure, plain.what.compiled, len(plain.processes)) == ("", True, 1)


# --- throughput


def test_a_sweep_measures_every_batch_and_the_reference(run_cli: RunCli, folder: Path) -> None:
    """1, 2 and 4 by doubling, 3 because it was asked for; the best and B90 are marked."""
    args = ("--throughput", "--max-batch", "4", "--reference-batch", "3")
    done = flopbench(folder, "latency", "nets.py:wide@32", *args, *QUICK, "-o", "sweep.json")
    assert done.returncode == 0, done.stderr
    rows = loaded(folder, "sweep.json").rows
    batches = [row.what.batch for row in rows]
    # A busy machine may show no gain twice, which ends the doubling before 4.
    assert batches in ([1, 2, 3, 4], [1, 2, 3])
    (label,) = {row.sweep for row in rows}
    assert label.startswith("nets.py:wide@32")
    text = run_cli("latency", "--from", "sweep.json", cwd=folder).stdout
    assert "Throughput of nets.py:wide@32" in text
    assert "best" in text
    assert "B90" in text
    assert "img/s" in text


# --- against each other


def test_rows_that_took_turns_are_compared(run_cli: RunCli, folder: Path, turns: Done) -> None:
    """Both rows in the file as raw samples in pairs; the comparison is below the table."""
    assert turns.returncode == 0, turns.stderr
    one, other = loaded(folder, "turns.json").rows
    assert one.interleaved == other.interleaved != ""
    for own, beside in zip(one.processes, other.processes, strict=True):
        assert len(own.columns["cpu_s"]) == len(beside.columns["cpu_s"])
    text = run_cli("latency", "--from", "turns.json", cwd=folder).stdout
    assert "Latency on" in text
    assert "Comparison of times" in text
    assert "paired" in text
    assert "8.0000" in text  # MACs of 64 channels over those of 8
    alone = run_cli("compare", "turns.json", "--format", "json", cwd=folder)
    (pair,) = json.loads(alone.stdout)["pairs"]
    assert (pair["paired"], pair["dense_macs_ratio"]) == (True, 8.0)
    assert pair["verdict"] in {"faster", "slower", "same", "inconclusive"}


def test_a_file_against_itself_is_the_same(run_cli: RunCli, folder: Path, turns: Done) -> None:
    """Every row finds its own counterpart, in every format."""
    for format in ("table", "md", "csv", "latex", "json"):
        done = run_cli("compare", "turns.json", "turns.json", "--format", format, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "nets.py:wide@32" in done.stdout.replace("\\_", "_")
    assert [pair["ratio"] for pair in json.loads(done.stdout)["pairs"]] == [1.0, 1.0]


def test_unlike_machines_are_not_compared(run_cli: RunCli, folder: Path, turns: Done) -> None:
    """Exit 4, every key with both values; ``--anyway`` compares."""
    data = json.loads((folder / "turns.json").read_text(encoding="utf-8"))
    facts: dict[str, Any] = data["devices"][0]["facts"]
    here = facts["torch.version"]
    facts.update({"torch.version": "1.0.0", "os.kernel": "another"})
    (folder / "other.json").write_text(json.dumps(data), encoding="utf-8")
    refused = run_cli("compare", "turns.json", "other.json", cwd=folder)
    assert_refused(
        refused,
        "turns.json and other.json were not measured under the same conditions",
        f"torch.version: {here!r} and '1.0.0'",
        "--anyway",
        status=4,
    )
    assert "os.kernel" not in refused.stderr
    anyway = run_cli("compare", "turns.json", "other.json", "--anyway", cwd=folder)
    assert anyway.returncode == 0, anyway.stderr
    assert "Comparison of times" in anyway.stdout


def test_files_that_do_not_belong_together_are_refused(
    run_cli: RunCli, folder: Path, mixed: Done, turns: Done
) -> None:
    """Three files, a timing with a policy log, one file that is not interleaved: each is named."""
    three = run_cli("compare", "mixed.json", "turns.json", "turns.json", cwd=folder)
    assert_refused(three, "3 timing files", "expected two")
    alone = run_cli("compare", "mixed.json", cwd=folder)
    assert_refused(alone, "no rows of this file took turns", "--vs B")
    (folder / "log.json").write_text('{"header": {}, "samples": []}')
    assert_refused(run_cli("compare", "turns.json", "log.json", cwd=folder), "log.json")


# --- refusals


@pytest.mark.parametrize(
    ("args", "needles"),
    [
        (("resnet18@32", "--device", "cuda"), ("no CUDA device here", "available: cpu")),
        (("resnet18@32", "--device", "tpu"), ("unknown device 'tpu'", "cpu, cuda, mps")),
        (("resnet18@32", "--dtype", "fp8"), ("unknown dtype 'fp8'", "bf16")),
        (("resnet18@32", "--dtype", "tf32", "--device", "cpu"), ("cpu has no TF32", "fp32")),
        (("resnet5O@32", "--device", "cpu"), ("no model 'resnet5O'", "did you mean")),
        (("value:1.8e9",), ("is a constant: there is nothing to time",)),
        (("resnet18@32", "--cuda-graph", "--device", "cpu"), ("--cuda-graph needs",)),
        (("--vs", "resnet18@32"), ("--vs compares with one MODEL",)),
        (("resnet18@32", "vgg11@32", "--vs", "alexnet@64"), ("exactly one before it",)),
        (("resnet18@32", "--vs", "resnet18@32"), ("compared with itself",)),
        (("resnet18@32", "--vs", "vgg11@32", "--throughput"), ("exclude each other",)),
        (("resnet18@32", "--vs", "vgg11@32", "--batch", "1", "--batch", "2"), ("one --batch",)),
        (("resnet18@32", "--throughput", "--batch", "4"), ("--batch cannot apply", "--max-batch")),
        (
            ("resnet18@32", "--throughput", "--reference-batch", "64", "--max-batch", "8"),
            ("larger than --max-batch 8",),
        ),
        (("resnet18@32", "--max-batch", "8"), ("belong to --throughput",)),
        (("-r", "112"), ("-r/--resolution needs models", "flopbench latency")),
        (("resnet18@32", "--batch", "0"), ("argument --batch: 0 where at least 1",)),
        (("resnet18@32", "--batch", "two"), ("argument --batch: 'two' is not a whole number",)),
        (("resnet18@32", "--budget", "-1"), ("argument --budget: -1 where more than 0",)),
        (("resnet18@32", "--budget", "nan"), ("argument --budget: nan",)),
        (("resnet18@32", "--processes", "0"), ("argument --processes: 0",)),
        (("resnet18@32", "--samples", "0"), ("argument --samples: 0",)),
        (("resnet18@32", "--threads", "0"), ("argument --threads: 0",)),
        (("resnet18@32", "--max-batch", "0"), ("argument --max-batch: 0",)),
    ],
)
def test_bad_input_is_one_message_2_and_nothing_written(
    run_cli: RunCli,
    tmp_path: Path,
    args: tuple[str, ...],
    needles: tuple[str, ...],
) -> None:
    """Each names what was wrong and, where there is one, the way out; the file is untouched."""
    if "cuda" in args and Path("/dev/nvidia0").exists():
        pytest.skip("there is a CUDA device here")
    out = tmp_path / "out.json"
    out.write_text("precious")
    assert_refused(run_cli("latency", *args, "-o", str(out)), *needles)
    assert out.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_an_impossible_output_is_refused_before_anything_is_measured(
    run_cli: RunCli, tmp_path: Path
) -> None:
    """A folder that is not there, and a folder itself: at once, without importing torch."""
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise ImportError('torch must not be imported')")
    env = {"PYTHONPATH": str(tmp_path)}
    missing = run_cli("latency", "resnet18@32", "-o", "nowhere/t.json", env=env, process=True)
    assert_refused(missing, "cannot write nowhere/t.json", "there is no directory")
    itself = run_cli("latency", "resnet18@32", "-o", ".", env=env, process=True)
    assert_refused(itself, "it is a directory")


# --- interrupts


def test_ctrl_c_keeps_the_finished_rows(folder: Path, tmp_path: Path, mixed: Done) -> None:
    """Interrupted after the first row: exit 130, one line, and a file that loads with that row."""
    out = tmp_path / "out.json"
    models = [f"nets.py:{name}@{size}" for size in (32, 40) for name in ("build", "wide")]
    process = subprocess.Popen(
        [sys.executable, "-m", "flopbench", "latency", *models, *QUICK, "-o", str(out)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        # A group of its own, as a terminal has it. A test run in the background ignores the
        # signal, and so would this process.
        preexec_fn=lambda: (os.setpgrp(), signal.signal(signal.SIGINT, signal.SIG_DFL)),
    )
    deadline = time.monotonic() + 120
    while not out.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert out.exists(), process.communicate()[1]
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130, stderr
    rows = TimingFile.load(out).rows
    assert 1 <= len(rows) < len(models)
    assert [row.what.spec for row in rows] == models[: len(rows)]
    assert all(row.processes and not row.failure for row in rows)
    assert "interrupted" in stderr
    assert str(out) in stderr
    assert "Traceback" not in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_better_pace_than_that_of_the_roofs_is_kept(
    folder: Path, mixed: Done, tmp_path: Path
) -> None:
    """As if the roofs had been measured in a slow phase of the machine."""
    (tmp_path / "roofs").mkdir()
    for path in roofs_folder().glob("*.json"):
        cached = json.loads(path.read_text(encoding="utf-8"))
        cached["roofs"]["pace_s"] = 1.0
        (tmp_path / "roofs" / path.name).write_text(json.dumps(cached), encoding="utf-8")
    args = ("latency", "nets.py:build@32", *QUICK, "-o", "again.json")
    run_here(args, folder, {**os.environ, "FLOPBENCH_CACHE_DIR": str(tmp_path)})
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "roofs").glob("*.json")]
    best_s = loaded(folder, "again.json").rows[0].processes[0].best_pace_s
    assert best_s in {json.loads(text)["roofs"]["pace_s"] for text in texts}
    assert 0 < (best_s or 0) < 0.1

"""Timing on a real CUDA device, through the command line; skipped with a reason elsewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import RunCli

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


def measured(done: subprocess.CompletedProcess[str], path: Path) -> dict:
    """Return the timing file that a command wrote."""
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text(encoding="utf-8"))


def test_columns_and_flags_of_cuda(run_cli: RunCli, tmp_path: Path) -> None:
    """A CUDA row has enqueue, gpu, end-to-end and graph time, and says how TF32 was set."""
    path = tmp_path / "t.json"
    command = ["latency", "resnet18@112", "--device", "cuda", "--dtype", "fp32", "--dtype", "tf32"]
    done = run_cli(*command, "--processes", "1", "--budget", "0.5", "-o", str(path), process=True)
    data = measured(done, path)
    flags = []
    for row in data["rows"]:
        (run,) = row["processes"]
        assert {"enqueue_s", "gpu_s", "end_to_end_s", "graph_s"} <= set(run["columns"])
        for enqueue, whole in zip(
            run["columns"]["enqueue_s"], run["columns"]["end_to_end_s"], strict=True
        ):
            assert 0 < enqueue <= whole
        flags.append(run["flags"])
    assert flags[0] != flags[1]
    assert data["devices"][0]["facts"]["gpu.name"] == torch.cuda.get_device_name()


def test_cuda_graph_and_channels_last(run_cli: RunCli, tmp_path: Path) -> None:
    """Graphs, memory format and half precision run together."""
    path = tmp_path / "t.json"
    command = ["latency", "resnet18@112", "--device", "cuda", "--dtype", "fp16", "--cuda-graph"]
    command += ["--channels-last", "--processes", "1", "--budget", "0.5", "-o", str(path)]
    done = run_cli(*command, process=True)
    assert measured(done, path)["rows"][0]["failure"] == ""


def test_sweep_ends(run_cli: RunCli, tmp_path: Path) -> None:
    """A sweep ends by saturation, memory or its limit, and knows the peak memory of each batch."""
    path = tmp_path / "t.json"
    command = ["latency", "resnet18@224", "--throughput", "--max-batch", "64", "--device", "cuda"]
    done = run_cli(*command, "--processes", "1", "--budget", "0.3", "-o", str(path), process=True)
    rows = measured(done, path)["rows"]
    peaks = [row["processes"][0]["peak_bytes"] for row in rows if row["processes"]]
    assert peaks == sorted(peaks)


def test_replay_on_cuda(run_cli: RunCli, tmp_path: Path) -> None:
    """All modes replay a log on the device, bucketed through graphs."""
    log = tmp_path / "run.jsonl"
    header = {"format": "flopbench.policy-log", "version": 1, "preset": "arnet-resnet"}
    samples = [{"id": f"v{n}", "actions": [0, 6, 6, 6, 6, 1, 2, 3]} for n in range(8)]
    log.write_text("\n".join(json.dumps(line) for line in [header, *samples]) + "\n")
    done = run_cli(
        "replay", "--policy-log", str(log), "--device", "cuda", "--rounds", "1",
        "--processes", "1", process=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bucketed" in done.stdout

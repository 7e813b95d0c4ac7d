"""The verb ``plot`` whatever the kind: what it writes, refuses, and never writes over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, RunCli, assert_refused

pytest.importorskip("matplotlib")

from flopbench.cli import main
from flopbench.core.errors import EXIT_INPUT, EXIT_OK

DATA = ROOT / "tests" / "data"
SELECTIVE, STEADY = "tests/data/selective.jsonl", "tests/data/steady.jsonl"
LATENCY, PROFILES = "reports/latency-amd-epyc.json", "reports/profiles/resnet50.json"
REPLAY = "reports/replay-amd-epyc.json"
COSTS = f"cost {SELECTIVE} {STEADY} --table tests/data/table-schema1.json"


@pytest.mark.parametrize(
    ("command", "said", "header", "rows"),
    [
        (
            f"usage {SELECTIVE} {STEADY} --group-below 8 --name A --name B",
            "Drawn together, each below 8 % in every run",
            "run,action,kind,frames,share_of_frames,drawn_in_group",
            14,
        ),
        (
            f"classes {SELECTIVE} --classes 4 --sort usage",
            "4 classes of 10, sorted by resolution usage, evenly spaced",
            "row,class,videos,frames_high,frames_among,frames,relative_high_resolution_usage,",
            5,
        ),
        (
            f"{COSTS} --histogram",
            "Prices: thop-2020",
            "run,from_gflops_per_video,below_gflops_per_video,videos,share_of_videos,charged_",
            26,
        ),
        (
            COSTS,
            "Cumulative distribution of the cost",
            "run,gflops_per_video,videos_at_most,share_at_most,charged_otherwise",
            303,
        ),
        (
            "cost reports/cascade/frames.jsonl --cluster id:/",
            "percentile bootstrap over 3 clusters (id:/)",
            "run,from_gflops_per_video,below_gflops_per_video,videos,share_of_videos,charged_",
            12,
        ),
        (f"theory {LATENCY} --fit affine --batch 1", "time = a + c · MACs", "spec,device,", 7),
        (f"roofline {LATENCY} --device cpu", "Roofline of AMD EPYC", "spec,device,", 7),
        (f"waterfall {REPLAY} --mode split --mode online", "measured speed-up", "replay,mode,", 14),
    ],
)
def test_figure_numbers_and_caption_are_written(
    command: str,
    said: str,
    header: str,
    rows: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The caption goes to stdout, the figure and its numbers into files."""
    monkeypatch.chdir(ROOT)
    figure, data = tmp_path / "x.pdf", tmp_path / "x.csv"
    assert main(["plot", *command.split(), "-o", str(figure), "--data", str(data)]) == EXIT_OK
    assert said in capsys.readouterr().out
    lines = data.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(header)
    assert len(lines) == 1 + rows
    assert figure.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"usage {SELECTIVE} --group-below 99", "every action is below 99 %"),
        (f"classes {SELECTIVE} --class tengo", "did you mean 'tango'"),
        (f"classes {SELECTIVE} --classes 900", "at most 200 rows"),
        (f"classes {SELECTIVE} {SELECTIVE} --ratio both", "both ratios of several logs"),
        (f"classes{f' {SELECTIVE}' * 5}", "plot classes draws the classes of up to 4 logs; 5 were"),
        (f"classes {SELECTIVE} --high skip", "--high 'skip' is not an action"),
        (f"classes {SELECTIVE} --seed -1", "--seed is -1"),
        (f"theory {LATENCY} --batch 3", "no row has the batch 3"),
        (f"layers {PROFILES} --depth -1", "depth is -1"),
        (f"layers {PROFILES} --top 0", "top is 0"),
        (f"layers {PROFILES} --counter thopp", "no profile under 'thopp'"),
        (f"waterfall {REPLAY} --mode onlin", "did you mean 'online'"),
        (f"frames {SELECTIVE} {SELECTIVE}", "plot frames takes one log, not 2"),
        (f"frames {PROFILES}", "is a profiles file; plot frames takes a policy log"),
        (f"counters {LATENCY}", "is a timing file; plot counters takes a profiles file"),
        (f"cost {LATENCY}", "a timing file goes into: plot theory, plot roofline"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    command: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2 with one message, and nothing is written."""
    monkeypatch.chdir(ROOT)
    output = tmp_path / "x.svg"
    assert main(["plot", *command.split(), "-o", str(output)]) == EXIT_INPUT
    assert said in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("usage log.jsonl -o x.svg --data log.jsonl", "log.jsonl"),
        ("usage log*.jsonl -o x.svg --data log.jsonl", "log.jsonl"),
        ("usage log.jsonl -o link.svg", "log.jsonl"),
        ("cost log.jsonl --table table.svg -o table.svg", "table.svg"),
        ("tradeoff points.csv -o x.svg --data points.csv", "points.csv"),
    ],
)
def test_what_is_read_is_not_written_over(
    command: str,
    read: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An output that is an input is refused before anything is written; the input stays."""
    shutil.copy(DATA / "steady.jsonl", tmp_path / "log.jsonl")
    shutil.copy(DATA / "table-schema1.json", tmp_path / "table.svg")
    (tmp_path / "points.csv").write_text("approach,metric,percent,gflops_per_video\na,mAP,7,1\n")
    (tmp_path / "link.svg").symlink_to("log.jsonl")
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / read).read_bytes()
    assert main(["plot", *command.split()]) == EXIT_INPUT
    assert f"would overwrite {read}, which is an input" in capsys.readouterr().err
    assert (tmp_path / read).read_bytes() == before
    assert not (tmp_path / "x.svg").exists()


def test_figure_and_numbers_are_two_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figure does not replace the numbers; into two files both are written."""
    log, figure, data = str(DATA / "steady.jsonl"), tmp_path / "x.svg", tmp_path / "x.csv"
    assert main(["plot", "usage", log, "-o", str(figure), "--data", str(figure)]) == EXIT_INPUT
    assert "-o and --data are the same file" in capsys.readouterr().err
    assert not figure.exists()
    assert main(["plot", "usage", log, "-o", str(figure), "--data", str(data)]) == EXIT_OK
    assert figure.read_bytes().startswith(b"<?xml")
    assert data.read_text().startswith("run,")


def test_what_extends_beyond_the_edge_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text too large for the width is cut off by the file, and a warning says so."""
    command = ["plot", "usage", str(DATA / "steady.jsonl"), "-o", str(tmp_path / "x.svg")]
    assert main([*command, "--font-size", "40"]) == EXIT_OK
    assert "beyond the figure's edge and is cut off" in capsys.readouterr().err
    assert main(command) == EXIT_OK
    assert "edge" not in capsys.readouterr().err


def test_a_backend_that_does_not_exist_is_told(run_cli: RunCli) -> None:
    """No figure needs matplotlib's backend, but matplotlib does not start with a wrong one."""
    log = str(DATA / "steady.jsonl")
    command = ("plot", "usage", log, "-o", "x.svg")
    result = run_cli(*command, env={"MPLBACKEND": "nonsense"}, process=True)
    assert_refused(result, "matplotlib does not start", "nonsense", "MPLBACKEND")

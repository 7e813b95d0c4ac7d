"""``flopbench table`` as a user runs it: real models, real files, every format, every refusal."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli, assert_refused
from logs import write_log
from paper import TWO_COLUMNS, compiled, needs_pdflatex
from running import run_here

# Table 2 of the AR-Net supplement: THOP's rules of January 2020 on heads of 200 classes (FACTS of
# the project: measured with the THOP of that month), and the printed figures.
TABLE_2 = {
    ("mobilenet_v2", "84"): (52_921_376, 0.0529, 1280),
    ("resnet18", "112"): (486_322_176, 0.4683, 512),
    ("resnet34", "168"): (2_249_000_192, 2.2490, 512),
    ("resnet50", "224"): (4_110_285_824, 4.1103, 2048),
}
EFFICIENTNETS = {
    ("efficientnet_b0", "112"): ("0.1065", 0.0975, 1280),
    ("efficientnet_b1", "168"): ("0.3668", 0.3937, 1280),
    ("efficientnet_b3", "224"): ("0.9615", 1.8000, 1536),
}
COUNTERS = ["thop-2020", "thop", "fvcore", "torch"]
KEYS = [
    "model",
    "input",
    "counter",
    "counter_version",
    "total_macs",
    "dense_macs",
    "params",
    "activations",
    "feature_dim",
    "published_gflops",
    "status",
    "notes",
    "not_counted",
]


@pytest.fixture(scope="module")
def arnet(shared_cache: Path) -> dict[str, Any]:
    """The default table as JSON, measured once."""
    done = run_here(("table", "--format", "json"), shared_cache, os.environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_default_table_is_table_2_exactly(arnet: dict[str, Any]) -> None:
    """Totals under the old rules to the unit; printed they equal Table 2, ResNet-18 apart."""
    rows = {(r["model"], r["input"]): r for r in arnet["rows"] if r["counter"] == "thop-2020"}
    for key, (macs, published, feature_dim) in TABLE_2.items():
        row = rows[key]
        assert row["total_macs"] == macs
        assert row["published_gflops"] == published
        assert row["feature_dim"] == feature_dim
        agrees = f"{macs / 1e9:.4f}" == f"{published:.4f}"
        assert agrees == (key[0] != "resnet18")
    assert any("two digits were exchanged" in n for n in rows["resnet18", "112"]["notes"])


def test_the_efficientnet_rows_are_shown_to_be_scaled(arnet: dict[str, Any]) -> None:
    """The published rule is reproduced, next to the measured dense MACs."""
    rows = {(r["model"], r["input"]): r for r in arnet["rows"] if r["counter"] == "torch"}
    for key, (dense, published, feature_dim) in EFFICIENTNETS.items():
        row = rows[key]
        assert f"{row['dense_macs'] / 1e9:.4f}" == dense
        assert (row["published_gflops"], row["feature_dim"]) == (published, feature_dim)
        assert "scaled, not profiled" in row["notes"][0]


def test_all_four_counters_agree_on_all_seven_rows(arnet: dict[str, Any]) -> None:
    """One integer of dense MACs for each model, every row verified."""
    for model, _input in [*TABLE_2, *EFFICIENTNETS]:
        rows = [r for r in arnet["rows"] if r["model"] == model]
        assert [r["counter"] for r in rows] == COUNTERS
        assert len({r["dense_macs"] for r in rows}) == 1
        assert {r["status"] for r in rows} == {"verified"}


def test_the_file_has_the_promised_form(arnet: dict[str, Any]) -> None:
    """Schema, one row per model, input and counter, integers as integers, the environment."""
    assert arnet["schema"] == 1
    assert len(arnet["rows"]) == 7 * 4
    for row in arnet["rows"]:
        assert list(row)[: len(KEYS)] == KEYS
        for name in ("total_macs", "dense_macs", "params", "activations", "feature_dim"):
            assert type(row[name]) is int
        assert row["counter_version"]
        assert row["convention"]
    assert {"torch", "thop", "fvcore", "torchvision", "flopbench", "python"} <= set(
        arnet["environment"]
    )


def test_every_format_states_unit_and_convention(run_cli: RunCli, arnet: dict[str, Any]) -> None:
    """Terminal, Markdown and LaTeX give GMACs and define a MAC; CSV and JSON name the unit."""
    for format in ("table", "md", "latex"):
        text = run_cli("table", "--format", format).stdout
        assert "GMACs" in text
        assert "1 MAC = 2 FLOPs" in text
        assert "torch " in text
    rows = list(csv.DictReader(io.StringIO(run_cli("table", "--format", "csv").stdout)))
    assert len(rows) == 28
    assert rows[0]["total_macs"] == "52921376"
    assert all(row["convention"] for row in rows)


def test_the_suffix_of_the_output_chooses_the_format(run_cli: RunCli, tmp_path: Path) -> None:
    """``-o x.csv`` is CSV; ``--format`` overrides it; the file has what stdout would."""
    args = ("table", "resnet18@64", "--counter", "torch")
    assert run_cli(*args, "-o", "t.csv").returncode == 0
    assert (tmp_path / "t.csv").read_text() == run_cli(*args, "--format", "csv").stdout
    assert run_cli(*args, "-o", "t.txt", "--format", "json").returncode == 0
    assert json.loads((tmp_path / "t.txt").read_text())["schema"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.txt"]


def test_models_cross_resolutions_and_constants_stand_beside(run_cli: RunCli) -> None:
    """Several models at several sizes, a head, a sort, and a quoted figure with its source."""
    args = ("table", "resnet18", "squeezenet1_1", "-r", "64", "-r", "32x48", "--classes", "7")
    data = json.loads(
        run_cli(*args, "--counter", "torch,thop", "--sort=-dense", "--format", "json").stdout
    )
    dense = [r["dense_macs"] for r in data["rows"]][::2]
    assert dense == sorted(dense, reverse=True)
    assert {r["classes"] for r in data["rows"]} == {7}
    quoted = json.loads(run_cli("table", 'value:1.8e9 "a paper"', "--format", "json").stdout)
    assert [(r["total_macs"], r["status"], r["notes"]) for r in quoted["rows"]] == [
        (1_800_000_000, "quoted", ["quoted: a paper"])
    ]


def test_an_edit_of_own_code_is_seen_at_once(run_cli: RunCli, tmp_path: Path) -> None:
    """A factory in a file or a module in the working directory is counted anew when it changes."""
    nets = tmp_path / "mynets.py"
    source = "from torch import nn\ndef build(width=4): return nn.Conv2d(3, width, 1)\n"
    nets.write_text(source)
    args = ("--counter", "torch", "--counter", "fvcore", "--format", "json")
    for model in ("mynets:build@8,width=5", "mynets.py:build@8,width=5"):
        rows = json.loads(run_cli("table", model, *args).stdout)["rows"]
        assert [r["dense_macs"] for r in rows] == [8 * 8 * 3 * 5] * 2
        assert [r["status"] for r in rows] == ["verified"] * 2
    nets.write_text(source.replace("3, width, 1", "3, width, 3"))
    rows = json.loads(run_cli("table", "mynets:build@8,width=5", *args).stdout)["rows"]
    assert rows[0]["dense_macs"] == 6 * 6 * 3 * 5 * 9


def test_an_unknown_operator_is_never_a_silent_zero(run_cli: RunCli, tmp_path: Path) -> None:
    """A model with an operator of its own is partial, and the operator is named."""
    (tmp_path / "custom.py").write_text(
        "import torch\nfrom torch import nn\n"
        "@torch.library.custom_op('mine::mix', mutates_args=())\n"
        "def mix(x: torch.Tensor) -> torch.Tensor:\n    return x @ x.transpose(-1, -2)\n"
        "@mix.register_fake\ndef _(x):\n    return x.new_empty(*x.shape[:-1], x.shape[-2])\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.conv = nn.Conv2d(3, 4, 1)\n"
        "    def forward(self, x): return mix(self.conv(x))\n"
    )
    rows = json.loads(run_cli("table", "custom.py:Net@8", "--format", "json").stdout)["rows"]
    assert {r["status"] for r in rows} == {"partial"}
    torch_row = next(r for r in rows if r["counter"] == "torch")
    assert any("mine" in g["name"] and g["may_multiply"] for g in torch_row["not_counted"])


def test_the_second_run_imports_no_torch(run_cli: RunCli, tmp_path: Path, arnet: object) -> None:
    """With everything in the cache, the table is printed without the extra ``measure``."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch must not be imported')")
    result = run_cli("table", env={"PYTHONPATH": str(tmp_path)}, process=True)
    assert result.returncode == 0, result.stderr
    assert "resnet50" in result.stdout


def test_a_damaged_cache_is_rebuilt_with_a_warning(run_cli: RunCli, tmp_path: Path) -> None:
    """The figure is the same, a warning is printed, and the next run is silent again."""
    env = {"FLOPBENCH_CACHE_DIR": str(tmp_path / "own")}
    args = ("table", "resnet18@64", "--counter", "torch", "--format", "json")
    first = run_cli(*args, env=env)
    (entry,) = (tmp_path / "own").iterdir()
    whole = entry.read_text()
    entry.write_text(whole[: len(whole) // 2])
    second = run_cli(*args, env=env)
    assert second.returncode == 0
    assert "damaged" in second.stderr
    assert first.stdout == second.stdout == run_cli(*args, env=env).stdout
    entry.write_text(whole.replace('"dense_macs":', '"dense_mac":'))
    assert "damaged" in run_cli(*args, env=env).stderr


def test_refresh_measures_again(run_cli: RunCli, tmp_path: Path) -> None:
    """``--refresh`` replaces what the cache held."""
    env = {"FLOPBENCH_CACHE_DIR": str(tmp_path / "own")}
    args = ("table", "resnet18@64", "--counter", "torch", "--format", "json")
    run_cli(*args, env=env)
    (entry,) = (tmp_path / "own").iterdir()
    planted = entry.read_text().replace('"params":', '"params":1', 1)
    entry.write_text(planted)
    assert entry.read_text() == planted
    run_cli(*args, "--refresh", env=env)
    assert entry.read_text() != planted


def test_a_large_model_needs_no_memory(tmp_path: Path) -> None:
    """632 M parameters (2.5 GB of weights) under the counters that need only shapes."""
    code = (
        "import resource, subprocess, sys\n"
        "command = [sys.executable, '-m', 'flopbench', 'table', 'vit_h_14@224', '--refresh',\n"
        "           '--counter', 'thop', '--counter', 'torch', '--format', 'csv']\n"
        "print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "632045800" in done.stdout
    peak_kib = int(done.stdout.split()[-1])
    assert peak_kib * 1024 < 1_500_000_000


NETS = """
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 3, padding=1)
    def forward(self, left, right):
        return self.a(left).mean() + self.b(right).mean()

def two(): return Two()
def tokens(widths=(32, 64), name=""):
    assert name in ("", "a, b@c"), name
    return nn.Sequential(nn.Embedding(50, widths[0]), nn.Linear(*widths))
"""


def test_shapes_and_lists_on_the_command_line(run_cli: RunCli, tmp_path: Path) -> None:
    """36 · (64² + 32²) = 184,320 and 100 · 32 · 64 = 204,800, in the order asked for."""
    (tmp_path / "forms.py").write_text(NETS)
    asked = {
        "forms.py:two@((1,1,64,64), (1,1,32,32))": 184_320,
        "forms.py:two@right=1x1x32x32+left=1x1x64x64": 184_320,
        "forms.py:tokens@(1, 100):int64": 204_800,
        "forms.py:tokens@1x100:long,widths=[32, 128],name='a, b@c'": 409_600,
    }
    done = run_cli("table", *asked, "--counter", "torch", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["dense_macs"] for row in rows] == list(asked.values())
    assert rows[3]["spec"] == "forms.py:tokens@1x100:int64,name='a, b@c',widths=[32,128]"
    again = run_cli("table", rows[3]["spec"], "--counter", "torch", "--format", "json")
    assert json.loads(again.stdout)["rows"] == rows[3:]
    sizes = ("-r", "1x10:int64", "-r", "(1, 20):int64")
    crossed = run_cli("table", "forms.py:tokens", *sizes, "--counter", "torch", "--format", "json")
    assert [row["dense_macs"] for row in json.loads(crossed.stdout)["rows"]] == [20_480, 40_960]


@pytest.mark.parametrize(
    ("model", "needle"),
    [
        ("swin_t@64,depths=[3]", "swin_t sets depths itself"),
        ("lstm:4x4,layers=99999999999999999999", "numbers of a usual size"),
        ("lstm:4x4,layers=1000000", "at most 1000"),
        ("lstm:99999999x99999999999", "cannot build"),
        ("resnet18@99999999", "beyond any model"),
        ("resnet18@1x3x64x64", "shapes are for your own code"),
    ],
)
def test_absurd_options_and_inputs_are_refused(run_cli: RunCli, model: str, needle: str) -> None:
    """At once, with one message."""
    assert_refused(run_cli("table", model, "--counter", "torch"), needle)


def test_a_factory_runs_once_for_all_counters(run_cli: RunCli, tmp_path: Path) -> None:
    """Even one with random widths: every counter sees the same network, verified.

    Until its source changes, it does not run again, unless ``--refresh`` is given.
    """
    (tmp_path / "drawn.py").write_text(
        "import random, sys\nfrom torch import nn\n"
        "def build():\n    print('called')\n"
        "    return nn.Conv2d(3, random.randint(1, 1000), 3)\n"
    )
    result = run_cli("table", "drawn:build@8", "--format", "json")
    rows = json.loads(result.stdout)["rows"]
    assert {r["status"] for r in rows} == {"verified"}
    assert len({r["params"] for r in rows}) == 1
    assert result.stderr.count("called") == 1
    for option, calls in ((), 0), (("--refresh",), 1):
        again = run_cli("table", "drawn:build@8", *option, "--format", "json")
        assert (again.stderr.count("called"), again.returncode) == (calls, 0)
    assert json.loads(again.stdout)["rows"] == rows


def test_a_file_lists_what_it_offers(run_cli: RunCli, tmp_path: Path) -> None:
    """Ready to paste, read and not run; beside other models it is no model."""
    (tmp_path / "own nets.py").write_text(
        "from torch import nn\nopen('started', 'w')\n"
        "def build(width=4, pretrained=True) -> nn.Module: ...\n"
        "def make_policy(): return 1\ndef other(a): return a\n"
    )
    shown = run_cli("table", "own nets.py", "-r", "8", "-r", "16")
    assert (shown.returncode, shown.stdout.splitlines()) == (0, [
        "own nets.py:build,pretrained=False  (returns a Module)",
        "own nets.py:make_policy  (named like a model factory)",
        "Count them:",
        "  flopbench table 'own nets.py:build@8,pretrained=False' "
        "'own nets.py:build@16,pretrained=False' 'own nets.py:make_policy@8' "
        "'own nets.py:make_policy@16'",
    ])  # fmt: skip
    offered = "own nets.py:build,pretrained=False, own nets.py:make_policy"
    assert_refused(run_cli("explain", "own nets.py"), f"name a function in it: {offered}")
    assert not (tmp_path / "started").exists()
    (tmp_path / "none.py").write_text("def f(x): return x\n")
    assert_refused(run_cli("table", "none.py"), "none.py:build@224,width=64")


def test_for_takes_logs_or_places(run_cli: RunCli, tmp_path: Path) -> None:
    """Components of all logs once each, in LaTeX for a place too; what cannot apply is refused."""
    for name, model in (("a", "linear:2x3"), ("b", "linear:4x5")):
        header = {"components": {"n": model, "same": "linear:1x1"}, "actions": [
            {"name": "run", "costs": {"n": 1, "same": 1}}]}  # fmt: skip
        write_log(tmp_path / f"{name}.jsonl", header, [{"actions": [0]}])
    made = run_cli("table", "--for", "a.jsonl", "b.jsonl", "--counter", "torch", "--format", "json")
    rows = {row["spec"]: row["dense_macs"] for row in json.loads(made.stdout)["rows"]}
    assert rows == {"linear:2x3": 6, "linear:1x1": 1, "linear:4x5": 20}
    more = run_cli("table", "linear:7x7", "--for", "a.jsonl", "--counter", "torch")
    assert [line.split()[0] for line in more.stdout.splitlines()[2:5]] == [
        "linear:2x3", "linear:1x1", "linear:7x7",
    ]  # fmt: skip
    latex = run_cli("table", "--for", "page", "--for", "a.jsonl", "--counter", "torch")
    assert latex.returncode == 0
    assert "\\begin{table*}" in latex.stdout
    for args, needle in (
        (("--for", "pgae"), "did you mean 'page'? places in a paper: column, page, text"),
        (("--for", "a.jsonl", "linear:2x3"), "--for linear:2x3: there is no such policy log"),
        (("--for", "a.jsonl", "linear:2x3"), "models go before --for"),
        (("-r", "8", "--for", "a.jsonl"), "for models that are named beside --for"),
        (("--for", "column", "page"), "--for names 2 places"),
        (("--from", "t.json", "--for", "a.jsonl"), "one of them"),
    ):
        assert_refused(run_cli("table", *args), needle)


def test_one_cost_has_one_row(run_cli: RunCli) -> None:
    """A model at its default size, implied or named, is one row."""
    args = ("table", "resnet18", "resnet18@224", "--counter", "torch", "--format", "json")
    assert len(json.loads(run_cli(*args).stdout)["rows"]) == 1


def test_jobs_give_the_same_table(run_cli: RunCli, tmp_path: Path) -> None:
    """Two worker processes: the same bytes as one."""
    args = ("table", "resnet18@64", "squeezenet1_1@64", "--counter", "torch", "--format", "json")
    one = run_cli(*args, env={"FLOPBENCH_CACHE_DIR": str(tmp_path / "a")})
    two = run_cli(*args, "--jobs", "2", env={"FLOPBENCH_CACHE_DIR": str(tmp_path / "b")})
    assert two.returncode == 0, two.stderr
    assert one.stdout == two.stdout


@pytest.mark.parametrize(
    ("args", "needles"),
    [
        (("resnet5O@224",), ("torchvision has no model 'resnet5O'", "did you mean resnet50")),
        (("alexnet@31",), ("does not run at this input",)),
        (("vit_b_16@112",), ("does not run at this input", "Wrong image height")),
        (("resnet18@64", "--counter", "fvcor"), ("did you mean 'fvcore'",)),
        (("bad:raises",), ("bad:raises raised ValueError: on purpose (bad.py:2)",)),
        (("resnet18@64", "--counter", ","), ("names no counter",)),
        (("bad:quits",), ("bad:quits raised SystemExit: bye",)),
        (("bad:text",), ("returned str where a torch.nn.Module was expected",)),
        (("bad:missing",), ("bad has no 'missing'",)),
        (("nowhere:build",), ("cannot import 'nowhere'",)),
    ],
)
def test_bad_input_is_one_message_2_and_nothing_written(
    run_cli: RunCli, tmp_path: Path, args: tuple[str, ...], needles: tuple[str, ...]
) -> None:
    """The existing output is left as it was."""
    (tmp_path / "bad.py").write_text(
        "def raises():\n    raise ValueError('on purpose')\ndef text():\n    return 'a model'\n"
        "def quits():\n    import sys; sys.exit('bye')\n"
    )
    out = tmp_path / "out.json"
    out.write_text("precious")
    before = sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__")
    assert_refused(run_cli("table", *args, "-o", str(out)), *needles)
    assert out.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == before


def test_ctrl_c_leaves_the_old_file(tmp_path: Path) -> None:
    """Interrupted while measuring: exit 130, one line, output untouched, nothing left behind."""
    out = tmp_path / "out.json"
    out.write_text("precious")
    # More than any machine can measure before the signal comes.
    sizes = [word for side in range(64, 704, 8) for word in ("-r", str(side))]
    process = subprocess.Popen(
        [sys.executable, "-m", "flopbench", "table", "resnet50", *sizes, "-o", str(out)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FLOPBENCH_CACHE_DIR": str(tmp_path / "cache")},
        # A test run in the background ignores the signal, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cache/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)  # until the first profile is kept, so that it is in the middle of work
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        # A library may swallow one in a callback; people press again.
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert out.read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"out.json", "cache"}
    for path in (tmp_path / "cache").iterdir():
        json.loads(path.read_text())


def test_the_progress_bar_goes_to_a_terminal_only(run_cli: RunCli, tmp_path: Path) -> None:
    """On a terminal a long run draws on stderr; in a pipe it is silent; stdout stays clean."""
    args = [sys.executable, "-m", "flopbench", "table", "resnet18@64", "squeezenet1_1@64"]
    env = {**os.environ, "FLOPBENCH_CACHE_DIR": str(tmp_path / "cache"), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=theirs, env=env, cwd=tmp_path)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the terminal's other side is closed
            break
        if not chunk:
            break
        drawn += chunk
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"measuring" in drawn
    assert b"measuring" not in stdout
    piped = run_cli(*args[3:], "--refresh")
    assert piped.stderr == ""


def test_the_latex_table_compiles(run_cli: RunCli, tmp_path: Path) -> None:
    """It fits a page, a column and the text of an article, with and without its notes."""
    needs_pdflatex()
    assert run_cli("table", "-o", "page.tex", "--notes").returncode == 0
    for place in ("column", "text"):
        assert run_cli("table", "-o", f"{place}.tex", "--for", place).returncode == 0
    plain = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\n"
    for head, names in ((TWO_COLUMNS, ("page", "column")), (plain, ("text",))):
        body = "".join(f"\\input{{{name}}}" for name in names)
        (tmp_path / "paper.tex").write_text(f"{head}\\begin{{document}}{body}\\end{{document}}\n")
        said = compiled(tmp_path / "paper.tex")
        assert "Missing character" not in said
        assert "Overfull" not in said
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000

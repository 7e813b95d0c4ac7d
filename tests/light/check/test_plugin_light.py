"""The pytest plugin where no model is counted: marks, options, and how little it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flopbench.check.pytest.marks import Asked, read_marks
from flopbench.core.errors import InputError

HEAVY = {"torch", "numpy", "msgspec", "rich", "pandas", "matplotlib", "duckdb", "thop", "fvcore"}
PLAIN = "def test_plain(tmp_path):\n    assert tmp_path\n"
MARKED = (
    "import pytest\n"
    '@pytest.mark.cost_budget("4.2 GMACs", input=(1, 3, 224, 224), max_increase="2%")\n'
    "def test_model():\n    raise AssertionError\n"
)
TELL = (
    "import json, pathlib, sys\n"
    "def pytest_unconfigure():\n"
    "    names = sorted({name for name in sys.modules})\n"
    "    pathlib.Path('loaded.json').write_text(json.dumps(names))\n"
)


def run_pytest(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with our plugin and no other that is installed."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": "", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "flopbench.check.pytest.plugin", *args],
        cwd=folder,
        env={**os.environ, **alone, **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def mark(*limits: Any, **keywords: Any) -> Any:
    """Make a mark as a test would."""
    return pytest.mark.cost_budget(*limits, **keywords).mark


def read(*marks: Any) -> Asked:
    """Read marks, the nearest first."""
    return read_marks(marks, name="tests/test_a.py::test_b", file="tests/test_a.py", line=7)


@pytest.mark.parametrize(
    ("content", "args"), [(PLAIN, ()), (MARKED, ("--collect-only",))], ids=["plain", "collected"]
)
def test_a_run_without_budgets_loads_nothing(tmp_path: Path, content: str, args: Any) -> None:
    """Where no test with a budget runs, no library is loaded, and of flopbench only the plugin."""
    (tmp_path / "test_it.py").write_text(content, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(TELL, encoding="utf-8")
    done = run_pytest(tmp_path, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flopbench" not in done.stdout
    loaded = json.loads((tmp_path / "loaded.json").read_text(encoding="utf-8"))
    assert not HEAVY & {name.split(".")[0] for name in loaded}
    ours = {name for name in loaded if name.split(".")[0] == "flopbench"}
    plugin = {
        "flopbench",
        "flopbench.check",
        "flopbench.check.pytest",
        "flopbench.check.pytest.plugin",
    }
    assert ours <= plugin | {"flopbench.core", "flopbench.core.version"}


def test_the_plugin_is_registered(tmp_path: Path) -> None:
    """An installed flopbench provides the plugin; pytest lists its mark, fixture and options."""
    names = {entry.name: entry.value for entry in metadata.entry_points(group="pytest11")}
    assert names["flopbench"] == "flopbench.check.pytest.plugin"
    env = {k: v for k, v in os.environ.items() if k != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    command = [sys.executable, "-m", "pytest", "--markers"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "cost_budget(*limits" in done.stdout
    assert "model_cost" in run_pytest(tmp_path, "--fixtures").stdout
    assert "--flopbench-update" in run_pytest(tmp_path, "--help").stdout


@pytest.mark.parametrize(
    ("args", "env", "needle"),
    [
        (("--flopbench-update",), {"CI": "true"}, "does not run where CI is set"),
        (("--flopbench-reason", "x"), {}, "only applies with --flopbench-update"),
        (("--flopbench-update", "--flopbench-reason", "  "), {}, "--flopbench-reason is empty"),
    ],
)
def test_options_that_cannot_apply(
    tmp_path: Path, args: tuple[str, ...], env: dict[str, str], needle: str
) -> None:
    """They are refused before any test runs: one line, pytest's status for wrong usage."""
    (tmp_path / "test_it.py").write_text(PLAIN, encoding="utf-8")
    done = run_pytest(tmp_path, *args, **env)
    assert done.returncode == 4
    assert done.stderr.startswith("ERROR: ")
    assert needle in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".flopbench").exists()


@pytest.mark.parametrize("off", ["", "0", "false", "False"])
def test_ci_may_be_switched_off(tmp_path: Path, off: str) -> None:
    """``CI=false`` is not a CI job; with nothing to record, nothing is written."""
    (tmp_path / "test_it.py").write_text(PLAIN, encoding="utf-8")
    done = run_pytest(tmp_path, "--flopbench-update", CI=off)
    assert done.returncode == 0, done.stderr
    assert "nothing to record" in done.stdout
    assert not (tmp_path / ".flopbench").exists()


@pytest.mark.parametrize(
    ("marks", "needles"),
    [
        ([mark("4 GB")], ["'4 GB'", "GMACs", "params", "activations"]),
        ([mark("4.2")], ["'4.2' has no unit"]),
        (
            [mark("4.2 GFLOPS")],
            [
                "cost_budget: '4.2 GFLOPS' can mean 4.2 GMACs (as papers on efficient networks "
                "print it) or 4.2 billion FLOPs = 2.1 GMACs\n  write '4.2 GMACs' or '4.2 GFLOPs'"
            ],
        ),
        ([mark("3 ms")], ["'3 ms'"]),
        ([mark("0 MACs")], ["allows nothing"]),
        ([mark("4.2 Q params")], ["'4.2 Q params'", "params"]),
        ([mark(4.2e9)], ["4200000000.0", "'4.2 GMACs'"]),
        ([mark("1 GMACs", "2 GFLOPs")], ["dense_macs twice", "'1 GMACs' and '2 GFLOPs'"]),
        ([mark("1 GMACs"), mark("2 GMACs")], ["dense_macs twice"]),
        ([mark("1 GMACs", max_increse="2%")], ["'max_increse'", "did you mean 'max_increase'?"]),
        ([mark("1 GMACs", max_increase=0.02)], ["max_increase is 0.02", "'2%'"]),
        ([mark("1 GMACs", max_increase="2")], ["max_increase", "no % sign"]),
        ([mark("1 GMACs", max_increase="-2%")], ["negative"]),
        ([mark("1 GMACs", min_delta="1 kMACs")], ["min_delta", "max_increase"]),
        ([mark("1 GMACs", max_increase="0%", min_delta=5)], ["min_delta is 5"]),
        ([mark("1 GMACs", note=5)], ["note is 5"]),
        ([mark("1 GMACs", counter="torhc")], ["'torhc'", "did you mean 'torch'?"]),
        ([mark("1 GMACs", counter=None)], ["counter is None"]),
        ([mark(input=224)], ["no budget", "max_increase='0%'"]),
        ([mark()], ["no budget"]),
    ],
)
def test_a_wrong_mark_is_refused(marks: list[Any], needles: list[str]) -> None:
    """The message quotes what was written and shows what would be right."""
    with pytest.raises(InputError) as refused:
        read(*marks)
    for needle in needles:
        assert needle in str(refused.value)


def test_several_marks_add_up() -> None:
    """Limits of all marks hold; keywords come from the mark of the metric, else the nearest."""
    asked = read(
        mark("4.2 GMACs", max_increase="2%", min_delta="1 kMACs"),
        mark("25.6 M params", max_increase="0%", note="ask\n first", input=224),
        mark("11 M activations", input=112, counter="thop"),
    )
    dense_macs, params, activations = asked.budgets
    assert (dense_macs.limit, dense_macs.max_increase, dense_macs.min_delta) == (
        4_200_000_000,
        Fraction(1, 50),
        1000,
    )
    assert dense_macs.note == "ask first"
    assert (params.limit, params.max_increase, params.min_delta) == (25_600_000, 0, 0)
    assert (activations.limit, activations.max_increase) == (11_000_000, Fraction(1, 50))
    assert (asked.input, asked.counter, asked.guarded) == (224, "thop", True)
    assert {budget.line for budget in asked.budgets} == {7}


def test_without_max_increase_only_limits_hold() -> None:
    """A test that does not limit its growth is not compared with a baseline."""
    assert not read(mark("4.2 GMACs")).guarded
    assert read(mark(max_increase="0%")).guarded


@given(
    number=st.integers(min_value=1, max_value=10**12),
    unit=st.sampled_from(["MACs", "FLOPs", "params", "parameters", "activations", "elements"]),
)
def test_the_metric_follows_from_the_unit(number: int, unit: str) -> None:
    """Every unit belongs to exactly one metric, exactly; two FLOPs are one MAC."""
    amount = 2 * number if unit == "FLOPs" else number
    asked = read(mark(f"{amount} {unit}"))
    limits = {budget.metric: budget.limit for budget in asked.budgets if budget.limit is not None}
    metric = {"M": "dense_macs", "F": "dense_macs", "p": "params"}.get(unit[0], "activations")
    assert limits == {metric: number}


@given(text=st.text(max_size=30))
def test_any_text_is_a_limit_or_refused(text: str) -> None:
    """Any text gives either a limit or the one kind of error that users see."""
    try:
        asked = read(mark(text))
    except InputError:
        return
    assert sum(budget.limit is not None for budget in asked.budgets) == 1

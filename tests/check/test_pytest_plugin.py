"""The pytest plugin on real test suites, run as a user runs them."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from warm import run_python

from flopbench.check.baseline.file import load_baseline, verify_baseline
from flopbench.check.entry_costs import measure_entries
from flopbench.check.pytest.costs import count
from flopbench.check.records import Config, Entry, ModelCost

# Two convolutions on 10 x 10 positions: 27·width + 4·width MACs a position.
NETS = """
from torch import nn

def net(width=8, counted=True):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4, 1)
    )

class Bad(nn.Module):
    def forward(self, x):
        raise ValueError("half way")
"""
HEAD = """
import os
import unittest
import pytest
import torch
from nets import Bad, net

WIDTH = int(os.environ.get("WIDTH", "8"))
SHAPE = (1, 3, 10, 10)
budget = pytest.mark.cost_budget
"""
JUDGED = """
@budget("24800 MACs", input=SHAPE)
def test_met_exactly():
    return net()

@budget("2.479999 MMACs", "1 k params", input=(1, 3, 100, 100), note="ask Ann first")
def test_one_over():
    return net()

@budget("49.6 kFLOPs", input=SHAPE)
def test_flops():
    return net()

@budget("3968 MACs")
def test_own_inputs():
    return net(), torch.zeros(1, 3, 4, 4)

@budget("3968 MACs")
def test_keyword_inputs():
    return net(), {"input": torch.zeros(1, 3, 4, 4)}

@budget("3968 MACs")
def test_positional_and_keyword_inputs():
    return net(), (torch.zeros(1, 3, 4, 4),), {}

@budget("3968 MACs", input={"input": "1x3x4x4"})
def test_inputs_by_shape():
    return net()

@budget("1.9 GMACs")
def test_specification():
    return "resnet18@224"

@budget("1 GMACs")
@budget("259 params", input=SHAPE)
class TestClass:
    def test_method(self):
        return net()

@budget("1 GMACs", input=SHAPE)
def test_two_inputs():
    return net(), torch.zeros(1, 3, 4, 4)

@budget("1 GMACs")
def test_no_input():
    return net()

@budget("1 GMACs", input=SHAPE)
def test_returns_nothing():
    net()

@budget("1 GMACs", input=SHAPE)
def test_returns_a_number():
    return 3

@budget("1 GMACs", input=SHAPE)
def test_model_fails():
    return Bad()

@budget("1 GMACs", input=SHAPE)
def test_body_fails():
    assert WIDTH == 99

@budget("1 GMACs", input=SHAPE)
async def test_async():
    return net()

class TestCase(unittest.TestCase):
    @budget("1 GMACs", input=SHAPE)
    def test_unittest(self):
        pass

@budget("4 GB", input=SHAPE)
def test_wrong_unit():
    return net()

@budget("1 GMACs", max_increse="2%")
def test_wrong_keyword():
    return net()

@pytest.mark.skip(reason="not now")
@budget("4 GB", input=SHAPE)
def test_skipped():
    return net()

@pytest.mark.xfail(strict=True)
@budget("1 MACs", input=SHAPE)
def test_expected_to_fail():
    return net()

def test_fixture(model_cost):
    cost = model_cost(net(), SHAPE)
    assert (cost.dense_macs, cost.params, cost.activations) == (24800, 260, 1200)
    assert [module.path for module in cost.modules if module.dense_macs] == ["0", "2"]

def test_fixture_fails(model_cost):
    model_cost(Bad(), SHAPE)
"""
GUARDED = """
@budget(input=SHAPE, max_increase="2%")
@pytest.mark.parametrize("times", [1, 2], ids=["a b", "x/[y]"])
def test_growth(times):
    return net(WIDTH * times)

@budget("30 kMACs", input=SHAPE, max_increase="0%", min_delta="3.1 kMACs")
def test_tolerant():
    return net(WIDTH)

@budget("24800 MACs", input=SHAPE)
def test_limit_alone():
    return net()
"""
FIRST = "tests/test_nets.py::test_growth[a b]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A finished run: status, terminal text, and each test's outcome and message."""

    status: int
    text: str
    outcomes: Mapping[str, tuple[str, str]]


def suite(folder: Path, tests: str) -> Path:
    """Write a test suite whose root is ``folder``."""
    (folder / "tests").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    (folder / "tests" / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "tests" / "test_nets.py").write_text(HEAD + tests, encoding="utf-8")
    return folder


def run(folder: Path, *args: str, **env: str) -> Ran:
    """Run pytest in a folder."""
    report = folder / "junit.xml"
    plugins = ("-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest")
    done = run_python(
        ["-m", "pytest", *plugins, f"--junit-xml={report}", *args],
        folder,
        {**os.environ, "CI": "", "PYTEST_ADDOPTS": "", "OMP_NUM_THREADS": "1", **env},
    )
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        inner = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        outcome = inner[0].tag if inner else "passed"
        outcomes[case.attrib["name"]] = outcome, (inner[0].text or "") if inner else ""
    return Ran(status=done.returncode, text=done.stdout + done.stderr, outcomes=outcomes)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the suite of limits and wrong uses once."""
    return run(suite(tmp_path_factory.mktemp("judged"), JUDGED), "-v", "-W", "error")


@pytest.mark.parametrize(
    "name",
    [
        "test_met_exactly",
        "test_flops",
        "test_own_inputs",
        "test_keyword_inputs",
        "test_positional_and_keyword_inputs",
        "test_inputs_by_shape",
        "test_specification",
        "test_fixture",
    ],
)
def test_what_keeps_its_budget_passes(judged: Ran, name: str) -> None:
    """A limit is inclusive, in MACs or FLOPs; a returned model causes no pytest warning."""
    assert judged.outcomes[name] == ("passed", "")


@pytest.mark.parametrize(
    ("name", "outcome", "needles"),
    [
        (
            "test_one_over",
            "failure",
            ["over its limit", "2,480,000 MACs, limit 2,479,999 MACs: 1 MAC over", "ask Ann"],
        ),
        ("test_method", "failure", ["260 params, limit 259 params: 1 param over"]),
        ("test_two_inputs", "failure", ["comes with inputs"]),
        ("test_no_input", "failure", ["needs its input", "input=(1, 3, 224, 224)"]),
        ("test_returns_nothing", "failure", ["returned None", "return a torch.nn.Module"]),
        ("test_returns_a_number", "failure", ["returned int"]),
        ("test_model_fails", "failure", ["ValueError: half way"]),
        ("test_async", "failure", ["does not run async tests"]),
        ("test_unittest", "failure", ["nothing was counted", "TestCaseFunction"]),
        ("test_wrong_unit", "error", ["'4 GB'", "'25.6 M params'", "tests/test_nets.py:"]),
        ("test_wrong_keyword", "error", ["'max_increse'", "did you mean 'max_increase'?"]),
    ],
)
def test_what_does_not_fails(judged: Ran, name: str, outcome: str, needles: list[str]) -> None:
    """An ordinary report: limit, actual and excess exactly, or what is wrong; no internal frame."""
    found, message = judged.outcomes[name]
    assert found == outcome
    for needle in needles:
        assert needle in message
    assert "pytest_plugin" not in message
    assert "Traceback" not in message
    assert "During handling" not in message


def test_other_outcomes_stay_what_they_are(judged: Ran) -> None:
    """A failing body keeps its own report; skips and expected failures are pytest's."""
    assert "assert 8 == 99" in judged.outcomes["test_body_fails"][1]
    assert "pytest_plugin" not in judged.outcomes["test_body_fails"][1]
    assert judged.outcomes["test_skipped"][0] == "skipped"
    assert judged.outcomes["test_expected_to_fail"][0] == "skipped"
    kind, message = judged.outcomes["test_fixture_fails"]
    assert kind == "failure"
    assert "InputError: Bad does not run at this input" in message
    assert "pytest_plugin" not in message


def test_head_room_is_shown_with_v(judged: Ran) -> None:
    """Each limit that holds has a bar in the summary of a verbose run."""
    assert "test_met_exactly dense_macs [##########] 100 % of 24800 MACs" in judged.text
    assert "test_specification dense_macs [#########-]" in judged.text


def test_growth_from_first_run_to_acceptance(tmp_path: Path) -> None:
    """No baseline is a notice; then growth fails with its cause until it is recorded."""
    folder = suite(tmp_path / "suite", GUARDED)
    first = run(folder)
    assert first.status == 0, first.text
    assert "test_growth[a b]" in first.text
    assert "no baseline in .flopbench/pytest.json yet" in first.text
    # (8 × 27 + 4 × 8) × 100 MACs; 8 × 27 + 8 + 4 × 8 + 4 parameters
    said = "24.800 kMACs, 260 params; "
    assert f"; tests/test_nets.py::test_growth[a b] {said}" in first.text
    (notice,) = [line for line in first.text.splitlines() if "no baseline" in line]
    assert "test_limit_alone" not in notice
    assert not (folder / ".flopbench").exists()

    recorded = run(folder, "--flopbench-update")
    assert recorded.status == 0, recorded.text
    path = folder / ".flopbench" / "pytest.json"
    baseline = verify_baseline(path.read_text(encoding="utf-8"), "it")
    test = "tests/test_nets.py::test_"
    assert set(baseline.entries) == {test + n for n in ("growth[a b]", "growth[x/[y]]", "tolerant")}
    move = baseline.entries[f"{test}growth[a b]"].accepted[0]
    assert (move.reason, dict(move.old)) == ("pytest --flopbench-update", {})

    quiet = run(folder)
    assert quiet.status == 0
    section = quiet.text.partition("(flopbench)")[2].splitlines()
    assert [line.partition(":")[0] for line in section[1:-1]] == ["4 models"]

    grown = run(folder, WIDTH="9")
    assert grown.status == 1
    # A position costs 31 MACs for each unit of width; the second test has twice of it.
    message = grown.outcomes["test_growth[a b]"][1]
    assert "+3,100 MACs (+12.5 %)" in message
    assert "+2,700 MACs  +28 params" in message
    assert "out channels 8 -> 9" in message
    assert "width" in message
    command = "pytest 'tests/test_nets.py::test_growth[a b]' --flopbench-update"
    assert f"accept it: {command}" in message
    # 3,100 MACs more are within its smallest difference; its parameters have none.
    tolerant = grown.outcomes["test_tolerant"]
    assert tolerant[0] == "failure"
    assert "+32 params" in tolerant[1]
    assert "within what the budget allows" in tolerant[1]

    reason = ("--flopbench-reason", "wider  on purpose")
    part = run(folder, FIRST, "--flopbench-update", *reason, WIDTH="9")
    assert part.status == 0, part.text
    assert "2 entries of tests that did not run or did not pass: kept as before" in part.text
    after = load_baseline(path)
    assert after is not None
    moved = after.entries[f"{test}growth[a b]"].accepted
    assert [one.reason for one in moved] == ["pytest --flopbench-update", "wider on purpose"]
    assert (moved[1].old["dense_macs"], moved[1].new["dense_macs"]) == (24800, 27900)
    assert after.entries[f"{test}tolerant"] == baseline.entries[f"{test}tolerant"]

    cheaper = run(folder, "-k", "growth", WIDTH="8")
    assert cheaper.status == 0
    assert "cheaper: tests/test_nets.py::test_growth[a b]" in cheaper.text


def test_xdist_records_the_same(tmp_path: Path) -> None:
    """Two workers hand their costs over, and the file has the bytes of a run without xdist."""
    pytest.importorskip("xdist")
    tests = GUARDED.replace("def test_tolerant", "@pytest.mark.xdist_group('g')\ndef test_tolerant")
    alone, together = suite(tmp_path / "alone", tests), suite(tmp_path / "together", tests)
    (alone / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    xdist_group: of xdist\n", encoding="utf-8"
    )
    for folder, options in (
        (alone, ("-p", "no:xdist")),
        (together, ("-n", "2", "--dist", "loadgroup")),
    ):
        done = run(folder, *options, "--flopbench-update")
        assert done.status == 0, done.text
        assert done.text.count("written: commit") == 1
    files = [folder / ".flopbench" / "pytest.json" for folder in (alone, together)]
    assert files[0].read_bytes() == files[1].read_bytes()
    first = run(together, "-n", "1", "--dist", "loadgroup", "-v", WIDTH="9")
    assert first.status == 1
    assert "out channels 8 -> 9" in first.text


def test_a_model_over_its_limit_is_not_recorded(tmp_path: Path) -> None:
    """Recording moves no limit: the test fails, and what fails records nothing."""
    folder = suite(tmp_path / "suite", GUARDED)
    done = run(folder, "-k", "tolerant", "--flopbench-update", WIDTH="10")
    assert done.status == 1
    assert "31.000 kMACs, limit 30 kMACs: 1,000 MACs over" in done.outcomes["test_tolerant"][1]
    assert not (folder / ".flopbench").exists()


def test_what_cannot_be_compared_fails_without_a_percentage(tmp_path: Path) -> None:
    """Another counter is neither growth nor a pass; a damaged file is an error."""
    folder = suite(tmp_path / "suite", GUARDED)
    assert run(folder, FIRST, "--flopbench-update").status == 0
    tests = folder / "tests" / "test_nets.py"
    old = 'max_increase="2%"'
    changed = tests.read_text(encoding="utf-8").replace(old, f'{old}, counter="fvcore"')
    tests.write_text(changed, encoding="utf-8")
    done = run(folder, FIRST)
    assert done.status == 1
    message = done.outcomes["test_growth[a b]"][1]
    assert "not comparable" in message
    assert "'torch' in the baseline, 'fvcore' now" in message
    assert "%" not in message

    path = folder / ".flopbench" / "pytest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("24800", "24900"), encoding="utf-8")
    damaged = run(folder, FIRST, "tests/test_nets.py::test_limit_alone")
    assert damaged.outcomes["test_growth[a b]"][0] == "error"
    assert "run pytest --flopbench-update" in damaged.outcomes["test_growth[a b]"][1]
    assert damaged.outcomes["test_limit_alone"][0] == "passed"


def test_a_baseline_that_cannot_be_written(tmp_path: Path) -> None:
    """The run ends with pytest's status for wrong usage, and the summary says why."""
    folder = suite(tmp_path / "suite", GUARDED)
    (folder / ".flopbench").write_text("a file where the folder should be", encoding="utf-8")
    done = run(folder, "-k", "tolerant", "--flopbench-update")
    assert done.status != 0
    assert ".flopbench" in done.text
    assert "INTERNALERROR" not in done.text


def test_the_count_is_that_of_flopbench_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model costs the same in a test as in ``flopbench check``, module by module."""
    (tmp_path / "nets_of_check.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import nets_of_check  # type: ignore[import-not-found]

    entry = Entry(name="it", model="nets_of_check:net@10")
    measured = measure_entries(Config(path="flopbench.toml", root=".", entries=(entry,)))["it"]
    here = count(nets_of_check.net(), (1, 3, 10, 10))
    assert isinstance(measured, ModelCost)
    assert replace(here, spec=measured.spec, input=measured.input) == measured

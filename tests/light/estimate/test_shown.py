"""What Python shows of results, in print and in notebooks; which names and paths it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logs import write_log
from msgspec.structs import replace
from records import gap, op, profile

import flopbench
from flopbench.core.tables import Shown
from flopbench.counting.api import Profiles
from flopbench.counting.cost_row import CostRow
from flopbench.counting.profile import CostProfile, ModuleFacts
from flopbench.counting.table import CostTable
from flopbench.estimate.compare import Comparison, compare
from flopbench.estimate.runs import Choices, Run, run_of_counts, run_of_log
from flopbench.policy.log import open_log

HOSTILE = "<script>alert(1)</script>"
HEADER: dict[str, Any] = {
    "method": HOSTILE,
    "components": {"net": "value:1e9"},
    "actions": [{"name": "look", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of two videos of two frames; three frames are processed."""
    return write_log(tmp_path / "run.jsonl", HEADER, [{"actions": [0, 0]}, {"actions": [0, 1]}])


def a_table() -> CostTable:
    """Return a table of one counted network."""
    row = CostRow(
        model=HOSTILE,
        input="8",
        counter="torch",
        total_macs=10**9,
        dense_macs=10**9,
        status="verified",
    )
    return CostTable(rows=(row,))


def a_profile(blocks: int = 3, layers: int = 20) -> CostProfile:
    """Return a profile of some blocks of layers with 10 MACs and 5 parameters each."""
    paths = ["", *(f"b{b}" for b in range(blocks))]
    leaves = [f"b{b}.{n}" for b in range(blocks) for n in range(layers)]
    counted = profile("torch", *(op(leaf, "linear", 10) for leaf in leaves))
    weight = {"weight": [5, 1]}
    facts = [ModuleFacts(path=name, type=HOSTILE, params=0) for name in paths]
    facts += [ModuleFacts(path=p, type="Linear", params=5, shape=weight) for p in leaves]
    facts.sort(key=lambda one: one.path)
    return replace(counted, modules=tuple(facts), params=5 * len(leaves))


def a_run(path: Path) -> Run:
    """Return a run of the log."""
    return run_of_log(path, keep_scores=True)


def a_comparison(path: Path) -> Comparison:
    """Return a comparison of the log with itself."""
    return compare([a_run(path)] * 2, Choices())


@pytest.mark.parametrize(
    "make",
    [lambda path: a_table(), lambda path: a_profile(), a_run, a_comparison],
    ids=["table", "profile", "run", "comparison"],
)
def test_results_show_themselves(make: Callable[[Path], Shown], path: Path) -> None:
    """Text of few lines without spaces at their ends, HTML in which names are escaped."""
    shown = make(path)
    text = repr(shown)
    assert text == str(shown)
    assert HOSTILE in text
    assert 3 <= len(text.splitlines()) <= 25
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    html = shown._repr_html_()
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert html.startswith("<table>")


def test_a_profile_shows_shapes_macs_and_parameters() -> None:
    """The last level that is short enough: of 2 × 3 layers all, of 3 × 20 none."""
    small = repr(a_profile(2, 3)).splitlines()
    assert small[0] == "net@8: 60 dense MACs, 30 parameters"
    assert small[1].split() == ["module", "type", "weight", "MACs", "share", "params"]
    assert small[4].split() == ["0", "Linear", "5×1", "10", "16.7", "%", "5"]
    assert len(small) == 1 + 1 + (1 + 2 + 6) + 1
    assert len(repr(a_profile(3, 20)).splitlines()) == 1 + 1 + (1 + 3) + 1


def test_a_profile_shows_what_it_lacks() -> None:
    """Gaps and notes are part of a cost."""
    counted = profile("thop", op("", "linear", 1), gaps=(gap("operator", "aten.mm", ""),))
    assert "Not counted: thop: aten.mm (operator, 1 call in 1 module)." in repr(counted)


def test_several_profiles_are_a_line_each() -> None:
    """With the counters that failed."""
    both = Profiles({"torch": profile("torch", op("", "linear", 1234)), "thop": "no rule"})
    assert repr(both) == "net@8, torch: 1,234 dense MACs\nthop: failed - no rule"


def test_text_fits_the_terminal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that do not fit are left out, as the commands do it."""
    monkeypatch.setenv("COLUMNS", "60")
    figures = repr(a_run(path)).splitlines()[1:3]
    assert all(len(line) <= 60 for line in figures)
    assert "GFLOPS/video" in figures[0]
    assert "/decision" not in figures[0]


def test_one_path_is_enough(path: Path) -> None:
    """As text or as a path, alone or in a list."""
    found = [run_of_log(one).primary for one in (str(path), path, [str(path)], (path,))]
    assert {one.gflops_per_video for one in found} == {1.5}
    assert [one.id for one in next(iter(open_log(str(path)).samples()))[0]] == ["v0", "v1"]
    assert run_of_counts is flopbench.run_of_counts


def test_the_names_are_the_public_ones() -> None:
    """``dir`` lists what is documented, before and after use."""
    assert dir(flopbench) == sorted(flopbench.__all__)
    assert flopbench.Run is Run
    assert "import_module" not in dir(flopbench)
    assert not [name for name in dir(flopbench) if name.startswith("_") and name != "__version__"]

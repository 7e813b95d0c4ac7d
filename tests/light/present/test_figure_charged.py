"""Captions and numbers say which components are charged otherwise than by the log's default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from logs import write_log

from flopbench.counting.cost_row import CostRow
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.present.figures.cost import cost
from flopbench.present.figures.frames.figure import frames
from flopbench.present.figures.inputs.logs import COLUMN
from flopbench.present.figures.tradeoff import tradeoff

frames_of = frames.make
tradeoff_of = tradeoff.make
cost_of = cost.make

CHARGED_OTHERWISE = "Charged otherwise than by the log's default"
NET = 'value:3000000000 "a paper"'
SPEC = "resnet18@64"
LEAN = 'value:1000000000 "another"'


def own_log(folder: Path, name: str = "own") -> Path:
    """Write a log of two videos; its network has two variants, its head one specification."""
    header: dict[str, Any] = {
        "method": name,
        "steps": "varies",
        "actions": [{"name": "look", "costs": {"net": 1, "head": 1}}],
        "components": {
            "net": {"variants": {"full": NET, "lean": LEAN}, "default": "full"},
            "head": 'value:5 "a test"',
        },
        "metrics": {"top-1": 70.0},
    }
    return write_log(folder / f"{name}.jsonl", header, [{"actions": [0]}, {"actions": [0, 0]}])


def columns(data: Any) -> set[object]:
    """Return what the numbers say of charging."""
    at = data.table.header.index(COLUMN)
    return {row[at] for row in data.table.rows}


def choices(**other: Any) -> Choices:
    """Return choices that measure nothing."""
    return Choices(may_measure=False, resamples=20, **other)


WAYS: list[tuple[dict[str, Any], str]] = [
    ({"variants": {"net": "lean"}}, f"net as its variant 'lean' ({LEAN})"),
    ({"components": {"head": "value:7"}}, """head as value:7 in place of value:5 "a test\""""),
    ({"components": {"net": "value:7"}}, f"net as value:7 in place of {NET}"),
]


@pytest.mark.parametrize(("given", "said"), WAYS)
def test_figures_say_what_is_charged_otherwise(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    """Another variant or specification is named in the captions and in every row of the table."""
    log = own_log(tmp_path)
    terms = choices(**given)
    figures = [
        cost_of(log, choices=terms),
        cost_of(log, choices=terms, cumulative=True),
        tradeoff_of(log, choices=terms),
        frames_of(log, choices=terms),
    ]
    for figure in figures:
        assert f"{CHARGED_OTHERWISE}: {said}." in figure.caption.sentences
        assert columns(figure) == {said}


@pytest.mark.parametrize("given", [{}, {"variants": {"net": "full"}}, {"components": {"net": NET}}])
def test_the_default_is_nothing_to_tell(tmp_path: Path, given: dict[str, Any]) -> None:
    """Without such options, or where they name the log's default, nothing is added."""
    log = own_log(tmp_path)
    terms = choices(**given)
    for figure in (
        cost_of(log, choices=terms),
        tradeoff_of(log, choices=terms),
        frames_of(log, choices=terms),
    ):
        assert CHARGED_OTHERWISE not in " ".join(figure.caption.sentences)
        assert columns(figure) == {None}


def test_only_the_runs_that_it_concerns_are_named(tmp_path: Path) -> None:
    """Of two runs that are charged in two ways, the caption names the one with the other way."""
    from flopbench.estimate.runs import run_of_log

    plain = run_of_log([own_log(tmp_path, "plain")], choices())
    lean = run_of_log([own_log(tmp_path, "lean")], choices(variants={"net": "lean"}))
    cost = cost_of([plain, lean])
    assert f"{CHARGED_OTHERWISE} (lean): {WAYS[0][1]}." in cost.caption.sentences
    assert columns(cost) == {None, WAYS[0][1]}


def test_figures_name_the_counter_that_stands_in(tmp_path: Path) -> None:
    """THOP's 4 of 100 MACs are not drawn: the cost is by torch, and the caption says so."""
    rows = [
        CostRow(model="net", counter=counter, status=status, total_macs=n, dense_macs=n, spec=SPEC)
        for counter, status, n in (("thop-2020", "partial", 4), ("torch", "unverified", 100))
    ]
    header = {"actions": [{"name": "look", "costs": {"net": 1}}], "components": {"net": SPEC}}
    log = write_log(tmp_path / "a.jsonl", {**header, "steps": 1}, [{"actions": [0]}])
    terms = choices(table=CostTable(rows=tuple(rows)), counter="thop-2020")
    drawn = cost_of(log, choices=terms)
    assert "Counted by torch in place of thop-2020: net." in drawn.caption.sentences
    assert [run.mean for run in drawn.runs] == [pytest.approx(0.1)]
    assert drawn.unit == "kFLOPS"
    plain = cost_of(log, choices=choices(table=CostTable(rows=tuple(rows)), counter="torch"))
    assert not any("in place of" in text for text in plain.caption.sentences)

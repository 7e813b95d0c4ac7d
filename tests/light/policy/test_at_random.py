"""A random policy at the cost of a log: its decisions dealt out again among its samples."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from logs import header_of, write_log
from msgspec.structs import replace

from flopbench.cli import main
from flopbench.core.errors import InputError
from flopbench.estimate.compare import compare
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.policy.at_random import dealt_again
from flopbench.policy.plan import plan_of
from flopbench.policy.samples import Sample, raise_first

NETS: dict[str, Any] = {
    "method": "mine",
    "metrics": {"top-1": 90.0},
    "steps": "varies",
    "components": {"big": "value:4e9", "small": "value:1e9"},
    "actions": [
        {"name": "big", "costs": {"big": 1}},
        {"name": "small", "costs": {"small": 1}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
}
ROWS = [[0, 0, 2, 2], [1, 2, 2, 1], [1, 1, 1, 1], [0, 1, 2, 2], [2, 2, 2, 2], [0, 0, 0]]
SAMPLES = [
    {"id": f"v{n}", "labels": [n % 2], "scores": [1.0, 0.0], "actions": row, "latency_ms": 1.0}
    for n, row in enumerate(ROWS)
]


def dealt(samples: list[dict[str, Any]], seed: int = 0, **header: Any) -> list[Sample]:
    """Deal decisions out again."""
    plan = plan_of(header_of(**{**NETS, **header}))
    return dealt_again([Sample(**s) for s in samples], plan, str, raise_first, seed)


def test_decisions_move_and_all_else_stays() -> None:
    """Rows are dealt among samples of one length; names and labels stay, results are dropped."""
    got = dealt(SAMPLES)
    assert [s.id for s in got] == [s["id"] for s in SAMPLES]
    assert [s.labels for s in got] == [s["labels"] for s in SAMPLES]
    assert {(s.scores, s.prediction, s.latency_ms) for s in got} == {(None, None, None)}
    assert Counter(str(s.actions) for s in got) == Counter(map(str, ROWS))
    assert got[5].actions == [0, 0, 0]  # the only one of three steps
    assert [s.actions for s in got] != ROWS
    assert [s.actions for s in dealt(SAMPLES)] == [s.actions for s in got]
    assert any(dealt(SAMPLES, seed) != got for seed in range(1, 4))


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        ({"encoding": "per_decision", "steps": 4}, [{"actions": [0, 1, 2]}, {"actions": [2, 2]}]),
        ({"encoding": "per_decision"}, [{"actions": [2], "spans": [3]}, {"actions": [0, 2]}]),
        ({}, [{"actions": [0], "counts": {"big": 2}}, {"actions": [1]}]),
        (
            {"exits": [{"name": "early", "costs": {"small": 1}}, {"name": "last"}], "actions": []},
            [{"exit": "early"}, {"exit": "last"}],
        ),
    ],
    ids=["cut spans", "own spans", "additional runs", "exits"],
)
def test_every_kind_of_decision_moves(
    header: dict[str, Any], samples: list[dict[str, Any]]
) -> None:
    """Decisions, their spans, exits and additional runs move together, for some seed."""
    named = [{"id": str(n), **sample} for n, sample in enumerate(samples)]
    found = [dealt(named, seed, **header) for seed in range(8)]
    swapped = [{**b, "id": a["id"]} for a, b in zip(named, reversed(named), strict=True)]
    wanted = [Sample(**s) for s in swapped]
    assert wanted in found
    assert [Sample(**s) for s in named] in found


def test_the_cost_is_exactly_that_of_the_log(tmp_path: Path) -> None:
    """The same sum of MACs and the same usage; other videos bear it."""
    path = write_log(tmp_path / "log.jsonl", NETS, SAMPLES)
    own = run_of_log([path], Choices(), keep_scores=True)
    found = [run_of_log([path], Choices(random_seed=s), keep_scores=True) for s in range(3)]
    # 8 + 2 + 4 + 5 + 0 + 12 GMACs over 6 videos
    assert {run.primary.macs_per_video for run in (own, *found)} == {Fraction(31_000_000_000, 6)}
    assert {tuple(run.counts.totals().decisions or ()) for run in (own, *found)} == {(6, 7, 5)}
    costs = {tuple(video_costs(r.counts, r.prices, "exact").tolist()) for r in (own, *found)}
    assert len(costs) > 1
    compared = compare([own, found[0]], Choices(), metric="top-1")
    assert [m.name for m in compared.methods] == ["mine", "random at the cost of mine"]
    assert compared.methods[1].percent is None
    assert "run the networks on them" in compared.methods[1].why_none


def test_compare_and_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb shows one more line for each log; the log it is about can be written."""
    path = write_log(tmp_path / "log.jsonl", NETS, SAMPLES)
    assert main(["compare", str(path), "--random", "--format", "csv"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[1:]] == ["mine", "random at the cost of mine"]
    assert rows[1][6] == rows[2][6] == "5.166666666666667"
    out = tmp_path / "random.jsonl"
    assert main(["log", "convert", str(path), "--random", "--seed", "1", "-o", str(out)]) == 0
    header, *lines = map(json.loads, out.read_text().splitlines())
    assert header["method"] == "random at the cost of mine"
    assert "metrics" not in header
    assert [line["actions"] for line in lines] == [s.actions for s in dealt(SAMPLES, 1)]


def test_shares_have_no_decisions(tmp_path: Path) -> None:
    """A table of shares is refused."""
    path = tmp_path / "usage.csv"
    path.write_text("action,share\nresnet50@224,100 %\n")
    choices = replace(Choices(preset="arnet-resnet", steps=16), random_seed=0)
    with pytest.raises(InputError, match="no --random"):
        run_of_log([path], choices)

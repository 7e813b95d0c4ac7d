"""``benchmarks/peers/logs``: answers are compared with the truth, defects are real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.log_counters import SPANS, by_flopbench, by_formula, by_loop, command
from benchmarks.peers.log_defects import DEFECTS
from benchmarks.peers.logs import CASES, section, verdicts, wrong
from flopbench.core.errors import DataError
from flopbench.policy.log import count_log, open_log

LOG = Path(__file__).parents[2] / "data" / "selective.jsonl"
TRUTH: dict[str, Any] = {"frames": [3, 1], "decisions": [3, 1], "gflops": 2.0}


def test_the_counters_agree_on_a_log() -> None:
    """The loop shares no code with flopbench; AR-Net's formula has no decisions."""
    truth = by_loop(str(LOG), "all")
    assert wrong(by_flopbench(str(LOG), "all"), truth) == []
    assert wrong(by_formula(str(LOG), "all"), truth) == []
    assert by_loop(str(LOG), "usage") == {"frames": truth["frames"]}
    assert sum(truth["frames"]) == 200 * 16
    assert tuple(action.span for action in open_log([LOG]).plan.actions) == SPANS


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (TRUTH, []),
        ({"frames": [3, 1]}, []),
        ({"frames": [3, 0], "decisions": [3, 2]}, ["frames", "decisions"]),
        ({"gflops": 2.0001}, ["gflops"]),
        ({"bytes": 7}, []),
    ],
)
def test_a_wrong_answer_is_told(answer: dict[str, Any], parts: list[str]) -> None:
    """What an answer lacks is not wrong."""
    assert wrong(answer, TRUTH) == parts


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_one(defect: str, tmp_path: Path) -> None:
    """flopbench finds each at its line."""
    lines = LOG.read_text("utf-8").splitlines(keepends=True)[:10]
    lines[5:6] = DEFECTS[defect]([lines[5], lines[4]])
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines), "utf-8")
    with pytest.raises(DataError, match=r"log\.jsonl:6"):
        count_log(open_log([path]))


def measured(polars: list[str]) -> dict[str, Any]:
    """Return data as ``measure`` does: every process takes 1 s, flopbench 0.3 s."""
    runs = [
        {
            "peer": peer,
            "task": task,
            "form": form,
            "decisions": 1600,
            "costs": [
                {"cpu_s": 0.3 if peer == "flopbench" else 1.0, "wall_s": 1.0, "peak_mb": 9.0}
            ],
            "wrong": polars if peer == "polars" else [],
        }
        for form in ("jsonl", "parquet")
        for peer, task in CASES
    ]
    defect = {"defect": "a video twice", "form": "jsonl", "peer": "polars", "did": "silent"}
    return {"runs": runs, "defects": [defect]}


def test_the_page_names_who_is_wrong_and_who_is_ahead() -> None:
    """Also what a counter does with a defect."""
    assert "all are right" in section(measured([]))
    text = section(measured(["decisions"]))
    assert "polars is wrong in decisions (jsonl)" in text
    assert "| a video twice | jsonl | silent |" in text
    assert all(one.ahead for one in verdicts(measured([])))
    assert command("polars", "all", LOG)[-3:] == ["polars", "all", str(LOG)]

"""What a result file is, told from its content, and who takes it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from conftest import ROOT

from flopbench.core.errors import DataError, InputError
from flopbench.policy.file_kinds import (
    LOG,
    MADE_BY,
    POINTS,
    REPLAY,
    TABLE,
    TIMINGS,
    kind_of,
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("tests/data/selective.jsonl", LOG),
        ("tests/data/timings.json", TIMINGS),
        ("tests/data/timings-schema1.json", TIMINGS),
        ("tests/data/table-schema1.json", TABLE),
        ("reports/table2.json", TABLE),
        ("reports/replay-amd-epyc.json", REPLAY),
    ],
)
def test_committed_files_are_recognised(path: str, kind: str) -> None:
    """Each kind of file is recognised by its content."""
    assert kind_of(ROOT / path) == kind


def test_the_name_does_not_decide(tmp_path: Path) -> None:
    """A timing file named like a log is a timing file; a packed log is a log."""
    disguised = tmp_path / "run.jsonl"
    disguised.write_bytes((ROOT / "tests/data/timings.json").read_bytes())
    assert kind_of(disguised) == TIMINGS
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(gzip.compress((ROOT / "tests/data/steady.jsonl").read_bytes()))
    assert kind_of(packed) == LOG


def test_a_log_that_speaks_of_kinds_is_a_log(tmp_path: Path) -> None:
    """Text in a log that looks like another file's marker changes nothing."""
    log = tmp_path / "run.jsonl"
    header = {
        "format": "flopbench.policy-log",
        "version": 1,
        "method": '"kind": "flopbench.replay"',
    }
    log.write_text(json.dumps(header) + "\n")
    assert kind_of(log) == LOG
    log.write_text('{ "extra": {"kind": "flopbench.replay"}, "format": "flopbench.policy-log"}\n')
    assert kind_of(log) == LOG


def test_tables_from_before_kinds(tmp_path: Path) -> None:
    """The first cost tables named no kind."""
    data = json.loads((ROOT / "reports/table2.json").read_text(encoding="utf-8"))
    del data["kind"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(data, indent=1))
    assert kind_of(old) == TABLE


def test_points(tmp_path: Path) -> None:
    """A CSV of approaches is a table of points; one of decisions is a log."""
    points = tmp_path / "points.csv"
    points.write_text("approach,metric,percent,gflops_per_video\nA,mAP,70,10\n")
    assert kind_of(points) == POINTS
    decisions = tmp_path / "log.csv"
    decisions.write_text("id,step,action\nv0,0,1\n")
    assert kind_of(decisions) == LOG


@pytest.mark.parametrize("kind", ["estimate", "comparison", "audit", "time-comparison", "other"])
def test_results_that_are_worked_out_already(tmp_path: Path, kind: str) -> None:
    """An estimate, a comparison or an audit is named, with what to give instead."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"schema": 1, "kind": f"flopbench.{kind}", "rows": []}))
    with pytest.raises(DataError, match=str(path)) as refusal:
        kind_of(path)
    assert "files that it was made from" in refusal.value.hint


def test_nonsense_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, and a file of unknown format give one message each."""
    with pytest.raises(InputError, match=r"there is no file '.*nothing\.json'"):
        kind_of(tmp_path / "nothing.json")
    with pytest.raises(InputError, match=r"no file matches '.*\*\.json'"):
        kind_of(tmp_path / "*.json")
    with pytest.raises(InputError, match="directory"):
        kind_of(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("Dear diary,\n")
    with pytest.raises(DataError, match="not a policy log"):
        kind_of(text)


def test_every_kind_says_what_makes_it() -> None:
    """Every kind of file has a way to make one."""
    assert set(MADE_BY) >= {LOG, TABLE, TIMINGS, REPLAY, POINTS}
    assert all(MADE_BY.values())

"""Shares of actions: of frames, of decisions, per stream, per run; small ones drawn together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from logs import write_log

from flopbench.core.errors import DataError, InputError
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.present.figures.caption import MOST_LOOKS
from flopbench.present.figures.usage import usage

usage_of = usage.make

DATA = ROOT / "tests" / "data"
LOGS = [DATA / "selective.jsonl", DATA / "steady.jsonl"]
CHOICES = Choices(table=CostTable.load(DATA / "table-schema1.json"), may_measure=False)
CONSTANT = {"net": 'value:1000 "a test"'}


def streams_log(folder: Path) -> Path:
    """Write a log of two streams."""
    actions = [
        {"name": name, "stream": stream, "kind": kind, "costs": costs}
        for stream in ("rgb", "flow")
        for name, kind, costs in (("look", "run", {"net": 1}), ("skip", "skip", {}))
    ]
    header = {"streams": ["rgb", "flow"], "actions": actions, "components": CONSTANT}
    samples = [{"actions": {"rgb": [0, 0, 0, 1], "flow": [1, 1, 1, 0]}}]
    return write_log(folder / "streams.jsonl", header, samples)


def exits_log(folder: Path, exits: list[int]) -> Path:
    """Write a log of early exits."""
    samples = [{"exit": n} for n in exits]
    return write_log(folder / "exits.jsonl", {"preset": "frameexit"}, samples)


@pytest.mark.parametrize("of", ["frames", "decisions"])
@pytest.mark.parametrize("rule", ["exact", "published"])
def test_shares_are_the_estimators(of: Any, rule: Any) -> None:
    """Each share is the one that the estimate of the same log gives, under the same rule."""
    choices = Choices(table=CHOICES.table, may_measure=False, rule=rule)
    usage = usage_of(LOGS, choices=choices, of=of)
    for one, log in zip(usage.runs, LOGS, strict=True):
        run = run_of_log([log], choices)
        from_run = usage_of(run, of=of).runs[0]
        for name, cost in run.primary.by_action.items():
            share = cost.share_of_frames if of == "frames" else cost.share_of_decisions
            assert one.share_of(name) == share
            assert from_run.share_of(name) == share, "a Run keeps its own rule"


def test_decisions_under_the_published_rule_are_named() -> None:
    """The caption says that a row is a part of a decision there."""
    usage = usage_of(LOGS[0], choices=Choices(rule="published"), of="decisions")
    assert "published rule" in usage.caption.sentences[0]
    assert all(share.count is None for share in usage.runs[0].shares)


def test_every_action_is_shown(tmp_path: Path) -> None:
    """An action that nobody chose has a bar, of length 0."""
    samples = [{"actions": [0] * 16}]
    usage = usage_of(write_log(tmp_path / "log.jsonl", {"preset": "arnet-resnet"}, samples))
    assert len(usage.actions) == 7
    assert usage.bar(usage.runs[0], "skip 4") == 0
    assert "Every action is shown, however rare." in usage.caption.sentences


def test_small_ones_together() -> None:
    """On request, those below a share in every run are one bar; the caption names them."""
    usage = usage_of(LOGS, group_below=0.08)
    assert usage.grouped == ("resnet18@112", "mobilenet_v2@84", "skip 1")
    name = usage.actions[-1]
    assert name == "3 others (< 8 % each)"
    for run in usage.runs:
        assert usage.bar(run, name) == sum(run.share_of(a) or 0 for a in usage.grouped)
        assert sum(usage.bar(run, action) or 0 for action in usage.actions) == pytest.approx(1)
    said = "Drawn together, each below 8 % in every run: resnet18@112, mobilenet_v2@84 and skip 1."
    assert said in usage.caption.sentences
    grouped = {row[1] for row in usage.table.rows if row[5]}
    assert grouped == set(usage.grouped)
    assert len(usage.table.rows) == 14


def test_one_small_action_stays_itself() -> None:
    """A single action below the limit is not grouped, and the caption says so."""
    usage = usage_of(LOGS[0], group_below=0.015)
    assert not usage.groups
    assert "mobilenet_v2@84" in usage.actions
    said = "No two actions of one stream are below 1.5 % in every run: each is shown."
    assert said in usage.caption.sentences


def test_streams_add_up_by_themselves(tmp_path: Path) -> None:
    """Shares are of the stream; small ones of two streams are never added up."""
    usage = usage_of(streams_log(tmp_path))
    assert usage.actions == ("rgb: look", "rgb: skip", "flow: look", "flow: skip")
    assert usage.wholes == ("rgb", "rgb", "flow", "flow")
    assert [s.share for s in usage.runs[0].shares] == [0.75, 0.25, 0.25, 0.75]
    assert usage.label == "share of the stream's frames (%)"
    assert "Each stream's actions add up to 100 %." in usage.caption.sentences
    grouped = usage_of(streams_log(tmp_path), group_below=0.5)
    assert not grouped.groups


def test_exits(tmp_path: Path) -> None:
    """An exit's share is of the videos; the axis and the caption say so."""
    usage = usage_of(exits_log(tmp_path, [0, 0, 0, 9]))
    assert usage.runs[0].share_of("frame 1") == 0.75
    assert usage.label == "share of videos (%)"
    assert usage.caption.sentences[0] == "An exit's share is of all videos."


def test_a_run_without_an_action(tmp_path: Path) -> None:
    """A run that lacks an action has no bar there, which is not a bar of length 0."""
    other = write_log(tmp_path / "log.jsonl", {"preset": "uniform"}, [{"actions": [0] * 8}])
    usage = usage_of([LOGS[0], other])
    assert usage.bar(usage.runs[1], "skip 4") is None
    assert any("no such action" in text for text in usage.caption.sentences)


def test_a_published_distribution(tmp_path: Path) -> None:
    """A table of shares is drawn; it has no counts and no videos."""
    table = tmp_path / "shares.csv"
    table.write_text("action,share\nresnet50@224,0.75\nskip 4,0.25\n")
    usage = usage_of(table, choices=Choices(preset="arnet-resnet"))
    assert usage.bar(usage.runs[0], "skip 4") == 0.25
    assert usage.runs[0].videos is None
    assert "a published distribution" in usage.caption.sentences[-1]


def test_the_logs_own_unit(tmp_path: Path) -> None:
    """Rows that are clips are called clips; logs that disagree have steps."""
    actions = [{"name": "look", "costs": {"net": 1}}]
    header = {"actions": actions, "components": CONSTANT, "step_unit": "clip"}
    log = write_log(tmp_path / "log.jsonl", header, [{"actions": [0]}])
    assert usage_of(log).label == "share of clips (%)"
    assert usage_of([log, LOGS[0]]).label == "share of steps (%)"


def test_refused(tmp_path: Path) -> None:
    """A figure of nothing, or of too many runs to distinguish, is refused."""
    with pytest.raises(InputError, match=r"every action is below 99 %"):
        usage_of(LOGS[0], group_below=0.99)
    with pytest.raises(InputError, match="between 0 and 1"):
        usage_of(LOGS[0], group_below=40)
    with pytest.raises(InputError, match="expected 'frames' or 'decisions'"):
        usage_of(LOGS[0], of="videos")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"9 runs; at most 8") as error:
        usage_of([LOGS[0]] * (MOST_LOOKS + 1))
    assert error.value.hint == "draw several figures"
    counts = {"components": CONSTANT}
    none = write_log(tmp_path / "none.jsonl", counts, [{"counts": {"net": 3}}])
    with pytest.raises(InputError, match="no actions and no exits"):
        usage_of(none)
    own = {"actions": [{"name": "look"}], "encoding": "per_decision"}
    spans = write_log(tmp_path / "spans.jsonl", own, [{"actions": [0], "spans": [3]}])
    with pytest.raises(DataError, match="spans"):
        usage_of(spans, choices=Choices(rule="published"), of="decisions")

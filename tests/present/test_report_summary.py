"""The summary of a report: findings, warnings, and what many runs become."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from msgspec.structs import replace
from report_files import (
    INPUTS,
    Page,
    gather,
    write_log,
    write_profiles,
)

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from flopbench.cli import main
from flopbench.counting.cost_row import CostRow
from flopbench.counting.table import CostTable
from flopbench.estimate.comparison_text import differences_grid
from flopbench.estimate.runs import Choices
from flopbench.present.report.material import read_material
from flopbench.present.report.sections import compared
from flopbench.present.report.summary import headlines_of, summary_of


def test_warnings_say_what_they_are_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two models, both with a disputed count: stderr, page and Markdown name the model."""
    monkeypatch.chdir(tmp_path)
    for model in ("one", "two"):
        write_profiles(Path(f"{model}.json"), model, "disputed")
    assert main(["report", "one.json", "two.json", "-o", "out"]) == 0
    gathered = [f"{model} at 8: thop: disputed - against torch" for model in ("one", "two")]
    assert [
        w.removeprefix("flopbench: warning: ") for w in capsys.readouterr().err.splitlines()
    ] == (gathered)
    root = Page(Path("out/index.html").read_text(encoding="utf-8")).root
    summary = next(e for e in root.all("section") if e.attributes["id"] == "summary")
    assert [e.text for e in summary.all("ul")[1].all("li")] == gathered
    markdown = Path("out/report.md").read_text(encoding="utf-8")
    assert "### Warnings\n\n" + "\n".join(f"- {text}" for text in gathered) in markdown


def test_many_runs_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine runs: the cheapest and the most expensive in the summary, the figures in two parts."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    names = [f"run{n}.jsonl" for n in range(9)]
    for n, name in enumerate(names):
        samples = [{"id": f"v{i}", "actions": [min(n, 6)] * 15 + [i]} for i in range(3)]
        write_log(Path(name), {"method": f"run {n}", "dataset": "d"}, samples)
    assert main(["report", *names, "table.json", "-o", "out", "--resamples", "20"]) == 0
    root = Page(Path("out/index.html").read_text(encoding="utf-8")).root
    summary = next(e for e in root.all("section") if e.attributes["id"] == "summary")
    said = [e.text for e in summary.all("ul")[0].all("li")]
    assert len(said) == 3
    assert said[1].startswith("9 runs. The cheapest: run ")
    assert said[2].startswith("The most expensive: run ")
    figures = [e.attributes["id"] for e in root.all("figure")]
    assert figures == [f"figure-{kind}-{n}" for n in (1, 2) for kind in ("usage", "cost")]


def test_one_counter_is_not_compared_with_itself(tmp_path: Path) -> None:
    """The summary says what it counted, and nothing about agreement."""
    write_profiles(tmp_path / "net.json")
    material = read_material([tmp_path / "net.json"])
    ((name, explanation),) = material.profiles
    alone = replace(explanation, profiles=explanation.profiles[:1])
    (said,) = summary_of(replace(material, profiles=((name, alone),)), None)
    assert said.endswith("M parameters, counted by torch.")


def test_the_summary_of_a_table_leads_with_counts_to_believe(tmp_path: Path) -> None:
    """THOP's 1 of 40 GMACs is no least cost."""
    lines = (("clip", "thop", "partial", 1), ("clip", "torch", "unverified", 40),
             ("frame", "thop", "verified", 2), ("frame", "torch", "verified", 2))  # fmt: skip
    rows = tuple(
        CostRow(model=model, input="8", counter=name, status=status, dense_macs=n * 10**9)
        for model, name, status, n in lines
    )
    CostTable(rows=rows).save(tmp_path / "t.json")
    (said,) = summary_of(read_material([tmp_path / "t.json"]), None)
    assert "Not counted in full" not in said
    assert "from 2.0000 dense GMACs a forward pass (frame at 8) to 40.0000 (clip at 8)" in said


def test_the_summary_of_a_table_takes_no_partial_count(tmp_path: Path) -> None:
    """0 of an LSTM's MACs, by THOP's older rules alone, are no cost; the model is named."""
    rows = (
        CostRow(model="lstm", input="1", counter="thop", status="partial", dense_macs=0),
        CostRow(model="a", input="8", counter="thop", status="unverified", dense_macs=10**9),
        CostRow(model="b", input="8", counter="thop", status="unverified", dense_macs=2 * 10**9),
    )
    CostTable(rows=rows).save(tmp_path / "t.json")
    (said,) = summary_of(read_material([tmp_path / "t.json"]), None)
    assert "from 1.0000 dense GMACs a forward pass (a at 8) to 2.0000 (b at 8)" in said
    assert said.endswith("Not counted in full: lstm at 1.")


def numbers(
    folder: Path, samples: list[dict[str, Any]], unit_macs: int = 10**9, **header: Any
) -> list[Any]:
    """Return the headline of a log whose networks cost 4 and 1 units, and its policy 1 a step."""
    actions = [
        {"name": "big", "costs": {"a": 4}},
        {"name": "small", "costs": {"a": 1}},
        {"name": "skip", "kind": "skip"},
    ]
    log = write_log(
        folder / "own.jsonl",
        {"preset": None, "method": "own", "actions": actions, "charges": {"per_step": {"a": 1}},
         "components": {"a": f'value:{unit_macs} "a test"'}, **header},
        [{"id": f"v{n}", **sample} for n, sample in enumerate(samples)],
    )  # fmt: skip
    (one,) = headlines_of(read_material([log], Choices(resamples=10)), None)
    assert one.name == "own"
    return [(number.value, number.what, number.more.split(";")[0]) for number in one.numbers]


def test_a_run_is_cost_accuracy_and_share(tmp_path: Path) -> None:
    """Two videos of 4 steps cost 4 + 4 + 1 + 4 = 13 and 1 + 1 + 4 = 6: 9.5, of 16 for big alone.

    Of 8 frames 3 + 2 = 5 are processed, and one of two predictions is right.
    """
    samples = [
        {"actions": [0, 0, 1, 2], "labels": [1], "prediction": 1},
        {"actions": [1, 1, 2, 2], "labels": [0], "prediction": 1},
    ]
    cost, accuracy, share = numbers(tmp_path, samples, class_names=["x", "y"])
    assert cost[1:] == ("GFLOPS/video by torch", "59 % of big on every frame, 16")
    assert accuracy[1] == "top-1"
    assert share == ("62 %", "of the frames processed", "2.5 of 4 a video")


def test_only_numbers_that_exist(tmp_path: Path) -> None:
    """A log without labels, of which all frames are processed: the cost, 20 of 16, exactly."""
    found = numbers(tmp_path, [{"actions": [0, 0, 0, 0]}], step_unit="token")
    assert found == [("20.0000", "GFLOPS/sample by torch", "125 % of big on every token, 16")]
    found = numbers(tmp_path, [{"actions": [0, 0, 0, 0]}], 10**6, step_unit="token")
    assert found == [("20.0000", "MFLOPS/sample by torch", "125 % of big on every token, 16")]


def test_an_accuracy_that_cannot_be_computed_has_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without scikit-learn, which mAP needs, the report and the other numbers are there."""
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    samples = [{"actions": [0], "labels": [0, n], "scores": [n, 1.0]} for n in (0, 1)]
    cost, accuracy = numbers(tmp_path, samples)
    assert cost[0] == "5.0000"
    assert accuracy[:2] == ("-", "accuracy")
    assert "mAP needs scikit-learn" in accuracy[2]


def test_a_replay_joins_its_run_or_has_a_headline() -> None:
    """The committed replay is of steady: 2.602 times as fast online, 95 % from 2.537 to 2.650."""
    files = [ROOT / INPUTS[name] for name in ("steady.jsonl", "table.json", "replay.json")]
    (one,) = headlines_of(read_material(files, Choices(resamples=50)), None)
    assert one.name == "steady"
    assert [number.what for number in one.numbers] == [
        "GFLOPS/video by thop-2020", "top-1", "measured speed-up, online"
    ]  # fmt: skip
    assert one.numbers[2].value == "2.602×"
    assert one.numbers[2].more == (
        "95 %: 2.537 to 2.650; 3.19× by count; split 3.68×; bucketed 3.36×"
    )
    (alone,) = headlines_of(read_material(files[2:]), None)
    assert alone.numbers == one.numbers[2:]


def test_a_difference_of_rules_is_named(tmp_path: Path) -> None:
    """A table of shares has another rule than a log: summary and table of differences say so."""
    table = CostTable.load(ROOT / INPUTS["table.json"])
    header = {"format": "flopbench.policy-log", "version": 1, "preset": "arnet-resnet"}
    usage = tmp_path / "usage.csv"
    usage.write_text("action,share\nresnet18@112,0.5\nresnet50@224,0.5\n", encoding="utf-8")
    (tmp_path / "usage.header.json").write_text(
        json.dumps({**header, "steps": 16, "method": "shares"}), encoding="utf-8"
    )
    log = write_log(tmp_path / "log.jsonl", {"method": "log"}, [{"id": "v", "actions": [0] * 16}])
    choices = Choices(table=table, table_source="table.json", resamples=10)
    material = read_material([log, usage], choices)
    comparison, _ = compared(material)
    assert comparison is not None
    assert summary_of(material, comparison)[-1].endswith(
        "the first by the published rule, the second by the exact rule."
    )
    assert any(
        text.startswith("Note: rules differ") for text in differences_grid(comparison).caption
    )

"""Logs that figures are drawn from: read, priced without measuring, named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import ROOT
from logs import header_of, write_log

from flopbench.core.errors import DataError, InputError
from flopbench.core.remarks import Remark
from flopbench.counting.table import CostTable
from flopbench.estimate.methods import names_of_logs
from flopbench.estimate.runs import Choices
from flopbench.policy.counts import ShareCounts, Source
from flopbench.policy.plan import plan_of
from flopbench.present.draw.text import plain_text, shortened
from flopbench.present.figures.caption import listed
from flopbench.present.figures.classes import classes
from flopbench.present.figures.cost import cost
from flopbench.present.figures.frames.figure import frames
from flopbench.present.figures.inputs.logs import counted, left_out, priced
from flopbench.present.figures.tradeoff import tradeoff
from flopbench.present.figures.usage import usage

usage_of = usage.make
classes_of = classes.make
frames_of = frames.make
tradeoff_of = tradeoff.make
cost_of = cost.make

DATA = ROOT / "tests" / "data"
LOGS = [DATA / "selective.jsonl", DATA / "steady.jsonl"]


def own_log(path: Path, **header: object) -> Path:
    """Write a log whose only network is one that no cache has."""
    actions = [{"name": "look", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}]
    return write_log(
        path,
        {"actions": actions, "components": {"net": "resnet18@33"}, **header},
        [{"actions": [0, 1]}],
    )


def nameable(source: str, **header: str) -> ShareCounts:
    """Return counts of which only the names matter."""
    plan = plan_of(header_of(**header))
    return ShareCounts(plan=plan, shares=(), of="frames", source=Source(source))


def test_counting_needs_no_prices(tmp_path: Path) -> None:
    """A log whose networks were never measured is counted."""
    (one,) = counted(own_log(tmp_path / "run.jsonl", method="m"))
    assert one.name == "m"
    assert one.counts.totals().frames == [1, 1]


def test_pricing_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A price that is neither in the table nor in the cache is refused, and torch stays away."""
    monkeypatch.setitem(sys.modules, "torch", None)
    log = own_log(tmp_path / "run.jsonl")
    with pytest.raises(InputError, match=r"no price under torch for net \(resnet18@33\)") as error:
        priced(log)
    assert "flopbench table --for" in error.value.hint
    assert "--table" in error.value.hint


def test_prices_from_a_table() -> None:
    """All runs are priced from the table, under one counter."""
    table = CostTable.load(ROOT / "reports" / "table2.json")
    runs = priced(LOGS, Choices(table=table, table_source="table2.json"))
    assert [one.name for one in runs] == ["selective", "steady"]
    assert {one.run.primary.counter for one in runs} == {"thop-2020"}
    assert runs[0].run.primary.gflops_per_video == pytest.approx(18.6590, abs=5e-5)


def test_runs_under_different_counters() -> None:
    """Runs made under different counters are not set side by side."""
    table = CostTable.load(ROOT / "reports" / "table2.json")
    made = [
        priced(log, Choices(table=table, counter=name))[0].run
        for log, name in zip(LOGS, ("thop", "torch"), strict=True)
    ]
    with pytest.raises(InputError, match="priced under thop and torch"):
        priced(made)


def test_wrong_kind_and_nothing(tmp_path: Path) -> None:
    """A file of another kind, counts without a file, and an empty list are refused."""
    with pytest.raises(InputError, match="is a timing file; this figure takes a policy log"):
        counted(DATA / "timings.json")
    with pytest.raises(InputError, match="no policy log was given"):
        counted([])
    with pytest.raises(InputError, match="takes files and results, not list") as error:
        counted([LOGS])
    assert "'run-*.jsonl'" in error.value.hint
    counts = counted(LOGS[0])[0].counts
    with pytest.raises(InputError, match="needs prices"):
        priced(counts)
    damaged = tmp_path / "run.jsonl"
    damaged.write_text(
        '{"format": "flopbench.policy-log", "preset": "arnet-resnet"}\n'
        '{"id": "v0", "actions": [9]}\n'
    )
    with pytest.raises(DataError, match=r"run\.jsonl:2"):
        counted(damaged)


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ([{"method": "a"}, {"method": "b"}], ["a", "b"]),
        ([{}, {"method": "b"}], ["f0.jsonl", "b"]),
        ([{"method": "a", "dataset": "X"}, {"method": "a", "dataset": "Y"}], ["X", "Y"]),
        ([{"method": "a", "dataset": "X"}, {"method": "b", "dataset": "Y"}], ["a, X", "b, Y"]),
        ([{"method": "a"}, {"method": "a"}], ["a (d/f0.jsonl)", "a (d/f1.jsonl)"]),
        (
            [
                {"method": "a", "dataset": "X", "split": "val"},
                {"method": "a", "dataset": "X", "split": "test"},
            ],
            ["X val", "X test"],
        ),
    ],
)
def test_names(headers: list[dict[str, str]], names: list[str]) -> None:
    """Runs are named by what distinguishes them."""
    logs = [nameable(f"d/f{i}.jsonl", **fields) for i, fields in enumerate(headers)]
    assert names_of_logs(logs) == names


def test_one_file_twice_and_given_names() -> None:
    """One log given twice is numbered; names of the caller's must be as many, and different."""
    f, g = nameable("f", method="a"), nameable("g", method="a")
    assert names_of_logs([f, f]) == ["a (f) #1", "a (f) #2"]
    assert names_of_logs([f, g], ["x", "y"]) == ["x", "y"]
    with pytest.raises(InputError, match="1 name for 2 runs"):
        names_of_logs([f, g], ["x"])
    with pytest.raises(InputError, match="not all different"):
        names_of_logs([f, g], ["x", "x"])


def test_words_and_text() -> None:
    """Lists read as prose; names are shortened in their middle and never parsed as formulas."""
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert plain_text("a$b$\n\x1b[31m_c") == r"a\$b\$  [31m_c"
    assert shortened("efficientnet_b3@300", 30) == "efficientnet_b3@300"
    assert shortened("timm:efficientnet_b3@300,classes=200", 17) == "timm:eff…sses=200"
    assert len(shortened("x" * 99, 10)) == 10


def test_captions_count_views_and_what_is_left_out(tmp_path: Path) -> None:
    """Every figure of a log says how many views its videos have, and which samples are missing."""
    header = {
        "method": "views",
        "actions": [{"name": "look", "costs": {"net": 1}}],
        "components": {"net": 'value:1000000000 "a test"'},
        "metrics": {"top-1": 70.0},
    }
    samples = [
        {"id": f"v{n}", "view": view, "labels": ["a"], "actions": [0]}
        for n in range(4)
        for view in range(3)
    ]
    log = write_log(tmp_path / "log.jsonl", header, [*samples, samples[0]])
    with log.open("a", encoding="utf-8") as stream:
        stream.write('{"id": "v9", "view": 0, "act')
    choices = Choices(may_measure=False, resamples=20, duplicates="first", allow_truncated=True)
    figures = [
        cost_of(log, choices=choices),
        usage_of(log, choices=choices),
        classes_of(log, choices=choices, ratio="usage"),
        tradeoff_of(log, choices=choices),
        frames_of(log, choices=choices),
    ]
    for figure in figures:
        sentences = " ".join(figure.caption.sentences)
        assert "4 videos (12 views)" in sentences
        assert "1 repeated samples were left out." in sentences
        assert "is cut off and was left out." in sentences


def test_only_samples_that_are_missing_are_left_out() -> None:
    """A caption repeats what reading left out, not every text that ends alike."""
    read = Remark("log:2 is cut off and was left out", kind="left out")
    priced = Remark("what the counter left out", "x: left out")
    assert left_out([read, priced, read]) == ["Note: log:2 is cut off and was left out."]


def test_the_caller_s_names_stand_in_notes(tmp_path: Path) -> None:
    """A note begins with what the figure calls a log, whatever its method is called."""
    header = {"preset": "arnet-resnet", "metrics": {"mAP": 73.8}}
    logs = [
        write_log(tmp_path / f"{n}.jsonl", {**header, "method": name}, [{"actions": [0] * 16}])
        for n, name in enumerate(["x: left out", "y"])
    ]
    table = CostTable.load(ROOT / "reports" / "table2.json")
    figure = tradeoff_of(
        logs, choices=Choices(table=table, table_source="t", resamples=20), names=["one", "two"]
    )
    quoted = "accuracy as its header quotes it, not recomputed"
    assert figure.notes == (f"Note: one: {quoted}.", f"Note: two: {quoted}.")

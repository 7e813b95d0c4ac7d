"""Both ratios of each class: which actions count, which classes are drawn, intervals, refusals."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from logs import write_log

from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices, counts_of_log, run_of_log
from flopbench.present.figures.class_choice import evenly_spaced
from flopbench.present.figures.classes import classes
from flopbench.present.figures.ratios import ratio_of

classes_of = classes.make

DATA = ROOT / "tests" / "data"
LOG = DATA / "selective.jsonl"
CONSTANTS = {name: f'value:{n} "a test"' for n, name in enumerate("abc", start=1)}


def arnet(folder: Path, samples: list[dict[str, Any]]) -> Path:
    """Write a log of AR-Net's: 0 is 224 px, 1 is 168, 2 is 112, 3 is 84, 4 skips one frame."""
    return write_log(folder / "log.jsonl", {"preset": "arnet-resnet"}, samples)


def own_actions(folder: Path, actions: list[dict[str, Any]], rows: list[int]) -> Path:
    """Write a log with custom actions and one labelled video."""
    header = {"actions": actions, "components": CONSTANTS}
    return write_log(folder / "log.jsonl", header, [{"labels": ["c"], "actions": rows}])


def rows_of(*counts: int) -> list[int]:
    """Return rows: this many of each action in turn."""
    return [action for action, n in enumerate(counts) for _ in range(n)]


def test_ratios_by_hand(tmp_path: Path) -> None:
    """AR-Net's figures: 224 of (224, 168, 112), and these of all; 84 px is in neither numerator."""
    samples = [
        {"labels": ["a"], "actions": rows_of(6, 2, 2, 4, 2)},
        {"labels": ["a"], "actions": rows_of(0, 0, 2, 14)},
        {"labels": ["b"], "actions": rows_of(1, 1, 0, 14)},
    ]
    classes = classes_of(arnet(tmp_path, samples))
    a, b = classes.classes
    assert (a.name, a.videos, a.frames_high, a.frames_among, a.frames) == ("a", 2, 6, 12, 32)
    assert a.high is not None
    assert a.usage is not None
    assert (a.high.share, a.usage.share) == (6 / 12, 12 / 32)
    assert b.high is not None
    assert b.high.share == 1 / 2
    assert (b.high.low, b.high.method) == (None, "")
    assert classes.whole.high is not None
    assert classes.whole.high.share == 7 / 14
    assert classes.resolutions.high == "resnet50@224"
    said = " ".join(classes.caption.sentences)
    assert "mobilenet_v2@84: without a network of its own" in said
    assert "A class of one video has no interval." in said


def test_ratios_are_those_of_the_counts() -> None:
    """On a whole log the ratios are sums of the counted rows, class by class."""
    counts = counts_of_log([LOG])
    members = counts.by_label()  # type: ignore[union-attr]
    named = {counts.label_name(v): records for v, records in members.items()}  # type: ignore[union-attr]
    classes = classes_of(LOG)
    assert {one.name for one in classes.classes} == set(named)
    for one in classes.classes:
        frames = counts.frames[named[one.name]].sum(axis=0)  # type: ignore[union-attr]
        assert one.high is not None
        assert one.usage is not None
        assert one.high.share == frames[0] / frames[:3].sum()
        assert one.usage.share == frames[:3].sum() / frames.sum()
        assert one.high.low is not None
        assert one.high.high is not None
        assert one.high.low < one.high.share < one.high.high


def test_sorted() -> None:
    """By a ratio or the number of videos, largest first; by name from a to z."""
    for sort, ascending in (("high", False), ("usage", False), ("n", False), ("name", True)):
        shown = classes_of(LOG, sort=sort).classes  # type: ignore[arg-type]
        keys = {
            "high": [one.high.share for one in shown if one.high],
            "usage": [one.usage.share for one in shown if one.usage],
            "n": [one.videos for one in shown],
            "name": [one.name for one in shown],
        }[sort]
        assert len(keys) == 10
        assert keys == sorted(keys, reverse=not ascending)  # type: ignore[type-var]
    assert "Sorted by resolution usage." in classes_of(LOG, ratio="usage").caption.sentences


def test_evenly_spaced() -> None:
    """The first and the last are always included, and no index is repeated."""
    assert evenly_spaced(10, 20) == list(range(10))
    assert evenly_spaced(9, 3) == [0, 4, 8]
    assert evenly_spaced(9, 1) == [4]
    for of in range(2, 60):
        for most in range(2, of):
            found = evenly_spaced(of, most)
            gaps = {b - a for a, b in pairwise(found)}
            assert (found[0], found[-1], len(found)) == (0, of - 1, most)
            assert max(gaps) - min(gaps) <= 1


def test_which_classes(tmp_path: Path) -> None:
    """Up to 40 are all drawn; beyond, 40 evenly spaced ones, and the caption says so."""
    samples = [{"labels": [f"c{n}"], "actions": rows_of(n % 17, 16 - n % 17)} for n in range(90)]
    log = arnet(tmp_path, samples)
    classes = classes_of(log)
    assert len(classes.classes) == 40
    assert "40 classes of 90, sorted by relative high-resolution usage, evenly spaced" in " ".join(
        classes.caption.sentences
    )
    assert len(classes_of(log, classes=20).classes) == 20
    named = classes_of(log, classes=["c3", "c40"])
    assert {one.name for one in named.classes} == {"c3", "c40"}
    assert "chosen by name" in " ".join(named.caption.sentences)
    with pytest.raises(InputError, match="no sample has the class 'c11x'") as error:
        classes_of(log, classes=["c11x"])
    assert "did you mean 'c" in error.value.hint


def test_the_subset_holds_both_ends(tmp_path: Path) -> None:
    """An evenly spaced subset holds the class with the most and that with the least."""
    samples = [{"labels": [f"c{n:02}"], "actions": rows_of(n, 0, 16 - n)} for n in range(17)]
    shown = classes_of(arnet(tmp_path, samples), classes=5).classes
    assert [one.name for one in shown] == ["c16", "c12", "c08", "c04", "c00"]


def test_several_labels_and_none(tmp_path: Path) -> None:
    """A video with two labels counts in both classes; one without in none; both are noted."""
    samples = [
        {"labels": ["a", "b"], "actions": rows_of(8, 8)},
        {"labels": ["a"], "actions": rows_of(0, 8, 8)},
        {"actions": rows_of(16)},
    ]
    classes = classes_of(arnet(tmp_path, samples), sort="name")
    assert [(one.name, one.videos) for one in classes.classes] == [("a", 2), ("b", 1)]
    assert classes.whole.videos == 3
    said = " ".join(classes.caption.sentences)
    assert "Videos with several labels count in each of their classes." in said
    assert "In no class, since without a label: 1 record." in said


def test_views_of_one_video(tmp_path: Path) -> None:
    """Views of a video are one video, also for the interval."""
    samples = [
        {"id": name, "view": view, "labels": ["a"], "actions": rows_of(n, 16 - n)}
        for name, n in (("v", 4), ("w", 8))
        for view in (0, 1)
    ]
    (one,) = classes_of(arnet(tmp_path, samples)).classes
    assert (one.videos, one.frames_high, one.frames) == (2, 24, 64)


def test_two_logs_have_the_same_rows(tmp_path: Path) -> None:
    """Rows and their order are the first log's; a class that a log lacks has no ratio there."""
    (tmp_path / "b").mkdir()
    mine = [
        {"labels": ["x"], "actions": rows_of(4, 4)},
        {"labels": ["y"], "actions": rows_of(6, 2)},
    ]
    other = [{"labels": ["x"], "actions": rows_of(2, 6)}, {"labels": ["z"], "actions": rows_of(8)}]
    found = classes_of([arnet(tmp_path, mine), arnet(tmp_path / "b", other)], name=["m", "o"])
    names = [[one.name for one in run.classes] for run in found.runs]
    assert names == [["y", "x", "z"]] * 2
    shares = [[one.high and one.high.share for one in run.classes] for run in found.runs]
    assert shares == [[6 / 8, 4 / 8, None], [None, 2 / 8, 1.0]]
    assert {run.usage for own in found.runs for run in own.classes} == {None}
    assert found.table.header[:3] == ("run", "row", "class")
    assert [row[:3] for row in found.table.rows][3:5] == [
        ("m", "whole run", ""),
        ("o", "class", "y"),
    ]
    assert found.caption.title == "Resolutions by class: m and o"
    said = found.caption.sentences
    assert len(said) == len(set(said))


def priced_log(folder: Path, samples: list[dict[str, Any]]) -> Path:
    """Write a log of networks of 4 and 1 GMACs, a policy of 1 GMAC a decision, and a skip of 2."""
    header = {
        "actions": [
            {"name": "big", "costs": {"net": 4}},
            {"name": "small", "costs": {"net": 1}},
            {"name": "skip", "kind": "skip", "span": 2},
        ],
        "components": {"net": 'value:1e9 "a test"'},
        "charges": {"per_decision": {"net": 1}},
    }
    return write_log(folder / "log.jsonl", header, samples)


def test_bars_by_hand(tmp_path: Path) -> None:
    """Shares of frames; cost by the networks of each action, and the policy's decisions.

    Class a: big small skip skip, and skip skip skip skip: 3 and 2 decisions. Of 8 frames 1, 1 and 6
    are under each action; the cost is 4 / 2 = 2, 1 / 2 and 5 / 2 GMACs a video. Class b: big × 4.
    """
    log = priced_log(
        tmp_path,
        [
            {"labels": ["a"], "actions": [0, 1, 2, 2]},
            {"labels": ["a"], "actions": [2, 2, 2, 2]},
            {"labels": ["b"], "actions": [0, 0, 0, 0]},
        ],
    )
    found = classes_of(log, bars="share", name="run")
    bars = {own[0].name: dict(own[0].parts) for own in found.classes}
    assert list(bars) == ["b", "a"]  # by the share of big
    assert bars["a"] == {"big": 1 / 8, "small": 1 / 8, "skip": 6 / 8}
    assert found.whole[0].parts == {"big": 5 / 12, "small": 1 / 12, "skip": 6 / 12}
    assert found.unseen == {"skip"}
    found = classes_of(log, bars="cost", name="run")
    bars = {own[0].name: dict(own[0].parts) for own in found.classes}
    assert bars["a"] == pytest.approx({"big": 2, "small": 0.5, "policy and charges": 2.5})
    assert bars["b"] == pytest.approx({"big": 16, "small": 0, "policy and charges": 4})
    # What the estimator says of the whole run: (5 + 1 + 5 + 16 + 4 - 1) / 3.
    assert found.whole[0].length == pytest.approx(run_of_log([log]).primary.gflops_per_video)
    assert found.whole[0].length == pytest.approx(30 / 3)
    rows = [dict(zip(found.table.header, row, strict=True)) for row in found.table.rows]
    assert [row["class"] for row in rows] == ["b"] * 3 + ["a"] * 3 + [""] * 3
    assert rows[0]["gflops_per_video"] == pytest.approx(16)
    assert "Sorted by cost." in found.caption.sentences


def test_exits_have_shares_of_records(tmp_path: Path) -> None:
    """Where a log has exits and no actions: one of class a's two videos leaves at each exit."""
    header = {"exits": [{"name": "early"}, {"name": "late"}]}
    samples = [{"labels": ["a"], "exit": name} for name in ("early", "late")]
    found = classes_of(write_log(tmp_path / "log.jsonl", header, samples), bars="share")
    assert dict(found.classes[0][0].parts) == {"early": 0.5, "late": 0.5}
    assert found.table.header[4] == "share_of_records"
    assert found.caption.sentences[0] == "Share of each exit, of all records of a class."


def test_of_exit_beside_actions(tmp_path: Path) -> None:
    """A log with both has the shares of its actions, or those of its exits where asked."""
    header = {
        "actions": [{"name": "look"}, {"name": "skip", "kind": "skip"}],
        "exits": [{"name": "early"}, {"name": "late"}],
        "steps": "varies",
    }
    taken = ("early", "early", "early", "late")
    samples = [{"labels": ["a"], "exit": name, "actions": [0, 1]} for name in taken]
    log = write_log(tmp_path / "log.jsonl", header, samples)
    assert dict(classes_of(log, of="action").classes[0][0].parts) == {"look": 0.5, "skip": 0.5}
    found = classes_of(log, of="exit")
    assert dict(found.classes[0][0].parts) == {"early": 0.75, "late": 0.25}
    assert found.table.header[4] == "share_of_records"
    with pytest.raises(InputError, match="shares"):
        classes_of(log, of="exit", bars="cost")


def test_more_parts_than_looks_are_combined(tmp_path: Path) -> None:
    """Of ten actions the seven most frequent are drawn one by one; the numbers have all."""
    actions = [{"name": f"a{n}", "costs": {"a": 1}} for n in range(10)]
    log = own_actions(tmp_path, actions, rows_of(*range(10, 0, -1)))
    found = classes_of(log, bars="share")
    assert list(found.stacked) == [*(f"a{n}" for n in range(7)), "3 others"]
    assert found.stacked["3 others"] == ("a7", "a8", "a9")
    assert len(found.table.rows) == 20


def test_undefined(tmp_path: Path) -> None:
    """A class without any such frame has no relative usage: it is last, and is named."""
    samples = [
        {"labels": ["none"], "actions": rows_of(0, 0, 0, 16)},
        {"labels": ["some"], "actions": rows_of(0, 4, 0, 12)},
    ]
    classes = classes_of(arnet(tmp_path, samples))
    assert [one.name for one in classes.classes] == ["some", "none"]
    assert classes.classes[1].high is None
    assert classes.classes[1].usage is not None
    assert "undefined (0 of 0 frames) for none." in " ".join(classes.caption.sentences)
    row = next(row for row in classes.table.rows if row[1] == "none")
    assert dict(zip(classes.table.header, row, strict=True))["resolution_usage"] == 0


def test_one_class(tmp_path: Path) -> None:
    """A log of one class is drawn; the caption says that nothing is compared."""
    log = arnet(tmp_path, [{"labels": ["a"], "actions": rows_of(8, 8)}] * 1)
    assert "nothing to compare it with" in " ".join(classes_of(log).caption.sentences)


def test_the_highest_resolution(tmp_path: Path) -> None:
    """It is the action with the largest input; if there is no single one, --high must name it."""
    sized = [
        {"name": "net@64", "costs": {"a": 1}},
        {"name": "net@256", "costs": {"b": 1}},
    ]
    log = own_actions(tmp_path, sized, [0, 1, 1, 1])
    assert classes_of(log).resolutions.high == "net@256"
    unsized = [{"name": "little", "costs": {"a": 1}}, {"name": "much", "costs": {"b": 1}}]
    log = own_actions(tmp_path, unsized, [0, 1, 1, 1])
    with pytest.raises(InputError, match="which of little and much") as error:
        classes_of(log)
    assert "--high" in error.value.hint
    (one,) = classes_of(log, high="much").classes
    assert one.high is not None
    assert one.high.share == 0.75
    with pytest.raises(InputError, match="--high 'mch' is not an action") as error:
        classes_of(log, high="mch")
    assert "did you mean 'much'" in error.value.hint
    assert classes_of(log, ratio="usage").resolutions.high == ""


def test_among() -> None:
    """--among names the set; a high one outside it, a skip and an unknown one are refused."""
    classes = classes_of(LOG, among=["resnet50@224", "mobilenet_v2@84"])
    assert classes.resolutions.among == ("resnet50@224", "mobilenet_v2@84")
    assert classes.others == ("resnet34@168", "resnet18@112")
    with pytest.raises(InputError, match="is not among"):
        classes_of(LOG, high="mobilenet_v2@84")
    with pytest.raises(InputError, match="is a skip: it processes no frame"):
        classes_of(LOG, among=["skip 1"])
    with pytest.raises(InputError, match="--among 'resnet' is not an action"):
        classes_of(LOG, among=["resnet"])


def test_one_network(tmp_path: Path) -> None:
    """Where one action alone runs a network, its share of these carries no information."""
    actions = [{"name": "look", "costs": {"a": 1}}, {"name": "skip", "kind": "skip"}]
    log = own_actions(tmp_path, actions, [0, 0, 0, 1])
    classes = classes_of(log)
    assert classes.ratio == "usage"
    assert "look alone runs a network of its own" in str(classes.warnings[0])
    with pytest.raises(InputError, match="there is no relative high-resolution usage"):
        classes_of(log, ratio="high")


def test_streams(tmp_path: Path) -> None:
    """Rows are those of the actions' stream; of several streams one must be chosen."""
    actions = [
        {"name": name, "stream": stream, "kind": kind, "costs": costs}
        for stream in ("rgb", "flow")
        for name, kind, costs in (("look", "run", {"a": 1}), ("skip", "skip", {}))
    ]
    header = {"streams": ["rgb", "flow"], "actions": actions, "components": CONSTANTS}
    sample = {"labels": ["c"], "actions": {"rgb": [0, 0, 0, 1], "flow": [1, 1, 1, 0]}}
    log = write_log(tmp_path / "log.jsonl", header, [sample])
    with pytest.raises(InputError, match="streams rgb and flow"):
        classes_of(log)
    (one,) = classes_of(log, among=["flow: look"]).classes
    assert one.usage is not None
    assert one.usage.share == 0.25


def test_refused(tmp_path: Path) -> None:
    """No labels, a table of shares, several logs, invalid numbers of rows."""
    with pytest.raises(InputError, match="has no labels") as error:
        classes_of(arnet(tmp_path, [{"actions": [0] * 16}]))
    assert "labels" in error.value.hint
    table = tmp_path / "shares.csv"
    table.write_text("action,share\nresnet50@224,1\n", encoding="utf-8")
    with pytest.raises(InputError, match="is a table of shares"):
        classes_of(table, choices=Choices(preset="arnet-resnet"))
    with pytest.raises(InputError, match="up to 4 logs; 5 were given"):
        classes_of([LOG] * 5)
    with pytest.raises(InputError, match="both ratios of several logs"):
        classes_of([LOG, DATA / "steady.jsonl"], ratio="both")
    with pytest.raises(InputError, match="bars are sorted by their length"):
        classes_of(LOG, bars="share", sort="high")
    with pytest.raises(InputError, match="bars show every action"):
        classes_of(LOG, bars="share", ratio="high")
    for wrong in (0, 201):
        with pytest.raises(InputError, match=rf"classes is {wrong}: expected 1 to 200"):
            classes_of(LOG, classes=wrong)
    with pytest.raises(InputError, match="sort is 'best'"):
        classes_of(LOG, sort="best")  # type: ignore[arg-type]
    costless = [{"name": "x"}, {"name": "y"}]
    with pytest.raises(InputError, match="no action runs a network of its own"):
        classes_of(own_actions(tmp_path, costless, [0, 1]))


def test_intervals_cover() -> None:
    """The bootstrap covers the truth about as often as it says, and its limit agrees with it."""
    rng = np.random.default_rng(1)
    covered, trials = 0, 200
    for _ in range(trials):
        below = rng.integers(1, 16, size=80)
        above = rng.binomial(below, 0.3)
        found = ratio_of(above, below, resamples=300, seed=0, largest=10**6)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert 0.88 <= covered / trials <= 0.99
    below = rng.integers(1, 16, size=3000)
    above = rng.binomial(below, 0.3)
    drawn = ratio_of(above, below, resamples=2000, seed=0, largest=10**6)
    limit = ratio_of(above, below, resamples=2000, seed=0, largest=10)
    assert drawn is not None
    assert limit is not None
    assert limit.method == "normal limit of the bootstrap"
    assert drawn.low == pytest.approx(limit.low, abs=5e-4)
    assert drawn.high == pytest.approx(limit.high, abs=5e-4)


def test_intervals_that_cannot_be(tmp_path: Path) -> None:
    """Videos that all agree give an interval without width, and the caption warns of it."""
    samples = [{"labels": ["a"], "actions": rows_of(8, 8)} for _ in range(3)]
    classes = classes_of(arnet(tmp_path, samples))
    assert "An interval without width" in " ".join(classes.caption.sentences)
    assert ratio_of(np.zeros(2), np.zeros(2), resamples=9, seed=0, largest=9) is None


def test_the_same_again() -> None:
    """The seed decides the intervals; another seed gives others."""
    first, second = classes_of(LOG), classes_of(LOG)
    assert first.table == second.table
    assert classes_of(LOG, choices=Choices(seed=1)).table != first.table


def test_numbers_are_whole(tmp_path: Path) -> None:
    """Names stay whole and rows stay unrounded; the whole run has its own row."""
    name = "a very long class name, " * 4
    log = arnet(tmp_path, [{"labels": [name], "actions": rows_of(1, 2)}])
    rows = classes_of(log).table.rows
    assert [(row[0], row[1]) for row in rows] == [("class", name), ("whole run", "")]
    assert rows[0][6] == 1 / 3
    json.dumps(rows)

"""Comparisons: pairing, terms that must match, dominance, accuracies, and how they are printed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import write_log
from msgspec.structs import replace

from flopbench.core.errors import InputError, NotComparableError
from flopbench.estimate.accuracy import mean_average_precision, top1
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.compare import Comparison, Dominance, compare, same_terms
from flopbench.estimate.comparison_text import comparison_tables, differences_grid, methods_grid
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.estimate.text import estimate_grids, estimate_tables

NETS: dict[str, Any] = {
    "components": {"big": "value:4e9", "small": "value:1e9"},
    "actions": [
        {"name": "big", "costs": {"big": 1}},
        {"name": "small", "costs": {"small": 1}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
    "dataset": "activitynet",
    "split": "val",
}
FORMATS = ("table", "md", "csv", "json", "latex")


def log(folder: Path, name: str, samples: list[dict[str, Any]], **header: Any) -> Run:
    """Write a log and estimate it as the verb does."""
    path = write_log(folder / f"{name}.jsonl", {"method": name, **NETS, **header}, samples)
    return run_of_log([path], Choices(), keep_scores=True)


def mixed(seed: int, n: int = 30, **fields: Any) -> list[dict[str, Any]]:
    """Return videos of four steps with random decisions."""
    rng = np.random.default_rng(seed)
    return [{"actions": rng.integers(0, 2, 4).tolist(), **fields} for _ in range(n)]


def render(comparison: Comparison, format: str) -> str:
    """Return a comparison as text."""
    stream = io.StringIO()
    return comparison_tables(comparison).render(format, stream) or stream.getvalue()


def test_the_same_videos_are_paired_in_any_order(tmp_path: Path) -> None:
    """Logs of the same ids are resampled together, whatever their order; others are not."""
    a, b = mixed(1), mixed(2)
    for n in range(30):
        a[n]["id"] = b[n]["id"] = f"video {n}"
    first = log(tmp_path, "first", a)
    in_order = compare([first, log(tmp_path, "second", b)], Choices()).differences[0]
    turned = compare([first, log(tmp_path, "second", b[::-1])], Choices()).differences[0]
    assert in_order.paired
    assert turned == in_order
    apart = compare(
        [first, log(tmp_path, "second", [{**s, "id": s["id"] + "'"} for s in b])], Choices()
    ).differences[0]
    assert not apart.paired
    assert apart.gflops_per_video == in_order.gflops_per_video
    low, high = in_order.ci95_gflops_per_video or (0, 0)
    assert low < in_order.gflops_per_video < high


def test_one_gain_everywhere_has_no_spread_in_pairs(tmp_path: Path) -> None:
    """Where each video costs 1 GFLOPS more, the paired interval is that figure, in any order."""
    a = [{"id": f"{n}", "actions": [0] * n + [1]} for n in range(12)]
    b = [{"id": f"{n}", "actions": [0] * n + [1, 1]} for n in range(12)]
    for second in (b, b[::-1], b[5:] + b[:5]):
        runs = [log(tmp_path, name, s, steps="varies") for name, s in (("a", a), ("b", second))]
        assert compare(runs, Choices()).differences[0].ci95_gflops_per_video == (1.0, 1.0)


@pytest.mark.parametrize("key", ["dataset", "split"])
def test_other_data_is_refused(tmp_path: Path, key: str) -> None:
    """Another dataset or split is refused, naming key and both values; --anyway notes it."""
    runs = [log(tmp_path, "a", mixed(1)), log(tmp_path, "b", mixed(1), **{key: "other"})]
    with pytest.raises(NotComparableError) as caught:
        compare(runs, Choices())
    assert f"differ in {key!r}" in caught.value.message
    assert "'other'" in caught.value.message
    assert repr(NETS[key]) in caught.value.message
    assert f"differ in {key!r}" in str(compare(runs, Choices(), anyway=True).notes[0])


@pytest.mark.parametrize(
    ("others", "header", "note"),
    [
        (["b", "c d"], {}, "a and b name different classes (1 of 2 in common): two sets share"),
        (["b", "c", "d"], {"dataset": None}, "different classes (1 of 2 and 3 in common)"),
        (["b", "a_a"], {}, None),
        (None, {}, None),
        (["z"], {"dataset": "other"}, None),
    ],
)
def test_other_classes_under_one_name_are_noted(
    tmp_path: Path, others: list[str] | None, header: dict[str, Any], note: str | None
) -> None:
    """As sets, underscores as spaces; logs of different datasets have another note."""
    runs = [
        log(tmp_path, "a", mixed(1), class_names=["a a", "b"], **header),
        log(tmp_path, "b", mixed(1), **({"class_names": others} if others else {})),
    ]
    notes = [str(one) for one in compare(runs, Choices(), anyway=True).notes]
    found = [one for one in notes if "different classes" in one]
    assert len(found) == (note is not None)
    assert note is None or note in found[0]


def test_other_labels_of_the_same_videos_are_refused(tmp_path: Path) -> None:
    """Two logs that disagree on the labels of a video are not comparable."""
    same = [{"actions": [0], "labels": [n % 3], "prediction": 0} for n in range(9)]
    other = [*same[:4], {**same[4], "labels": [2]}, *same[5:]]
    runs = [log(tmp_path, "a", same), log(tmp_path, "b", other)]
    with pytest.raises(NotComparableError, match=r"labels of 'v4': \[1\] and \[2\]"):
        compare(runs, Choices())
    assert "labels of 'v4'" in str(compare(runs, Choices(), anyway=True).notes[0])


def quoting(folder: Path, name: str, actions: list[int], percent: float | None) -> Run:
    """Return a run whose header quotes an mAP."""
    metrics = {} if percent is None else {"mAP": percent}
    return log(folder, name, [{"actions": actions}] * 1, metrics=metrics, steps="varies")


def test_dominance_and_the_front(tmp_path: Path) -> None:
    """A run that is at least as accurate and at most as costly dominates; equals do not."""
    runs = [
        quoting(tmp_path, "costly", [0, 0, 0], 75.0),
        quoting(tmp_path, "cheap", [1], 60.0),
        quoting(tmp_path, "worse", [0, 0], 59.0),
        quoting(tmp_path, "equal", [1], 60.0),
        quoting(tmp_path, "as good, costlier", [1, 1], 60.0),
    ]
    found = compare(runs, Choices())
    pairs = {(d.winner, d.loser) for d in found.dominance}
    assert pairs == {
        ("cheap", "worse"),
        ("equal", "worse"),
        ("as good, costlier", "worse"),
        ("cheap", "as good, costlier"),
        ("equal", "as good, costlier"),
    }
    assert found.front == ("costly", "cheap", "equal")
    assert [a.percent for a in found.methods] == [75, 60, 59, 60, 60]
    assert "costly: accuracy as its header quotes it, not recomputed" in map(str, found.notes)
    assert found.differences[0].percent == -15
    assert found.differences[0].ci95_percent is None


def decided(folder: Path, name: str, right: int, heavy: int) -> Run:
    """Return 200 videos of one step: the first cost more, the last are predicted rightly."""
    return log(
        folder,
        name,
        [
            {"actions": [int(n >= heavy)], "labels": [0], "prediction": int(n < 200 - right)}
            for n in range(200)
        ],
    )


def test_dominance_says_where_an_interval_leaves_it_open(tmp_path: Path) -> None:
    """Dominance is clear where both intervals exclude 0, open where one holds 0 or is missing."""
    best = decided(tmp_path, "best", right=150, heavy=20)
    worse = decided(tmp_path, "worse", right=90, heavy=120)
    close = decided(tmp_path, "close", right=149, heavy=21)
    found = compare([best, worse, close], Choices(), metric="top-1")
    clear = {(d.winner, d.loser): d.clear for d in found.dominance}
    assert clear[("best", "worse")] is True
    assert clear[("best", "close")] is False
    quoted = compare(
        [quoting(tmp_path, "a", [1], 70.0), quoting(tmp_path, "b", [0], 60.0)], Choices()
    )
    assert [d.clear for d in quoted.dominance] == [None]


@pytest.mark.parametrize(("right", "heavy"), [(149, 120), (90, 21)])
def test_dominance_is_open_where_one_of_two_intervals_holds_0(
    tmp_path: Path, right: int, heavy: int
) -> None:
    """A clear saving at an accuracy that may be chance is not clear, nor is the reverse."""
    runs = [decided(tmp_path, "best", 150, 20), decided(tmp_path, "other", right, heavy)]
    (found,) = compare(runs, Choices(), metric="top-1").dominance
    assert (found.winner, found.clear) == ("best", False)


def test_a_missing_metric_is_no_place_on_the_front(tmp_path: Path) -> None:
    """Without an accuracy of every run there is no front, and the gap is named."""
    runs = [quoting(tmp_path, "a", [0], 70.0), quoting(tmp_path, "b", [1], None)]
    found = compare(runs, Choices(), metric="map")
    assert (found.metric, found.front, found.dominance) == ("mAP", (), ())
    assert found.methods[1].percent is None
    assert any(note.startswith("b: no accuracy: ") for note in map(str, found.notes))


def test_metrics_and_number_of_runs_are_checked(tmp_path: Path) -> None:
    """An unknown metric is refused with the known ones; one run is no comparison."""
    runs = [log(tmp_path, "a", mixed(1))]
    with pytest.raises(InputError, match="two logs or more"):
        compare(runs, Choices())
    with pytest.raises(InputError, match="no metric 'recall'") as caught:
        compare(runs * 2, Choices(), metric="recall")
    assert "mAP, top-1" in caught.value.hint


def test_one_method_twice_stays_two_lines(tmp_path: Path) -> None:
    """Runs of one name are distinguished by their files, runs of one file by a number."""
    (tmp_path / "x").mkdir()
    runs = [log(tmp_path, "m", mixed(1)), log(tmp_path / "x", "m", mixed(2))]
    names = [a.name for a in compare([*runs, runs[0]], Choices()).methods]
    a, b = tmp_path / "m.jsonl", tmp_path / "x" / "m.jsonl"
    assert names == [f"m ({a}) #1", f"m ({b})", f"m ({a}) #2"]


def test_a_run_without_a_method_has_the_whole_name_of_its_first_file(tmp_path: Path) -> None:
    """A file whose name holds `` and `` is named whole, alone or as the first of several."""
    samples = [{"id": "v0", "actions": [0]}]
    header = {k: v for k, v in NETS.items() if k != "method"}
    path = write_log(tmp_path / "cats and dogs.jsonl", header, samples)
    run = run_of_log([path], Choices())
    assert run.method == "cats and dogs.jsonl"
    assert estimate_data(run)["source"] == str(path)
    other = write_log(tmp_path / "more.jsonl", header, [{"id": "v1", "actions": [0]}])
    both = run_of_log([path, other], Choices())
    assert both.method == "cats and dogs.jsonl"
    assert estimate_data(both)["source"] == f"{path} and 1 more"


def test_runs_are_named_by_dataset_where_that_differs(tmp_path: Path) -> None:
    """As in figures; the given names appear in every note."""
    runs = [
        log(tmp_path, "a", mixed(1), metrics={"mAP": 70}),
        log(tmp_path, "b", mixed(2), dataset="fcvid", metrics={"mAP": 71}),
    ]
    found = compare(runs, Choices(), anyway=True)
    assert [a.name for a in found.methods] == ["a, activitynet val", "b, fcvid val"]
    given = compare(runs, Choices(), names=["one", "two"], anyway=True)
    quoted = "accuracy as its header quotes it, not recomputed"
    assert [str(note) for note in given.notes[1:]] == [f"one: {quoted}", f"two: {quoted}"]


def test_a_method_may_be_called_as_a_note_begins(tmp_path: Path) -> None:
    """Only a note on rules is shown below the differences, whatever a method is called."""
    runs = [log(tmp_path, name, mixed(1), metrics={"mAP": 70}) for name in ("rules differ", "b")]
    found = compare(runs, Choices())
    assert "rules differ: accuracy as its header" in str(found.notes[0])
    assert len(differences_grid(found).caption) == 1


def test_tables_of_an_estimate_are_labelled_by_what_they_are(tmp_path: Path) -> None:
    """Labels follow from the table; a component's text loses its source, not its own quote."""
    path = write_log(tmp_path / "run.jsonl", {"method": "By hand", **NETS}, mixed(1, labels=["x"]))
    run = run_of_log([path], Choices(by="class"))
    # Constants are the same under every counter: there is no table of counters.
    assert list(estimate_grids(run)) == ["estimate", "component", "action", "class"]
    costs = {
        "big": replace(run.primary.by_component["big"], spec='my "own" nets.py:big'),
        "small": replace(run.primary.by_component["small"], spec='value:1 "a paper"'),
    }
    grid = estimate_grids(replace(run, primary=replace(run.primary, by_component=costs)))[
        "component"
    ]
    assert [row[1] for row in grid.rows] == ['my "own" nets.py:big', "value:1"]


def test_top1_is_that_of_a_direct_computation(tmp_path: Path) -> None:
    """Accuracy, its interval and the paired difference are those of the arrays."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 40)
    predicted = [np.where(rng.random(40) < p, labels, 0) for p in (0.5, 0.8)]
    runs = [
        log(
            tmp_path,
            name,
            [
                {"actions": [0], "labels": [int(t)], "prediction": int(p)}
                for t, p in zip(labels, guess, strict=True)
            ],
        )
        for name, guess in zip("ab", predicted, strict=True)
    ]
    found = compare(runs, Choices(resamples=500, seed=3))
    assert found.metric == "top-1"
    for method, guess in zip(found.methods, predicted, strict=True):
        direct = top1(guess, labels, resamples=500, seed=3)
        assert method.accuracy == direct
        assert method.percent == pytest.approx(100 * (guess == labels).mean(), rel=1e-12)
    difference = found.differences[0]
    rights = [100 * (guess == labels).mean() for guess in predicted]
    assert difference.percent == pytest.approx(rights[1] - rights[0])
    low, high = difference.ci95_percent or (0, 0)
    assert low <= rights[1] - rights[0] <= high


@pytest.mark.parametrize("metric", ["top-1", "mAP"])
def test_accuracies_are_paired_by_video(tmp_path: Path, metric: str) -> None:
    """The interval of a difference in accuracy does not depend on the order of a log."""
    if metric == "mAP":
        pytest.importorskip("sklearn")
    rng = np.random.default_rng(6)
    samples = []
    for n in range(20):
        scores = rng.normal(size=3).round(2).tolist()
        samples.append({"id": f"{n}", "actions": [0], "labels": [n % 3], "scores": scores})
    first = log(tmp_path, "a", samples)
    for second in (samples, samples[::-1], samples[7:] + samples[:7]):
        found = compare([first, log(tmp_path, "b", second)], Choices(), metric=metric)
        # One run against itself: no difference in any resample.
        assert found.differences[0].percent == pytest.approx(0, abs=1e-9)
        assert found.differences[0].ci95_percent == pytest.approx((0, 0), abs=1e-9)


def test_map_is_that_of_a_direct_computation(tmp_path: Path) -> None:
    """mAP of scores, several labels a video; absent classes are listed, quotes checked."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(9)
    scores = rng.normal(size=(2, 24, 5)).round(3)
    labels = [sorted({int(rng.integers(0, 4)), int(rng.integers(0, 4))}) for _ in range(24)]
    runs = [
        log(
            tmp_path,
            name,
            [
                {"actions": [0], "labels": k, "scores": r.tolist()}
                for k, r in zip(labels, s, strict=True)
            ],
            metrics={"mAP": 12.3},
        )
        for name, s in zip("ab", scores, strict=True)
    ]
    found = compare(runs, Choices())
    offsets = np.cumsum([0, *map(len, labels)])
    codes = np.concatenate(labels)
    assert found.metric == "mAP"
    for method, s in zip(found.methods, scores, strict=True):
        assert method.accuracy == mean_average_precision(s, codes, offsets)
        assert method.accuracy is not None
        assert method.accuracy.absent_classes == (4,)
        assert method.quoted is None
    assert "a: without a positive video, so left out of the mean: 1 class, 4" in map(
        str, found.notes
    )
    assert any(
        note.startswith("a: its header quotes 12.3 %; its scores give")
        for note in map(str, found.notes)
    )
    expected = (found.methods[1].percent or 0) - (found.methods[0].percent or 0)
    assert found.differences[0].percent == pytest.approx(expected)


def test_a_table_of_shares_beside_a_log(tmp_path: Path) -> None:
    """Shares have the published rule only: the rules' difference is named, with both figures."""
    header = {"format": "flopbench.policy-log", "version": 1, **NETS, "method": "shares"}
    usage = tmp_path / "usage.csv"
    usage.write_text("action,share\nbig,0.25\nskip 2,0.75\n", encoding="utf-8")
    beside = tmp_path / "usage.header.json"
    beside.write_text(json.dumps({**header, "steps": 4}), encoding="utf-8")
    shares = run_of_log([usage], Choices(), keep_scores=True)
    # 4 steps × 0.25 × 4 GFLOPS
    assert (shares.primary.rule, shares.primary.gflops_per_video) == ("published", 4.0)
    whole = log(tmp_path, "log", [{"actions": [0, 2, 2, 2]}] * 3)
    found = compare([whole, shares], Choices())
    (difference,) = found.differences
    assert (difference.paired, difference.ci95_gflops_per_video) == (False, None)
    assert "rules differ" in str(found.notes[0])
    assert differences_grid(found).caption[1:] == (f"Note: {found.notes[0]}.",)
    assert "log 4.0000" in str(found.notes[0])
    assert "exact and published rule" in render(found, "md")
    beside.write_text(json.dumps(header), encoding="utf-8")
    with pytest.raises(InputError, match="how many steps a video has"):
        run_of_log([usage], Choices())
    assert run_of_log([usage], Choices(steps=8)).primary.gflops_per_video == 8.0


def test_all_runs_are_under_the_first_one_s_counter(tmp_path: Path) -> None:
    """The first run's counter prices every run."""
    run = log(tmp_path, "a", mixed(1))
    assert same_terms(Choices(), run).counter == run.book.primary


NASTY = "a|b & <b>bold</b>\nnext \\ *line* \x1b[31m"


@pytest.fixture
def nasty(tmp_path: Path) -> Comparison:
    """A comparison of logs with names that are markup in every format."""
    named = [{**a, "name": a["name"] + NASTY} for a in NETS["actions"]]
    runs = []
    for n in (1, 2):
        header = {**NETS, "actions": named, "method": f"{n} {NASTY}", "dataset": NASTY}
        samples = mixed(n, labels=[NASTY])
        path = write_log(tmp_path / f"{n}.jsonl", header, samples)
        runs.append(run_of_log([path], Choices(by="class"), keep_scores=True))
    return compare(runs, Choices())


@pytest.mark.parametrize("format", FORMATS)
def test_formats_are_deterministic_and_escaped(nasty: Comparison, format: str) -> None:
    """Text from a log ends no cell and starts no markup, in both verbs and every format."""
    run = nasty.methods[0].run
    stream = io.StringIO()
    texts = [
        render(nasty, format),
        estimate_tables(run).render(format, stream) or stream.getvalue(),
    ]
    again = io.StringIO()
    assert texts == [
        render(nasty, format),
        estimate_tables(run).render(format, again) or again.getvalue(),
    ]
    for text in texts:
        if format == "json":
            data = json.loads(text)
            methods = [a["name"] for a in data.get("approaches", ())] or [data["method"]]
            assert methods[0] == f"1 {NASTY}"
        elif format == "csv":
            cells = list(csv.reader(io.StringIO(text)))
            assert len({len(line) for line in cells}) == 1
            assert any(NASTY in cell for line in cells for cell in line)
        else:
            assert "\x1b" not in text
            assert "bold</b>\nnext" not in text
            if format == "md":
                assert r"a\|b & \<b>bold\</b> next \\ \*line\*" in text
                for block in text.split("\n\n"):
                    lines = [
                        line.replace(r"\\", "").replace(r"\|", "") for line in block.split("\n")
                    ]
                    widths = {line.count("|") for line in lines if line.startswith("|")}
                    assert len(widths) <= 1
            if format == "latex":
                assert r"a\textbar{}b \& \textless{}b\textgreater{}bold" in text


def test_spans_of_their_own_leave_the_published_rule_out(tmp_path: Path) -> None:
    """Where the published rule is not defined: null and a sentence, not a number."""
    samples = [{"actions": [0, 2, 1], "spans": [1, 5, 1]}] * 2
    run = log(tmp_path, "run", samples, encoding="per_decision")
    assert estimate_data(run)["published_rule"] is None
    assert "Published rule: not defined here" in (
        estimate_tables(run).render("md", io.StringIO()) or ""
    )
    csv_text = estimate_tables(run).render("csv", io.StringIO()) or ""
    assert "published_rule" not in csv_text


def test_few_of_many_better_approaches_are_named(tmp_path: Path) -> None:
    """Three are named; of five the first two are, and how many more there are."""
    runs = [log(tmp_path, name, [{"actions": [0, 2, 2, 2]}] * 3) for name in ("a", "b")]
    found = compare(runs, Choices())

    def place(better: int) -> str:
        beaten = tuple(
            Dominance(winner=f"r{n}", loser=found.methods[0].name, clear=True)
            for n in range(better)
        )
        return methods_grid(replace(found, dominance=beaten)).rows[0][-1]

    assert place(3) == "dominated by r0, r1, r2"
    assert place(5) == "dominated by r0, r1, 3 more"


def test_no_resamples_are_no_intervals(tmp_path: Path) -> None:
    """Without resamples figures have no intervals, and dominance is open; fewer are refused."""
    runs = [log(tmp_path, "a", mixed(1))]
    path = write_log(tmp_path / "b.jsonl", {"method": "b", **NETS}, mixed(2, n=30))
    runs.append(run_of_log([path], Choices(resamples=0), keep_scores=True))
    assert runs[1].interval is None
    (apart,) = compare(runs, Choices(resamples=0)).differences
    assert apart.ci95_gflops_per_video is None
    for wrong in ({"resamples": -1}, {"seed": -1}):
        with pytest.raises(InputError, match="-1 where 0 or more was expected"):
            Choices(**wrong)

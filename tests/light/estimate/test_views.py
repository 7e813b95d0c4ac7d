"""Several views a video: scores are averaged, videos are paired and drawn with all their views."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import block, header_of, write_log

from flopbench.core.bootstrap import interval
from flopbench.estimate.compare import Comparison, compare
from flopbench.estimate.methods import Method
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.estimate.scores import NoAccuracy, predictions_of, score_columns
from flopbench.policy.counts import Source
from flopbench.policy.engine import Gatherer
from flopbench.policy.plan import plan_of
from flopbench.policy.samples import raise_first

NETS: dict[str, Any] = {
    "components": {"big": "value:4e9", "small": "value:1e9"},
    "actions": [{"name": "big", "costs": {"big": 1}}, {"name": "small", "costs": {"small": 1}}],
}


def log(folder: Path, name: str, samples: list[dict[str, Any]]) -> Run:
    """Write a log and estimate it as ``compare`` does."""
    path = write_log(folder / f"{name}.jsonl", {"method": name, **NETS}, samples)
    return run_of_log([path], Choices(), keep_scores=True)


def multi_view(seed: int, videos: int = 30, most: int = 4) -> list[dict[str, Any]]:
    """Return videos of one to four views, all mixed up, with logits that favour the label."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(videos):
        for view in range(1 + n % most):
            scores = 3 * rng.standard_normal(4)
            scores[n % 3] += 2
            actions = rng.integers(0, 2, 2).tolist()
            made.append({"id": f"v{n}", "view": view, "labels": [n % 3], "actions": actions})
            made[-1]["scores"] = scores.round(3).tolist()
    return [made[i] for i in np.random.default_rng(7).permutation(len(made))]


def by_hand(samples: list[dict[str, Any]]) -> dict[str, tuple[int, list[float], int]]:
    """Return video -> label, mean of the views' softmax, and summed MACs: plain Python."""
    found: dict[str, tuple[int, list[list[float]], int]] = {}
    for sample in samples:
        powers = [math.exp(s) for s in sample["scores"]]
        chances = [p / sum(powers) for p in powers]
        macs = sum((4_000_000_000, 1_000_000_000)[a] for a in sample["actions"])
        label, rows, before = found.setdefault(sample["id"], (sample["labels"][0], [], 0))
        found[sample["id"]] = label, [*rows, chances], before + macs
    return {
        name: (label, [sum(column) / len(rows) for column in zip(*rows, strict=True)], macs)
        for name, (label, rows, macs) in found.items()
    }


def only(folder: Path, samples: list[dict[str, Any]], metric: str) -> Method:
    """Return a log as a line of a comparison with itself."""
    run = log(folder, "one", samples)
    return compare([run, run], Choices(), metric=metric).methods[0]


def test_top1_is_that_of_averaged_softmax_scores(tmp_path: Path) -> None:
    """A video is right where the mean of its views' probabilities is highest at its label."""
    samples = multi_view(3)
    videos = by_hand(samples).values()
    right = sum(max(range(4), key=mean.__getitem__) == label for label, mean, _ in videos)
    found = only(tmp_path, samples, "top-1").accuracy
    assert found is not None
    assert (found.videos, found.percent) == (30, pytest.approx(100 * right / 30))
    assert 0 < right < 30


def test_map_is_that_of_averaged_softmax_scores(tmp_path: Path) -> None:
    """mAP ranks videos, not views, by the mean of their views' probabilities."""
    metrics = pytest.importorskip("sklearn.metrics")
    samples = multi_view(4)
    videos = by_hand(samples).values()
    each = [
        metrics.average_precision_score([v[0] == c for v in videos], [v[1][c] for v in videos])
        for c in range(3)
    ]
    found = only(tmp_path, samples, "mAP").accuracy
    assert found is not None
    assert (found.videos, found.percent) == (30, pytest.approx(100 * sum(each) / 3, rel=1e-12))
    assert found.absent_classes == (3,)


@pytest.mark.parametrize(
    ("views", "predicted"),
    [
        # softmax: 1.00 + 2 × 0.119 = 1.24 against 2 × 0.881 = 1.76; the logits themselves add up
        # to 10 against 4.
        ([[10, 0], [0, 2], [0, 2]], 1),
        # Probabilities are averaged as they are: 1.51 against 1.49; softmax would make it 1.491
        # (0.731 + 2 × 0.380) against 1.509. Printed with three digits, they need not sum to 1.
        ([[1, 0], [0.255, 0.745], [0.255, 0.745]], 0),
        ([[1, 0], [0.255, 0.744], [0.255, 0.744]], 0),
        ([[1, 0], [0.245, 0.755], [0.245, 0.755]], 1),
        # e^-800 is 0 in a float: the mean is still that of the larger view.
        ([[0, -800], [0, -700]], 0),
        ([[1000, 0], [-1000, 0], [-1000, 0]], 1),
    ],
)
def test_what_is_averaged(tmp_path: Path, views: list[list[float]], predicted: int) -> None:
    """Logits become probabilities view by view; probabilities are taken as they are."""
    samples = [
        {"id": "v", "view": n, "labels": [predicted], "actions": [0], "scores": scores}
        for n, scores in enumerate(views)
    ]
    found = only(tmp_path, samples, "top-1").accuracy
    assert found is not None
    assert found.percent == 100.0


@pytest.mark.parametrize("metric", ["top-1", "mAP"])
def test_equal_views_change_no_accuracy(tmp_path: Path, metric: str) -> None:
    """Three equal views cost three times as much and are as accurate, with the same interval."""
    if metric == "mAP":
        pytest.importorskip("sklearn")
    one = [{k: v for k, v in s.items() if k != "view"} for s in multi_view(5, most=1)]
    three = [{**s, "view": n} for n in range(3) for s in one]
    single, triple = only(tmp_path, one, metric), only(tmp_path, three, metric)
    assert single.accuracy is not None
    assert triple.accuracy is not None
    assert triple.percent == pytest.approx(single.percent)
    assert triple.accuracy.ci95_percent == pytest.approx(single.accuracy.ci95_percent)
    assert triple.run.primary.macs_per_video == 3 * single.run.primary.macs_per_video


def compared(folder: Path, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> Comparison:
    """Compare two logs by top-1."""
    return compare([log(folder, "a", a), log(folder, "b", b)], Choices(), metric="top-1")


def test_videos_are_paired_with_all_their_views(tmp_path: Path) -> None:
    """A difference is resampled over the videos' sums, whatever the order of the views."""
    a, b = multi_view(6), multi_view(8)
    found = compared(tmp_path, a, b).differences[0]
    costs = [{name: macs for name, (_, _, macs) in by_hand(s).items()} for s in (a, b)]
    order = list(costs[0])
    by_video = np.array([costs[1][name] - costs[0][name] for name in order], float)
    expected = interval(by_video)
    assert found.paired
    assert expected is not None
    assert found.ci95_gflops_per_video == pytest.approx(expected.ends)
    assert found.gflops_per_video == pytest.approx(by_video.mean() / 1e9)
    turned = compared(tmp_path, a, b[::-1])
    assert turned.differences[0] == found
    assert turned.notes == ()


def test_other_views_of_the_same_videos_are_noted(tmp_path: Path) -> None:
    """Ten crops against one are paired by video, and the comparison says what it compares."""
    one = [s for s in multi_view(9, 12, 2) if s["view"] == 0]
    plain = [{k: v for k, v in s.items() if k != "view"} for s in one]
    many = [{**s, "view": n} for n in range(10) for s in one]
    for single in (one, plain):
        found = compared(tmp_path, many, single)
        assert found.differences[0].paired
        # (10 - 1) times the one view's cost less.
        sums = defaultdict(int)
        for s in one:
            sums[s["id"]] += sum((4, 1)[a] for a in s["actions"])
        assert found.differences[0].gflops_per_video == -9 * sum(sums.values()) / 12
        (note,) = map(str, found.notes)
        assert note == (
            "b: the logs hold different views of the same videos, 10 and 1 each: costs are sums, "
            "and scores means, over a log's own"
        )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"labels": [1]}, "the views of 'v0' differ in their labels: [0] and [1]"),
        ({"labels": None}, "some samples have no label"),
        ({"prediction": 1}, "views of one video predict different classes"),
        ({"prediction": None}, "not every sample has scores of one length, or a prediction"),
    ],
)
def test_views_without_a_common_answer(tmp_path: Path, second: dict[str, Any], why: str) -> None:
    """What cannot be merged gives no accuracy, and the reason; the cost is still there."""
    first = {"id": "v0", "labels": [0], "prediction": 0, "actions": [0]}
    samples = [{**first, "view": 0}, {**first, "view": 1, **second}]
    found = only(tmp_path, samples, "top-1")
    assert found.accuracy is None
    assert why in found.why_none
    assert found.run.primary.gflops_per_video == 8.0


def test_predictions_of_views_that_agree(tmp_path: Path) -> None:
    """Without scores, a prediction that all views of a video share is the video's."""
    samples = [
        {"id": f"v{n}", "view": view, "labels": [0], "prediction": n % 2, "actions": [0]}
        for view in range(3)
        for n in range(4)
    ]
    found = only(tmp_path, samples, "top-1").accuracy
    assert found is not None
    assert (found.videos, found.percent) == (4, 50.0)


@pytest.mark.parametrize("later", [[[1.0]], [None], [[3.0, 4.0], None]])
def test_scores_that_are_an_array_in_one_block_only_are_kept_as_rows(later: list[Any]) -> None:
    """Rows of another length, or none, in the blocks after it: no accuracy, but no crash."""
    header = header_of(**NETS, steps=1)
    gatherer = Gatherer(plan_of(header), raise_first, columns=score_columns())
    for number, rows in enumerate(([[0.5, 1.5], [2.0, 2.5]], later)):
        samples = [
            {"id": f"{number} {n}", "labels": [0], "scores": row, "actions": [0]}
            for n, row in enumerate(rows)
        ]
        gatherer.add(block(header, samples, ("scores", "prediction")))
    counts = gatherer.finish(Source())
    kept = [None if row is None else list(row) for row in counts.columns["scores"]]
    assert kept == [[0.5, 1.5], [2.0, 2.5], *later]
    with pytest.raises(NoAccuracy, match="not every sample has scores of one length"):
        predictions_of(counts)

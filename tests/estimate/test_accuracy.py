"""Top-1 and mAP against hand arithmetic and scikit-learn, and how their intervals behave."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from flopbench.core import bootstrap
from flopbench.core.errors import InputError
from flopbench.estimate.accuracy import (
    Accuracy,
    mean_average_precision,
    paired_map_difference,
    paired_top1_difference,
    top1,
    top1_correct,
)
from flopbench.estimate.average_precision import rank

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def sk_ap() -> Any:
    """scikit-learn's average precision, the reference."""
    return pytest.importorskip("sklearn.metrics").average_precision_score


def single(labels: Any) -> tuple[Any, Any]:
    """One label per video, as codes and offsets."""
    return np.asarray(labels), np.arange(len(labels) + 1)


def noisy(videos: int, classes: int, seed: int, strength: float = 3.0) -> tuple[Any, Any]:
    """Logits that point at the right class more or less, and the right classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=videos)
    scores = rng.normal(size=(videos, classes))
    scores[np.arange(videos), labels] += strength
    return scores, labels


def width(result: Accuracy) -> float:
    """Width of an interval in percentage points."""
    assert result.ci95_percent is not None
    return result.ci95_percent[1] - result.ci95_percent[0]


def holds_its_value(result: Accuracy) -> bool:
    """Whether the value is inside its interval."""
    assert result.ci95_percent is not None
    return result.ci95_percent[0] <= result.percent <= result.ci95_percent[1]


# Top-1


def test_top1_of_scores_and_of_predictions() -> None:
    """Scores predict their highest class, and so do the class indices themselves."""
    scores = [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.0, 0.1, 0.9], [0.2, 0.3, 0.5]]
    labels = [1, 0, 1, 2]
    # Predicted 1, 0, 2, 2: the third of four is wrong.
    from_scores = top1(scores, labels)
    assert (from_scores.metric, from_scores.percent, from_scores.videos) == ("top-1", 75.0, 4)
    assert from_scores.classes is None
    assert from_scores.notes == ()
    assert top1([1, 0, 2, 2], labels) == from_scores
    assert top1_correct(scores, labels).tolist() == [True, True, False, True]


def test_top1_tie_goes_to_the_lowest_class_and_is_told() -> None:
    """Among equal highest scores the lowest class index predicts; the note counts such videos."""
    result = top1([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]], [0, 1, 1])
    assert result.percent == pytest.approx(200 / 3)
    assert result.notes[0].startswith("2 of 3 have a tied highest score")


def test_top1_interval_holds_the_value_and_shrinks() -> None:
    """The interval is that of a binomial: about 1.96 standard errors to each side."""
    small, large = (top1(*noisy(n, 10, seed=1)) for n in (200, 20_000))
    assert holds_its_value(small)
    assert holds_its_value(large)
    p = large.percent / 100
    expected = 2 * 1.96 * 100 * (p * (1 - p) / 20_000) ** 0.5
    assert width(large) == pytest.approx(expected, rel=0.1)
    assert width(small) > 5 * width(large)


# mAP


def test_map_worked_example() -> None:
    """The mean over classes of the mean precision at each positive, in percent."""
    pytest.importorskip("sklearn")
    scores = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    codes, offsets = [0, 0, 1], [0, 1, 1, 3, 3]  # video 0: {0}; video 2: {0, 1}; 1 and 3: none
    # Class 0 ranks videos 0+ 1 2+ 3: precisions 1/1 and 2/3, AP 5/6.
    # Class 1 ranks videos 3 2+ 1 0: precision 1/2, AP 1/2.
    # mAP = 100 x (5/6 + 1/2) / 2 = 66.67
    result = mean_average_precision(scores, codes, offsets, softmax=False)
    assert result.metric == "mAP"
    assert result.percent == pytest.approx(100 * (5 / 6 + 1 / 2) / 2, abs=1e-12)
    assert (result.videos, result.classes, result.absent_classes) == (4, 2, ())
    assert "2 of 4 have no label" in result.notes[0]


def test_map_ranks_probabilities_not_logits() -> None:
    """A softmax over classes comes first: it can reverse the order of two videos."""
    pytest.importorskip("sklearn")
    scores = [[5.0, 9.0], [3.0, 0.0]]  # class 0: logits 5 > 3, but probabilities 0.02 < 0.95
    labels = single([1, 0])
    assert mean_average_precision(scores, *labels, resamples=0).percent == 100.0
    # As they are: class 0 ranks video 0 above its positive, video 1: AP 1/2; class 1: AP 1.
    assert mean_average_precision(scores, *labels, softmax=False, resamples=0).percent == 75.0


def test_map_softmax_is_stable() -> None:
    """Logits in the thousands neither overflow nor lose the order that a shift would keep."""
    pytest.importorskip("sklearn")
    scores, labels = noisy(60, 4, seed=2)
    plain = mean_average_precision(scores, *single(labels))
    shifted = mean_average_precision(scores + 4096.0, *single(labels))
    assert shifted.percent == pytest.approx(plain.percent, abs=1e-9)


def test_absent_class_is_left_out_and_listed(sk_ap: Any) -> None:
    """A class without a positive neither moves the other labels nor counts as 0."""
    scores, labels = noisy(80, 5, seed=3)
    labels[labels == 1] = 4  # class 1 is absent
    scores[np.arange(80), labels] += 2.0
    result = mean_average_precision(scores, *single(labels), softmax=False)
    aps = {c: sk_ap(labels == c, scores[:, c]) for c in (0, 2, 3, 4)}
    assert result.percent == pytest.approx(100 * sum(aps.values()) / 4, abs=1e-12)
    assert (result.classes, result.absent_classes) == (4, (1,))

    counted_as_zero = 100 * sum(aps.values()) / 5
    renumbered = np.searchsorted(np.unique(labels), labels)  # 0 2 3 4 become 0 1 2 3
    moved = 100 * sum(sk_ap(renumbered == c, scores[:, c]) for c in range(4)) / 5
    assert result.percent - counted_as_zero > 15
    assert counted_as_zero - moved > 30


def test_map_does_not_depend_on_file_order() -> None:
    """Reordering the videos gives the same value bit for bit, with ties between and in classes."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 3, size=(120, 6)).astype(np.float32)
    labels = rng.integers(6, size=120)
    value = mean_average_precision(scores, *single(labels), resamples=0)
    for _ in range(10):
        order = rng.permutation(120)
        again = mean_average_precision(scores[order], *single(labels[order]), resamples=0)
        assert again == value
    by_label = np.argsort(labels, kind="stable")
    again = mean_average_precision(scores[by_label], *single(labels[by_label]), resamples=0)
    assert again == value


def test_map_of_multi_label_videos(sk_ap: Any) -> None:
    """A video is a positive of each of its classes, once, however often the id is repeated."""
    rng = np.random.default_rng(5)
    positive = rng.random((50, 4)) < 0.4
    scores = rng.random((50, 4))
    rows = [np.flatnonzero(row).tolist() for row in positive]
    rows = [row + row[:1] for row in rows]
    offsets = np.cumsum([0, *map(len, rows)])
    codes = np.array([code for row in rows for code in row])
    result = mean_average_precision(scores, codes, offsets, softmax=False)
    expected = np.mean([sk_ap(positive[:, c], scores[:, c]) for c in range(4)])
    assert result.percent == pytest.approx(100 * expected, abs=1e-12)


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_map_interval_holds_the_value_and_shrinks(strength: float) -> None:
    """Also where few, poorly ranked positives make every resample score higher than the value."""
    pytest.importorskip("sklearn")
    small, large = (
        mean_average_precision(scores, *single(labels))
        for scores, labels in (noisy(n, 20, seed=6, strength=strength) for n in (150, 3000))
    )
    assert holds_its_value(small)
    assert holds_its_value(large)
    assert width(small) > 2 * width(large)
    if strength == 0.0:
        assert "interval recentred" in small.notes[0]


def test_map_interval_stays_within_a_hundred_percent() -> None:
    """An interval recentred on a value near 100 % ends there."""
    pytest.importorskip("sklearn")
    scores, labels = noisy(20, 3, seed=7, strength=2.0)
    result = mean_average_precision(scores, *single(labels))
    # Uncut, its upper end would be 100.38.
    assert result.percent == pytest.approx(97.3677, abs=1e-4)
    assert holds_its_value(result)
    assert result.ci95_percent is not None
    assert result.ci95_percent[1] == 100.0


def test_what_has_no_spread() -> None:
    """No interval without resamples or with one video; one without width says why."""
    pytest.importorskip("sklearn")
    scores, labels = noisy(30, 3, seed=7)
    perfect = mean_average_precision(np.eye(3)[labels], *single(labels))
    assert perfect.ci95_percent == pytest.approx((100.0, 100.0))
    assert mean_average_precision(scores, *single(labels), resamples=0).ci95_percent is None
    one = mean_average_precision([[0.2, 0.8]], *single([1]))
    assert (one.percent, one.ci95_percent, one.absent_classes) == (100.0, None, (0,))
    right = top1([0, 1], [0, 1])
    assert right.ci95_percent == (100.0, 100.0)
    assert "no width" in perfect.notes[0] == right.notes[0]
    assert top1([0, 1], [0, 0], resamples=0).ci95_percent is None
    assert top1([0], [0]).ci95_percent is None


def test_same_seed_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed fixes every digit, however many resamples are held at once; another seed moves it."""
    pytest.importorskip("sklearn")
    scores, labels = noisy(100, 5, seed=8)
    result = mean_average_precision(scores, *single(labels), resamples=50)
    other = mean_average_precision(scores, *single(labels), resamples=50, seed=1)
    assert other.ci95_percent != result.ci95_percent
    assert replace(other, ci95_percent=result.ci95_percent) == result
    monkeypatch.setattr(bootstrap, "CHUNK", 700)
    assert mean_average_precision(scores, *single(labels), resamples=50) == result
    assert top1(scores, labels) == top1(scores, labels)
    assert top1(scores, labels, seed=1) != top1(scores, labels)


# Weighted average precision


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3), st.floats(0.01, 9.0)),
        min_size=1,
        max_size=30,
    )
)
def test_weighted_ap_equals_sklearn(videos: list[tuple[int, bool, int, float]]) -> None:
    """With whole and fractional weights, ties and weights of 0: scikit-learn's to 1e-12."""
    sk_ap = pytest.importorskip("sklearn.metrics").average_precision_score
    scores, positive, whole, broken = (np.array(column) for column in zip(*videos, strict=True))
    assume(positive.any())
    ranked = rank(scores, positive)
    found = np.concatenate([ranked(whole[None]), ranked(np.stack([broken, np.ones(len(videos))]))])
    for value, weights in zip(found, (whole, broken, np.ones(len(videos))), strict=True):
        if (weights * positive).sum() == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(sk_ap(positive, scores, sample_weight=weights), abs=1e-12)


def test_resamples_leave_out_the_classes_they_miss(sk_ap: Any) -> None:
    """An interval is that of scikit-learn's mAP over the same draws, missed classes left out."""
    scores, labels = noisy(12, 6, seed=10, strength=1.0)
    present = np.unique(labels)
    result = mean_average_precision(scores, *single(labels), softmax=False, resamples=40)
    rng = np.random.default_rng(0)
    maps, missed = [], 0
    for _ in range(40):
        drawn = rng.integers(12, size=12)
        kept = np.intersect1d(present, labels[drawn])
        missed += len(present) - len(kept)
        aps = [sk_ap(labels[drawn] == c, scores[drawn, c]) for c in kept]
        maps.append(100 * np.mean(aps))
    assert missed
    low, high = np.percentile(maps, (2.5, 97.5)) + result.percent - np.mean(maps)
    assert result.ci95_percent == pytest.approx((max(low, 0.0), min(high, 100.0)), abs=1e-9)


# Paired differences


def test_paired_top1_difference() -> None:
    """Videos on which both methods agree add nothing: the interval is narrower than unpaired."""
    rng = np.random.default_rng(11)
    a = rng.random(2000) < 0.7
    b = a ^ (rng.random(2000) < 0.05)
    difference, interval = paired_top1_difference(a, b)
    assert difference == pytest.approx(100 * (a.mean() - b.mean()))
    assert interval is not None
    assert interval[0] < difference < interval[1]
    unpaired = top1(a.astype(int), np.ones(2000, dtype=int))
    assert interval[1] - interval[0] < width(unpaired)
    assert paired_top1_difference(a, b) == (difference, interval)
    assert paired_top1_difference(a, a) == (0.0, (0.0, 0.0))
    assert paired_top1_difference(a, b, resamples=0)[1] is None
    negated, mirrored = paired_top1_difference(b, a)
    assert negated == -difference
    assert mirrored == pytest.approx((-interval[1], -interval[0]), abs=0.4)


def test_paired_map_difference() -> None:
    """The same draws for both methods: what they share cancels, and equals differ by 0."""
    pytest.importorskip("sklearn")
    a, labels = noisy(300, 8, seed=12)
    b = a + 0.3 * np.random.default_rng(13).normal(size=a.shape)
    difference, interval = paired_map_difference(a, b, *single(labels))
    result_a, result_b = (mean_average_precision(x, *single(labels)) for x in (a, b))
    assert difference == result_a.percent - result_b.percent
    assert interval is not None
    assert interval[0] < difference < interval[1]
    assert interval[1] - interval[0] < width(result_a)
    assert paired_map_difference(a, b, *single(labels)) == (difference, interval)
    assert paired_map_difference(a, a, *single(labels)) == (0.0, (0.0, 0.0))
    assert paired_map_difference(a, b, *single(labels), resamples=0)[1] is None


def test_paired_map_interval_is_centred() -> None:
    """Repeated videos favour the weaker method's resamples; the interval holds the difference."""
    pytest.importorskip("sklearn")
    scores, labels = noisy(2000, 80, seed=14, strength=0.5)
    perfect = np.eye(80)[labels]
    difference, interval = paired_map_difference(scores, perfect, *single(labels), softmax=False)
    assert interval is not None
    assert interval[0] < difference < interval[1]


# Refusals


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    """The first row with such a score is named."""
    scores = np.zeros((5, 3))
    scores[3, 1] = scores[4, 0] = bad
    for call in (
        lambda: top1(scores, [0] * 5),
        lambda: mean_average_precision(scores, *single([0] * 5)),
        lambda: paired_map_difference(np.zeros((5, 3)), scores, *single([0] * 5)),
    ):
        with pytest.raises(InputError, match="first in row 3") as caught:
            call()
        assert caught.value.hint


@pytest.mark.parametrize("bad", [3, -1])
def test_label_ids_out_of_range_are_refused(bad: int) -> None:
    """Padding, or a class that the scores lack, is refused; its video is named."""
    scores = np.zeros((3, 3))
    with pytest.raises(
        InputError, match=f"row 2 has the class id {bad}, expected 0 to 2"
    ) as caught:
        top1(scores, [0, 1, bad])
    assert "padding" in caught.value.hint
    # Video 0 has three labels and video 1 none: the fourth id is the first of row 2.
    with pytest.raises(InputError, match=f"row 2 has the class id {bad}, expected 0 to 2"):
        mean_average_precision(scores, [0, 1, 2, bad], [0, 3, 3, 4])
    with pytest.raises(InputError, match="predictions: row 0 has the class id -1"):
        top1([-1, 0, 0], [0, 0, 0])


def test_what_has_no_difference_or_resamples_is_refused() -> None:
    """Methods that score other classes, and a negative number of resamples."""
    scores = np.zeros((3, 2))
    with pytest.raises(InputError, match=r"\(3, 2\) and scores_b is \(3, 4\): expected one shape"):
        paired_map_difference(scores, np.zeros((3, 4)), [0], [0, 1, 1, 1])
    for call in (top1, lambda a, b, **more: mean_average_precision(a, *single(b), **more)):
        with pytest.raises(InputError, match="resamples is -1"):
            call(scores, [0, 1, 0], resamples=-1)


def test_map_without_sklearn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is the command that installs scikit-learn."""
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(InputError, match="mAP needs scikit-learn") as caught:
        mean_average_precision(np.eye(2), *single([0, 1]))
    assert caught.value.hint == "python -m pip install 'flopbench[logs]'"


def test_import_is_light() -> None:
    """The module itself loads neither numpy nor scikit-learn."""
    code = "import sys, flopbench.estimate.accuracy; print({'numpy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""Videos that belong together: drawn as clusters, named by a column or by ids, and noticed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import counted, header_of, write_log
from msgspec.structs import replace

from flopbench.core.bootstrap import Interval, difference_interval, drawn_means, ends_of, interval
from flopbench.core.errors import DataError, InputError, NotComparableError
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.clusters import lag1, signs_of_clusters
from flopbench.estimate.compare import Comparison, compare
from flopbench.estimate.comparison_text import methods_grid
from flopbench.estimate.runs import Choices, Run, counts_of_log, run_of_counts, run_of_log
from flopbench.estimate.text import estimate_tables
from flopbench.policy.forms import csv_form
from flopbench.policy.writers import convert_file

NETS: dict[str, Any] = {
    "components": {"big": "value:4e9", "small": "value:1e9"},
    "actions": [{"name": "big", "costs": {"big": 1}}, {"name": "small", "costs": {"small": 1}}],
}
# Five clips of 1 to 5 frames. The frames of a clip cost alike but for the last of each.
SIZES = (3, 1, 5, 2, 4)


def frames(sizes: Sequence[int] = SIZES, **fields: Any) -> list[dict[str, Any]]:
    """Return the frames of some clips: ids, a column, labels, predictions."""
    return [
        {
            "id": f"clip{clip}/frame{frame}",
            "actions": [clip % 2 if frame else 1],
            "labels": [clip % 2],
            "prediction": (clip + frame) % 2,
            "extra": {"clip": f"c{clip}", "frame": frame},
            **fields,
        }
        for clip, size in enumerate(sizes)
        for frame in range(size)
    ]


def estimated(path: Path, cluster: str | None = None, **more: Any) -> Run:
    """Estimate a log."""
    return run_of_log([path], Choices(cluster=cluster, **more))


def written(folder: Path, samples: Sequence[dict[str, Any]], name: str = "log.jsonl") -> Path:
    """Write a log."""
    return write_log(folder / name, {"method": Path(name).stem, **NETS}, samples)


def known(found: Interval | None) -> Interval:
    """Return an interval that exists."""
    assert found is not None
    return found


def clustered(rng: Any, clusters: int) -> tuple[Any, Any]:
    """Return costs whose mean is 10 GMACs, and their clusters of 1 to about 15."""
    codes = np.repeat(np.arange(clusters), 1 + rng.poisson(7, clusters))
    return rng.gamma(4.0, 2.5e9, clusters)[codes] + rng.normal(0, 5e9, len(codes)), codes


def test_whole_clusters_are_drawn_as_a_ratio() -> None:
    """Each draw of three clusters of 1, 2 and 3 videos is the sum of its costs by its videos."""
    costs, codes = np.array([6.0, 1.0, 2.0, 9.0, 0.0, 3.0]), np.array([0, 1, 1, 2, 2, 2])
    sums, sizes = (6.0, 3.0, 12.0), (1, 2, 3)
    possible = {
        sum(sums[i] for i in drawn) / sum(sizes[i] for i in drawn)
        for drawn in product(range(3), repeat=3)
    }
    means = drawn_means(costs, codes, resamples=2000, seed=1)
    assert {round(mean, 9) for mean in means.tolist()} == {round(value, 9) for value in possible}
    # Its expectation over the 27 draws, not that of clusters' means (6 + 1.5 + 4) / 3 = 3.83.
    every = [
        sum(sums[i] for i in drawn) / sum(sizes[i] for i in drawn)
        for drawn in product(range(3), repeat=3)
    ]
    assert means.mean() == pytest.approx(sum(every) / 27, abs=0.05)


def test_one_large_cluster_leaves_few() -> None:
    """Percentiles are those of the effective number of clusters: as Student's t widens them."""
    drawn = np.arange(100_001) / 100_000
    equal = np.repeat(np.arange(16), 3)
    # Φ(-√(16 / 15) × 2.131) = 0.0139
    assert ends_of(drawn, equal) == pytest.approx((0.0139, 0.9861), abs=1e-4)
    # 20² / (12 × 1² + 8²) = 5.3, as of five clusters: Φ(-√(5 / 4) × 2.776) = 0.0010
    large = np.array([*range(12), *[12] * 8])
    assert ends_of(drawn, large) == pytest.approx((0.0010, 0.9990), abs=1e-4)
    assert ends_of(drawn, equal, large) == ends_of(drawn, large)
    # 36² / (9 × 1² + 27²) = 1.8: no fewer than two, the whole range of the draws.
    assert ends_of(drawn, np.array([*range(9), *[9] * 27])) == (0.0, 1.0)
    assert ends_of(drawn) == ends_of(drawn, None) == pytest.approx((0.025, 0.975))


def test_clusters_cover_the_mean_as_often_as_they_say() -> None:
    """Of 800 samples of 40 clusters, 95 ± 2 % hold the mean; videos drawn alone: 60 %."""
    rng = np.random.default_rng(2)
    hits, alone, both = 0, 0, 0
    for repetition in range(800):
        costs, codes = clustered(rng, 40)
        found = known(interval(costs, clusters=codes, resamples=400, seed=repetition))
        naive = known(interval(costs, resamples=400, seed=repetition))
        hits += found.low <= 10 <= found.high
        alone += naive.low <= 10 <= naive.high
        others, groups = clustered(rng, 40)
        two = {"clusters": (codes, groups), "resamples": 400, "seed": repetition}
        apart = known(difference_interval(costs, others, **two))
        both += apart.low <= 0 <= apart.high
    assert 0.93 <= hits / 800 <= 0.97
    assert 0.93 <= both / 800 <= 0.97
    assert alone / 800 <= 0.75


@pytest.mark.parametrize("largest", [10, 10_000])
@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_do_not_depend_on_the_order_of_videos(largest: int, clustered: bool) -> None:
    """Bit for bit, drawn or in the limit; clusters may be numbered in any way, too."""
    rng = np.random.default_rng(3)
    costs = np.exp(rng.normal(size=400)).round(2) * 1e9 / 3
    clusters = rng.integers(0, 40, 400) if clustered else None
    order, number = rng.permutation(400), rng.permutation(40)
    again = None if clusters is None else number[clusters[order]]
    one = interval(costs, clusters=clusters, largest=largest)
    assert one == interval(costs[order], clusters=again, largest=largest)
    b = costs * 1.5
    one = difference_interval(costs, b, clusters=(clusters, None))
    assert one == difference_interval(costs[order], b[::-1], clusters=(again, None))


def test_many_clusters_take_the_limit() -> None:
    """Beyond the limit of the bootstrap, the ratio's standard error replaces the draws."""
    costs, codes = clustered(np.random.default_rng(8), 2000)
    drawn = known(interval(costs, clusters=codes))
    limit = known(interval(costs, clusters=codes, largest=1999))
    assert (drawn.clusters, limit.clusters) == (2000, 2000)
    assert (limit.method, limit.resamples) == ("normal limit of the bootstrap", 0)
    assert limit.high - limit.low == pytest.approx(drawn.high - drawn.low, rel=0.08)
    assert sum(limit.ends) / 2 == pytest.approx(costs.mean() / 1e9)
    # Of clusters of one video it is the limit of videos.
    each = np.arange(len(costs))
    assert known(interval(costs, clusters=each, largest=9)).ends == pytest.approx(
        known(interval(costs, largest=9)).ends
    )


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet", "npz"])
def test_a_column_and_a_prefix_give_the_same_clusters(tmp_path: Path, suffix: str) -> None:
    """Every form of log carries the column, ids say the same, and a log may be in any order."""
    if suffix == "parquet":
        pytest.importorskip("duckdb")
    samples = frames((3, 1, 5, 2, 4) * 3)
    source = written(tmp_path, samples)
    path = tmp_path / f"other.{suffix}"
    if suffix == "jsonl":
        path = source
    else:
        convert_file(source, path)
    runs = [estimated(path, cluster) for cluster in ("clip", "id:/", None)]
    assert runs[0].interval == runs[1].interval != runs[2].interval
    assert [known(run.interval).clusters for run in runs] == [15, 15, None]
    assert [run.clusters.column if run.clusters else None for run in runs] == ["clip", "id:/", None]
    # A clip's frames need not be neighbours.
    mixed = [samples[i] for i in np.random.default_rng(0).permutation(len(samples))]
    apart = estimated(written(tmp_path, mixed), "clip")
    assert apart.primary == runs[0].primary
    assert known(apart.interval).clusters == 15


def test_text_and_json_name_the_clusters(tmp_path: Path) -> None:
    """The caption and the file say what was drawn; without clusters they are as ever."""
    path = written(tmp_path, frames((2,) * 12))
    run, plain = estimated(path, "clip"), estimated(path)
    stream = io.StringIO()
    estimate_tables(run).render("table", stream)
    assert "95 % interval: bootstrap over 12 clusters (clip), 1,000 resamples, seed 0." in (
        stream.getvalue()
    )
    method = {"method": "bootstrap", "resamples": 1000, "seed": 0}
    assert estimate_data(plain)["ci95_method"] == {**method, "unit": "video"}
    assert estimate_data(run)["ci95_method"] == {
        **method,
        "unit": "cluster",
        "clusters": 12,
        "cluster_column": "clip",
    }
    assert run.warnings == ()


@pytest.mark.parametrize(
    ("cluster", "error", "text"),
    [
        ("klip", InputError, "no sample has 'klip' in 'extra'\n  did you mean 'clip'? columns: "),
        ("labels", InputError, "'labels' is a field of its own; columns: clip, frame, some; id:/"),
        ("id", InputError, "id:/ takes what stands before the last / of an id"),
        ("id:_", InputError, "no id has '_'\n  ids: clip0/frame0, ..."),
        ("id:", InputError, "--cluster id: names no separator"),
        ("some", DataError, "11 of 15 samples have no 'some' in 'extra'; the first is 'clip0/fr"),
        ("id:2", DataError, "8 of 15 ids have no '2'; the first is 'clip0/frame0'"),
    ],
)
def test_what_has_no_clusters_is_refused(
    tmp_path: Path, cluster: str, error: type[Exception], text: str
) -> None:
    """An unknown column has a near match; where some samples lack it, the first is named."""
    samples = frames()
    for sample in samples[-4:]:
        sample["extra"]["some"] = 1
    with pytest.raises(error) as caught:
        estimated(written(tmp_path, samples), cluster)
    assert text in str(caught.value)


def test_counts_and_shares_have_no_clusters(tmp_path: Path) -> None:
    """Ready-made counts and tables of shares name no clusters; beside a log, shares may stand."""
    counts, shares = tmp_path / "counts.csv", tmp_path / "usage.csv"
    counts.write_text("video,action,n\nv1,resnet50@224,2\n")
    shares.write_text("action,share\nresnet50@224,100 %\n")
    choices = Choices(preset="uniform", cluster="clip", steps=4)
    with pytest.raises(InputError, match="ready-made counts: --cluster needs the log"):
        run_of_counts(counts, choices)
    with pytest.raises(InputError, match="shares of actions: no --cluster"):
        run_of_log([shares], choices)
    assert counts_of_log([shares], choices, keep_scores=True).totals().videos is None


@pytest.mark.parametrize(
    ("sizes", "text", "has"),
    [
        ((15,), "all 15 videos are one cluster, which says nothing about others: no interval", 0),
        ((1,) * 15, "each cluster is one video, so intervals are over videos", 1),
        (SIZES, "intervals over 5 clusters tend to be too narrow; 10 or more are needed", 1),
    ],
)
def test_clusters_that_help_little_are_noted(
    tmp_path: Path, sizes: Sequence[int], text: str, has: int
) -> None:
    """One cluster, clusters of one video each, and few clusters each have their warning."""
    path = written(tmp_path, frames(sizes))
    run = estimated(path, "clip")
    assert [str(one) for one in run.warnings] == [f"--cluster clip: {text}"]
    assert (run.interval is not None) == has
    if len(sizes) == 15:
        assert run.interval == estimated(path).interval
    alone = estimated(written(tmp_path, frames((1,))), "clip")
    assert (alone.interval, alone.warnings) == (None, ())


def test_shards_and_the_file_of_arnet_have_clusters(tmp_path: Path) -> None:
    """A cluster may reach over shards; AR-Net's file has no columns, but ids."""
    samples = frames((4,) * 12)
    whole = estimated(written(tmp_path, samples), "clip")
    for n in (0, 1):
        write_log(tmp_path / f"part{n}.jsonl", {"method": "log", **NETS}, samples[n::2])
    parts = run_of_log([tmp_path / "part*.jsonl"], Choices(cluster="clip"))
    assert parts.clusters is not None
    assert (parts.clusters.number, parts.primary) == (12, whole.primary)
    names = [f"v{n // 3}_{n % 3}" for n in range(30)]
    path = tmp_path / "meta-val-0.npy.npz"
    np.savez(path, rs=np.eye(7)[np.zeros((30, 4), int)], names=names)
    choices = Choices(preset="arnet-resnet", counter="published", cluster="id:_", may_measure=False)
    run = run_of_log([path], choices)
    assert known(run.interval).clusters == 10
    with pytest.raises(InputError, match="no sample has 'clip' in 'extra'"):
        run_of_log([path], replace(choices, cluster="clip"))


def test_groups_draw_their_own_clusters(tmp_path: Path) -> None:
    """A class has the clusters that reach into it; within a single one there is no interval."""
    samples = [*frames((3, 1, 5, 2, 4)), *frames((4,), labels=[2])[1:]]
    run = estimated(written(tmp_path, [{**s, "id": f"{n}"} for n, s in enumerate(samples)]), "clip",
                    by="class")  # fmt: skip
    found = {group.name: group.interval for group in run.groups}
    assert [one.clusters if one else None for one in found.values()] == [3, 2, None]
    assert run.group_note == "a group within one cluster has no interval"


@pytest.mark.parametrize(
    ("ids", "mark"),
    [
        ([f"clip{c}/frame{f}" for c in range(4) for f in range(6)], "/"),
        ([f"v{c}_q{q}" for c in range(20) for q in range(1, 4)], "_"),
        ([f"bear{c}/{8 * f:05}.jpg" for c in range(3) for f in range(9)], "/"),
        ([f"v_Swing_g{g:02}_c{c:02}" for g in range(1, 6) for c in range(1, 5)], "_"),
        ([f"MOT17-{c:02}/img1/{f:06}.jpg" for f in range(5) for c in range(6)], "/"),
        ([f"cam{c}.{f}" for c in range(2) for f in range(7)], "."),
        ([f"video_{n:04}" for n in range(50)], None),
        ([f"v{n}" for n in range(50)], None),
        ([f"val/{n:012}.jpg" for n in range(50)], None),
        ([f"v_{'abcdefgh'[n % 8] * 9}{n}" for n in range(50)], None),
        ([f"class{n % 5}/Qx{n}w_{n:06}_{n + 10:06}" for n in range(50)], None),
        ([f"n{c}/n{c}_{(7919 * f) % 9973}.JPEG" for c in range(5) for f in range(9)], None),
        ([f"20{y:02}_{(7919 * n) % 9973:06}" for y in range(7, 12) for n in range(12)], None),
        ([f"scene{n}_10" for n in range(50)], None),
        (["a_1", "a_2", *(f"other {n}" for n in range(40))], None),
    ],
)
def test_ids_that_share_prefixes(ids: list[str], mark: str | None) -> None:
    """Frames, questions and clips numbered within a prefix are noticed; mere names are not."""
    counts = counted(header_of(**NETS), [{"id": name, "actions": [0]} for name in ids])
    found = [str(one) for one in signs_of_clusters(counts, np.ones(len(ids)))]
    expected = f"; --cluster 'id:{mark}' draws them together"
    assert [text.rpartition(": if they belong together")[2] for text in found] == (
        [] if mark is None else [f", intervals are too narrow{expected}"]
    )


def test_a_prefix_that_is_the_class_is_no_cluster() -> None:
    """``archery_001`` is a file of a class; where classes and prefixes differ, it may be a clip."""
    samples = [
        {"id": f"{name}_{n:03}", "actions": [0], "labels": [c]}
        for c, name in enumerate(("archery", "bowling", "golf"))
        for n in range(5)
    ]
    samples_of_one = [{**s, "labels": [0]} for s in samples]
    costs = np.ones(15)
    assert signs_of_clusters(counted(header_of(**NETS), samples), costs) == ()
    assert len(signs_of_clusters(counted(header_of(**NETS), samples_of_one), costs)) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Off the mean by -1, -1, 1, 1: (1 - 1 + 1) / 4.
        ([1, 1, 3, 3], 0.25),
        ([1, 3, 1, 3], -0.75),
        ([0.1, 0.1, 0.1], 0.0),
        ([5], 0.0),
    ],
)
def test_lag_1_correlation(values: list[float], expected: float) -> None:
    """The correlation of neighbours by hand; equal costs have none."""
    assert lag1(np.array(values, float)) == pytest.approx(expected)


def test_neighbours_that_cost_alike_are_noticed(tmp_path: Path) -> None:
    """Runs of equal costs are a sign of clusters; a few videos, or the same shuffled, are not."""
    rng = np.random.default_rng(2)
    samples = [{"id": f"x{n}", "actions": [n // 4 % 2]} for n in range(120)]
    (text,) = map(str, estimated(written(tmp_path, samples)).warnings)
    # Every fourth neighbour differs: off by 1 each, (90 - 29) / 120 of the variance.
    assert text == (
        "neighbours in the log cost alike (lag-1 correlation 0.51): if they belong together, "
        "intervals are too narrow; --cluster COLUMN draws them together: a column of 'extra', or "
        "id:SEP for what stands before the last SEP of an id"
    )
    assert estimated(written(tmp_path, samples[:30])).warnings == ()
    mixed = [samples[i] for i in rng.permutation(120)]
    assert estimated(written(tmp_path, mixed)).warnings == ()


def test_fast_decoders_keep_the_first_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet and large CSV files make no names, yet ids that share prefixes are noticed."""
    pytest.importorskip("duckdb")
    path = written(tmp_path, [{k: s[k] for k in ("id", "actions")} for s in frames()])
    monkeypatch.setattr(csv_form, "LARGE_BYTES", 0)
    for suffix in ("parquet", "csv"):
        other = tmp_path / f"other.{suffix}"
        convert_file(path, other)
        run = estimated(other)
        assert list(run.counts.first_ids) == [s["id"] for s in frames()]
        assert "ids such as 'clip0/frame0' and 'clip0/frame1' share a prefix" in str(
            run.warnings[0]
        )


def compared(folder: Path, a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], **more: Any
) -> Comparison:  # fmt: skip
    """Compare two logs by clusters of clips."""
    choices = Choices(cluster="clip", **more)
    paths = [written(folder, samples, f"{n}.jsonl") for n, samples in (("a", a), ("b", b))]
    runs = [run_of_log([path], choices, keep_scores=True) for path in paths]
    return compare(runs, choices, metric="top-1")


def test_differences_draw_whole_clusters_in_pairs(tmp_path: Path) -> None:
    """Pairs are drawn by cluster, in any order of the logs; other clusters are refused."""
    a = frames((4,) * 15)
    b = [{**s, "actions": [1], "prediction": s["labels"][0]} for s in a]
    found = compared(tmp_path, a, b)
    codes = np.repeat(np.arange(15), 4)
    macs = np.array([(1e9 if s["actions"] == [1] else 4e9) for s in a])
    right = np.array([s["prediction"] == s["labels"][0] for s in a])
    (one,) = found.differences
    assert one.paired
    assert one.ci95_gflops_per_video == known(interval(1e9 - macs, clusters=codes)).ends
    drawn = drawn_means(100.0 - 100.0 * right, codes, resamples=1000, seed=0)
    assert one.ci95_percent == ends_of(drawn, codes)
    alone = [drawn_means(100.0 * right, codes, resamples=1000, seed=0)]
    assert found.methods[0].accuracy is not None
    assert found.methods[0].accuracy.ci95_percent == ends_of(alone[0], codes)
    assert "Intervals: bootstrap over 15 clusters (clip)." in methods_grid(found).caption
    assert compared(tmp_path, a, b[::-1]).differences[0] == one
    renamed = [{**s, "extra": {"clip": s["extra"]["clip"] + "'"}} for s in b]
    assert compared(tmp_path, a, renamed).differences[0] == one
    moved = [*b[:5], {**b[5], "extra": b[0]["extra"]}, *b[6:]]
    with pytest.raises(NotComparableError) as caught:
        compared(tmp_path, a, moved)
    assert "videos share the --cluster clip of 'clip1/frame1'" in str(caught.value)


def test_differences_of_other_videos_draw_clusters_apart(tmp_path: Path) -> None:
    """Logs of different videos: each side's clusters are drawn, and both numbers are told."""
    a, b = frames((4,) * 15), [{**s, "id": s["id"] + "'"} for s in frames((4,) * 12)]
    found = compared(tmp_path, a, b)
    sides = [np.array([4e9 if s["actions"] == [0] else 1e9 for s in own]) for own in (a, b)]
    codes = tuple(np.repeat(np.arange(n), 4) for n in (15, 12))
    (one,) = found.differences
    assert not one.paired
    expected = difference_interval(*sides, clusters=codes)
    assert one.ci95_gflops_per_video == known(expected).ends
    caption = "Intervals: bootstrap over 15 clusters (clip) of a, 12 clusters (clip) of b."
    assert caption in methods_grid(found).caption


def test_map_draws_whole_clusters(tmp_path: Path) -> None:
    """Copies of a video are one video: the interval of mAP is about that of the originals."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 40)
    rows = rng.standard_normal((40, 3))
    rows[np.arange(40), labels] += 1.0
    samples = [
        {"id": f"{n}-{copy}", "actions": [0], "labels": [int(labels[n])], "scores": row.tolist(),
         "extra": {"clip": n}}
        for n, row in enumerate(rows) for copy in range(6)
    ]  # fmt: skip
    path = written(tmp_path, samples)

    def width(cluster: str | None, log: Path = path) -> float:
        choices = Choices(cluster=cluster)
        run = run_of_log([log], choices, keep_scores=True)
        accuracy = compare([run, run], choices, metric="mAP").methods[0].accuracy
        assert accuracy is not None
        assert accuracy.ci95_percent is not None
        return accuracy.ci95_percent[1] - accuracy.ci95_percent[0]

    one = width(None, written(tmp_path, samples[::6], "one.jsonl"))
    assert width("clip") == pytest.approx(one, rel=0.15)
    assert width(None) < 0.6 * one  # 1 / √6 = 0.41


def test_views_of_a_video_are_in_one_cluster(tmp_path: Path) -> None:
    """A video with all its views belongs to one cluster; another cluster for a view is refused."""
    samples = [{**s, "view": view} for s in frames((3,) * 12) for view in (0, 1)]
    run = estimated(written(tmp_path, samples), "clip")
    assert (run.primary.videos, run.primary.records) == (36, 72)
    assert known(run.interval).clusters == 12
    samples[3]["extra"] = {"clip": "c9"}
    with pytest.raises(DataError, match=r"the views of 'clip0/frame1' differ in --cluster clip"):
        estimated(written(tmp_path, samples), "clip")


def test_whole_numbers_and_texts_name_clusters(tmp_path: Path) -> None:
    """The values of a column may be numbers or text, and 0 and "" are clusters, too."""
    samples = frames((2,) * 3)
    for sample, value in zip(samples, (0, 0, "", "", 2.5, 2.5), strict=True):
        sample["extra"] = {"clip": value}
    assert known(estimated(written(tmp_path, samples), "clip").interval).clusters == 3
    text = json.dumps(estimate_data(estimated(written(tmp_path, samples), "clip")))
    assert '"clusters": 3' in text

"""Words, columns, units and digits that fit the log: image exits, layers, a single video."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from logs import header_of, write_log

from flopbench.core.errors import DataError
from flopbench.core.grid import Grid
from flopbench.core.units import (
    Words,
    common_words,
    interval_decimals,
    number_of,
    plural,
    scale_of,
    table_scale,
)
from flopbench.estimate.compare import compare
from flopbench.estimate.comparison_text import differences_grid, methods_grid
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.estimate.text import estimate_grids, estimate_tables
from flopbench.present.figures.cost import cost
from flopbench.present.figures.usage import usage

IMAGES: dict[str, Any] = {
    "method": "branchy",
    "sample_unit": "image",
    "components": {"first": "value:20e6", "second": "value:50e6"},
    "exits": [
        {"name": "exit 1", "costs": {"first": 1}},
        {"name": "last", "costs": {"second": 1}},
    ],
}
LAYERS: dict[str, Any] = {
    "method": "depth",
    "sample_unit": "sequence",
    "step_unit": "layer",
    "steps": 4,
    "components": {"block": "value:1e9"},
    "actions": [{"name": "run", "costs": {"block": 1}}, {"name": "drop", "kind": "skip"}],
}
FRAMES: dict[str, Any] = {
    "method": "frames",
    "components": {"net": "value:1e9"},
    "actions": [{"name": "look", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
}
EARLY: dict[str, Any] = {
    "method": "early",
    "components": {"net": "value:1e9"},
    "exits": [
        {"name": "frame 1", "steps": 1, "costs": {"net": 1}},
        {"name": "frame 4", "steps": 4, "costs": {"net": 4}},
    ],
}


def run_of(folder: Path, header: dict[str, Any], samples: list[dict[str, Any]]) -> Run:
    """Write a log and estimate it as the verb does."""
    path = write_log(folder / f"{header['method']}.jsonl", header, samples)
    return run_of_log([path], keep_scores=True)


def headings(grid: Grid) -> str:
    """Return the headings of a table."""
    return " | ".join(column.title for column in grid.columns)


def exits(*taken: str, **fields: Any) -> list[dict[str, Any]]:
    """Return a sample for each exit taken."""
    return [{"exit": one, **fields} for one in taken]


def decided(*rows: list[int]) -> list[dict[str, Any]]:
    """Return a sample for each row of actions."""
    return [{"actions": row} for row in rows]


@pytest.mark.parametrize(
    ("header", "samples", "title", "figures", "actions"),
    [
        (
            IMAGES,
            exits("exit 1", "last"),
            "branchy: 2 images",
            "rule | MFLOPS/image | 95 %",
            "exit | of images | taken/image | MFLOPS/image",
        ),
        (
            LAYERS,
            decided([0, 0, 1, 1], [0, 1, 1, 1]),
            "depth: 2 sequences, 4 layers each",
            "rule | GFLOPS/sequence | 95 % | GFLOPS/layer | /processed layer | /decision | "
            "decisions/sequence | processed/sequence",
            "action | kind | of layers | of decisions | decisions/sequence | GFLOPS/sequence",
        ),
        (
            FRAMES,
            decided([0, 1]),
            "frames: 1 video, 2 frames each",
            "rule | GFLOPS/video | GFLOPS/frame | /processed frame | /decision | decisions/video | "
            "processed/video",
            "action | kind | of frames | of decisions | decisions/video | GFLOPS/video",
        ),
        (
            EARLY,
            exits("frame 1", "frame 4"),
            "early: 2 videos, 4 frames each",
            "rule | GFLOPS/video | 95 % | GFLOPS/frame | /processed frame | processed/video",
            "exit | of frames | of videos | taken/video | GFLOPS/video",
        ),
    ],
    ids=["image exits", "layers", "one video", "video exits"],
)
def test_headings_are_the_words_of_the_log(
    tmp_path: Path,
    header: dict[str, Any],
    samples: list[dict[str, Any]],
    title: str,
    figures: str,
    actions: str,
) -> None:
    """Units rule titles and headings; a column that no row could fill is not there."""
    run = run_of(tmp_path, header, samples)
    grids = estimate_grids(run)
    assert grids["estimate"].title == title
    assert headings(grids["estimate"]) == figures
    assert headings(grids["action"]) == actions
    stream = io.StringIO()
    estimate_tables(run).render("table", stream)
    if header["method"] in {"branchy", "depth"}:
        assert "video" not in stream.getvalue()
        assert "frame" not in stream.getvalue()


def test_exits_say_their_names_and_the_frames_that_they_saw(tmp_path: Path) -> None:
    """Three videos of 4 frames; 1 + 4 + 4 of them processed; 9 GMACs in all."""
    run = run_of(tmp_path, EARLY, exits("frame 1", "frame 4", "frame 4"))
    primary = run.primary
    assert list(primary.by_action) == ["frame 1", "frame 4"]
    assert [cost.share_of_frames for cost in primary.by_action.values()] == [1 / 12, 8 / 12]
    assert (primary.frames_per_video, primary.processed_frames_per_video) == (4, 3)
    assert (primary.gflops_per_frame, primary.gflops_per_processed_frame) == (0.75, 1)


@pytest.mark.parametrize("named", [{"name": "stop"}, {"name": "stop", "kind": "exit"}])
def test_an_exit_is_told_from_an_action_of_its_name(tmp_path: Path, named: dict[str, Any]) -> None:
    """Both keep a line of their own."""
    header = {"method": "two", "actions": [named], "exits": [{"name": "stop"}]}
    run = run_of(tmp_path, header, [{"actions": [0], "exit": "stop"}])
    assert list(run.primary.by_action) == ["stop", "exit stop"]


@pytest.mark.parametrize(
    ("header", "samples", "error"),
    [
        (
            {**FRAMES, "exits": [{"name": "end", "steps": 2}]},
            [],
            "exits[0] ('end') has steps 2, but 'actions' already say which steps are processed",
        ),
        ({**EARLY, "exits": [{"name": "end", "steps": -1}]}, [], "has steps -1 where 0 to"),
        ({**EARLY, "steps": 3}, exits("frame 4"), "steps: is 3, but its exit processes 4"),
        (EARLY, exits("frame 4", steps=2), "steps: is 2, but its exit processes 4"),
        ({**IMAGES, "sample_unit": " "}, [], "'sample_unit' is ' ' where a noun such as 'image'"),
        ({**IMAGES, "step_unit": "a\nb"}, [], "'step_unit' is 'a\\nb' where a noun"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, header: dict[str, Any], samples: list[dict[str, Any]], error: str
) -> None:
    """An exit that processed more than there was; a unit that is no noun."""
    with pytest.raises(DataError) as caught:
        run_of(tmp_path, header, samples or [{"exit": 0}])
    assert error in caught.value.message


@pytest.mark.parametrize(
    ("units", "sample", "step"),
    [
        ({}, "video", "frame"),
        ({"step_unit": "segment"}, "video", "segment"),
        ({"step_unit": "layer"}, "sample", "layer"),
        ({"sample_unit": "image"}, "image", "step"),
        ({"sample_unit": "clip", "step_unit": "token"}, "clip", "token"),
    ],
)
def test_words(units: dict[str, str], sample: str, step: str) -> None:
    """A log is of videos and frames only where it says so, or says nothing."""
    words = header_of(**LAYERS | {"sample_unit": None, "step_unit": None} | units).words
    assert (words.sample, words.step) == (sample, step)


def test_words_that_logs_do_not_share() -> None:
    """Each noun is the common one, or a general one."""
    image = Words(sample="image", step="token")
    assert (image.a_sample, Words().a_sample) == ("an image", "a video")
    assert common_words([image, image]) == image
    assert common_words([image, Words(step="token")]) == Words(sample="sample", step="token")


def test_plurals() -> None:
    """Regular English nouns, which is what units are."""
    singular = ["video", "image", "query", "day", "patch", "class", "box", "series"]
    many = ["videos", "images", "queries", "days", "patches", "classes", "boxes", "series"]
    assert [plural(2, one) for one in singular] == many
    assert [plural(1, one) for one in singular] == singular
    assert (number_of(1, "video"), number_of(1450, "video")) == ("1 video", "1,450 videos")
    assert plural(0, "process", "processes") == "processes"


@pytest.mark.parametrize(
    ("halves", "decimals"),
    [([1.72], 1), ([0.172], 2), ([0.0996], 2), ([0.0994], 3), ([25], 0), ([250], 0), ([1e-9], 4),
     ([0.5, 12], 2), ([0], 4), ([], 4)],
)  # fmt: skip
def test_digits_follow_the_interval(halves: list[float], decimals: int) -> None:
    """Two digits of the narrowest half-width, after rounding; none is no reason to round."""
    assert interval_decimals(halves, 4) == decimals


def test_units_by_size() -> None:
    """A table is in the unit of which its largest cost reaches a tenth; an axis, in whole ones."""
    counts = (0, 99, 10**8 - 1, 10**8, 10**13)
    assert [table_scale(count).prefix for count in counts] == ["G", "", "M", "G", "G"]
    assert [scale_of(count).prefix for count in (999, 10**8, 10**9)] == ["", "M", "G"]


def test_digits_of_an_estimate(tmp_path: Path) -> None:
    """Costs of 4 and 2 GFLOPS, half and half: 3.0 with ± 1.0; breakdowns stay exact."""
    rows = [[0, 0, 0, 0], [0, 0, 1, 1]]
    grids = estimate_grids(run_of(tmp_path, FRAMES, decided(*rows)))
    assert grids["estimate"].rows[0][1:4] == ("3.0", "2.0 to 4.0", "0.75")
    assert grids["component"].rows[0][4] == "3.0000"


def test_rules_that_differ_differ_in_print(tmp_path: Path) -> None:
    """Skips cut short: 3 decisions a video, or 2.5; 2 + 3 × 0.04 and 2 + 2.5 × 0.04 GFLOPS."""
    header = {
        "method": "cut",
        "components": {"net": "value:1e9", "policy": "value:4e7"},
        "actions": [
            {"name": "look", "costs": {"net": 1}},
            {"name": "skip 4", "kind": "skip", "span": 4},
        ],
        "charges": {"per_decision": {"policy": 1}},
    }
    grid = estimate_grids(run_of(tmp_path, header, decided([0, 0, 0, 1], [0, 1, 1, 1])))["estimate"]
    # Their interval alone, 2.1 ± 1.1, would show 2.1 twice.
    assert [row[1] for row in grid.rows] == ["2.12", "2.10"]


def test_a_comparison_has_the_length_and_warns_of_two(tmp_path: Path) -> None:
    """Frames a video stand beside the costs, which are not comparable a frame."""
    runs = [
        run_of(tmp_path, {**FRAMES, "method": name}, decided(*rows))
        for name, rows in {"short": [[0, 1], [0, 0]], "long": [[0] * 4, [1] * 4]}.items()
    ]
    found = compare(runs, Choices())
    grid = methods_grid(found)
    assert headings(grid) == ("approach | mAP % | GFLOPS/f | GFLOPS/v | 95 % | frames/v | videos")
    assert [row[5] for row in grid.rows] == ["2", "4"]
    note = "GFLOPS/f is over videos of different lengths (short 2, long 4 frames): GFLOPS/v "
    assert f"Note: {note}compares them." in grid.caption
    assert not any("lengths" in str(n) for n in compare([runs[0]] * 2, Choices()).notes)


def test_logs_of_two_kinds_share_general_words(tmp_path: Path) -> None:
    """Images beside videos are samples, in one unit."""
    early = exits("frame 1", "frame 4", labels=[0], prediction=0)
    images = exits("exit 1", "last", labels=[0], prediction=1)
    runs = [run_of(tmp_path, EARLY, early), run_of(tmp_path, IMAGES, images)]
    found = compare(runs, Choices())
    assert found.metric == "top-1"
    assert "GFLOPS/sample" in headings(methods_grid(found))
    assert "GFLOPS/sample" in headings(differences_grid(found))


def test_figures_use_the_words_of_the_log(tmp_path: Path) -> None:
    """Axes and captions of what is counted and of what it costs."""
    run = run_of(tmp_path, IMAGES, exits("exit 1", "exit 1", "last"))
    used = usage.make(run)
    assert used.label == "share of images (%)"
    assert used.caption.sentences[0] == "An exit's share is of all images."
    assert "3 images" in used.caption.sentences[2]
    spent = cost.make(run, cumulative=True)
    assert spent.caption.title == "Cumulative distribution of the cost of an image: branchy"
    assert "Share of images that cost at most this much." in spent.caption.sentences
    layers = usage.make(run_of(tmp_path, LAYERS, decided([0, 0, 1, 1])))
    assert layers.label == "share of layers (%)"


@pytest.mark.parametrize(("labels", "metric"), [([1], "top-1"), ([0, 1], "mAP")])
def test_top1_leads_where_each_sample_has_one_label(
    tmp_path: Path, labels: list[int], metric: str
) -> None:
    """With several labels a top-1 would look at the first alone."""
    pytest.importorskip("sklearn")
    samples = [{"actions": [0], "labels": own, "scores": [0.1, 0.9]} for own in ([0], [1], labels)]
    run = run_of(tmp_path, FRAMES, samples)
    assert compare([run, run], Choices(resamples=20)).metric == metric
    assert compare([run, run], Choices(resamples=20), metric="map").metric == "mAP"

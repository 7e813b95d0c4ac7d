"""Figures call samples and steps what their logs call them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from logs import write_log

from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices, counts_of_log
from flopbench.present.figures.classes import classes
from flopbench.present.figures.cost import cost
from flopbench.present.figures.frames.figure import frames
from flopbench.present.figures.tradeoff import tradeoff
from flopbench.present.figures.usage import usage
from flopbench.present.kind import Kind

CHOICES = Choices(resamples=20, may_measure=False)
WORDS = {"sample_unit": "image", "step_unit": "layer"}


def log_of(path: Path, **header: Any) -> Path:
    """Write a log of six samples in two clips and two classes; ``big`` costs 4 GMACs, ``small`` 1.

    They cost 8, 5, 2, 8, 5 and 2.
    """
    whole = {
        "method": path.stem,
        "steps": 2,
        "actions": [{"name": "big", "costs": {"big": 1}}, {"name": "small", "costs": {"small": 1}}],
        "components": {"big": "value:4e9", "small": "value:1e9"},
        "metrics": {"top-1": 70.0},
        **header,
    }
    samples = [
        {
            "id": f"{'abc'[n // 2]}/{n % 2}",
            "actions": [int(n % 3 > 1), int(n % 3 > 0)],
            "labels": [n % 2],
            "extra": {"clip": n // 3, "set": 0},
        }
        for n in range(6)
    ]
    return write_log(path, whole, samples)


FIGURES: list[tuple[Kind[Any, Any], dict[str, Any], str]] = [
    (cost, {}, "Distribution of the cost of an image: own"),
    (cost, {"cumulative": False}, "GFLOPS/image, 6 images"),
    (cost, {"cumulative": True}, "Share of images that cost at most this much."),
    (tradeoff, {}, "Top-1 accuracy against GFLOPS/image"),
    (tradeoff, {"cost": "frames"}, "Top-1 accuracy against processed layers/image"),
    (classes, {"high": "big"}, "Relative high-resolution usage: layers at big of big and small."),
    (classes, {"high": "big", "sort": "n"}, "Sorted by number of images."),
    (classes, {"bars": "share"}, "Share of each action, of all layers of a class."),
    (classes, {"bars": "cost"}, "Cost of an image by class: own"),
    (usage, {}, "Share of each action, of all layers"),
]


@pytest.mark.parametrize(("kind", "options", "said"), FIGURES)
def test_captions_use_the_words_of_the_log(
    kind: Kind[Any, Any], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """An image of layers is nowhere a video of frames; without words it is."""
    for header, expected, other in (
        (WORDS, said, r"\b(videos?|frames?|an? sample|samples)\b"),
        ({}, videos(said), r"\b(images?|layers?|samples?)\b"),
    ):
        log = log_of(tmp_path / "own.jsonl", **header)
        caption = kind.make(log, choices=CHOICES, **options).caption
        text = " ".join([caption.title, *caption.sentences, *caption.short, caption.alt])
        text = text.replace(str(tmp_path), "")
        assert expected in text
        assert not re.findall(other, text), text


def videos(text: str) -> str:
    """Return a text in the words of logs that say none."""
    for ours, usual in {"an image": "a video", "image": "video", "layer": "frame"}.items():
        text = text.replace(ours, usual)
    return text


def test_film_strips_show_frames_of_the_samples(tmp_path: Path) -> None:
    """What is drawn are frames; what they are of has the log's word."""
    log = log_of(tmp_path / "own.jsonl", sample_unit="sequence")
    text = " ".join(frames.make(log, choices=CHOICES).caption.sentences)
    assert "Of each group the sequence is drawn whose cost is nearest" in text
    assert "the log has 6 sequences." in text
    assert "GFLOPS are those of the sequence: rule exact" in text
    assert "video" not in text


def test_logs_with_other_words_are_samples(tmp_path: Path) -> None:
    """Beside each other they share the general words; each keeps its own in what is its own."""
    logs = [log_of(tmp_path / "a.jsonl", **WORDS), log_of(tmp_path / "b.jsonl")]
    caption = cost.make(logs, choices=CHOICES).caption
    assert caption.title == "Distribution of the cost of a sample: a and b"
    text = " ".join(caption.sentences)
    assert "GFLOPS/image, 6 images" in text
    assert "GFLOPS/video, 6 videos" in text
    assert tradeoff.make(logs, choices=CHOICES).unit == "GFLOPS/sample"


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (cost, {}, "Intervals of means: 95 %, percentile bootstrap over 2 clusters (clip), 20 "),
        (tradeoff, {}, "Intervals of GFLOPS: bootstrap over 2 clusters (clip), 20 resamples"),
        (classes, {"high": "big"}, "bootstrap over the class's clusters (clip), 20 resamples"),
    ],
)
def test_intervals_over_clusters_say_so(
    kind: Kind[Any, Any], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Without clusters, ids of one prefix are named; film strips have no interval to mistrust."""
    log = log_of(tmp_path / "own.jsonl", **WORDS)
    figure = kind.make(log, choices=Choices(resamples=20, cluster="clip"), **options)
    assert said in " ".join(figure.caption.sentences)
    assert "intervals over 2 clusters tend to be too narrow" in " ".join(map(str, figure.warnings))
    assert "--cluster 'id:/'" in " ".join(map(str, cost.make(log, choices=CHOICES).warnings))
    assert "--cluster" not in " ".join(map(str, frames.make(log, choices=CHOICES).warnings))


def test_classes_of_one_cluster_have_no_interval(tmp_path: Path) -> None:
    """The whole run and each class are drawn in the same clusters; counts alone have none."""
    log = log_of(tmp_path / "own.jsonl")
    terms = Choices(resamples=20, cluster="set")
    figure = classes.make(log, high="big", choices=terms)
    assert [one.high.low for one in (*figure.classes, figure.whole)] == [None, None, None]
    assert "A class of one cluster has no interval." in figure.caption.sentences
    with pytest.raises(InputError, match="was counted without --cluster set"):
        classes.make(counts_of_log(log), high="big", choices=terms)

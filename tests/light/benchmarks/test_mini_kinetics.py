"""Mini-Kinetics: the split is repeatable, and a damaged annotation file gets one clear message."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.policy_learning import mini_kinetics

HEAD = "label,youtube_id,time_start,time_end,split\n"
CLASSES = ("abseiling", "air drumming", "zumba", "yoga")


def annotations(path: Path, each: int, split: str) -> Path:
    """Write a file with so many videos of each class."""
    rows = [
        f"{label},{split}{number}{label[:2]}xx,{number},{number + 10},{split}\n"
        for number in range(each)
        for label in CLASSES
    ]
    path.write_text(HEAD + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return the options that name four classes with 3 and 2 videos each."""
    train = annotations(tmp_path / "train.csv", 3, "train")
    val = annotations(tmp_path / "val.csv", 2, "val")
    return ["--train", str(train), "--val", str(val)]


def labels(path: Path) -> list[str]:
    """Return the first column of a written list."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [row["label"] for row in csv.DictReader(lines)]


def test_half_of_the_classes_with_all_their_videos(files: list[str], tmp_path: Path) -> None:
    """The same seed writes the same bytes; the manifest's hashes are those of the files."""
    for name in ("a", "b"):
        assert mini_kinetics.main([*files, "--seed", "3", "-o", str(tmp_path / name)]) == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}
    classes = first["classes.txt"].decode().split("\n")[:-1]
    assert len(classes) == 2
    assert classes == sorted(classes)
    assert sorted(labels(tmp_path / "a" / "train.csv")) == sorted(classes * 3)
    assert sorted(labels(tmp_path / "a" / "val.csv")) == sorted(classes * 2)
    manifest = json.loads(first["manifest.json"])
    assert manifest["train"] == {"videos": 6, "not_available": 0}
    for name, digest in manifest["written"].items():
        assert hashlib.sha256(first[name]).hexdigest() == digest
    assert manifest["classes_sha256"] == hashlib.sha256(first["classes.txt"]).hexdigest()


def test_seeds_draw_different_classes() -> None:
    """Over 200 seeds each of 4 classes is drawn about as often: 100 times, at most 5 sigma off."""
    draws = [tuple(mini_kinetics.draw_classes(CLASSES, seed)) for seed in range(200)]
    assert len(set(draws)) == 6  # all pairs of four
    for name in CLASSES:
        assert abs(sum(name in draw for draw in draws) - 100) < 36


def test_a_seed_draws_what_it_drew_before() -> None:
    """The rule is written down: the SHA-256 of "SEED NAME" orders the classes."""

    def key(name: str) -> str:
        return hashlib.sha256(f"7 {name}".encode()).hexdigest()

    assert mini_kinetics.draw_classes(CLASSES, 7) == sorted(sorted(CLASSES, key=key)[:2])


def test_published_list_and_videos_on_disk(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list takes the seed's place; videos under any usual name count as there."""
    (tmp_path / "list.txt").write_text("yoga\nzumba\n", encoding="utf-8")
    disk = tmp_path / "videos" / "yoga"
    disk.mkdir(parents=True)
    for name in ("train0yoxx.mp4", "train2yoxx_000002_000012.webm", "val1yoxx_1_11.mkv"):
        (disk / name).touch()
    argv = [*files, "--classes", str(tmp_path / "list.txt"), "-o", str(tmp_path / "out")]
    assert mini_kinetics.main([*argv, "--available", str(tmp_path / "videos")]) == 0
    out = capsys.readouterr().out
    assert f"train: 2 videos, 4 not in {tmp_path / 'videos'}" in out
    assert "val: 1 videos, 3 not in" in out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seed"] is None
    assert manifest["val"] == {"videos": 1, "not_available": 3}


BAD = {
    "no column": (HEAD.replace("split", "part"), "no column split; its columns are label,"),
    "empty file": ("", "its columns are none: the file is empty"),
    "no videos": (HEAD, "no videos"),
    "twice": (HEAD + "a,x,0,10,t\na,y,0,10,t\nb,x,5,15,t\n", "train.csv:4: video x is on line 2"),
    "cells": (HEAD + "a,x,0,10\n", "train.csv:2: not 5 cells"),
    "more cells": (HEAD + "a,x,0,10,t,u\n", "train.csv:2: not 5 cells"),
    "no label": (HEAD + ",x,0,10,t\n", "train.csv:2: label is empty"),
    "time": (HEAD + "a,x,soon,10,t\n", "train.csv:2: time_start is 'soon', not seconds"),
    "odd": (HEAD + "".join(f"{c},{c}{c},0,10,t\n" for c in "abc"), "3 classes cannot be halved"),
    "long cell": (HEAD + "a" * 140_000 + ",x,0,10,t\n", "train.csv:2: field larger than"),
    "unlike": (HEAD + "q,x,0,10,t\n", "'a' is only in"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_annotations(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what is wrong and where; nothing is written."""
    text, message = BAD[name]
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    val = HEAD + "".join(f"{c},{c}{c}v,0,10,v\n" for c in "abc")
    (tmp_path / "val.csv").write_text(val, encoding="utf-8")
    argv = ["--train", str(tmp_path / "train.csv"), "--val", str(tmp_path / "val.csv")]
    assert mini_kinetics.main([*argv, "-o", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\nb\na\n", "'a' twice"),
        (b"\n\n", "no classes"),
        (b"\xff\xfe", "not UTF-8 (byte 0)"),
        (None, "No such file"),
        (b'{"method": "a"}\n', "its header has no class_names"),
        (b'{"class_names": "ab"}\n', "its header has no class_names"),
        (b"{a\n", "its first line is no header of a policy log"),
    ],
)
def test_bad_class_lists(
    data: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--identify refuses what is no list of classes."""
    if data is not None:
        (tmp_path / "list.txt").write_bytes(data)
    assert mini_kinetics.main(["--identify", str(tmp_path / "list.txt")]) == 2
    assert message in capsys.readouterr().err


def test_a_video_in_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A video of the training set in the validation set is a leak."""
    for name in ("train.csv", "val.csv"):
        text = HEAD + "a,x,0,10,t\n" + f"b,{name},0,10,t\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
    argv = ["--train", str(tmp_path / "train.csv"), "--val", str(tmp_path / "val.csv")]
    assert mini_kinetics.main([*argv, "-o", str(tmp_path / "out")]) == 2
    assert "video x is in" in capsys.readouterr().err


def test_identify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The order of the lines and underscores do not matter; an unknown list is called that."""
    hashes = []
    for text in ("b\na c\n", "a_c\nb\n"):
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")
        assert mini_kinetics.main(["--identify", str(tmp_path / "list.txt")]) == 0
        hashes.append(capsys.readouterr().out)
    assert hashes[0] == hashes[1]
    assert hashlib.sha256(b"a c\nb\n").hexdigest() in hashes[0]
    assert "not a list that is known here" in hashes[0]


LISTS = Path(mini_kinetics.__file__).parent


@pytest.mark.parametrize(("name", "whose"), [("xie", "of Xie et al."), ("arnet", "of AR-Net")])
def test_published_lists_are_known(
    name: str, whose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each list has 200 classes; a log that names them is identified like the list."""
    path = LISTS / f"mini_kinetics_200_{name}.txt"
    log = tmp_path / "log.jsonl"
    header = {"class_names": path.read_text(encoding="utf-8").splitlines()[::-1]}
    log.write_text(json.dumps(header) + '\n{"id": "v1"}\n', encoding="utf-8")
    for source in (path, log):
        assert mini_kinetics.main(["--identify", str(source)]) == 0
        out = capsys.readouterr().out
        assert out.startswith("200 classes, ")
        assert ": Mini-Kinetics" in out
        assert whose in out


def test_published_lists_share_102_classes_of_400() -> None:
    """Draws of half of 400 classes share about 100."""
    xie, arnet = (
        set(mini_kinetics.read_classes(LISTS / f"mini_kinetics_200_{name}.txt"))
        for name in ("xie", "arnet")
    )
    assert len(xie & arnet) == 102

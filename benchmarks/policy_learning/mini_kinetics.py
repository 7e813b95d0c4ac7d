"""Half of Kinetics-400 from its annotation files, recorded so that others can repeat it.

    python -m benchmarks.policy_learning.mini_kinetics --train train.csv --val val.csv \\
        --seed 0 -o mini_kinetics
    python -m benchmarks.policy_learning.mini_kinetics --identify mini_kinetics/classes.txt

Two different sets of 200 classes are called Mini-Kinetics. Xie et al. (ECCV 2018) took the 200
classes with the most training videos, 400 of each for training and 25 for validation; AR-Net
(ECCV 2020) drew 200 at random and took all their videos, 121 K and 10 K; 102 classes are in both.
Only the list of classes says which one a result is about: ``--identify`` compares its hash, that of
a file with one class a line or of the ``class_names`` in a policy log (JSONL). Both lists are here,
for ``--classes``: mini_kinetics_200_xie.txt, from the labels of Xie et al.'s videos; and
mini_kinetics_200_arnet.txt, which AR-Net's code does not have, but AdaFuse's (ICLR 2021, same
authors), as data/kinetics/minik_classInd.txt.

Writes classes.txt (sorted, one a line), train.csv and val.csv (rows as they were), and
manifest.json: seed, counts, and the SHA-256 of all files read and written.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
KNOWN = Path(__file__).with_name("known_class_lists.json")
"""SHA-256 of a class list (``class_hash``) -> whose it is."""
VIDEO_SUFFIXES = {".mp4", ".webm", ".mkv", ".avi", ".mov"}


class InputProblem(Exception):
    """A file that cannot be used; its text is for the user."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """One annotation file.

    Attributes:
        path: where it was read.
        columns: all its columns, in their order.
        rows: a dict for each video, column -> text.
        sha256: of the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    sha256: str

    @property
    def classes(self) -> set[str]:
        """The classes that it names."""
        return {row["label"] for row in self.rows}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, or 2 where a file cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.policy_learning.mini_kinetics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", type=Path, metavar="CSV", help="Kinetics-400's train.csv")
    parser.add_argument("--val", type=Path, metavar="CSV", help="Kinetics-400's validate.csv")
    parser.add_argument("--seed", type=int, default=0, help="draws the classes (default: 0)")
    parser.add_argument("--classes", type=Path, metavar="FILE", help="take these, one a line")
    parser.add_argument("--available", type=Path, metavar="DIR", help="drop videos not in DIR")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where to write")
    parser.add_argument("--identify", type=Path, metavar="FILE", help="say whose class list it is")
    args = parser.parse_args(argv)
    try:
        if args.identify is not None:
            print(identify(read_classes(args.identify)))
            return 0
        if not (args.train and args.val and args.output):
            parser.error("--train, --val and -o are required, or --identify alone")
        chosen = None if args.classes is None else read_classes(args.classes)
        train, val = read_annotations(args.train), read_annotations(args.val)
        print(make_split(train, val, args.output, args.seed, chosen, args.available))
    except (InputProblem, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file of Kinetics; further columns are kept.

    Raises:
        InputProblem: missing columns, an empty file, a repeated video, a bad time; with its line.
    """
    data = _bytes(path)
    reader = csv.DictReader(io.StringIO(_text(path, data), newline=""))
    columns = tuple(reader.fieldnames or ())
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        there = ", ".join(columns) or "none: the file is empty"
        raise InputProblem(f"{path}: no column {', '.join(missing)}; its columns are {there}")
    rows: list[dict[str, str]] = []
    lines: dict[str, int] = {}
    for row in _rows(reader, path):
        line = reader.line_num
        if None in row or None in row.values():
            raise InputProblem(f"{path}:{line}: not {len(columns)} cells, as its first line has")
        for name in ("label", "youtube_id"):
            if not row[name].strip():
                raise InputProblem(f"{path}:{line}: {name} is empty")
        for name in ("time_start", "time_end"):
            if not re.fullmatch(r"\d{1,6}(\.\d+)?", row[name].strip()):
                raise InputProblem(f"{path}:{line}: {name} is {row[name]!r}, not seconds")
        video = row["youtube_id"]
        if video in lines:
            raise InputProblem(f"{path}:{line}: video {video} is on line {lines[video]} already")
        lines[video] = line
        rows.append(row)
    if not rows:
        raise InputProblem(f"{path}: no videos")
    return Annotations(path, columns, tuple(rows), hashlib.sha256(data).hexdigest())


def read_classes(path: Path) -> list[str]:
    """Return the sorted class names of a file, one a line, or of a policy log's header.

    Raises:
        InputProblem: none, or one twice.
    """
    text = _text(path, _bytes(path))
    lines = _names_of_log(text, path) if text.startswith("{") else text.splitlines()
    names = [line.strip() for line in lines if line.strip()]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputProblem(f"{path}: {twice[0]!r} twice")
    if not names:
        raise InputProblem(f"{path}: no classes")
    return sorted(names)


def class_hash(classes: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted class names, one a line; underscores count as spaces.

    >>> class_hash(["b", "a_c"]) == hashlib.sha256(b"a c\\nb\\n").hexdigest()
    True
    """
    names = sorted(name.replace("_", " ") for name in classes)
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


def identify(classes: Sequence[str]) -> str:
    """Say whose class list this is."""
    digest = class_hash(classes)
    known = json.loads(KNOWN.read_text(encoding="utf-8")).get(digest)
    whose = known or f"not a list that is known here ({KNOWN.name} has those that are)"
    return f"{len(classes)} classes, SHA-256 {digest}: {whose}"


def draw_classes(classes: Iterable[str], seed: int) -> list[str]:
    """Return half of the classes, sorted: those whose SHA-256 of "SEED NAME" comes first.

    Raises:
        InputProblem: their number is odd.
    """
    every = sorted(classes)
    if len(every) % 2:
        raise InputProblem(
            f"{len(every)} classes cannot be halved; give the list with --classes FILE"
        )
    drawn = sorted(every, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return sorted(drawn[: len(drawn) // 2])


def make_split(
    train: Annotations,
    val: Annotations,
    output: Path,
    seed: int,
    chosen: Sequence[str] | None = None,
    available: Path | None = None,
) -> str:
    """Write the split into a folder; return its counts as text.

    Args:
        chosen: the classes; drawn with the seed where none are given.
        available: a folder; videos that are not in it or below it are left out.

    Raises:
        InputProblem: the files do not fit together; nothing was written.
    """
    if train.classes != val.classes:
        odd = sorted(train.classes ^ val.classes)
        raise InputProblem(
            f"{odd[0]!r} is only in {(train if odd[0] in train.classes else val).path}"
            f" ({len(odd)} such classes); both files should name the same"
        )
    unknown = sorted({*(chosen or ())} - train.classes)
    if unknown:
        raise InputProblem(f"no videos of the class {unknown[0]!r} in {train.path}")
    classes = list(chosen) if chosen is not None else draw_classes(train.classes, seed)
    shared = {row["youtube_id"] for row in train.rows} & {row["youtube_id"] for row in val.rows}
    if shared:
        raise InputProblem(f"video {min(shared)} is in {train.path} and in {val.path}")
    there = None if available is None else _on_disk(available)
    files = {"classes.txt": "".join(f"{name}\n" for name in classes)}
    manifest: dict[str, object] = {
        "seed": seed if chosen is None else None,
        "classes": len(classes),
        "classes_sha256": class_hash(classes),
        "read": {p.path.name: p.sha256 for p in (train, val)},
    }
    told = []
    for name, part in (("train", train), ("val", val)):
        rows = [row for row in part.rows if row["label"] in {*classes}]
        kept = rows if there is None else [row for row in rows if not there.isdisjoint(_names(row))]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, part.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        files[f"{name}.csv"] = text.getvalue()
        manifest[name] = {"videos": len(kept), "not_available": len(rows) - len(kept)}
        lost = f", {len(rows) - len(kept):,} not in {available}" if there is not None else ""
        told.append(f"{name}: {len(kept):,} videos{lost}")
    output.mkdir(parents=True, exist_ok=True)
    manifest["written"] = {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()
    }
    files["manifest.json"] = json.dumps(manifest, indent=1) + "\n"
    for name, content in files.items():
        (output / name).write_text(content, encoding="utf-8", newline="")
    return "\n".join([identify(classes), *told])


def _names_of_log(text: str, path: Path) -> list[str]:
    try:
        names = json.loads(text.split("\n", 1)[0]).get("class_names")
    except ValueError:
        raise InputProblem(f"{path}: its first line is no header of a policy log") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputProblem(f"{path}: its header has no class_names")
    return names


def _rows(reader: csv.DictReader[str], path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputProblem(f"{path}:{reader.line_num + 1}: {error}") from None


def _names(row: dict[str, str]) -> set[str]:
    """Return the names, without suffix, under which a video is usually kept."""
    video = row["youtube_id"]
    start, end = (int(float(row[name])) for name in ("time_start", "time_end"))
    return {video, f"{video}_{start:06d}_{end:06d}", f"{video}_{start}_{end}"}


def _on_disk(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InputProblem(f"{folder}: no such folder")
    return {p.stem for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror}") from None


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputProblem(f"{path}: not UTF-8 (byte {error.start})") from None


if __name__ == "__main__":
    sys.exit(main())

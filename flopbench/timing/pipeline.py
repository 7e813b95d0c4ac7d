"""The stages before the networks, timed per frame: decoding, colours, resizing, normalising.

They are rows of a timing file, each named by what its time depends on: the codec, the pixel format,
the size of the source, the target size (``decode: h264 720x1280``). Versions of the libraries are
facts of its machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.records import Count, Positive, Record, decode
from flopbench.core.workers import run_job
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.processes import one_more_process
from flopbench.timing.records import Timing, TimingSpec, Work, at_one_pace
from flopbench.timing.run import Effort, in_rounds, primary_column_of, protocol

LARGEST_PX = 4096
"""Longest side of a resized frame, px: 200 MB as floats, if square."""

_JOBS = "flopbench.timing.measure.pipeline"


class Clip(Record, frozen=True, kw_only=True):
    """A video, or a folder of images, that can be decoded.

    Attributes:
        codec: of the video, or the formats of the images.
        colours: pixel format of the decoded frames; empty for images, which are decoded to RGB.
        size: height x width of its frames, px (``720x1280``), or ``mixed sizes``.
        frames: how many are decoded again and again.
        bytes_per_frame: compressed, on average.
        facts: this machine, with the versions of the libraries that decode.
    """

    path: str
    kind: Literal["video", "images"]
    codec: str
    colours: str
    size: str
    frames: Positive
    bytes_per_frame: Count
    facts: DeviceFacts


def parse_sizes(text: str) -> list[str]:
    """Read ``224,112x168`` as target sizes: one side, or height x width, in px."""
    sizes = []
    for part in text.split(","):
        sides = part.strip().split("x")
        if len(sides) > 2 or not all(s.isdecimal() and 0 < int(s) <= LARGEST_PX for s in sides):
            raise InputError(
                f"{part!r} is not a size of a frame",
                f"expected sides of 1 to {LARGEST_PX} px, such as 224 or 112x168 (height x width)",
            )
        sizes.append("x".join(dict.fromkeys(str(int(side)) for side in sides)))
    return list(dict.fromkeys(sizes))


def open_clip(path: str) -> Clip:
    """Decode some frames of a video, or of a folder of images, in a process of its own."""
    return decode(run_job(f"{_JOBS}:inspect_clip", {"path": path}), Clip, path)


def time_pipeline(
    clip: Clip | str | Path, sizes: Sequence[str | int], effort: Effort, *, threads: int = 1
) -> TimingFile:
    """Time each stage of a clip in fresh processes; a call is one frame, a sample many of them.

    Args:
        clip: a video, or a folder of images; or what ``open_clip`` made of it.
        sizes: what frames are resized to: ``224``, or ``112x168`` (height x width).
        effort: how much to measure, and callbacks.
        threads: that decoding and numerical libraries may use.

    Returns:
        Rows of the stages: decode, for a video colour, then resize and normalise at each size.

    Raises:
        InputError: a size that is none, or as ``open_clip``.
        DataError: as ``open_clip``.

    Example:
        >>> time_pipeline("clip.mp4", [224, 112], Effort()).save("pipeline.json")  # doctest: +SKIP
    """
    sizes = parse_sizes(",".join(map(str, sizes)))
    clip = clip if isinstance(clip, Clip) else open_clip(str(clip))
    colour = [_row("colour", f"{clip.colours} {clip.size}", clip.size, threads)]
    rows = [
        _row("decode", f"{clip.codec} {clip.size}", clip.size, threads),
        *(colour if clip.colours else []),
        *(_row("resize", f"{clip.size} to {size}", size, threads) for size in sizes),
        *(_row("normalise", size, size, threads) for size in sizes),
    ]
    of = f"{clip.frames} frames of {clip.bytes_per_frame / 1e3:.1f} kB on average"
    rows[0] = replace(rows[0], notes=(of,))

    def file(done: Sequence[Timing]) -> TimingFile:
        return TimingFile(rows=at_one_pace(done), devices=(clip.facts,), protocol=protocol(effort))

    def keep(done: Sequence[Timing]) -> None:
        if effort.keep is not None:
            effort.keep(file([row for row in done if row.processes or row.failure]))

    def once_more(place: int, todo: list[Timing]) -> list[Timing]:
        job = {"clip": (clip.path, rows[place].what.stage, rows[place].work.input)}
        target = f"{_JOBS}:time_stage"
        return one_more_process(todo, effort.budget_s, effort.fewest, target=target, more=job)

    effort.announce(effort.processes * len(rows))
    done = in_rounds([[row] for row in rows], effort, keep, once_more)
    return file(done)


def _row(stage: str, of: str, size: str, threads: int) -> Timing:
    what = TimingSpec(spec=f"{stage}: {of}", threads=threads)
    lead = primary_column_of(what)
    return Timing(what=what, lead=lead, processes=(), work=Work(input=size))

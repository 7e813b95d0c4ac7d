"""Film strips, drawn: sizes of frames, marks, labels, frames from every medium, the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import save_folder, save_video
from conftest import ROOT

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from PIL import Image

from flopbench.cli import main
from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.frames import FILLED, frames_drawing
from flopbench.present.draw.style import paper_style
from flopbench.present.draw.text import drawn_width_in, fitting_line
from flopbench.present.figures.frames.figure import Frames, frames
from flopbench.present.figures.frames.media import shaped

frames_of = frames.make


@pytest.mark.parametrize(
    ("size", "shown"), [(None, (112, 224)), ((2048, 1024), (1024, 512)), ((7, 9), (7, 9))]
)
def test_images_have_a_limited_size(size: tuple[int, int] | None, shown: tuple[int, int]) -> None:
    """Of 448 x 896 px: 224 on the longer side without a size, at most 1,024 with one."""
    assert shaped(np.zeros((448, 896, 3), np.uint8), size).shape == (*shown, 3)


SELECTIVE = ROOT / "tests" / "data" / "selective.jsonl"
PUBLISHED = Choices(counter="published")
ACTIONS = [
    {"name": "big@224", "costs": {"a": 4}},
    {"name": "small@112", "costs": {"a": 1}},
    {"name": "wide@64x128", "costs": {"a": 1}},
    {"name": "skip 4", "kind": "skip", "span": 4},
    {"name": "as before", "kind": "reuse"},
]
HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "method": "own",
    "actions": ACTIONS,
    "components": {"a": 'value:1e9 "a test"'},
}
STEPS = 8
CHOSEN = [0, 1, 2, 3, 3, 3, 3, 4]


def clip(frames: int = STEPS, height: int = 60, width: int = 80) -> Any:
    """Return (T, H, W, 3): a disc moves over a gradient; the blue of a frame is its number."""
    y, x = np.mgrid[0:height, 0:width]
    video: Any = np.zeros((frames, height, width, 3), np.uint8)
    for t in range(frames):
        video[t, ..., 0] = x * 255 // width
        video[t, ..., 1] = 200 * ((x - width * (t + 1) / (frames + 1)) ** 2 + (y - 30) ** 2 < 100)
        video[t, ..., 2] = t
    return video


def own_log(folder: Path, *samples: dict[str, Any], **header: Any) -> Path:
    """Write a log of single videos; ``v`` with ``CHOSEN`` where none are given."""
    folder.mkdir(exist_ok=True)
    path = folder / "run.jsonl"
    lines = [{**HEADER, **header}, *(samples or ({"id": "v", "actions": CHOSEN},))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def drawn(data: Frames, width: str | float = "column") -> Axes:
    """Draw in the paper's style; return the axes, laid out."""
    with paper_style(width):
        ax = on_axes(frames_drawing(data))
        figure: Any = ax.get_figure(root=True)
        figure.set_dpi(300)  # as files have it: at fewer, hinting widens text
        figure.draw_without_rendering()
    return ax


def images(ax: Axes) -> list[AxesImage]:
    """Return the frames that are drawn, in order."""
    return [child for child in ax.get_children() if isinstance(child, AxesImage)]


def texts(ax: Axes) -> list[str]:
    """Return every text."""
    return [text.get_text() for text in ax.texts]


def numbers_drawn(data: Frames) -> list[int | None]:
    """Return the number of the frame at each step, from its blue; None where none is drawn."""
    found: list[int | None] = []
    for decision in data.films[0].streams[""]:
        pixels = [picture.pixels for picture in decision.pictures] or [None] * decision.steps
        found += [None if own is None else round(float(own[..., 2].mean())) for own in pixels]
    return found


def test_frames_are_as_large_and_as_fine_as_their_actions_say(tmp_path: Path) -> None:
    """A box's sides are in the ratio of the inputs, and its picture has the input's pixels."""
    data = frames_of(own_log(tmp_path), frames={"v": clip()})
    ax = drawn(data)
    shapes = [image.get_array().shape for image in images(ax)]  # type: ignore[union-attr]
    assert shapes == [(224, 224, 3), (112, 112, 3), (64, 128, 3)]
    sides = []
    for image in images(ax):
        left, right, bottom, top = image.get_extent()
        sides.append((bottom - top, right - left))
        assert image.get_interpolation() == "none"
    full = sides[0][0]
    assert sides == [
        pytest.approx((full, full)),
        pytest.approx((full / 2, full / 2)),
        pytest.approx((full * 64 / 224, full * 128 / 224)),
    ]
    assert full == pytest.approx(FILLED * ax.get_xlim()[1] / 8)


def test_boxes_are_square_in_print(tmp_path: Path) -> None:
    """A unit of the axes is an inch in both directions, at column and at page width."""
    data = frames_of(own_log(tmp_path), frames={"v": clip()})
    for width in ("column", "page"):
        ax = drawn(data, width)
        dpi = ax.get_figure(root=True).dpi  # type: ignore[union-attr]
        (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(dpi, rel=0.02)
        assert y0 - y1 == pytest.approx(dpi, rel=0.02)
        assert not ax.axison


def test_a_skip_is_one_dashed_box_with_a_mark_a_step(tmp_path: Path) -> None:
    """Skips and reuse have boxes, distinguished by their dashes and marks."""
    ax = drawn(frames_of(own_log(tmp_path), frames={"v": clip()}))
    skip, reuse = (p for p in ax.patches if isinstance(p, PathPatch))
    cell = ax.get_xlim()[1] / 8
    outline = skip.get_path().vertices
    assert outline[:, 0].max() - outline[:, 0].min() == pytest.approx(cell * (4 - (1 - FILLED)))
    assert skip.get_linestyle() != reuse.get_linestyle()
    marks = [(line.get_marker(), len(line.get_xdata())) for line in ax.lines]  # type: ignore[arg-type]
    assert marks == [("x", 4), ("$=$", 1)]
    assert {"224", "112", "64×128", "skip 4", "as…re"} & set(texts(ax)) >= {"224", "112", "skip 4"}


def test_a_cut_skip_is_open_on_the_right(tmp_path: Path) -> None:
    """The end of the video does not close the box."""
    log = own_log(tmp_path, {"id": "v", "actions": [0, 3, 3]})
    (box,) = (p for p in drawn(frames_of(log)).patches if isinstance(p, PathPatch))
    codes = box.get_path().codes
    assert codes is not None
    assert codes.tolist() == [Outline.MOVETO, *[Outline.LINETO] * 2, Outline.MOVETO, Outline.LINETO]


def test_the_frame_of_an_exit_has_a_thick_outline(tmp_path: Path) -> None:
    """Steps after it are one grey box without hatches."""
    actions = [{"name": "go"}, {"name": "stop", "kind": "exit"}]
    log = own_log(tmp_path, {"id": "v", "actions": [0, 1]}, steps=5, actions=actions)
    go, stop, rest = (p for p in drawn(frames_of(log)).patches if isinstance(p, Rectangle))
    assert stop.get_linewidth() > 3 * go.get_linewidth()
    assert (bool(go.get_hatch()), bool(rest.get_hatch())) == (True, False)
    assert rest.get_width() > 2 * go.get_width()


def test_long_videos_go_on_in_the_next_line(tmp_path: Path) -> None:
    """At column width a line holds eight frames; a skip that goes on is labelled in brackets."""
    log = own_log(tmp_path, {"id": "v", "actions": [0] * 14 + [3] * 4 + [1] * 7})
    data = frames_of(log)
    ax = drawn(data)
    boxes = [p for p in ax.patches if isinstance(p, Rectangle)]
    tops = sorted({round(box.get_y() + box.get_height() / 2, 3) for box in boxes})
    assert len(tops) == 4
    assert {"skip 4", "224", "112"} <= set(texts(ax))
    rights = [box.get_x() + box.get_width() for box in boxes]
    assert max(rights) <= ax.get_xlim()[1]
    wide = drawn(data, "page")
    assert len({round(p.get_y() + p.get_height() / 2, 3) for p in wide.patches[:1]}) == 1
    log = own_log(tmp_path / "b", {"id": "v", "actions": [0] * 6 + [3] * 4 + [0] * 6})
    assert {"skip 4", "(skip 4)"} <= set(texts(drawn(frames_of(log))))


def test_text_says_group_cost_and_verdict() -> None:
    """Above each row are group and id, cost with its unit, and a sign next to the verdict."""
    data = frames_of(SELECTIVE, choices=PUBLISHED)
    said = texts(drawn(data))
    for film in data.films:
        assert f"{film.group}: {film.id}" in said
        cost = f"{film.gflops_per_video:.2f} GFLOPS (group's median {film.group_gflops:.2f})"
        assert cost in said
        start = f"✓ right: {film.prediction}" if film.right else f"✗ wrong: {film.prediction}"
        assert any(line.startswith(start) for line in said)
    assert any("full: 224 px" in line for line in said)
    assert {film.right for film in data.films} == {True, False}


def test_lines_fit_their_room() -> None:
    """The longest names of a line are shortened; a line that fits is left alone."""
    with paper_style("column"):
        assert fitting_line([("", "short")], 1.0, 8) == "short"
        parts = [("✓ right:", "a rather long name of a class"), ("exit:", "4")]
        short = fitting_line(parts, 1.4, 8)
        assert short.startswith("✓ right: a")
        assert "…" in short
        assert short.endswith(", exit: 4")
        assert drawn_width_in(short, 8) <= 1.4


@pytest.mark.parametrize("medium", ["npy", "npz", "folder", "mp4", "array", "list", "pillow"])
def test_frames_come_from_any_medium(tmp_path: Path, medium: str) -> None:
    """Numbers of frames count from 0 in each of them; frames of skips are not read."""
    video = clip(20)
    video[..., 2] *= 10
    frames: Any = tmp_path / "media"
    frames.mkdir()
    if medium == "npy":
        np.save(frames / "v.npy", video)
    elif medium == "npz":
        frames = frames / "all.npz"
        np.savez(frames, v=video)
    elif medium == "folder":
        save_folder(frames / "v", video)
    elif medium == "mp4":
        save_video(frames / "v.mp4", np.repeat(video[..., 2:], 3, axis=3))
    else:
        made = {"array": video, "list": list(video), "pillow": [Image.fromarray(f) for f in video]}
        frames = {"v": made[medium]}
    chosen = [11, 3, 2, 0, 0, 0, 0, 0]
    data = frames_of(
        own_log(tmp_path, {"id": "v", "actions": CHOSEN, "frames": chosen}), frames=frames
    )
    assert not data.warnings
    found = [None if n is None else round(n / 10) for n in numbers_drawn(data)]
    assert found == [11, 3, 2, *[None] * 5]
    header = data.table.header
    origins = [row[header.index("frame")] for row in data.table.rows]
    assert str(origins[0]).endswith("frame 11")
    assert origins[3:] == [None] * 5


def test_frames_come_from_files_that_the_log_names(tmp_path: Path) -> None:
    """Names are relative to the log's folder, to ``frames``, or to the video's folder there."""
    save_folder(tmp_path / "images" / "v", clip())
    named = [f"images/v/img_{n}.png" for n in range(STEPS)]
    log = own_log(tmp_path, {"id": "v", "actions": CHOSEN, "frames": named})
    assert numbers_drawn(frames_of(log)) == [0, 1, 2, *[None] * 5]
    short = [f"img_{n}.png" for n in range(STEPS)]
    other = tmp_path / "other"
    log = own_log(other, {"id": "v", "actions": CHOSEN, "frames": short})
    data = frames_of(log, frames=tmp_path / "images")
    assert numbers_drawn(data) == [0, 1, 2, *[None] * 5]
    header = data.table.header
    assert str(data.table.rows[1][header.index("frame")]).endswith("img_1.png")


def test_ids_may_name_folders_inside(tmp_path: Path) -> None:
    """An id with a slash is a path below the folder of frames."""
    (tmp_path / "media" / "a").mkdir(parents=True)
    np.save(tmp_path / "media" / "a" / "b.npy", clip())
    log = own_log(tmp_path, {"id": "a/b", "actions": CHOSEN})
    assert numbers_drawn(frames_of(log, frames=tmp_path / "media"))[:3] == [0, 1, 2]


def test_steps_without_numbers_are_evenly_spaced(tmp_path: Path) -> None:
    """Of a longer video the middle frame of each part is drawn, and the caption says so."""
    data = frames_of(own_log(tmp_path), frames={"v": clip(80)})
    assert numbers_drawn(data)[:3] == [5, 15, 25]
    assert any("evenly spaced" in sentence for sentence in data.caption.sentences)
    exact = frames_of(own_log(tmp_path / "b"), frames={"v": clip()})
    assert not any("evenly spaced" in sentence for sentence in exact.caption.sentences)


def test_pictures_are_cropped_at_the_centre(tmp_path: Path) -> None:
    """A wide frame loses its sides, not its shape."""
    video: Any = np.zeros((STEPS, 50, 100, 3), np.uint8)
    video[:, :, 25:75] = 255
    data = frames_of(own_log(tmp_path), frames={"v": video})
    assert data.films[0].streams[""][1].pictures[0].pixels.min() == 255
    assert any("cropped at its centre" in sentence for sentence in data.caption.sentences)


def test_missing_frames_are_placeholders_and_one_warning(tmp_path: Path) -> None:
    """What is not there is hatched, at the size of its action; the warning names the file."""
    save_folder(tmp_path / "v", clip())
    (tmp_path / "v" / "img_1.png").write_bytes(b"no image")
    named = [f"v/img_{n}.png" for n in range(STEPS)]
    named[0] = "v/gone.png"
    data = frames_of(own_log(tmp_path, {"id": "v", "actions": CHOSEN, "frames": named}))
    (warning,) = map(str, data.warnings)
    assert "2 of 3 processed frames" in warning
    assert "gone.png does not exist" in warning
    assert any("2 of 3 frames were not found" in sentence for sentence in data.caption.sentences)
    ax = drawn(data)
    assert len(images(ax)) == 1
    hatched = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_hatch()]
    assert len(hatched) == 2
    assert hatched[0].get_width() == pytest.approx(2 * hatched[1].get_width())
    assert any("hatched: no image" in text for text in texts(ax))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (clip().astype(np.float32), "expected (T, H, W, 3) of uint8"),
        (clip()[:2], "has no frame 7"),
        (None, "v.npy cannot be read"),
    ],
)
def test_unreadable_media_are_warnings(tmp_path: Path, content: Any, said: str) -> None:
    """An array of another type, a number beyond the end, a damaged file: drawn all the same."""
    if content is None:
        (tmp_path / "v.npy").write_bytes(b"damaged")
    else:
        np.save(tmp_path / "v.npy", content)
    log = own_log(tmp_path, {"id": "v", "actions": CHOSEN, "frames": [7] * STEPS})
    (warning,) = map(str, frames_of(log, frames=tmp_path).warnings)
    assert said in warning
    assert "v.npy" in warning


def test_wrong_frames_in_memory_are_errors() -> None:
    """What the caller passes must be images."""
    for wrong in (3, [np.zeros((4, 4, 2), np.uint8)], np.zeros((2, 3)), ["a.png"]):
        with pytest.raises(InputError, match=r"frames\['v000'\]"):
            frames_of(SELECTIVE, choices=PUBLISHED, videos=["v000"], frames={"v000": wrong})


def test_a_video_without_pyav_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named, and what does without it."""
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "v.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="needs PyAV") as caught:
        frames_of(own_log(tmp_path), frames=tmp_path)
    assert "flopbench[video]" in caught.value.hint


def test_a_damaged_video_is_a_warning(tmp_path: Path) -> None:
    """A file that no decoder reads is placeholders."""
    pytest.importorskip("av", reason="PyAV is not installed")
    (tmp_path / "v.mp4").write_bytes(b"no video")
    (warning,) = map(str, frames_of(own_log(tmp_path), frames=tmp_path).warnings)
    assert "v.mp4 cannot be read" in warning


def test_lower_axes_make_everything_smaller() -> None:
    """On the caller's axes rows and text shrink until they fit; lines of text do not overlap."""
    data = frames_of(SELECTIVE, choices=PUBLISHED)
    sizes = []
    for height in (20.0, 5.0):
        figure = Figure(figsize=(12, height))
        ax = figure.subplots(1, 2)[0]
        on_axes(frames_drawing(data), ax)
        assert ax.get_ylim()[0] <= height * ax.get_position().height + 0.02
        sizes.append(ax.texts[0].get_fontsize())
        head, verdict = ax.texts[1], ax.texts[2]
        assert verdict.get_position()[1] - head.get_position()[1] >= sizes[-1] / 72
    assert sizes[1] < sizes[0]


def test_command_draws_and_writes_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``flopbench plot frames`` prints the caption; --data has a row a step of every video."""
    np.save(tmp_path / "v008.npy", clip(16))
    asked = ["--video", "v008", "--video", "v000", "--most-frames", "10"]
    asked += ["--frames", str(tmp_path), "--counter", "published"]
    files = ["-o", str(tmp_path / "a.pdf"), "--data", str(tmp_path / "a.csv")]
    done = main(["plot", "frames", str(SELECTIVE), *asked, *files])
    said = capsys.readouterr()
    assert done == 0
    assert said.out.startswith("Frames as selective saw them.\n")
    assert "chosen by hand" in said.out
    assert "v000: no image" in said.err
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        steps = list(csv.DictReader(file))
    assert [(s["video"], s["step"]) for s in steps[::10]] == [("v008", "0"), ("v000", "0")]
    assert {s["drawn"] for s in steps[:10]} == {"yes", "no"}
    assert {s["drawn"] for s in steps[10:]} == {"placeholder", "no"}

"""The paper style, saving, and what ``flopbench plot`` refuses, whatever the kind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")

import matplotlib as mpl
from matplotlib.figure import Figure

import flopbench
from flopbench.cli import main
from flopbench.core.errors import InputError
from flopbench.present.draw.style import FONT, LOOKS, found_font, look, paper_style
from flopbench.present.draw.venues import VENUES, find_venue, width_in_of

DATA = ROOT / "tests" / "data"
LOG = str(DATA / "selective.jsonl")


def test_the_style_puts_everything_back() -> None:
    """No setting of matplotlib outlives a block, a call, or an error inside."""
    before = dict(mpl.rcParams)
    with paper_style("page", venue="eccv") as style:
        assert mpl.rcParams["pdf.fonttype"] == 42
        assert style.width_in == pytest.approx(122 / 25.4)
    with pytest.raises(RuntimeError), paper_style():
        raise RuntimeError
    flopbench.plots.usage(LOG)
    assert dict(mpl.rcParams) == before


def test_the_users_settings_do_not_leak_in() -> None:
    """Inside the style matplotlib's defaults apply, whatever the user set before."""
    with mpl.rc_context({"axes.grid": True, "lines.color": "red", "font.size": 30}):
        mine = dict(mpl.rcParams)
        with paper_style():
            assert mpl.rcParams["axes.grid"] is False
            assert mpl.rcParams["font.size"] == 9
        assert dict(mpl.rcParams) == mine


def test_nested_styles() -> None:
    """A figure is made in the style of the innermost block."""
    with paper_style("column"):
        with paper_style(5.0):
            inner = flopbench.plots.usage(LOG).get_figure(root=True)
        outer = flopbench.plots.usage(LOG).get_figure(root=True)
    assert isinstance(inner, Figure)
    assert isinstance(outer, Figure)
    assert inner.get_size_inches()[0] == 5.0
    assert outer.get_size_inches()[0] == pytest.approx(3.28125)


@pytest.mark.parametrize(
    ("width", "venue", "inches"),
    [
        ("column", "cvpr", 3.28125),
        ("page", "cvpr", 6.875),
        ("column", "eccv", 4.8031),
        ("column", "neurips", 5.5),
        ("column", "icml", 3.25),
        ("page", "ieee", 7.1399),
        ("4.25", "cvpr", 4.25),
        (4.25, "cvpr", 4.25),
    ],
)
def test_widths(width: str | float, venue: str, inches: float) -> None:
    """A figure is as wide as the venue's column or text, or as asked for."""
    assert width_in_of(width, find_venue(venue)) == pytest.approx(inches, abs=1e-4)


@pytest.mark.parametrize("width", ["wide", "0", "nan", "inf", "-3", "99", ""])
def test_impossible_widths(width: str) -> None:
    """A width out of range is refused."""
    with pytest.raises(InputError, match="expected 'column', 'page' or inches"):
        width_in_of(width, VENUES["cvpr"])


def test_series_differ_without_colour() -> None:
    """Eight series have eight colours, hatches, markers and dashes."""
    for attribute in ("color", "hatch", "marker", "dash"):
        assert len({str(getattr(one, attribute)) for one in LOOKS}) == len(LOOKS)
    assert look(len(LOOKS)) == look(0)


def test_threads_draw_one_after_the_other() -> None:
    """Threads that enter ``paper`` at once leave matplotlib's settings as they were."""
    before = dict(mpl.rcParams)
    inside: list[int] = []
    most: list[int] = []

    def draw(number: int) -> float:
        with paper_style(text_pt=6 + number):
            inside.append(number)
            time.sleep(0.01)
            most.append(len(inside))
            inside.remove(number)
            return float(mpl.rcParams["font.size"])

    with ThreadPoolExecutor(6) as pool:
        sizes = list(pool.map(draw, range(6)))
    assert sizes == [6, 7, 8, 9, 10, 11]
    assert max(most) == 1
    assert dict(mpl.rcParams) == before


def test_a_thread_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing in threads from inside a block of ours ends with an error, not in a deadlock."""
    monkeypatch.setattr("flopbench.present.draw.style.LONGEST_WAIT_S", 0.05)

    def draw() -> None:
        with paper_style():
            pass

    with paper_style(), ThreadPoolExecutor(1) as pool:
        draw()  # the same thread may
        with pytest.raises(InputError, match="another thread has been inside 'paper'"):
            pool.submit(draw).result()


def test_fonts() -> None:
    """The style's font comes with matplotlib; a missing one is named with near matches."""
    assert found_font(FONT) == FONT
    with pytest.raises(InputError, match="the font 'DejaVu Sand' is not installed") as error:
        found_font("DejaVu Sand")
    for name in ("", f"{FONT}:bold"):
        with pytest.raises(InputError, match="is not installed"), paper_style(font=name):
            pass
    assert "did you mean 'DejaVu Sans'" in error.value.hint


def rendered_by_a_process(path: Path, seed: str) -> bytes:
    """Draw a figure in a fresh process whose hashes are seeded; return the file."""
    subprocess.run(
        [sys.executable, "-m", "flopbench", "plot", "usage", LOG, "-o", str(path)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    """Two processes write the same bytes, without a date in them."""
    first = rendered_by_a_process(tmp_path / f"a.{suffix}", "1")
    assert rendered_by_a_process(tmp_path / f"b.{suffix}", "2") == first
    assert re.search(rb"CreationDate|ModDate|<dc:date>|tIME", first) is None


def test_pdf_embeds_fonts_of_a_kind_that_venues_take(tmp_path: Path) -> None:
    """Fonts are embedded as TrueType: no Type 3 anywhere."""
    path = tmp_path / "u.pdf"
    flopbench.plots.save(flopbench.plots.usage(LOG), path)
    text = path.read_bytes()
    assert b"/FontFile2" in text
    assert b"/Subtype /Type3" not in text


def test_metadata_says_what_the_figure_is(tmp_path: Path) -> None:
    """Title and caption are in the file's metadata, with what drew it."""
    path = tmp_path / "u.svg"
    flopbench.plots.save(flopbench.plots.usage(LOG), path)
    text = path.read_text(encoding="utf-8")
    assert "<dc:title>Policy usage: selective</dc:title>" in text
    assert "Share of each action, of all frames" in text
    assert "flopbench" in text


@pytest.mark.parametrize(
    ("options", "needles"),
    [
        ("-o u.jpg --data d.csv", ("the suffix '.jpg'",)),
        ("-o u --data d.csv", ("no suffix",)),
        ("-o nowhere/u.pdf --data d.csv", ("there is no directory",)),
        ("-o . --data d.csv", ("it is a directory",)),
        ("-o u.pdf --data nowhere/d.csv", ("no directory nowhere",)),
        ("-o u.pdf --font Times-New-Romance", ("is not installed", "STIXGeneral")),
        ("-o u.pdf --width wide", ("width 'wide'",)),
        ("-o u.pdf --font-size 100", ("100 pt", "4 to 40 pt")),
    ],
)
def test_impossible_outputs_and_styles(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str,
    needles: tuple[str, ...],
) -> None:
    """One message, before anything is written; an older figure stays as it was."""
    monkeypatch.chdir(tmp_path)
    Path("u.pdf").write_bytes(b"older")
    assert main(["plot", "usage", LOG, *options.split()]) == 2
    told = capsys.readouterr()
    assert all(needle in told.err for needle in needles), told.err
    assert told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["u.pdf"]
    assert Path("u.pdf").read_bytes() == b"older"


def test_caption_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The caption goes to stdout, the numbers into a CSV, or the numbers to stdout alone."""
    figure, numbers = tmp_path / "u.pdf", tmp_path / "u.csv"
    assert main(["plot", "usage", LOG, "-o", str(figure), "--data", str(numbers)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Policy usage: selective.\n")
    assert numbers.read_text().startswith("run,action,kind,frames,share_of_frames")
    assert main(["plot", "usage", LOG, "-o", str(figure), "--data", "-"]) == 0
    assert capsys.readouterr().out == numbers.read_text()


def test_letters_that_no_font_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name in letters that the fonts lack is warned of, not silently left out."""
    names = ["--name", "a", "--name", "run \u6c34"]
    output = str(tmp_path / "u.png")
    assert main(["plot", "usage", LOG, str(DATA / "steady.jsonl"), "-o", output, *names]) == 0
    told = capsys.readouterr()
    assert "missing from" in told.err
    assert told.err.count("flopbench: warning:") == 1

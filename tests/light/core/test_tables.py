"""Results as tables: which columns fit, what a paper gets, which parts and columns are shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from screens import Screen, assert_fits, screen_of

from flopbench.core.errors import InputError
from flopbench.core.grid import Grid, columns, to_terminal
from flopbench.core.latex import LatexOptions, Place, to_latex
from flopbench.core.tables import Layout, Tables

TITLES = ("method", "mAP %", "95 %", "GFLOPS/v", "videos")
GRID = Grid(
    title="Method against method",
    columns=columns(
        TITLES, ("method",), spare=("videos", "95 %"), lower=("GFLOPS/v",), higher=("mAP %",)
    ),
    rows=(
        ("ours [1]", "82.46", "78.06 to 87.34", "18.6590", "200"),
        ("theirs", "77.97", "-", "20.1759", "1,200"),
        ("quoted", "82.46", "-", "-0.5 %", "-"),
    ),
    footnotes=("trained twice",),
    caption=("1 MAC = 2 FLOPs.",),
)
OTHER = Grid(title="By action", columns=columns(("action", "share"), ("action",)), rows=())


def tables(**fields: Any) -> Tables:
    """Return two tables as a result."""
    grids = {"comparison": GRID, "action": OTHER}
    return Tables(grids=grids, csv=lambda: "a,b\n", json=lambda: "{}\n", **fields)


@pytest.mark.parametrize(
    ("width", "titles", "left_out"),
    [
        (49, TITLES, ""),
        (48, TITLES[:4], "videos"),
        (40, TITLES[:2] + TITLES[3:4], "95 %, videos"),
        (24, TITLES[:2], "95 %, GFLOPS/v, videos"),
        (14, TITLES[:1], "mAP %, 95 %, GFLOPS/v, videos"),
    ],
)
def test_a_narrow_terminal_shows_what_matters(
    width: int, titles: tuple[str, ...], left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 + 5 + 14 + 8 + 6 characters and four gaps of two are 49; no cell is ever cut."""
    screen = screen_of(width, monkeypatch)
    to_terminal(GRID, screen)
    lines = screen.lines
    head = next(line for line in lines if line.startswith("method"))
    assert [title for title in TITLES if title in head] == list(titles)
    said = " ".join(" ".join(lines).split())
    assert ("Left out: " in said) == bool(left_out)
    assert f"Left out: {left_out} (--wide" in said or not left_out


def test_a_pipe_gets_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks, nothing is left out; --wide says the same of a terminal."""
    monkeypatch.setenv("COLUMNS", "20")
    pipe, screen = io.StringIO(), Screen()
    to_terminal(GRID, pipe)
    to_terminal(GRID, screen, wide=True)
    for text in (pipe.getvalue(), screen.getvalue()):
        assert all(title in text for title in TITLES)
        assert "Left out" not in text


NOTED = Grid(
    title="Costs",
    columns=columns(("network", "status"), ("network", "status")),
    rows=(
        ("resnet18 (200) [1][2]", "verified"),
        ("swin_t@224,depths=[2]", "partial [3]"),
        ("vgg11 [1] [3] [4]", "verified"),
    ),
    footnotes=("as printed", "half of it never ran", "a gap", "as printed"),
    caption=("1 MAC = 2 FLOPs.", "dense: of convolutions."),
    stay=("a gap", "half of it never ran", "1 MAC = 2 FLOPs."),
)


def test_a_terminal_shows_the_general_note_and_what_changes_a_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3 of 6 notes stay, numbered again in the cells; the others are counted in one line."""
    screen = screen_of(80, monkeypatch)
    both = Tables(grids={"a": NOTED}, csv=str, json=str, below=("sum",), notes=("made with",))
    both.render("table", screen)
    assert screen.lines == [
        "Costs",
        "network                status",
        "resnet18 (200) [1]     verified",
        "swin_t@224,depths=[2]  partial [2]",
        "vgg11 [2]              verified",
        "[1] half of it never ran",
        "[2] a gap",
        "1 MAC = 2 FLOPs.",
        "",
        "sum",
        "4 notes: --notes",  # [1], [4], the second line of the caption, "made with"
    ]
    for layout, stream in (
        (Layout(notes=True), screen_of(80, monkeypatch)),
        (Layout(), io.StringIO()),
    ):
        both.render(layout, stream)
        assert "vgg11 [1] [3] [4]" in stream.getvalue()
        assert stream.getvalue().endswith("\nsum\nmade with\n")
        assert "--notes" not in stream.getvalue()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        # Half of 60 characters: a sign, and the last 29 of each.
        (
            ("/srv/us/some/long/path/to/nets.py:build@224 [1]", "resnet18@224"),
            ("…path/to/nets.py:build@224 [1]", "resnet18@224"),
        ),
        # Two that end alike are not told apart by their ends.
        (
            ("/srv/us/one/" + "x" * 30, "/srv/us/two/" + "x" * 30),
            ("/srv/us/one/" + "x" * 30, "/srv/us/two/" + "x" * 30),
        ),
    ],
)
def test_a_long_name_keeps_its_end_where_space_is_short(
    names: tuple[str, ...], shown: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only in a first column of text, and never in a pipe or with --wide."""
    grid = Grid(
        title="Costs",
        columns=columns(("network", "MACs", "status"), ("network", "status"), spare=("MACs",)),
        rows=tuple((name, "1,000,000", "verified") for name in names),
        footnotes=("a gap",),
        stay=("a gap",),
    )
    screen = screen_of(60, monkeypatch)
    to_terminal(grid, screen)
    assert [line.split("  ")[0] for line in screen.lines[2:4]] == list(shown)
    assert "verified" in screen.lines[2]
    for stream, wide in ((io.StringIO(), False), (screen_of(60, monkeypatch), True)):
        to_terminal(grid, stream, wide=wide)
        assert all(name in stream.getvalue() for name in names)


@pytest.mark.parametrize("width", [30, 80, 100])
def test_no_line_is_too_wide_or_ends_in_spaces(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles, cells of a last column that are short, notes: on a terminal and in a pipe."""
    long = Grid(
        title="A title that goes on for longer than any terminal is wide: " + "word " * 20,
        columns=columns(("network", "verdict"), ("network", "verdict"), spare=("verdict",)),
        rows=(("a", "inconclusive"), ("b", "same")),
        caption=("a caption of many words " * 9,),
    )
    screen, pipe = screen_of(width, monkeypatch), io.StringIO()
    to_terminal(long, screen)
    assert_fits(screen.lines, width)
    to_terminal(long, pipe)
    assert_fits(pipe.getvalue().splitlines(), 1000)
    assert len(pipe.getvalue().splitlines()) == 5


@pytest.mark.parametrize(
    ("place", "kind", "gone"),
    [("column", "table", "95 %, videos"), ("page", "table*", ""), ("text", "table", "")],
)
def test_latex_fits_its_place(place: Place, kind: str, gone: str) -> None:
    """A page has room for all, a column leaves out what matters least, and a comment says so."""
    wide = Grid(
        title=GRID.title,
        columns=GRID.columns,
        rows=tuple(("a method of a long name that goes on", *row[1:]) for row in GRID.rows),
    )
    text = to_latex(wide, "x", LatexOptions(place=place))
    assert rf"\begin{{{kind}}}[t]" in text
    assert (f"% left out to fit 237 pt: {gone}" in text) == bool(gone)
    assert ("videos" in text.partition(r"\toprule")[2]) == (not gone)
    assert "resizebox" not in text


def test_latex_cells_are_typeset() -> None:
    """A range has a dash, a missing value and a negative number a minus sign."""
    text = to_latex(GRID, "x")
    assert r"ours & 82.46 & 78.06--87.34 & 18.6590 & 200 \\" in text
    assert r"quoted & 82.46 & $-$ & $-$0.5 \% & $-$ \\" in text
    assert r"\caption{Method against method.}" in text


def test_the_best_is_bold_where_a_column_has_a_better_end() -> None:
    """Both that share the highest mAP, and the lowest cost; videos have no better end."""
    text = to_latex(GRID, "x", LatexOptions(bold_best=True))
    assert r"ours & \textbf{82.46} & 78.06--87.34 & 18.6590 & 200 \\" in text
    assert r"quoted & \textbf{82.46} & $-$ & \textbf{$-$0.5 \%} & $-$ \\" in text
    assert text.count("textbf") == 3


def test_notes_stand_below_or_in_comments() -> None:
    """Without --notes the marks go, and what they said stays as comments."""
    plain, noted = to_latex(GRID, "x"), to_latex(GRID, "x", LatexOptions(notes=True))
    assert "% [1] trained twice\n% 1 MAC = 2 FLOPs.\n" in plain
    assert "threeparttable" not in plain
    assert "ours {[}1{]} &" in noted
    assert "    \\item {[}1{]} trained twice\n    \\item 1 MAC = 2 FLOPs.\n" in noted
    assert noted.startswith("% needs \\usepackage{booktabs}, \\usepackage{threeparttable}\n")


def test_bare_is_the_tabular_alone() -> None:
    """For who has a float of their own."""
    lines = to_latex(GRID, "x", LatexOptions(bare=True)).splitlines()
    code = [line for line in lines if not line.startswith("%")]
    assert (code[0][:15], code[-1]) == (r"\begin{tabular}", r"\end{tabular}")


def test_parts_and_columns() -> None:
    """Named columns come in the order of their names, however wide, and from the first table."""
    one = Layout(format="md", columns=("videos", "method"))
    text = tables().render(one, io.StringIO()) or ""
    assert "| videos | method |" in text
    assert "By action" not in text
    text = tables().render(Layout(format="md", parts=("action",)), io.StringIO()) or ""
    assert "By action" in text
    assert "Method against method" not in text
    page = Layout(format="latex", columns=TITLES, latex=LatexOptions(place="column"))
    assert "left out" not in (tables().render(page, io.StringIO()) or "")


@pytest.mark.parametrize(
    ("layout", "message", "hint"),
    [
        ({"parts": ("acton",)}, "there is no part 'acton'", "did you mean 'action'? parts: "),
        ({"columns": ("video",)}, "there is no column 'video'", "did you mean 'videos'? columns: "),
    ],
)
def test_a_part_or_column_that_does_not_exist(
    layout: dict[str, Any], message: str, hint: str
) -> None:
    """Each with its near match."""
    with pytest.raises(InputError, match=message) as error:
        tables().render(Layout(format="md", **layout), io.StringIO())
    assert error.value.hint.startswith(hint)


def test_warnings_and_lines_below() -> None:
    """A document has its warnings in it; a terminal has them on stderr."""
    both = tables(warnings=["a video was cut"], below=["two claims: 2 reproduced."])
    screen = io.StringIO()
    assert both.render("table", screen) is None
    assert "a video was cut" not in screen.getvalue()
    assert screen.getvalue().endswith("\n\ntwo claims: 2 reproduced.\n")
    markdown = both.render("md", screen) or ""
    assert markdown.index("Warning: a video was cut.") < markdown.index("By action")
    assert markdown.endswith("\n\ntwo claims: 2 reproduced.\n")
    assert (both.render("latex", screen) or "").endswith("\n% two claims: 2 reproduced.\n")

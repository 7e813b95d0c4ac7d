"""``flopbench report``: the page, the tables and figures in it, and the same as files."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from msgspec.structs import replace
from report_files import (
    EVERYTHING,
    INPUTS,
    Element,
    Page,
    cells_of,
    content,
    gather,
    table_of,
    write_log,
)

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from flopbench.cli import main
from flopbench.core.errors import InputError
from flopbench.core.grid import Grid, to_markdown
from flopbench.core.latex import LatexOptions, to_latex
from flopbench.core.units import CONVENTION
from flopbench.counting.table import CostTable
from flopbench.counting.table_grid import cost_table_grid
from flopbench.estimate.as_json import estimate_csv
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.estimate.text import estimate_grids
from flopbench.present.draw.drawing import Drawing
from flopbench.present.figures.usage import usage
from flopbench.present.report import write_report
from flopbench.present.report.sections import draw

usage_of = usage.make


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of one file of each kind; inputs are next to it."""
    base = gather(tmp_path_factory.mktemp("report") / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert main(list(EVERYTHING)) == 0
    return base / "out"


@pytest.fixture(scope="module")
def page(everything: Path) -> Element:
    """Its page, parsed."""
    return Page((everything / "index.html").read_text(encoding="utf-8")).root


def test_says_where_it_is_and_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stdout: the page, then a line a section with how much is in it."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    assert main(["report", "table.json", "selective.jsonl", "-o", "out"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "out/index.html",
        "  Offline cost: 1 table, 0 figures",
        "  What the policies cost: 4 tables, 3 figures",
    ]


def test_the_same_inputs_give_the_same_bytes(
    everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No date, no folder of this machine, no order by chance: every byte is the same."""
    made = []
    for name in ("here", "elsewhere"):
        monkeypatch.chdir(gather(tmp_path / name))
        assert main(["report", "table.json", "profiles.json", "-o", "out"]) == 0
        made.append(content(Path("out")))
    first, second = made
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
    texts = [data for name, data in content(everything).items() if not name.endswith(".pdf")]
    assert not any(str(everything.parent).encode() in data for data in texts)
    assert not any(b"/tmp/" in data for data in texts)


def test_the_page_lists_its_files_and_its_sources(everything: Path, page: Element) -> None:
    """Every file that is written is named, and every input with size, hash and maker."""
    outputs = next(e for e in page.all("ul") if e.attributes.get("class") == "outputs")
    assert sorted(a.attributes["href"] for a in outputs.all("a")) == sorted(content(everything))
    rows = cells_of(table_of(page, "sources"))
    assert [row[0] for row in rows] == [*INPUTS, "profiles.json"]
    for name, _, size, made, digest in rows:
        data = (everything.parent / name).read_bytes()
        assert size == f"{len(data):,}"
        assert digest == hashlib.sha256(data).hexdigest()
        assert made != "not stated"
        short = rf"& {digest[:12]} \\"
        assert short in (everything / "tables" / "sources.tex").read_text(encoding="utf-8")
    made = {row[0]: row[3] for row in rows}
    assert "torch" in made["table.json"]
    assert "AMD EPYC" in made["timings.json"]
    assert "preset arnet-resnet" in made["selective.jsonl"]
    origin = next(e for e in page.all("section") if e.attributes["id"] == "origin")
    assert origin.all("code")[0].text == f"flopbench {' '.join(EVERYTHING)}"


def test_the_page_needs_nothing_but_itself(everything: Path, page: Element) -> None:
    """Policy by hash, no inline style or handler, no address but data: and the files next to it."""
    policy = next(
        e.attributes["content"]
        for e in page.all("meta")
        if e.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (only,) = page.all(tag)
        digest = hashlib.sha256(only.text.encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    for element in page.all():
        names = set(element.attributes)
        assert "style" not in names
        assert not [name for name in names if name.startswith("on")]
        for name in ("src", "srcset"):
            assert element.attributes.get(name, "data:").startswith(
                "data:image/svg+xml;base64,"
            ) or (name not in names)
        link = element.attributes.get("href", "#")
        assert link.startswith("#") or (everything / link).is_file()


def test_the_page_can_be_read_by_everyone(page: Element) -> None:
    """One h1, headings in order, unique ids, working links, captions, scopes, texts of pictures."""
    headings = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(headings))
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    targets = [e.attributes["href"][1:] for e in page.all("a") if e.attributes["href"][0] == "#"]
    assert set(targets) <= set(ids)
    assert page.all("html")[0].attributes["lang"] == "en"
    for table in page.all("table"):
        assert table.all("caption")[0].text.strip()
        heads = table.all("thead")[0].all("th")
        assert {e.attributes["scope"] for e in heads} == {"col"}
        assert {len(row.all("th", "td")) for row in table.all("tbody")[0].all("tr")} == {len(heads)}
    figures = [e.attributes["id"].removeprefix("figure-") for e in page.all("figure")]
    assert figures == [
        # The trade-off stands at the top.
        *("tradeoff", "layers", "counters", "classes-1", "classes-2", "usage", "cost"),
        *("theory", "roofline", "waterfall"),
    ]
    assert all(len(e.attributes["alt"]) > 20 for e in page.all("img"))
    assert {e.children[-2].tag for e in page.all("figure")} == {"figcaption"}


def test_pictures_are_drawn_from_the_same_data(everything: Path, page: Element) -> None:
    """The image in the page is the SVG file; text and numbers are those of the figure."""
    own = usage_of(
        [str(everything.parent / name) for name in ("selective.jsonl", "steady.jsonl")],
        names=["selective", "steady"],
    )
    figure = next(e for e in page.all("figure") if e.attributes["id"] == "figure-usage")
    image = figure.all("img")[0]
    assert image.attributes["alt"] == own.caption.alt
    assert own.caption.title in figure.all("figcaption")[0].text
    data = base64.b64decode(image.attributes["src"].partition(",")[2])
    assert data == (everything / "figures" / "usage.svg").read_bytes()
    (narrow,) = figure.all("source")
    assert int(narrow.attributes["width"]) < int(image.attributes["width"])
    rows = list(csv.reader(io.StringIO((everything / "figures" / "usage.csv").read_text())))
    assert rows[0] == list(own.table.header)
    assert [row[4] for row in rows[1:]] == [str(row[4]) for row in own.table.rows]


def check_grid(folder: Path, page: Element, name: str, grid: Grid) -> None:
    """Assert that page, Markdown, LaTeX and CSV all hold a grid."""
    assert cells_of(table_of(page, name)) == [list(row) for row in grid.rows]
    unsaid = replace(grid, caption=tuple(text for text in grid.caption if text != CONVENTION))
    assert to_markdown(unsaid).strip() in (folder / "report.md").read_text(encoding="utf-8")
    tables = folder / "tables"
    assert (tables / f"{name}.tex").read_text() == to_latex(
        grid, f"flopbench-{name}", LatexOptions(notes=True)
    )
    rows = list(csv.reader(io.StringIO((tables / f"{name}.csv").read_text())))
    assert rows == [[c.title for c in grid.columns], *(list(row) for row in grid.rows)]


def test_tables_are_those_of_the_verbs(everything: Path, page: Element) -> None:
    """One grid, four forms; unrounded numbers in another file."""
    base = everything.parent
    table = CostTable.load(base / "table.json")
    check_grid(everything, page, "costs", cost_table_grid(table.rows, table.environment))
    terms = Choices(table=table, table_source="table.json", may_measure=False)
    run = run_of_log([base / "steady.jsonl"], terms)
    grids = estimate_grids(run)
    check_grid(everything, page, "estimate-2", grids["estimate"])
    check_grid(everything, page, "estimate-2-component", grids["component"])
    check_grid(everything, page, "estimate-2-action", grids["action"])
    unrounded = (everything / "tables" / "estimate-2-unrounded.csv").read_text()
    assert unrounded == estimate_csv(run)


def test_the_convention_is_said_once(everything: Path, page: Element) -> None:
    """In the page and in Markdown at the top; a LaTeX table stands alone and keeps it."""
    assert page.text.count(CONVENTION) == 1
    markdown = (everything / "report.md").read_text(encoding="utf-8")
    assert markdown.count("1 GMAC = 1e9") == 1
    assert "1 MAC = 2 FLOPs" in (everything / "tables" / "estimate-1.tex").read_text()


def test_details_are_folded(page: Element) -> None:
    """Of each part the first table is seen; further ones, captions and lists are folded."""
    folded = [e for d in page.all("details") for e in d.all("table")]
    seen = [e for e in page.all("table") if e not in folded]
    titles = [table.all("caption")[0].text.strip() for table in seen]
    assert len(titles) == 8  # costs, modules, 2 estimates, comparison, latency, replay, inputs
    assert sum(title.startswith("Where the MACs are") for title in titles) == 1
    for figure in page.all("figure"):
        ((details,),) = [figure.all("details")]
        assert details.all("summary")[0].text == "How it was made, and files"
        caption = figure.all("figcaption")[0].text
        assert len(caption) - len(details.text) > 40


def test_a_figure_without_data_is_left_out_with_its_reason(tmp_path: Path) -> None:
    """A log without labels has no figure of classes: the page says why, and the rest is there."""
    log = write_log(
        tmp_path / "bare.jsonl", {}, [{"id": f"v{n}", "actions": [0] * 16} for n in (1, 2)]
    )
    page = write_report([log, ROOT / INPUTS["table.json"]], tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "Figures left out" in text
    assert re.search(r"<li>classes: .*label", text)
    assert not (tmp_path / "out" / "figures" / "classes.svg").exists()
    assert "Figures left out" in (tmp_path / "out" / "report.md").read_text()


def test_logs_that_are_not_comparable_are_shown_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two datasets: no comparison, the reason in its place and on stderr, exit status 0."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    write_log(
        Path("other.jsonl"), {"method": "x", "dataset": "y"}, [{"id": "v", "actions": [0] * 16}]
    )
    assert main(["report", "selective.jsonl", "other.jsonl", "table.json", "-o", "out"]) == 0
    assert "the logs are not compared: " in capsys.readouterr().err
    text = Path("out/index.html").read_text(encoding="utf-8")
    assert "The logs cannot be compared: " in text
    assert not Path("out/tables/comparison.csv").exists()
    assert Path("out/tables/estimate-2.csv").exists()


def test_files_that_are_read_beside_are_sources_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header of a CSV log and the table of ``--table`` have hashes; every shard has, too."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    assert main(["log", "convert", "steady.jsonl", "-o", "run.csv"]) == 0
    for n, rows in enumerate((["v1"], ["v2"])):
        samples = [{"id": i, "actions": [0] * 16} for i in rows]
        write_log(Path(f"part.rank{n}-of-2.jsonl"), {"method": "sharded"}, samples)
    args = ("run.csv", "part.rank*.jsonl", "--table", "table.json", "-o", "out")
    assert main(["report", *args]) == 0
    rows = list(csv.reader(io.StringIO(Path("out/tables/sources.csv").read_text())))[1:]
    assert [(row[0], row[1]) for row in rows] == [
        ("run.csv", "policy log"),
        ("part.rank0-of-2.jsonl", "policy log"),
        ("part.rank1-of-2.jsonl", "policy log"),
        ("run.header.json", "header of a policy log"),
        ("table.json", "cost table"),
    ]
    for row in rows:
        assert row[4] == hashlib.sha256(Path(row[0]).read_bytes()).hexdigest()


def test_why_a_figure_is_left_out_is_said_in_its_own_words() -> None:
    """The verb's name, which begins messages on stderr, is not part of the reason."""

    def make() -> Drawing:
        raise InputError("report: no row was measured")

    drawn = draw({"theory": make})
    assert drawn.lists == {"Figures left out": ["theory: no row was measured"]}

"""``flopbench report``: the page, the files beside it, their bytes, and what is refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from flopbench.cli import main
from flopbench.figures.usage import usage_of
from flopbench.present.estimate_data import estimate_csv
from flopbench.present.estimates import estimate_grids
from flopbench.present.grid import Grid, to_latex, to_markdown
from flopbench.present.tables import cost_table_grid
from flopbench.report import write_report
from flopbench.report.page import pieces, sort_key
from flopbench.runs import Choices, run_of_log
from flopbench.table import CostTable

INPUTS = {
    "table.json": "tests/data/table-schema1.json",
    "selective.jsonl": "tests/data/selective.jsonl",
    "steady.jsonl": "tests/data/steady.jsonl",
    "timings.json": "reports/latency-amd-epyc.json",
    "replay.json": "reports/replay-amd-epyc.json",
}
EVERYTHING = ("report", *INPUTS, "profiles.json", "-o", "out", "--title", "Everything")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title>",
    "{{ 7*7 }}{% raw %}",
    "a|b`c` [d](javascript:alert(1))",
    r"50 % & $x_1$ \input{y}",
    "# =1+1",
)
VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


@dataclass(slots=True)
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    children: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, *tags: str) -> list[Element]:
        """Return the elements inside that have one of the tags, in order; every one for none."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] if not tags or child.tag in tags else []
                found += child.all(*tags)
        return found


class Page(HTMLParser):
    """A strict reader: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert self._open == [self.root], f"left open: {[e.tag for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def write_profiles(path: Path) -> None:
    """Write a profiles file of a small net under two counters."""
    shared: dict[str, Any] = {
        "spec": "net@8", "model": "net", "input": "8", "classes": None, "convention": "MACs",
        "params": 100, "activations": 20, "feature_dim": 4, "device": "meta",
        "modules": [["", "Net", 100]], "not_counted": [], "notes": [],
    }  # fmt: skip
    from flopbench.agreement import Verdict
    from flopbench.costs import CostProfile, ModuleFacts, OpCost
    from flopbench.offline import Explanation
    from flopbench.profiles import dumps

    def made(counter: str, extra: int) -> CostProfile:
        operator = OpCost(
            module="", module_type="Net", family="conv", op="aten.convolution", calls=1,
            dense_macs=1000, total=1000 + extra, activations=20,
        )  # fmt: skip
        return CostProfile(
            **{**shared, "modules": (ModuleFacts(path="", type="Net", params=100),)},
            counter=counter, counter_version="1.0", total=1000 + extra, dense_macs=1000,
            operators=(operator,), versions={"torch": "2.15.0"},
        )  # fmt: skip

    found = Explanation(
        profiles=(made("torch", 0), made("thop", 24)),
        verdicts={"torch": Verdict(status="verified"), "thop": Verdict(status="verified")},
        failures={},
    )
    path.write_text(dumps(found), encoding="utf-8")


def gather(folder: Path) -> Path:
    """Copy all inputs into a folder."""
    folder.mkdir()
    for name, source in INPUTS.items():
        shutil.copy(ROOT / source, folder / name)
    write_profiles(folder / "profiles.json")
    return folder


def write_log(path: Path, header: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> Path:
    """Write a log of AR-Net's actions."""
    first = {"format": "flopbench.policy-log", "version": 1, "preset": "arnet-resnet", **header}
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in (first, *samples)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def hostile_log(path: Path) -> Path:
    """Write a log whose every text is out to break the page."""
    classes = list(HOSTILE)
    samples = [
        {
            "id": f"{HOSTILE[n % len(HOSTILE)]} {n}",
            "labels": [n % len(classes)],
            "actions": [n % 4] * 16,
            "scores": [float(n % len(classes) == c) for c in range(len(classes))],
        }
        for n in range(3 * len(classes))
    ]
    header = {"method": HOSTILE[0], "dataset": HOSTILE[1], "split": HOSTILE[3]}
    return write_log(path, {**header, "class_names": classes}, samples)


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of one file of each kind; inputs stand beside it."""
    base = gather(tmp_path_factory.mktemp("report") / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert main(list(EVERYTHING)) == 0
    return base / "out"


@pytest.fixture(scope="module")
def page(everything: Path) -> Element:
    """Its page, parsed."""
    return Page((everything / "index.html").read_text(encoding="utf-8")).root


def table_of(page: Element, name: str) -> Element:
    """Return the table that stands in files of that name."""
    block = next(e for e in page.all("div") if e.attributes.get("id") == f"table-{name}")
    return block.all("table")[0]


def cells_of(table: Element) -> list[list[str]]:
    """Return the cells of a table's body."""
    return [[c.text for c in row.all("th", "td")] for row in table.all("tbody")[0].all("tr")]


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


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(everything: Path, tmp_path: Path) -> None:
    """No date, no folder of this machine, no order by chance: every byte is the same."""
    base = gather(tmp_path / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert main(list(EVERYTHING)) == 0
    first, second = content(everything), content(base / "out")
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
    texts = [data for name, data in first.items() if not name.endswith(".pdf")]
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
        assert made != "not said"
    made = {row[0]: row[3] for row in rows}
    assert "torch" in made["table.json"]
    assert "AMD EPYC" in made["timings.json"]
    assert "preset arnet-resnet" in made["selective.jsonl"]
    origin = next(e for e in page.all("section") if e.attributes["id"] == "origin")
    assert origin.all("code")[0].text == f"flopbench {' '.join(EVERYTHING)}"


def test_the_page_needs_nothing_but_itself(everything: Path, page: Element) -> None:
    """Policy by hash, no inline style or handler, no address but data: and the files beside it."""
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
        *("layers", "counters", "classes-1", "classes-2", "usage", "cost", "tradeoff"),
        *("theory", "roofline", "waterfall"),
    ]
    assert all(len(e.attributes["alt"]) > 20 for e in page.all("img"))


def test_pictures_are_drawn_from_the_same_data(everything: Path, page: Element) -> None:
    """The picture in the page is the SVG beside it; text and numbers are the figure's own."""
    own = usage_of(
        [str(everything.parent / name) for name in ("selective.jsonl", "steady.jsonl")],
        names=["selective", "steady"],
    )
    figure = next(e for e in page.all("figure") if e.attributes["id"] == "figure-usage")
    image = figure.all("img")[0]
    assert image.attributes["alt"] == own.words.alt
    assert own.words.title in figure.all("figcaption")[0].text
    data = base64.b64decode(image.attributes["src"].partition(",")[2])
    assert data == (everything / "figures" / "usage.svg").read_bytes()
    (narrow,) = figure.all("source")
    assert int(narrow.attributes["width"]) < int(image.attributes["width"])
    rows = list(csv.reader(io.StringIO((everything / "figures" / "usage.csv").read_text())))
    assert rows[0] == list(own.numbers.header)
    assert [row[4] for row in rows[1:]] == [str(row[4]) for row in own.numbers.rows]


def check_grid(folder: Path, page: Element, name: str, grid: Grid) -> None:
    """Assert that page, Markdown, LaTeX and CSV all hold a grid."""
    assert cells_of(table_of(page, name)) == [list(row) for row in grid.rows]
    assert to_markdown(grid).strip() in (folder / "report.md").read_text(encoding="utf-8")
    tables = folder / "tables"
    assert (tables / f"{name}.tex").read_text() == to_latex(grid, f"flopbench-{name}")
    rows = list(csv.reader(io.StringIO((tables / f"{name}.csv").read_text())))
    assert rows == [[c.title for c in grid.columns], *(list(row) for row in grid.rows)]


def test_tables_are_those_of_the_verbs(everything: Path, page: Element) -> None:
    """One grid, four forms; unrounded numbers beside it."""
    base = everything.parent
    table = CostTable.load(base / "table.json")
    check_grid(everything, page, "costs", cost_table_grid(table))
    terms = Choices(table=table, table_source="table.json", may_measure=False)
    run = run_of_log([base / "steady.jsonl"], terms)
    first, *others = estimate_grids(run)
    check_grid(everything, page, "estimate-2", first)
    check_grid(everything, page, "estimate-2-component", others[0])
    check_grid(everything, page, "estimate-2-action", others[1])
    unrounded = (everything / "tables" / "estimate-2-unrounded.csv").read_text()
    assert unrounded == estimate_csv(run)
    summary = next(e for e in page.all("section") if e.attributes["id"] == "summary").text
    assert f"{run.main.gflops_per_video:.4f} GFLOPS/video (= GMACs" in summary


def test_nothing_that_a_log_says_gets_out_of_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tags, templates, Markdown and LaTeX in names, classes, ids and file names stay text."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    name = '"><b onclick=x>{{ 7*7 }}`.jsonl'
    hostile_log(Path(name))
    title = "</title><script>alert(1)</script>"
    assert main(["report", name, "table.json", "-o", "out", "--title", title]) == 0
    text = Path("out/index.html").read_text(encoding="utf-8")
    root = Page(text).root
    assert len(root.all("script")) == len(root.all("style")) == len(root.all("title")) == 1
    assert root.all("b") == []
    assert all(e.attributes["src"].startswith("data:") for e in root.all("img"))
    assert not [n for e in root.all() for n in e.attributes if n.startswith("on")]
    assert root.all("title")[0].text == root.all("h1")[0].text == title
    assert HOSTILE[0] in [e.text for e in root.all("h3")]
    assert "49" not in [e.text for e in root.all("td", "th", "code")]
    assert name in [row[0] for row in cells_of(table_of(root, "sources"))]
    markdown = Path("out/report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<(script|img|b)\b", markdown.partition("## How this")[0])
    latex = Path("out/tables/estimate.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}" in latex
    for svg in Path("out/figures").glob("*.svg"):
        assert b"<script" not in svg.read_bytes()


def test_what_is_no_text_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in a file's name that are no UTF-8, control characters in a method: all is whole."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    name = os.fsdecode(b"caf\xe9.jsonl")
    try:
        Path(name).touch()
    except (OSError, UnicodeEncodeError):
        name = "cafe.jsonl"  # a file system that takes no such name
    write_log(Path(name), {"method": "a\u0001b\ufffe\n"}, [{"id": "v", "actions": [0] * 16}])
    assert main(["report", name, "table.json", "-o", "out"]) == 0
    for path in ("index.html", "report.md", "tables/sources.csv", "tables/sources.tex"):
        assert "caf" in Path("out", path).read_text(encoding="utf-8")
    for svg in Path("out/figures").glob("*.svg"):
        assert ElementTree.parse(svg).getroot().tag.endswith("svg")


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
    assert "the logs are not set side by side: " in capsys.readouterr().err
    text = Path("out/index.html").read_text(encoding="utf-8")
    assert "The logs cannot be set side by side: " in text
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


def test_names_and_choices_of_the_caller_rule(tmp_path: Path) -> None:
    """The Python function takes names, title and choices; the page is what it returns."""
    files = [ROOT / INPUTS[name] for name in ("selective.jsonl", "steady.jsonl", "table.json")]
    page = write_report(
        files,
        tmp_path / "out",
        title="Two runs",
        names=["Gumbel", "REINFORCE"],
        choices=Choices(counter="torch", resamples=50),
    )
    assert page == tmp_path / "out" / "index.html"
    root = Page(page.read_text(encoding="utf-8")).root
    assert root.all("h1")[0].text == "Two runs"
    assert {"Gumbel", "REINFORCE"} <= {e.text for e in root.all("h3")}
    assert [row[0] for row in cells_of(table_of(root, "comparison"))] == ["Gumbel", "REINFORCE"]
    assert "priced by torch" in root.text
    assert "50 resamples" in root.text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("4.0875", 4.0875),
        ("4,089,184,256", 4089184256.0),
        ("22.47 %", 22.47),
        ("+0.55 %", 0.55),
        ("-8.73 to -0.19", -8.73),
        ("−12.8 % +14.4 %", -12.8),
        ("8.96e-06", 8.96e-06),
        ("76.6 (quoted)", 76.6),
        ("0.1234 [3]", 0.1234),
        ("16x112x112", 200704.0),
        ("-", None),
        ("", None),
        ("same", None),
        ("[2]", None),
    ],
)
def test_cells_sort_by_their_number(text: str, key: float | None) -> None:
    """Thousands, signs, percent, intervals, powers; no number is no key, notes are none."""
    assert sort_key(text) == key


def test_only_references_to_notes_become_links() -> None:
    """A cell's ``[1]`` refers to a note if there is one; another number in brackets is text."""
    assert pieces("net [1][2] x[9]", 2) == [("net ", 0), ("[1]", 1), ("[2]", 2), (" x[9]", 0)]
    assert pieces("[0]", 2) == [("[0]", 0)]


def refused(capsys: pytest.CaptureFixture[str], *args: str, status: int = 2) -> str:
    """Run a report that must be refused in one message; return it."""
    assert main(["report", *args]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error:") == 1
    return err


@pytest.fixture
def inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A folder with all inputs, current."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    return tmp_path / "in"


def test_unusable_files_are_refused_before_anything_is_written(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, damaged, of another kind, twice, unpriced: one message, status 2, no folder."""
    estimate = ("estimate", "--policy-log", "steady.jsonl", "--table", "table.json")
    assert main([*estimate, "-o", "estimate.json"]) == 0
    assert main([*estimate, "-o", "points.csv"]) == 0
    Path("points.csv").write_text("approach,percent,gflops_per_video\na,1,2\n")
    Path("cut.json").write_text(Path("timings.json").read_text()[:5000])
    shutil.copy("table.json", "table2.json")
    capsys.readouterr()
    o = ("-o", "out")
    assert "none.json" in refused(capsys, "none.json", *o)
    assert "already worked out" in refused(capsys, "estimate.json", *o)
    assert "table of points" in refused(capsys, "points.csv", *o)
    assert "cut.json" in refused(capsys, "cut.json", *o)
    assert "given twice" in refused(capsys, "table.json", "table.json", *o)
    assert "given twice" in refused(capsys, "table.json", f"{inputs}/table.json", *o)
    assert "given twice" in refused(capsys, "steady.jsonl", "s*.jsonl", *o)
    assert "--table" in refused(capsys, "table.json", "table2.json", "steady.jsonl", *o)
    assert "no policy log" in refused(capsys, "table.json", "--name", "x", *o)
    assert "3 names for 1" in refused(
        capsys, "table.json", "steady.jsonl", *o, *("--name", "x", "--name", "y", "--name", "z")
    )
    assert not Path("out").exists()


def test_a_price_that_is_nowhere_is_not_measured(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a table and with an empty cache a log has no prices: refused, saying what helps."""
    monkeypatch.setenv("FLOPBENCH_CACHE_DIR", str(inputs / "cache"))
    error = refused(capsys, "steady.jsonl", "-o", "out")
    assert "no price" in error
    assert "flopbench table" in error
    assert not Path("out").exists()


def test_folders_that_are_not_ours_are_left_alone(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file, a folder of something else, a missing parent: refused, nothing touched."""
    Path("mine").mkdir()
    Path("mine/index.html").write_text("<h1>mine</h1>")
    Path("file").write_text("precious")
    before = content(inputs)
    assert "it is a file" in refused(capsys, "table.json", "-o", "file")
    assert "not empty" in refused(capsys, "table.json", "-o", "mine")
    assert "stdout" in refused(capsys, "table.json", "-o", "-")
    assert "no directory" in refused(capsys, "table.json", "-o", "none/out")
    assert "cannot write" in refused(capsys, "table.json", "-o", "n" * 300)
    assert content(inputs) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_unwritable_folders_are_refused(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A parent or a folder without permission: one message."""
    Path("closed").mkdir(mode=0o500)
    assert "permission denied" in refused(capsys, "table.json", "-o", "closed")
    assert "permission denied" in refused(capsys, "table.json", "-o", "closed/out")


def test_an_earlier_report_is_written_anew(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours is replaced, what others put there stays, and files it no longer has are named."""
    assert main(["report", "table.json", "profiles.json", "-o", "out"]) == 0
    Path("out/notes.txt").write_text("mine")
    Path("out/tables/own notes.txt").write_text("mine, too")
    assert main(["report", "table.json", "-o", "out"]) == 0
    assert "figures/layers.svg" in capsys.readouterr().err
    assert Path("out/notes.txt").read_text() == "mine"
    assert Path("out/tables/own notes.txt").read_text() == "mine, too"
    assert "Where the MACs are" not in Path("out/index.html").read_text()
    assert [path.name for path in Path(".").glob(".flopbench-*")] == []
    assert [path.name for path in Path("out").glob(".flopbench-*")] == []


def test_a_report_that_cannot_be_written_changes_nothing(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder stands where a file must go: refused, and every other file is as before."""
    assert main(["report", "table.json", "-o", "out", "--title", "first"]) == 0
    capsys.readouterr()
    Path("out/tables/costs.tex").unlink()
    Path("out/tables/costs.tex").mkdir()
    before = content(inputs)
    assert "costs.tex" in refused(capsys, "table.json", "-o", "out", "--title", "second")
    assert content(inputs) == before


def test_missing_libraries_are_named(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Jinja2 or matplotlib: what is missing and how to install it."""
    from flopbench.report import building

    found = building.find_spec
    monkeypatch.setattr(building, "find_spec", lambda n: None if n == "jinja2" else found(n))
    error = refused(capsys, "table.json", "-o", "out")
    assert "jinja2" in error
    assert "flopbench[plots]" in error

"""What files say stays text in every form of a report: HTML, Markdown, LaTeX."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from msgspec.structs import replace
from paper import TWO_COLUMNS, compiled, needs_pdflatex
from report_files import (
    HOSTILE,
    INPUTS,
    Page,
    cells_of,
    gather,
    hostile_log,
    table_of,
    write_log,
    write_profiles,
)

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")

from markdown_it import MarkdownIt

from flopbench.cli import main
from flopbench.core.remarks import Remark
from flopbench.estimate.runs import Choices
from flopbench.present.figures.caption import Caption
from flopbench.present.report.building import build_report, files_of
from flopbench.present.report.markdown import markdown_of
from flopbench.present.report.material import read_material
from flopbench.present.report.records import CostReport, Part, ReportFigure, Section


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
    """Bytes in a file name that are not UTF-8, control characters in a method: all are valid."""
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


def everywhere(folder: Path, text: str) -> list[str]:
    """Write inputs that say a text wherever a user may; return their names."""
    folder.mkdir(exist_ok=True)
    header = {"method": text, "dataset": text, "split": text, "class_names": [text, "b"]}
    samples = [{"id": f"{text}{n}", "labels": [n % 2], "actions": [n] * 16} for n in range(3)]
    write_log(folder / "log.jsonl", header, samples)

    def changed(source: str, change: Callable[[Any], None]) -> str:
        data = json.loads((ROOT / source).read_text(encoding="utf-8"))
        change(data)
        name = Path(source).name
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
        return name

    def table(data: Any) -> None:
        for row in data["rows"]:
            row["notes"] = [text]

    def timings(data: Any) -> None:
        data["devices"][0]["name"] = text

    def replay(data: Any) -> None:
        data |= {"method": text, "notes": [text], "dataset": "", "warnings": [text]}
        data["device"]["name"] = text

    write_profiles(folder / "profiles.json", text, "disputed", (text, text))
    return [
        changed(INPUTS["table.json"], table),
        "log.jsonl",
        changed(INPUTS["timings.json"], timings),
        changed(INPUTS["replay.json"], replay),
        "profiles.json",
    ]


def report_of(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> CostReport:
    """Return the report of such inputs; its figures have captions only."""

    def drawn(figures: Mapping[str, Any], suffix: str = "", subject: str = "") -> Part:
        caption = Caption(title=text, sentences=(text, text), alt=text, warnings=(Remark(text),))
        found = [
            ReportFigure(
                name=f"{kind}{suffix}", caption=caption, svg=b"", narrow=b"", pdf=b"", csv=""
            )
            for kind in figures
        ]
        reasons = {"Figures left out": [f"kind: {text}"]}
        return Part(figures=found, lists=reasons, warnings=[Remark(text, subject)])

    monkeypatch.setattr("flopbench.present.report.sections.draw", drawn)
    names = everywhere(folder, text)
    monkeypatch.chdir(folder)
    material = read_material(names, Choices(resamples=10))
    return build_report(material, title=text, command=text)


def elements(markdown: str) -> list[tuple[str, str]]:
    """Return the elements of Markdown, each with what it names: a link's or picture's address."""
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = re.findall(r'<(\w+)(?: (?:href|src)="([^"]*)")?', made.render(markdown))
    return [(tag, address) for tag, address in found]


@pytest.mark.parametrize(
    "text",
    [
        *("# H", "> q", "1. one", "1)", "    code", "\n# H", "- - x", "+", "===", "* x", "[ ] x"),
        *("[x]: http://e.test", "[^1]: f", "](http://e.test/x.png)", "[x", "x]", "![a][b]", "a#"),
        *("_u_ __b__", "~~s~~", "`", "```", "\\", "\\*a*", "|", "<http://e.test>", "&copy;", "$x$"),
    ],
)
def test_markdown_has_the_same_elements_whatever_is_said(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, notes, warnings, captions, alternative texts add no element and lose none."""
    plain_text = elements(markdown_of(report_of(tmp_path / "plain", "plain", monkeypatch)))
    found = elements(markdown_of(report_of(tmp_path / "hostile", text, monkeypatch)))
    assert found == plain_text


def without_pictures(section: Section) -> Section:
    """Return a section without its figures, which have captions only here."""
    return replace(section, parts=tuple(replace(p, figures=()) for p in section.parts))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["plain", "*x ≤ Δ % & $x_1$ \\input{y} #~^ [a] é -- “q” 漢字 Ж 😀 e\u0301", "w" * 90]
)
def test_the_tables_of_a_report_compile(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pdflatex takes every table; none is wider than the line, no letter is missing."""
    needs_pdflatex()
    report = report_of(tmp_path / "in", text, monkeypatch)
    bare = replace(report, sections=tuple(without_pictures(s) for s in report.sections))
    tables = {n: c for n, c in files_of(bare).items() if n.endswith(".tex")}
    assert len(tables) == 14
    folder = tmp_path / "paper"
    folder.mkdir()
    body = []
    for number, content in enumerate(tables.values()):
        (folder / f"t{number}.tex").write_bytes(content)
        body.append(f"\\input{{t{number}}}\\clearpage")
    (folder / "paper.tex").write_text(
        TWO_COLUMNS + "\\begin{document}\n" + "\n".join(body) + "\n\\end{document}\n"
    )
    said = compiled(folder / "paper.tex")
    assert "Missing character" not in said
    assert re.findall(r"Overfull \\hbox.*", said) == []

"""The pages about the code: every file, name, link and example on them exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from test_imports import FLOORS

import flopbench

PACKAGE = ROOT / "flopbench"
ABOUT_CODE = ("docs/architecture.md", "docs/glossary.md", "CONTRIBUTING.md")
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?P<path>\.?[\w-]+(?:/[\w.-]+)*/?(?:\.\w+)?)(?::(?P<name>[A-Za-z_][\w.]*))?")
"""A path with a slash, or ``file.py:name``."""
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
EXAMPLE = re.compile(r"^`([\w./-]+)`:\n\n```", re.MULTILINE)
"""A file that CONTRIBUTING.md has the reader write."""


def text_of(page: str) -> str:
    """Return a page without its blocks."""
    return BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))


def references(page: str) -> set[tuple[str, str]]:
    """Return (path, name or nothing) of every reference in backticks."""
    found = set()
    for span in SPAN.findall(text_of(page)):
        match = PATH.fullmatch(span)
        if match and ("/" in match["path"] or match["path"].endswith((".py", ".toml", ".md"))):
            found.add((match["path"], match["name"] or ""))
    return found - {(name, "") for name in EXAMPLE.findall((ROOT / page).read_text("utf-8"))}


def place_of(path: str) -> Path | None:
    """Return what a path names: below the package, or below the repository's root."""
    return next((root / path for root in (PACKAGE, ROOT) if (root / path).exists()), None)


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a file defines: functions, classes, constants, and members as ``Class.name``."""

    def defined(body: list[ast.stmt], prefix: str) -> set[str]:
        names = set()
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                names |= defined(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            names |= {prefix + target.id for target in targets if isinstance(target, ast.Name)}
        return names

    return frozenset(defined(ast.parse(path.read_text(encoding="utf-8")).body, ""))


@pytest.mark.parametrize("page", ABOUT_CODE)
def test_what_a_page_names_is_there(page: str) -> None:
    """Each path exists, and each name is defined in its file."""
    found = references(page)
    wrong = []
    for path, name in sorted(found):
        place = place_of(path)
        if place is None or (name and name not in names_in(place)):
            wrong.append(f"{path}:{name}".rstrip(":"))
    assert found
    assert not wrong, f"{page} names what is not there: {wrong}"


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Links to files and to headings lead somewhere."""
    wrong = []
    for target, anchor in LINK.findall(text_of(page)):
        if "://" in target:
            continue
        place = (ROOT / page).parent / target if target else ROOT / page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            wrong.append(f"{target}#{anchor}".rstrip("#"))
    assert not wrong, f"{page}: {wrong}"


def test_the_tree_is_drawn_as_it_is() -> None:
    """Floors and packages of docs/architecture.md are those of the import test."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^(\d)  (\S+(?: \S+)*)", page, re.MULTILINE)
    floors = {int(number): set(names.split()) for number, names in drawn}
    own = [{name for name in names if not name.startswith("__")} for names in FLOORS]
    assert floors == dict(enumerate(own, 1))
    for name in set().union(*own) - {"plots"}:
        assert f"| `{name}/` |" in page


def test_public_names_and_kinds_of_files_are_listed() -> None:
    """docs/architecture.md has every public name, and every kind of file that the code writes."""
    listed = set(SPAN.findall(text_of("docs/architecture.md")))
    assert set(flopbench.__all__) - {"__version__"} <= listed
    constant = re.compile(r'^(?:\w*KIND|FORMAT) = "(flopbench\.[\w-]+)"$', re.MULTILINE)
    kinds = {
        kind
        for path in PACKAGE.rglob("*.py")
        for kind in constant.findall(path.read_text(encoding="utf-8"))
    }
    assert kinds
    assert kinds == {name for name in listed if name.startswith("flopbench.")} - {
        "flopbench.counters"
    }

"""Cells of a report's page: what they are sorted by, and which parts of them are links."""

from __future__ import annotations

import pytest

from flopbench.core.remarks import Remark
from flopbench.present.report.page import pieces, sort_key
from flopbench.present.report.records import Part, Section
from flopbench.present.report.sections import warnings_in


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
    """Thousands, signs, percent, intervals, powers; no number gives no key, notes are ignored."""
    assert sort_key(text) == key


def test_only_references_to_notes_become_links() -> None:
    """A cell's ``[1]`` refers to a note if there is one; another number in brackets is text."""
    assert pieces("net [1][2] x[9]", 2) == [("net ", 0), ("[1]", 1), ("[2]", 2), (" x[9]", 0)]
    assert pieces("[0]", 2) == [("[0]", 0)]


def test_a_figure_s_warning_is_told_once() -> None:
    """A warning of a run is not repeated; one that only ends alike is kept."""
    run = Part(warnings=[Remark("net: a guess", "run")])
    again = [Remark("a guess", "net"), Remark("net: a guess", "run"), Remark("a guess")]
    more = [Remark("a guess", "net").of("run"), Remark("a guess").of("other")]
    sections = [
        Section(anchor="a", title="A", parts=[run, Part(warnings=again)]),
        Section(anchor="b", title="B", parts=[Part(warnings=more)]),
    ]
    assert warnings_in(sections) == ("run: net: a guess", "a guess", "other: a guess")

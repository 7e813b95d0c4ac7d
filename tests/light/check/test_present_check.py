"""What a check says: terminal, Markdown, annotations, JUnit XML and badge, from a report alone."""

from __future__ import annotations

import html
import json
import re
from fractions import Fraction
from html.parser import HTMLParser
from io import StringIO
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import check_reports as samples
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace
from screens import assert_fits, screen_of

from flopbench.check.pytest.costs import explanation
from flopbench.check.pytest.marks import Asked
from flopbench.check.records import Metric
from flopbench.check.report import CauseShare, Report
from flopbench.check.text.amounts import (
    amount,
    amounts_apart,
    arrow,
    exact_amount,
    growth,
    head_room_bar,
    share_of_change,
)
from flopbench.check.text.blocks import command_to_accept, explain_entry
from flopbench.check.text.ci import annotations, badge_json
from flopbench.check.text.junit import junit_xml
from flopbench.check.text.markdown import MARKER, MOST_BYTES, code, escape_text, github_summary
from flopbench.check.text.terminal import render_check, report_json
from flopbench.core.errors import DataError

WORKFLOW_COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^:,\n]*,?)+)::([^\n\r]+)")

NASTY = 'a|b<img src=x>&amp;`c`\n@octocat [x](https://e.org) *b* #1 "q"'
"""A name that tries every way out of a cell."""


def drawn(report: Report, *, verbose: bool = False) -> str:
    """Return what a terminal or a pipe gets."""
    stream = StringIO()
    assert render_check(report, "table", stream, verbose=verbose) is None
    return stream.getvalue()


def all_texts(report: Report) -> list[str]:
    """Return every output that a report has."""
    as_json = render_check(report, "json", StringIO())
    assert as_json is not None
    return [
        drawn(report),
        drawn(report, verbose=True),
        as_json,
        github_summary(report),
        "\n".join(annotations(report)),
        junit_xml(report),
        badge_json(report),
    ]


AMOUNTS: tuple[tuple[Metric, Any, str], ...] = (
    ("dense_macs", 4_109_464_576, "4.1095 GMACs"),
    ("dense_macs", 814_272_000, "814.27 MMACs"),
    ("dense_macs", 36_864, "36.864 kMACs"),
    ("dense_macs", 9_999, "9,999 MACs"),
    ("dense_macs", 1, "1 MAC"),
    ("dense_macs", 999_999_999, "1.0000 GMACs"),
    ("dense_macs", 9_999_960_000, "10.000 GMACs"),
    ("dense_macs", 3 * 10**15, "3,000.00 TMACs"),
    ("dense_macs", -1_500_000_000, "-1.5000 GMACs"),
    ("params", 25_557_032, "25.557 M params"),
    ("params", 0, "0 params"),
    ("activations", 11_113_984, "11.114 M activations"),
    ("macs_per_video", Fraction(41_131_473_600, 3), "13.710 GMACs/video"),
    ("latency", Fraction("0.01231"), "12.31 ms"),
    ("latency", Fraction("-0.01231"), "-12.31 ms"),
)


def test_an_amount_has_five_digits_and_the_prefix_that_fits() -> None:
    """Amounts are rounded correctly, and a rounding that reaches 1000 takes the next prefix."""
    shown = [amount(metric, Fraction(value)) for metric, value, _ in AMOUNTS]
    assert shown == [text for _, _, text in AMOUNTS]


def test_amounts_that_would_look_equal_are_printed_exactly() -> None:
    """One MAC apart: both as exact integers; fractions as n/d; equal amounts stay short."""
    one, other = Fraction(4_110_000_000), Fraction(4_110_000_001)
    assert amounts_apart("dense_macs", one, other) == ("4,110,000,000 MACs", "4,110,000,001 MACs")
    assert amounts_apart("dense_macs", one, one) == ("4.1100 GMACs", "4.1100 GMACs")
    thirds = amounts_apart(
        "macs_per_video", Fraction(41_131_473_601, 7), Fraction(41_131_473_602, 7)
    )
    assert thirds == ("41,131,473,601/7 MACs/video", "41,131,473,602/7 MACs/video")
    assert arrow("dense_macs", one, other) == "4,110,000,000 -> 4,110,000,001 MACs"
    assert arrow("latency", Fraction("0.0123100"), Fraction("0.0123101")) == "12.31 -> 12.3101 ms"


@given(
    st.fractions(min_value=0, max_value=10**13, max_denominator=10**6),
    st.fractions(min_value=0, max_value=10**13, max_denominator=10**6),
)
def test_amounts_look_different_where_they_are(old: Fraction, new: Fraction) -> None:
    """Whatever two amounts are, they print equal only where they are equal."""
    for metric in ("dense_macs", "macs_per_video", "latency"):
        before, after = amounts_apart(metric, old, new)  # type: ignore[arg-type]
        assert (before == after) == (old == new)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_an_exact_amount_can_be_read_back(value: int) -> None:
    """An exact amount has every digit."""
    number, unit = exact_amount("dense_macs", Fraction(value), signed=True).split()
    assert int(number.replace(",", "")) == value
    assert unit == ("MAC" if abs(value) == 1 else "MACs")


def test_a_growth_looks_different_from_the_growth_that_is_allowed() -> None:
    """2.04 % is not shown as 2.0 % next to an allowed 2 %; a tiny growth is not 0 %."""
    assert share_of_change(Fraction(10_000), Fraction(10_204), Fraction(2, 100)) == "+2.04 %"
    assert share_of_change(Fraction(10_000), Fraction(10_200), Fraction(2, 100)) == "+2.0 %"
    assert share_of_change(Fraction(10**9), Fraction(10**9 + 1)) == "+under 0.1 %"
    assert share_of_change(Fraction(0), Fraction(5)) == ""
    assert growth("dense_macs", Fraction(2), Fraction(1)) == "-1 MAC"


def test_one_mac_over_a_limit_prints_exact_integers() -> None:
    """Both amounts round to 4.1100 GMACs; the message shows the one MAC between them."""
    metric = samples.metric(
        "dense_macs",
        None,
        4_110_000_001,
        limit=4_110_000_000,
        limit_text="4.11 GMACs",
        budget_line=7,
    )
    text = drawn(samples.report(samples.entry("net", metric)))
    assert "4,110,000,001 MACs, limit 4,110,000,000 MACs: 1 MAC over" in text
    assert "[##########>] over 100 % of 4.11 GMACs" in text
    assert "(flopbench.toml:7)" in text


def test_head_room_is_never_rounded_over_or_under_the_limit() -> None:
    """What is met exactly is 100 %, one MAC less is 99 %, and FLOPs are shown with their MACs."""

    def bar(new: int, limit: int, text: str) -> str:
        return head_room_bar(samples.metric("dense_macs", None, new, limit=limit, limit_text=text))

    assert bar(4_200_000_000, 4_200_000_000, "4.2 GMACs") == "[##########] 100 % of 4.2 GMACs"
    assert bar(4_199_999_999, 4_200_000_000, "4.2 GMACs") == "[#########-] 99 % of 4.2 GMACs"
    assert bar(3_486_000_000, 4_200_000_000, "8.4  GFLOPs") == (
        "[########--] 83 % of 8.4 GFLOPs = 4.2 GMACs"
    )
    assert head_room_bar(samples.metric("dense_macs", None, 5)) == ""


BACKBONE = """\
backbone costs more than allowed and is over its limit
  what: nets:backbone@224
  dense_macs: 4.4200 GMACs, limit 4.2 GMACs: 219,964,576 MACs over
      baseline 4.1095 -> 4.4200 GMACs: +310,500,000 MACs (+7.6 %)
      allowed growth: 2 %, up to 4.1917 GMACs
      budget: flopbench.toml:12
      the budget says: The edge device has no room for more; ask before raising this.
  params: baseline 25.557 -> 25.668 M params: +110,592 params (+0.4 %)
      allowed growth: none
      budget: the default; budgets are set in flopbench.toml
  cause:
    width  +310,500,000 MACs  +110,592 params  layer1.0.conv2: weight 64x64x3x3 -> 128x64x3x3
  modules that grew most:
    layer1.0.conv2  Conv2d  +115,605,504 MACs  +36,864 params  width
        nets.py:31
    layer1.0.conv3  Conv2d   +51,380,224 MACs  +16,384 params  width, derived
        weight 256x64x1x1 -> 256x128x1x1; was layer1.0.last
    and 3 more that changed
  If this growth is intended, accept it: flopbench accept backbone --reason "why"
  Accepting does not raise a limit: reduce the cost, or raise the limit in flopbench.toml:12
"""


def test_a_failure_says_limit_growth_cause_modules_and_what_to_do() -> None:
    """The block of a widened layer, word for word."""
    lines = explain_entry(samples.widened(), "flopbench.toml")
    assert "\n".join(lines) + "\n" == BACKBONE


def test_another_command_may_accept() -> None:
    """The pytest plugin names its test as the place, and its command."""
    lines = explain_entry(
        samples.widened(), "tests/test_net.py:4", accept_command="pytest --flopbench-update"
    )
    assert "  If this growth is intended, accept it: pytest --flopbench-update" in lines
    assert not any("flopbench accept" in line for line in lines)
    assert "      budget: the default; budgets are set in tests/test_net.py:4" in lines


def test_a_test_of_any_name_is_called_the_model() -> None:
    """The name of a test, which pytest prints above, is not at the start of the explanation."""
    name = "test_net.py::test[a\x1bb costs]"
    asked = Asked(
        name=name,
        file="test_net.py",
        line=1,
        budgets=(),
        guarded=True,
        input=None,
        counter="torch",
    )
    first = explanation(asked, samples.widened(name)).splitlines()[0]
    assert first == "the model costs more than allowed and is over its limit"


def test_only_over_a_limit_no_command_is_offered_that_would_not_help() -> None:
    """Accepting moves a baseline, never a limit."""
    result = samples.metric("dense_macs", 5, 5, limit=4, limit_text="4 MACs", budget_line=3)
    lines = explain_entry(samples.entry("net", result), "flopbench.toml")
    assert not any("flopbench accept" in line for line in lines)
    assert "raise the limit in flopbench.toml:3" in lines[-1]


def test_a_policys_split_is_exact_and_names_the_leading_part() -> None:
    """Choices and unit costs as exact fractions with their sum, actions, prices that changed."""
    text = "\n".join(explain_entry(samples.policy(), "flopbench.toml"))
    assert "mostly choices: the policy chooses differently" in text
    assert re.search(r"choices +\+5,000,000,000/3 MACs/video\n", text)
    assert re.search(r"unit costs +\+1/3 MACs/video\n", text)
    assert re.search(r"total +\+1,666,666,667 MACs/video\n", text)
    assert re.search(r"224 +5\.3333 -> 6\.3333 +4,109,464,576 -> 4,109,464,577 MACs", text)
    assert re.search(r"skip 4 +0\.25 -> -", text)
    assert "backbone  4,109,464,576 -> 4,109,464,577 MACs  resnet50@224" in text
    other = "\n".join(explain_entry(samples.policy("unit costs"), "flopbench.toml"))
    assert "mostly unit costs: its networks' costs changed" in other


def test_what_is_not_comparable_has_no_percentage_and_no_difference() -> None:
    """Only the reason and what to do: figures of different conventions are not compared."""
    # An old amount that a careless writer of reports left in must not leak either.
    entry = samples.not_comparable()
    (result,) = entry.metrics
    entry = replace(entry, metrics=(replace(result, old=Fraction(4_109_464_576)),))
    texts = all_texts(samples.report(entry))
    del texts[2]  # the JSON holds what the report holds
    for full in texts:
        text = full.replace(MARKER, "")
        assert "%" not in re.sub("%(3A|0A|2C)", "", text)  # a percent sign would be %25
        assert "->" not in text
        assert "4.1" not in text
    text = drawn(samples.report(entry))
    assert "convention: 'MACs' in the baseline, 'FLOPs' now" in text
    assert 'flopbench accept other --reason "why"' in text
    assert text.endswith("1 entry checked; not comparable: 1 of 1\n")


TERMINAL = """\
ok    same    resnet50  4.1095 GMACs  25.557 M params  11.114 M activations
ok    better  small     1.8141 -> 1.2340 GMACs  -32.0 %  -580,073,344 MACs
                        11.690 M params  unchanged
note  new     fresh     512.00 kMACs  9,216 params
FAIL  gone    old-net   was  4.1095 GMACs  25.557 M params
                        the baseline has it, the configuration does not

Cheaper: small (dense_macs -32.0 %). Lock it in: flopbench accept --improvements \
--reason "why"
New, nothing to compare with yet: fresh. Record: flopbench accept fresh --reason "why"

FAIL old-net is gone (nets:old-net@224)
  Put it back (a new name is a new entry), or remove it: flopbench accept old-net --reason "why"

baseline .flopbench/baseline.json; counter torch
no entry matches flopbench.toml:19: bakbone* dense_macs
4 entries checked, 1 budget matched nothing; failed: 1 of 4
"""


def test_a_paired_latency_is_of_no_baseline() -> None:
    """Two revisions were timed side by side: there is nothing to accept, and no baseline."""
    slower = samples.metric("latency", "0.010", "0.020", gate="paired")
    entry = samples.entry("net", slower)
    text = "\n".join(explain_entry(entry, "flopbench.toml"))
    assert "the other revision 10.00 -> 20.00 ms" in text
    assert "flopbench accept" not in text


def test_the_terminal_shows_each_entry_then_failures_then_the_summary() -> None:
    """The whole text of a small check, word for word."""
    report = samples.report(
        samples.same(),
        samples.better(),
        samples.new(),
        samples.gone(),
        unmatched=("flopbench.toml:19: bakbone* dense_macs",),
    )
    assert drawn(report) == TERMINAL


def test_a_failure_is_explained_in_six_lines() -> None:
    """Its largest causes, its limit, what to do; the table has the amounts; --verbose the rest."""
    report = samples.everything()
    short, full = drawn(report), drawn(report, verbose=True)
    assert "10 entries checked, 1 budget matched nothing; failed: 3 of 10" in short
    for text in (short, full):
        blocks = [part for part in text.split("\n\n") if part.startswith(("FAIL ", "?? "))]
        named = [part for part in blocks if "\n  " in part and "  same" not in part]
        assert len(named) >= 4
        if text is short:
            assert max(part.count("\n") for part in named) <= 6
            assert not any("budget: " in part or "modules that" in part for part in named)
    assert "modules that grew most:" in full
    assert "budget: " in full
    assert "1 GMAC = 1e9" in full
    assert "1 GMAC = 1e9" not in short


@pytest.mark.parametrize(("width", "most"), [(80, 12), (100, 10), (160, 10)])
def test_a_widened_head_takes_twelve_lines(
    width: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table, the cause once, the command whole; --verbose repeats nothing."""
    detail = "fc: out features 1000 -> 4000"
    cause = CauseShare(cause="width", added_macs=1_536_000, added_params=1_539_000, detail=detail)
    head = samples.entry(
        "nets.py:build@64",
        samples.metric("dense_macs", 148_560_000, 148_560_000 + 1_536_000),
        samples.metric("params", 11_690_000, 11_690_000 + 1_539_000),
        samples.metric("activations", 203_750, 203_750 + 3_000),
        what="nets.py:build@64",
        causes=(cause,),
    )
    report = samples.report(head)
    screen = screen_of(width, monkeypatch)
    render_check(report, "table", screen)
    assert_fits(screen.lines, width)
    assert len(screen.lines) <= most
    assert sum(detail in line for line in screen.lines) == 1
    command = 'flopbench accept nets.py:build@64 --reason "why"'
    assert any(line.endswith(command) for line in screen.lines)
    screen = screen_of(width, monkeypatch)
    render_check(report, "table", screen, verbose=True)
    assert_fits(screen.lines, width)
    told = [line.strip() for line in screen.lines if line.strip()]
    assert len(told) == len(set(told))


def test_what_lets_a_growth_pass_is_said() -> None:
    """An accepted growth shows its reason; an advisory budget says that it is advisory."""
    text = drawn(samples.everything())
    assert "params accepted: wider head, see #12" in text
    assert "dense_macs is more than allowed; its budget is advisory" in text
    assert "note: the total of torch moved from 10 to 12" in text
    assert "the interval of the ratio reaches from 0.99 to 1.13" in text
    assert "notice: the cache was empty" in text


@pytest.mark.parametrize(
    ("report", "last"),
    [
        (samples.report(samples.same()), "1 entry checked; passed"),
        (
            samples.report(samples.not_measured(), samples.same()),
            "2 entries checked; not measured: 1 of 2",
        ),
        (
            samples.self_tested(),
            "2 entries checked; self-test passed: 2 of 2 injected growths caught",
        ),
    ],
)
def test_the_last_line_says_how_much_was_checked(report: Report, last: str) -> None:
    """A check that compares nothing would show it here."""
    assert drawn(report).splitlines()[-1] == last


def test_a_self_test_shows_what_was_injected_and_what_was_missed() -> None:
    """A row an entry and metric, with the reason where the gate did not fail."""
    text = drawn(samples.self_tested(caught=False))
    assert text.startswith("self-test: 1 % more injected into every entry and metric")
    assert "caught  backbone  dense_macs\n" in text
    assert "MISSED  head      params      its gate is advisory\n" in text
    assert text.endswith("; self-test failed: 1 of 2 injected growths not caught\n")


def test_a_command_can_be_pasted() -> None:
    """Names are quoted for a shell, and one that looks like an option is set apart."""
    assert command_to_accept("my net") == "flopbench accept 'my net' --reason \"why\""
    assert command_to_accept("a;rm b") == "flopbench accept 'a;rm b' --reason \"why\""
    assert command_to_accept("-x") == 'flopbench accept --reason "why" -- -x'


def test_every_output_is_the_same_from_the_json() -> None:
    """A report written and read again gives the same bytes everywhere, twice."""
    for report in (samples.everything(), samples.self_tested()):
        text = report_json(report)
        assert text == render_check(report, "json", StringIO())
        again = Report.from_json(json.loads(text), "report.json")
        assert again == report
        assert all_texts(again) == all_texts(report) == all_texts(report)


class Tree(HTMLParser):
    """The text of table cells, whether tags nest, and which tags there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note a tag that begins."""
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Demand that the tag which ends is the one that began last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data
        if "td" in self.open:
            self.cells[-1] += data


def rendered(markdown: str) -> Tree:
    """Return the tree of Markdown rendered as GitHub does, without its filters."""
    parser = MarkdownIt("commonmark", {"html": True})
    tree = Tree()
    tree.feed(parser.enable("table").render(markdown))
    tree.close()
    assert not tree.open
    return tree


def test_the_summary_is_a_table_with_details() -> None:
    """Marker first, a row a metric, the blocks folded away as preformatted text."""
    report = samples.everything()
    text = github_summary(report)
    assert text.startswith(f"{MARKER}\n## ❌ Model cost: failed: 3 of 10;")
    assert render_check(report, "md", StringIO()) == text
    tree = rendered(text)
    rows = sum(len(entry.metrics) or 1 for entry in report.entries)
    assert len(tree.cells) == 7 * rows
    table = {"table", "thead", "tbody", "tr", "th", "td"}
    assert tree.tags == {*table, "h2", "p", "code", "strong", "details", "summary", "pre"}
    assert text.count("<details>") == 6
    assert html.unescape(BACKBONE.partition("\n")[2]) in tree.text
    assert "10 entries checked, 1 budget matched nothing." in tree.text


def test_a_name_cannot_leave_its_cell() -> None:
    """Pipes, tags, entities, line ends, links and mentions are shown as they are."""
    entry = replace(
        samples.widened(NASTY), what=NASTY, notes=(NASTY,), reason=f"{NASTY}</pre></details>"
    )
    text = github_summary(samples.report(entry, unmatched=(NASTY,), notices=(NASTY,)))
    tree = rendered(text)
    assert tree.cells[0] == NASTY.replace("\n", " ")
    assert not {"a", "img", "em"} & tree.tags
    assert len(tree.cells) == 7 * 3
    assert text.count("\n</pre>\n") == text.count("</pre>") == text.count("</details>") == 1
    outside = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert "@" not in outside
    assert "https:/" not in outside


@given(st.text())
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    """Whatever a name is, the rendered text is the name, and nothing else appears."""
    shown = "".join(c if c.isprintable() or c == "\u00a0" else " " for c in text)
    tree = rendered(f"| a |\n| --- |\n| {code(text)}. |\n")
    assert tree.cells == [f"{shown}." if shown else "."]
    assert tree.tags <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    sentence = rendered(escape_text(text))
    assert sentence.text.replace("\u200b", "").split() == shown.replace("\u200b", "").split()
    assert sentence.tags <= {"p"}


@pytest.mark.parametrize(
    "start", ["1. x", "- x", "# x", "    x", "> x", "1) x", "+ x", "===", "~~~"]
)
def test_a_sentence_that_looks_like_markup_stays_a_sentence(start: str) -> None:
    """Lists, headings, quotes and code blocks do not begin."""
    tree = rendered(escape_text(start))
    assert tree.tags == {"p"}
    assert tree.text.replace("\u200b", "").strip() == start.strip()


def test_a_summary_is_capped_without_cutting_anything_in_two() -> None:
    """Details go first, then rows, and a sentence says how many; tags and characters stay whole."""
    many = samples.report(*(samples.widened(f"nét-{n}") for n in range(100)))
    whole = github_summary(many, most_bytes=10**9)
    tight = github_summary(many, most_bytes=50_000)
    tiny = github_summary(many, most_bytes=5_000)
    assert "Left out" not in whole
    shown = tight.count("<details>")
    assert 0 < shown < 100
    assert f"Left out, because the text would be too long: {100 - shown} explanations." in tight
    assert len(rendered(tight).cells) == 7 * 300
    assert "<details>" not in tiny
    rows = len(rendered(tiny).cells) // 7
    assert 0 < rows < 300
    assert f"{300 - rows:,} rows, 100 explanations." in tiny
    for text, most in ((tight, 50_000), (tiny, 5_000)):
        assert most * 0.95 < len(text.encode()) <= most
        assert "100 entries checked" in text
    noted = replace(samples.widened(), notes=("é" * 10**6,))
    text = github_summary(samples.report(noted))
    assert len(text.encode()) <= MOST_BYTES == 900_000
    assert "Left out, because the text would be too long: 1 explanation." in text


def unescaped(text: str) -> str:
    """Undo GitHub's escapes."""
    for escape in ("%3A", "%2C", "%0D", "%0A", "%25"):
        text = text.replace(escape, unquote(escape))
    return text


def test_annotations_point_at_source_or_configuration() -> None:
    """Failures are errors, what is not known warns, what became cheaper is a notice."""
    matches = [WORKFLOW_COMMAND.fullmatch(line) for line in annotations(samples.everything())]
    found = [(m[1], m[2]) for m in matches if m]
    assert len(found) == len(matches)
    assert [level for level, _ in found] == ["error"] * 3 + ["warning"] * 2 + ["notice"]
    assert found[0][1].startswith("file=nets.py,line=31,title=Model cost%3A backbone costs more")
    assert found[1][1].startswith("file=flopbench.toml,line=4,")
    assert found[2][1].startswith("title=Model cost%3A old-net is gone")
    assert matches[0] is not None
    said = unescaped(matches[0][3])
    assert "4.4200 GMACs, limit 4.2 GMACs: 219,964,576 MACs over\n" in said
    assert 'accept it: flopbench accept backbone --reason "why"' in said


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_an_annotation_is_one_command_whatever_it_says(name: str, note: str) -> None:
    """No name ends a property or a line, and none starts another command."""
    entry = replace(samples.widened(name), notes=(note,), source=f"a,b:c%{name}:12")
    (line,) = annotations(samples.report(entry))
    match = WORKFLOW_COMMAND.fullmatch(line)
    assert match
    given_ = dict(part.split("=", 1) for part in match[2].split(","))
    assert set(given_) == {"file", "line", "title"}
    assert unescaped(given_["file"]).startswith("a,b:c%")
    assert not set(line) & set("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


def test_there_are_at_most_ten_annotations() -> None:
    """The failures come first; the tenth says how many more there are."""
    many = [samples.better(), *(samples.widened(f"net-{n}") for n in range(12))]
    lines = annotations(samples.report(*many))
    assert len(lines) == 10
    assert all(line.startswith("::error ") for line in lines)
    assert "4 more; the job summary" in lines[-1]
    assert len(annotations(samples.report(*many[:10]))) == 10


def test_junit_is_well_formed_and_its_counts_are_right() -> None:
    """A case for each entry and metric; errors for what is not known; passes that say why."""
    report = samples.everything()
    root = ElementTree.fromstring(junit_xml(report))
    (suite,) = root
    cases = suite.findall("testcase")
    assert root.tag == "testsuites"
    assert len(cases) == sum(len(entry.metrics) or 1 for entry in report.entries)
    for node in (root, suite):
        assert node.get("tests") == str(len(cases))
        assert node.get("failures") == str(len(suite.findall("testcase/failure"))) == "5"
        assert node.get("errors") == str(len(suite.findall("testcase/error"))) == "2"
    by_name = {(c.get("classname"), c.get("name")): c for c in cases}
    failure = by_name["backbone", "dense_macs"].find("failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text + "\n" == BACKBONE
    assert (failure.get("message") or "").startswith("4.4200 GMACs, limit 4.2 GMACs: 219,964,576")
    assert by_name["broken", "entry"].find("error") is not None
    assert by_name["other", "dense_macs"].find("error") is not None
    assert "nothing to compare with" in (
        by_name["fresh", "dense_macs"].findtext("system-out") or ""
    )
    assert "is advisory" in (by_name["advised", "dense_macs"].findtext("system-out") or "")
    assert "see #12" in (by_name["advised", "params"].findtext("system-out") or "")
    assert not list(by_name["resnet50", "dense_macs"])
    tested = ElementTree.fromstring(junit_xml(samples.self_tested(caught=False)))
    assert (tested.get("tests"), tested.get("failures")) == ("2", "1")


def test_junit_agrees_with_the_exit_status_on_a_tripwire_that_was_not_set() -> None:
    """A latency that could not be measured leaves its entry as it is: no error, but the reason."""
    latency = samples.metric("latency", 1, None, state="not measured", reason="another machine")
    entry = replace(samples.entry("net", samples.metric("dense_macs", 5, 5), latency), state="same")
    report = samples.report(entry)
    root = ElementTree.fromstring(junit_xml(report))
    assert report.exit_status == 0
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert "another machine" in (root.findtext(".//testcase[@name='latency']/system-out") or "")
    assert "latency: another machine" in drawn(report)


@given(st.text(alphabet=st.characters(), max_size=40))
def test_junit_holds_any_name(name: str) -> None:
    """What XML cannot hold is left out, everything else is read back."""
    root = ElementTree.fromstring(junit_xml(samples.report(samples.same(name))).encode())
    legal = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", name)
    assert root[0][0].get("classname") == legal


def test_a_report_of_schema_1_is_read_under_the_present_names() -> None:
    """It called two metrics otherwise; a newer schema is refused."""
    report = samples.report(samples.not_comparable(), drill=samples.self_tested(caught=True).drill)
    old = json.loads(json.dumps(report.to_json()).replace('"dense_macs"', '"macs"'))
    assert old["entries"][0]["metrics"][0]["metric"] == "macs"
    assert Report.from_json({**old, "schema": 1}, "report.json") == report
    with pytest.raises(DataError, match="has schema 3; this flopbench reads up to 2"):
        Report.from_json({**old, "schema": 3}, "report.json")


@pytest.mark.parametrize(
    ("report", "message", "colour"),
    [
        (samples.report(samples.same(), samples.new()), "passing", "brightgreen"),
        (samples.everything(), "2 of 10 grew, 1 gone", "red"),
        (samples.report(samples.gone(), samples.same()), "1 of 2 gone", "red"),
        (samples.report(samples.same(limit=5)), "1 of 1 over limit", "red"),
        (samples.report(samples.not_comparable()), "not comparable", "yellow"),
        (samples.report(samples.not_measured(), samples.same()), "not measured", "orange"),
        (samples.self_tested(caught=False), "self-test failed", "red"),
    ],
)
def test_the_badge_follows_the_schema_of_an_endpoint(
    report: Report, message: str, colour: str
) -> None:
    """Four keys, and a message that says what is wrong."""
    assert json.loads(badge_json(report)) == {
        "schemaVersion": 1,
        "label": "model cost",
        "message": message,
        "color": colour,
    }


def test_no_name_controls_the_terminal() -> None:
    """Control characters in names and notes come out as spaces."""
    entry = replace(samples.widened("\x1b[31mred\n"), notes=("a\x1b]0;x\x07\r\nb",), what="\x00")
    text = drawn(samples.report(entry, notices=("\x1b",)))
    assert not [c for c in text if not c.isprintable() and c != "\n"]

"""Text from files in Markdown and LaTeX is shown as it is and never becomes markup."""

from __future__ import annotations

import re
from html import unescape

import markdown_it
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import each

from flopbench.core.escaping import (
    LATEX_FALLBACK,
    OTHER_SCRIPTS,
    latex_escape,
    markdown_bracketed,
    markdown_escape,
    markdown_line,
)
from flopbench.core.grid import Column, Grid, to_markdown
from flopbench.core.latex import to_latex

HARMLESS = (
    "mobilenet_v2 (200) [1]",
    "net [1][2]",
    "a_b_c x__y",
    "[1] Published: 1.8, see table 2.",
    "22.47 %, 1.5 to 2.5; a-b = c > d # e",
    "1.5 GMACs",
    "2025.",
)
HOSTILE = (
    "# H", "#", "##", "####### seven", "C #", "C ##", " # H", "\t# H", "\n# H", "> q", ">q", "===",
    "=", "---", "- - x", "- x", "+ x", "* x", "*star", "***", "___", "1. one", "1) one", "1.",
    "123456789. x", "    code", "\tcode", "[x]: http://e.test", "[x]:", "[^1]: f", "[^1]",
    "- [ ] x", "[ ] x", "[x] y", "_u_ __b__", "a_ _b", "_a_b_", "(_a_)", "a_b_ c", "_", "__",
    "~~s~~", "~s~", "~~~", "```", "`", "`a`", "<http://e.test>", "<b onclick=x>", "<!-- x",
    "<script>", "&copy; &#60; &amp", "$x$", "\\", "\\\\", "\\*a*", "\\_a_", "a\\", "|", "a|b",
    "\\|", "![a](http://e.test/x.png)", "![a][b]", "[a](http://e.test)", "[a] (b)",
    "[1](http://e.test)", "x](http://e.test/y.png)", "a]", "[[a]](b)", ":::", ": x", "**b**", "*",
    "é_ü_é", "_é_", "²_x_²", "a\u2028# b", "a\r\n# b", "\u00a0# x", "x  ", "http://e.test/_a_",
    "1.\u00a0x",
)  # fmt: skip
SIGNS = st.text(alphabet="ab1 \\`*_{}[]()#+-.!|<>&;:~$=\"'/\u00a0é\n\t", max_size=12)


def shown(html: str) -> str:
    """Return what a reader sees, blanks as a browser joins them."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def plain(text: str) -> str:
    """Return a text with its blanks joined."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def rendered(markdown: str) -> str:
    """Return HTML as GitHub's flavour gives it."""
    made = markdown_it.MarkdownIt("commonmark", {"html": True})
    return str(made.enable(["table", "strikethrough"]).render(markdown))


def tags(html: str) -> list[str]:
    """Return the names of all elements, in order."""
    return re.findall(r"<(\w+)", html)


def check(text: str) -> None:
    """Assert that a text stays text wherever it is put."""
    line = rendered(markdown_line(text))
    assert (tags(line) or ["p"]) == ["p"], line
    assert shown(line) == plain(text)
    bullet = rendered(f"- {markdown_line(text)}\n- x")
    assert [t for t in tags(bullet) if t != "p"] == ["ul", "li", "li"], bullet
    assert shown(bullet) == plain(f"{text} x")
    behind = rendered(f"w {markdown_escape(text)}")
    assert tags(behind) == ["p"], behind
    assert shown(behind) == plain(f"w {text}")
    alt = rendered(f"![{markdown_bracketed(text)}](own.svg)")
    assert tags(alt) == ["p", "img"], alt
    found = re.search(r'src="own.svg" alt="([^"]*)"', alt)
    assert found is not None
    assert plain(unescape(found[1])) == plain(text)


def test_a_hostile_text_is_text_in_markdown() -> None:
    """On a line, in a bullet, in a sentence, as a picture's text: no element, no character lost."""
    each(HOSTILE, check)


@given(SIGNS)
def test_any_text_is_text_in_markdown(text: str) -> None:
    """The same holds for any mix of characters."""
    check(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    """Underscores inside words, footnote marks, numbers: nothing is escaped needlessly."""
    assert markdown_escape(text) == text
    if text[-1] != ".":
        assert markdown_line(text) == text


def table(*cells: str) -> Grid:
    """Return a table of one column, its texts everywhere else, too."""
    return Grid(
        title=cells[0],
        columns=(Column(title=cells[0], align="left"),),
        rows=tuple((cell,) for cell in cells),
        footnotes=cells,
        caption=cells,
    )


def test_a_table_holds_hostile_texts() -> None:
    """Title, heading, cells, notes and captions of a Markdown table are text."""

    def check(text: str) -> None:
        html = rendered(to_markdown(table(text, text)))
        assert tags(html) == [
            *("p", "strong", "table", "thead", "tr", "th", "tbody", "tr", "td", "tr", "td"),
            *("p",) * 4,
        ]
        cells = [shown(cell) for cell in re.findall(r"<td>(.*)</td>", html)]
        assert cells == [plain(text)] * 2

    each([text for text in HOSTILE if text.strip()], check)


def test_what_a_cell_is_indented_by_stays() -> None:
    """A tree of modules is a tree in Markdown and in LaTeX."""
    tree = table("net", "  layer", "    conv")
    assert "| &nbsp;&nbsp;layer |" in to_markdown(tree)
    assert r"    \hspace*{2em}conv \\" in to_latex(tree, "x")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("*star", "{*}star"),
        ("[1]", "{[}1{]}"),
        ("≤ 5 µs, Δ ≈ √2", r"$\leq$ 5 µs, $\Delta$ $\approx$ $\surd$2"),
        ("e\u0301", "é"),
        ("a--b---c", r"a-{}-b-{}-{}-c"),
        ("``x''", r"\textasciigrave{}\textasciigrave{}x'{}'"),
        ("\\input{x}%$_#&~^", r"\textbackslash{}input\{x\}\%\$\_\#\&\textasciitilde{}"
         r"\textasciicircum{}"),
        ("a漢字b", rf"a{OTHER_SCRIPTS}{{漢字}}{{U+6F22 U+5B57}}b"),
        ("a\u0001b\n", "a b "),
    ],
)  # fmt: skip
def test_latex_shows_what_was_said(text: str, latex: str) -> None:
    """Commands, ligatures and a star after a line break are plain characters."""
    assert latex_escape(text) == latex


def test_other_scripts_bring_what_they_need() -> None:
    """A table with a letter that pdfLaTeX lacks defines how it is shown; others do not."""
    assert LATEX_FALLBACK in to_latex(table("漢字"), "x")
    assert LATEX_FALLBACK not in to_latex(table("é Δ"), "x")


def test_long_texts_are_set_as_paragraphs() -> None:
    """Sentences in a cell wrap, and so do hashes, anywhere."""
    sentence = "a sentence of many words that is too long for a line of any paper"
    assert r"p{18em}" in to_latex(table(sentence), "x")
    assert r"\usepackage{array}" in to_latex(table(sentence), "x")
    assert r"p{18em}" not in to_latex(table("f" * 48), "x")
    assert r"ffffff\hspace{0pt plus 2pt}ffffff" in to_latex(table("f" * 64), "x")

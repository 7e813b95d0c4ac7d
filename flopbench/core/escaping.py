r"""Escaping text from files and users for Markdown and LaTeX.

A name may hold anything. It is shown as it is, and never becomes markup.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise

_INTRAWORD = r"(?P<word>(?<=[^\W_])_+(?=[^\W_]))"
"""Underscores inside a word make no emphasis: ``mobilenet_v2`` stays."""
_MARKUP = r"[\\|<`*~$_]|&(?=#?\w+;)"
_INLINE = rf"{_INTRAWORD}|{_MARKUP}|\](?=[(:])|\](?=\[(?!\d+\]))"
_BRACKETED = rf"{_INTRAWORD}|{_MARKUP}|[\[\]]"
_BLOCK = r"[#>+=-]|\[(?=[ xX]\])|(?<=\d)[.)](?=\s|$)"
"""What would make a line a heading, a quotation, a list or a check box."""
_NUMBERED = r"\d{1,9}(?=[.)])"

_MATHS = """
α alpha β beta γ gamma δ delta ε epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu
ξ xi π pi ρ rho ς varsigma σ sigma τ tau υ upsilon φ phi χ chi ψ psi ω omega
Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Φ Phi Ψ Psi Ω Omega
× times ± pm · cdot ≤ leq ≥ geq ≈ approx ≠ neq ∞ infty √ surd ∑ sum ∏ prod ∂ partial ∈ in
→ rightarrow ← leftarrow ↔ leftrightarrow ⇒ Rightarrow ≪ ll ≫ gg ∼ sim ∝ propto
"""
"""Mathematical symbols, each with its command."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
    "−": "$-$",
    "…": r"\ldots{}",
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
    '"': "''",
    **{sign: f"$\\{name}$" for sign, name in list(pairwise(_MATHS.split()))[::2]},
}
_LIGATURES = "-,'"
"""Characters that a font joins into a ligature where two of them meet."""
_KNOWN = (
    {chr(number) for number in (*range(0x20, 0x7F), *range(0xA0, 0x180))} - set("ĦħĸĿŀŉŦŧſ")
) | set("ȘșȚț–—‘’‚“”„†‡•‰€™")
"""What pdfLaTeX can set with no package but ``fontenc``: Latin letters, quotes, dashes."""
OTHER_SCRIPTS = r"\flopbenchunicode"
LATEX_FALLBACK = (
    "% pdfLaTeX lacks some of these characters and shows their code points; LuaLaTeX and XeLaTeX\n"
    "% show them, in a font that has them.\n"
    rf"\providecommand{{{OTHER_SCRIPTS}}}[2]{{\ifdefined\Umathchar #1\else #2\fi}}"
)
"""What must precede LaTeX text with ``OTHER_SCRIPTS`` in it."""


def one_line(text: str) -> str:
    """Turn line ends and other control characters into spaces: a cell is one line."""
    return "".join(c if c.isprintable() or c == "\u00a0" else " " for c in text)


def markdown_escape(text: str) -> str:
    """Escape text for the middle of a line, such as a cell or a sentence after another.

    Escaped is what would end a cell, start HTML, an entity or a formula, emphasise, strike out, or
    make a link.
    """
    return _escaped(_INLINE, one_line(text))


def markdown_line(text: str) -> str:
    """Escape text at the start of a line or a bullet, where it must not start a block either."""
    plain = one_line(text).strip(" ")
    number = re.match(_NUMBERED, plain)
    start = re.compile(_BLOCK).match(plain, number.end() if number else 0)
    if start is None:
        return _escaped(_INLINE, plain)
    # The character is escaped by itself: what precedes and follows it does not matter.
    before, behind = plain[: start.start()], plain[start.end() :]
    return f"{before}\\{start.group()}{_escaped(_INLINE, behind)}"


def markdown_bracketed(text: str) -> str:
    """Escape text in brackets: the alternative text of a picture."""
    return _escaped(_BRACKETED, one_line(text))


def latex_escape(text: str) -> str:
    """Escape text for LaTeX.

    Symbols such as ``×`` become commands, and letters of Latin scripts stay (UTF-8). Others go
    through ``OTHER_SCRIPTS``, which works with any engine: see ``LATEX_FALLBACK``.
    """
    import unicodedata

    plain = unicodedata.normalize("NFC", one_line(text))
    parts, last = [], ""
    for known, run in groupby(plain, lambda c: c in _LATEX or c in _KNOWN):
        if not known:
            other, last = "".join(run), ""
            points = " ".join(f"U+{ord(c):04X}" for c in other)
            parts.append(f"{OTHER_SCRIPTS}{{{other}}}{{{points}}}")
            continue
        for c in run:
            parts.append("{}" if c == last and c in _LIGATURES else "")
            parts.append(_LATEX.get(c, c))
            last = c
    return "".join(parts)


def _escaped(pattern: str, plain: str) -> str:
    return re.sub(pattern, lambda m: m[0] if m["word"] else f"\\{m[0]}", plain)

"""A report as one self-contained HTML page.

Figures are images embedded in the page (``data:`` URLs), not elements of it: their identifiers
cannot collide, nothing inside one can run or load, a screen reader finds one image with one text,
and they print unchanged. The page's Content-Security-Policy allows its one style and its one script
by their hashes, images from ``data:``, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from flopbench.core.escaping import one_line
from flopbench.core.grid import Grid
from flopbench.core.units import CONVENTION
from flopbench.core.version import VERSION
from flopbench.present.report.records import LEADING, CostReport, once

GENERATOR = "flopbench report"
"""Start of the page's generator mark, by which a later run recognises a folder as a report."""

WIDE, WIDEST = 8, 10
"""Tables with this many columns are printed smaller."""
SHORT = 16
"""Tables with at most this many rows stay on one page."""
LONG_TEXT = 32
"""Cells with more characters may break anywhere."""
PX_PER_PT = 96 / 72
_SIZE = re.compile(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"')
_MARK = re.compile(r"\[(\d+)\]")
_SIZES = re.compile(r"\d+(?:x\d+)+")
_NUMBER = re.compile(r"[+-]?(?:\d[\d,]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def page_of(report: CostReport, files: Sequence[str] = ()) -> str:
    """Return the page, with the names of the files next to it; always the same text."""
    style, script = _template("page.css"), _template("sort.js")
    return str(
        _page().render(
            report=report,
            files=files,
            convention=CONVENTION,
            generator=f"{GENERATOR} {VERSION}",
            style=style,
            script=script,
            style_hash=_hash_of(style),
            script_hash=_hash_of(script),
        )
    )


def sort_key(text: str) -> float | None:
    """Return the number that a cell is sorted by, None where it holds none.

    It is the first one: the lower end of ``1.2 to 3.4``. Sizes (``16x112x112``) are sorted by their
    product.
    """
    plain = _MARK.sub("", text).replace("−", "-").strip()
    if _SIZES.fullmatch(plain):
        return float(math.prod(map(int, plain.split("x"))))
    found = _NUMBER.search(plain)
    return None if found is None else float(found.group().replace(",", ""))


def pieces(text: str, notes: int) -> list[tuple[str, int]]:
    """Split a cell at its references to notes: (text, 0), or (``[2]``, 2)."""
    found: list[tuple[str, int]] = []
    end = 0
    shown = one_line(text)
    for mark in _MARK.finditer(shown):
        number = int(mark.group(1))
        if not 1 <= number <= notes:
            continue
        if mark.start() > end:
            found.append((shown[end : mark.start()], 0))
        found.append((mark.group(), number))
        end = mark.end()
    return [*found, (shown[end:], 0)] if end < len(shown) else found


def css_classes_of(grid: Grid) -> str:
    """Return the CSS classes of a table: how small it is printed, and whether it may break."""
    columns = len(grid.columns)
    size = [" widest"] if columns >= WIDEST else [" wide"] if columns >= WIDE else []
    return "".join(["sortable", *size, *([" short"] if len(grid.rows) <= SHORT else [])])


def data_url(svg: bytes) -> str:
    """Return a figure as a ``data:`` URL."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def size_px(svg: bytes) -> tuple[int, int]:
    """Return (width, height) of a figure at its own size, CSS pixels."""
    found = _SIZE.search(svg)
    if found is None:
        raise ValueError("an SVG without a size in points")
    return round(float(found[1]) * PX_PER_PT), round(float(found[2]) * PX_PER_PT)


@lru_cache(maxsize=1)
def _page() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "sort_key": sort_key,
        "pieces": pieces,
        "css_classes_of": css_classes_of,
        "long_text": LONG_TEXT,
        "leading_name": LEADING,
        "once": once,
        "data_url": data_url,
        "size_px": size_px,
    }
    environment.filters["line"] = one_line
    return environment.from_string(_template("page.html"))


def _template(name: str) -> str:
    return (resources.files("flopbench.present.report") / "templates" / name).read_text(
        encoding="utf-8"
    )


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

"""Inputs of reports and a strict reader of their pages, for tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from flopbench.cli import main
from flopbench.counting.agreement import CounterVerdict, Status

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
    """A strict reader: every element is closed, in order."""

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


def write_profiles(
    path: Path,
    model: str = "net",
    status: Status = "verified",
    said: tuple[str, ...] = (),
) -> None:
    """Write a profiles file of a small net under two counters; ``status`` is the second's.

    ``said`` are its notes, and what is published of it.
    """
    shared: dict[str, Any] = {
        "spec": f"{model}@8", "model": model, "input": "8", "classes": None, "convention": "MACs",
        "params": 100, "activations": 20, "feature_dim": 4, "device": "meta",
        "modules": [["", "Net", 100]], "not_counted": (), "notes": said,
    }  # fmt: skip
    from flopbench.counting.profile import CostProfile, ModuleFacts, OpCost
    from flopbench.counting.profiles_file import dumps
    from flopbench.counting.run import Explanation

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

    second = CounterVerdict(status=status, reason="" if status == "verified" else "against torch")
    found = Explanation(
        profiles=(made("torch", 0), made("thop", 24)),
        verdicts={"torch": CounterVerdict(status="verified"), "thop": second},
        failures={},
        published=said,
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
    """Write a log whose every text tries to break the page."""
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


def table_of(page: Element, name: str) -> Element:
    """Return the table whose files have that name."""
    block = next(e for e in page.all("div") if e.attributes.get("id") == f"table-{name}")
    return block.all("table")[0]


def cells_of(table: Element) -> list[list[str]]:
    """Return the cells of a table's body."""
    return [[c.text for c in row.all("th", "td")] for row in table.all("tbody")[0].all("tr")]


def refused(capsys: pytest.CaptureFixture[str], *args: str, status: int = 2) -> str:
    """Run a report that must be refused in one message; return it."""
    assert main(["report", *args]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error:") == 1
    return err

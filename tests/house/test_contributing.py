"""The examples of CONTRIBUTING.md work as shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from flopbench import plots, run_of_log
from flopbench.cli import main
from flopbench.counting.measure.counters.base import Subject
from flopbench.estimate.runs import Choices
from flopbench.policy import forms
from flopbench.present.kind import KINDS

LOG = ROOT / "tests" / "data" / "steady.jsonl"
FILES = dict(
    re.findall(
        r"^`flopbench/([\w/.]+)`:\n\n```\w+\n(.*?)^```$",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)
"""File of the package -> its content on the page."""


def loaded(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load a file of the page under the name that it would have in the package."""
    name = "flopbench." + path.removesuffix(".py").replace("/", ".")
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(FILES[path], path, "exec"), module.__dict__)
    return module


def test_the_counter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear layer of 7 × 5 on 3 rows is 105 MACs; the convolution before it is a gap."""
    import torch
    from torch import nn

    module = loaded("counting/measure/counters/linear_counter.py", monkeypatch)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten(2), nn.Linear(7, 5))
    subject = Subject(module=model, args=(torch.zeros(1, 2, 1, 7),), device="cpu")
    counted = module.LinearCounter().count(subject)
    assert counted.total == sum(op.dense_macs for op in counted.operators) == 1 * 4 * 7 * 5
    assert [op.module for op in counted.operators] == ["2"]
    assert [(gap.name, gap.module) for gap in counted.not_counted] == [("Conv2d", "0")]


def test_the_plot_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verb and function draw the new kind from its two files."""
    for path in ("present/figures/lengths.py", "present/draw/kinds/lengths.py"):
        loaded(path, monkeypatch)
    monkeypatch.setitem(KINDS, "lengths", "how many steps the records of a log have")
    assert main(["plot", "lengths", str(LOG), "--most", "9", "-o", str(tmp_path / "x.svg")]) == 0
    assert capsys.readouterr().out == "Lengths: steady.\n9 records of 16 to 16 steps.\n"
    assert plots.lengths(LOG).get_xlabel() == "steps"
    assert (tmp_path / "x.svg").read_bytes().startswith(b"<?xml")


def test_the_form_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of plain lines is a log, and a line that cannot be read is named."""
    loaded("policy/forms/plain_form.py", monkeypatch)
    plain = forms.Form("plain", "plain_form:PlainReader", magic=b"# decisions")
    monkeypatch.setattr(forms, "FORMS", (*forms.FORMS, plain))
    log = tmp_path / "log.txt"
    log.write_text("# decisions\nv1 0 1 6 6 6 6\nv2 0 0 5 5 1 1\n")
    run = run_of_log([log], Choices(preset="arnet-resnet", counter="published", alone=True))
    assert (run.primary.videos, run.primary.decisions_per_video) == (2, 4.0)
    log.write_text("# decisions\nv1 0 1\nv2 0 x\n")
    assert main(["log", "validate", str(log), "--preset", "arnet-resnet"]) == 2
    assert f"{log}:3: expected a name and whole numbers" in capsys.readouterr().err


def test_the_claim_is_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The claims file is read and its claim reproduced."""
    claims = tmp_path / "example.toml"
    claims.write_text(FILES["audit/claims/example.toml"])
    assert main(["audit", str(claims)]) == 0
    assert "1 claim: 1 reproduced." in capsys.readouterr().out

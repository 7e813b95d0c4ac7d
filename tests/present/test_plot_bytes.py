"""Figures of every kind: the same input gives the same bytes, and leaves no traces."""

from __future__ import annotations

from pathlib import Path

import pytest

mpl = pytest.importorskip("matplotlib")

from conftest import ROOT  # noqa: E402

from flopbench.cli import main  # noqa: E402
from flopbench.present.kind import KINDS  # noqa: E402

LOGS = ["tests/data/selective.jsonl", "tests/data/steady.jsonl"]
TIMINGS = "reports/latency-amd-epyc.json"
PROFILES = "reports/profiles"
POINTS = "approach,metric,percent,gflops_per_video\n" + "".join(
    f"method {n},mAP,{60 + 7 * n % 13},{10 + 5 * n % 17}\n" for n in range(9)
)
INPUTS = {
    "usage": LOGS,
    "classes": LOGS[:1],
    "frames": [LOGS[0], "--table", "reports/table2.json"],
    "tradeoff": ["{folder}/points.csv"],
    "cost": [*LOGS, "--table", "reports/table2.json"],
    "waterfall": ["reports/replay-amd-epyc.json"],
    "theory": [TIMINGS],
    "roofline": [TIMINGS],
    "layers": [f"{PROFILES}/resnet50.json"],
    "counters": [f"{PROFILES}/vit_b_16.json"],
}


def test_every_kind_is_here() -> None:
    """A new kind of figure is held to this, too."""
    assert set(INPUTS) == set(KINDS)


@pytest.mark.parametrize("format", ["pdf", "svg"])
@pytest.mark.parametrize("kind", INPUTS)
def test_the_same_input_gives_the_same_bytes(
    kind: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn twice it is the same file, and no setting of matplotlib changes."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "points.csv").write_text(POINTS, encoding="utf-8")
    inputs = [text.format(folder=tmp_path) for text in INPUTS[kind]]
    before = dict(mpl.rcParams)
    made = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{format}"
        assert main(["plot", kind, *inputs, "-o", str(path)]) == 0
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert dict(mpl.rcParams) == before

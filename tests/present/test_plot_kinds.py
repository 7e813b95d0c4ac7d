"""What holds for figures of every kind: bytes, settings, hostile and long names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

mpl = pytest.importorskip("matplotlib")

from conftest import ROOT  # noqa: E402
from figures import assert_nothing_clipped  # noqa: E402
from logs import write_log  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.text import Text  # noqa: E402
from records import op, profile  # noqa: E402

from flopbench import plots  # noqa: E402
from flopbench.cli import main  # noqa: E402
from flopbench.counting.profile import ModuleFacts  # noqa: E402
from flopbench.counting.run import Explanation  # noqa: E402
from flopbench.present.kind import KINDS  # noqa: E402
from flopbench.timing.file import TimingFile  # noqa: E402

LOGS = ["tests/data/selective.jsonl", "tests/data/steady.jsonl"]
TABLE = ["--table", "reports/table2.json"]
TIMINGS = "reports/latency-amd-epyc.json"
REPLAY = "reports/replay-amd-epyc.json"
POINTS = "approach,metric,percent,gflops_per_video\n" + "".join(
    f"method {n},mAP,{60 + 7 * n % 13},{10 + 5 * n % 17}\n" for n in range(9)
)
INPUTS = {
    "usage": LOGS,
    "classes": LOGS[:1],
    "frames": [LOGS[0], *TABLE],
    "tradeoff": ["{folder}/points.csv"],
    "cost": [*LOGS, *TABLE],
    "waterfall": [REPLAY],
    "theory": [TIMINGS],
    "roofline": [TIMINGS],
    "layers": ["reports/profiles/resnet50.json"],
    "counters": ["reports/profiles/vit_b_16.json"],
}


def test_every_kind_is_here() -> None:
    """A new kind of figure is held to this, too."""
    assert set(INPUTS) == set(NAMED) == set(KINDS)


@pytest.mark.parametrize("kind", INPUTS)
def test_the_same_input_gives_the_same_bytes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn twice it is the same PDF, and no setting of matplotlib changes; SVG: next test."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "points.csv").write_text(POINTS, encoding="utf-8")
    inputs = [text.format(folder=tmp_path) for text in INPUTS[kind]]
    before = dict(mpl.rcParams)
    files = [tmp_path / f"{name}.pdf" for name in ("one", "two")]
    for path in files:
        assert main(["plot", kind, *inputs, "-o", str(path)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("kind", INPUTS)
def test_a_short_caption_is_a_few_sentences(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same title, at most four sentences, and no file; the figure keeps the whole caption."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "points.csv").write_text(POINTS, encoding="utf-8")
    inputs = [text.format(folder=tmp_path) for text in INPUTS[kind]]
    said, drawn = [], []
    for form in ("full", "short"):
        path = tmp_path / f"{form}.svg"
        assert main(["plot", kind, *inputs, "--caption", form, "-o", str(path)]) == 0
        said.append(capsys.readouterr().out.splitlines())
        drawn.append(path.read_bytes())
    full, short = said
    assert short[0] == full[0]
    assert 2 <= len(short) <= 5
    assert len(short) < len(full)
    assert not any("tests/data" in line or "reports/" in line for line in short)
    assert drawn[0] == drawn[1]


def own_log(folder: Path, **header: Any) -> Path:
    """Write a log of two videos under two actions, whose price is a constant."""
    actions = [{"name": name, "costs": {"net": 1}} for name in "ab"]
    whole = {"actions": actions, "components": {"net": 'value:1e9 "a test"'}, **header}
    return write_log(folder / "own.jsonl", whole, [{"labels": [n], "actions": [n]} for n in (0, 1)])


def named_actions(folder: Path, names: Sequence[str], ax: Any) -> Any:
    """Draw usage of actions."""
    actions = [{"name": name, "costs": {"net": 1}} for name in names]
    return plots.usage(own_log(folder, actions=actions), ax)


def named_classes(folder: Path, names: Sequence[str], ax: Any) -> Any:
    """Draw classes."""
    actions = [{"name": "net@64", "costs": {"net": 1}}, {"name": "off", "kind": "skip"}]
    log = own_log(folder, class_names=list(names), actions=actions)
    return plots.classes(log, ax)


def named_videos(folder: Path, names: Sequence[str], ax: Any) -> Any:
    """Draw film strips of videos."""
    header = json.loads(own_log(folder).read_text(encoding="utf-8").splitlines()[0])
    log = write_log(folder / "ids.jsonl", header, [{"id": n, "actions": [0, 1]} for n in names])
    return plots.frames(log, ax, videos=names)


def named_points(folder: Path, names: Sequence[str], ax: Any) -> Any:
    """Draw points of a table."""
    text = io.StringIO()
    rows = [(name, "mAP", 60 + n, 10 * (n + 1)) for n, name in enumerate(names)]
    csv.writer(text).writerows([("approach", "metric", "percent", "gflops_per_video"), *rows])
    (folder / "points.csv").write_text(text.getvalue(), encoding="utf-8")
    return plots.tradeoff(ax=ax, points=folder / "points.csv")


def named_models(names: Sequence[str]) -> TimingFile:
    """Return timings of models."""
    file = TimingFile.load(ROOT / TIMINGS)
    rows = zip(file.rows, names, strict=False)
    return replace(file, rows=tuple(replace(r, what=replace(r.what, spec=n)) for r, n in rows))


def explained(spec: str, *modules: str) -> Explanation:
    """Return one counter's view of a model with these modules."""
    found = profile("torch", *(op(path, "conv", 10**6) for path in modules))
    facts = tuple(ModuleFacts(path=path, type="Layer", params=1) for path in ("", *modules))
    return Explanation(
        profiles=(replace(found, spec=spec, modules=facts),), verdicts={}, failures={}
    )


NAMED: dict[str, Callable[[Path, Sequence[str], Any], Any]] = {
    "usage": named_actions,
    "classes": named_classes,
    "frames": named_videos,
    "tradeoff": named_points,
    "cost": lambda folder, names, ax: plots.cost([own_log(folder)] * 2, ax, names=names),
    "waterfall": lambda _, names, ax: plots.waterfall(
        [ROOT / REPLAY] * 2, ax, names=names, modes=["online"]
    ),
    "theory": lambda _, names, ax: plots.theory(named_models(names), ax),
    "roofline": lambda _, names, ax: plots.roofline(named_models(names), ax),
    "layers": lambda _, names, ax: plots.layers(explained("net@8", *names), ax, depth=9),
    "counters": lambda _, names, ax: plots.counters([explained(name, "a") for name in names], ax),
}
"""Kind -> draws two things under these names."""


def texts_of(ax: Any) -> list[str]:
    """Return every text of a figure."""
    return [text.get_text() for text in ax.get_figure(root=True).findobj(Text)]


@pytest.mark.parametrize("kind", NAMED)
def test_names_are_drawn_as_they_are_on_the_callers_axes(kind: str, tmp_path: Path) -> None:
    """No formulas, no markup, no control characters; no setting and no figure's size changes."""
    ax = Figure(figsize=(12, 8)).subplots()
    before = dict(mpl.rcParams)
    assert NAMED[kind](tmp_path, ["$x_1$ \\frac{<b>\az", "other"], ax) is ax
    assert dict(mpl.rcParams) == before
    assert tuple(ax.figure.get_size_inches()) == (12, 8)
    shown = texts_of(ax)
    assert any(r"\$x_1\$ \frac{<b> z" in text for text in shown), shown
    assert any("other" in text for text in shown)


@pytest.mark.parametrize("kind", NAMED)
def test_long_names_are_shortened_and_stay_different(kind: str, tmp_path: Path) -> None:
    """At column width all text is inside the figure; names that differ in the middle still do."""
    names = [f"a long name of number {n} with more than there is room for {'w' * 40}" for n in "12"]
    ax = NAMED[kind](tmp_path, names, None)
    shown = {text for text in texts_of(ax) if "…" in text}
    assert len(shown) >= 2, shown
    assert_nothing_clipped(ax)


@pytest.mark.parametrize(
    ("kind", "options", "labels"),
    [
        ("cost", {}, ("cost (GFLOPS/image = GMACs/image)", "share of images (%)")),
        ("cost", {"cumulative": True}, (None, "images up to this cost (%)")),
        ("tradeoff", {}, ("cost (GFLOPS/image = GMACs/image)", "top-1 accuracy (%)")),
        ("tradeoff", {"cost": "frames"}, ("processed layers per image", "top-1 accuracy (%)")),
        ("classes", {}, ("share of layers (%)", "class (number of images)")),
        ("classes", {"bars": "share"}, ("share of layers (%)", "class (number of images)")),
        ("classes", {"bars": "cost"}, ("cost (GMACs/image)", "class (number of images)")),
        ("usage", {}, ("share of layers (%)", None)),
    ],
)
def test_axes_use_the_words_of_the_log(
    kind: str, options: dict[str, Any], labels: tuple[str | None, ...], tmp_path: Path
) -> None:
    """Two images of a layer each, in two classes; one costs 5 GMACs and the other 2."""
    header = {
        "sample_unit": "image",
        "step_unit": "layer",
        "actions": [
            {"name": "resnet50@224", "costs": {"big": 1}},
            {"name": "resnet18@112", "costs": {"small": 1}},
        ],
        "components": {"big": "value:5e9", "small": "value:2e9"},
        "metrics": {"top-1": 70.0},
    }
    if kind == "classes" and not options:
        options = {"high": "resnet50@224"}
    samples = [{"id": f"{n}", "actions": [n], "labels": [n]} for n in (0, 1)]
    log = write_log(tmp_path / "own.jsonl", header, samples)
    ax = getattr(plots, kind)(log, **options)
    for expected, found in zip(labels, (ax.get_xlabel(), ax.get_ylabel()), strict=True):
        assert expected in {None, found}

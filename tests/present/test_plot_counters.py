"""Counter against counter as drawn: lengths, exact totals as text, the dense line, failures."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from msgspec.structs import replace

mpl = pytest.importorskip("matplotlib")

from matplotlib.axes import Axes  # noqa: E402
from records import op, profile  # noqa: E402

from flopbench.counting.agreement import judge_counters  # noqa: E402
from flopbench.counting.profile import CostProfile  # noqa: E402
from flopbench.counting.profiles_file import dumps  # noqa: E402
from flopbench.counting.run import Explanation  # noqa: E402
from flopbench.present.draw.drawing import on_axes  # noqa: E402
from flopbench.present.draw.kinds.counters import counters_drawing  # noqa: E402
from flopbench.present.figures.counters import counters  # noqa: E402

counters_of = counters.make


def counted(counter: str, spec: str = "net@8", **families: int) -> CostProfile:
    """Return a profile whose dense families are conv and linear; others are not dense."""
    dense = {"conv", "linear"}
    found = [op(f, f, n if f in dense else 0, total=n) for f, n in families.items()]
    own = f"MACs as {counter} counts them"
    return replace(profile(counter, *found), spec=spec, convention=own)


def explained(spec: str = "net@8", times: int = 1) -> Explanation:
    """Return three counters of a model, one with a norm, one that misses a layer, and a failure."""
    profiles = (
        counted("thop", spec, conv=900_000 * times, linear=100_000 * times, batch_norm=30_000),
        counted("fvcore", spec, conv=900_000 * times),
        counted("torch", spec, conv=900_000 * times, linear=100_000 * times),
    )
    return Explanation(
        profiles=profiles, verdicts=judge_counters(profiles), failures={"calflops": "it raised"}
    )


def ends(ax: Axes) -> list[float]:
    """Return where each stacked bar ends, from top to bottom."""
    found: dict[float, float] = {}
    for patch in ax.patches:
        place = round(patch.get_y(), 6)  # type: ignore[attr-defined]
        assert patch.get_x() == pytest.approx(found.get(place, 0.0))  # type: ignore[attr-defined]
        found[place] = patch.get_x() + patch.get_width()  # type: ignore[attr-defined]
    return [found[place] for place in sorted(found)]


def test_bars_are_the_totals_and_start_at_zero() -> None:
    """In the unit of the axis, families one behind the other, a row a counter."""
    ax = on_axes(counters_drawing(counters_of(explained())))
    assert ends(ax) == pytest.approx([1.03, 0.9, 1.0])
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlabel() == "MMACs a sample (by each counter's rules)"
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["thop", "fvcore", "torch", "calflops"]


def test_exact_totals_and_differences_stand_above_the_bars() -> None:
    """What a bar cannot show is written: every digit, the difference, the verdict, the failure."""
    ax = on_axes(counters_drawing(counters_of(explained())))
    assert [text.get_text() for text in ax.texts] == [
        "1,030,000 (+3.00 %)",
        "900,000 (−10.00 %), disputed",
        "1,000,000 (= dense)",
        "could not count it",
    ]


def test_the_dense_line_crosses_every_bar() -> None:
    """At the reference's dense MACs, also where a bar ends before it."""
    ax = on_axes(counters_drawing(counters_of(explained())))
    assert [list(line.get_xdata()) for line in ax.lines] == [[1.0, 1.0]] * 3  # type: ignore[arg-type]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "convolution",
        "linear",
        "batch norm",
        "dense MACs (torch)",
    ]


def test_several_models_share_an_axis_of_percent() -> None:
    """A small model is as legible as one a hundred times as large."""
    figure = counters_of([explained("small@8"), explained("large$@8", times=100)])
    ax = on_axes(counters_drawing(figure))
    assert ax.get_xlabel() == "total a sample (% of the dense MACs)"
    assert ends(ax) == pytest.approx([103.0, 90.0, 100.0, 100.03, 90.0, 100.0])
    headings = [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"]
    assert headings == ["small@8", r"large\$@8"]


def test_bars_of_nothing_are_drawn() -> None:
    """A model without any cost: no bar, no line, no division by nothing."""
    nothing = Explanation(profiles=(counted("torch"),), verdicts={}, failures={})
    ax = on_axes(counters_drawing(counters_of(nothing)))
    assert not ax.patches
    assert [text.get_text() for text in ax.texts] == ["0 (= dense)"]


def test_the_command_writes_numbers_and_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The CSV has every family; doubts go to stderr; another kind of file is refused."""
    from flopbench.cli import main

    profiles, data = tmp_path / "p.json", tmp_path / "c.csv"
    profiles.write_text(dumps(explained()), encoding="utf-8")
    out = str(tmp_path / "c.svg")
    assert main(["plot", "counters", str(profiles), "-o", out, "--data", str(data)]) == 0
    said = capsys.readouterr()
    assert "thop 1.0: MACs as thop counts them." in said.out
    assert "calflops could not count it: it raised" in said.err
    with data.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["family_total"] or 0) for row in rows if row["counter"] == "thop") == 1030000
    assert main(["plot", "counters", str(data), "-o", out]) == 2

"""Where the MACs are, as drawn: lengths of bars, stacking, names, the group, bytes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from msgspec.structs import replace

mpl = pytest.importorskip("matplotlib")

from records import op, profile  # noqa: E402

from flopbench.counting.profile import ModuleFacts, OpCost  # noqa: E402
from flopbench.counting.run import Explanation  # noqa: E402
from flopbench.present.draw.drawing import on_axes  # noqa: E402
from flopbench.present.draw.kinds.layers import layers_drawing, short_paths  # noqa: E402
from flopbench.present.draw.style import paper_style  # noqa: E402
from flopbench.present.figures.layers import layers  # noqa: E402

layers_of = layers.make


def explained(*operators: OpCost) -> Explanation:
    """Return what one counter says of a model with these operators."""
    paths = dict.fromkeys(["", *(one.module for one in operators)])
    facts = tuple(ModuleFacts(path=path, type="Layer", params=1) for path in paths)
    found = replace(profile("torch", *operators), modules=facts)
    return Explanation(profiles=(found,), verdicts={}, failures={})


NET = explained(
    op("stem", "conv", 2_000_000),
    op("block.0", "linear", 3_000_000),
    op("block.0", "matmul", 1_000_000),
    op("block.1", "linear", 4_000_000),
    op("block.2", "linear", 0),
    op("neck", "conv", 1_000),
    op("head", "linear", 500_000),
)


def test_bars_stack_to_the_modules_own_macs() -> None:
    """Lengths in the unit of the axis; families one behind the other; shares at the end."""
    figure = layers_of(NET)
    ax = on_axes(layers_drawing(figure))
    ends = [0.0] * len(figure.bars)
    for patch in ax.patches:
        place = round(patch.get_y() + patch.get_height() / 2)  # type: ignore[attr-defined]
        assert patch.get_x() == pytest.approx(ends[place])  # type: ignore[attr-defined]
        ends[place] += patch.get_width()  # type: ignore[attr-defined]
    assert ends == pytest.approx([bar.dense_macs / 1e6 for bar in figure.bars])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "stem",
        "block.0",
        "block.1",
        "neck",
        "head",
    ]
    assert [text.get_text() for text in ax.texts] == [
        "19.0 %",
        "38.1 %",
        "38.1 %",
        "< 0.1 %",
        "4.8 %",
    ]
    assert ax.get_xlabel() == "dense MMACs a sample"
    assert ax.get_xlim()[0] == 0
    assert ax.yaxis_inverted()


def test_families_differ_in_colour_and_hatch() -> None:
    """The legend names each family that is there, none twice."""
    ax = on_axes(layers_drawing(layers_of(NET)))
    legend = ax.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["convolution", "linear", "matrix product"]
    looks = {(patch.get_facecolor(), patch.get_hatch()) for patch in ax.patches}
    assert len(looks) == 3
    assert len({hatch for _, hatch in looks}) == 3


def test_one_module_of_one_family_needs_no_legend() -> None:
    """A single bar is drawn, 100 %."""
    ax = on_axes(layers_drawing(layers_of(explained(op("", "conv", 7)))))
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == ["100.0 %"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["(model)"]
    assert ax.get_xlabel() == "dense MACs a sample"


def test_height_grows_with_bars() -> None:
    """Forty modules are as legible as four."""
    many = explained(*(op(f"layer{n}", "conv", n + 1) for n in range(40)))
    with paper_style() as style:
        few = layers_drawing(layers_of(NET)).height_in(style)
        high = layers_drawing(layers_of(many, depth=1)).height_in(style)
    assert high > few + 35 * style.small_pt / 72


def test_long_paths_lose_their_heads_and_stay_different() -> None:
    """The end of a path distinguishes modules; where ends are equal, something else must."""
    paths = [f"a_very_long_name_of_a_module_{n}.layers.block" for n in range(6)]
    same_ends = layers_of(explained(*(op(path, "conv", 1) for path in paths)), depth=3)
    assert len(set(short_paths(same_ends, 24))) == 6
    deep = [f"encoder.layers.encoder_layer_{n}" for n in range(6)]
    figure = layers_of(explained(*(op(path, "conv", 1) for path in deep)), depth=3)
    assert short_paths(figure, 24)[0] == "…layers.encoder_layer_0"
    hostile = layers_of(explained(op("a$b", "conv", 1)), depth=1)
    ax = on_axes(layers_drawing(hostile))
    assert ax.get_yticklabels()[0].get_text() == r"a\$b"


def test_the_group_of_small_modules_is_one_bar() -> None:
    """``--top 2``: two individually, the others last."""
    ax = on_axes(layers_drawing(layers_of(NET, top=2)))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["block.0", "block.1", "3 others"]


def test_the_command_draws_what_explain_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real model from ``flopbench explain``: the numbers are those of its profile."""
    pytest.importorskip("torchvision")
    from flopbench.cli import main
    from flopbench.counting.profiles_file import load

    profiles, data = tmp_path / "p.json", tmp_path / "l.csv"
    assert main(["explain", "resnet18@32", "--counter", "torch", "-o", str(profiles)]) == 0
    figure = str(tmp_path / "l.pdf")
    assert main(["plot", "layers", str(profiles), "-o", figure, "--data", str(data)]) == 0
    with data.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["module"] for row in rows] == [
        "conv1",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "fc",
    ]
    assert sum(int(row["dense_macs"]) for row in rows) == load(profiles).reference.dense_macs
    assert "Where the MACs of resnet18@32 are." in capsys.readouterr().out

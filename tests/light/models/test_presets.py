"""Presets and the explanation of published figures, which is computed, never quoted."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from flopbench.core.errors import DataError, InputError
from flopbench.models.presets import (
    PublishedRow,
    explain_published,
    find_published,
    load_preset,
    preset_names,
    rule_value,
)
from flopbench.models.spec import parse_spec
from flopbench.policy.header import read_header


def test_arnet_holds_both_halves_of_table_2() -> None:
    """Seven rows in the publication's order, on heads of 200 classes."""
    preset = load_preset("arnet")
    assert [(r.spec.model, r.spec.input, str(r.gflops), r.feature_dim) for r in preset.rows] == [
        ("mobilenet_v2", "84", "0.0529", 1280),
        ("resnet18", "112", "0.4683", 512),
        ("resnet34", "168", "2.2490", 512),
        ("resnet50", "224", "4.1103", 2048),
        ("efficientnet_b0", "112", "0.0975", 1280),
        ("efficientnet_b1", "168", "0.3937", 1280),
        ("efficientnet_b3", "224", "1.8000", 1536),
    ]
    assert {r.spec.classes for r in preset.rows} == {200}
    assert set(preset_names()) >= {"arnet", "arnet-resnet", "arnet-efficientnet"}


def test_the_scaling_rule_gives_the_printed_efficientnet_rows() -> None:
    """0.39, 0.70 and 1.80 G times (r/224)², as printed."""
    rows = load_preset("arnet-efficientnet").rows
    assert [f"{rule_value(r):.4f}" for r in rows] == ["0.0975", "0.3937", "1.8000"]
    assert rule_value(load_preset("arnet-resnet").rows[0]) is None


def published(model: str, gflops: str) -> PublishedRow:
    """Return a published row that was profiled."""
    return PublishedRow(
        spec=parse_spec(model),
        gflops=Decimal(gflops),
        feature_dim=None,
        counted_by="thop-2020",
        source="somewhere",
        scaled_from=None,
    )


@pytest.mark.parametrize(
    ("printed", "total", "words"),
    [
        ("0.4683", 486_322_176, "two digits were exchanged"),
        ("4.1103", 4_110_285_824, "reproduced to the last printed digit"),
        ("4.11", 4_110_285_824, "reproduced to the last printed digit"),
        ("4.2000", 4_110_285_824, "2 % too high"),
        ("0.3000", 486_322_176, "38 % too low"),
        ("0.6843", 486_322_176, "not reproduced"),  # the exchange is not of neighbours
        ("4.1103", None, "not compared"),
    ],
)
def test_a_profiled_figure_is_explained(printed: str, total: int | None, words: str) -> None:
    """Reproduced, exchanged digits, off by some percentage, or not compared."""
    assert words in explain_published(published("resnet18@112", printed), total, None)


def test_a_scaled_figure_is_explained_with_the_measured_one() -> None:
    """The rule, whose figure it was, the input it belongs to, and how far off that is."""
    row = load_preset("arnet-efficientnet").rows[2]
    said = explain_published(row, None, 961_500_000)
    for words in ("scaled, not profiled", "belongs to 300 px", "0.9615", "87 % too high"):
        assert words in said


def test_a_published_row_is_found_by_network_and_input() -> None:
    """The head may be left open; another head is another row."""
    assert find_published(parse_spec("resnet18@112")) is not None
    assert find_published(parse_spec("resnet18@112,classes=200")) is not None
    assert find_published(parse_spec("resnet18@112,classes=7")) is None
    assert find_published(parse_spec("resnet18@224")) is None


def test_an_unknown_preset_names_the_known_ones() -> None:
    """With a near match first."""
    with pytest.raises(InputError) as caught:
        load_preset("arnett")
    assert "did you mean 'arnet'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("schema = ", "not TOML"),
        ("schema = 2", "'schema' is 2"),
        ('schema = 1\n[[table]]\ninput = "8"', "table[0].model is missing"),
        (
            'schema = 1\ncounted_by = "thop"\nsource = "s"\n[[table]]\nmodel = "m"\ninput = "8"\n'
            'published_gflops = "much"',
            "table[0].published_gflops is 'much' where text in quotes that matches ^[0-9]+",
        ),
        (
            'schema = 1\n[[table]]\nmodel = "m"\ninput = 8',
            "table[0].input is 8 where text in quotes was expected",
        ),
        (
            'schema = 1\n[[table]]\nmodel = "m"\ninput = "8"\npublished_gflops = "1"',
            "needs 'counted_by' and 'source'",
        ),
        ('schema = 1\ntitel = "x"', "'titel' is an unknown key"),
        ('schema = 1\ninclude = ["mine.toml"]', "includes itself"),
        (
            'schema = 1\nsource = "s"\ncounted_by = "torch"\n[[table]]\nmodel = "n.py:f"\n'
            'input = "8"\npublished_gflops = "1"',
            "[[table]] 1: model is 'n.py:f', code that a preset must not start",
        ),
    ],
)
def test_a_broken_preset_file_is_named(tmp_path: Path, text: str, needle: str) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("mine.toml", str(path)))
    with pytest.raises(DataError, match=r"mine\.toml") as caught:
        load_preset(str(path))
    assert needle in caught.value.message


def test_a_users_own_preset_is_read(tmp_path: Path) -> None:
    """A user's TOML file works like one that ships."""
    path = tmp_path / "mine.toml"
    path.write_text(
        'schema = 1\ntitle = "Mine"\nsource = "my paper"\ncounted_by = "thop"\n'
        '[[table]]\nmodel = "resnet18"\ninput = "96"\npublished_gflops = "0.33"\n'
    )
    preset = load_preset(str(path))
    assert (preset.title, str(preset.rows[0].spec)) == ("Mine", "resnet18@96")


def test_a_file_names_presets_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it or by a path from the working folder; not above it, and not through a link."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    for place in ("mine.toml", "runs/mine.toml"):
        Path(place).write_text('schema = 1\n[policy]\nactions = ["skip"]\n', encoding="utf-8")
    Path("runs/link.toml").symlink_to(tmp_path / "mine.toml")
    log = Path("runs/a.jsonl")
    for name in ("mine.toml", "runs/mine.toml", "uniform"):
        header = read_header({"preset": name}, "a", log)
        assert header.preset == (name if name == "uniform" else "runs/mine.toml")
    for name in ("../mine.toml", str(tmp_path / "mine.toml"), "link.toml", "runs/../mine.toml"):
        with pytest.raises(DataError, match=r"^a: header: preset is .* not in the folder of a\.j"):
            read_header({"preset": name}, "a", log)
    with pytest.raises(InputError, match="there is no preset"):
        load_preset("../../mine")
    Path("runs/in.toml").write_text('schema = 1\ninclude = ["mine.toml"]\n', encoding="utf-8")
    assert load_preset("runs/in.toml").rows == ()
    Path("runs/in.toml").write_text('schema = 1\ninclude = ["../runs/in.toml"]\n', encoding="utf-8")
    with pytest.raises(DataError, match="includes itself"):
        load_preset("runs/in.toml")

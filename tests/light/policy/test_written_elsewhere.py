"""Logs and tables as pandas, spreadsheets and papers write them: read, or refused with the name."""

from __future__ import annotations

from pathlib import Path

import pytest

import flopbench
from flopbench.core.errors import DataError, InputError
from flopbench.estimate.runs import counts_of_log
from flopbench.policy.ready import read_counts

PRESET = """
schema = 1
title = "Widths"
source = "mine"
[policy]
steps = 2
actions = [
  { name = "narrow", costs = { net = 1 } },
  { name = "1.0", costs = { net = 4 } },
  { name = "skip", kind = "skip" },
]
[policy.components]
net = 'value:1e6 "x"'
"""
NARROW, WHOLE, SKIP = 0, 1, 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a preset."""
    (tmp_path / "widths.toml").write_text(PRESET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("id,action\na,0\na,2\nb,0\nb,0\n", [3, 0, 1]),
        ("id;action\na;0\na;2\nb;0\nb;0\n", [3, 0, 1]),
        ("id\taction\na\t0\na\t2\nb\t0\nb\t0\n", [3, 0, 1]),
        ("id,action\na,0.0\na,2.0\nb,0.0\nb,0.00\n", [3, 0, 1]),
        ("id,action,labels,step\na,0.0,7.0,0.0\na,2.0,7.0,1.0\nb,0,,0.0\nb,0,,1.0\n", [3, 0, 1]),
        ("id;action;labels\na;narrow;[1, 2]\na;skip;\n", [1, 0, 1]),
        ('id;action\n"a;b";0\n"a;b";2\n', [1, 0, 1]),
        ('"id";"action"\na;0\na;2\n', [1, 0, 1]),
        ("\ufeffid;action\r\na;0\r\na;2\r\n", [1, 0, 1]),
        ("id,action,extra.x;y\na,0,1\na,2,1\n", [1, 0, 1]),
    ],
)
def test_a_csv_log_of_another_program_is_read(folder: Path, text: str, frames: list[int]) -> None:
    """Semicolons and tabs separate, and a whole number may end in .0."""
    (folder / "run.csv").write_bytes(text.encode())
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.totals().frames) == frames


def test_a_name_wins_over_the_number_that_it_looks_like(folder: Path) -> None:
    """Widths and scales are such names: here 2.0 is action 1, and 2 is action 2."""
    (folder / "widths.toml").write_text(PRESET.replace('"1.0"', '"2.0"'))
    (folder / "run.csv").write_text("id,action\na,2.0\na,2\nb,1.0\nb,0.0\n")
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.totals().frames) == [1, 2, 1]
    (folder / "n.csv").write_text("video,action,n\na,2.0,5\na,2,7\n")
    assert read_counts(folder / "n.csv", preset="widths.toml").frames.tolist() == [[0, 5, 7]]


def test_labels_of_floats_are_whole_numbers(folder: Path) -> None:
    """A column of labels with a gap becomes floats in pandas; own columns stay floats."""
    (folder / "run.csv").write_text("id,action,labels,extra.w\na,0.0,3.0,1.0\na,2.0,3.0,1.0\n")
    counts = counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert list(counts.label_values) == [3]


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("video,action\na,0\n", "unknown column 'video': did you mean 'id'?"),
        ("video;action\na;0\n", "unknown column 'video': did you mean 'id'?"),
        ("Sample,action\na,0\n", "did you mean 'id'?"),
        ("id,decision\na,0\n", "did you mean 'action'?"),
        ("id,action,crop\na,0,1\n", "did you mean 'view'?"),
        ("id,action,lables\na,0,1\n", "did you mean 'labels'?"),
        ("id;action\na;0;3\n", "3 fields where 2 were expected"),
        ("id,action\na,0.5\n", "'0.5', which is not an action"),
        ("id,action\na,7.0\n", "7"),
        ("id,action,step\na,0,0.5\n", "'0.5' where a whole number was expected"),
    ],
)
def test_what_is_no_log_is_named(folder: Path, text: str, needle: str) -> None:
    """The hint goes by meaning first, by spelling second."""
    (folder / "run.csv").write_text(text)
    with pytest.raises(DataError) as refused:
        counts_of_log(["run.csv"], flopbench.Choices(preset="widths.toml"))
    assert needle in refused.value.line


def test_ready_made_counts_may_be_floats_between_semicolons(folder: Path) -> None:
    """Sums of pandas are floats; a name wins over the number that it looks like."""
    (folder / "n.csv").write_text("video;action;n;label\na;0.0;2.0;1.0\nb;1.0;1.0;\nb;2;1;\n")
    counts = read_counts(folder / "n.csv", preset="widths.toml")
    assert counts.frames.tolist() == [[2, 0, 0], [0, 1, 1]]
    assert counts.label_values == (1,)
    (folder / "n.csv").write_text("video,action,n\na,0,2.5\n")
    with pytest.raises(DataError, match=r"'2\.5' where a count of 0 or more was expected"):
        read_counts(folder / "n.csv", preset="widths.toml")


GMACS = {"1": 0.61569, "2": 1.43639, "3": 2.28321, "4": 2.96742, "last": 3.25379}
EXITS = (
    'schema = 1\ntitle = "Exits"\nsource = "mine"\n[policy]\nexits = ['
    + ", ".join(f'{{ name = "{name}", costs = {{ to_{name} = 1 }} }}' for name in GMACS)
    + "]\n[policy.components]\n"
    + "".join(f"to_{name} = 'value:{macs} GMACs \"x\"'\n" for name, macs in GMACS.items())
)


@pytest.mark.parametrize(
    "text",
    [
        "exit,share\n1,30%\n2,25%\n3,20%\n4,15%\nlast,10%\n",
        "exit;share\n1;0.3\n2;0.25\n3;0.2\n4;0.15\nlast;0.1\n",
        "action,share\nlast,10 %\n4,15 %\n3,20 %\n2,25 %\n1,30 %\n",
    ],
)
def test_shares_of_exits_are_of_videos(folder: Path, text: str) -> None:
    """0.3 · 0.61569 + 0.25 · 1.43639 + 0.2 · 2.28321 + 0.15 · 2.96742 + 0.1 · 3.25379 GMACs."""
    (folder / "exits.toml").write_text(EXITS)
    (folder / "shares.csv").write_text(text)
    run = flopbench.run_of_log(["shares.csv"], flopbench.Choices(preset="exits.toml"))
    assert run.primary.macs_per_video == 1_770_938_500
    assert run.primary.gflops_per_frame is None  # nothing says how many frames a video has
    assert run.primary.by_action["last"].share_of_decisions == 0.1
    ten = flopbench.Choices(preset="exits.toml", steps=10)
    assert flopbench.run_of_log(["shares.csv"], ten).primary.gflops_per_frame == 0.17709385


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("exit,share\n1,30%\n6,70%\n", "'6', which is not an exit of this log"),
        ("exit,share\n1,30%\n1,70%\n", "'1' appears twice"),
        ("exit,share\n1,30%\n2,5%\n", "sum to 0.35"),
        ("exits,share\n1,30%\n", "unknown column"),
    ],
)
def test_wrong_shares_of_exits_are_refused(folder: Path, text: str, needle: str) -> None:
    """As those of actions are."""
    (folder / "exits.toml").write_text(EXITS)
    (folder / "shares.csv").write_text(text)
    with pytest.raises((DataError, InputError), match=needle):
        flopbench.run_of_log(["shares.csv"], flopbench.Choices(preset="exits.toml"))

"""``flopbench report``: what is refused, and whose folder is written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from report_files import (
    INPUTS,
    Page,
    cells_of,
    content,
    gather,
    refused,
    table_of,
)

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from flopbench.cli import main
from flopbench.core.errors import InputError
from flopbench.estimate.runs import Choices
from flopbench.present.report import write_report
from flopbench.present.report.building import MARK, write_folder


@pytest.fixture
def inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A folder with all inputs, current."""
    monkeypatch.chdir(gather(tmp_path / "in"))
    return tmp_path / "in"


@pytest.mark.usefixtures("inputs")
def test_a_report_says_how_far_it_is() -> None:
    """Before the files are read, before each of its six sections, and before it is written."""
    told: list[tuple[int, int, str]] = []
    write_report("table.json", "out", progress=lambda *how_far: told.append(how_far))
    assert [done for done, _, _ in told] == list(range(8))
    assert {total for _, total, _ in told} == {8}
    assert [what for _, _, what in told][::7] == ["files", "writing"]
    assert told[1][2] == "Offline cost"


def test_unusable_files_are_refused_before_anything_is_written(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, damaged, of another kind, twice, unpriced: one message, status 2, no folder."""
    estimate = ("estimate", "--policy-log", "steady.jsonl", "--table", "table.json")
    assert main([*estimate, "-o", "estimate.json"]) == 0
    Path("points.csv").write_text("approach,percent,gflops_per_video\na,1,2\n")
    Path("cut.json").write_text(Path("timings.json").read_text()[:5000])
    timings = json.loads(Path("timings.json").read_text(encoding="utf-8"))
    Path("bare.json").write_text(json.dumps({**timings, "rows": []}), encoding="utf-8")
    shutil.copy("table.json", "table2.json")
    os.mkfifo("pipe")
    Path("nowhere").symlink_to("none")
    capsys.readouterr()
    for files, message in {
        "none.json": "none.json: there is no such file",
        "estimate.json": "already a result",
        "points.csv": "table of points",
        "cut.json": "cut.json",
        "bare.json": "holds no timing",
        "pipe": "not a file, and a report",
        "tab*.json": "shards of a policy log",
        "table.json table.json": "given twice",
        f"table.json {inputs}/table.json": "given twice",
        "steady.jsonl s*.jsonl": "given twice",
        "table.json table2.json steady.jsonl": "--table",
        "table.json --name x": "a name of a run is given, but no policy log",
        "table.json steady.jsonl --name x --name y --name z": "3 names for 1",
    }.items():
        assert message in refused(capsys, *files.split(), "-o", "out")
    assert "a file name is empty" in refused(capsys, "", "-o", "out")
    assert "a link to nothing" in refused(capsys, "table.json", "-o", "nowhere")
    assert not Path("out").exists()


def test_a_price_that_is_nowhere_is_not_measured(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a table and with an empty cache a log has no prices: refused, saying what helps."""
    monkeypatch.setenv("FLOPBENCH_CACHE_DIR", str(inputs / "cache"))
    error = refused(capsys, "steady.jsonl", "-o", "out")
    assert "no price" in error
    assert "flopbench table" in error
    assert not Path("out").exists()


def test_folders_that_are_not_ours_are_left_alone(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file, a folder of something else, a missing parent: refused, nothing touched."""
    Path("mine").mkdir()
    Path("mine/index.html").write_text("<h1>mine</h1>")
    Path("file").write_text("precious")
    before = content(inputs)
    assert "it is a file" in refused(capsys, "table.json", "-o", "file")
    assert "not empty" in refused(capsys, "table.json", "-o", "mine")
    assert "stdout" in refused(capsys, "table.json", "-o", "-")
    assert "no directory" in refused(capsys, "table.json", "-o", "none/out")
    assert "cannot write" in refused(capsys, "table.json", "-o", "n" * 300)
    assert content(inputs) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_unwritable_folders_are_refused(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A parent or a folder without permission: one message."""
    Path("closed").mkdir(mode=0o500)
    assert "permission denied" in refused(capsys, "table.json", "-o", "closed")
    assert "permission denied" in refused(capsys, "table.json", "-o", "closed/out")


def test_an_earlier_report_is_written_anew(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours is replaced, what others put there stays, and files it no longer has are named."""
    assert main(["report", "table.json", "profiles.json", "-o", "out"]) == 0
    Path("out/notes.txt").write_text("mine")
    Path("out/tables/own notes.txt").write_text("mine, too")
    assert main(["report", "table.json", "-o", "out"]) == 0
    assert "figures/layers.svg" in capsys.readouterr().err
    assert Path("out/notes.txt").read_text() == "mine"
    assert Path("out/tables/own notes.txt").read_text() == "mine, too"
    assert "Where the MACs are" not in Path("out/index.html").read_text()
    assert [path.name for path in Path(".").glob(".flopbench-*")] == []
    assert [path.name for path in Path("out").glob(".flopbench-*")] == []


def test_a_report_that_cannot_be_written_changes_nothing(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder is where a file must go: refused, and every other file is unchanged."""
    assert main(["report", "table.json", "-o", "out", "--title", "first"]) == 0
    capsys.readouterr()
    Path("out/tables/costs.tex").unlink()
    Path("out/tables/costs.tex").mkdir()
    before = content(inputs)
    assert "costs.tex" in refused(capsys, "table.json", "-o", "out", "--title", "second")
    assert content(inputs) == before


def test_an_interrupt_does_not_mix_two_reports(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt while files go to their places acts after that; no folder stays."""
    assert main(["report", "table.json", "-o", "out", "--title", "first"]) == 0
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        replace(source, target)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("flopbench.present.report.building.os.replace", interrupted)
    monkeypatch.setattr("flopbench.present.report.building.write_atomic", Path.write_bytes)
    assert main(["report", "table.json", "-o", "out", "--title", "second"]) == 130
    assert "interrupted; no file is half written" in capsys.readouterr().err
    assert list(Path("out").glob(".*")) == []
    for name in ("index.html", "report.md"):
        assert "second" in Path("out", name).read_text(encoding="utf-8")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_report_that_another_process_began_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder came while this one waited for the lock: a report, or files of somebody else."""
    ours = {"tables/a.csv": b"second", "index.html": b"second"}

    @contextlib.contextmanager
    def taking_turns(folder: Path) -> Iterator[None]:
        monkeypatch.undo()  # the other one is first
        theirs = dict.fromkeys(ours, f'{MARK}0">first'.encode())
        write_folder(folder / "out", theirs if folder == tmp_path else {"precious.txt": b""})
        yield

    monkeypatch.setattr("flopbench.present.report.building.locked", taking_turns)
    assert write_folder(tmp_path / "out", ours) == ()
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("*.*")} == {
        "a.csv": b"second",
        "index.html": b"second",
    }
    monkeypatch.setattr("flopbench.present.report.building.locked", taking_turns)
    (tmp_path / "more").mkdir()
    with pytest.raises(InputError, match="nothing in it is touched"):
        write_folder(tmp_path / "more" / "out", ours)
    assert [p.name for p in (tmp_path / "more" / "out").iterdir()] == ["precious.txt"]


def test_the_folder_of_a_killed_report_is_named(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``kill -9`` left is not deleted, since nothing is."""
    assert main(["report", "table.json", "-o", "out"]) == 0
    Path("out/.flopbench-killed").mkdir()
    assert main(["report", "table.json", "-o", "out"]) == 0
    assert "not part of this one: .flopbench-killed" in capsys.readouterr().err


def test_missing_libraries_are_named(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Jinja2 or matplotlib: what is missing and how to install it."""
    from flopbench.present.report import building

    found = building.find_spec
    monkeypatch.setattr(building, "find_spec", lambda n: None if n == "jinja2" else found(n))
    error = refused(capsys, "table.json", "-o", "out")
    assert "jinja2" in error
    assert "flopbench[plots]" in error


def test_names_and_choices_of_the_caller_rule(tmp_path: Path) -> None:
    """The Python function takes names, title and choices; the page is what it returns."""
    files = [ROOT / INPUTS[name] for name in ("selective.jsonl", "steady.jsonl", "table.json")]
    page = write_report(
        files,
        tmp_path / "out",
        title="Two runs",
        names=["Gumbel", "REINFORCE"],
        choices=Choices(counter="torch", resamples=50),
    )
    assert page == tmp_path / "out" / "index.html"
    root = Page(page.read_text(encoding="utf-8")).root
    assert root.all("h1")[0].text == "Two runs"
    assert {"Gumbel", "REINFORCE"} <= {e.text for e in root.all("h3")}
    assert [row[0] for row in cells_of(table_of(root, "comparison"))] == ["Gumbel", "REINFORCE"]
    assert "GFLOPS/video by torch" in [e.text for e in root.all("dt")]
    assert "50 resamples" in root.text


def test_a_title_of_blanks_is_no_title(tmp_path: Path) -> None:
    """The page has a heading that can be read."""
    page = write_report(ROOT / INPUTS["table.json"], tmp_path / "out", title="  ")
    root = Page(page.read_text(encoding="utf-8")).root
    assert root.all("h1")[0].text == root.all("title")[0].text == "Cost report"

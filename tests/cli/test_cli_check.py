"""``flopbench init``, ``check`` and ``accept`` as an engineer meets them.

A real git repository with a model of the user's own, changed the way pull requests change models.
"""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import RunCli, assert_refused
from repositories import commit, git
from running import Done

NETS = '''\
"""A small network, and its factory."""

from torch import nn


class Block(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Net(nn.Module):
    def __init__(self, width=16, squeeze=8, blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.squeeze = nn.Conv2d(width, squeeze, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(squeeze, 10)

    def forward(self, x):
        x = self.squeeze(self.blocks(self.stem(x)))
        return self.head(self.pool(x).flatten(1))


def build():
    return Net()
'''
CONFIG = """\
[[entries]]
name = "net"
model = "nets.py:build@32"
"""
POSITIONS = 16 * 16
"""Of the stem's output at 32 px, stride 2."""
NET_MACS = (
    3 * 9 * 16 * POSITIONS  # stem
    + 2 * 16 * 9 * 16 * POSITIONS  # two blocks
    + 16 * 8 * POSITIONS  # squeeze
    + 8 * 10  # head
)


@pytest.fixture
def run(run_cli: RunCli) -> RunCli:
    """Run the command line outside of any CI."""

    def call(*args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
        outside = {"CI": "", "GITHUB_STEP_SUMMARY": ""}
        return run_cli(*args, cwd=cwd, env={**outside, **(env or {})})

    return call


@pytest.fixture
def repository(tmp_path: Path, run: RunCli) -> Path:
    """A repository with a model, its configuration and its accepted baseline."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "flopbench.toml").write_text(CONFIG)
    git(tmp_path, "init", "-qb", "main")
    accepted = run("accept", "--all", "--reason", "first")
    assert accepted.returncode == 0, accepted.stderr
    commit(tmp_path, "first")
    return tmp_path


def edit(folder: Path, old: str, new: str, file: str = "nets.py") -> None:
    """Change a file as a pull request would; the text to change must be there."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def report(run: RunCli, *args: str, status: int) -> dict[str, Any]:
    """Check, and return the report."""
    done = run("check", "--format", "json", *args)
    assert done.returncode == status, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_init_then_check_passes(tmp_path: Path, run: RunCli) -> None:
    """From a bare repository to a guarded model: two commands, and nothing else is touched."""
    (tmp_path / "nets.py").write_text(NETS)
    git(tmp_path, "init", "-qb", "main")
    begun = run("init")
    assert begun.returncode == 0, begun.stderr
    assert "flopbench check --github" in begun.stdout
    assert "contents: read" in begun.stdout
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    made = {name for name in made if not name.startswith((".git/", "__pycache__/"))}
    assert made == {"nets.py", "flopbench.toml", ".flopbench/baseline.json"}
    checked = run("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 entry checked; " in checked.stdout
    assert run("check", "--verify-baseline").returncode == 0
    assert_refused(run("init"), "flopbench.toml", "already")


def test_exit_status_of_the_command(repository: Path, run_cli: RunCli) -> None:
    """The command itself, in a separate process: 0, 1 with failures first, 2, 3 and 4."""
    assert run_cli("check").returncode == 0
    edit(repository, "squeeze=8", "squeeze=64")
    failed = run_cli("check")
    assert (failed.returncode, failed.stderr) == (1, "")
    edit(repository, "def build():", "def built():")
    assert run_cli("check").returncode == 3
    edit(repository, "def built():", "def build():")
    edit(repository, "[[entries]]", 'counter = "thop"\n\n[[entries]]', "flopbench.toml")
    assert run_cli("check").returncode == 4
    (repository / "flopbench.toml").unlink()
    assert_refused(run_cli("check"), "flopbench.toml", "flopbench init")


def test_no_baseline_yet_is_a_notice(tmp_path: Path, run: RunCli) -> None:
    """The first run has nothing to compare with: that is reported, and not a failure."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "flopbench.toml").write_text(CONFIG)
    found = report(run, status=0)
    assert [entry["state"] for entry in found["entries"]] == ["new"]
    assert "no baseline yet" in found["notices"][0]
    budget = "[[budgets]]\nmetric = 'dense_macs'\nlimit = '1 kMACs'\n\n[[entries]]"
    edit(tmp_path, "[[entries]]", budget, "flopbench.toml")
    assert report(run, status=1)["entries"][0]["failed"]


def test_the_counted_cost_is_the_networks(repository: Path) -> None:
    """The baseline holds the integers that the layers' dimensions give."""
    kept = json.loads((repository / ".flopbench/baseline.json").read_text())["entries"]["net"]
    assert kept["macs"] == NET_MACS
    assert kept["params"] == (27 * 16 + 16) + 2 * (16 * 9 * 16 + 16 + 32) + (16 * 8 + 8) + 90


def test_a_wider_layer(repository: Path, run: RunCli) -> None:
    """A widened layer fails the check; it is named first, exactly, with the cause; what only
    follows from it comes after it, although it grew more.
    """
    edit(repository, "squeeze=8", "squeeze=64")
    entry = report(run, status=1)["entries"][0]
    assert entry["state"] == "worse"
    first, second = entry["modules"][:2]
    assert (first["path"], first["cause"], first["follows"]) == ("squeeze", "width", False)
    assert first["added_macs"] == 16 * 56 * POSITIONS
    assert first["added_params"] == 16 * 56 + 56
    assert (second["path"], second["cause"], second["follows"]) == ("head", "width", True)
    assert [cause["cause"] for cause in entry["causes"]] == ["width"]
    macs = next(one for one in entry["metrics"] if one["metric"] == "dense_macs")
    assert macs["new"] - macs["old"] == 16 * 56 * POSITIONS + 56 * 10
    assert entry["source"].startswith("nets.py:11")  # class Net
    said = run("check", "--verbose").stdout
    assert "229,376" in said
    assert "flopbench accept net --reason" in said
    assert said.index("squeeze") < said.index("head")


def test_a_larger_input(repository: Path, run: RunCli) -> None:
    """A larger input is called by its name, not a change of every layer."""
    edit(repository, "build@32", "build@64", "flopbench.toml")
    entry = report(run, status=1)["entries"][0]
    assert [cause["cause"] for cause in entry["causes"]] == ["resolution"]
    assert {module["cause"] for module in entry["modules"]} == {"resolution"}
    assert "32" in entry["causes"][0]["detail"]
    assert "64" in entry["causes"][0]["detail"]
    assert all(module["added_params"] == 0 for module in entry["modules"])


WIDE = 16 * 16 * POSITIONS
"""What one position of a kernel between 16 and 16 channels costs."""
FIFTH = "nn.Conv2d(16, 16, 5, padding=2), "
CAUSES = [
    ("blocks=2", "blocks=3", "depth", "blocks.2.0", 9 * WIDE),
    # a layer before others changes their indices, not their cost: only it was added
    ("*(Block", FIFTH + "*(Block", "depth", "blocks.0", 25 * WIDE),
    ("squeeze, 1)", "squeeze, 3, padding=1)", "kernel", "squeeze", 8 * 16 * 8 * POSITIONS),
    ("stride=2", "stride=1", "kernel", "stem", 3 * 3 * 9 * 16 * POSITIONS),
    ("nn.ReLU()", "nn.ConvTranspose2d(16, 16, 1)", "new operator", "blocks.0.2", WIDE),
]


@pytest.mark.parametrize("case", CAUSES, ids=range(len(CAUSES)))
def test_the_cause_is_named(
    repository: Path, run: RunCli, case: tuple[str, str, str, str, int]
) -> None:
    """Depth, kernel, stride and a new kind of layer are told apart, each with its module."""
    old, new, cause, path, macs = case
    edit(repository, old, new)
    entry = report(run, status=1)["entries"][0]
    assert entry["causes"][0]["cause"] == cause
    first = entry["modules"][0]
    assert (first["path"], first["cause"]) == (path, cause)
    assert first["added_macs"] == macs
    if cause == "depth":
        assert len(entry["causes"]) == 1


def test_groups(repository: Path, run: RunCli) -> None:
    """Dense where it was grouped: the cause is the groups."""
    edit(repository, "3, padding=1), nn.Batch", "3, padding=1, groups=4), nn.Batch")
    assert run("accept", "net", "--reason", "grouped").returncode == 0
    edit(repository, ", groups=4", "")
    entry = report(run, status=1)["entries"][0]
    assert [cause["cause"] for cause in entry["causes"]] == ["groups"]


def test_accept_is_the_way_out(repository: Path, run: RunCli) -> None:
    """After ``accept`` the check passes, and the baseline says what changed and why."""
    edit(repository, "squeeze=8", "squeeze=64")
    accepted = run("accept", "net", "--reason", "wider  squeeze:\n+2 points top-1")
    assert accepted.returncode == 0, accepted.stderr
    assert run("check").returncode == 0
    moves = json.loads((repository / ".flopbench/baseline.json").read_text())
    last = moves["entries"]["net"]["accepted"][-1]
    assert last["reason"] == "wider squeeze: +2 points top-1"
    assert (last["old"]["macs"], last["new"]["macs"]) == (
        NET_MACS,
        NET_MACS + 56 * 16 * POSITIONS + 560,
    )
    again = run("accept", "net", "--reason", "again")
    assert "unchanged since it was accepted" in again.stdout
    touched = git(repository, "status", "--short").split()
    assert touched == ["M", ".flopbench/baseline.json", "M", "nets.py"]
    changed = git(repository, "diff", "--numstat", "--", ".flopbench/baseline.json").split()
    assert int(changed[0]) <= 9  # one line a module, not the file


def test_accept_is_refused_in_ci(repository: Path, run: RunCli) -> None:
    """A CI job may not accept its own cost, unless an option allows it."""
    before = (repository / ".flopbench/baseline.json").read_bytes()
    edit(repository, "squeeze=8", "squeeze=64")
    refused = run("accept", "net", "--reason", "x", env={"CI": "true"})
    assert_refused(refused, "CI", "--in-ci")
    assert (repository / ".flopbench/baseline.json").read_bytes() == before
    allowed = run("accept", "net", "--reason", "x", "--in-ci", env={"CI": "true"})
    assert allowed.returncode == 0
    assert (repository / ".flopbench/baseline.json").read_bytes() != before


def test_accept_says_what_it_needs(repository: Path, run: RunCli) -> None:
    """No entry, several ways, an unknown name, an empty reason: one message each."""
    assert_refused(run("accept", "--reason", "x"), "--all", "--improvements")
    assert_refused(run("accept", "net", "--all", "--reason", "x"), "exclude each other")
    assert_refused(run("accept", "nett", "--reason", "x"), "did you mean 'net'?")
    assert_refused(run("accept", "net", "--reason", "  "), "--reason is empty")
    assert_refused(run("accept", "nothing", "--reason", "x", cwd=repository / ".git"), "entr")


def test_a_decrease_is_praised_and_locked_in(repository: Path, run: RunCli) -> None:
    """A cheaper model passes and is reported, and one command makes it the new baseline; the same
    command never accepts growth.
    """
    edit(repository, "blocks=2", "blocks=1")
    said = run("check")
    assert said.returncode == 0
    assert "flopbench accept --improvements --reason" in said.stdout
    locked = run("accept", "--improvements", "--reason", "one block is enough")
    assert locked.returncode == 0
    edit(repository, "blocks=1", "blocks=2")
    done = run("accept", "--improvements", "--reason", "x")
    assert (done.returncode, done.stdout) == (0, "nothing to accept\n")
    assert run("check").returncode == 1


def test_a_renamed_entry_is_gone_and_new(repository: Path, run: RunCli) -> None:
    """A renamed model is not silently green; accepting both names settles it."""
    edit(repository, 'name = "net"', 'name = "network"', "flopbench.toml")
    found = report(run, status=1)
    assert [(e["name"], e["state"], e["failed"]) for e in found["entries"]] == [
        ("network", "new", False),
        ("net", "gone", True),
    ]
    assert run("accept", "net", "network", "--reason", "renamed").returncode == 0
    assert run("check").returncode == 0
    kept = json.loads((repository / ".flopbench/baseline.json").read_text())
    assert list(kept["entries"]) == ["network"]
    assert kept["removed"]["net"]["move"]["reason"] == "renamed"


def test_another_convention_is_not_compared(repository: Path, run: RunCli) -> None:
    """Another counter is another convention: exit status 4, and no percentage anywhere."""
    edit(repository, "[[entries]]", 'counter = "thop"\n\n[[entries]]', "flopbench.toml")
    done = run("check")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "not comparable" in done.stdout
    assert "counter" in done.stdout
    assert "%" not in done.stdout
    assert run("accept", "net", "--reason", "thop from now on").returncode == 0
    assert run("check").returncode == 0


def test_a_limit_is_inclusive_and_exact(repository: Path, run: RunCli) -> None:
    """The limit itself passes; one MAC less fails, with both integers, which round alike."""
    budget = (
        '[[budgets]]\nmatch = "n*"\nmetric = "dense_macs"\nlimit = "{} MACs"\nnote = "ask Ada"\n\n'
    )
    whole = (repository / "flopbench.toml").read_text()
    (repository / "flopbench.toml").write_text(budget.format(NET_MACS) + whole)
    assert run("check").returncode == 0
    (repository / "flopbench.toml").write_text(budget.format(NET_MACS - 1) + whole)
    done = run("check")
    assert done.returncode == 1
    assert f"{NET_MACS:,}" in done.stdout
    assert f"{NET_MACS - 1:,}" in done.stdout
    assert "flopbench.toml:1" in done.stdout
    assert "ask Ada" in done.stdout


def test_a_factory_that_fails_leaves_the_others_checked(repository: Path, run: RunCli) -> None:
    """Exit status 3 where one entry cannot be measured; the others are still reported."""
    (repository / "bad.py").write_text("def build():\n    raise RuntimeError('no weights here')\n")
    with (repository / "flopbench.toml").open("a") as stream:
        stream.write('\n[[entries]]\nname = "bad"\nmodel = "bad.py:build@32"\n')
    found = report(run, status=3)
    states = {entry["name"]: entry["state"] for entry in found["entries"]}
    assert states == {"net": "same", "bad": "not measured"}
    bad = next(entry for entry in found["entries"] if entry["name"] == "bad")
    assert "no weights here" in bad["reason"]
    assert "bad.py:2" in bad["reason"]
    edit(repository, "squeeze=8", "squeeze=64")
    assert report(run, status=1)["entries"][0]["state"] == "worse"
    assert_refused(run("accept", "--all", "--reason", "x"), "no weights here", status=3)


def test_a_factory_that_goes_elsewhere(repository: Path, run: RunCli) -> None:
    """A factory that changes the working folder keeps no other entry from being found."""
    (repository / "wandering_nets.py").write_text(NETS)
    (repository / "wander.py").write_text(
        "import os\nfrom wandering_nets import build as inner\n\n\n"
        "def build():\n    os.chdir('/')\n    return inner()\n"
    )
    whole = (repository / "flopbench.toml").read_text()
    first = '[[entries]]\nname = "wander"\nmodel = "wander.py:build@32"\n\n'
    (repository / "flopbench.toml").write_text(first + whole)
    assert run("accept", "wander", "--reason", "new").returncode == 0
    found = report(run, status=0)
    assert [entry["state"] for entry in found["entries"]] == ["same", "same"]


def test_against_a_revision(repository: Path, run: RunCli) -> None:
    """A branch is compared with main's baseline; what it accepted passes, with the reason."""
    git(repository, "checkout", "-qb", "wider")
    edit(repository, "squeeze=8", "squeeze=64")
    grown = report(run, "--against", "main", status=1)
    assert grown["baseline"] == "main:.flopbench/baseline.json"
    assert run("accept", "net", "--reason", "two points better").returncode == 0
    commit(repository, "wider")
    entry = report(run, "--against", "main", status=0)["entries"][0]
    assert entry["state"] == "worse"
    assert not entry["failed"]
    assert {m["accepted"] for m in entry["metrics"]} == {"two points better"}
    assert run("check").returncode == 0
    edit(repository, "squeeze=64", "squeeze=65")  # more than was accepted
    assert run("check", "--against", "main").returncode == 1


def test_against_something_that_is_none(
    repository: Path, run: RunCli, tmp_path_factory: Any
) -> None:
    """An unknown revision, an option in its place, a folder without git."""
    assert_refused(run("check", "--against", "nowhere"), "nowhere", "fetch")
    assert_refused(run("check", "--against=--output=x"), "--output=x")
    bare = tmp_path_factory.mktemp("bare")
    (bare / "flopbench.toml").write_text(CONFIG)
    (bare / "nets.py").write_text(NETS)
    assert_refused(run("check", "--against", "main", cwd=bare), "git", "--against")


def test_against_a_revision_without_baseline(repository: Path, run: RunCli) -> None:
    """What a revision's baseline lacks is compared with the current one: growth still fails."""
    git(repository, "rm", "-q", "--cached", ".flopbench/baseline.json")
    git(repository, "commit", "-qm", "none")
    found = report(run, "--against", "HEAD", status=0)
    assert found["entries"][0]["state"] == "same"
    assert "no baseline of net" in found["notices"][0]
    edit(repository, "squeeze=8", "squeeze=64")
    assert report(run, "--against", "HEAD", status=1)["entries"][0]["state"] == "worse"
    (repository / ".flopbench/baseline.json").unlink()
    found = report(run, "--against", "HEAD", status=0)
    assert found["entries"][0]["state"] == "new"
    assert "no baseline yet" in found["notices"][0]


def test_the_self_test_fails_every_entry(repository: Path, run: RunCli) -> None:
    """Injected growth is caught for every exact metric; a gate that catches nothing is named."""
    found = report(run, "--self-test", status=0)
    assert [(d["metric"], d["caught"]) for d in found["drill"]] == [
        ("dense_macs", True),
        ("params", True),
        ("activations", True),
    ]
    lax = '[[budgets]]\nmetric = "params"\nmax-increase = "5%"\n\n'
    whole = (repository / "flopbench.toml").read_text()
    (repository / "flopbench.toml").write_text(lax + whole)
    found = report(run, "--self-test", status=1)
    assert [d["caught"] for d in found["drill"]] == [True, False, True]
    assert "allows more" in found["drill"][1]["reason"]
    assert report(run, "--drill", "6", status=0)["drill_share"] == 0.06  # the earlier name
    (repository / ".flopbench/baseline.json").unlink()
    assert "accept it first" in report(run, "--self-test", status=1)["drill"][0]["reason"]


def test_the_self_test_hides_no_failure(repository: Path, run: RunCli) -> None:
    """Where the check itself fails, so does a self-test, and it says so."""
    edit(repository, "squeeze=8", "squeeze=64")
    done = run("check", "--self-test")
    assert done.returncode == 1
    assert "the check itself" in done.stdout


def test_another_convention_that_was_accepted(repository: Path, run: RunCli) -> None:
    """A branch may move to another counter: what it accepts holds against the old branch too."""
    git(repository, "checkout", "-qb", "thop")
    edit(repository, "[[entries]]", 'counter = "thop"\n\n[[entries]]', "flopbench.toml")
    assert run("check", "--against", "main").returncode == 4
    assert run("accept", "net", "--reason", "thop from now on").returncode == 0
    entry = report(run, "--against", "main", status=0)["entries"][0]
    assert entry["state"] == "same"
    assert "counter" in entry["notes"][0]
    edit(repository, "squeeze=8", "squeeze=64")
    assert run("check", "--against", "main").returncode == 1


def test_outputs_beside_the_terminal(repository: Path, run: RunCli) -> None:
    """One run writes report, JUnit, badge and job summary; the report gives them again."""
    edit(repository, "squeeze=8", "squeeze=64")
    summary = repository / "summary.md"
    options = ("--report", "r.json", "--junit", "j.xml", "--badge", "b.json", "--github")
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    first = run("check", *options, env=env)
    assert first.returncode == 1
    made = {name: (repository / name).read_bytes() for name in ("r.json", "j.xml", "b.json")}
    assert "::error file=nets.py,line=11" in first.stdout
    written = summary.read_text()
    assert written.startswith("<!-- flopbench-check -->")
    again = run("check", "--from", "r.json", "--junit", "j2.xml", "--github", env=env)
    assert (again.returncode, again.stdout) == (1, first.stdout)
    assert (repository / "j2.xml").read_bytes() == made["j.xml"]
    assert summary.read_text() == written * 2
    assert json.loads(made["b.json"])["schemaVersion"] == 1


def test_combinations_that_mean_nothing(repository: Path, run: RunCli) -> None:
    """Options that cannot go together are refused before any work."""
    assert_refused(run("check", "--from", "x.json", "--refresh"), "--from", "--refresh")
    assert_refused(run("check", "--verify-baseline", "--github"), "--verify-baseline")
    assert_refused(run("check", "--self-test", "--against", "main"), "--self-test")
    assert_refused(run("check", "--self-test", "0"), "--self-test 0")
    assert_refused(run("check", "--self-test", "x"), "--self-test x")
    assert_refused(run("check", "--github"), "GITHUB_STEP_SUMMARY")
    assert_refused(run("check", "--junit", "nowhere/j.xml"), "nowhere")
    assert_refused(run("check", "--config", "other.toml"), "other.toml")


def test_from_another_folder(repository: Path, run: RunCli) -> None:
    """The configuration is found upward; its paths are relative to it, outputs to the caller."""
    (repository / "sub").mkdir()
    done = run("check", "--junit", "j.xml", cwd=repository / "sub")
    assert done.returncode == 0, done.stderr
    assert (repository / "sub/j.xml").is_file()
    named = run("check", "--config", "flopbench.toml")
    assert named.returncode == 0


def test_an_edited_baseline_is_refused(repository: Path, run: RunCli) -> None:
    """Edited by hand, in conflict, of a newer schema: exit status 2, and the way out."""
    path = repository / ".flopbench/baseline.json"
    text = path.read_text()
    for broken, needle in (
        (text.replace(str(NET_MACS), str(NET_MACS + 1)), "net"),
        (text.replace("{", "<<<<<<< HEAD\n{", 1), "merge"),
        (text.replace('"schema": 1', '"schema": 9'), "schema 9"),
        (text[: len(text) // 2], "JSON"),
    ):
        assert broken != text
        path.write_text(broken)
        for args in (
            ("check",),
            ("check", "--verify-baseline"),
            ("accept", "net", "--reason", "x"),
        ):
            assert_refused(run(*args), ".flopbench/baseline.json", needle)
        assert path.read_text() == broken


def test_a_baseline_that_is_not_canonical(repository: Path, run: RunCli) -> None:
    """Right content in another form passes a check, not the verification."""
    path = repository / ".flopbench/baseline.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert run("check").returncode == 0
    assert_refused(run("check", "--verify-baseline"), "not as flopbench writes it")


def test_what_a_counter_leaves_out_is_no_saving(repository: Path, run: RunCli) -> None:
    """Work moved into an operator that no counter prices is not comparable, not cheaper."""
    edit(
        repository,
        "x = self.squeeze(self.blocks(self.stem(x)))",
        "x = self.stem(x)\n        x = torch.fft.fft2(x).real\n        x = self.squeeze(x)",
    )
    edit(repository, "from torch import nn", "import torch\nfrom torch import nn")
    entry = report(run, status=4)["entries"][0]
    assert entry["state"] == "not comparable"
    assert "fft" in entry["reason"]


def test_a_pooling_layer_is_named(repository: Path, run: RunCli) -> None:
    """A pool costs nothing itself; that its kernel changed later layers is still reported."""
    edit(repository, "*(Block(width)", "nn.MaxPool2d(2), *(Block(width)")
    assert run("accept", "net", "--reason", "pooled").returncode == 0
    edit(repository, "MaxPool2d(2)", "MaxPool2d(1)")
    entry = report(run, status=1)["entries"][0]
    assert [cause["cause"] for cause in entry["causes"]] == ["kernel"]
    assert "blocks.0" in entry["causes"][0]["detail"]


def test_files_of_one_name_in_two_folders(tmp_path: Path, run: RunCli) -> None:
    """Two entries whose files each import their own ``check_util.py`` are counted separately."""
    for folder, width in (("a", 8), ("b", 64)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "check_util.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "nets.py").write_text(
            "from torch import nn\nfrom check_util import WIDTH\n\n\n"
            "def build():\n    return nn.Conv2d(3, WIDTH, 1)\n"
        )
    (tmp_path / "flopbench.toml").write_text(
        "".join(f'[[entries]]\nname = "{f}"\nmodel = "{f}/nets.py:build@10"\n' for f in "ab")
    )
    assert run("accept", "--all", "--reason", "first").returncode == 0
    found = report(run, status=0)
    macs = [
        next(m["new"] for m in e["metrics"] if m["metric"] == "dense_macs")
        for e in found["entries"]
    ]
    assert macs == [3 * 8 * 100, 3 * 64 * 100]
    edit(tmp_path, "64", "65", "b/check_util.py")
    assert [e["state"] for e in report(run, status=1)["entries"]] == ["same", "worse"]


def test_annotations_from_another_folder(repository: Path, run: RunCli) -> None:
    """Paths are relative to the checkout, wherever the command runs and the configuration is."""
    (repository / "sub").mkdir()
    for name in ("nets.py", "flopbench.toml"):
        (repository / name).rename(repository / "sub" / name)
    assert run("accept", "--all", "--reason", "moved", cwd=repository / "sub").returncode == 0
    edit(repository, "squeeze=8", "squeeze=64", "sub/nets.py")
    env = {"GITHUB_WORKSPACE": str(repository), "GITHUB_STEP_SUMMARY": str(repository / "s.md")}
    for args, folder in ((("--config", "sub/flopbench.toml"), "."), ((), "sub")):
        said = run("check", "--github", *args, cwd=repository / folder, env=env).stdout
        assert "::error file=sub/nets.py,line=11," in said


def test_a_failed_accept_leaves_nothing(tmp_path: Path, run: RunCli) -> None:
    """Nothing is written, and no folder made, where nothing is accepted."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "flopbench.toml").write_text(CONFIG)
    assert_refused(run("accept", "nothing", "--reason", "x"), "nothing")
    edit(tmp_path, "def build", "def built")
    assert_refused(run("accept", "net", "--reason", "x"), "build", status=3)
    assert not (tmp_path / ".flopbench").exists()


def test_init_leaves_out_weights_and_says_what_it_counted(tmp_path: Path, run: RunCli) -> None:
    """A factory that loads weights by itself gets an option; inputs not named are said."""
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net(pretrained=True):\n    net = nn.Conv2d(3, 4, 3)\n    if pretrained:\n"
        "        torch.hub.load_state_dict_from_url('http://localhost:9/absent.pth')\n"
        "    return net\n"
        "def model(weights='imagenet'):\n    assert weights is None\n"
        "    return nn.Linear(7, 2), torch.ones(1, 5, 7)\n"
    )
    begun = run("init", "nets.py", "nets:net@9", "resnet18")
    assert begun.returncode == 0, begun.stderr
    written = "written: it would load weights by itself, which do not change a cost"
    for line in (
        "nets.py:net,pretrained=False: counted at 224, the default for an image; another size is "
        "named after '@', such as build@112",
        f"nets.py:net,pretrained=False, nets:net@9,pretrained=False: pretrained=False {written}",
        "nets.py:model,weights=None: counted at 1x5x7, the factory's own input",
        f"nets.py:model,weights=None: weights=None {written}",
        "resnet18: counted at 224, the model's own default",
    ):
        assert line in begun.stdout.splitlines()
    lines = (tmp_path / "flopbench.toml").read_text().splitlines()
    assert [line[9:-1] for line in lines if line.startswith("model = ")] == [
        "nets.py:net,pretrained=False",
        "nets.py:model,weights=None",
        "nets:net@9,pretrained=False",
        "resnet18",
    ]


def test_init_names_logs_apart(tmp_path: Path, run: RunCli) -> None:
    """Two logs of one file name, or a model twice, become two entries, each with its own cost."""
    for folder, networks in (("a", {**NETWORKS, "large": "resnet34@64"}), ("b", NETWORKS)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.jsonl").write_text(log_text(MIX, networks))
    assert run("init", "a/run.jsonl", "b/run.jsonl", "resnet18@64", " resnet18@64").returncode == 0
    found = report(run, status=0)
    assert [(e["name"], e["state"]) for e in found["entries"]] == [
        ("run", "same"),
        ("b/run.jsonl", "same"),
        ("resnet18@64", "same"),
        ("resnet18@64-2", "same"),
    ]


def test_code_that_a_log_names_is_named_in_the_configuration(tmp_path: Path, run: RunCli) -> None:
    """The message says how, for all components at once; then it is counted, each time anew."""
    (tmp_path / "nets.py").write_text(NETS)
    networks = {**NETWORKS, "large": "nets.py:build@64", "policy": "nets.py:build@32"}
    (tmp_path / "run.jsonl").write_text(log_text(MIX, networks))
    listed = 'components = { large = "nets.py:build@64", policy = "nets.py:build@32" }'
    assert_refused(run("init", "run.jsonl"), f"if you trust it, {listed} in the config", status=3)
    entry = f'[[entries]]\npolicy-log = "run.jsonl"\n{listed}\n'
    (tmp_path / "flopbench.toml").write_text(entry)
    assert run("accept", "run.jsonl", "--reason", "x").returncode == 0
    edit(tmp_path, "width=16", "width=24")
    assert run("check").returncode == 1


def log_text(actions: list[list[str]], networks: dict[str, str]) -> str:
    """Return a policy log of a few videos that choose between two networks and a skip."""
    header = {
        "format": "flopbench.policy-log",
        "version": 1,
        "method": "small",
        "steps": 4,
        "actions": [
            {"name": "large", "costs": {"large": 1}},
            {"name": "small", "costs": {"small": 1}},
            {"name": "skip", "kind": "skip"},
        ],
        "charges": {"per_step": {"policy": 1}},
        "components": networks,
    }
    lines = [header, *({"id": f"v{i}", "actions": one} for i, one in enumerate(actions))]
    return "".join(json.dumps(line) + "\n" for line in lines)


NETWORKS = {"large": "resnet18@64", "small": "mobilenet_v2@64", "policy": 'value:1000003 "mine"'}
MIX = [["large", "small", "small", "skip"], ["large", "large", "small", "skip"], ["small"] * 4]


@pytest.fixture
def policy(tmp_path: Path, run: RunCli) -> Path:
    """A repository that guards a policy log."""
    (tmp_path / "run.jsonl").write_text(log_text(MIX, NETWORKS))
    (tmp_path / "flopbench.toml").write_text(
        '[[entries]]\nname = "policy"\npolicy-log = "run.jsonl"\n'
    )
    assert run("accept", "--all", "--reason", "first").returncode == 0
    assert run("check").returncode == 0
    return tmp_path


def split_of(entry: dict[str, Any]) -> tuple[Fraction, Fraction, Fraction]:
    """Return choices, unit costs, and the change of the whole; check that the parts add up."""
    parts = entry["split"]
    choices, units = Fraction(parts["choices"]), Fraction(parts["unit_costs"])
    macs = entry["metrics"][0]
    whole = Fraction(macs["new"]) - Fraction(macs["old"])
    assert choices + units == whole
    assert sum(Fraction(e["choices"]) for e in parts["events"]) == choices
    assert sum(Fraction(e["unit_costs"]) for e in parts["events"]) == units
    return choices, units, whole


MORE = [["large"] * 4, *MIX[1:]]
COSTLIER = {**NETWORKS, "large": "resnet34@64"}


@pytest.mark.parametrize(
    ("mix", "networks", "name", "leading"),
    [
        (MORE, NETWORKS, "large", "choices"),
        (MIX, COSTLIER, "large", "unit costs"),
        (MORE, COSTLIER, "large", "unit costs"),
        # a renamed action that happens as often is the same one
        (MIX, COSTLIER, "huge", "unit costs"),
    ],
    ids=["mix", "network", "both", "renamed"],
)
def test_the_change_of_a_policy_is_split_exactly(
    policy: Path,
    run: RunCli,
    mix: list[list[str]],
    networks: dict[str, str],
    name: str,
    leading: str,
) -> None:
    """What the mix did and what the networks did, to the last MAC; the network is named."""
    head, *samples = log_text(mix, networks).splitlines(keepends=True)
    head = head.replace('"name": "large"', f'"name": "{name}"')
    (policy / "run.jsonl").write_text(head + "".join(samples).replace('"large"', f'"{name}"'))
    entry = report(run, status=1)["entries"][0]
    choices, units, _ = split_of(entry)
    assert (choices != 0, units != 0) == (mix is MORE, networks is COSTLIER)
    assert entry["split"]["leading"] == leading
    changed = [one["name"] for one in entry["split"]["components"]]
    assert changed == (["large"] if networks is COSTLIER else [])
    said = run("check").stdout
    assert leading in said
    assert ("resnet34@64" in said) == (networks is COSTLIER)


def test_another_rule_is_not_compared(policy: Path, run: RunCli) -> None:
    """A log under the published rule is not compared with one under the exact rule."""
    with (policy / "flopbench.toml").open("a") as stream:
        stream.write('rule = "published"\n')
    assert run("check").returncode == 4


TEN = (
    "resnet18", "resnet34", "resnet50", "mobilenet_v2", "mobilenet_v3_small",
    "efficientnet_b0", "shufflenet_v2_x1_0", "squeezenet1_1", "densenet121", "regnet_y_400mf",
)  # fmt: skip


def test_ten_library_models_need_no_torch(tmp_path: Path, run: RunCli) -> None:
    """With a warm cache ten torchvision models are checked without importing torch or numpy."""
    named = "".join(f'[[entries]]\nmodel = "{name}@64"\n' for name in TEN)
    (tmp_path / "flopbench.toml").write_text(named)
    assert run("accept", "--all", "--reason", "first").returncode == 0
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'pandas', 'matplotlib', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "from flopbench.cli import main\n"
        "sys.exit(main(['check']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 entries checked" in done.stdout
    assert report(run, "--self-test", status=0)["drill_share"] == 0.01

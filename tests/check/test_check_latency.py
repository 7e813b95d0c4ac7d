"""Latencies as a tripwire on real small models: accepted times, and two revisions in one job.

No figure of time is asserted, but for work that differs a hundredfold. A fresh process imports
torch, which is what these tests cost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import ROOT
from msgspec import structs
from msgspec.structs import replace
from repositories import git
from warm import run_python

from flopbench.check.latency.bench import latency_path
from flopbench.check.latency.gate import accept_latency, check_latency, guarded
from flopbench.check.records import Budget, Config, Entry
from flopbench.check.report import MetricResult
from flopbench.core.errors import DataError, InputError
from flopbench.timing.file import TimingFile
from flopbench.timing.records import TimingSpec
from flopbench.timing.run import Effort, time_revisions

pytestmark = pytest.mark.usefixtures("warm_workers")

QUICK = Effort(processes=3, budget_s=0.2, fewest=6)
ONE = Effort(processes=1, budget_s=0.1, fewest=6)

NETS = '''
"""Models of some project."""
from torch import nn

from .parts import WIDTH

class Net(nn.Module):
    """Two convolutions of some width."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3))

    def forward(self, x):
        return self.body(x).mean((2, 3))

def build(): return Net(WIDTH)
'''
FILE = '''
"""The same from a file, with a neighbour that has a common name."""
import helpers

def build(): return helpers.build()
'''
HELPERS = """
from my_pkg.nets import Net

WIDTH = {width}

def build(): return Net(WIDTH)
"""
LAZY = '''
from torch import nn

class Lazy(nn.Module):
    """Imports when it is called."""

    def forward(self, x):
        from my_pkg.parts import WIDTH

        return x * WIDTH

def build(): return Lazy()
'''
CONFIG = """
[[entries]]
model = "my_pkg.nets:build@32"
name = "net"

[[budgets]]
metric = "latency"
gate = "paired"
"""
NARROW, WIDE = 4, 128
"""(128 · 3 + 128²) · 9 multiplications a position against (4 · 3 + 4²) · 9: 599 times."""


def write(folder: Path, width: int) -> None:
    """Write the project, its models of some width."""
    package = folder / "my_pkg"  # without __init__.py: a namespace package
    package.mkdir(exist_ok=True)
    (package / "nets.py").write_text(NETS)
    (package / "parts.py").write_text(f"WIDTH = {width}\n")
    (package / "lazy.py").write_text(LAZY)
    (folder / "file.py").write_text(FILE)
    (folder / "helpers.py").write_text(HELPERS.format(width=width))
    (folder / "flopbench.toml").write_text(CONFIG)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two commits: narrow models, tagged ``before``, then wide ones."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-q", "-b", "main")
    for width, tag in ((NARROW, "before"), (WIDE, "after")):
        write(folder, width)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", tag)
        git(folder, "tag", tag)
    return folder


@pytest.fixture
def project(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in the repository, as the command does; afterwards it must be as it was."""
    monkeypatch.chdir(repository)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    yield repository
    monkeypatch.undo()
    assert git(repository, "status", "--porcelain", "--ignored") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "rev-parse", "HEAD") == git(repository, "rev-parse", "after")


def config(folder: Path, *models: tuple[str, str], **budget: object) -> Config:
    """Return a configuration of (name, model) entries under one latency budget."""
    fields = {"metric": "latency", "gate": "paired", "max_increase": Fraction(1, 10), **budget}
    return Config(
        path=str(folder / "flopbench.toml"),
        root=str(folder),
        entries=tuple(Entry(name=name, model=model) for name, model in models),
        budgets=(Budget(**fields),),  # type: ignore[arg-type]
    )


# --- two revisions in one job


@pytest.fixture(scope="module")
def widened(repository: Path) -> dict[str, MetricResult]:
    """The wide models against the narrow ones of ``before``; a module, and a file."""
    models = (("net", "my_pkg.nets:build@32"), ("file", "file.py:build@32"))
    before = Path.cwd()
    os.chdir(repository)
    try:
        # The configuration of ``before`` has no entry ``file``, so another name is read: none.
        asked = replace(config(repository, *models), path=str(repository / "other.toml"))
        return check_latency(asked, paired="before", effort=QUICK)
    finally:
        os.chdir(before)


@pytest.mark.parametrize("name", ["net", "file"])
def test_each_revision_runs_its_own_code(
    project: Path, widened: dict[str, MetricResult], name: str
) -> None:
    """Far more work by a sibling module's constant, or a neighbouring file's: worse, by far."""
    result = widened[name]
    assert (result.state, result.failed, result.gate) == ("worse", True, "paired")
    assert result.old is not None
    assert result.new is not None
    assert result.new > 5 * result.old
    assert "times as long (95 %" in result.reason


def test_the_reverse_is_better(project: Path) -> None:
    """Narrow trees come second as well as first: the order decides nothing."""
    specs = [TimingSpec(spec="my_pkg.nets:build@32")] * 2
    git(project, "worktree", "add", "-q", "--detach", str(project.parent / "narrow"), "before")
    try:
        file = time_revisions(specs, [str(project), str(project.parent / "narrow")], ONE)
    finally:
        git(project, "worktree", "remove", str(project.parent / "narrow"))
    wide, narrow = file.rows
    assert not wide.failure
    assert not narrow.failure
    assert wide.interleaved == narrow.interleaved != ""
    assert min(wide.medians()) > 5 * max(narrow.medians())


def test_without_a_revision_such_an_entry_has_no_result(project: Path) -> None:
    """Gate paired, no --paired: nothing is measured, nothing is reported."""
    assert check_latency(config(project, ("net", "my_pkg.nets:build@32"))) == {}


def test_what_needs_no_measuring_is_not_measured(project: Path) -> None:
    """A library model is the same in both; an entry that the revision lacks is new."""
    asked = config(project, ("net", "resnet18@64"), ("another", "my_pkg.nets:build@32"))
    other = replace(asked, path=str(project / "other.toml"))
    (library, _) = guarded(asked)
    assert library[0].model == "resnet18@64"
    same = check_latency(other, paired="before", effort=ONE, only=["net"])["net"]
    assert (same.state, same.failed, same.new) == ("same", False, None)
    assert "same library model" in same.reason
    new = check_latency(asked, paired="before", effort=ONE, only=["another"])["another"]
    assert (new.state, new.failed, new.new) == ("new", False, None)
    assert new.reason == "before has no entry of this name"


def test_a_model_that_the_revision_cannot_build_is_not_comparable(project: Path) -> None:
    """A factory that is not there, or imports inside of forward: no failure, but the reason."""
    other = project / "other.toml"
    (project / "my_pkg" / "fresh.py").write_text("from my_pkg.nets import build\n")
    try:
        models = (("fresh", "my_pkg.fresh:build@32"), ("lazy", "my_pkg.lazy:build@32"))
        asked = replace(config(project, *models), path=str(other))
        results = check_latency(asked, paired="before", effort=ONE)
    finally:
        (project / "my_pkg" / "fresh.py").unlink()
    fresh, lazy = results["fresh"], results["lazy"]
    assert (fresh.state, fresh.failed) == ("not comparable", False)
    assert "the model of before could not be timed: " in fresh.reason
    assert "my_pkg.fresh" in fresh.reason
    assert not lazy.failed
    assert lazy.state in {"not comparable", "not measured"}
    assert "my_pkg" in lazy.reason


def test_an_installed_copy_is_not_taken_for_the_revision(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module from elsewhere would be the same code twice and always green: refused."""
    (tmp_path / "elsewhere.py").write_text("from torch import nn\ndef build(): return nn.ReLU()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = config(project, ("net", "elsewhere:build@32"))
    asked = replace(asked, path=str(project / "other.toml"))
    result = check_latency(asked, paired="before", effort=ONE)["net"]
    assert (result.state, result.failed) == ("not measured", False)
    assert "does not come from the revision" in result.reason


def test_an_unknown_revision_is_refused(project: Path) -> None:
    """A wrong REF is a mistake in the command, not a verdict."""
    with pytest.raises(InputError, match="nowhere"):
        check_latency(config(project, ("net", "my_pkg.nets:build@32")), paired="nowhere")


def test_standing_in_a_tree_leaves_no_trace(project: Path, tmp_path: Path) -> None:
    """No module or folder of a tree is left, even where building fails; libraries stay."""
    write(tmp_path, NARROW)
    (tmp_path / "broken.py").write_text("import helpers, wave\nraise ValueError('no')\n")
    code = f"""
import json, os, sys
sys.path[:] = [path or os.getcwd() for path in sys.path]
from flopbench.models.build.by_source import build
from flopbench.models.build.trees import standing_in
from flopbench.models.spec import parse_spec

roots = [{str(tmp_path)!r}, {str(project)!r}]
widths, traces = [], []
for name in ("my_pkg.nets:build@32", "file.py:build@32"):
    for root in roots:
        before = os.getcwd()
        with standing_in(root, roots, parse_spec(name)):
            widths.append(build(parse_spec(name), "cpu").module.body[0].out_channels)
        traces.append(before == os.getcwd() and not set(roots) & set(sys.path))
before = os.getcwd()
try:
    with standing_in(roots[0], roots, parse_spec("broken:build")):
        build(parse_spec("broken:build"), "cpu")
except Exception as error:
    message = str(error)
traces.append(before == os.getcwd() and not set(roots) & set(sys.path))
names = ("my_pkg", "file", "helpers", "broken")
own = [name for name in sys.modules
       if name.split(".")[0] in names or name.startswith("_flopbench_")]
print(json.dumps([widths, traces, own, "wave" in sys.modules, "no" in message,
                  sys.dont_write_bytecode]))
"""
    writing = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=writing
    )
    widths, traces, own, library, said, writes_none = json.loads(done.stdout)
    assert widths == [NARROW, WIDE, NARROW, WIDE]
    assert traces == [True] * 5
    assert own == []
    assert library
    assert said
    assert not writes_none
    assert not list(tmp_path.rglob("__pycache__"))


def test_an_environment_inside_the_repository_is_no_part_of_it(tmp_path: Path) -> None:
    """Libraries of a virtual environment below the root are imported once and stay."""
    write(tmp_path, NARROW)
    library = tmp_path / ".venv" / "lib" / "site-packages"
    library.mkdir(parents=True)
    (library / "some_library.py").write_text("")
    (tmp_path / "uses.py").write_text(
        "import some_library, my_pkg.nets\ndef build(): return my_pkg.nets.build()\n"
    )
    code = f"""
import site, sys
sys.path.append({str(library)!r})
before = site.getsitepackages
site.getsitepackages = lambda: [*before(), {str(library)!r}]
from flopbench.models.build.by_source import build
from flopbench.models.build.trees import standing_in
from flopbench.models.spec import parse_spec
spec = parse_spec("uses:build@32")
with standing_in({str(tmp_path)!r}, [{str(tmp_path)!r}], spec):
    build(spec, "cpu")
print("some_library" in sys.modules, "my_pkg" in sys.modules, "uses" in sys.modules)
"""
    done = run_python(["-c", code], tmp_path, os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False", "False"]


# --- accepted times


def alone(folder: Path, *models: tuple[str, str], **budget: object) -> Config:
    """Return a configuration of gate same-machine."""
    return config(folder, *models, **{"gate": "same-machine", **budget})


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models, no repository."""
    write(tmp_path, NARROW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_accept_then_check_then_accept_another(work: Path) -> None:
    """Nothing accepted: new. Accepted: compared here. Another entry: the first row stays."""
    models = (("net", "my_pkg.nets:build@32"), ("file", "file.py:build@32"))
    both = alone(work, *models)
    new = check_latency(both, only=["net"])["net"]  # measures nothing
    assert (new.state, new.failed, new.new) == ("new", False, None)
    assert "flopbench accept 'net'" in new.reason

    (line,) = accept_latency(both, ["net"], effort=ONE)
    assert line.startswith("net: latency ")
    path = latency_path(both)
    assert path == work / ".flopbench" / "latency.json"
    (row,) = TimingFile.load(path).rows
    assert (row.what, len(row.processes)) == (TimingSpec(spec="my_pkg.nets:build@32"), 1)

    result = check_latency(both, effort=ONE, only=["net"])["net"]
    assert result.state == "inconclusive"  # one process decides nothing
    assert "use --processes 3 or more" in result.reason
    assert result.old == Fraction(repr(row.medians()[0]))
    assert result.new is not None

    assert accept_latency(both, ["file"], effort=ONE)[0].startswith("file: ")
    first, second = TimingFile.load(path).rows
    assert second == row
    assert first.what.spec == "file.py:build@32"
    assert len(TimingFile.load(path).devices) == 1


def test_a_time_of_another_machine_is_not_compared_and_not_measured(work: Path) -> None:
    """Nor one under another torch; a limit is still measured. Accepting replaces the row."""
    asked = alone(work, ("net", "my_pkg.nets:build@32"))
    accept_latency(asked, ["net"], effort=ONE)
    path = latency_path(asked)
    file = TimingFile.load(path)
    facts = {**file.devices[0].facts, "torch.version": "1.0"}
    other = structs.replace(file, devices=(structs.replace(file.devices[0], facts=facts),))
    other.save(path)

    result = check_latency(asked)["net"]
    assert (result.state, result.failed, result.new) == ("not comparable", False, None)
    assert "with another torch (torch.version: '1.0' then, " in result.reason

    strict = alone(work, ("net", "my_pkg.nets:build@32"), limit=Fraction(1000))
    limited = check_latency(strict, effort=ONE)["net"]
    assert (limited.state, limited.failed, limited.over_limit) == ("not comparable", False, False)
    assert limited.new is not None

    (line,) = accept_latency(asked, ["net"], effort=ONE)
    again = TimingFile.load(path)
    assert again.devices == file.devices
    assert len(again.rows) == 1
    assert line.startswith("net: latency ")


def test_the_row_of_an_absent_device_is_not_comparable(work: Path) -> None:
    """A CUDA row on a machine without CUDA: the reason says so."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    asked = alone(work, ("net", "my_pkg.nets:build@32"))
    saved = ROOT / "tests" / "data" / "timings.json"
    file = TimingFile.load(saved)
    spec = TimingSpec(spec="my_pkg.nets:build@32", device="cuda")
    latency_path(asked).parent.mkdir()
    structs.replace(file, rows=(structs.replace(file.rows[0], what=spec, device=0),)).save(
        latency_path(asked)
    )
    result = check_latency(asked, effort=ONE)["net"]
    assert (result.state, result.failed) == ("not comparable", False)
    assert "CUDA" in result.reason


def test_a_model_that_cannot_be_timed_is_not_measured(work: Path) -> None:
    """A constant, a missing function: the reason, and the others go on; accepting says it too."""
    models = (("constant", "value:1e9"), ("lost", "my_pkg.nets:lost@32"))
    asked = alone(work, *models, limit=Fraction(1000))
    results = check_latency(asked, effort=ONE)
    assert {result.state for result in results.values()} == {"not measured"}
    assert not any(result.failed for result in results.values())
    assert "constant" in results["constant"].reason
    assert "'lost'" in results["lost"].reason
    lines = accept_latency(asked, ["constant", "lost"], effort=ONE)
    assert [line.split(":")[0] for line in lines] == ["constant", "lost"]
    assert all("was not accepted" in line for line in lines)
    assert not latency_path(asked).exists()


def test_a_damaged_file_is_refused(work: Path) -> None:
    """Not treated as empty: that would pass silently."""
    asked = alone(work, ("net", "my_pkg.nets:build@32"))
    latency_path(asked).parent.mkdir()
    latency_path(asked).write_text('{"kind": "flopbench.timings", "schema": 99}')
    with pytest.raises(DataError, match="schema 99"):
        check_latency(asked)


def test_only_entries_with_a_budget_are_guarded(work: Path) -> None:
    """A latency is measured on request only; a policy log has none."""
    asked = alone(work, ("net", "my_pkg.nets:build@32"), ("other", "resnet18@32"), match="net")
    log = Entry(name="net log", policy_log="run.jsonl")
    asked = replace(asked, entries=(*asked.entries, log))
    assert [entry.name for entry, _ in guarded(asked)] == ["net"]
    assert accept_latency(asked, ["other", "net log"]) == ()

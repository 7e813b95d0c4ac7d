"""The cache: keyed by everything that matters, safe, and never the cause of a crash."""

from __future__ import annotations

import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from records import gap, op, profile

from flopbench.counting import cache
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import find_counter
from flopbench.models.spec import parse_spec

PROFILE = profile(
    "torch", op("conv", "conv", 2**60), op("", "linear", 3), gaps=(gap("operator", "my::op", ""),)
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("flopbench.counting.registry.installed_version", lambda _name: "1.0")
    monkeypatch.setattr("flopbench.counting.registry._provider", lambda name: (name, "1.0"))


def entry(text: str = "resnet18@64", counter: str = "torch") -> cache.CacheEntry:
    """Return the entry of one specification."""
    found = entry_of(text, counter)
    assert found is not None
    return found


def entry_of(text: str, counter: str = "torch") -> cache.CacheEntry | None:
    """Return the entry of one specification, None where there is none."""
    spec = parse_spec(text)
    return cache.entries([spec], [find_counter(counter)])[spec, counter]


def test_a_profile_survives_the_cache() -> None:
    """What is stored is loaded, exact integers included; clearing forgets it."""
    assert cache.load(entry()) is None
    cache.store(entry(), PROFILE)
    assert cache.load(entry()) == PROFILE
    assert (len(cache.files()), cache.clear(), cache.files()) == (1, 1, [])


def test_the_key_holds_everything_the_figure_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, input, head, counter and every library's version: each makes another entry."""
    others = [
        entry("resnet18@65"),
        entry("resnet34@64"),
        entry("resnet18@64,classes=7"),
        entry(counter="thop"),
        entry(counter="thop-2020"),  # of the same library
    ]
    monkeypatch.setattr("flopbench.counting.cache.installed_version", lambda name: name + "-2.0")
    others.append(entry())
    monkeypatch.setattr("flopbench.counting.cache._code_digest", lambda: "another")
    others.append(entry())
    monkeypatch.undo()
    assert len({e.key for e in others}) == len(others)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources that import each other in every way; only ``lone.py`` belongs to no model."""
    folder = tmp_path / "project"
    for name, text in {
        "nets.py": "import json\nfrom a2pkg import width\ndef build():\n    import a2lazy as z\n",
        "a2lazy.py": "",
        "a2pkg/__init__.py": "from .deep import one\n",
        "a2pkg/deep/__init__.py": "from ..width import W\n",
        "a2pkg/deep/one.py": "from a2bare.inner.leaf import x\n",
        "a2pkg/width.py": "W = 1\nfrom .. import beyond\nimport a2pkg.missing, a2absent\n",
        "a2bare/inner/leaf.py": "import a2pkg.nets\n",
        "a2pkg/nets.py": "",
        "lone.py": "",
        "config.json": "{}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("nets.py:build@64", "nets a2lazy a2pkg/__init__ a2pkg/deep/__init__ a2pkg/deep/one "
         "a2pkg/width a2pkg/nets a2bare/inner/leaf"),
        ("a2pkg.nets:build@64", "a2pkg/__init__ a2pkg/deep/__init__ a2pkg/deep/one a2pkg/width "
         "a2pkg/nets a2bare/inner/leaf"),
        ("transformers:config.json", "config"),
    ],
)  # fmt: skip
def test_own_code_is_kept_until_a_source_changes(project: Path, model: str, parts: str) -> None:
    """Imports are followed through packages, relative ones, folders and functions."""
    first = entry_of(model)
    assert first == entry_of(model) != entry_of("lone.py:build@64")
    for path in [*project.rglob("*.py"), *project.glob("*.json")]:
        before = path.read_text(encoding="utf-8")
        path.write_text(before + " \n", encoding="utf-8")
        inside = path.relative_to(project).with_suffix("").as_posix() in parts.split()
        assert (entry_of(model) != first) == inside, path
        path.write_text(before, encoding="utf-8")
    assert entry_of(model) == first


@pytest.mark.parametrize(
    "text",
    [
        "from importlib import import_module\nnet = import_module(NAME)\n",
        "exec(SOURCE)\n",
        "def build(:\n",
    ],
)
def test_code_that_cannot_be_told_is_counted_each_time(project: Path, text: str) -> None:
    """What imports by a name made at run time, and what cannot be read."""
    (project / "a2lazy.py").write_text(text, encoding="utf-8")
    assert entry_of("nets.py:build@64") is None
    assert entry_of("absent.py:build@64") is None
    assert entry_of("a2pkg.nothing:build@64") is None


def test_code_that_this_process_imported_may_be_old(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that changed after its import still runs as it was: nothing is stored for it."""
    monkeypatch.syspath_prepend(str(project))
    first = entry_of("nets.py:build@64")
    a2lazy = importlib.import_module("a2lazy")
    monkeypatch.setitem(sys.modules, "a2lazy", a2lazy)
    assert first is not None
    assert entry_of("nets.py:build@64") == first
    (project / "a2lazy.py").write_text("WIDTH = 2\n", encoding="utf-8")
    assert entry_of("nets.py:build@64") is None
    monkeypatch.delitem(sys.modules, "a2lazy")
    assert entry_of("nets.py:build@64") not in {None, first}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"key": "other", "profile": {}}', "\x00\x01", '{"key": 3}'],
)
def test_a_damaged_entry_is_dropped_with_a_warning(
    content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is as if the entry did not exist, with a warning."""
    where = entry()
    where.path.parent.mkdir(parents=True)
    where.path.write_text(content)
    assert cache.load(where) is None
    assert "is damaged and will be measured again" in capsys.readouterr().err


def test_every_single_damaged_byte_is_survived(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever byte goes wrong: the same profile, or none, and never an exception."""
    where = entry()
    cache.store(where, PROFILE)
    whole = where.path.read_bytes()
    for place in range(0, len(whole), 7):
        for cut in (whole[:place], whole[:place] + b"\x80" + whole[place + 1 :]):
            where.path.write_bytes(cut)
            loaded = cache.load(where)
            assert loaded is None or isinstance(loaded, CostProfile)


def test_two_writers_at_once_leave_a_whole_entry() -> None:
    """Readers never see a half-written file while others write it again and again."""
    where = entry()
    cache.store(where, PROFILE)
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(cache.store, where, PROFILE) for _ in range(60)]
        reads = [pool.submit(cache.load, where) for _ in range(60)]
    assert all(write.exception() is None for write in writes)
    assert all(read.result() == PROFILE for read in reads)
    assert [path.name for path in where.path.parent.iterdir()] == [where.path.name]


def test_a_cache_that_cannot_be_written_costs_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result was measured; failing to store it is not an error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    cache.store(entry(), PROFILE)
    assert "cannot store results" in capsys.readouterr().err


def test_a_profile_of_another_shape_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Missing, unknown or mistyped fields: it is measured again, and the field is named."""
    cache.store(entry(), PROFILE)
    data = json.loads(entry().path.read_text())
    for change, field in (
        ({"total": 1.5}, "profile.total"),
        ({"surprise": 1}, "surprise"),
        ({"operators": [{}]}, "profile.operators[0]"),
    ):
        entry().path.write_text(json.dumps({**data, "profile": {**data["profile"], **change}}))
        assert cache.load(entry()) is None
        assert field in capsys.readouterr().err

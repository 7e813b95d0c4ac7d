"""The list of counters matches the package's metadata."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from conftest import RunCli

from flopbench.core.errors import InputError
from flopbench.counting.registry import (
    GROUP,
    find_counter,
    find_counters,
    installed_version,
    own_counters,
)


def test_every_extra_exists() -> None:
    """The install hint of each counter names an extra that the distribution has."""
    extras = set(metadata.metadata("flopbench").get_all("Provides-Extra") or [])
    assert {info.extra for info in own_counters()} <= extras


def test_an_unknown_counter_names_the_known_ones() -> None:
    """With a near match first."""
    with pytest.raises(InputError) as caught:
        find_counter("fvcor")
    assert "did you mean 'fvcore'" in caught.value.hint


def test_a_counter_of_somebody_elses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point in the group makes a counter, under its distribution's version."""

    class Entry:
        name, value = "theirs", "their.module:Counter"

        class dist:
            name = "pytest"

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Entry] if group == GROUP else [])
    info = find_counter("theirs")
    assert (info.target, info.distribution) == ("their.module:Counter", "pytest")
    assert info.version == metadata.version("pytest")


def test_versions_are_those_of_the_metadata(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of whatever is installed; a folder's name says 1.0.post7 where the author wrote 1.0-7."""
    (tmp_path / "a_fork-1.0.post7.dist-info").mkdir()
    written = "Metadata-Version: 2.1\nName: a-fork\nVersion: 1.0-7\n\nVersion: 9\n"
    (tmp_path / "a_fork-1.0.post7.dist-info" / "METADATA").write_text(written, encoding="utf-8")
    (tmp_path / "an_egg.egg-info").write_text(written.replace("a-fork", "an.egg"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {one.name for one in metadata.distributions()} | {"A.Fork", "an-egg"}
    assert {name: installed_version(name) for name in names} == {
        name: metadata.version(name) for name in names
    }
    assert installed_version("a-fork") == installed_version("an-egg") == "1.0-7"
    assert installed_version("nobodys") is None


def test_names_given_twice_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of first mention is kept."""
    monkeypatch.setattr("flopbench.counting.registry.installed_version", lambda _name: "1.0")
    monkeypatch.setattr("flopbench.counting.registry._provider", lambda name: (name, "1.0"))
    assert [i.name for i in find_counters(["torch", "thop", "torch"])] == ["torch", "thop"]


def test_the_list_is_printed(run_cli: RunCli) -> None:
    """``flopbench counters`` shows every one, with its version or how to install it."""
    result = run_cli("counters")
    assert result.returncode == 0
    for info in own_counters():
        assert info.name in result.stdout
        assert (info.version or f"flopbench[{info.extra}]") in result.stdout

"""The list of counters matches the package's metadata."""

from __future__ import annotations

from importlib import metadata

import pytest
from conftest import RunCli

from flopbench.core.errors import InputError
from flopbench.counting.registry import GROUP, find_counter, find_counters, own_counters


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

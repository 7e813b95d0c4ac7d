"""A terminal to print on, as wide as a test says."""

from __future__ import annotations

import io
import re

import pytest


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Be one."""
        return True

    @property
    def lines(self) -> list[str]:
        """What is on it, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).splitlines()


def screen_of(width: int, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return a terminal of a width, for what is printed in this process."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    return Screen()


def assert_fits(lines: list[str], width: int) -> None:
    """Assert that no line is wider than the terminal or ends in spaces."""
    assert [line for line in lines if len(line) > width] == []
    assert [line for line in lines if line != line.rstrip()] == []

"""What a terminal is told while something runs."""

from __future__ import annotations

import pytest
from screens import screen_of

from flopbench.cli.common import Bar, progress_bar
from flopbench.timing.run import Effort


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_is_known_once_something_is_done() -> None:
    """20 s of preparation count as elapsed only; 2 of 8 in 10 s leave 30 s, counted down."""
    clock = Clock()
    bar = Bar("measuring", clock)
    assert bar.times == "0:00:00 left -:--:--"
    clock.now += 20
    bar(0, 8, "process 1 of 2")
    assert bar.times == "0:00:20 left -:--:--"
    clock.now += 10
    bar(2, 8, "process 1 of 2, online")
    assert bar.times == "0:00:30 left 0:00:30"
    clock.now += 12
    assert bar.times == "0:00:42 left 0:00:18"
    clock.now += 60
    assert bar.times == "0:01:42 left 0:00:00"
    bar(8, 8, "")
    assert bar.times == "0:01:42 left 0:00:00"
    bar(0, 3, "the next part")
    assert bar.times == "0:01:42 left -:--:--"


def test_a_line_is_said_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the bar appears it is written, and stays; a log file gets nothing."""
    with progress_bar() as silent:
        assert silent is None
    screen = screen_of(80, monkeypatch)
    monkeypatch.setattr("sys.stderr", screen)
    with progress_bar() as bar:
        assert bar is not None
        bar.say("6 processes, about 60 s")
    assert screen.lines == ["6 processes, about 60 s"]


def test_how_long_a_run_takes_is_said_before() -> None:
    """A start of 4 s, a second of warm-up and five of samples: 10 s a process and model."""
    said: list[str] = []
    effort = Effort(budget_s=5, start_s=4, say=said.append)
    effort.announce(6)  # 6 × (4 + 1 + 5)
    effort.announce(3, 2)  # 3 × (4 + 2 × (1 + 5))
    effort.announce(1)
    Effort().announce(6)
    assert said == ["6 processes, about 60 s", "3 processes, about 50 s", "1 process, about 10 s"]

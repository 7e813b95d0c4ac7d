"""Many cases in one test: all of them are tried, and the failure names every case that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def each(cases: Iterable[Any], check: Callable[..., object]) -> None:
    """Call ``check`` with every case (a tuple: with its parts); fail with all that failed."""
    failed = []
    for case in cases:
        try:
            check(*case) if isinstance(case, tuple) else check(case)
        except Exception as error:
            failed.append(f"{getattr(case, 'name', case)}: {type(error).__name__}: {error}")
    assert not failed, f"{len(failed)} failed\n" + "\n".join(failed)

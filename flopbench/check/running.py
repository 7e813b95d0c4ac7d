"""One whole check: read the baseline, measure the entries, judge them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flopbench.check.baseline.file import load_baseline, parse_baseline
from flopbench.check.entry_costs import measure_entries
from flopbench.check.judging import Against, judge_entries
from flopbench.check.records import Config
from flopbench.check.report import Report
from flopbench.core.errors import InputError

if TYPE_CHECKING:
    from flopbench.core.workers import Progress


def run_check(
    config: Config,
    *,
    against: str | None = None,
    paired: str | None = None,
    self_test_share: Fraction | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Report:
    """Compare every entry of a configuration with its baseline and its budgets.

    Args:
        config: what is guarded.
        against: a git revision whose baseline to compare with; None for the current one.
        paired: a git revision to time budgets of gate ``paired`` against.
        self_test_share: growth to inject into every entry, as a share; None injects nothing.
        refresh: count again instead of reading the cache.
        progress: called before each measurement.
        say: called before entries are timed, with how long that is expected to take.

    Raises:
        InputError: no such revision, no git repository, or nothing to time against ``paired``.
        DataError: the baseline is damaged.
    """
    if paired is not None and not any(budget.gate == "paired" for budget in config.budgets):
        raise InputError(
            f'--paired {paired} would time nothing: no budget of {config.path} has gate = "paired"',
            'write [[budgets]] with metric = "latency" and gate = "paired"',
        )
    with inside(config):
        held = _against(config, against)
        costs = measure_entries(config, refresh=refresh, progress=progress)
        if self_test_share is not None:
            from flopbench.check.self_test import self_test

            injected = self_test(config, held.baseline, costs, self_test_share)
            report = judge_entries(config, held, costs)
            return replace(report, drill=injected, drill_share=self_test_share)
        if not any(budget.metric == "latency" for budget in config.budgets):
            return judge_entries(config, held, costs)
        from flopbench.check.latency.gate import check_latency, guarded

        timed = bool(guarded(config))
        latencies = (
            check_latency(config, paired=paired, progress=progress, say=say) if timed else {}
        )
        return judge_entries(config, held, costs, latencies)


@contextlib.contextmanager
def inside(config: Config) -> Iterator[None]:
    """Work in the configuration's folder, from which models and logs are found."""
    before = Path.cwd()
    os.chdir(config.root)
    try:
        yield
    finally:
        os.chdir(before)


def _against(config: Config, revision: str | None) -> Against:
    """Read what costs are compared with: the current baseline, or that of a revision."""
    path = Path(config.baseline)
    here = load_baseline(path)
    if revision is None:
        return Against(baseline=here)
    from flopbench.check.git import show

    text = show(revision, path)
    there = parse_baseline(text, f"{revision}:{config.baseline}") if text is not None else None
    return Against(baseline=there, accepted_here=here)

"""flopbench: what a vision model really costs, and the proof.

Public names are loaded when they are first used; importing the package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flopbench.version import VERSION as __version__

if TYPE_CHECKING:
    from flopbench import plots
    from flopbench.api import cost_table, profile
    from flopbench.check.config import find_config, read_config
    from flopbench.check.report import Report
    from flopbench.check.running import run_check
    from flopbench.costs import CostProfile, Gap, ModuleFacts, OpCost
    from flopbench.errors import (
        DataError,
        FlopbenchError,
        InputError,
        MeasureError,
        NotComparableError,
    )
    from flopbench.latencies import Effort, time_models, time_throughput
    from flopbench.policy.logger import PolicyLogger
    from flopbench.replay.records import Replay, load_replay
    from flopbench.replay.run import ReplayChoices, replay_of_log
    from flopbench.report import write_report
    from flopbench.runs import Choices, Run, run_of_counts, run_of_log
    from flopbench.specs import ModelSpec, parse_spec
    from flopbench.table import CostRow, CostTable
    from flopbench.time_comparison import compare_files, compare_interleaved
    from flopbench.time_verdicts import summarise
    from flopbench.timings import Timing, TimingFile, TimingSpec

_HOME = {
    "profile": "flopbench.api",
    "cost_table": "flopbench.api",
    "CostProfile": "flopbench.costs",
    "Gap": "flopbench.costs",
    "ModuleFacts": "flopbench.costs",
    "OpCost": "flopbench.costs",
    "CostRow": "flopbench.table",
    "CostTable": "flopbench.table",
    "ModelSpec": "flopbench.specs",
    "parse_spec": "flopbench.specs",
    "DataError": "flopbench.errors",
    "FlopbenchError": "flopbench.errors",
    "InputError": "flopbench.errors",
    "MeasureError": "flopbench.errors",
    "NotComparableError": "flopbench.errors",
    "PolicyLogger": "flopbench.policy.logger",
    "Choices": "flopbench.runs",
    "Run": "flopbench.runs",
    "run_of_log": "flopbench.runs",
    "run_of_counts": "flopbench.runs",
    "Replay": "flopbench.replay.records",
    "load_replay": "flopbench.replay.records",
    "ReplayChoices": "flopbench.replay.run",
    "replay_of_log": "flopbench.replay.run",
    "write_report": "flopbench.report",
    "Report": "flopbench.check.report",
    "find_config": "flopbench.check.config",
    "read_config": "flopbench.check.config",
    "run_check": "flopbench.check.running",
    "Effort": "flopbench.latencies",
    "time_models": "flopbench.latencies",
    "time_throughput": "flopbench.latencies",
    "compare_files": "flopbench.time_comparison",
    "compare_interleaved": "flopbench.time_comparison",
    "summarise": "flopbench.time_verdicts",
    "Timing": "flopbench.timings",
    "TimingFile": "flopbench.timings",
    "TimingSpec": "flopbench.timings",
}

__all__ = [
    "Choices",
    "CostProfile",
    "CostRow",
    "CostTable",
    "DataError",
    "Effort",
    "FlopbenchError",
    "Gap",
    "InputError",
    "MeasureError",
    "ModelSpec",
    "ModuleFacts",
    "NotComparableError",
    "OpCost",
    "PolicyLogger",
    "Replay",
    "ReplayChoices",
    "Report",
    "Run",
    "Timing",
    "TimingFile",
    "TimingSpec",
    "__version__",
    "compare_files",
    "compare_interleaved",
    "cost_table",
    "find_config",
    "load_replay",
    "parse_spec",
    "plots",
    "profile",
    "read_config",
    "replay_of_log",
    "run_check",
    "run_of_counts",
    "run_of_log",
    "summarise",
    "time_models",
    "time_throughput",
    "write_report",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "plots":
        return import_module("flopbench.plots")
    if name not in _HOME:
        raise AttributeError(f"module 'flopbench' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "plots"})

"""flopbench: what a vision model really costs, and the proof.

Public names are loaded on first use; importing the package imports nothing else. Their types are in
``__init__.pyi``.
"""

from importlib import import_module
from typing import Any

from flopbench.core.version import VERSION as __version__

_HOME = {
    name: module
    for module, names in {
        "flopbench.check.config": "find_config read_config",
        "flopbench.check.report": "Report",
        "flopbench.check.running": "run_check",
        "flopbench.core.errors": "DataError FlopbenchError InputError MeasureError "
        "NotComparableError",
        "flopbench.counting.api": "Profiles cost_table profile",
        "flopbench.counting.profile": "CostProfile Gap ModuleFacts OpCost",
        "flopbench.counting.cost_row": "CostRow",
        "flopbench.counting.table": "CostTable",
        "flopbench.estimate.runs": "Choices Run run_of_log run_of_counts",
        "flopbench.estimate.reducing": "reduce_log",
        "flopbench.counting.zoo": "library_models",
        "flopbench.models.spec": "ModelSpec parse_spec",
        "flopbench.policy.header": "Header",
        "flopbench.policy.logger": "PolicyLogger",
        "flopbench.present.report": "write_report",
        "flopbench.replay.records": "Replay load_replay",
        "flopbench.replay.run": "ReplayChoices replay_of_log",
        "flopbench.timing.comparison": "compare_files compare_interleaved",
        "flopbench.timing.file": "TimingFile",
        "flopbench.timing.records": "Timing TimingSpec",
        "flopbench.timing.pipeline": "time_pipeline",
        "flopbench.timing.run": "Effort time_models time_throughput",
        "flopbench.timing.verdicts": "summarise",
    }.items()
    for name in names.split()
}
"""Public name -> the module that it is loaded from."""

__all__ = ["__version__", "plots", *_HOME]


def __getattr__(name: str) -> Any:
    if name == "plots":
        return import_module("flopbench.plots")
    if name not in _HOME:
        raise AttributeError(f"module 'flopbench' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""flopbench: what a vision model really costs, and the proof.

Public names are loaded when they are first used; importing the package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flopbench.version import VERSION as __version__

if TYPE_CHECKING:
    from flopbench.api import cost_table, profile
    from flopbench.costs import CostProfile, Gap, ModuleFacts, OpCost
    from flopbench.errors import DataError, FlopbenchError, InputError, MeasureError
    from flopbench.specs import ModelSpec, parse_spec
    from flopbench.table import CostRow, CostTable

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
}

__all__ = [
    "CostProfile",
    "CostRow",
    "CostTable",
    "DataError",
    "FlopbenchError",
    "Gap",
    "InputError",
    "MeasureError",
    "ModelSpec",
    "ModuleFacts",
    "OpCost",
    "__version__",
    "cost_table",
    "parse_spec",
    "profile",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flopbench' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

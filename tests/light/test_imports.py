"""Who may import whom, and how little the command line loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "flopbench"
HEAVY = {"torch", "torchvision", "thop", "fvcore", "timm", "transformers"}
SLOW_TO_IMPORT = {*HEAVY, "numpy", "msgspec", "pandas", "matplotlib", "duckdb", "rich"}

# A module may import from its own floor and from those below it.
FLOORS = [
    {"version"},
    {"errors"},
    {"naming", "units", "files", "average_precision", "time_statistics", "workers"},
    {"accuracy", "devices"},
    {"specs", "counters", "gpu_readings", "peaks"},
    {"presets", "costs", "timings", "timing_reading"},
    {"table", "agreement", "published", "policy", "time_verdicts", "time_comparison", "sweeps"},
    {"workload"},
    {"rows", "cache", "roofs", "measure"},
    {"offline"},
    {"prices", "latencies", "profiles"},
    {"replay"},
    {"happenings"},
    {"estimate", "intervals", "difficulty", "scores"},
    {"groups"},
    {"runs"},
    {"audit", "approaches"},
    {"differences"},
    {"compare"},
    {"check", "sources"},
    {"figures"},
    {"api", "present"},
    {"plots"},
    {"report"},
    {"pytest_marks"},
    {"pytest_costs"},
    {"pytest_plugin"},
    {"cli"},
    {"__init__", "__main__"},
]
# A notebook asks a record for its HTML; the record passes the question on when it is asked.
ALLOWED_UPWARD = {("table.py", "flopbench.present.tables.cost_table_html")}
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}


def modules() -> list[tuple[str, ast.Module]]:
    """Return every source file of the package, parsed, with its path inside the package."""
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def imported(tree: ast.Module, *, top_only: bool) -> set[str]:
    """Return the dotted names that a file imports, type-checking blocks left out."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if top_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(child, ast.Import):
                names.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                names.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(tree)
    return names


def floor_of(dotted: str) -> str:
    """Return the part of the package that a dotted name belongs to."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else "__init__"


@pytest.mark.parametrize(("path", "tree"), modules(), ids=[path for path, _ in modules()])
def test_nothing_imports_upward(path: str, tree: ast.Module) -> None:
    """A file imports only from its own floor or a lower one."""
    here = path.split("/")[0].removesuffix(".py")
    assert here in LEVEL, f"{path} is on no floor: add it to FLOORS"
    for name in imported(tree, top_only=False):
        if name.split(".")[0] == "flopbench" and (path, name) not in ALLOWED_UPWARD:
            assert LEVEL[floor_of(name)] <= LEVEL[here], f"{path} imports {name}, which is above it"


@pytest.mark.parametrize(("path", "tree"), modules(), ids=[path for path, _ in modules()])
def test_only_measure_imports_torch_at_module_top(path: str, tree: ast.Module) -> None:
    """Outside ``measure`` no file imports a measuring library when it is itself imported."""
    loaded = {name.split(".")[0] for name in imported(tree, top_only=True)}
    if not path.startswith("measure/"):
        assert not loaded & HEAVY
    assert not loaded & {"pandas", "duckdb"}
    drawing = path.startswith("plots/") and path not in {"plots/__init__.py", "plots/venues.py"}
    assert drawing or "matplotlib" not in loaded


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter; return the top-level names of what it loaded."""
    code += "\nimport json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import flopbench",
        "import flopbench.cli",
        "import flopbench.cli; flopbench.cli.build_parser()",
        "import flopbench.offline, flopbench.table, flopbench.cache",
        "from flopbench import CostTable, profile, cost_table",
    ],
)
def test_start_up_loads_nothing_heavy(code: str) -> None:
    """The command line and the records come without torch, numpy, pandas, matplotlib, rich."""
    assert not loaded_after(code) & SLOW_TO_IMPORT


def test_lazy_names_are_all_there() -> None:
    """Every public name resolves, and an unknown one is an AttributeError."""
    import flopbench

    for name in flopbench.__all__:
        assert getattr(flopbench, name) is not None
        assert name in dir(flopbench)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        flopbench.nonsense  # noqa: B018

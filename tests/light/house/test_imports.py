"""Which file may import which, and how little the command line loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "flopbench"
HEAVY = {"torch", "torchvision", "thop", "fvcore", "timm", "transformers"}
SLOW_TO_IMPORT = {*HEAVY, "numpy", "msgspec", "pandas", "matplotlib", "duckdb", "rich"}
SLOW_TO_IMPORT |= {"tarfile", "difflib", "csv", "html", "importlib.metadata", "dataclasses"}
SLOW_TO_IMPORT |= {"flopbench.core.workers", "flopbench.check.git"}
NOT_FOR_HELP = {"json", "datetime", "flopbench.counting.registry"}
"""What makes records and reads files: a fifth of the time of ``--help``."""

FLOORS = [
    {"core"},
    {"models"},
    {"counting"},
    {"policy"},
    {"timing", "estimate"},
    {"audit", "check", "replay"},
    {"present"},
    {"cli", "__init__", "__main__", "plots"},
]
"""A file imports from its own package and from floors below it; docs/architecture.md draws them."""

DRAWS = "present/draw/"
MEASURES = ("/measure/", "models/build/")


@lru_cache(maxsize=1)
def sources() -> dict[str, tuple[set[str], set[str]]]:
    """Parse the package once: file -> (all that it imports, what it imports when it is loaded).

    Imports for type checkers count among the first: they bind two files as any other does.
    """
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = set(imported(tree, deep=True)), set(imported(tree, deep=False))
        found[path.relative_to(PACKAGE).as_posix()] = imports
    return found


def imported(node: ast.AST, *, deep: bool) -> Iterator[str]:
    """Yield the dotted names below a node; not ``deep``: those of functions left out."""
    for child in ast.iter_child_nodes(node):
        if not deep and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if not deep and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imported(child, deep=deep)


def file_of(dotted: str) -> str | None:
    """Return the file of the package that a dotted name belongs to, None for other libraries."""
    parts = dotted.split(".")
    if parts[0] != "flopbench":
        return None
    for n in range(len(parts), 0, -1):
        for end in (".py", "/__init__.py"):
            name = ("/".join(parts[1:n]) + end).lstrip("/")
            if name in sources():
                return name
    return None


def edges() -> dict[str, set[str]]:
    """Return file -> the other files of the package that it imports."""
    return {
        path: {name for name in map(file_of, names) if name} - {path}
        for path, (names, _) in sources().items()
    }


def test_nothing_imports_upward_or_across() -> None:
    """A file imports only from its own package and from lower floors."""
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}

    def room(path: str) -> str:
        return path.split("/")[0].removesuffix(".py")

    assert {room(path) for path in sources()} == set(floor), "a room on no floor, or none left"
    wrong = [
        f"{path} imports {target}"
        for path, targets in edges().items()
        for target in targets
        if room(path) != room(target) and floor[room(target)] >= floor[room(path)]
        if floor[room(path)] != len(FLOORS) - 1
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_files_import_each_other_in_a_circle() -> None:
    """No file reaches itself through imports, including those inside functions and for types."""
    left = edges()
    while leaves := {path for path, targets in left.items() if not targets & set(left)}:
        left = {path: targets for path, targets in left.items() if path not in leaves}
    # What is left is on a circle, or leads to one.
    assert not left, "\n".join(f"{path}: {sorted(t & set(left))}" for path, t in left.items())


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """Loading a file loads torch only below ``measure``, and matplotlib only below ``draw``."""
    wrong = []
    for path, (_, names) in sources().items():
        loaded = {name.split(".")[0] for name in names}
        allowed = HEAVY if any(part in f"/{path}" for part in MEASURES) else set()
        allowed = allowed | ({"matplotlib"} if path.startswith(DRAWS) else set())
        wrong += [
            f"{path}: {name}"
            for name in loaded & ({*HEAVY, "pandas", "duckdb", "matplotlib"} - allowed)
        ]
    assert not wrong, "\n".join(wrong)


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter; return the names of the modules that it loaded."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import flopbench, flopbench.plots", {"dataclasses"}),
        ("import flopbench.cli; flopbench.cli.build_parser()", {"dataclasses", "msgspec"}),
        ("import flopbench.counting.run, flopbench.counting.cache", {"msgspec"}),
        ("from flopbench import CostTable, profile, cost_table", {"msgspec"}),
        ("import flopbench.estimate.runs, flopbench.estimate.text", {"msgspec"}),
        ("import flopbench.check.running, flopbench.check.text.terminal", {"msgspec"}),
    ],
)
def test_start_up_loads_nothing_heavy(code: str, allowed: set[str]) -> None:
    """The command line loads none of these; records need msgspec, and nothing to measure with."""
    assert not loaded_after(code) & SLOW_TO_IMPORT - allowed


@pytest.mark.parametrize(
    ("given", "verbs"),
    [
        ("--help", set()),
        ("cache", {"cache_verb"}),
        ("table", {"common", "model_options", "table"}),
        ("completion", {"completion"}),
    ],
)
def test_a_verb_is_loaded_when_it_is_used(given: str, verbs: set[str]) -> None:
    """The overview loads the options of no verb, a verb only its own."""
    loaded = loaded_after(f"""
from flopbench.cli import main
try:
    main([{given!r}, "--help"])
except SystemExit:
    pass""")
    assert not loaded & (SLOW_TO_IMPORT | NOT_FOR_HELP)
    own = {name for name in loaded if name.startswith("flopbench.cli.")}
    assert own == {f"flopbench.cli.{file}" for file in ("examples", "parser", *verbs)}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists threads")
def test_numpy_starts_no_threads() -> None:
    """A pool of them takes longer than all else that numpy loads; no other library is limited."""
    code = """
import os
os.environ.pop("OMP_NUM_THREADS", None)
before = dict(os.environ)
from flopbench.cli.common import load_numpy
load_numpy()
assert len(os.listdir("/proc/self/task")) == 1
assert dict(os.environ) == before"""
    assert "numpy.linalg" in loaded_after(code)


def test_lazy_names_are_all_there() -> None:
    """Every public name resolves and is in the stub; an unknown one is an AttributeError."""
    import flopbench

    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    declared = {
        alias.asname
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared | {"__version__"} == set(flopbench.__all__)
    for name in flopbench.__all__:
        assert getattr(flopbench, name) is not None
        assert name in dir(flopbench)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        flopbench.nonsense  # noqa: B018

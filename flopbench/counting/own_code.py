"""What the user's own code is made of: a digest of its sources, found without running it.

The imports that a source names are followed through everything that is not an installed library,
which counts with its version. Not seen are data files, variables of the environment, and what is
imported by a name that is made at run time: where a source does that, there is no digest.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from flopbench.counting.registry import installed_version
from flopbench.models.build.trees import is_library
from flopbench.models.spec import ModelSpec as Model

MOST_SOURCES = 1000
"""A model that imports more files of its own is counted each time."""

_BY_NAME = {"import_module", "__import__", "exec_module", "load_source", "run_path", "run_module"}
"""What imports by a name that is made at run time."""
_OF_FILES = "_flopbench_"
"""Prefix of modules that ``models.build.user`` reads anew each time."""

_Place = tuple[str, list[str]]
"""The file of a module, "" for none, and the folders of a package."""

_READ: dict[str, str] = {}
"""Source file -> digest of what it held before this process imported it."""


def code_digest(model: Model) -> str | None:
    """Return a digest of all sources of a model; None where they cannot be told.

    That is also where this process imported a source that has changed since, or that it may have.
    """
    place, folder = _place_of(model), os.getcwd()
    if place.endswith((".py", ".json")):
        sources = _Sources([os.path.dirname(os.path.realpath(place)), *sys.path])
        sources.todo.append((os.path.realpath(place), ""))
    else:
        sources = _Sources(sys.path if folder in sys.path else [folder, *sys.path])
        if not sources.follow(place):
            return None
    if not sources.read() or _is_stale(sources.files):
        return None
    parts = [folder, *map(str, sorted([*sources.files.items(), *sources.libraries.items()]))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_below_here(model: Model) -> bool:
    """Whether a model's file is below the working folder; a module is wherever imports find it."""
    place = _place_of(model)
    named = place.endswith((".py", ".json"))
    return not named or Path(os.path.realpath(place)).is_relative_to(os.path.realpath(os.getcwd()))


def _place_of(model: Model) -> str:
    return model.name.rpartition(":")[0] if model.source == "python" else model.name


def _is_stale(files: dict[str, str]) -> bool:
    """Whether this process runs a source as it was before, or may do so; notes what is not run."""
    loaded = {
        os.path.realpath(file)
        for name, module in list(sys.modules.items())
        if not name.startswith(_OF_FILES)
        and isinstance(file := getattr(module, "__dict__", {}).get("__file__"), str)
    }
    _READ.update((file, digest) for file, digest in files.items() if file not in loaded)
    return any(_READ.get(file) != digest for file, digest in files.items())


class _Sources:
    """The files that a model's code is made of, and the libraries that it imports."""

    def __init__(self, path: list[str]) -> None:
        self.files: dict[str, str] = {}
        self.libraries: dict[str, str] = {}
        self.todo: list[tuple[str, str]] = []
        """Files to read, each with its package."""
        self._path = path
        self._found: dict[str, _Place | None] = {}

    def read(self) -> bool:
        """Read all files and what they import; return whether everything can be told."""
        while self.todo:
            file, package = self.todo.pop()
            if file in self.files:
                continue
            if not os.path.isfile(file):
                return False
            try:
                data = Path(file).read_bytes()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # such as a stray backslash in the user's code
                    nodes = list(ast.walk(ast.parse(data if file.endswith(".py") else b"")))
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                return False
            self.files[file] = hashlib.sha256(data).hexdigest()
            if len(self.files) > MOST_SOURCES or any(map(_imports_by_name, nodes)):
                return False
            for name in (name for node in nodes for name in _imported(node, package)):
                self.follow(name)
        return True

    def follow(self, name: str) -> bool:
        """Note the files of a module and its parents; return whether it is a source of its own."""
        if name in self._found:
            return self._found[name] is not None
        parent, _, last = name.rpartition(".")
        if parent and not self.follow(parent):
            return False
        found = _below(self._found[parent] or ("", []), last) if parent else self._top(name)
        self._found[name] = found
        if found is not None and found[0]:
            self.todo.append((os.path.realpath(found[0]), name if found[1] else parent))
        return found is not None

    def _top(self, name: str) -> _Place | None:
        """Find a module without a dot in its name; note a library, which is not followed."""
        found = None
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            # Hooks find what is installed in place; nothing is imported for it.
            found = PathFinder.find_spec(name, self._path) or importlib.util.find_spec(name)
        file = (found and found.has_location and found.origin) or ""
        folders = list((found and found.submodule_search_locations) or ())
        places = [file] if file else folders
        if name == "flopbench" or not places or any(map(is_library, places)):
            self.libraries[name] = _identity(name, file)
            return None
        return file, folders


def _below(package: _Place, name: str) -> _Place | None:
    """Find a module of a package, or a folder that serves as one."""
    for folder in (Path(place, name) for place in package[1]):
        file = folder / "__init__.py"
        if file.is_file() or (folder.is_dir() and not folder.with_suffix(".py").is_file()):
            return str(file) if file.is_file() else "", [str(folder)]
        if folder.with_suffix(".py").is_file():
            return str(folder.with_suffix(".py")), []
    return None


def _identity(name: str, file: str) -> str:
    """Return what tells one version of a library from another."""
    if name in sys.stdlib_module_names or not file:
        return ""
    state = os.stat(file)
    return f"{installed_version(name)} {state.st_size} {state.st_mtime_ns}"


def _imports_by_name(node: ast.AST) -> bool:
    name = getattr(node, "id", None) or getattr(node, "attr", None)
    return name in _BY_NAME or (isinstance(node, ast.Name) and node.id == "exec")


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a statement may import, the longest names last."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if not isinstance(node, ast.ImportFrom):
        return
    home = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) + 1 - node.level] if package else []
        if not any(above):
            return
        home = ".".join([*above, *filter(None, [node.module])])
    yield home
    yield from (f"{home}.{alias.name}" for alias in node.names if alias.name != "*")

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
    place = model.name.rpartition(":")[0] if model.source == "python" else model.name
    folder = os.getcwd()
    if place.endswith((".py", ".json")):
        first, folder = Path(place), os.path.dirname(os.path.realpath(place))
        sources = _Sources([folder, *sys.path])
        found = first.is_file() and sources.add(os.path.realpath(first), "")
    else:
        sources = _Sources(sys.path if folder in sys.path else [folder, *sys.path])
        found = sources.follow(place) and sources.whole
    if not found or not sources.files or _is_stale(sources.files):
        return None
    parts = [os.getcwd(), *map(str, sorted([*sources.files.items(), *sources.libraries.items()]))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


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
        self.whole = True
        self._path = path
        self._found: dict[str, _Place | None] = {}

    def add(self, file: str, package: str) -> bool:
        """Add a file and all that it imports; return whether everything can be told."""
        if file in self.files:
            return self.whole
        self.whole = self.whole and len(self.files) < MOST_SOURCES
        try:
            data = Path(file).read_bytes() if self.whole else b""
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as a stray backslash in the user's code
                tree = ast.parse(data if file.endswith(".py") else b"")
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            self.whole = False
            return False
        self.files[file] = hashlib.sha256(data).hexdigest()
        nodes = list(ast.walk(tree))
        self.whole &= not any(_imports_by_name(node) for node in nodes)
        for node in nodes:
            for name in _imported(node, package):
                if self.whole:
                    self.follow(name)
        return self.whole

    def follow(self, name: str) -> bool:
        """Add a module, its parents and all that they import; return whether it is one of them."""
        if name in self._found:
            return self._found[name] is not None
        parent, _, last = name.rpartition(".")
        if parent and not self.follow(parent):
            return False
        found = _below(self._found[parent] or ("", []), last) if parent else self._top(name)
        self._found[name] = found
        if found is not None and found[0]:
            self.add(os.path.realpath(found[0]), name if found[1] else parent)
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

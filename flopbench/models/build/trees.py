"""Imports one model from several source trees (two revisions of a repository) in one process.

Both trees have modules of the same names, so what one row imported is removed from ``sys.modules``
before the next row imports its own. The models keep their functions and classes; only the names
become free. What a model imports later, inside ``forward``, is therefore found in neither tree: the
row fails and says so. Code that registers something once per process (a torch operator, for
example) cannot be imported from a second tree.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType

from flopbench.core.errors import MeasureError
from flopbench.models.spec import ModelSpec

SOURCES = "src"
"""Folder in the root of many repositories that holds their packages."""

INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed code, even if inside the working folder, as in ``.venv``."""

_OWN = "flopbench"


@contextlib.contextmanager
def standing_in(root: str, roots: Sequence[str], spec: ModelSpec) -> Iterator[None]:
    """Build the model of ``spec`` inside; restore the process afterwards, except for libraries.

    ``root`` comes first on the import path, and nothing is imported from the other ``roots``. The
    import path loses the trees afterwards, so that nothing is imported from the wrong one later.
    No byte code is written into a tree.

    Raises:
        MeasureError: something came from another tree, or the model from none.
    """
    folder, path, known = os.getcwd(), list(sys.path), set(sys.modules)
    writes_none = sys.dont_write_bytecode
    here, others = _real(root), [_real(other) for other in roots if _real(other) != _real(root)]
    libraries = _libraries()
    sys.dont_write_bytecode = True
    sys.path[:] = _path_in(here, others, path, libraries)
    os.chdir(here)
    importlib.invalidate_caches()
    try:
        yield
        _check_origin(spec, here, others, known, libraries)
    finally:
        for name in list(_imported_from([here, *others], known, libraries)):
            sys.modules.pop(name, None)
        os.chdir(folder)
        trees = [here, *others]
        sys.path[:] = [p for p in path if not any(_lies_in([p], t, libraries) for t in trees)]
        sys.dont_write_bytecode = writes_none
        importlib.invalidate_caches()


def imported_late(roots: Sequence[str], known: set[str]) -> str:
    """Return a new module that was imported from a tree outside ``standing_in``, or "".

    Which row it belongs to is unknown: an import hook finds the same tree for both rows.
    """
    trees = [_real(root) for root in roots]
    return next(_imported_from(trees, known, _libraries()), "")


def _path_in(
    here: str, others: Sequence[str], path: Sequence[str], libraries: Sequence[str]
) -> list[str]:
    """Return the import path with every folder of another tree replaced by this tree's."""
    moved = [here, os.path.join(here, SOURCES)]
    for entry in path:
        other = next((tree for tree in others if _lies_in([entry], tree, libraries)), None)
        moved.append(entry if other is None else here + _real(entry)[len(other) :])
    return [entry for entry in dict.fromkeys(moved) if entry == here or os.path.exists(entry)]


def _check_origin(
    spec: ModelSpec,
    here: str,
    others: Sequence[str],
    known: set[str],
    libraries: Sequence[str],
) -> None:
    for name in _imported_from(others, known, libraries):
        raise MeasureError(
            f"{name} was imported from the other revision, so both would run the same code",
            "an installed copy of the project takes precedence over the revision: keep packages at "
            f"the root or in {SOURCES}/",
        )
    module = sys.modules.get(spec.name.rpartition(":")[0]) if spec.source == "python" else None
    if module is not None and not _lies_in(_places(module), here, libraries):
        raise MeasureError(
            f"{module.__name__} does not come from the revision but from an installed copy, so "
            "both revisions would run the same code",
            f"keep packages at the root of the repository or in {SOURCES}/",
        )


def _imported_from(
    trees: Sequence[str], known: set[str], libraries: Sequence[str]
) -> Iterator[str]:
    """Yield the names of new modules that lie in one of the trees, flopbench's own excepted."""
    for name, module in list(sys.modules.items()):
        if name in known or name.partition(".")[0] == _OWN:
            continue
        places = _places(module)
        if any(_lies_in(places, tree, libraries) for tree in trees):
            yield name


def _places(module: ModuleType) -> list[str]:
    """Return where a module lies: its file, or the folders of a package that has none."""
    names = getattr(module, "__dict__", {})  # some objects in sys.modules are not modules
    file = names.get("__file__")
    if isinstance(file, str):
        return [file]
    try:
        return [str(folder) for folder in names.get("__path__") or ()]
    except (KeyError, TypeError):  # a namespace package whose parent is gone
        return []


def _lies_in(places: Iterable[str], tree: str, libraries: Sequence[str]) -> bool:
    """Whether a place lies in a tree, but not among the libraries of an environment in it."""
    inside = [library for library in libraries if _below(library, tree)]
    return any(
        _below(place, tree) and not any(_below(place, library) for library in inside)
        for place in places
    )


def _below(place: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, as written or with links resolved."""
    paths = (os.path.abspath(place), _real(place))
    return any(path == folder or path.startswith(folder + os.sep) for path in paths)


def is_library(place: str) -> bool:
    """Whether a file or folder belongs to Python or to an installed package."""
    parts = set(os.path.normpath(place).split(os.sep))
    return bool(parts & INSTALLED) or any(_below(place, library) for library in _libraries())


def _libraries() -> list[str]:
    """Return where Python and its packages are installed."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_paths()[name] for name in names] + site.getsitepackages()
    return list(dict.fromkeys(_real(folder) for folder in folders))


def _real(path: str) -> str:
    return os.path.realpath(path)

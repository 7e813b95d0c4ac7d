"""What ``flopbench init`` finds in a folder: models and policy logs.

Models are found by reading source text; no user code is imported. A candidate can be called without
arguments and is at the top level of a file: a function whose annotation or name says that it makes
a model, or a subclass of ``nn.Module`` with a ``forward``. A class that another class of the file
mentions is a part of it, and a class that such a function makes is found through the function.
"""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath

from flopbench.check.records import Entry
from flopbench.core.errors import InputError
from flopbench.models.spec import parse_spec

MOST_FILES = 5000
"""Most files searched: a folder with more is hardly the root of a project."""
LARGEST_SOURCE_BYTES = 1_000_000
"""Larger source files are not written by hand."""
LOG_HEAD_CHARACTERS = 2000
"""A policy log names its format in its first lines."""

_LOG_FORMAT = "flopbench.policy-log"  # policy.header.FORMAT, which needs msgspec
_SKIPPED_FOLDERS = re.compile(
    r"\..*|.*\.egg-info|__pycache__|build|dist|env|venv|node_modules|site-packages|tests?"
)
_SKIPPED_FILES = re.compile(r"\..*|(test_.*|.*_test|conftest|setup)\.py")
_BUILDER = re.compile(
    r"(build|create|get|make)_(\w+_)?(model|network|backbone|[a-z0-9]*net\d*)"
    r"|build|model|net|network|backbone"
)
"""Names of functions that are taken for factories where no annotation says what they return."""
_GENERIC = re.compile(r"build|model|net|network|backbone|(build|create|get|make)_model")
"""Names that tell nothing about the model: the file's name tells more."""
_NO_FACTORIES = {"command", "contextmanager", "fixture", "main", "overload", "route", "task"}
"""Decorators of functions that are not meant to be called directly."""
_MODULE_BASES = {"Module", "nn.Module", "torch.nn.Module"}


def find_entries(root: Path) -> list[tuple[Entry, str]]:
    """Find models and policy logs below a folder; see the module's docstring.

    Tests, hidden folders, virtual environments and build outputs are left out, as are files that
    cannot be read or parsed, and all files after the first ``MOST_FILES``.

    Args:
        root: the folder from which models would be imported.

    Returns:
        Models by file and line, then policy logs by path, each with why it was taken for one.
    """
    models: list[tuple[Entry, str]] = []
    logs: list[tuple[Entry, str]] = []
    names: set[str] = set()
    for path in _files(root):
        inside = PurePosixPath(path.relative_to(root).as_posix())
        if path.suffix == ".py":
            place = _import_path(path, root)
            short = inside.parent.name if inside.stem == "__init__" else inside.stem
            for name, why in _models(path):
                model = f"{place}:{name}"
                if _is_specification(model):
                    wanted = short if _GENERIC.fullmatch(name) else name
                    unique = unique_name([wanted, f"{short}.{name}"], names)
                    models.append((Entry(name=unique, model=model), why))
        elif _is_log(path) and inside.as_posix().isprintable():
            unique = unique_name([inside.stem, inside.with_suffix("").as_posix()], names)
            entry = Entry(name=unique, policy_log=inside.as_posix())
            logs.append((entry, f"holds {_LOG_FORMAT}"))
    return models + logs


def unique_name(candidates: Sequence[str], taken: set[str]) -> str:
    """Return the first free name, with a number if none is, and mark it as taken."""
    numbered = (f"{candidates[-1]}-{number}" for number in count(2))
    name = next(name for name in chain(candidates, numbered) if name not in taken)
    taken.add(name)
    return name


def _files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not (_SKIPPED_FOLDERS.fullmatch(name) or Path(folder, name, "pyvenv.cfg").is_file())
        )
        for name in sorted(files):
            if name.endswith((".json", ".jsonl", ".py")) and not _SKIPPED_FILES.fullmatch(name):
                seen += 1
                if seen > MOST_FILES:
                    return
                yield Path(folder, name)


def _is_log(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return _LOG_FORMAT in stream.read(LOG_HEAD_CHARACTERS)
    except OSError:
        return False


def _import_path(path: Path, root: Path) -> str:
    """Return what goes before the colon: a dotted module inside a package, else the file."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while folder != root and (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    dotted = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    packaged = path.parent != folder
    if packaged and dotted and (folder == root or _is_installed(folder / parts[0])):
        return ".".join(parts)
    return path.relative_to(root).as_posix()


def _is_installed(package: Path) -> bool:
    """Whether Python finds a package in this very folder (``src/my_pkg``), without importing it."""
    try:
        spec = importlib.util.find_spec(package.name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == str(package / "__init__.py")


def _is_specification(model: str) -> bool:
    """Whether a path can be written in a specification, where some characters have a meaning."""
    try:
        spec = parse_spec(model)
    except InputError:
        return False
    return model.isprintable() and spec.source == "python" and spec.name == model


def _models(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and reason of each model that a source file makes, in file order."""
    try:
        if path.stat().st_size > LARGEST_SOURCE_BYTES:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a stray backslash in the user's code
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    modules = _MODULE_BASES | {node.name for node in classes if _bases(node)}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    factories = {node.name: why for node in functions if (why := _made(node, modules))}
    users = [*classes, *(node for node in functions if node.name in factories)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in factories:
            yield node.name, factories[node.name]
        if isinstance(node, ast.ClassDef) and _is_model(node):
            others = (one for user in users if user is not node for one in ast.walk(user))
            if not any(isinstance(one, ast.Name) and one.id == node.name for one in others):
                yield node.name, "a Module that needs no arguments"


def _bases(node: ast.ClassDef) -> set[str]:
    """Return the base classes that make a class a Module."""
    return _MODULE_BASES & set(map(ast.unparse, node.bases))


def _is_model(node: ast.ClassDef) -> bool:
    """Whether a class is a public Module that can be made without arguments and run."""
    methods = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
    init = methods.get("__init__")
    ready = init is None or not _needs_arguments(init, bound=1)
    plain = not node.name.startswith("_") and "dataclass" not in _decorators(node)
    return bool(_bases(node)) and "forward" in methods and ready and plain


def _made(node: ast.FunctionDef, modules: set[str]) -> str:
    """Say why a public function makes a model; empty where it does not, or needs arguments."""
    unfit = node.name.startswith("_") or _decorators(node) & _NO_FACTORIES
    if unfit or _needs_arguments(node, bound=0):
        return ""
    if node.returns is not None and ast.unparse(node.returns) not in {"Any", "typing.Any"}:
        # Perhaps quoted, optional, or paired with its inputs.
        text = ast.unparse(node.returns).strip("'\"")
        text = re.sub(r"^(?:\w+\.)?Optional\[(.*)\]$|^(.*) \| None$", r"\1\2", text)
        text = re.sub(r"^(?:\w+\.)?[tT]uple\[([\w.]+), [^,]*\]$", r"\1", text)
        return "returns a Module" if text in modules else ""
    nodes = list(ast.walk(node))
    returns = any(isinstance(one, ast.Return) and one.value is not None for one in nodes)
    yields = any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in nodes)
    named = _BUILDER.fullmatch(node.name) is not None
    return "named like a model factory" if named and returns and not yields else ""


def _decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return {ast.unparse(one).split("(")[0].split(".")[-1] for one in node.decorator_list}


def _needs_arguments(node: ast.FunctionDef, *, bound: int) -> bool:
    """Whether a call fails without arguments other than the ``bound`` first ones."""
    positional = len(node.args.posonlyargs) + len(node.args.args) - bound
    keywords = any(default is None for default in node.args.kw_defaults)
    return positional > len(node.args.defaults) or keywords

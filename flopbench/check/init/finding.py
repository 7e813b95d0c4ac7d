"""What ``flopbench init`` finds in a folder: models and policy logs.

Models are found by reading source text; no user code is imported. A candidate can be called without
arguments and is at the top level of a file: a function whose annotation or name says that it makes
a model, or a subclass of ``nn.Module`` with a ``forward``. A class that another class of the file
uses is a part of it, and a class that a function makes is found through the function.
"""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from flopbench.core.errors import InputError
from flopbench.models.spec import parse_spec

MOST_FILES = 5000
"""Most files searched: a folder with more is hardly the root of a project."""
LARGEST_SOURCE_BYTES = 1_000_000
"""Larger source files are not written by hand."""
LOG_HEAD_CHARACTERS = 2000
"""A policy log names its format in its first lines."""

_LOG_FORMAT = "flopbench.policy-log"  # policy.header.FORMAT, which needs msgspec
_SKIPPED_FOLDERS = {
    "__pycache__",
    "build",
    "dist",
    "env",
    "node_modules",
    "site-packages",
    "test",
    "tests",
    "venv",
}
_SKIPPED_FILES = re.compile(r"(test_.*|.*_test|conftest|setup)\.py")
_BUILDERS = {"build", "model", "net", "network", "backbone"}
"""Functions with exactly one of these names are taken for factories."""
_VERBS = {"build", "create", "get", "make"}
_GENERIC = _BUILDERS | {f"{verb}_model" for verb in _VERBS}
"""Names that tell nothing about the model: the file's name tells more."""
_NOUN = re.compile(r"(model|network|backbone|[a-z0-9]*net)(v?\d+[a-z]?)?")
_OTHER_NOUNS = {
    *("args", "cfg", "class", "config", "configs", "dir", "file", "id", "info", "input", "inputs"),
    *("list", "name", "names", "optimizer", "options", "params", "parser", "path", "paths"),
    *("registry", "size", "state", "stats", "summary", "type", "url", "version", "weights"),
}
"""A last word of a name: the function makes something about a model, not the model."""
_NO_FACTORIES = {"command", "contextmanager", "fixture", "main", "overload", "route", "task"}
"""Decorators of functions that are not meant to be called directly."""
_MODULE_BASES = {"Module", "nn.Module", "torch.nn.Module"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that could be guarded.

    Attributes:
        name: a short name, unique among the candidates.
        model: its specification, empty for a policy log.
        policy_log: its path, empty for a model.
        why: why it is a candidate, in a few words.
    """

    name: str
    model: str = ""
    policy_log: str = ""
    why: str


def find_entries(root: Path) -> list[Candidate]:
    """Find models and policy logs below a folder; see the module's docstring.

    Tests, hidden folders, virtual environments and build outputs are left out, as are files that
    cannot be read or parsed, and all files after the first ``MOST_FILES``.

    Args:
        root: the folder from which models would be imported.

    Returns:
        Models by file and line, then policy logs by path.
    """
    models: list[Candidate] = []
    logs: list[Candidate] = []
    names: set[str] = set()
    for path in _files(root):
        inside = PurePosixPath(path.relative_to(root).as_posix())
        if path.suffix == ".py":
            place = _import_path(path, root)
            for name, why in _models(path):
                model = f"{place}:{name}"
                if _is_specification(model):
                    short = inside.parent.name if inside.stem == "__init__" else inside.stem
                    wanted = short if name in _GENERIC else name
                    unique = unique_name([wanted, f"{short}.{name}"], names)
                    models.append(Candidate(name=unique, model=model, why=why))
        elif _is_log(path) and inside.as_posix().isprintable():
            unique = unique_name([inside.stem, inside.with_suffix("").as_posix()], names)
            why = f"holds {_LOG_FORMAT}"
            logs.append(Candidate(name=unique, policy_log=inside.as_posix(), why=why))
    return models + logs


def _files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(folder, name)))
        for name in sorted(files):
            wanted = name.endswith((".json", ".jsonl")) or (
                name.endswith(".py") and not _SKIPPED_FILES.fullmatch(name)
            )
            if wanted and not name.startswith("."):
                seen += 1
                if seen > MOST_FILES:
                    return
                yield Path(folder, name)


def _is_skipped(folder: Path) -> bool:
    name = folder.name
    return (
        name in _SKIPPED_FOLDERS
        or name.startswith(".")
        or name.endswith(".egg-info")
        or (folder / "pyvenv.cfg").is_file()
    )


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


def unique_name(candidates: Sequence[str], taken: set[str]) -> str:
    """Return the first free name, with a number if none is, and mark it as taken."""
    numbered = (f"{candidates[-1]}-{number}" for number in count(2))
    name = next(name for name in chain(candidates, numbered) if name not in taken)
    taken.add(name)
    return name


def _models(path: Path) -> list[tuple[str, str]]:
    """Return name and reason of each model that a source file makes, in file order."""
    try:
        if path.stat().st_size > LARGEST_SOURCE_BYTES:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a stray backslash in the user's code
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    classes = _module_classes(tree)
    factories: dict[str, str] = {}
    made: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            why = _factory_reason(node, classes)
            if why:
                factories[node.name] = why
                made |= _used(node, classes)
    parts = {
        name for other in classes.values() for name in _used(other, classes) if name != other.name
    }
    reasons = {
        node.name: factories.get(node.name, "")
        if isinstance(node, ast.FunctionDef)
        else _class_reason(node, classes)
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and node.name not in parts | made
    }
    return [(name, why) for name, why in reasons.items() if why]


def _module_classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Return the classes of a file that are Modules, directly or through each other."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, ast.ClassDef] = {}
    while True:
        known = _MODULE_BASES | set(found)
        more = {
            name: node
            for name, node in classes.items()
            if name not in found and any(ast.unparse(base) in known for base in node.bases)
        }
        if not more:
            return {name: node for name, node in classes.items() if name in found}
        found |= more


def _factory_reason(node: ast.FunctionDef, classes: Mapping[str, ast.ClassDef]) -> str:
    """Say why a function makes a model; empty where it does not, or needs arguments."""
    decorators = {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}
    if _needs_arguments(node, bound=0) or decorators & _NO_FACTORIES:
        return ""
    if node.returns is not None and not _is_any(node.returns):
        return "returns a Module" if _names_module(node.returns, classes) else ""
    returns = any(isinstance(n, ast.Return) and n.value is not None for n in _own_nodes(node))
    return "named like a model factory" if returns and _is_builder_name(node.name) else ""


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk through a function without the functions inside it; nothing for a generator."""
    nodes: list[ast.AST] = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
    if not any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes):
        yield from nodes


def _is_builder_name(name: str) -> bool:
    words = name.lower().split("_")
    if name in _BUILDERS:
        return True
    nouns = any(_NOUN.fullmatch(word) for word in words[1:])
    return words[0] in _VERBS and nouns and words[-1] not in _OTHER_NOUNS


def _is_any(annotation: ast.expr) -> bool:
    return ast.unparse(annotation) in {"Any", "typing.Any"}


def _names_module(annotation: ast.expr | None, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether an annotation is a Module, perhaps quoted, optional, or paired with its inputs."""
    match annotation:
        case ast.Constant(value=str(text)):
            try:
                return _names_module(ast.parse(text, mode="eval").body, classes)
            except SyntaxError:
                return False
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _names_module(left, classes) or _names_module(right, classes)
        case ast.Subscript(value=outer, slice=ast.Tuple(elts=[first, _])):
            is_pair = ast.unparse(outer).split(".")[-1] in {"tuple", "Tuple"}
            return is_pair and _names_module(first, classes)
        case ast.Subscript(value=outer, slice=inner):
            is_optional = ast.unparse(outer).split(".")[-1] == "Optional"
            return is_optional and _names_module(inner, classes)
        case ast.Name() | ast.Attribute():
            return ast.unparse(annotation) in _MODULE_BASES | set(classes)
    return False


def _class_reason(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> str:
    """Say why a class is a model; empty where it is not, lacks forward, or needs arguments."""
    if node.name not in classes or any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        return ""
    family = _family(node, classes)
    init = next((m for c in family for m in c.body if _defines(m, "__init__")), None)
    if isinstance(init, ast.FunctionDef) and _needs_arguments(init, bound=1):
        return ""
    has_forward = any(_defines(member, "forward") for c in family for member in c.body)
    return "a Module that needs no arguments" if has_forward else ""


def _family(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """Return a class and its base classes in the same file, the nearest first."""
    family = [node]
    for member in family:  # grows during the loop
        bases = [classes[name] for name in map(ast.unparse, member.bases) if name in classes]
        family += [base for base in bases if base not in family]
    return family


def _defines(member: ast.stmt, name: str) -> bool:
    if isinstance(member, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == name for t in member.targets)
    return isinstance(member, _Function) and member.name == name


def _needs_arguments(node: ast.FunctionDef, *, bound: int) -> bool:
    """Whether a call without arguments would fail.

    Args:
        node: the function.
        bound: positional arguments that a bound call fills in.
    """
    positional = len(node.args.posonlyargs) + len(node.args.args) - bound
    keywords = any(default is None for default in node.args.kw_defaults)
    return positional > len(node.args.defaults) or keywords


def _used(node: ast.AST, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """Return the Modules that a class or function calls, or passes to a call."""
    names: set[str] = set()
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        if isinstance(call.func, ast.Name) and call.func.id in {
            "isinstance",
            "issubclass",
            "super",
        }:
            continue
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr not in {"__init__", "forward"}:
            func = func.value  # Net.small() makes a Net; Base.__init__(self) makes none
        values = [func, *call.args, *(word.value for word in call.keywords)]
        names |= {value.id for value in values if isinstance(value, ast.Name)}
    return names & set(classes)

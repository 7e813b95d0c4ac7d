"""What ``flopbench init`` finds in a folder, and what it writes: configuration and CI snippet.

Models are found by reading source text; nothing of the user's is imported. What counts is what can
be called without arguments and stands at the top of a file: a function that says or whose name says
that it makes a model, or a subclass of ``nn.Module`` with a ``forward``. A class that another class
of the file uses is a part, and a class that a function makes is found through the function.

Lives here: the search, the text. Does not live here: whether what was found can be counted
(``stock``), writing files (``cli.init_verb``).
"""

from __future__ import annotations

import ast
import importlib.util
import json
import keyword
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from flopbench.check.config import DEFAULT_COUNTER, OWN_FILE
from flopbench.check.records import BASELINE, Entry
from flopbench.errors import InputError
from flopbench.specs import parse_spec

MOST_FILES = 5000
"""Files looked at: a folder with more is no project's root, and a search must end."""
LARGEST_SOURCE_BYTES = 1_000_000
"""Nobody writes larger source files by hand."""
LOG_HEAD_CHARACTERS = 2000
"""A policy log says what it is in its first lines."""

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
"""Functions of exactly such a name are taken for factories."""
_VERBS = {"build", "create", "get", "make"}
_GENERIC = _BUILDERS | {f"{verb}_model" for verb in _VERBS}
"""Names that say nothing about the model: its file's name says more."""
_NOUN = re.compile(r"(model|network|backbone|[a-z0-9]*net)(v?\d+[a-z]?)?")
_OTHER_NOUNS = {
    *("args", "cfg", "class", "config", "configs", "dir", "file", "id", "info", "input", "inputs"),
    *("list", "name", "names", "optimizer", "options", "params", "parser", "path", "paths"),
    *("registry", "size", "state", "stats", "summary", "type", "url", "version", "weights"),
}
"""A last word that says that something about a model is made, not the model."""
_NO_FACTORIES = {"command", "contextmanager", "fixture", "main", "overload", "route", "task"}
"""Decorators of functions that are not meant to be called as they stand."""
_MODULE_BASES = {"Module", "nn.Module", "torch.nn.Module"}

_HEAD = f"""\
# What `flopbench check` guards: {OWN_FILE}, written by `flopbench init`, yours to edit.
# A line that begins with "#" and no blank is an example; take the "#" away to use it.

# Whose multiply-accumulates (MACs) are guarded; `flopbench counters` lists the counters.
counter = "{DEFAULT_COUNTER}"

# The accepted costs, relative to this file. Commit it; only `flopbench accept` moves it.
baseline = "{BASELINE}"
"""
_ENTRIES = """\
# Entries: what is guarded, one block each. Every model is guarded by its MACs, its parameters and
# its activations, every policy log by its MACs per video: none may grow without `flopbench accept`.
#   name        what budgets and messages call it; default: the model or the log as written here
#   model       resnet50@224, timm:efficientnet_b3@300, my_pkg.nets:build@224, nets.py:build;
#               after @ stands the input size: 224 pixels, HEIGHTxWIDTH or FRAMESxHEIGHTxWIDTH
#   policy-log  in place of model: the log of an adaptive policy, a path or a glob
#   preset      with policy-log: what its decisions mean, where the log does not say
#   rule        with policy-log: exact (the default) or published
#   components  with policy-log: other models in place of the log's own, such as
#               { policy = "my_pkg.nets:policy@84" }; variants = { lstm = "released" } chooses among
#               those of a preset
"""
_NO_ENTRY = """\
#[[entries]]
#name = "backbone"
#model = "resnet50@224"
"""
_BUDGETS = """\
# Budgets: what differs from "may not grow". For each entry and metric the last budget that matches
# counts, whole.
#   match         glob over names of entries (*, ?, [ab]); default "*"
#   metric        macs, params, activations, gflops_per_video or latency
#   limit         most that is allowed, the limit itself included; the unit is required, and
#                 1 MAC = 2 FLOPs: "4.2 GMACs" and "8.4 GFLOPs" are the same
#   max-increase  growth over the baseline that is let pass; default "0%", for a latency "10%"
#   min-delta     growth of at most this amount is let pass too; with its unit
#   gate          exact (the default) or advisory, which tells and never fails; for a latency
#                 same-machine (the default), paired (two revisions in one job) or advisory
#   note          to whoever meets the budget

#[[budgets]]
#metric = "macs"
#limit = "4.2 GMACs"
#max-increase = "0%"
#min-delta = "1 MMACs"
#gate = "exact"
#note = "The edge device has no room for more; ask before raising this."

#[[budgets]]
#metric = "params"
#limit = "25.6 M params"
#max-increase = "1%"

#[[budgets]]
#metric = "activations"
#limit = "11.2 M activations"
#gate = "advisory"

#[[budgets]]
#metric = "gflops_per_video"
#limit = "33.5 GMACs/video"

#[[budgets]]
#metric = "latency"
#limit = "15 ms"
#max-increase = "10%"
#gate = "same-machine"
"""

CI_SNIPPET = """\
# .github/workflows/model-cost.yml
name: model cost
on: [pull_request]
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      # Install here, too, what your models import.
      - run: python -m pip install "flopbench[measure]"
      # Against the branch that it will be merged into: a baseline that the pull request
      # changed by hand accepts nothing.
      - run: flopbench check --github --against "origin/$GITHUB_BASE_REF"
"""
"""A GitHub Actions workflow that checks each pull request."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that could be guarded.

    Attributes:
        name: a short name, unique among what was found.
        model: its specification, empty for a policy log.
        policy_log: its path, empty for a model.
        why: why it was taken for one, in a few words.
    """

    name: str
    model: str = ""
    policy_log: str = ""
    why: str


def find_entries(root: Path) -> list[Found]:
    """Find models and policy logs below a folder; see the module's docstring.

    Tests, hidden folders, virtual environments and build outputs are left out, as is what cannot
    be read or parsed, and whatever lies beyond the first ``MOST_FILES`` files.

    Args:
        root: the folder that models would be imported from.

    Returns:
        Models by file and line, then policy logs by path.
    """
    models: list[Found] = []
    logs: list[Found] = []
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
                    unique = _unique([wanted, f"{short}.{name}"], names)
                    models.append(Found(name=unique, model=model, why=why))
        elif _is_log(path) and inside.as_posix().isprintable():
            unique = _unique([inside.stem, inside.with_suffix("").as_posix()], names)
            why = f"holds {_LOG_FORMAT}"
            logs.append(Found(name=unique, policy_log=inside.as_posix(), why=why))
    return models + logs


def config_text(entries: Sequence[Entry], failures: Mapping[str, str]) -> str:
    """Return the text of a new ``flopbench.toml``, every key explained.

    Args:
        entries: what is to be guarded. A name that comes twice gets a number.
        failures: name -> why the entry could not be measured; it is written as a comment.

    Returns:
        TOML. ``config.read_config`` takes it where an entry is left that did not fail.
    """
    taken: set[str] = set()
    blocks = []
    for entry in entries:
        block = _entry_text(entry, _unique([entry.name], taken))
        if entry.name in failures:
            reason = f"# Could not be measured: {_one_line(failures[entry.name])}\n"
            block = reason + "".join(f"#{line}\n" for line in block.splitlines())
        blocks.append(block)
    if all(entry.name in failures for entry in entries):
        blocks.append(_NO_ENTRY)
    return "\n".join([_HEAD, _ENTRIES, *blocks, _BUDGETS])


def ci_snippet() -> str:
    """Return a GitHub Actions workflow that checks each pull request."""
    return CI_SNIPPET


def _entry_text(entry: Entry, name: str) -> str:
    values = {
        "name": name,
        "model": entry.model,
        "policy-log": entry.policy_log,
        "preset": entry.preset,
        "rule": entry.rule,
    }
    lines = [f"{key} = {_toml_text(value)}" for key, value in values.items() if value]
    return "\n".join(["[[entries]]", *lines]) + "\n"


def _toml_text(value: str) -> str:
    """Write a basic string; JSON's escapes are TOML's, which wants one more character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Return text that may stand in a comment, which ends with its line."""
    words = "".join(sign if sign.isprintable() else " " for sign in text).split()
    return " ".join(words) or "no reason given"


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
    """Return what stands before the colon: a dotted module inside a package, else the file."""
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
    """Whether Python finds a package in this very folder (``src/my_pkg``); it is not imported."""
    try:
        spec = importlib.util.find_spec(package.name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == str(package / "__init__.py")


def _is_specification(model: str) -> bool:
    """Whether a path can be written in a specification, which gives some signs a meaning."""
    try:
        spec = parse_spec(model)
    except InputError:
        return False
    return model.isprintable() and spec.source == "python" and spec.name == model


def _unique(candidates: Sequence[str], taken: set[str]) -> str:
    """Return the first name that is free, at last one with a number, and take it."""
    numbered = (f"{candidates[-1]}-{number}" for number in count(2))
    name = next(name for name in chain(candidates, numbered) if name not in taken)
    taken.add(name)
    return name


def _models(path: Path) -> list[tuple[str, str]]:
    """Return name and reason of each model that a source file makes, in the file's order."""
    try:
        if path.stat().st_size > LARGEST_SOURCE_BYTES:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in the user's code
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
    """Return the classes of a file that are Modules, also through one another."""
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
    """Say why a function makes a model; empty where it does not, or where it needs arguments."""
    decorators = {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}
    if _needs_arguments(node, bound=0) or decorators & _NO_FACTORIES:
        return ""
    if node.returns is not None and not _is_any(node.returns):
        return "returns a Module" if _names_module(node.returns, classes) else ""
    returns = any(isinstance(n, ast.Return) and n.value is not None for n in _own_nodes(node))
    return "named as what makes a model" if returns and _is_builder_name(node.name) else ""


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk through a function, not through functions inside it; a generator gives nothing."""
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
    """Whether an annotation is a Module, perhaps quoted, optional, or beside its inputs."""
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
    """Say why a class is a model; empty where it is none, lacks forward, or needs arguments."""
    if node.name not in classes or any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        return ""
    family = _family(node, classes)
    init = next((m for c in family for m in c.body if _defines(m, "__init__")), None)
    if isinstance(init, ast.FunctionDef) and _needs_arguments(init, bound=1):
        return ""
    has_forward = any(_defines(member, "forward") for c in family for member in c.body)
    return "a Module that needs no arguments" if has_forward else ""


def _family(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """Return a class and those of the same file that it inherits from, the nearest first."""
    family = [node]
    for member in family:  # grows as it is walked
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
        bound: positional arguments that a call through an object fills in.
    """
    positional = len(node.args.posonlyargs) + len(node.args.args) - bound
    keywords = any(default is None for default in node.args.kw_defaults)
    return positional > len(node.args.defaults) or keywords


def _used(node: ast.AST, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """Return the Modules that a class or function calls, or hands to a call."""
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

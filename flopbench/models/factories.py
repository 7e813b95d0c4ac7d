"""What a source file offers as models: factories and modules, found by reading its text.

Nothing is imported. A candidate can be called without arguments and is at the top level of a file:
a function whose annotation or name says that it makes a model, or a subclass of ``nn.Module`` with
a ``forward``. A class that another class of the file mentions is a part of it, and a class that
such a function makes is found through the function.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.limits import LARGEST_SOURCE_BYTES
from flopbench.models.spec import ModelSpec, parse_spec

Options = tuple[tuple[str, Any], ...]

_BUILDER = re.compile(
    r"(build|create|get|make)_(\w+_)?(model|network|backbone|[a-z0-9]*net\d*)"
    r"|(build|make)_(\w+_)?(policy|gate|classifier)"
    r"|build|model|net|network|backbone"
)
"""Names of functions that are taken for factories where no annotation says what they return."""
_NO_FACTORIES = {"command", "contextmanager", "fixture", "main", "overload", "route", "task"}
"""Decorators of functions that are not meant to be called directly."""
_MODULE_BASES = {"Module", "nn.Module", "torch.nn.Module"}


_PRETRAINED = re.compile(r"(\w+_)?pretrain(ed)?(_\w+)?")
_WEIGHTS = re.compile(
    r"((backbone|encoder|model|imagenet)_)?(weights|checkpoint|ckpt)"
    r"(_(path|file|url|name|backbone|encoder))?"
)
"""Names of parameters for weights, which may name the weights or switch them on."""


class Factory(Struct, frozen=True):
    """What makes a model.

    Attributes:
        name: of the function or class.
        why: why it was taken for one.
        without_weights: options that keep it from loading pretrained weights, as it does by itself.
    """

    name: str
    why: str
    without_weights: Options = ()


def names_weights(name: str) -> bool:
    """Whether a parameter of this name may name weights, or switch them on."""
    return bool(_PRETRAINED.fullmatch(name) or _WEIGHTS.fullmatch(name))


def without_weights(defaults: Mapping[str, Any]) -> Options:
    """Return the options that leave out pretrained weights, which do not change a cost.

    Args:
        defaults: parameter -> default, for parameters that have one.
    """
    found: dict[str, bool | None] = {}
    for name, default in defaults.items():
        if default is True and _PRETRAINED.fullmatch(name):
            found[name] = False
        if names_weights(name) and default and isinstance(default, (str, enum.Enum)):
            found[name] = None
    return tuple(sorted(found.items()))


def specs_in(path: Path) -> dict[ModelSpec, str]:
    """Return the specifications of what a source file offers, without inputs -> why it is one."""
    found = {}
    for factory in factories_in(path):
        with contextlib.suppress(InputError):  # a path may have what means something else there
            spec = parse_spec(f"{path.as_posix()}:{factory.name}")
            found[replace(spec, options=factory.without_weights)] = factory.why
    return found


def offered_by(text: str) -> dict[ModelSpec, str]:
    """Return ``specs_in`` of a file of code that was named in place of a model.

    Raises:
        InputError: it offers nothing.
    """
    found = specs_in(Path(text))
    if not found:
        raise InputError(
            f"{text}: no function or module that needs no arguments",
            f"name one with its options, such as {text}:build@224,width=64",
        )
    return found


def is_code(text: str) -> bool:
    """Whether a text names a file of code, without a factory in it."""
    return text.endswith(".py") and Path(text).is_file()


def leaving_out_weights(spec: ModelSpec) -> ModelSpec:
    """Return a specification of own code with the options that it needs to load no weights.

    Its source is looked for below the working folder; options that are given stay.
    """
    if spec.source != "python":
        return spec
    place, _, name = spec.name.rpartition(":")
    dotted = Path(*place.split("."))
    files = [dotted.with_suffix(".py"), dotted / "__init__.py"]
    files = [Path(place)] if place.endswith(".py") else [*files, *(Path("src") / f for f in files)]
    tree = next(filter(None, map(_parsed, files)), None)
    for node in tree.body if tree is not None else ():
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            options = dict(_left_out(node)) | dict(spec.options)
            return replace(spec, options=tuple(sorted(options.items())))
    return spec


def _left_out(node: ast.FunctionDef | ast.ClassDef) -> Options:
    made = _method(node, "__init__") if isinstance(node, ast.ClassDef) else node
    return without_weights(_defaults(made)) if made is not None else ()


def _parsed(path: Path) -> ast.Module | None:
    try:
        if path.stat().st_size > LARGEST_SOURCE_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a stray backslash in the user's code
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    members = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == name]
    return members[-1] if members else None


def _defaults(node: ast.FunctionDef) -> dict[str, Any]:
    """Return the defaults of a function: constants, and names as they are written."""
    places = [*node.args.posonlyargs, *node.args.args]
    positional = node.args.defaults
    pairs = [
        *zip(places[len(places) - len(positional) :], positional, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    return {
        place.arg: value.value if isinstance(value, ast.Constant) else ast.unparse(value)
        for place, value in pairs
        if isinstance(value, (ast.Constant, ast.Attribute))
    }


def factories_in(path: Path) -> Iterator[Factory]:
    """Yield each model that a source file makes, in file order."""
    tree = _parsed(path)
    if tree is None:
        return
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    modules = _MODULE_BASES | {node.name for node in classes if _bases(node)}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    factories = {node.name: why for node in functions if (why := _made(node, modules))}
    users = [*classes, *(node for node in functions if node.name in factories)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in factories:
            yield Factory(node.name, factories[node.name], _left_out(node))
        if isinstance(node, ast.ClassDef) and _is_model(node):
            others = (one for user in users if user is not node for one in ast.walk(user))
            if not any(isinstance(one, ast.Name) and one.id == node.name for one in others):
                why = "a Module that needs no arguments"
                yield Factory(node.name, why, _left_out(node))


def _bases(node: ast.ClassDef) -> set[str]:
    """Return the base classes that make a class a Module."""
    return _MODULE_BASES & set(map(ast.unparse, node.bases))


def _is_model(node: ast.ClassDef) -> bool:
    """Whether a class is a public Module that can be made without arguments and run."""
    init = _method(node, "__init__")
    ready = init is None or not _needs_arguments(init, bound=1)
    plain = not node.name.startswith("_") and "dataclass" not in _decorators(node)
    return bool(_bases(node)) and _method(node, "forward") is not None and ready and plain


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

"""Builds models from the user's own code: ``package.module:factory`` and ``file.py:factory``.

The code runs only because the user named it. A factory is called with the options of the
specification and returns an ``nn.Module``; ``(module, inputs)``, where inputs is a tensor, a tuple
of positional or a dict of keyword arguments, or their shapes; or ``(module, args, kwargs)``. A
module alone gets the inputs that the specification names, or one image.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec.structs import replace
from torch import nn

from flopbench.core.errors import InputError, near_match
from flopbench.models.build.builders import NO_DOWNLOAD, DownloadRefused, wanted_download
from flopbench.models.build.built import Built, head_width, image_input, reason, replace_head
from flopbench.models.build.contained import contained
from flopbench.models.build.copies import unwrap
from flopbench.models.build.hints import file_instead, object_instead
from flopbench.models.build.inputs import describe_inputs, example_inputs
from flopbench.models.build.trees import is_library
from flopbench.models.factories import without_weights
from flopbench.models.spec import DEFAULT_SIZE, ModelSpec, format_size

_FOLDERS: set[str] = set()
"""Folders of files that were named as models, which ``_prefer`` put on the import path."""


def build_user_model(spec: ModelSpec) -> Built:
    """Import the module, call the factory, make an input; see ``by_source.build``.

    Raises:
        InputError: the code cannot be imported or fails, or returns something else.
    """
    path, _, name = spec.name.rpartition(":")
    with contained():
        factory = _find(_import(path), name, path)
        result = _call(factory, dict(spec.options), spec)
    module, *inputs = result if isinstance(result, tuple) and 2 <= len(result) <= 3 else (result,)
    if not isinstance(module, nn.Module):
        what, hint = object_instead(module)
        raise InputError(
            f"{spec.name} returned {what} where a torch.nn.Module was expected",
            hint or "a factory returns a Module, (Module, inputs) or (Module, args, kwargs)",
        )
    module = unwrap(module)
    if spec.classes is not None:
        replace_head(module, spec.classes, spec.name)
    if not any(value is not None for value in inputs):
        return with_inputs(module, spec)
    if spec.input:
        raise InputError(
            f"{spec.name} brings its own inputs, so @{spec.input} cannot apply",
            "leave out the input, or let the factory return the Module alone",
        )
    return _with(module, *inputs)


def with_inputs(module: nn.Module, spec: ModelSpec) -> Built:
    """Give a module the inputs that the specification names, else one image of the default size.

    An image has the dtype of the module's first parameter.
    """
    if spec.shapes:
        return _with(module, spec.shapes)
    size = spec.size or DEFAULT_SIZE
    image = image_input(spec, size)
    first = next(module.parameters(), image)
    return Built(
        module=module,
        args=(image.to(first.dtype) if first.is_floating_point() else image,),
        input=format_size(size),
        feature_dim=head_width(module),
    )


def _with(module: nn.Module, *inputs: Any) -> Built:
    args, kwargs = example_inputs(module, *inputs)
    return Built(
        module=module,
        args=args,
        kwargs=kwargs,
        input=describe_inputs(args, kwargs),
        feature_dim=head_width(module),
    )


def _import(path: str) -> ModuleType:
    if path.endswith(".py"):
        return _import_file(Path(path))
    file = file_instead(path)
    if file is not None:
        raise InputError(*file)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:
        _refuse_download(error, path)
        raise InputError(
            f"cannot import {path!r}: {reason(error)}{_where(error)}",
            "name an importable module, or a file as path/to/file.py:factory",
        ) from error


def _import_file(path: Path) -> ModuleType:
    if not os.path.isfile(path):
        raise InputError(f"there is no file {path}")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module_spec = importlib.util.spec_from_file_location(f"_flopbench_{digest}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    _prefer(path.resolve().parent)
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_spec.name]
        _refuse_download(error, str(path))
        raise InputError(f"cannot import {path}: {reason(error)}{_where(error)}") from error
    return module


def _prefer(folder: Path) -> None:
    """Let what a file imports come from its folder first.

    Two files of one process may each have a ``util.py`` next to them: a module that came from
    another file's folder, and that this folder has too, is dropped, so that it is imported again.
    """
    others = _FOLDERS - {str(folder)}
    for name in list(sys.modules):
        top = name.partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None) or ""
        home = Path(file).parent.parent if Path(file).name == "__init__.py" else Path(file).parent
        beside = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
        if file and beside and str(home) in others:
            for part in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
                del sys.modules[part]
    _FOLDERS.add(str(folder))
    sys.path[:] = [str(folder), *(path for path in sys.path if path != str(folder))]


def _find(module: ModuleType, name: str, path: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        public = [key for key, value in vars(module).items() if callable(value)]
        near = difflib.get_close_matches(name, public, n=1)
        raise InputError(f"{path} has no {name!r}", f"did you mean {near[0]!r}?" if near else "")
    return found


def _call(factory: Any, options: dict[str, Any], spec: ModelSpec) -> Any:
    if isinstance(factory, nn.Module):
        if options:
            raise InputError(f"{spec.name} is already a Module: it takes no options")
        return factory
    if not callable(factory):
        raise InputError(f"{spec.name} is {type(factory).__name__}: expected a function")
    try:
        return factory(**options)
    except (Exception, SystemExit) as error:
        _refuse_download(error, spec.name, _weights_hint(factory, spec))
        message = f"{spec.name} raised {reason(error)}{_where(error)}"
        raise InputError(message, _option_hint(factory, options)) from error


def _option_hint(factory: Any, options: Mapping[str, Any]) -> str:
    """Name the options that a factory has, if it lacks one of those given."""
    with contextlib.suppress(TypeError, ValueError):  # what Python has no signature of
        known = inspect.signature(factory).parameters
        unknown = [name for name in options if name not in known]
        if unknown and all(p.kind is not p.VAR_KEYWORD for p in known.values()):
            return near_match(unknown[0], known, "options")
    return ""


def _refuse_download(error: BaseException, name: str, hint: str = "") -> None:
    if wanted_download(error):
        said = f"{name} wants to download something{_where(error)}, and {NO_DOWNLOAD}"
        raise DownloadRefused(said, f"weights do not change a cost: {hint or 'leave them out'}")


def _weights_hint(factory: Any, spec: ModelSpec) -> str:
    """Name the option that leaves out the weights, if the factory has one."""
    defaults: dict[str, Any] = {}
    with contextlib.suppress(TypeError, ValueError):  # what Python has no signature of
        signature = inspect.signature(factory)
        defaults = {name: one.default for name, one in signature.parameters.items()}
    given = dict(spec.options)
    left_out = dict(without_weights(defaults | given))
    if left_out:
        return f"write {replace(spec, options=tuple(sorted((given | left_out).items())))}"
    return (
        f"let {spec.name.rpartition(':')[2]} leave them out, as with a parameter pretrained=False"
    )


def _where(error: BaseException) -> str:
    """Name the last line of the user's code that an exception passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if os.sep + "flopbench" + os.sep not in f.filename and f.lineno]
    own = [f for f in own if not f.filename.startswith("<")]
    own = [f for f in own if not is_library(f.filename)] or own
    return f" ({os.path.basename(own[-1].filename)}:{own[-1].lineno})" if own else ""

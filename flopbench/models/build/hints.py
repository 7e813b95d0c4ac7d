"""What to do when a model does not run, or when what was given is no model: hints by cause."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import torch
from msgspec.structs import replace

from flopbench.core.errors import cut
from flopbench.core.units import plural
from flopbench.models.build.built import Built
from flopbench.models.factories import specs_in
from flopbench.models.spec import ModelSpec

_WEIGHTS = (
    "weights do not say which network they are of: name the network, such as resnet50@224 or "
    "package.module:factory; random weights cost the same"
)
_FOREIGN = "only PyTorch networks are counted: name the one that it was converted from"
_FILES = {
    ".onnx": ("an ONNX graph", _FOREIGN),
    ".pt2": (
        "an exported program",
        "write a factory: def build(): return torch.export.load('FILE').module(), inputs",
    ),
    ".torchscript": (
        "a TorchScript archive",
        "write a factory: def build(): return torch.jit.load('FILE'), inputs",
    ),
    ".safetensors": ("weights", _WEIGHTS),
    ".py": ("a file of code", "name a function in it: FILE:build"),
    ".yaml": ("a configuration", "write a factory that builds the network from it"),
    **dict.fromkeys((".pth", ".pt", ".ckpt", ".bin"), ("a checkpoint", _WEIGHTS)),
    **dict.fromkeys(
        (".tflite", ".pb", ".h5", ".keras", ".engine", ".plan", ".mlmodel", ".mlpackage"),
        ("a network of another framework", _FOREIGN),
    ),
}


def file_instead(name: str) -> tuple[str, str] | None:
    """Say what a file is that was named as a model, and what to name instead; None for others."""
    what, hint = _FILES.get(PurePath(name).suffix.lower(), ("", ""))
    offered = ", ".join(map(str, specs_in(Path(name)))) if name.endswith(".py") else ""
    hint = f"name a function in it: {offered}" if offered else hint
    return (f"{name} is {what}, not a model", hint.replace("FILE", name)) if what else None


def object_instead(value: Any) -> tuple[str, str]:
    """Say what an object is where a module was expected, and what to do with it."""
    kind, name = type(value), type(value).__name__
    if name == "ExportedProgram":
        return "an ExportedProgram", "its module() is one: program.module()"
    if name == "ModelProto":
        return "an ONNX graph", _FOREIGN
    if isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values()):
        return "a dict of tensors", _WEIGHTS
    if isinstance(value, type):
        return f"the class {value.__name__}", f"make one: {value.__name__}(...)"
    if kind.__module__.split(".")[0] in {"keras", "tensorflow", "jax", "flax"}:
        return f"a model of {kind.__module__.split('.')[0]}", _FOREIGN
    return name, ""


def hint_of(error: BaseException, built: Built, spec: ModelSpec | None) -> str:
    """Return what to do about a model that does not run at an input, by what it raised.

    Args:
        error: what the forward pass raised.
        built: the model with its input.
        spec: the model's specification, None for a live module.
    """
    text = " ".join(str(error).split())
    for pattern, say in _CAUSES:
        found = re.search(pattern, text)
        if found is not None:
            return say(found, built, spec)
    return "check that the input's size, layout and type are what the network expects"


Say = Callable[["re.Match[str]", Built, "ModelSpec | None"], str]


def _give(spec: ModelSpec | None, inputs: str, shape: str = "") -> str:
    """Say how to give inputs: a caller passes them; a factory returns them, or ``@`` names them."""
    if spec is None:
        return f"pass input={inputs}"
    named = replace(spec, size=(), shapes=shape)
    if spec.part:
        return f"write {named}" if shape else "name its inputs by their shapes, after '@'"
    if spec.source != "python":
        return f"name a factory that returns (model, {inputs})"
    written = f"write {named}, or " if shape and spec.input else ""
    return f"{written}let the factory return (model, {inputs})"


def _parameters(built: Built) -> list[inspect.Parameter]:
    """List the parameters of ``forward`` without the module itself."""
    with contextlib.suppress(TypeError, ValueError):  # a compiled forward has no signature
        return list(inspect.signature(type(built.module).forward).parameters.values())[1:]
    return []


def _first_shape(built: Built) -> tuple[int, ...]:
    tensors = [t for t in (*built.args, *built.kwargs.values()) if isinstance(t, torch.Tensor)]
    return tuple(tensors[0].shape) if tensors else ()


def _arguments(_found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    taken = _parameters(built)
    needed = [p for p in taken if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    needed += [p for p in taken if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    if any(p.kind is p.KEYWORD_ONLY for p in needed):
        inputs = "{" + ", ".join(f"{p.name!r}: {p.name}" for p in needed) + "}"
    else:
        inputs = f"({', '.join(p.name for p in needed)}{',' if len(needed) == 1 else ''})"
    listed = ", ".join(str(p).partition(":")[0].partition("=")[0] for p in taken)
    return f"forward takes {cut(listed) or 'nothing'}: {_give(spec, inputs)}"


def _key(found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    name = next(group for group in found.groups() if group)
    named = f"{{{name!r}: tensor}}"
    by_name = name in {p.name for p in _parameters(built)} or any(
        p.kind is p.VAR_KEYWORD for p in _parameters(built)
    )
    return f"the network looks for {name!r}: {_give(spec, named if by_name else f'({named},)')}"


def _whole_numbers(_found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    shape = _first_shape(built)
    if spec is None:
        return f'the network takes whole numbers, such as token ids: pass input="{shape}:int64"'
    shape = (1, shape[-1]) if len(shape) > 2 else shape  # an image, where tokens are wanted
    made = f"torch.zeros({shape}, dtype=torch.long)"
    how = _give(spec, made, f"{'x'.join(map(str, shape))}:int64")
    return f"the network takes whole numbers, such as token ids: {how}"


def _types(found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    if "cuda" in found.string:
        return _devices(found, built, spec)
    return "inputs and weights are of different types: give inputs of the weights' type"


def _devices(_found: re.Match[str], _built: Built, _spec: ModelSpec | None) -> str:
    return (
        "parts of the model are on different devices: make tensors in forward on x.device, and "
        "register what the model keeps (buffers, nn.ModuleList)"
    )


def _channels(found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    wanted, got = int(found[1]), int(found[2])
    shape = list(_first_shape(built))
    said = f"takes {wanted} {plural(wanted, 'channel')}, not {got}"
    if len(shape) < 3 or shape[1] != got:
        return f"a layer {said}"
    if shape[-1] == wanted:
        shape = [shape[0], wanted, *shape[1:-1]]
    shape[1] = wanted
    made = f"({', '.join(map(str, shape))})"
    how = _give(spec, made if spec is None else f"torch.rand{made}", "x".join(map(str, shape)))
    return f"the network {said}: {how}"


def _layout(_found: re.Match[str], built: Built, _spec: ModelSpec | None) -> str:
    shape = _first_shape(built)
    return f"the input has {len(shape)} dimensions, {shape}, where a layer takes another number"


def _small(_found: re.Match[str], _built: Built, _spec: ModelSpec | None) -> str:
    return "the input is too small for this network: give a larger one"


def _size(_found: re.Match[str], built: Built, spec: ModelSpec | None) -> str:
    side = built.input.partition("x")[0]
    config = vars(getattr(built.module, "config", object)).keys()
    own = inspect.signature(type(built.module).__init__).parameters.keys()
    options = ("img_size", "image_size", "max_position_embeddings")
    option = next((name for name in options if name in {*own, *config}), None)
    if option is None:
        return "the size does not fit a layer: give the one that the network is built for"
    if spec is None or not spec.size:
        return f"it is built for one size, which {option} sets"
    head, _, rest = str(spec).partition(",")
    written = ",".join(filter(None, (head, f"{option}={side}", rest)))
    return f"it is built for one size, which an option sets: {written}"


_CAUSES: tuple[tuple[str, Say], ...] = (
    (r"missing \d+ required|unexpected keyword|positional arguments? but", _arguments),
    (r"[Yy]ou (?:have to|must) specify (?:either )?`?(\w+)|^'(\w+)'$", _key),
    (r"to have (\d+) channels?, but got (\d+)", _channels),
    (r"scalar types?:? Long|must be long|indices.*(Long|Int)", _whole_numbers),
    (r"same device|different devices", _devices),
    (r"same dtype|types?\b.* should be the same|scalar type|dtypes? to be the same", _types),
    (r"too small|greater than actual input|non-positive", _small),
    (r"\dD\b.*(?:got|input)|values to unpack|number of dim|dimension out of range", _layout),
    (r"(?:height|width|size|length)|cannot be multiplied|must match|should contain", _size),
    (r"expect(?:ed|s|ing) ", _size),
    (r"object has no attribute", _arguments),
)
"""Pattern of an error's text -> what says what to do; the first that is found counts."""

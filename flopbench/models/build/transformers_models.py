"""Builds transformers models from a model type, a class or a local configuration."""

from __future__ import annotations

import dataclasses
import inspect
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.files import parse_json, read_text
from flopbench.models.build.builders import call_builder, missing_library, on_meta, unknown_model
from flopbench.models.build.built import DEFAULT_STEPS, Built, head_width, image_input
from flopbench.models.build.composite import SAMPLES, example_inputs, is_composite
from flopbench.models.build.configurations import place_token_ids
from flopbench.models.build.environment import silence
from flopbench.models.build.memory import check_layers
from flopbench.models.build.options import KERNELS, check_options, parameters_of_class
from flopbench.models.build.reach import require_whole
from flopbench.models.spec import ModelSpec, format_size

_CLASSIFIERS = (
    "AutoModelForImageClassification",
    "AutoModelForVideoClassification",
    "AutoModelForSequenceClassification",
    "AutoModelForAudioClassification",
)

_WRITERS = (
    "AutoModelForImageTextToText",
    "AutoModelForMultimodalLM",
    "AutoModelForVision2Seq",
    "AutoModelForSpeechSeq2Seq",
)
"""Heads that write text about an image or sound; names that a version does not have are skipped."""

_OWN_OPTIONS = {"tokens", "frames", "num_labels", "attn_implementation", "use_timm_backbone"}
"""Of every model: ours, and what configurations take without having a parameter for it."""

_ATTENTION = ("eager", "sdpa")

_CLASS = re.compile(r"[A-Z]\w*(Model|For[A-Z]\w*)")


def build_transformers_model(spec: ModelSpec) -> Built:
    """Build a model with its example input.

    The bare model is built, except where the configuration has a head that writes text about an
    image or sound, where ``classes`` asks for a classifier, and where a class is named.

    Raises:
        InputError: transformers is missing, does not know the model, or rejects an option; or no
            example input reaches the whole model.
    """
    transformers = _imported()
    options: dict[str, Any] = dict(spec.options)
    tokens, frames = (
        _positive(options.pop(name, None), name, spec) for name in ("tokens", "frames")
    )
    if spec.classes is not None:
        options["num_labels"] = spec.classes
    config, kind = _configured(transformers, spec, options)
    place_token_ids(config)
    make = partial(call_builder, spec, partial(kind._from_config, config))
    composite = is_composite(kind)
    if not composite and (tokens or frames):
        raise InputError(
            f"{spec.name} takes one input, whose size goes after '@': tokens= and frames= are for "
            "models that take several"
        )
    notes: tuple[str, ...] = ()
    shapes: Any = None
    if composite or getattr(type(config), "sub_configs", None):
        shapes = on_meta(make).to("meta").eval()  # before weights take memory
    if composite:
        example = example_inputs(shapes, spec, tokens, frames)
        kwargs, size, notes = example.kwargs, example.size, (example.note,)
    else:
        kwargs, size = _simple_input(config, kind.main_input_name, spec)
        if shapes is not None:
            require_whole(shapes, spec, kwargs)
    module = make() if shapes is None or not torch.empty(0).is_meta else shapes
    classifies = spec.classes is not None or "Classification" in kind.__name__
    return Built(
        module=module,
        kwargs=kwargs,
        input=format_size(size),
        feature_dim=head_width(module) if classifies else None,
        notes=notes,
        keeps_integers=composite,
    )


def transformers_names() -> list[str]:
    """List the types that ``transformers:TYPE`` builds, and the classes of all automatic heads.

    Raises:
        InputError: transformers is missing.
    """
    library = _imported()
    found: set[str] = set()
    for head in (name for name in dir(library) if name.startswith("AutoModel")):
        mapping = getattr(getattr(library, head), "_model_mapping", None)
        for kind, names in getattr(mapping, "_model_mapping", {}).items():
            found |= {names} if isinstance(names, str) else set(names)
            found |= {kind} if head in (*_WRITERS, "AutoModel") else set()
    known = {name for name in dir(library) if _CLASS.fullmatch(name)}
    return sorted(found & {*known, *library.CONFIG_MAPPING})


def _imported() -> Any:
    try:
        with silence():
            return import_module("transformers")
    except ImportError as error:
        raise missing_library("transformers", "transformers", error) from None


def _positive(value: Any, name: str, spec: ModelSpec) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(
            f"{str(spec)!r}: {name}={value!r} where a whole number of at least 1 was expected"
        )
    return value


def _configured(transformers: Any, spec: ModelSpec, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return the configuration of a model and the class to build."""
    known = transformers.CONFIG_MAPPING
    if spec.name.endswith(".json"):
        settings = _settings(spec.name, known)
        kind = known[settings["model_type"]]
        _check_options(spec, kind)
        config = call_builder(spec, lambda: kind.from_dict(settings, **options))
    elif spec.name in known:
        _check_options(spec, known[spec.name])
        config = call_builder(spec, lambda: transformers.AutoConfig.for_model(spec.name, **options))
    else:
        kind = _named_class(transformers, spec)
        _check_options(spec, kind.config_class)
        return call_builder(spec, lambda: kind.config_class(**options)), kind
    return config, _class_of(transformers, config, spec)


def _settings(name: str, known: Any) -> dict[str, Any]:
    """Read a configuration file; the library would also run the code that it may name."""
    if not Path(name).is_file():
        raise InputError(f"there is no configuration file {name}")
    what = "a configuration of transformers"
    text = read_text(Path(name), what)
    settings = parse_json(text, name, what, f"expected {what}", finite=False)
    if isinstance(settings, dict):
        check_layers(settings, name)
    kind = settings.get("model_type") if isinstance(settings, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise DataError(
            f"{name}: model_type is {kind!r}, which this transformers does not have",
            near_match(str(kind), known, "types"),
        )
    return {key: one for key, one in settings.items() if not key.endswith(KERNELS)}


def _check_options(spec: ModelSpec, kind: Any) -> None:
    """Check options against the parameters of a class of configurations."""
    parameters = parameters_of_class(kind)
    if dataclasses.is_dataclass(kind):
        parameters |= {field.name for field in dataclasses.fields(kind)}
    check_options(spec, {*parameters, *getattr(kind, "attribute_map", ()), *_OWN_OPTIONS})
    attention = dict(spec.options).get("attn_implementation", _ATTENTION[0])
    if attention not in _ATTENTION:
        raise InputError(
            f"{str(spec)!r}: attn_implementation={attention} where {' or '.join(_ATTENTION)} was "
            "expected",
            "others may be kernels of a repository",
        )


def _named_class(transformers: Any, spec: ModelSpec) -> Any:
    names = [name for name in dir(transformers) if _CLASS.fullmatch(name)]
    kind = getattr(transformers, spec.name) if spec.name in names else None
    if not (inspect.isclass(kind) and getattr(kind, "config_class", None)):
        raise unknown_model(spec, "transformers", [*transformers.CONFIG_MAPPING, *names])
    return kind


def _class_of(transformers: Any, config: Any, spec: ModelSpec) -> Any:
    """Choose the classifier where one was requested, else the whole model."""
    heads = _CLASSIFIERS if spec.classes is not None else (*_WRITERS, "AutoModel")
    for head in heads:
        mapping = getattr(getattr(transformers, head, None), "_model_mapping", {})
        if type(config) in mapping:
            kinds = mapping[type(config)]
            return kinds[0] if isinstance(kinds, (list, tuple)) else kinds
    what = "classifier" if spec.classes else "model"
    raise InputError(f"transformers has no {what} {spec.name}")


def _simple_input(
    config: Any, name: str, spec: ModelSpec
) -> tuple[dict[str, torch.Tensor], tuple[int, ...]]:
    if name == "pixel_values":
        default = getattr(config, "image_size", 224)
        size = spec.size or ((default,) if isinstance(default, int) else tuple(default))
        frames = getattr(config, "num_frames", None)
        if frames and len(size) < 3:
            size = (frames, *(size * 2)[:2])
        pixels = image_input(spec.at(size), size, getattr(config, "num_channels", 3))
        if pixels.dim() == 5:
            pixels = pixels.transpose(1, 2).contiguous()  # (1, T, C, H, W) in this library
        return {"pixel_values": pixels}, size
    if len(spec.size) > 1:
        raise InputError(
            f"{spec.name} takes a sequence: expected its length after '@', such as @128"
        )
    if name == "input_ids":
        longest = getattr(config, "max_position_embeddings", None) or DEFAULT_STEPS
        size = spec.size or (min(DEFAULT_STEPS, longest),)
        ids = torch.ones(1, size[0], dtype=torch.long)
        inputs = {"input_ids": ids}
        if getattr(config, "is_encoder_decoder", False):
            inputs["decoder_input_ids"] = ids.clone()
        return inputs, size
    size = spec.size or (SAMPLES,)
    return {"input_values": torch.rand(1, size[0])}, size

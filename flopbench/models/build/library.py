"""Builds models of torchvision, timm and transformers, always with random weights."""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.arguments import arguments_noted
from flopbench.models.build.built import Built, head_width, image_input, reason
from flopbench.models.build.copies import move_inputs
from flopbench.models.build.environment import silence
from flopbench.models.build.fusing import OPTION, fused
from flopbench.models.spec import ModelSpec, format_size

RESIZES = "the model resizes its input, so the cost is that of the resized input"

FRAMES = 16
"""Default number of frames of a clip, as in torchvision's published figures for videos."""

DEFAULT_STEPS = 128
"""Default sequence length of a text model."""


def build_on_meta(spec: ModelSpec) -> Built:
    """Build a model of one of the three libraries on the meta device.

    A few builders (RegNet's, for example) compute with tensors, which the meta device does not
    allow. They run on the CPU, and only their parameters are put on the meta device, each as soon
    as a module registers it, so that they never all take memory at once.

    Raises:
        InputError: as ``build_library_model``.
    """
    try:
        with torch.device("meta"):
            return build_library_model(spec)
    except InputError:
        with parameters_on_meta():
            built = build_library_model(spec)
        built.module.to("meta")
        return replace(
            built,
            args=move_inputs(built.args, "meta"),
            kwargs=move_inputs(dict(built.kwargs), "meta"),
        )


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Move each parameter to the meta device as a module registers it."""
    original = nn.Module.register_parameter

    def register(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.to("meta"), parameter.requires_grad)
        original(module, name, parameter)

    nn.Module.register_parameter = register
    try:
        yield
    finally:
        nn.Module.register_parameter = original


def build_library_model(spec: ModelSpec) -> Built:
    """Build a model of one of the three libraries; see ``by_source.build``.

    Raises:
        InputError: unknown model, missing library, option or size that does not fit.
    """
    builders: dict[str, Callable[[ModelSpec], Built]] = {
        "torchvision": _torchvision,
        "timm": _timm,
        "transformers": _transformers,
    }
    return builders[spec.source](spec)


def _torchvision(spec: ModelSpec) -> Built:
    try:
        from torchvision import models
    except ImportError as error:
        raise _missing("torchvision", "measure", error) from None
    known = models.list_models()
    if spec.name not in known:
        raise _unknown(spec, "torchvision", known)
    options: dict[str, Any] = {"weights": None, **dict(spec.options)}
    parameters = inspect.signature(models.get_model_builder(spec.name)).parameters
    for name in ("weights_backbone", "weights_encoder"):
        if name in parameters:
            options.setdefault(name, None)
    if spec.name in {"googlenet", "inception_v3"}:
        options.setdefault("init_weights", False)  # their initialisation takes a minute
    if spec.classes is not None:
        options["num_classes"] = spec.classes
    with arguments_noted(models.VisionTransformer) as noted:
        module = _call(spec, lambda: models.get_model(spec.name, **options))
    families = (models.video, models.detection, models.segmentation, models.optical_flow)
    video, detection, segmentation, flow = (spec.name in models.list_models(f) for f in families)
    size = spec.size or _evaluation_size(models, spec, video)
    image = image_input(spec, size)
    if video and image.dim() != 5:
        raise InputError(
            f"{spec.name} takes clips: expected FRAMESxHEIGHTxWIDTH such as @16x112x112, "
            f"got @{format_size(size)}"
        )
    if not video and image.dim() != 4:
        raise InputError(f"{spec.name} takes images, not clips: got @{format_size(size)}")
    headless = detection or segmentation or flow
    return Built(
        module=module,
        args=(image, image) if flow else (image,),
        input=format_size(size),
        feature_dim=None if headless else head_width(module),
        notes=(RESIZES,) if detection else (),
        arguments=noted.get(module),
    )


def _evaluation_size(models: Any, spec: ModelSpec, video: bool) -> tuple[int, ...]:
    """Return the input of the published evaluation of the model's default weights."""
    try:
        weights = models.get_model_weights(spec.name).DEFAULT
        crop = list(weights.transforms().crop_size)
    except (AttributeError, ValueError):
        raise InputError(
            f"{spec.name} has no default input size", f"name one, such as {spec.name}@520"
        ) from None
    height, width = (crop * 2)[:2]
    if video:
        return FRAMES, height, width
    return (height,) if height == width else (height, width)


def _timm(spec: ModelSpec) -> Built:
    try:
        with silence():
            import timm
            from timm.models.beit import Beit
            from timm.models.eva import Eva
            from timm.models.vision_transformer import VisionTransformer
    except ImportError as error:
        raise _missing("timm", "timm", error) from None
    if not timm.is_model(spec.name):
        raise _unknown(spec, "timm", timm.list_models())
    options: dict[str, Any] = dict(spec.options)
    if spec.classes is not None:
        options["num_classes"] = spec.classes
    deployed = options.pop(OPTION, False)
    if not isinstance(deployed, bool):
        raise InputError(f"{OPTION} is {deployed!r}: expected True or False")
    with arguments_noted(VisionTransformer, Eva, Beit) as noted:
        module = _call(spec, lambda: timm.create_model(spec.name, pretrained=False, **options))
    module = fused(module, spec) if deployed else module
    config = getattr(module, "pretrained_cfg", None) or {}
    channels, height, width = config.get("input_size", (3, 224, 224))
    size = spec.size or ((height,) if height == width else (height, width))
    if len(size) == 3:
        raise InputError(f"{spec.name} takes images, not clips: got @{format_size(size)}")
    return Built(
        module=module,
        args=(image_input(spec, size, int(dict(spec.options).get("in_chans", channels))),),
        input=format_size(size),
        feature_dim=head_width(module.get_classifier())
        if isinstance(getattr(module, "get_classifier", dict)(), nn.Module)
        else None,
        arguments=noted.get(module),
    )


def _transformers(spec: ModelSpec) -> Built:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        with silence():
            import transformers
            from transformers import AutoConfig
    except ImportError as error:
        raise _missing("transformers", "transformers", error) from None
    options: dict[str, Any] = dict(spec.options)
    if spec.classes is not None:
        options["num_labels"] = spec.classes
    if spec.name.endswith(".json"):
        if not os.path.isfile(spec.name):
            raise InputError(f"there is no configuration file {spec.name}")
        config = _call(spec, lambda: AutoConfig.from_pretrained(spec.name, **options))
    else:
        known = list(transformers.CONFIG_MAPPING.keys())
        if spec.name not in known:
            raise _unknown(spec, "transformers", known)
        config = _call(spec, lambda: AutoConfig.for_model(spec.name, **options))
    module = _transformers_module(transformers, config, spec)
    kwargs, size = _transformers_input(module, spec)
    return Built(
        module=module,
        kwargs=kwargs,
        input=format_size(size),
        feature_dim=None if spec.classes is None else head_width(module),
    )


def _transformers_module(transformers: Any, config: Any, spec: ModelSpec) -> nn.Module:
    """Build the bare encoder, or the classifier where a head was requested."""
    kinds = [transformers.AutoModel]
    if spec.classes is not None:
        kinds = [
            transformers.AutoModelForImageClassification,
            transformers.AutoModelForVideoClassification,
            transformers.AutoModelForSequenceClassification,
            transformers.AutoModelForAudioClassification,
        ]
    for kind in kinds:
        if type(config) in kind._model_mapping:
            module: nn.Module = _call(spec, partial(kind.from_config, config))
            return module
    raise InputError(f"transformers has no {'classifier' if spec.classes else 'model'} {spec.name}")


def _transformers_input(
    module: nn.Module, spec: ModelSpec
) -> tuple[dict[str, torch.Tensor], tuple[int, ...]]:
    config: Any = module.config
    name = module.main_input_name
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
    if name == "input_values":
        size = spec.size or (16000,)
        return {"input_values": torch.rand(1, size[0])}, size
    raise InputError(
        f"transformers:{spec.name} takes {name!r}, for which there is no example input",
        "write a factory that returns (model, inputs), and name it as package.module:factory",
    )


def _call(spec: ModelSpec, builder: Callable[[], Any]) -> Any:
    """Run a library's builder; what it rejects is the user's error."""
    try:
        with silence():
            return builder()
    except Exception as error:
        twice = re.search(r"multiple values for keyword argument '(\w+)'", str(error))
        hint = f"{spec.name} sets {twice[1]} itself: it is no option of it" if twice else ""
        raise InputError(f"cannot build {str(spec)!r}: {reason(error)}", hint) from error


def _missing(library: str, extra: str, error: ImportError) -> InputError:
    return InputError(
        f"{library} cannot be imported ({error})", f"python -m pip install 'flopbench[{extra}]'"
    )


def _unknown(spec: ModelSpec, library: str, known: Iterable[str]) -> InputError:
    names = sorted(known)
    near = difflib.get_close_matches(spec.name.lower(), names, n=3)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return InputError(
        f"{library} has no model {spec.name!r}",
        f"{hint}{len(names)} models are known; for your own code write package.module:factory",
    )

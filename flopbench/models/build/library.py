"""Builds models of torchvision and timm, and hands on those of transformers: random weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from msgspec.structs import replace
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.arguments import arguments_noted
from flopbench.models.build.builders import (
    call_builder,
    missing_library,
    on_meta,
    unknown_model,
)
from flopbench.models.build.built import FRAMES, Built, head_width, image_input
from flopbench.models.build.copies import move_inputs
from flopbench.models.build.environment import silence
from flopbench.models.build.fusing import OPTION, fused
from flopbench.models.build.options import check_options, parameters_beside
from flopbench.models.build.transformers_models import (
    build_transformers_model,
    transformers_names,
)
from flopbench.models.spec import ModelSpec, format_size

FLOW_SIDE = 512
"""Pixels a side for optical flow: torchvision counted the operators that it publishes at 512."""

RESIZES = "the model resizes its input, so the cost is that of the resized input"


def build_on_meta(spec: ModelSpec) -> Built:
    """Build a model of one of the three libraries on the meta device.

    Raises:
        InputError: as ``build_library_model``.
    """
    built = on_meta(partial(build_library_model, spec))
    built.module.to("meta")
    return replace(
        built,
        args=move_inputs(built.args, "meta"),
        kwargs=move_inputs(dict(built.kwargs), "meta", keep_integers=built.keeps_integers),
    )


def build_library_model(spec: ModelSpec) -> Built:
    """Build a model of one of the three libraries; see ``by_source.build``.

    Raises:
        InputError: unknown model, missing library, option or size that does not fit.
    """
    builders: dict[str, Callable[[ModelSpec], Built]] = {
        "torchvision": _torchvision,
        "timm": _timm,
        "transformers": build_transformers_model,
    }
    return builders[spec.source](spec)


def library_names(job: Mapping[str, str]) -> list[str]:
    """List the models of ``job["library"]``, for ``workers.run_job``.

    Raises:
        InputError: the library is missing.
    """
    library = job["library"]
    if library == "transformers":
        return transformers_names()
    names: list[str] = _imported(library).list_models()
    return names


def _imported(library: str) -> Any:
    """Return the module of torchvision or timm that has their models."""
    try:
        with silence():
            return import_module(f"{library}.models")
    except ImportError as error:
        extra = {"torchvision": "measure"}.get(library, library)
        raise missing_library(library, extra, error) from None


def _torchvision(spec: ModelSpec) -> Built:
    models = _imported("torchvision")
    known = models.list_models()
    if spec.name not in known:
        raise unknown_model(spec, "torchvision", known)
    builder = models.get_model_builder(spec.name)
    check_options(spec, parameters_beside(builder))
    options: dict[str, Any] = {"weights": None, **dict(spec.options)}
    parameters = inspect.signature(builder).parameters
    for name in ("weights_backbone", "weights_encoder"):
        if name in parameters:
            options.setdefault(name, None)
    if spec.name in {"googlenet", "inception_v3"}:
        options.setdefault("init_weights", False)  # their initialisation takes a minute
    if spec.classes is not None:
        options["num_classes"] = spec.classes
    with arguments_noted(models.VisionTransformer) as noted:
        module = call_builder(spec, lambda: models.get_model(spec.name, **options))
    families = (models.video, models.detection, models.segmentation, models.optical_flow)
    video, detection, segmentation, flow = (spec.name in models.list_models(f) for f in families)
    size = spec.size or _evaluation_size(models, spec, module, video, flow)
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


def _evaluation_size(
    models: Any, spec: ModelSpec, module: nn.Module, video: bool, flow: bool
) -> tuple[int, ...]:
    """Return the input at which a model and its default weights are evaluated, as far as known.

    That is the crop of the weights' transforms, or for segmentation their resize; for a detector
    the size to which it resizes by itself, and for what takes one size only (the default weights
    of vit_h_14 are of another) this size.
    """
    own: Any = getattr(module, "transform", None)
    if flow:
        return (FLOW_SIDE,)
    if hasattr(own, "min_size"):
        extents = list(own.fixed_size or own.min_size[-1:])
    elif isinstance(one_size := getattr(module, "image_size", None), int):
        extents = [one_size]
    else:
        try:
            weights = models.get_model_weights(spec.name).DEFAULT.transforms()
            extents = list(getattr(weights, "crop_size", None) or weights.resize_size)
        except (AttributeError, ValueError):
            raise InputError(
                f"{spec.name} has no default input size", f"name one, such as {spec.name}@520"
            ) from None
    height, width = (extents * 2)[:2]
    if video:
        return FRAMES, height, width
    return (height,) if height == width else (height, width)


def _timm(spec: ModelSpec) -> Built:
    models = _imported("timm")
    if not models.is_model(spec.name):
        raise unknown_model(spec, "timm", models.list_models())
    known = parameters_beside(models.model_entrypoint(spec.name))
    check_options(spec, known | {OPTION, "features_only", "out_indices"})
    options: dict[str, Any] = dict(spec.options)
    if spec.classes is not None:
        options["num_classes"] = spec.classes
    deployed = options.pop(OPTION, False)
    if not isinstance(deployed, bool):
        raise InputError(f"{OPTION} is {deployed!r}: expected True or False")
    noted_classes = (models.VisionTransformer, models.beit.Beit, models.eva.Eva)
    with arguments_noted(*noted_classes) as noted:
        module = call_builder(
            spec, lambda: models.create_model(spec.name, pretrained=False, **options)
        )
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

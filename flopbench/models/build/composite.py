"""Example inputs for transformers models that take several: an image, clip or sound, and text.

What a model takes is read from the signature of its forward, the sizes from its configuration. One
run on the meta device then shows whether the inputs fit together and reach every part.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from msgspec import Struct
from torch import nn
from torch.utils._pytree import tree_leaves

from flopbench.core.errors import InputError
from flopbench.models.build.built import DEFAULT_STEPS, FRAMES, reason
from flopbench.models.build.configurations import PLACED, find_setting, token_name
from flopbench.models.build.copies import move_inputs
from flopbench.models.build.environment import counting_state
from flopbench.models.build.kept_integers import KeptIntegers
from flopbench.models.build.reach import (
    forward_names,
    parameter_sizes,
    refusal,
    run_on_shapes,
    what_missed,
)
from flopbench.models.spec import ModelSpec, format_size, parse_size

SOUND_FRAMES = 1000
"""Default length of a spectrogram: ten seconds, at the usual 100 frames a second."""

SAMPLES = 16000
"""Default length of a waveform: one second, at the usual 16 kHz."""

SIMPLE = ("pixel_values", "input_ids", "input_values")
"""Main inputs that are enough alone, where forward takes no other kind."""

_VIDEO = "pixel_values_videos"
_INPUTS = {
    "image": ("pixel_values", "pixel_values_images"),
    "video": (_VIDEO,),
    "audio": ("input_features", "input_values"),
    "text": ("input_ids",),
    "point": ("input_points",),
}
_LONGEST = ("max_position_embeddings", "max_target_positions")
_PICTURES = ("patch_size", "image_size", "crop_size", "input_size")
_BINS = (
    "num_mel_bins",
    "feature_projection_input_dim",
    "input_feat_per_channel",
    "feature_size",
    "n_mels",
)
"""What configurations call the width of a spectrogram."""


class Example(Struct, frozen=True):
    """Inputs on the CPU, what came after ``@``, and a note that says what the inputs are."""

    kwargs: dict[str, Any]
    size: tuple[int, ...]
    note: str


def is_composite(kind: Any) -> bool:
    """Whether models of a class take more than one simple input."""
    names, main = forward_names(kind), kind.main_input_name
    kinds = {kind for kind, possible in _INPUTS.items() if set(possible) & set(names)}
    decodes = "decoder_input_ids" in names and main != "input_ids"
    return main not in SIMPLE or decodes or len(kinds) > 1


def example_inputs(module: Any, spec: ModelSpec, tokens: int | None, frames: int | None) -> Example:
    """Derive one example, a batch of one, and show that it reaches the whole model.

    Args:
        module: the model, with its parameters on the meta device.
        spec: what was asked for. Its size is that of the image or clip in pixels, or the length
            of the sound where the model takes no images.
        tokens: number of text tokens beside the placeholders; None for a default.
        frames: length of the sound where the model also takes images; None for a default.

    Raises:
        InputError: there is no default size, no inputs fit, or they do not reach every part.
    """
    request = _Request(module, forward_names(module), spec, tokens)
    problems = []
    for media, size in request.media(frames):
        unread = parameter_sizes(module)
        try:
            kwargs, note = request.completed(media)
            run_on_shapes(module, kwargs, unread)
        except Exception as error:
            problems.append((len(unread), reason(error)))
            continue
        missed = what_missed(module, unread)
        if not missed:
            return Example(kwargs, size, note)
        problems.append((0, missed))
    none = (0, f"there is none for {module.main_input_name!r}")
    _, problem = min(problems or [none], key=itemgetter(0))  # of what came furthest
    raise refusal(module, spec, problem)


class _Request(Struct, frozen=True):
    """What one model takes, and what was asked for."""

    module: Any
    names: tuple[str, ...]
    spec: ModelSpec
    tokens: int | None

    def media(self, frames: int | None) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
        """Yield images or clips, sounds, and their size, in each layout that is in use."""
        seen = any(name in self.names for name in (*_INPUTS["image"], _VIDEO))
        heard = any(name in self.names for name in _INPUTS["audio"])
        if frames is not None and not (seen and heard):
            raise InputError(
                f"{self.spec.model} does not take images and sound, so frames= cannot apply"
            )
        if seen:
            size = self._picture_size()
            sounds = list(self._sounds(frames)) if heard else [({}, 0)]
            for picture, (sound, _length) in itertools.product(self._pictures(size), sounds):
                yield {**picture, **sound}, size
        elif heard:
            if len(self.spec.size) > 1:
                raise InputError(f"{self.spec.model} takes sound: expected its length after '@'")
            for sound, length in self._sounds(*self.spec.size):
                yield sound, (length,)

    def _picture(self, *names: str) -> Any:
        """Return what the part of the configuration that is about images says."""
        return find_setting(
            self.module.config, *names, beside=("patch_size", "image_size", "crop_size")
        )

    def _picture_size(self) -> tuple[int, ...]:
        size = self.spec.size or self._picture(*_PICTURES[1:])
        if size is None:
            raise InputError(
                f"{self.spec.model} has no default image size", f"name one: {self.spec.at((448,))}"
            )
        size = parse_size(str(size)) if isinstance(size, int) else parse_size(format_size(size))
        frames = self._picture("num_frames", "frames_per_clip")
        image = any(name in self.names for name in _INPUTS["image"])
        if len(size) == 3 and image and not frames and _VIDEO not in self.names:
            raise InputError(f"{self.spec.model} takes images, not clips: got @{format_size(size)}")
        return (
            (frames or FRAMES, *_square(size)) if len(size) < 3 and (frames or not image) else size
        )

    def _pictures(self, size: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        """Yield an image ``(1, C, H, W)`` or clip ``(1, T, C, H, W)``, or what stands for it."""
        channels = self._picture("num_channels", "in_channels", "in_chans") or 3
        name = next(n for n in (*_INPUTS["image"], _VIDEO) if n in self.names)
        if len(size) == 3 and _VIDEO in self.names:
            name = _VIDEO
        frames, (height, width) = size[:-2], _square(size[-2:])
        sizes = {"image_sizes": _integers([[height, width]])} if "image_sizes" in self.names else {}
        tiles, side = self._tiles(height, width), self._picture("image_size")
        if {"image_grid_thw", "spatial_shapes"} & set(self.names):
            yield self._patches(name, frames, height, width, channels)
        elif "aspect_ratio_ids" in self.names:
            yield {
                name: _random(1, 1, tiles or 1, channels, height, width),
                "aspect_ratio_ids": _ones(1, 1),
                "aspect_ratio_mask": _ones(1, 1, tiles or 1),
            }
        elif tiles:
            yield {name: _random(1, tiles, channels, side, side), **sizes}
        elif frames:
            yield {name: _random(1, *frames, channels, height, width)}
        else:
            yield {name: _random(1, channels, height, width)}
            yield {name: _random(1, channels, height, width), **sizes}
            yield {name: _random(1, 1, channels, height, width)}

    def _tiles(self, height: int, width: int) -> int | None:
        """Return in how many tiles of one size the model wants an image, None for no tiles."""
        pinpoints = getattr(self.module.config, "image_grid_pinpoints", None)
        family = sys.modules[type(self.module).__module__]
        if pinpoints and hasattr(family, "image_size_to_num_patches"):
            side = self._picture("image_size")
            tiles: int = family.image_size_to_num_patches((height, width), pinpoints, side)
            return tiles
        return self._picture("max_num_tiles")

    def _patches(
        self, name: str, frames: Sequence[int], height: int, width: int, channels: int
    ) -> dict[str, Any]:
        """Return an image or clip as rows of patches, and the grid that they form."""
        patch, merged = self._picture("patch_size"), self._picture("spatial_merge_size") or 1
        if height % (patch * merged) or width % (patch * merged):
            raise InputError(
                f"{self.spec.model} takes sides in multiples of {patch * merged} pixels, "
                f"got {height}x{width}"
            )
        rows, columns, pixels = height // patch, width // patch, channels * patch**2
        if "spatial_shapes" in self.names:
            return {
                name: _random(1, rows * columns, pixels),
                "spatial_shapes": _integers([[rows, columns]]),
                "pixel_attention_mask": _ones(1, rows * columns),
            }
        depth = self._picture("temporal_patch_size") or 1
        steps = max(1, frames[0] // depth) if frames else 1
        return {
            name: _random(steps * rows * columns, pixels * depth),
            "video_grid_thw" if frames else "image_grid_thw": _integers([[steps, rows, columns]]),
        }

    def _sounds(self, length: int | None = None) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield a waveform ``(1, S)``, or a spectrogram in each layout in use, and its length."""
        if "input_features" not in self.names:
            yield {"input_values": _random(1, length or SAMPLES)}, length or SAMPLES
            return
        bins = find_setting(self.module.config, *_BINS) or 80
        positions = find_setting(self.module.config, "max_source_positions", beside=_BINS)
        fixed = [2 * positions] if positions else []  # the only length that Whisper's encoder takes
        for frames in [length] if length else [SOUND_FRAMES, *fixed]:
            masks = {"feature_attention_mask": _ones(1, frames)}
            masks["input_features_mask"] = masks["feature_attention_mask"].bool()
            masks = {name: mask for name, mask in masks.items() if name in self.names}
            for shape in ((1, bins, frames), (1, frames, bins), (1, 1, frames, bins)):
                yield {"input_features": _random(*shape), **masks}, frames

    def completed(self, media: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Add text with a placeholder for every feature, and prompts; say how much there is."""
        config = self.module.config
        longest = [find_setting(config, name) for name in _LONGEST]
        tokens = self.tokens or min([DEFAULT_STEPS, *filter(None, longest)])
        possible = {"input_points": _random(1, 1, 1, 2), "input_labels": _ones(1, 1, 1)}
        possible["qformer_input_ids"] = possible["decoder_input_ids"] = _ones(1, tokens)
        if "input_ids" in self.names and not getattr(config, "is_encoder_decoder", False):
            del possible["decoder_input_ids"]
        kwargs = {**media, **{k: v for k, v in possible.items() if k in self.names}}
        decodes = {"input_ids", "decoder_input_ids"} & {*self.names, *kwargs}
        said = [f"{tokens:,} text tokens"] if decodes else []
        if "input_ids" in self.names:
            places = {kind: self._features(kind, kwargs) for kind in PLACED}
            kwargs |= self._text(tokens, places)
            said += [f"{number:,} {kind} tokens" for kind, number in places.items() if number]
        elif "input_points" in kwargs:
            said.append("one point")
        return kwargs, f"{type(self.module).__name__}: {', '.join(said) or 'no text'}"

    def _text(self, tokens: int, places: Mapping[str, int]) -> dict[str, Any]:
        config = self.module.config
        taken = {v for k, v in config.to_dict().items() if "token" in k and isinstance(v, int)}
        plain = next(number for number in itertools.count(1) if number not in taken)
        ids: list[int] = []
        kinds: list[int] = []
        for number, kind in enumerate(PLACED, start=1):
            name = token_name(config, kind)
            ids += [getattr(config, name) if name else plain] * places[kind]
            kinds += [number] * places[kind]
        length, before = len(ids) + tokens, len(ids)
        possible = {
            "attention_mask": _ones(1, length),
            "mm_token_type_ids": _integers([kinds + [0] * tokens]),
            "image_embeds_position_mask": _integers([[1] * before + [0] * tokens]),
            "bbox": _integers([[[0] * 4] * length]),
        }
        if "image_encoder_embeddings" in self.names:
            possible["image_attention_mask"] = _ones(1, length, 1)
        given = {name: value for name, value in possible.items() if name in self.names}
        return {"input_ids": _integers([ids + [plain] * tokens]), **given}

    def _features(self, kind: str, given: Mapping[str, Any]) -> int:
        """Return how many positions of the text the features of an image or sound take."""
        config, whole = self.module.config, self.module
        if not set(_INPUTS[kind]) & set(given) or "cross_attention_mask" in self.names:
            return 0
        if not token_name(config, kind):
            return int(getattr(config, "latent_query_num", 0)) if kind == "image" else 0
        name = f"get_{kind}_features"
        method = getattr(getattr(whole, "model", None), name, None) or getattr(whole, name, None)
        with counting_state(), KeptIntegers():
            if method is None:
                return _sound_length(whole, given)
            known = inspect.signature(method).parameters
            wanted = {name: getattr(config, name) for name in known if hasattr(config, name)}
            wanted |= {name: value for name, value in given.items() if name in known}
            found = method(**move_inputs(wanted, "meta", keep_integers=True))
        tensors = [t for t in tree_leaves(getattr(found, "pooler_output", found)) if _is_float(t)]
        width = whole.get_input_embeddings().weight.shape[-1]
        widths = {tensor.shape[-1] for tensor in tensors}
        if widths != {width}:
            wide = ", ".join(map(str, sorted(widths)))
            raise ValueError(f"features of the {kind} are {wide} wide, those of the text {width}")
        return sum(tensor.numel() for tensor in tensors) // width


def _sound_length(module: nn.Module, given: Mapping[str, Any]) -> int:
    """Return how many features an encoder makes of a spectrogram, as it says itself."""
    name = "_get_feat_extract_output_lengths"
    methods = [m for child in module.modules() if (m := getattr(child, name, None))]
    if not methods or "feature_attention_mask" not in given:
        raise ValueError("the model does not say how many tokens the features take")
    length = given["feature_attention_mask"].sum()
    return int(tree_leaves(methods[0](length))[-1])


def _square(size: Sequence[int]) -> tuple[int, int]:
    height, width = (tuple(size) * 2)[:2]
    return height, width


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, device="cpu")


def _ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.long, device="cpu")


def _integers(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device="cpu")

"""Transformers models of several parts: every part is in the count, which a formula gives too."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from flopbench.core.errors import InputError  # noqa: E402
from flopbench.counting.measure.profiler import profile_spec  # noqa: E402
from flopbench.counting.profile import CostProfile  # noqa: E402
from flopbench.counting.registry import find_counter  # noqa: E402
from flopbench.models.build.by_source import build  # noqa: E402
from flopbench.models.spec import ModelSpec, parse_spec  # noqa: E402


def count(spec: ModelSpec, counter: str = "torch") -> CostProfile:
    """Count a specification with one counter."""
    result = profile_spec(spec, [find_counter(counter)])[counter]
    assert isinstance(result, CostProfile), result
    return result


def layers(number: int, n: int, d: int, f: int, *, gated: bool = False, over: int = 0) -> int:
    """MACs of transformer layers of width d and inner width f on n tokens.

    Queries, keys, values, output 4·n·d²; scores and their use 2·n²·d; the MLP 2 (gated: 3) ·n·d·f.
    Attention over other tokens adds queries and output 2·n·d², keys and values 2·over·d², and
    2·n·over·d.
    """
    own = 4 * n * d * d + 2 * n * n * d + (3 if gated else 2) * n * d * f
    cross = 2 * n * d * d + 2 * over * d * d + 2 * n * over * d
    return number * (own + (cross if over else 0))


def patches(number: int, pixels: int, d: int) -> int:
    """MACs of patches of RGB pixels made into tokens of width d."""
    return number * 3 * pixels * d


# CLIP ViT-L/14, all 24 layers, 576 + 1 tokens; a projector of two layers; LLaMA-7B with its head
LLAVA = (
    patches(576, 14 * 14, 1024)
    + layers(24, 577, 1024, 4096)
    + 576 * (1024 * 4096 + 4096 * 4096)
    + layers(32, 576 + 64, 4096, 11008, gated=True)
    + (576 + 64) * 4096 * 32000
)
# ViT-B/32 and a text encoder of 512, one projection each, one scalar product
CLIP = (
    patches(49, 32 * 32, 768)
    + layers(12, 50, 768, 3072)
    + layers(12, 77, 512, 2048)
    + (768 + 512 + 1) * 512
)
# ViT-B/16, pooled by attention of one query; a text encoder; one projection, one scalar product
SIGLIP = (
    patches(196, 16 * 16, 768)
    + layers(12, 196, 768, 3072)
    + (2 * 768**2 + 2 * 196 * 768**2 + 2 * 196 * 768 + 2 * 768 * 3072)
    + layers(12, 64, 768, 3072)
    + 768**2
    + 768
)
# ViT-g/14; a Q-Former of 32 queries, which looks at the image in 6 of 12 layers; OPT-125M
BLIP_2 = (
    patches(256, 14 * 14, 1408)
    + layers(39, 257, 1408, 6144)
    + layers(12, 32, 768, 3072)
    + 6 * (2 * 32 * 768**2 + 2 * 257 * 1408 * 768 + 2 * 32 * 257 * 768)
    + 32 * 768 * 768
    + layers(12, 32 + 32, 768, 3072)
    + (32 + 32) * 768 * 50272
)
# two convolutions over 3,000 frames, encoder, decoder over 1,500 positions, head
WHISPER = (
    3000 * 3 * 80 * 384
    + 1500 * 3 * 384 * 384
    + layers(4, 1500, 384, 1536)
    + layers(4, 64, 384, 1536, over=1500)
    + 64 * 384 * 51865
)
# the encoder of Whisper large, halved to 750 tokens; a projector; Qwen2 with its head
QWEN2_AUDIO = (
    3000 * 3 * 128 * 1280
    + 1500 * 3 * 1280 * 1280
    + layers(32, 1500, 1280, 5120)
    + 750 * 1280 * 4096
    + layers(32, 750 + 64, 4096, 22016, gated=True)
    + (750 + 64) * 4096 * 151936
)
# tubelets of 2 frames; ViT-L; a predictor of width 384 on context and targets, all of the clip
V_JEPA_2 = (
    patches(512, 2 * 16 * 16, 1024)
    + layers(24, 512, 1024, 4096)
    + 2 * 512 * 1024 * 384
    + layers(12, 2 * 512, 384, 1536)
)


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        ("llava@336,tokens=64", LLAVA, "64 text tokens, 576 image tokens"),
        ("clip@224", CLIP, "CLIPModel: 77 text tokens"),
        ("siglip", SIGLIP, "SiglipModel: 64 text tokens"),
        ("blip-2@224,tokens=32", BLIP_2, "32 text tokens, 32 image tokens"),
        ("whisper@3000,tokens=64", WHISPER, "64 text tokens"),
        ("qwen2_audio,tokens=64", QWEN2_AUDIO, "64 text tokens, 750 audio tokens"),
        ("vjepa2@4x256x256", V_JEPA_2, "VJEPA2Model: no text"),
    ],
)
def test_all_parts_are_counted(text: str, expected: int, note: str) -> None:
    """Towers, projectors, language model and head, on shapes alone."""
    profile = count(parse_spec(f"transformers:{text}"))
    assert (profile.dense_macs, profile.device, profile.not_counted) == (expected, "meta", ())
    assert note in profile.notes[0]
    assert not any("took no part" in note for note in profile.notes)


@pytest.mark.parametrize(
    ("text", "expected", "feature_dim"),
    [
        # LLaMA-7B on 576 tokens, and its head
        (
            "LlamaForCausalLM@576",
            layers(32, 576, 4096, 11008, gated=True) + 576 * 4096 * 32000,
            None,
        ),
        # ViT-B/16 on 196 + 1 tokens, 2 classes unless others are asked for
        (
            "ViTForImageClassification@224",
            patches(196, 16 * 16, 768) + layers(12, 197, 768, 3072) + 768 * 2,
            768,
        ),
        (
            "BertForMaskedLM@16,num_hidden_layers=2,vocab_size=100",
            layers(2, 16, 768, 3072) + 16 * 768 * (768 + 100),
            None,
        ),
    ],
)
def test_a_class_is_a_model(text: str, expected: int, feature_dim: int | None) -> None:
    """With its default configuration, and with options."""
    profile = count(parse_spec(f"transformers:{text}"))
    assert (profile.dense_macs, profile.feature_dim) == (expected, feature_dim)


TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 50}
LLAMA = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 4, **TEXT}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
SMALL_LLAVA = {"text_config": LLAMA, "vision_config": {"model_type": "clip_vision_model", **VISION}}


def small(name: str, size: tuple[int, ...] = (), **options: Any) -> ModelSpec:
    """Return a specification with a configuration in which little is left."""
    return ModelSpec(
        source="transformers", name=name, size=size, options=tuple(sorted(options.items()))
    )


# 16 patches and a class token, 16 placeholders; the head makes 50 logits of every token
SMALL_VISION = patches(16, 64, 32) + layers(2, 17, 32, 48)
SMALL_LLAVA_MACS = (
    SMALL_VISION
    + 16 * (32 * 64 + 64 * 64)
    + layers(2, 16 + 5, 64, 96, gated=True)
    + (16 + 5) * 64 * 50
)
# tiles of 32 pixels: one of the whole image, two beside each other; a row of 4 new-line embeddings
SMALL_NEXT_MACS = (
    3 * (SMALL_VISION + 16 * (32 * 64 + 64 * 64))
    + layers(2, 16 + 32 + 4 + 5, 64, 96, gated=True)
    + (16 + 32 + 4 + 5) * 64 * 50
)
SMALL_NEXT = {**SMALL_LLAVA, "image_grid_pinpoints": [[32, 64], [64, 32]]}


@pytest.mark.parametrize("counter", ["torch", "fvcore", "thop"])
def test_counters_agree_on_a_model_of_several_parts(counter: str) -> None:
    """On shapes and on values; the placeholder's id is moved into the vocabulary."""
    pytest.importorskip("fvcore")
    profile = count(small("llava", (32,), tokens=5, **SMALL_LLAVA), counter)
    attention = 2 * 2 * (17**2 * 32 + 21**2 * 64)  # which THOP does not see
    assert profile.dense_macs == SMALL_LLAVA_MACS - (attention if counter == "thop" else 0)
    assert profile.device == ("cpu" if counter == "fvcore" else "meta")


def test_an_image_is_cut_into_tiles() -> None:
    """An image of 32 x 64 pixels is seen whole and as two tiles."""
    assert count(small("llava_next", (32, 64), tokens=5, **SMALL_NEXT)).dense_macs == (
        SMALL_NEXT_MACS
    )


ROPE = {"type": "mrope", "mrope_section": [2, 3, 3]}
QWEN = {
    "text_config": {**LLAMA, "model_type": "qwen2_vl_text", "rope_scaling": ROPE},
    "vision_config": {"depth": 1, "embed_dim": 32, "num_heads": 2, "hidden_size": 64},
}


@pytest.mark.parametrize(("size", "steps"), [((56,), 1), ((28, 112), 1), ((4, 56, 56), 2)])
def test_patches_of_images_and_clips_are_merged(size: tuple[int, ...], steps: int) -> None:
    """16 patches of 14 x 14 pixels for every two frames, or for an image; four make a token."""
    n, tokens = 16 * steps, 4 * steps + 5
    expected = (
        patches(n, 2 * 14 * 14, 32)
        + steps * layers(1, 16, 32, 128)  # attention within two frames
        + 4 * steps * (128 * 128 + 128 * 64)
        + layers(2, tokens, 64, 96, gated=True)
        + tokens * 64 * 50
    )
    assert count(small("qwen2_vl", size, tokens=5, **QWEN)).dense_macs == expected


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (small("video_llava", (32,), **SMALL_LLAVA), "parameters take no part: model.video_tower"),
        (
            parse_spec("transformers:kosmos-2.5"),
            "parameters take no part: vision_model",
        ),
        (
            parse_spec("transformers:phi4_multimodal"),
            "parameters take no part: model.embed_",
        ),
        (small("llava", (64,), **SMALL_LLAVA), "Input image size (64*64) doesn't match"),
        (small("llava", (2, 32, 32), **SMALL_LLAVA), "takes images, not clips: got @2x32x32"),
        (small("llava", (32,), frames=9, **SMALL_LLAVA), "does not take images and sound"),
        (small("llava", tokens=0, **SMALL_LLAVA), "tokens=0 where a whole number of at least 1"),
        (
            small("qwen2_vl", (56,), **{**QWEN, "text_config": {**LLAMA, "hidden_size": 128}}),
            "features of the image are 64 wide, those of the text 128",
        ),
        (small("qwen2_vl", (50,), **QWEN), "takes sides in multiples of 28 pixels, got 50x50"),
        (small("qwen2_vl", **QWEN), "name one: transformers:qwen2_vl"),
        (small("whisper", (80, 3000)), "takes sound: expected its length after '@'"),
        (small("bert", (8,), tokens=4), "takes one input, whose size goes after '@'"),
        (small("decision_transformer"), "there is none for 'states'"),
        (small("LlamaForCausalLN", (8,)), "did you mean LlamaForCausalLM"),
        (small("Llama", (8,)), "did you mean llama"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_what_is_no_whole_model_is_refused(spec: ModelSpec, said: str, device: str) -> None:
    """In one message, before weights take memory, with what the model takes."""
    if spec.name.islower() and spec.name not in transformers.CONFIG_MAPPING:
        pytest.skip("this version of transformers does not have it")
    with pytest.raises(InputError) as refused:
        build(spec, device)
    assert said in str(refused.value)
    if "take no part" in said:
        assert "its forward takes input_ids, " in str(refused.value)

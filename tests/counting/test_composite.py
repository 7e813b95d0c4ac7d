"""Transformers models of several parts: every part is in the count, which a formula gives too."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from flopbench.counting.measure.profiler import profile_spec  # noqa: E402
from flopbench.counting.profile import CostProfile  # noqa: E402
from flopbench.counting.registry import find_counter  # noqa: E402
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

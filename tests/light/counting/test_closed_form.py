"""Costs of transformers in closed form: hand integers, and what has no formula."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from sweeps import each

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.closed_form import Blocks, attention_pool, patches
from flopbench.counting.measure.counters.formula_families import covers, price
from flopbench.counting.measure.counters.formula_settings import Asked

LLAMA_7B = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "hidden_act": "silu",
}
VIT_B16 = {
    "image_size": 224,
    "patch_size": 16,
    "num_layers": 12,
    "num_heads": 12,
    "hidden_dim": 768,
    "mlp_dim": 3072,
    "num_classes": 1000,
    "representation_size": None,
    "conv_stem_configs": None,
}


VIT_TINY = {
    "patch_size": 16,
    "in_chans": 3,
    "embed_dim": 192,
    "depth": 12,
    "num_heads": 3,
    "mlp_ratio": 4.0,
    "num_classes": 1000,
    "global_pool": "token",
}
BASE = {"transformers": LLAMA_7B, "torchvision": VIT_B16, "timm": VIT_TINY}


def macs(kind: str, values: dict[str, Any], **asked: Any) -> int:
    """Sum the parts of a formula."""
    return sum(part.macs for part in price(kind, values, set(), Asked(**asked)))


def test_the_formulas_need_no_torch() -> None:
    """They are integers of a configuration, and a table from the cache asks them."""
    code = (
        "import flopbench.counting.measure.counters.formula_families as f, sys;"
        "print(f.covers('timm.Eva'), 'torch' in sys.modules, 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


@pytest.mark.parametrize(
    ("kind", "tokens", "cached", "expected"),
    [
        # 32·(4·4096² + 3·4096·11008) = 6,476,005,376 a token; 32·2·4096 = 262,144 a pair of
        # tokens; head 4096·32000 = 131,072,000 a token.
        ("LlamaForCausalLM", 1, 128, 6_640_893_952),  # 6,476,005,376 + 129·262,144 + 131,072,000
        ("LlamaForCausalLM", 1, 1024, 6_875_774_976),
        ("LlamaForCausalLM", 622, 0, 4_211_021_447_168),
        ("LlamaModel", 622, 0, 4_129_494_663_168),
    ],
)
def test_llama_7b(kind: str, tokens: int, cached: int, expected: int) -> None:
    """Prefill and one token at a cache."""
    assert macs(f"transformers.{kind}", LLAMA_7B, tokens=tokens, cached=cached) == expected


def test_vit_b_16() -> None:
    """196·768·768 + 12·197·(12·768² + 2·197·768) + 768·1000, at 224 px."""
    kind = "torchvision.VisionTransformer"
    assert macs(kind, VIT_B16, image=(224, 224)) == 17_563_828_224
    # 14·10 = 140 patches: 82,575,360 + 12·141·(7,077,888 + 216,576) + 768,000
    assert macs(kind, VIT_B16, image=(239, 160)) == 12_425_576_448


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # 5 tokens of 12; 3 heads of 4; an MLP of 20; 2 layers. A layer costs a token
        # 2·12·(12 + 12) + 2·5·12 + 2·12·20 = 576 + 120 + 480.
        ({}, 11_760),
        ({"keys": 4}, 9_840),  # one head for three queries: 2·12·16 = 384
        ({"queries": 24, "keys": 8}, 14_880),  # heads of 8: 2·12·32 + 2·5·24 + 480 = 1488
        ({"matrices": 3}, 14_160),  # 3·12·20 = 720
        ({"experts": 4, "active": 2, "matrices": 3}, 21_840),  # 2·720 + 12·4
        ({"depth": 0}, 0),
    ],
)
def test_blocks(changed: dict[str, int], expected: int) -> None:
    """Grouped queries, wide heads, gates and experts."""
    sizes = {"depth": 2, "width": 12, "queries": 12, "keys": 12, "hidden": 20, **changed}
    assert sum(part.macs for part in Blocks(**sizes).parts(5)) == expected


def test_a_cache_is_attended_to_and_not_projected() -> None:
    """2 layers · 1 token · (576 + 480 + 2·(1 + 6)·12)."""
    blocks = Blocks(depth=2, width=12, queries=12, keys=12, hidden=20)
    assert sum(part.macs for part in blocks.parts(1, 6)) == 2_448


def test_images_and_pools() -> None:
    """(15 div 7)·(30 div 6) = 10 patches of 3·7·6; one query at 10 tokens of 12, MLP of 20."""
    count, part = patches(3, (15, 30), (7, 6), 12)
    assert (count, part.macs) == (10, 15_120)
    assert sum(p.macs for p in attention_pool(10, 12, 20)) == 22 * 144 + 240 + 480


REFUSED = {
    "class": ("transformers.SwinModel", {}, {"tokens": 5}, "no formula for transformers.Swin"),
    "class of another library": ("timm.LlamaModel", {}, {"tokens": 5}, "no formula for timm."),
    "adapter": ("transformers.LlamaModel", {"lora_rank": 8}, {"tokens": 5}, "lora_rank"),
    "experts": ("transformers.LlamaModel", {"n_routed_experts": 8}, {"tokens": 5}, "routed"),
    "other layers": (
        "transformers.Qwen2Model",
        {"layer_types": ["full_attention", "linear_attention"]},
        {"tokens": 5},
        "layer_types",
    ),
    "cross attention": (
        "transformers.BertModel",
        {"add_cross_attention": True},
        {"tokens": 5},
        "add_cross_attention = True",
    ),
    "window over a cache": (
        "transformers.MistralModel",
        {"sliding_window": 4},
        {"tokens": 1, "cached": 9},
        "sliding window over a cache",
    ),
    "encoder with a cache": ("transformers.BertModel", {}, {"tokens": 1, "cached": 9}, "cache"),
    "mixed layers": ("transformers.Qwen3MoeModel", {"mlp_only_layers": [0]}, {"tokens": 5}, "only"),
    "nothing to read": ("transformers.LlamaModel", {"hidden_size": None}, {"tokens": 5}, "hidden"),
    "no number": ("transformers.LlamaModel", {"num_hidden_layers": "2"}, {"tokens": 5}, "= '2'"),
    "projected words": ("transformers.OPTModel", {"word_embed_proj_dim": 8}, {"tokens": 5}, "= 8"),
    "registers": ("timm.VisionTransformerDistilled", {"reg_tokens": 4}, {}, "reg_tokens = 4"),
    "pool": ("timm.VisionTransformer", {"global_pool": "prr"}, {}, "global_pool = 'prr'"),
    "hybrid": ("timm.VisionTransformer", {"embed_layer": "HybridEmbed"}, {}, "HybridEmbed"),
    "stem": ("torchvision.VisionTransformer", {"conv_stem_configs": [1]}, {}, "conv_stem"),
}


def test_what_is_refused() -> None:
    """A class, a setting or an input outside the formulas is named."""

    def check(case: str) -> None:
        kind, changed, asked, expected = REFUSED[case]
        base = BASE[kind.partition(".")[0]]
        with pytest.raises(MeasureError) as caught:
            macs(kind, {**base, **changed}, **{"image": (224, 224), **asked})
        assert expected in caught.value.message

    each(list(REFUSED), check)


def test_what_may_be_asked() -> None:
    """The default table asks the witness only about these classes."""
    assert covers("transformers.GPT2LMHeadModel")
    assert covers("timm.VisionTransformerDistilled")
    assert not covers("torchvision.ResNet")
    assert not covers("transformers.LlavaForConditionalGeneration")

"""Which number of a configuration is which term of ``closed_form``, for each covered family.

A formula reads what it needs by name. Every other name must be on the list of those that cannot
change a cost: a configuration with anything else, such as a setting of a later version, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.closed_form import (
    Blocks,
    Part,
    attention_pool,
    linear,
    patches,
)
from flopbench.counting.measure.counters.formula_settings import Asked, Configuration

_FREE = re.compile(
    r"""
    .*(drop|_token_id|bias|multiplier|softcapping|norm|activation|position|rope|auxiliary).*
    | hidden_act | (pooler|summary|rotary|scale_attn|pos_embed|semantic_loss)_.* | .*eps(ilon)?
    | (initializer|init)_.* | type_vocab_size | use_cache | pretraining_tp | tie_word_embeddings
    | is_decoder | (use_)?sliding_window | _?sliding_window_pattern | max_window_layers
    | layer_?scale.* | clip_qkv | logits?_scal(e|ing) | query_pre_attn_scalar | num_hidden_groups
    | reorder_and_upcast_attn | sinusoidal_pos_embds | (output_)?router_.* | use_parallel_residual
    | vocab_size | image_size | encoder_stride | use_mask_token | use_mean_pooling | pool_scales
    | out_(indices|features) | stage_names | reshape_hidden_states | add_fpn | slow_but_exact
    | projection_(dim|size) | relative_attention_num_buckets | use_task_id | task_type_vocab_size
    """,
    re.VERBOSE,
)
"""Settings of transformers without MACs in the families below: what masks, scales or adds, tables
that are looked up, and what belongs to heads that are not there."""

_FREE_ARGUMENTS = re.compile(
    r"""
    (img|image)_size | num_heads | .*(bias|norm|drop).* | scale_.* | init_values
    | (no_embed|use_abs|use_rot|fix|weight|head)_(class|pos_emb|init|init_scale) | pos_embed
    | (act|norm|embed_norm)_layer | dynamic_img_size | qkv_fused | rope_.* | device | dtype
    | attn_only_layer_scale | attn_pool_num_heads | ref_feat_shape | attn_type
    """,
    re.VERBOSE,
)
"""The same for the constructors of timm and torchvision; heads share the width, however many."""


def price(kind: str, values: Mapping[str, Any], free: set[str], asked: Asked) -> list[Part]:
    """Price one sample.

    Args:
        kind: library and class, such as ``transformers.LlamaModel``.
        values: the configuration, or the arguments of the constructor.
        free: further settings that cost nothing.
        asked: the input.

    Raises:
        MeasureError: no formula covers this model, or one of its settings.
    """
    if kind not in _COVERED:
        raise MeasureError(f"no formula for {kind}")
    rule = _COVERED[kind]
    config = Configuration(rule.family, rule.head, values)
    parts = rule.formula(config, asked)
    known = _FREE if kind.startswith("transformers.") else _FREE_ARGUMENTS
    config.refuse_unread(lambda name: name in free or known.fullmatch(name))
    return [part for part in parts if part.macs]


def covers(kind: str) -> bool:
    """Whether there is a formula for a library's class, such as ``timm.Eva``."""
    return kind in _COVERED


def _blocks(config: Configuration, matrices: int, hidden: int = 0) -> Blocks:
    """Read the blocks of transformers; ``hidden`` is the width of the MLP if no setting is."""
    config.require("layer_types", "full_attention", "sliding_attention")
    config.require("add_cross_attention", False)
    width, heads = config.count("hidden_size"), config.count("num_attention_heads")
    size = config.count("head_dim", default=width // heads)
    names = ("moe_intermediate_size", "intermediate_size", "ffn_dim", "n_inner", "hidden_dim")
    return Blocks(
        depth=config.count("num_hidden_layers") * config.count("inner_group_num", default=1),
        width=width,
        queries=heads * size,
        keys=config.count("num_key_value_heads", default=heads) * size,
        hidden=hidden or config.count(*names, default=4 * width),
        matrices=matrices,
        experts=config.count("num_local_experts", "num_experts", default=0),
        active=config.count("num_experts_per_tok", default=1),
    )


def _decoder(matrices: int) -> _Formula:
    def formula(config: Configuration, asked: Asked) -> list[Part]:
        if asked.cached and config.get("sliding_window", default=0):
            raise MeasureError("no formula for a sliding window over a cache")
        blocks = _blocks(config, matrices)
        config.require("word_embed_proj_dim", blocks.width)
        config.require("use_bidirectional_attention", None, False)
        parts = blocks.parts(asked.tokens, asked.cached)
        if config.head in ("ForCausalLM", "LMHeadModel"):
            parts.append(linear("head", asked.tokens, blocks.width, config.count("vocab_size")))
        elif config.head != "Model":
            labels = 2 if config.head == "ForQuestionAnswering" else asked.labels
            parts.append(linear("head", asked.tokens, blocks.width, labels))
        return parts

    return formula


def _mixture(config: Configuration, asked: Asked) -> list[Part]:
    config.require("mlp_only_layers", None)
    config.require("decoder_sparse_step", 1)
    return _decoder(3)(config, asked)


def _encoder(config: Configuration, asked: Asked) -> list[Part]:
    if asked.cached:
        raise MeasureError("no formula for an encoder with a cache")
    blocks = _blocks(config, 2)
    width, tokens = blocks.width, asked.tokens
    embedded = config.count("embedding_size", default=width)
    parts = blocks.parts(tokens)
    if embedded != width or config.family == "Albert":
        parts.append(linear("embedding", tokens, embedded, width))
    if config.head == "ForMaskedLM":
        parts.append(linear("head transform", tokens, width, embedded))
        parts.append(linear("head", tokens, embedded, config.count("vocab_size")))
    elif config.head == "ForSequenceClassification":
        parts += [linear("pooler", 1, width, width), linear("head", 1, width, asked.labels)]
    elif config.head != "Model":
        parts.append(linear("head", tokens, width, asked.labels))
    elif asked.pooled:
        parts.append(linear("pooler", 1, width, width))
    return parts


def _text_tower(config: Configuration, asked: Asked) -> list[Part]:
    blocks = _blocks(config, 2)
    parts = blocks.parts(asked.tokens)
    if config.family == "SiglipText":
        out = config.count("projection_size", default=blocks.width)
        parts.append(linear("head", 1, blocks.width, out))
    return parts


_SPECIAL_TOKENS = {
    "ViT": 1,
    "DeiT": 2,
    "ViTMSN": 1,
    "IJepa": 0,
    "Beit": 1,
    "Data2VecVision": 1,
    "Dinov2": 1,
    "Dinov2WithRegisters": 1,
    "DINOv3ViT": 1,
    "CLIPVision": 1,
    "SiglipVision": 0,
}
"""Beside the patches, without registers."""


def _vision(config: Configuration, asked: Asked) -> list[Part]:
    width = config.count("hidden_size")
    count, embedding = patches(
        config.count("num_channels"), asked.image, config.pair("patch_size"), width
    )
    gated, hidden = config.get("use_gated_mlp", default=False), 0
    if config.family.startswith("Dinov2"):
        hidden = int(width * config.get("mlp_ratio"))
        if config.get("use_swiglu_ffn"):  # of the same size as without a gate, in eights
            gated, hidden = True, (int(hidden * 2 / 3) + 7) // 8 * 8
    blocks = _blocks(config, 3 if gated else 2, hidden)
    tokens = count + _SPECIAL_TOKENS[config.family] + config.count("num_register_tokens", default=0)
    parts = [embedding, *blocks.parts(tokens)]
    if config.head.startswith("ForImageClassification"):
        heads = 2 if config.head.endswith("WithTeacher") else 1
        described = 2 * width if config.family.startswith("Dinov2") else width
        parts.append(linear("head", heads, described, asked.labels))
    elif config.family == "SiglipVision" and config.get("vision_use_head", default=True):
        parts += attention_pool(tokens, width, blocks.hidden)
    elif asked.pooled and config.family in ("ViT", "DeiT", "IJepa"):
        out = config.count("pooler_output_size", default=width)
        parts.append(linear("pooler", 1, width, out))
    return parts


def _timm_patches(config: Configuration, asked: Asked) -> tuple[int, Part]:
    config.require("embed_layer", "PatchEmbed")
    patch = config.pair("patch_size")
    image = asked.image
    if config.get("dynamic_img_pad", default=False):
        image = tuple(-(-size // p) * p for size, p in zip(image, patch, strict=True))
    return patches(config.count("in_chans"), image, patch, config.count("embed_dim"))


def _timm_vit(config: Configuration, asked: Asked) -> list[Part]:
    config.require("block_fn", "Block", "ResPostBlock", "ParallelScalingBlock")
    config.require("attn_layer", "Attention", "")
    config.require("mlp_layer", "Mlp", "SwiGLU", "GluMlp")
    if config.family == "Distilled":  # its registers are made, and left out
        config.require("reg_tokens", 0)
    mlp = config.get("mlp_layer", default="Mlp")
    return _timm(config, asked, gated=mlp != "Mlp", packed=mlp == "GluMlp")


def _timm_eva(config: Configuration, asked: Asked) -> list[Part]:
    config.require("num_kv_heads", None)
    return _timm(config, asked, gated=config.get("swiglu_mlp"))


def _timm(config: Configuration, asked: Asked, *, gated: bool, packed: bool = False) -> list[Part]:
    """Price a ViT of timm; a packed gate shares the hidden width with what it gates."""
    width, classes = config.count("embed_dim"), config.count("num_classes")
    count, embedding = _timm_patches(config, asked)
    hidden = int(width * config.get("mlp_ratio")) // (2 if packed else 1)
    align = config.count("swiglu_align_to", default=0) or 1
    hidden += -hidden % align if gated else 0
    special = int(config.get("class_token", default=True)) + (config.family == "Distilled")
    special += config.count("reg_tokens", "num_reg_tokens", default=0)
    blocks = Blocks(
        depth=config.count("depth"),
        width=width,
        queries=width,
        keys=width,
        hidden=hidden,
        matrices=3 if gated else 2,
    )
    tokens = count + special
    parts = [embedding, *blocks.parts(tokens)]
    config.require("global_pool", "token", "avg", "avgmax", "max", "map", "")
    pool, rows = config.get("global_pool"), 2 if config.family == "Distilled" else 1
    pooled = tokens if config.get("pool_include_prefix", default=True) else count
    ratio = config.get("attn_pool_mlp_ratio", "mlp_ratio")
    if pool == "map":
        parts += attention_pool(pooled, width, int(width * ratio))
    return [*parts, linear("head", rows if pool else tokens, width, classes)]


def _torchvision_vit(config: Configuration, asked: Asked) -> list[Part]:
    config.require("conv_stem_configs", None)
    width, patch = config.count("hidden_dim"), config.count("patch_size")
    count, embedding = patches(3, asked.image, (patch, patch), width)
    blocks = Blocks(
        depth=config.count("num_layers"),
        width=width,
        queries=width,
        keys=width,
        hidden=config.count("mlp_dim"),
    )
    parts = [embedding, *blocks.parts(count + 1)]
    middle = config.count("representation_size", default=0)
    parts.append(linear("representation", 1, width, middle))
    return [*parts, linear("head", 1, middle or width, config.count("num_classes"))]


_Formula = Callable[[Configuration, Asked], list[Part]]


class _Rule(NamedTuple):
    formula: _Formula
    family: str
    head: str


_TEXT_HEADS = (
    "Model",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
)
_IMAGE_HEADS = ("Model", "ForImageClassification", "ForImageClassificationWithTeacher")
_FAMILIES: tuple[tuple[_Formula, str, tuple[str, ...]], ...] = (
    (
        _decoder(3),
        "Llama Mistral Ministral Qwen2 Qwen3 Gemma Gemma2 Gemma3 Gemma3Text Phi3 Olmo Olmo2 Olmo3 "
        "Granite Cohere Cohere2 StableLm Glm Glm4 Helium SmolLM3 SeedOss Exaone4 Ernie4_5",
        (*_TEXT_HEADS, "ForCausalLM"),
    ),
    (
        _decoder(2),
        "GPT2 GPTNeoX GPTJ OPT Bloom Phi Starcoder2 Arcee Nemotron",
        (*_TEXT_HEADS, "ForCausalLM", "LMHeadModel"),
    ),
    (_mixture, "Mixtral Qwen3Moe Olmoe", ("Model", "ForCausalLM")),
    (
        _encoder,
        "Bert Roberta XLMRoberta Camembert DistilBert Electra Albert Ernie MegatronBert MPNet "
        "Data2VecText",
        (*_TEXT_HEADS, "ForMaskedLM"),
    ),
    (_text_tower, "CLIPText SiglipText", ("Model",)),
    (_vision, " ".join(_SPECIAL_TOKENS), _IMAGE_HEADS),
)
_COVERED = {
    f"transformers.{family}{head}": _Rule(formula, family, head)
    for formula, families, heads in _FAMILIES
    for family in families.split()
    for head in heads
} | {
    "timm.VisionTransformer": _Rule(_timm_vit, "", ""),
    "timm.VisionTransformerDistilled": _Rule(_timm_vit, "Distilled", ""),
    "timm.Eva": _Rule(_timm_eva, "", ""),
    "timm.Beit": _Rule(_timm_eva, "", ""),
    "torchvision.VisionTransformer": _Rule(_torchvision_vit, "", ""),
}

"""The ``formula`` counter: hand integers, which ``torch`` gives too; refusals; when it joins."""

from __future__ import annotations

import io
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sweeps import each  # noqa: E402
from torch import nn  # noqa: E402

import flopbench  # noqa: E402
from flopbench.core.errors import MeasureError  # noqa: E402
from flopbench.counting import DEFAULT_COUNTERS  # noqa: E402
from flopbench.counting.explain_text import explanation_text  # noqa: E402
from flopbench.counting.measure import profiler, sources  # noqa: E402
from flopbench.counting.run import explain  # noqa: E402
from flopbench.models.spec import parse_spec  # noqa: E402

TEXT = "hidden_size=12,num_hidden_layers=2,num_attention_heads=3,intermediate_size=20,vocab_size=50"
DINO = "hidden_size=12,num_hidden_layers=2,num_attention_heads=3"
IMAGE = f"{DINO},intermediate_size=20"

# 5 tokens of 12, 3 heads of 4, an MLP of 20, 2 layers. A layer costs a token
# 2·12·(12 + 12) = 576 (projections) + 2·5·12 = 120 (attention) + 480 or, gated, 720 (MLP).
TEXTS = {
    f"llama@5,{TEXT}": 14_160,  # 10·1416
    f"llama@5,{TEXT},num_key_value_heads=1": 12_240,  # one head for three: 384 + 120 + 720
    f"llama@5,{TEXT},classes=3": 14_340,  # + 5·12·3, on every token
    f"mistral@5,{TEXT},num_key_value_heads=1,sliding_window=2": 12_240,  # the window is a mask
    f"qwen2@5,{TEXT},num_key_value_heads=3,tie_word_embeddings=True": 14_160,
    f"gemma@5,{TEXT},num_key_value_heads=1,head_dim=8": 17_280,  # 2·12·32 + 2·5·24 + 720
    f"phi3@5,{TEXT},num_key_value_heads=1,pad_token_id=0": 12_240,  # fused matrices cost the same
    f"starcoder2@5,{TEXT},num_key_value_heads=1": 9_840,  # no gate: 384 + 120 + 480
    f"mixtral@5,{TEXT},num_key_value_heads=1,num_local_experts=4": 19_920,  # two of four: 1440 + 48
    "gpt2@7,n_embd=12,n_layer=1,n_head=2,vocab_size=50": 13_272,  # 7·(576 + 2·7·12 + 2·12·48)
    "gpt2@7,n_embd=12,n_layer=1,n_head=2,vocab_size=50,n_inner=5": 6_048,  # 7·(744 + 2·12·5)
    f"bert@5,{TEXT}": 11_904,  # 10·1176, pooler 12²
    f"roberta@5,{TEXT},classes=3": 11_940,  # + 12² + 12·3, on one token
    f"electra@5,{TEXT},embedding_size=7": 12_180,  # 10·1176 + 5·7·12
    f"albert@5,{TEXT},embedding_size=7,inner_group_num=2": 24_084,  # 20·1176 + 5·7·12 + 12²
}
IMAGES = {
    # 4 patches of 3·16·16: 36,864. 5, 6, 4 tokens; a layer costs a token 576 + 480 + 24 a token.
    f"vit@32,{IMAGE},image_size=32": 48_768,  # 10·1176 + 12²
    f"vit@32,{IMAGE},image_size=32,classes=3": 48_660,  # 12·3, without the pooler
    f"deit@32,{IMAGE},image_size=32": 51_408,  # two special tokens: 12·1200 + 12²
    f"ijepa@32,{IMAGE},image_size=32,classes=3": 46_116,  # none: 8·1152 + 12·3
    f"beit@32,{IMAGE},image_size=32,classes=3": 48_660,
    f"siglip_vision_model@32,{IMAGE},image_size=32": 48_096,  # 8·1152 + 10·12² + 2·4·12 + 2·12·20
    # 2·4 = 8 patches of 3·7·7: 14,112. An MLP of 48.
    f"dinov2@14x28,{DINO},patch_size=7,classes=3": 49_176,  # 18·(576 + 216 + 1152) + 2·12·3
    # Three registers: 12 tokens. A gate: 2/3 of 48 is 32: 24·(576 + 288 + 3·12·32).
    f"dinov2_with_registers@14x28,{DINO},patch_size=7,num_register_tokens=3,use_swiglu_ffn=True": (
        62_496
    ),
}
TIMM = {
    # d = 192, 12 layers: 12·n·(12·192² + 2·n·192) + 768·192·patches + 192·1000
    "vit_tiny_patch16_224@160x96,dynamic_img_size=True": 349_999_104,  # 60 patches, 61 tokens
    "vit_tiny_patch16_224@97x96,dynamic_img_size=True,dynamic_img_pad=True": 243_167_232,  # 7·6
    "deit_tiny_distilled_patch16_224@224": 1_261_003_776,  # 198 tokens, two heads
    "vit_tiny_patch16_224@224,num_classes=0,reg_tokens=4": 1_282_060_800,  # 201 tokens
    "vit_tiny_patch16_224@224,class_token=False,global_pool=avg": 1_246_563_840,  # 196 tokens
    # No head; a gate, an MLP of 512, 256 patches of 588: 12·257·(4·192² + 2·257·192 + 3·192·512)
    "eva02_tiny_patch14_224@224": 1_697_518_080,
}
VITS = {"vit_b_16@224": 17_563_828_224, "vit_b_32@224,classes=7": 4_408_423_680}


def counts(text: str) -> dict[str, int]:
    """Return the dense MACs under both counters."""
    profiles = flopbench.profile(text, counters=["torch", "formula"])
    return {profile.counter: profile.dense_macs for profile in profiles}


@pytest.mark.parametrize(
    ("source", "cases"),
    [("transformers", TEXTS), ("transformers", IMAGES), ("timm", TIMM), ("torchvision", VITS)],
    ids=["texts", "images", "timm", "torchvision"],
)
def test_the_hand_integer(source: str, cases: dict[str, int]) -> None:
    """The formula and a run give it."""
    pytest.importorskip(source)
    prefix = "" if source == "torchvision" else f"{source}:"

    def check(case: str) -> None:
        expected = {"torch": cases[case], "formula": cases[case]}
        assert counts(prefix + case) == expected

    each(list(cases), check)


def tiny_llama(**settings: Any) -> Any:
    """Return a LLaMA with a head, of 13,920 + 600 MACs a token at 5 tokens."""
    transformers = pytest.importorskip("transformers")
    sizes = dict(option.split("=") for option in TEXT.split(","))
    config = transformers.LlamaConfig(**{k: int(v) for k, v in sizes.items()}, **settings)
    return transformers.LlamaForCausalLM(config)


def ids(*shape: int) -> Any:
    """Return tokens."""
    return torch.ones(*shape, dtype=torch.long)


def test_a_live_model_of_transformers() -> None:
    """Its configuration is that of the module; a batch of three costs three times as much."""
    model = tiny_llama()
    for given in (
        {"input_ids": ids(3, 5)},
        (ids(3, 5),),
        {"input_ids": ids(3, 5), "attention_mask": ids(3, 5), "use_cache": False},
        {"inputs_embeds": torch.rand(3, 5, 12)},
    ):
        # 3·(14,160 + 5·12·50)
        assert flopbench.profile(model, given, "formula").dense_macs == 51_480


def test_a_token_at_a_cache() -> None:
    """2·(576 + 720 + 2·7·12) + 12·50, at a cache of six."""
    transformers = pytest.importorskip("transformers")
    model, cache = tiny_llama(), transformers.DynamicCache()
    with torch.no_grad():
        model(input_ids=ids(1, 6), past_key_values=cache)
    given = {"input_ids": ids(1, 1), "past_key_values": cache}
    assert flopbench.profile(model, given, "formula").dense_macs == 3_528


def test_a_pooler_left_out() -> None:
    """Two layers on 5 tokens, and no 12²."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = transformers.BertConfig(**sizes, intermediate_size=20, vocab_size=50)
    model = transformers.BertModel(config, add_pooling_layer=False)
    assert flopbench.profile(model, {"input_ids": ids(1, 5)}, "formula").dense_macs == 11_760


class Adapter(nn.Linear):
    """A layer of somebody else's."""


def with_adapter() -> Any:
    """Put an adapter into a LLaMA."""
    model = tiny_llama()
    model.model.layers[0].self_attn.q_proj = Adapter(12, 12)
    return model


def reparameterised() -> Any:
    """Compute a weight of a LLaMA anew in each pass."""
    model = tiny_llama()
    nn.utils.parametrizations.weight_norm(model.model.layers[0].self_attn.q_proj)
    return model


REFUSED = [
    (with_adapter, {"input_ids": ids(1, 5)}, "a layer from elsewhere: Adapter"),
    (reparameterised, {"input_ids": ids(1, 5)}, "elsewhere: ParametrizedLinear"),
    (tiny_llama, {"input_ids": ids(1, 5), "labels": ids(1, 5)}, "for the input labels"),
    (tiny_llama, {"input_ids": ids(1, 5), "logits_to_keep": 1}, "for the input logits_to_keep"),
    (lambda: tiny_llama(n_experts=4), {"input_ids": ids(1, 5)}, "for the setting n_experts"),
    (lambda: tiny_llama(pruned_heads={0: [1]}), {"input_ids": ids(1, 5)}, "pruned_heads"),
    (lambda: nn.Linear(3, 4), (1, 3), "no formula for Linear"),
]


def test_what_is_refused_by_name() -> None:
    """Asked for by name, the counter fails with what it does not know."""

    def check(make: Any, given: Any, expected: str) -> None:
        with pytest.raises(MeasureError) as caught:
            flopbench.profile(make(), given, "formula")
        assert expected in caught.value.message

    each(REFUSED, check)


def test_a_live_vit_hides_its_arguments() -> None:
    """How wide its MLP is, is known only from what built it."""
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.VisionTransformer(32, 16, 2, 3, 12, 20)
    with pytest.raises(MeasureError, match="whose arguments are not known: name it"):
        flopbench.profile(model, (1, 3, 32, 32), "formula")


def test_nothing_runs_and_nothing_is_built_with_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything tried again with values where it refuses."""
    pytest.importorskip("transformers")
    model = tiny_llama()
    model.forward = None
    assert flopbench.profile(model, {"input_ids": ids(1, 5)}, "formula").dense_macs == 17_160
    devices = []

    def noted(spec: Any, device: str, **choices: Any) -> Any:
        devices.append(device)
        return build(spec, device, **choices)

    build = sources.build
    monkeypatch.setattr(sources, "build", noted)
    # 128·(32·(4·4096² + 3·4096·11008) + 32·2·128·4096)
    assert flopbench.profile("transformers:llama@128", counters="formula").dense_macs == (
        833_223_655_424
    )
    with pytest.raises(MeasureError, match="no formula for SwinTransformer"):
        flopbench.profile("swin_t@64", counters="formula")
    assert set(devices) == {"meta"}


def test_it_has_no_modules() -> None:
    """An explanation under it alone shows its terms, no tree of modules that would cost 0."""
    pytest.importorskip("transformers")
    text = io.StringIO()
    found = explain(parse_spec(f"transformers:bert@5,{TEXT}"), ["formula"])
    explanation_text(found, 2, text)
    assert "Where the MACs are" not in text.getvalue()
    assert "activations  -" in text.getvalue()
    assert "nothing ran, so it has no figures by module" in text.getvalue()
    assert {op.op: op.dense_macs for op in found.reference.operators} == {
        "projections": 5_760,
        "attention": 1_200,
        "mlp": 4_800,
        "pooler": 144,
    }


PROFILE_SPEC = profiler.profile_spec


def without_fvcore(spec: Any, infos: Any) -> Any:
    """Measure as if fvcore had failed."""
    found = PROFILE_SPEC(spec, infos)
    return {name: "too large" if name == "fvcore" else result for name, result in found.items()}


def test_it_joins_where_nobody_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fvcore failing, a ViT is verified by it; a model without a formula gets no row."""
    pytest.importorskip("transformers")
    monkeypatch.setattr(profiler, "profile_spec", without_fvcore)
    specs = [f"transformers:vit@32,{IMAGE},image_size=32", "resnet18@64", "swin_t@64"]
    table = flopbench.cost_table(specs, refresh=True)
    statuses = {(row.model[:12], row.counter): row.status for row in table}
    assert statuses["transformers", "formula"] == statuses["transformers", "torch"] == "verified"
    assert statuses["swin_t", "torch"] == "unverified"
    assert [row.model[:12] for row in table if row.counter == "formula"] == ["transformers"]
    assert not [row for row in table if row.status == "failed" and row.counter != "fvcore"]


def test_it_does_not_join_where_others_agree() -> None:
    """Nor where counters were chosen, nor in ``profile``."""
    pytest.importorskip("transformers")
    names = list(DEFAULT_COUNTERS)
    assert flopbench.cost_table([f"transformers:vit@32,{IMAGE},image_size=32"]).counters() == names
    assert flopbench.cost_table(["swin_t@64"], counters=["torch"]).counters() == ["torch"]
    assert [p.counter for p in flopbench.profile("swin_t@64", counters=names)] == names

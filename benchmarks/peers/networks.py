"""The networks that are counted, and their dense MACs by formulas that use no counter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IMPORTS = "import torch, torchvision, thop, fvcore.nn"
"""The floor of measuring: what the default counters need."""
TABLE2 = {
    "mobilenet_v2": 84,
    "resnet18": 112,
    "resnet34": 168,
    "resnet50": 224,
    "efficientnet_b0": 112,
    "efficientnet_b1": 168,
    "efficientnet_b3": 224,
}
"""Table 2 of the AR-Net supplement: network of torchvision -> pixels, all with 200 classes."""
CLASSES = 200


def conv(side: int, inputs: int, outputs: int, kernel: int) -> int:
    """MACs of a square convolution that writes ``side`` x ``side`` positions."""
    return side**2 * outputs * inputs * kernel**2


def resnet18_macs() -> int:
    """Four stages of two blocks of two 3 x 3 convolutions, at 224 px."""
    macs = conv(112, 3, 64, 7) + 4 * conv(56, 64, 64, 3)
    for side, width in ((28, 128), (14, 256), (7, 512)):
        macs += conv(side, width // 2, width, 3) + 3 * conv(side, width, width, 3)
        macs += conv(side, width // 2, width, 1)  # the shortcut
    return macs + 512 * 1000


def vit_b_16_macs() -> int:
    """14 x 14 patches and a class token, width 768, 12 layers, at 224 px."""
    tokens, width = 14 * 14 + 1, 768
    layer = tokens * 12 * width**2 + 2 * tokens**2 * width  # qkv, projection, MLP; attention
    return conv(14, 3, width, 16) + 12 * layer + width * 1000


def swin_t_macs() -> int:
    """Windows of 7 x 7 tokens in four stages, each with half the side and twice the width."""
    macs = conv(56, 3, 96, 4)
    for stage, blocks in enumerate((2, 2, 6, 2)):
        tokens, width = (56 >> stage) ** 2, 96 << stage
        macs += blocks * tokens * (12 * width**2 + 2 * 7**2 * width)
        if stage < 3:
            macs += tokens // 4 * 4 * width * 2 * width  # four neighbours become one token
    return macs + 768 * 1000


def r3d_18_macs() -> int:
    """ResNet-18 with 3 x 3 x 3 convolutions on 16 frames of 112 px."""
    macs = 16 * conv(56, 3, 64, 7) * 3 + 4 * 16 * conv(56, 64, 64, 3) * 3
    for frames, side, width in ((8, 28, 128), (4, 14, 256), (2, 7, 512)):
        macs += 3 * frames * (conv(side, width // 2, width, 3) + 3 * conv(side, width, width, 3))
        macs += frames * conv(side, width // 2, width, 1)
    return macs + 512 * 400


LSTM = {"inputs": 1280, "hidden": 512, "steps": 16}


def lstm_macs() -> int:
    """Four gates of inputs and state at each step."""
    return LSTM["steps"] * 4 * LSTM["hidden"] * (LSTM["inputs"] + LSTM["hidden"])


DECODER = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4}
TOKENS, WORDS = 64, 1000


def decoder_macs() -> int:
    """Four projections, attention of all pairs of tokens, a gated MLP; a head on every token."""
    width, inner, layers = DECODER.values()
    layer = 4 * width**2 + 2 * TOKENS * width + 3 * width * inner
    return TOKENS * (layers * layer + width * WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network with its true dense MACs."""

    text: str
    dense_macs: int


NETWORKS = {
    "resnet18": Network(text="CNN: ResNet-18, 224 px", dense_macs=resnet18_macs()),
    "vit_b_16": Network(text="ViT-B/16, 224 px", dense_macs=vit_b_16_macs()),
    "swin_t": Network(text="Swin-T, 224 px", dense_macs=swin_t_macs()),
    "r3d_18": Network(text="video: R3D-18, 16 x 112 px", dense_macs=r3d_18_macs()),
    "lstm": Network(text="LSTM 1280 to 512, 16 steps", dense_macs=lstm_macs()),
    "decoder": Network(text="decoder: LLaMA, 64 tokens", dense_macs=decoder_macs()),
}
"""Six kinds of network: name -> what it is, and what it costs."""


def build(name: str) -> tuple[Any, tuple[Any, ...]]:
    """Return a network in inference mode, weights random, and its input."""
    import torch
    import torchvision

    if name == "lstm":
        module = torch.nn.LSTM(LSTM["inputs"], LSTM["hidden"], batch_first=True)
        return module.eval(), (torch.randn(1, LSTM["steps"], LSTM["inputs"]),)
    if name == "decoder":
        import transformers

        config = transformers.LlamaConfig(
            **DECODER, num_attention_heads=4, vocab_size=WORDS, use_cache=False
        )
        module = _logits_of(transformers.LlamaForCausalLM(config)).eval()
        return module, (torch.randint(WORDS, (1, TOKENS)),)
    shape = (16, 112, 112) if name == "r3d_18" else (224, 224)
    return torchvision.models.get_model(name).eval(), (torch.randn(1, 3, *shape),)


def _logits_of(decoder: Any) -> Any:
    """Return a module whose output is a tensor: not every tool takes records."""
    from torch import nn

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, input_ids: Any) -> Any:
            return self.decoder(input_ids=input_ids).logits

    return Logits()


def being_trained() -> tuple[Any, tuple[Any, ...]]:
    """Return a ResNet-18 as fine-tuning has it: its stem frozen and in inference mode."""
    model, inputs = build("resnet18")
    model.train()
    model.bn1.eval()
    for module in (model.conv1, model.bn1):
        module.requires_grad_(False)
    return model, inputs

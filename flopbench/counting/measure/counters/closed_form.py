"""The cost of transformers in closed form, from the numbers of a configuration alone.

A token is a vector of width d. n tokens pass L equal blocks; each token attends to c tokens: n of
its own sequence, and those that a cache holds. A mask saves nothing, be it causal, padding or a
sliding window, as for every counter here. A linear layer of width a to b costs a·b MACs a token,
and biases, norms, activations, softmax, rotary and added positions, and layer scales cost nothing.

**Attention** has h query heads of size e, and g ≤ h key and value heads that groups of queries
share. Queries and the output are d·(h·e) MACs a token each, keys and values d·(g·e) each. Scores
and weighted values are h·e·c a token each, since a shared head is used by each of its queries::

    n · 2·d·(h·e + g·e)  +  2 · n·c·h·e

**MLP**, with a hidden width of m: two matrices d x m, or three where one gates the other (SwiGLU,
GeGLU). A mixture of experts sends each token to k of E experts, after a router d x E::

    n · (2 or 3)·d·m        n · (k·3·d·m + d·E)

**Images** of C x H x W pixels become patches of p x q: a convolution whose stride is its kernel,
(H div p)·(W div q) outputs of d from C·p·q values. Class, distillation and register tokens join
the sequence, so blocks see them; the convolution does not.

**Pooling by attention**: one learned query attends to the n tokens, then an MLP on one token::

    (2 + 2·n)·d·d  +  2·n·d  +  2·d·m

**Heads** are linear layers, on every token (language models, token classifiers) or on one.

For LLaMA-7B (d 4096, h = g = 32, e 128, m 11008, L 32, V 32000), one token at a cache of 128::

    32·(4·4096² + 3·4096·11008 + 2·129·4096) + 4096·32000 = 6,640,893,952

Sources: Vaswani et al. 2017; Dosovitskiy et al. 2021 (ViT); Touvron et al. 2021 (DeiT); Ainslie
et al. 2023 (grouped queries); Shazeer 2020 (gated MLPs); Lee et al. 2019 (attention pooling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Part(NamedTuple):
    """A term of a formula for one sample: what it is, its operator family, its MACs."""

    name: str
    family: str
    macs: int


class Blocks(Struct, frozen=True, kw_only=True):
    """A stack of equal blocks.

    Attributes:
        depth: how many (L).
        width: of a token (d).
        queries: width of all query heads together (h·e).
        keys: width of all key heads together, and of all value heads (g·e).
        hidden: width inside the MLP, of one expert (m).
        matrices: of the MLP: 2, or 3 with a gate.
        experts: of a mixture (E), 0 where there is none.
        active: experts that a token visits (k).
    """

    depth: int
    width: int
    queries: int
    keys: int
    hidden: int
    matrices: int = 2
    experts: int = 0
    active: int = 1

    def parts(self, tokens: int, cached: int = 0) -> list[Part]:
        """Price ``tokens``, each of which attends to all of them and to ``cached`` others."""
        rows = self.depth * tokens
        heads = 2 * self.width * (self.queries + self.keys)
        mlp = self.active * self.matrices * self.width * self.hidden
        parts = [
            Part("projections", "linear", rows * heads),
            Part("attention", "attention", rows * 2 * (tokens + cached) * self.queries),
            Part("mlp", "linear", rows * mlp),
        ]
        if self.experts:
            parts.append(Part("router", "linear", rows * self.width * self.experts))
        return parts


def linear(name: str, rows: int, width_in: int, width_out: int) -> Part:
    """Price a linear layer on ``rows`` vectors."""
    return Part(name, "linear", rows * width_in * width_out)


def patches(
    channels: int, image: Sequence[int], patch: Sequence[int], width: int
) -> tuple[int, Part]:
    """Return the number of patches of an image (height, width), and the price of embedding them."""
    count = (image[0] // patch[0]) * (image[1] // patch[1])
    return count, Part("patches", "conv", count * channels * patch[0] * patch[1] * width)


def attention_pool(tokens: int, width: int, hidden: int) -> list[Part]:
    """Price one learned query, of the width of the tokens, that attends to them."""
    return [
        Part("pooling", "linear", (2 + 2 * tokens) * width**2 + 2 * width * hidden),
        Part("pooling attention", "attention", 2 * tokens * width),
    ]

"""Two forms of a model: the module that changed is found, named first, and the sums are exact."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flopbench.check.diff.changes import compare_models
from flopbench.check.diff.layers import keeps_positions
from flopbench.check.records import ModelCost, ModuleCost
from flopbench.check.report import CauseShare, ModuleChange


class Net:
    """A network written down layer by layer, in the order of execution, with its real costs."""

    def __init__(self, size: int = 224, channels: int = 3) -> None:
        self.input = str(size)
        self.size, self.channels = size, channels
        self.modules: list[ModuleCost] = []

    def conv(
        self,
        path: str,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        beside: bool = False,
    ) -> None:
        """Add a convolution that keeps positions; ``beside`` leaves the main path as it is."""
        size = (self.size - 1) // stride + 1
        weight = [out, self.channels // groups, kernel, kernel]
        shape: dict[str, Any] = {"weight": weight}
        shape |= {"bias": [out]} if bias else {}
        shape |= {"stride": [stride, stride]} if stride > 1 else {}
        shape |= {"padding": [kernel // 2] * 2} if kernel > 1 else {}
        shape |= {"groups": groups} if groups > 1 else {}
        self.add(
            path, "Conv2d", shape, dense_macs=prod(weight) * size**2, activations=out * size**2
        )
        if not beside:
            self.size, self.channels = size, out

    def norm(self, path: str, channels: int = 0) -> None:
        channels = channels or self.channels
        self.add(path, "BatchNorm2d", {"weight": [channels], "bias": [channels]}, op="batch_norm")

    def pool(self, path: str = "", stride: int = 2) -> None:
        """Pool, as a module where a path is given."""
        self.size = (self.size - 1) // stride + 1
        if path:
            shape = {"kernel_size": 3, "stride": stride, "padding": 1}
            self.add(path, "MaxPool2d", shape, op="max_pool2d")

    def linear(self, path: str, out: int, *, flat: bool = False, positions: int = 1) -> None:
        features = self.channels * self.size**2 if flat else self.channels
        shape = {"weight": [out, features], "bias": [out]}
        macs, activations = out * features * positions, out * positions
        self.add(path, "Linear", shape, dense_macs=macs, activations=activations, op="addmm")
        self.channels = out

    def add(
        self,
        path: str,
        type_: str,
        shape: dict[str, Any],
        *,
        dense_macs: int = 0,
        activations: int = 0,
        op: str = "convolution",
    ) -> None:
        names = {"weight", "bias", "in_proj_weight", "in_proj_bias", "pos_embedding", "w"}
        params = sum(prod(extents) for name, extents in shape.items() if name in names)
        self.modules.append(
            ModuleCost(
                path=path,
                type=type_,
                dense_macs=dense_macs,
                params=params,
                activations=activations,
                calls=1,
                ops=(f"aten.{op}",),
                shape=shape,
            )
        )

    def cost(self) -> ModelCost:
        return cost_of(self.modules, self.input)


def cost_of(modules: list[ModuleCost], input_: str = "224") -> ModelCost:
    macs = sum(module.dense_macs for module in modules)
    return ModelCost(
        spec="net",
        input=input_,
        counter="torch",
        counter_version="2.8",
        convention="1 MAC",
        dense_macs=macs,
        total=2 * macs,
        params=sum(module.params for module in modules),
        activations=sum(module.activations for module in modules),
        modules=tuple(sorted(modules, key=lambda module: module.path)),
    )


def resnet(
    depths: tuple[int, ...] = (2, 2, 2, 2),
    *,
    size: int = 224,
    width: int = 64,
    inner: dict[str, int] | None = None,
    kernels: dict[str, int] | None = None,
    stem_stride: int = 2,
    pool_stride: int = 2,
    groups: dict[str, int] | None = None,
    prefix: str = "",
) -> ModelCost:
    """Return a ResNet of basic blocks, as torchvision's resnet18 by default.

    ``inner``, ``kernels`` and ``groups`` set width, kernel and groups of a block's first
    convolution.
    """
    inner, kernels, groups = inner or {}, kernels or {}, groups or {}
    net = Net(size)
    net.conv(f"{prefix}conv1", width, 7, stride=stem_stride)
    net.norm(f"{prefix}bn1")
    net.pool(f"{prefix}maxpool", pool_stride)
    for stage, depth in enumerate(depths):
        out = width * 2**stage
        for block in range(depth):
            name = f"layer{stage + 1}.{block}"
            at, stride = prefix + name, 2 if stage and not block else 1
            if stride > 1:
                net.conv(f"{at}.downsample.0", out, 1, stride=stride, beside=True)
                net.norm(f"{at}.downsample.1", out)
            first = {"stride": stride, "groups": groups.get(name, 1)}
            net.conv(f"{at}.conv1", inner.get(name, out), kernels.get(name, 3), **first)
            net.norm(f"{at}.bn1")
            net.conv(f"{at}.conv2", out, 3)
            net.norm(f"{at}.bn2")
    net.linear(f"{prefix}fc", 1000)
    return net.cost()


def vgg(plan: str = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M") -> ModelCost:
    """Return VGG-16's convolutions in one Sequential, where every insertion shifts all indices."""
    net, index = Net(), 0
    for item in plan.split():
        if item == "M":
            net.pool()
            index += 1
        else:
            net.conv(f"features.{index}", int(item), 3, bias=True)
            index += 2  # the activation after it
    net.size = 7
    net.linear("classifier.0", 4096, flat=True)
    net.size = 1
    net.linear("classifier.3", 4096)
    net.linear("classifier.6", 1000)
    return net.cost()


MOBILENET = ((1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 2), (6, 96, 1))


def mobilenet(
    blocks: tuple[tuple[int, int, int], ...] = MOBILENET, *, hidden: dict[int, int] | None = None
) -> ModelCost:
    """Return inverted residuals in one Sequential: (expansion, width, stride) each."""
    net = Net()
    net.conv("features.0.0", 32, 3, stride=2)
    net.norm("features.0.1")
    for number, (expansion, out, stride) in enumerate(blocks, start=1):
        at = f"features.{number}.conv"
        wide = (hidden or {}).get(number, net.channels * expansion)
        net.conv(f"{at}.0.0", wide, 1)
        net.norm(f"{at}.0.1")
        net.conv(f"{at}.1.0", wide, 3, stride=stride, groups=wide)
        net.norm(f"{at}.1.1")
        net.conv(f"{at}.2", out, 1)
        net.norm(f"{at}.3")
    net.linear("classifier.1", 1000)
    return net.cost()


def vit(layers: int = 12, *, width: int = 192, mlp: int = 768, size: int = 224) -> ModelCost:
    """Return a small vision transformer; the products of attention belong to the block."""
    net = Net(size)
    tokens = (size // 16) ** 2 + 1
    net.add("encoder", "Encoder", {"pos_embedding": [1, tokens, width]}, op="add")
    weight = [width, 3, 16, 16]
    macs, out = prod(weight) * (tokens - 1), width * (tokens - 1)
    shape = {"weight": weight, "stride": [16, 16]}
    net.add("conv_proj", "Conv2d", shape, dense_macs=macs, activations=out)
    for layer in range(layers):
        at = f"encoder.layers.encoder_layer_{layer}"
        shape = {"in_proj_weight": [3 * width, width], "in_proj_bias": [3 * width]}
        products = 2 * tokens**2 * width
        macs, out = 3 * width**2 * tokens + products, 4 * width * tokens
        net.add(
            f"{at}.self_attention", "MultiheadAttention", shape, dense_macs=macs, activations=out
        )
        net.add(f"{at}.ln_1", "LayerNorm", {"weight": [width], "bias": [width]}, op="layer_norm")
        net.channels = width
        net.linear(f"{at}.mlp.0", mlp, positions=tokens)
        net.linear(f"{at}.mlp.3", width, positions=tokens)
    net.linear("heads.head", 1000)
    return net.cost()


def compared(
    old: ModelCost, new: ModelCost
) -> tuple[tuple[ModuleChange, ...], tuple[CauseShare, ...]]:
    """Compare, and assert what holds of every comparison: exact sums, origins first."""
    changes, shares = compare_models(old, new)
    for parts in (changes, shares):
        assert sum(part.added_macs for part in parts) == new.dense_macs - old.dense_macs
        assert sum(part.added_params for part in parts) == new.params - old.params
    assert sum(c.added_activations for c in changes) == new.activations - old.activations
    follows = [change.follows for change in changes]
    assert follows == sorted(follows)
    assert not changes or not changes[0].follows
    return changes, shares


def test_the_generator_knows_resnet18() -> None:
    """The networks of this file are real ones: MACs and parameters as torchvision's resnet18."""
    cost = resnet()
    assert (cost.dense_macs, cost.params) == (1_814_073_344, 11_689_512)


@pytest.mark.parametrize("make", [resnet, vgg, mobilenet, vit])
def test_equal_models_have_no_change(make: Callable[[], ModelCost]) -> None:
    """A model against itself: nothing changed, and there is no cause."""
    assert compare_models(make(), make()) == ((), ())


def lenet(size: int) -> ModelCost:
    """Return two convolutions and a head on flattened positions."""
    net = Net(size, channels=1)
    for path, out in (("conv1", 6), ("conv2", 16)):
        net.conv(path, out, 5, bias=True)
        net.pool()
    net.linear("fc1", 120, flat=True)
    net.size = 1
    net.linear("fc2", 10)
    return net.cost()


def branches(width: int, *, tail: bool = False) -> ModelCost:
    """Return two branches that are joined, and perhaps a layer after them."""
    net = Net(32)
    net.conv("a", width, 3, beside=True)
    net.conv("b", 64, 3, beside=True)
    net.channels = width + 64
    net.conv("joined", 64, 1)
    if tail:
        net.conv("tail", 64, 3)
    return net.cost()


def custom(width: int, kernel: int = 1) -> ModelCost:
    """Return a module with a weight of the user's own between two layers."""
    net = Net(8, channels=64)
    net.conv("conv", 64, kernel)
    net.add("mine", "Mine", {"w": [64, width]}, dense_macs=4096 * width, activations=width)
    net.size, net.channels = 1, width
    net.linear("out", 10)
    return net.cost()


def products(width: int, *, more: bool = False) -> ModelCost:
    """Return a layer and a module that multiplies what it gives, perhaps a layer more."""
    net = Net(1, channels=64)
    net.linear("qkv", width)
    net.add("products", "Product", {}, dense_macs=2 * width, activations=width, op="bmm")
    if more:
        net.channels = 8
        net.linear("more", 8)
    return net.cost()


def two_layers(channels: int) -> ModelCost:
    """Return two convolutions of an input of some channels."""
    net = Net(64, channels)
    net.conv("conv1", 32, 3)
    net.conv("conv2", 32, 3)
    return net.cost()


def without(path: str, model: ModelCost) -> ModelCost:
    """Return a model without one of its modules."""
    return cost_of([module for module in model.modules if module.path != path])


def edited(path: str = "", **factors: int) -> ModelCost:
    """Return a ResNet of which one module, or every one, has amounts as many times as large."""
    return cost_of(
        [
            replace(m, **{name: getattr(m, name) * n for name, n in factors.items()})
            if path in ("", m.path)
            else m
            for m in resnet().modules
        ]
    )


EDITS: dict[str, tuple[ModelCost, ModelCost, list[str], set[str]]] = {
    "a wider layer: its norm and the next layer only derive from it": (
        resnet(),
        resnet(inner={"layer1.0": 128}),
        ["width layer1.0.conv1: out channels 64 -> 128"],
        {"width", "width, derived"},
    ),
    "a larger kernel: its padding does not count": (
        resnet(),
        resnet(kernels={"layer3.1": 5}),
        ["kernel layer3.1.conv1: kernel 3x3 -> 5x5"],
        {"kernel"},
    ),
    "groups left out, though the weight's extents changed": (
        resnet(groups={"layer2.1": 32}),
        resnet(),
        ["groups layer2.1.conv1: groups 32 -> 1"],
        {"groups"},
    ),
    "a stem without its stride: every later layer derives from it": (
        resnet(),
        resnet(stem_stride=1),
        ["kernel conv1: stride 2 -> 1"],
        {"kernel", "resolution, derived"},
    ),
    "a pooling layer costs nothing, and still began it": (
        resnet(),
        resnet(pool_stride=1),
        ["kernel maxpool: stride 2 -> 1"],
        {"kernel", "resolution, derived"},
    ),
    "a stride, and a block that keeps positions": (
        resnet(),
        resnet((2, 3, 2, 2), stem_stride=1),
        ["kernel conv1: stride 2 -> 1", "depth 1 block added: layer2.2"],
        {"kernel", "depth", "resolution, derived"},
    ),
    "a stride, and a pooling layer that is gone: either may have changed the positions": (
        resnet(),
        without("maxpool", resnet(stem_stride=1, pool_stride=1)),
        [
            "resolution layer1.0.conv1: output elements 200704 -> 3211264",
            "kernel conv1: stride 2 -> 1",
        ],
        {"kernel", "depth", "resolution, derived"},
    ),
    "a larger input: the cause is the input, no module": (
        resnet(),
        resnet(size=256),
        ["resolution input 224 -> 256"],
        {"resolution"},
    ),
    "positions flattened into features derive from the input": (
        lenet(28),
        lenet(32),
        ["resolution input 28 -> 32"],
        {"resolution", "width, derived"},
    ),
    "attention grows with the square of its positions, a table of positions has more rows": (
        vit(),
        vit(size=256),
        ["resolution input 224 -> 256"],
        {"resolution"},
    ),
    "the width of a transformer is in every layer; its table of positions derives from it": (
        vit(),
        vit(width=256),
        ["width encoder.layers.encoder_layer_0.self_attention: width 192 -> 256"],
        {"width", "width, derived"},
    ),
    "a wider expansion: the depthwise convolution derives from it": (
        mobilenet(),
        mobilenet(hidden={3: 288}),
        ["width features.3.conv.0.0: out channels 144 -> 288"],
        {"width", "width, derived"},
    ),
    "a block fewer": (
        resnet((2, 3, 2, 2)),
        resnet(),
        ["depth 1 block gone: layer2.2"],
        {"depth"},
    ),
    "two causes at once": (
        resnet(),
        resnet(inner={"layer1.0": 80}, kernels={"layer3.1": 7}),
        [
            "kernel layer3.1.conv1: kernel 3x3 -> 7x7",
            "width layer1.0.conv1: out channels 64 -> 80",
        ],
        {"kernel", "width", "width, derived"},
    ),
    "a weight of unknown layout, and a kernel elsewhere": (
        custom(64),
        custom(128, kernel=3),
        ["kernel conv: kernel 1x1 -> 3x3", "width mine: w 64x64 -> 64x128"],
        {"width", "width, derived", "kernel"},
    ),
    "products without parameters derive from a wider layer": (
        products(64),
        products(128),
        ["width qkv: out features 64 -> 128"],
        {"width", "width, derived"},
    ),
    "products without parameters, and two changes that each may be why": (
        products(64),
        products(128, more=True),
        [
            "width qkv: out features 64 -> 128",
            "other products: output elements 64 -> 128",
            "depth 1 module added: more",
        ],
        {"width", "other, derived", "depth"},
    ),
    "an input of more channels: no other module explains it": (
        two_layers(3),
        two_layers(4),
        ["width conv1: in channels 3 -> 4"],
        {"width"},
    ),
    "a module called twice, at the same cost each": (
        resnet(),
        edited("fc", calls=2, dense_macs=2, activations=2),
        ["calls fc: calls 1 -> 2"],
        {"calls"},
    ),
    "positions that code of no module changed: as far as one can see, all began it": (
        resnet(),
        edited(dense_macs=4, activations=4),
        ["resolution conv1: output elements 802816 -> 3211264"],
        {"resolution"},
    ),
}


@pytest.mark.parametrize(("old", "new", "causes", "kinds"), EDITS.values(), ids=EDITS)
def test_what_an_edit_is_called(
    old: ModelCost, new: ModelCost, causes: list[str], kinds: set[str]
) -> None:
    """Each edit has these causes, the largest first, and changes of these kinds."""
    changes, shares = compared(old, new)
    assert [f"{share.cause} {share.detail}" for share in shares] == causes
    assert {f"{c.cause}, derived" if c.follows else str(c.cause) for c in changes} == kinds


def test_a_cost_that_changed_without_a_shape() -> None:
    """Parameters that are shared, or other operators or outputs in a module without any."""
    plain = ModuleCost(
        path="x", type="X", dense_macs=8, params=4, activations=2, calls=1, ops=("a", "b")
    )
    bare = replace(plain, params=0)
    for old, new, detail in (
        (plain, replace(plain, params=2), "parameters shared"),
        (plain, replace(plain, params=6), "parameters no longer shared"),
        (bare, replace(bare, dense_macs=9, ops=("b",)), "operators a b -> b"),
        (bare, replace(bare, activations=3), "output elements 2 -> 3"),
        (plain, replace(plain, dense_macs=9), "more per position"),
    ):
        (change,), _ = compared(cost_of([old]), cost_of([new]))
        cause = "resolution" if detail == "more per position" else "other"
        assert (change.cause, change.detail) == (cause, detail)


def test_the_change_that_began_it_comes_first() -> None:
    """Of two changes as large, the wider layer, not the one that has its outputs as inputs."""
    changes, _ = compared(mobilenet(), mobilenet(hidden={3: 288}))
    assert [(c.path, c.added_macs, c.detail, c.follows) for c in changes[:3]] == [
        ("features.3.conv.0.0", 24 * 144 * 56**2, "out channels 144 -> 288", False),
        ("features.3.conv.2", 24 * 144 * 56**2, "in channels 144 -> 288", True),
        ("features.3.conv.1.0", 144 * 9 * 56**2, "channels 144 -> 288", True),
    ]


def test_a_layer_behind_joined_branches_has_the_width_of_neither() -> None:
    """One branch is wider, and a layer was added: 96 -> 112 may come from either, and is width."""
    changes, shares = compared(branches(32), branches(48, tail=True))
    assert [change.path for change in changes if change.follows] == ["joined"]
    assert {share.cause: share.added_macs for share in shares} == {
        "width": (16 * 3 * 9 + 16 * 64) * 32**2,
        "depth": 64 * 64 * 9 * 32**2,
    }


@pytest.mark.parametrize("place", range(1, len(MOBILENET) + 1))
def test_a_block_put_into_a_sequential_is_all_that_was_added(place: int) -> None:
    """Every later index shifts by one; still only the new block's modules are added.

    The block keeps width and stride, as one that is put in between others must; beside a block of
    the same form it is either of the two, which cost the same.
    """
    before = MOBILENET[place - 1]
    blocks = (*MOBILENET[:place], (6, before[1], 1), *MOBILENET[place:])
    new = mobilenet(blocks)
    changes, (share,) = compared(mobilenet(), new)
    at = {change.path.rpartition(".conv.")[0] for change in changes}
    assert len(at) == 1, at
    (block,) = at
    parts = [module for module in new.modules if module.path.startswith(f"{block}.")]
    assert {change.path for change in changes} == {module.path for module in parts}
    assert share.added_macs == sum(module.dense_macs for module in parts)
    assert (share.cause, share.detail) == ("depth", f"1 block added: {block}")
    _, (share,) = compared(new, mobilenet())
    assert (share.cause, share.added_macs) == ("depth", -sum(m.dense_macs for m in parts))


def test_one_layer_put_between_equal_ones_of_another_resolution() -> None:
    """VGG with a fourth 512 at 28x28: same parameters as those at 14x14, but not the same cost.

    By path alone the old 24 (at 14x14) would meet the new 23 (at 28x28).
    """
    plan = "64 64 M 128 128 M 256 256 256 M 512 512 512 512 M 512 512 512 M"
    (change,), (share,) = compared(vgg(), vgg(plan))
    assert change.added_macs == 512 * 512 * 9 * 28**2
    assert change.path in {"features.19", "features.21", "features.23"}
    assert share.cause == "depth"


def test_a_model_wider_throughout_is_no_shift() -> None:
    """Twice the width: each layer has the shape of a later one, and still is itself."""
    changes, shares = compared(resnet(), resnet(width=128))
    assert {change.old_path for change in changes} == {""}
    assert {share.cause for share in shares} == {"width"}
    assert len(changes) == len(resnet().modules) - 1  # all but the pooling layer


def dense(stem: int, layers: int = 12, size: int = 28, growth: int = 32) -> ModelCost:
    """Return a dense block: each layer has the parameters of the next one behind a smaller stem."""
    net = Net(size)
    net.conv("stem", stem, 3)
    for layer in range(layers):
        net.channels = stem + layer * growth
        net.conv(f"dense.{layer}", growth, 3, beside=True)
    return net.cost()


def test_a_dense_block_behind_a_wider_stem_is_no_shift() -> None:
    """A stem wider by one growth: each layer is still itself, also at a larger input, or with one
    layer more.
    """
    for new, causes in (
        (dense(96), ["width"]),
        (dense(96, size=32), ["resolution", "width"]),
        (dense(96, 13), ["depth", "width"]),
    ):
        changes, shares = compared(dense(64), new)
        assert [share.cause for share in shares] == causes
        assert shares[-1].detail == "stem: out channels 64 -> 96"
        origins = ["dense.12", "stem"] if "depth" in causes else ["stem"]
        assert [change.path for change in changes if not change.follows] == origins
        assert len(changes) == len(new.modules)
        assert {change.old_path for change in changes} == {""}


def test_a_cause_of_depth_names_every_block_and_books_their_sum() -> None:
    """Blocks added to three stages and one gone from the fourth; neighbours are one range."""
    changes, (share,) = compared(resnet((2, 2, 2, 3)), resnet((3, 4, 6, 2)))
    assert share.cause == "depth"
    assert share.detail == (  # 1 + 2 + 4 blocks more, 1 fewer
        "7 blocks added: layer1.2, layer2.2-3, layer3.2-5; 1 block gone: layer4.2"
    )
    assert len(changes) == 4 * 8
    block = 2 * 64 * 64 * 9 * 56**2  # in every stage: half the side, twice the width
    assert share.added_macs == (1 + 2 + 4 - 1) * block


def test_a_new_name_is_no_change() -> None:
    """The whole model under another attribute: same layers, nothing added."""
    assert compare_models(resnet(prefix="a."), resnet(prefix="z.")) == ((), ())
    changes, _ = compared(resnet(prefix="a."), resnet(prefix="z.", inner={"layer1.0": 128}))
    assert changes[0].path == "z.layer1.0.conv1"


def test_names_that_change_their_order_are_found() -> None:
    """The head sorts before the backbone after a renaming: still nothing was added."""
    old = cost_of([*resnet(prefix="backbone.").modules, *vgg().modules])
    new = [replace(m, path=f"aaa.{m.path}") for m in vgg().modules]
    assert compare_models(old, cost_of([*resnet(prefix="backbone.").modules, *new])) == ((), ())


def test_a_new_kind_of_layer_is_a_new_operator() -> None:
    """A module of a type that the baseline has nowhere, one replaced at its path, an operator."""
    squeeze = ModuleCost(
        path="layer4.1.gate", type="Gate", dense_macs=10**6, params=500, activations=9, calls=1,
        ops=("aten.bmm",), shape={"w": [5, 100]},
    )  # fmt: skip
    by_path = {module.path: module for module in resnet().modules}
    norm, head = by_path["layer1.0.bn1"], by_path["fc"]
    for module, detail in (
        (squeeze, "added, Gate is new"),
        (replace(norm, type="GroupNorm", params=129), "BatchNorm2d -> GroupNorm"),
        (replace(head, ops=("aten.bmm",), dense_macs=7), "operator aten.bmm is new"),
    ):
        new = cost_of([*{**by_path, module.path: module}.values()])
        (change,), (share,) = compared(resnet(), new)
        assert (change.path, change.cause, change.detail) == (module.path, "new operator", detail)
        assert (share.cause, share.detail) == ("new operator", f"{module.path}: {detail}")


def test_which_layers_keep_the_number_of_positions() -> None:
    """Those whose padding makes up for their kernel, and those that have no kernel."""
    three = [8, 8, 3, 3]
    for type_, shape, keeps in (
        ("Conv2d", {"weight": three, "padding": [1, 1]}, True),
        ("Conv2d", {"weight": [8, 8, 1, 1]}, True),
        ("Linear", {"weight": [8, 8]}, True),
        ("Conv2d", {"weight": three}, False),
        ("Conv2d", {"weight": three, "padding": 1, "stride": [2, 2]}, False),
        ("Conv2d", {"weight": three, "padding": 1, "dilation": 2}, False),
        ("Conv2d", {"weight": [8, 8, 2, 2], "padding": 1}, False),
        ("ConvTranspose2d", {"weight": three, "padding": 1}, False),
        ("MaxPool2d", {"kernel_size": 3, "stride": 1, "padding": 1}, False),
        ("Mine", {"w": [8, 8]}, False),
    ):
        module = ModuleCost(
            path="x", type=type_, dense_macs=1, params=1, activations=1, calls=1, shape=shape
        )
        assert keeps_positions(module) == keeps, (type_, shape)


def test_layouts_of_torch() -> None:
    """Transposed, recurrent and embedding layers have their output where torch has it."""

    def one(type_: str, name: str, old: list[int], new: list[int], **more: Any) -> str:
        def side(extents: list[int]) -> ModelCost:
            shape = {name: extents, **more}
            return cost_of(
                [
                    ModuleCost(
                        path="x", type=type_, dense_macs=prod(extents), params=prod(extents),
                        activations=1, calls=1, ops=("aten.op",), shape=shape,
                    )
                ]
            )  # fmt: skip

        (change,), _ = compared(side(old), side(new))
        return change.detail

    assert one("ConvTranspose2d", "weight", [8, 16, 3, 3], [8, 32, 3, 3]) == (
        "out channels 16 -> 32"
    )
    assert one("ConvTranspose2d", "weight", [8, 4, 3, 3], [8, 8, 3, 3], groups=4) == (
        "out channels 16 -> 32"
    )
    assert one("LSTM", "weight_ih_l0", [400, 64], [800, 64]) == "hidden features 100 -> 200"
    assert one("GRU", "weight_ih_l0", [300, 64], [300, 96]) == "in features 64 -> 96"
    assert one("Embedding", "weight", [1000, 64], [1000, 128]) == "width 64 -> 128"
    assert one("MultiheadAttention", "in_proj_weight", [576, 192], [768, 256]) == (
        "width 192 -> 256"
    )
    assert one("Mine", "w", [32, 64], [32, 128]) == "w 32x64 -> 32x128"


def test_the_source_is_the_nearest_class_of_the_user() -> None:
    """A torch layer has no source in the user's code: the enclosing module is where to look."""
    new = [replace(m, source="") for m in resnet(inner={"layer1.0": 128}).modules]
    around = {"": "nets.py:40", "layer1.0": "nets.py:12"}
    holders = [
        ModuleCost(
            path=path, type="Block", dense_macs=0, params=0, activations=0, calls=0, source=source
        )
        for path, source in around.items()
    ]
    changes, _ = compared(resnet(), cost_of([*new, *holders]))
    assert {change.source for change in changes} == {"nets.py:12"}
    (change,), _ = compared(resnet(), cost_of([*resnet(kernels={"layer2.0": 5}).modules, *holders]))
    assert change.source == "nets.py:40"


def test_the_order_of_modules_says_nothing() -> None:
    """A baseline sorts its modules, a fresh count may not: the result is the same."""
    old, new = mobilenet(), mobilenet(hidden={3: 288})
    backwards = replace(new, modules=new.modules[::-1])
    assert compare_models(old, new) == compare_models(old, backwards)


@pytest.mark.parametrize("size", [224, 256])
def test_a_thousand_modules_are_compared_at_once(size: int) -> None:
    """A thousand equal layers, and twenty more, at the same and at another input."""
    old = resnet((2, 160, 80, 2))
    new = resnet((2, 164, 81, 2), size=size)
    assert len(old.modules) > 950
    start = time.process_time()
    changes, _ = compared(old, new)
    took = time.process_time() - start
    assert took < 1.0  # under 0.1 s on an idle core; the rest is room for busy ones
    assert {c.path.split(".")[1] for c in changes if c.cause == "depth"} <= {
        *map(str, range(160, 164)),
        "80",
    }


@st.composite
def models(draw: st.DrawFn) -> ModelCost:
    """Return a model of random layers at random paths, similar enough to be confused."""
    paths = draw(
        st.lists(
            st.from_regex(r"(?:[ab]\.)?[0-9]{1,2}(?:\.c)?", fullmatch=True), unique=True, max_size=9
        )
    )
    small = st.integers(0, 3)
    modules = []
    for path in paths:
        width, narrow = draw(st.sampled_from([8, 16])), draw(st.sampled_from([8, 16]))
        type_, weight = draw(
            st.sampled_from(
                [
                    ("Conv2d", [width, narrow, 3, 3]),
                    ("Conv2d", [width, 1, 3, 3]),
                    ("BatchNorm2d", [width]),
                    ("Linear", [width, narrow]),
                    ("Block", []),
                    ("MaxPool2d", []),
                ]
            )
        )
        shape: dict[str, Any] = {"weight": weight} if weight else {}
        if draw(st.booleans()):
            shape |= draw(st.sampled_from([{"groups": width}, {"stride": 2}, {"kernel_size": 3}]))
        modules.append(
            ModuleCost(
                path=path,
                type=type_,
                dense_macs=draw(small),
                params=draw(small),
                activations=draw(small),
                calls=draw(small),
                ops=(draw(st.sampled_from(["aten.a", "aten.b"])),),
                shape=shape,
            )
        )
    return cost_of(modules, draw(st.sampled_from(["224", "256"])))


@given(old=models(), new=models())
@settings(max_examples=150)
def test_sums_are_exact_whatever_changed(old: ModelCost, new: ModelCost) -> None:
    """Added MACs, parameters and activations of all changes sum to the change of the whole."""
    changes, _ = compared(old, new)
    now = [change.path for change in changes if change.detail != "gone"]
    assert len(now) == len(set(now))
    compared(new, old)
    assert compare_models(new, new) == ((), ())

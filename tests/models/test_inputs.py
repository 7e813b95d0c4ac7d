"""Inputs of live modules and factories: by shape, with keywords, and never changed by a count."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import flopbench
from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.models.build.by_source import build
from flopbench.models.build.copies import move_inputs
from flopbench.models.build.inputs import describe_inputs, example_inputs
from flopbench.models.spec import parse_spec


class TwoInputs(nn.Module):
    """Two 1 × 4 convolutions of 3 × 3: 36 multiply-accumulates a position of either image."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, left: Any, right: Any, flag: bool = True) -> Any:
        assert flag
        return self.a(left).mean((2, 3)) + self.b(right).mean((2, 3))


LEFT, RIGHT = (1, 1, 64, 64), (1, 1, 32, 32)
BOTH = 36 * 64 * 64 + 36 * 32 * 32  # 184,320


@pytest.mark.parametrize(
    ("given", "kwargs"),
    [
        ((LEFT, RIGHT), None),
        ([LEFT, RIGHT], None),
        ([list(LEFT), torch.Size(RIGHT)], None),
        (tuple(tuple(map(np.int64, shape)) for shape in (LEFT, RIGHT)), None),
        (("1x1x64x64", "1x1x32x32"), None),
        ("1x1x64x64+1x1x32x32", None),
        ("((1, 1, 64, 64), (1, 1, 32, 32))", None),
        ("left=1x1x64x64+right=1x1x32x32", None),
        ({"left": LEFT, "right": RIGHT}, None),
        ({"right": "1x1x32x32", "left": LEFT, "flag": True}, None),
        (None, {"left": LEFT, "right": RIGHT}),
        (LEFT, {"right": RIGHT}),
        ("1x1x64x64", {"right": "(1, 1, 32, 32)"}),
        ((LEFT,), {"right": RIGHT, "flag": True}),
        ((torch.zeros(LEFT),), {"right": torch.zeros(RIGHT)}),
        (torch.zeros(LEFT), {"right": torch.zeros(RIGHT), "flag": True}),
        ((torch.zeros(LEFT), torch.zeros(RIGHT), True), None),
    ],
)
def test_inputs_are_given_in_every_form(given: Any, kwargs: Any) -> None:
    """Positional, by keyword and both; as tensors, as shapes, and as text."""
    profile = flopbench.profile(TwoInputs(), given, kwargs=kwargs)
    assert profile.dense_macs == BOTH
    assert set(profile.input.split("+")) == {"1x1x64x64", "1x1x32x32"}


def test_the_inputs_that_a_profile_names_give_the_same_profile() -> None:
    """The text of two inputs is read back, by the API and in a specification."""
    one = flopbench.profile(TwoInputs(), (LEFT, RIGHT))
    assert flopbench.profile(TwoInputs(), one.input) == one


def test_numpy_integers_are_sizes_and_extents() -> None:
    """They come from configurations and arrays."""
    conv = nn.Conv2d(3, 5, 1)  # 15 a position
    assert flopbench.profile(conv, np.int64(7)).dense_macs == 15 * 49
    assert flopbench.profile(conv, tuple(np.array([1, 3, 4, 6]))).dense_macs == 15 * 24
    assert flopbench.profile("resnet18", np.int32(32)).input == "32"


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ("(1, 100):int64", torch.int64),
        ("1x100:long", torch.int64),
        ("1x100:int32", torch.int32),
        (("1x100:uint8",), torch.uint8),
    ],
)
def test_tokens_are_whole_numbers(shape: Any, dtype: torch.dtype) -> None:
    """100 × 32 × 64 = 204,800 under every default counter; every token is 1."""
    net = nn.Sequential(nn.Embedding(50, 32), nn.Linear(32, 64))
    (made,), _ = example_inputs(net, shape)
    assert (made.dtype, made.unique().tolist()) == (dtype, [1])
    if dtype in (torch.int64, torch.int32):
        profiles = flopbench.profile(net, shape, counters=list(DEFAULT_COUNTERS))
        assert {p.dense_macs for p in profiles} == {204_800}


def test_a_made_input_has_the_dtype_and_device_of_the_model_unless_it_names_one() -> None:
    """Masks and tokens keep theirs beside a half-precision model."""
    net = nn.Linear(4, 2).half()
    args, kwargs = example_inputs(net, "1x4:float32+(1x4,1x4:bool)+m=1x4:complex64")
    assert describe_inputs(args, kwargs) == "1x4+1x4+1x4+1x4"
    assert [args[0].dtype, args[1][0].dtype, args[1][1].dtype, kwargs["m"].dtype] == [
        torch.float32,
        torch.float16,
        torch.bool,
        torch.complex64,
    ]
    with torch.device("meta"):
        (made,), _ = example_inputs(nn.Linear(4, 2), (1, 4))
    assert made.is_meta


@pytest.mark.parametrize(
    ("given", "kwargs", "needle"),
    [
        (None, None, "a live module needs its input"),
        (None, {}, "a live module needs its input"),
        (3.5, None, "put an object of any other kind into a tuple"),
        (True, None, "inputs are bool"),
        ((1, 0), None, "at least 1"),
        (("1x4:int46",), None, "did you mean 'int64'"),
        ({"x": (1, 4)}, {"x": (1, 4)}, "given twice"),
        ("1x4+", None, "cannot read the input"),
        ((1, 10**13), None, "beyond any model"),
        ((1, 10**5000), None, "beyond any model"),
    ],
)
def test_what_is_no_input_is_refused(given: Any, kwargs: Any, needle: str) -> None:
    """One message, and the model does not run."""
    with pytest.raises(InputError, match=needle):
        flopbench.profile(nn.Linear(4, 2), given, kwargs=kwargs)


NETS = """
import torch
from torch import nn
from test_inputs import TwoInputs, LEFT, RIGHT

def two(): return TwoInputs()
def tokens(vocabulary=50, widths=(32, 64)):
    return nn.Sequential(nn.Embedding(vocabulary, widths[0]), nn.Linear(*widths))
def shapes(): return TwoInputs(), (LEFT, RIGHT)
def named(): return TwoInputs(), {"left": LEFT, "right": "1x1x32x32"}
def triple(): return TwoInputs(), (torch.zeros(LEFT),), {"right": torch.zeros(RIGHT)}
def only_kwargs(): return TwoInputs(), None, {"left": LEFT, "right": RIGHT}
def four(): return TwoInputs(), 1, 2, 3
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with factories, which is also the working directory."""
    (tmp_path / "shaped.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "dense_macs"),
    [
        ("shaped.py:two@1x1x64x64+1x1x32x32", BOTH),
        ("shaped.py:two@{right: (1,1,32,32), left: (1,1,64,64)}", BOTH),
        ("shaped.py:two@1x1x64x64+right=1x1x32x32", BOTH),
        ("shaped.py:tokens@(1, 100):int64", 204_800),
        ("shaped.py:tokens@1x100:int64,widths=[32,128],vocabulary=9", 409_600),
        ("shaped.py:shapes", BOTH),
        ("shaped.py:named", BOTH),
        ("shaped.py:triple", BOTH),
        ("shaped.py:only_kwargs", BOTH),
    ],
)
def test_factories_and_specifications_take_the_same_inputs(
    nets: Path, spec: str, dense_macs: int
) -> None:
    """On shapes and with values; the specification names its input, the factory brings its own."""
    for counter in ("torch", "fvcore"):
        assert flopbench.profile(spec, counters=counter).dense_macs == dense_macs
    printed = build(parse_spec(spec), "cpu").input.split("+")
    assert sorted(printed) in (["1x100"], ["1x1x32x32", "1x1x64x64"])


def test_an_input_for_a_specification_may_be_shapes_in_python(nets: Path) -> None:
    """As text that flopbench prints, as tuples, with keywords; tensors have no text."""
    for given, kwargs in [
        ((LEFT, RIGHT), None),
        ("1x1x64x64+1x1x32x32", None),
        (LEFT, {"right": RIGHT}),
    ]:
        profile = flopbench.profile("shaped.py:two", given, kwargs=kwargs)
        assert profile.dense_macs == BOTH
    with pytest.raises(InputError, match="input holds Tensor"):
        flopbench.profile("shaped.py:two", torch.zeros(LEFT))
    with pytest.raises(InputError, match="brings its own inputs"):
        flopbench.profile("shaped.py:shapes", (LEFT, RIGHT))
    with pytest.raises(InputError, match="returned tuple"):
        flopbench.profile("shaped.py:four")


class Cache:
    """Keys that every call of ``Decoder`` adds to, in an object of no known kind."""

    def __init__(self, steps: int) -> None:
        self.keys = torch.ones(1, steps, 8)
        self.history: list[int] = []


@dataclasses.dataclass
class Held:
    """A dataclass that holds one."""

    cache: Cache
    scale: torch.Tensor


class Pair(NamedTuple):
    """A named tuple that holds one."""

    cache: Cache
    name: str


class Decoder(nn.Module):
    """One token: a linear layer of 8 × 8, then a product with every key."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, cache: Any) -> torch.Tensor:
        cache = cache["c"] if isinstance(cache, dict) else cache
        cache = getattr(cache, "cache", cache)
        cache.keys = torch.cat([cache.keys, x], 1)
        cache.history.append(cache.keys.shape[1])
        return torch.matmul(self.query(x), cache.keys.transpose(1, 2))


@pytest.mark.parametrize(
    "holding",
    [
        lambda cache: cache,
        lambda cache: Held(cache, torch.ones(())),
        lambda cache: Pair(cache, "a"),
        lambda cache: {"c": cache},
    ],
)
@pytest.mark.parametrize("counters", [["torch"], list(DEFAULT_COUNTERS), ["fvcore"]])
def test_an_object_among_the_inputs_is_copied_for_every_run(holding: Any, counters: Any) -> None:
    """64 + 8 × 8 keys = 128, however often it is counted; the user's object is as it was."""
    cache, x = Cache(7), torch.ones(1, 1, 8)
    given = holding(cache)
    for inputs, kwargs in [((x, given), None), (x, {"cache": given})] * 2:
        for profile in flopbench.profile(Decoder(), inputs, counters, kwargs=kwargs):
            if not profile.counter.startswith("thop"):  # it does not see the product
                assert profile.dense_macs == 128
    assert cache.keys.shape == (1, 7, 8)
    assert cache.history == []


class Discards(Decoder):
    """Also runs a layer of 8 × 8 whose result it drops, so that fvcore traces it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, cache: Any) -> torch.Tensor:
        self.dropped(x)
        return super().forward(x, cache)


class OnlyOutsideInference(Decoder):
    """Fails in inference mode, after it has added to the cache."""

    def forward(self, x: torch.Tensor, cache: Any) -> torch.Tensor:
        output = super().forward(x, cache)
        if torch.is_inference_mode_enabled():
            raise RuntimeError("not in inference mode")
        return output


@pytest.mark.parametrize(
    ("net", "counter", "dense_macs"),
    [(Discards, "fvcore", 192), (Discards, "torch", 192), (OnlyOutsideInference, "torch", 128)],
)
def test_a_counter_that_runs_twice_starts_from_the_same_cache(
    net: type[Decoder], counter: str, dense_macs: int
) -> None:
    """The second run has 8 keys, as the first."""
    profile = flopbench.profile(net(), (torch.ones(1, 1, 8), Cache(7)), counter)
    assert profile.dense_macs == dense_macs


def test_a_cache_of_transformers_does_not_grow() -> None:
    """One token at a cache of 8: the same count each time, and each position once."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=100,
    )
    model, cache = transformers.LlamaForCausalLM(config).eval(), transformers.DynamicCache()
    with torch.no_grad():
        model(input_ids=torch.ones(1, 8, dtype=torch.long), past_key_values=cache, use_cache=True)
    # A layer: four projections 4 · 64², attention 2 · 64 · 9, MLP 3 · 64 · 128. The head 64 · 100.
    macs = 2 * (4 * 64 * 64 + 2 * 64 * 9 + 3 * 64 * 128) + 64 * 100
    for counter in ("torch", "fvcore", "torch"):
        profile = flopbench.profile(
            model, "1x1:int64", counter, kwargs={"past_key_values": cache, "use_cache": True}
        )
        assert profile.dense_macs == macs
    assert cache.get_seq_length() == 8


def test_copies_keep_what_is_shared_and_go_to_the_device() -> None:
    """One tensor in two places stays one; parameters and nested tensors go along."""
    shared, layer = torch.ones(2, 3), nn.Linear(3, 4)
    given = {"a": shared, "b": [shared], "c": layer, "d": {1: (shared.double(), None)}}
    for device in ("meta", "cpu"):
        moved = move_inputs(given, device)
        assert moved["a"] is moved["b"][0]
        assert moved["a"] is not shared
        tensors = [moved["a"], moved["c"].weight, moved["d"][1][0]]
        assert [t.device.type for t in tensors] == [device] * 3
        assert isinstance(moved["c"].weight, nn.Parameter)
        assert moved["d"][1][0].dtype is torch.float64


def test_an_object_alone_is_the_only_argument() -> None:
    """A graph, for example; it too is as it was, whatever the forward pass writes to it."""

    class Graph:
        def __init__(self) -> None:
            self.nodes = torch.ones(3, 4)

    class Net(nn.Linear):
        def forward(self, graph: Any) -> torch.Tensor:
            graph.nodes = torch.cat([graph.nodes, graph.nodes])
            return super().forward(graph.nodes)

    graph = Graph()
    for profile in flopbench.profile(Net(4, 2), graph, ["torch", "fvcore"]):
        assert profile.dense_macs == 6 * 4 * 2
    assert graph.nodes.shape == (3, 4)


def test_what_cannot_be_copied_is_refused() -> None:
    """It could not be put back either."""
    with pytest.raises(MeasureError, match=r"`input\[1\]` \(a lock\) cannot be copied") as refused:
        flopbench.profile(nn.Linear(4, 2), (torch.ones(1, 4), threading.Lock()))
    assert isinstance(refused.value, FlopbenchError)

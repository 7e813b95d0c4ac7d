"""A call that is timed: every input at its batch, on its device, the same from call to call."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flopbench.core.errors import FlopbenchError
from flopbench.timing.measure.prepared import prepare
from flopbench.timing.records import TimingSpec

NETS = """
import torch
from torch import nn

class Cache:
    def __init__(self):
        self.keys, self.ids = torch.zeros(1, 7, 8), torch.arange(7)[None]

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(8, 8)

    def forward(self, x, cache, flags=None):
        cache.keys = torch.cat([cache.keys, x], 1)
        return cache.keys, cache.ids, x, flags

def decoder(): return Decoder(), (torch.zeros(1, 1, 8),), {"cache": Cache(), "flags": [None, "a"]}

class Reads(nn.Module):
    def forward(self, *args, **kwargs): return args, kwargs

def reads(): return Reads()
def two(): return Reads(), (torch.zeros(2, 3),)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prepared_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_cache_is_the_same_for_every_call_and_has_the_batch_and_dtype(batch: int) -> None:
    """Else each call would take longer than the one before."""
    spec = TimingSpec(spec="prepared_nets.py:decoder", batch=batch, dtype="bf16")
    call = prepare(spec)
    seen = [call() for _ in range(9)]
    for keys, ids, x, flags in seen:
        assert (keys.shape, keys.dtype) == ((batch, 8, 8), torch.bfloat16)
        assert (ids.shape, ids.dtype) == ((batch, 7), torch.int64)
        assert (x.shape, flags) == ((batch, 1, 8), [None, "a"])
    assert not torch.equal(seen[0][0], seen[1][0])  # the inputs take turns
    assert torch.equal(seen[0][0], seen[4][0])


def test_inputs_by_shape_are_timed() -> None:
    """Positional and keyword inputs, nested, with their dtypes."""
    text = "prepared_nets.py:reads@1x4+(1x2:int64,[1x3])+mask=1x5:bool"
    args, kwargs = prepare(TimingSpec(spec=text, batch=2))()
    x, (ids, (deep,)) = args
    assert [tuple(t.shape) for t in (x, ids, deep, kwargs["mask"])] == [
        (2, n) for n in (4, 2, 3, 5)
    ]
    assert [t.dtype for t in (x, ids, kwargs["mask"])] == [torch.float32, torch.int64, torch.bool]


def test_what_is_no_batch_of_one_is_refused() -> None:
    """It cannot become another batch; as it is, it can be timed."""
    assert prepare(TimingSpec(spec="prepared_nets.py:two"))()[0][0].shape == (2, 3)
    with pytest.raises(FlopbenchError, match="not a batch of one"):
        prepare(TimingSpec(spec="prepared_nets.py:two", batch=4))

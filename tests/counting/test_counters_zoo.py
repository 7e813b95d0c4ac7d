"""The counters of libraries against models whose true cost is written next to them."""

from __future__ import annotations

from importlib import import_module

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from counted import count, dense, gaps  # noqa: E402
from layer_zoo import LAYERS  # noqa: E402
from operator_zoo import OPERATORS, Truth  # noqa: E402
from sweeps import each  # noqa: E402

from flopbench.counting.registry import own_counters  # noqa: E402

INFOS = {info.name: info for info in own_counters() if info.name != "torch"}
PATCHING = ("calflops", "deepspeed", "torchinfo")
"""They see functions that are looked up when they are called, unlike those of the operators."""

# vecdot is a product and a sum to dispatch modes; THOP's own rules overcharge the others.
EXCUSED = {
    "thop-2020": ("vecdot", "conv_transpose"),
    "thop": ("vecdot", "conv_transpose", "unbatched", "with projection", "packed sequence"),
    "ptflops": ("vecdot",),
    **dict.fromkeys(PATCHING, ("gradient inside forward",)),
}


@pytest.mark.parametrize("name", INFOS)
def test_counts_the_truth_or_lists_a_gap(name: str) -> None:
    """Dense MACs are those of the formula, or fewer, with a gap; a failure is an error."""
    info = INFOS[name]
    pytest.importorskip(info.distribution, reason=f"{info.distribution} is not installed")
    module, _, kind = info.target.partition(":")
    counter = getattr(import_module(module), kind)()
    exact, failed = [], []

    def check(case: Truth) -> None:
        device = "cpu" if counter.needs_values or case.needs_values else "meta"
        with torch.device(device):
            model, args, kwargs = case.build(), case.args(), case.keyword_args()
        try:
            counted = count(counter, model, *args, device=device, **kwargs)
        except AssertionError:
            raise
        except Exception:
            failed.append(case.name)
            return
        assert dense(counted) == case.macs or (dense(counted) < case.macs and gaps(counted))
        if dense(counted) == case.macs:
            exact.append(case.name)

    cases = LAYERS if name in PATCHING else OPERATORS + LAYERS
    each([c for c in cases if not any(word in c.name for word in EXCUSED.get(name, ()))], check)
    assert len(failed) <= 6, failed
    assert len(exact) >= (180 if name == "fvcore" else 50)

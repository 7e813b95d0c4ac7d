"""Measured roofs and the number formats they are measured in. No time is asserted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from warm import run_python

from flopbench.core.errors import InputError
from flopbench.timing.measure import precision as precision_module
from flopbench.timing.measure.device import device_facts
from flopbench.timing.measure.precision import TORCH_DTYPES, precision, precision_facts
from flopbench.timing.measure.roofs import measure_roofs
from flopbench.timing.roofs import load_roofs, store_roofs

HAS_NEW_FLAGS = hasattr(torch.backends, "fp32_precision")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["new flags", "old flags"])
def _flags(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run with each family of flags that this torch has; restore both afterwards."""
    if request.param == "new flags" and not HAS_NEW_FLAGS:
        pytest.skip("this torch has no fp32_precision")
    monkeypatch.setattr(precision_module, "_has_new_flags", lambda: request.param == "new flags")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the old flags deprecated
        yield


def test_roofs_of_this_cpu() -> None:
    """Every kind of roof is there, above what any CPU of this century does, and is kept."""
    threads = torch.get_num_threads()
    roofs = measure_roofs(
        "cpu", ["bf16", "fp32"], 1, budget_s=0.05, n=128, buffer_bytes=2**22, stream_bytes=(2**14,)
    )
    assert torch.get_num_threads() == threads
    assert [(roof.dtype, roof.n, roof.clock) for roof in roofs.matmul] == [
        ("fp32", 128, "process CPU time"),
        ("bf16", 128, "process CPU time"),
    ]
    assert (roofs.flops_per_s("fp32") or 0) > 1e8
    assert roofs.bytes_per_s > 1e7
    assert all(roof.repeats >= 1 and roof.seconds > 0 for roof in (*roofs.matmul, roofs.copy))
    facts = device_facts("cpu")
    store_roofs(facts, roofs)
    assert load_roofs(facts, 1) == roofs


def test_several_threads_are_timed_by_the_wall() -> None:
    """Process CPU time sums over threads, so it is not a duration there."""
    roofs = measure_roofs(
        "cpu", ["fp32"], 2, budget_s=0.01, n=64, buffer_bytes=2**20, stream_bytes=(2**14,)
    )
    assert (roofs.threads, roofs.matmul[0].clock, roofs.copy.clock) == (2, "wall", "wall")


def test_roofs_that_cannot_be_measured_are_refused() -> None:
    """Before anything runs, and with torch's threads as they were."""
    threads = torch.get_num_threads()
    with pytest.raises(InputError, match="threads is 0"):
        measure_roofs("cpu", ["fp32"], 0)
    with pytest.raises(InputError, match="cpu has no TF32"):
        measure_roofs("cpu", ["fp32", "tf32"], 1)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("_flags")
@pytest.mark.parametrize("dtype", sorted(TORCH_DTYPES))
def test_flags_are_set_alike_and_restored(dtype: str) -> None:
    """TF32 for convolutions and products together or for neither; afterwards all is as it was."""
    before = precision_facts()
    with precision(dtype) as kind:
        assert kind is TORCH_DTYPES[dtype]
        inside = precision_facts()
    assert precision_facts() == before
    if "cudnn.conv.fp32_precision" in inside:
        gpu = [key for key in inside if key.endswith("fp32_precision") and "mkldnn" not in key]
        assert {inside[key] for key in gpu} == {"tf32" if dtype == "tf32" else "ieee"}
    else:
        wanted = dtype == "tf32"
        assert inside["cuda.matmul.allow_tf32"] is inside["cudnn.allow_tf32"] is wanted


@pytest.mark.usefixtures("_flags")
def test_flags_are_restored_after_an_exception() -> None:
    """Also where the model fails."""
    before = precision_facts()
    with pytest.raises(ZeroDivisionError), precision("tf32"):
        raise ZeroDivisionError
    assert precision_facts() == before


def run_apart(code: str) -> None:
    """Run code that must not fail in another process."""
    done = run_python(["-c", code], Path.cwd(), os.environ)
    assert done.returncode == 0, done.stderr


PARENTS = {"all backends": "torch.backends", "all of CUDA": "torch.backends.cudnn"}


@pytest.mark.parametrize("parent", sorted(PARENTS))
def test_a_setting_that_follows_its_parent_follows_it_again(parent: str) -> None:
    """What the user set for all backends, or for CUDA, still reaches each of them afterwards."""
    if not HAS_NEW_FLAGS:
        pytest.skip("this torch has no fp32_precision")
    code = f"""
import torch
from flopbench.timing.measure.precision import precision
parent, matmul, conv = {PARENTS[parent]}, torch.backends.cuda.matmul, torch.backends.cudnn.conv
for value in ("tf32", "ieee", "tf32"):
    parent.fp32_precision = value
    with precision("tf32" if value == "ieee" else "fp32"):
        assert matmul.fp32_precision != value != conv.fp32_precision
    assert matmul.fp32_precision == conv.fp32_precision == value
parent.fp32_precision = "none"
assert matmul.fp32_precision == "none"
"""
    run_apart(code)  # flags of this process may be set


def test_the_older_flags_can_be_read_again_afterwards() -> None:
    """torch refuses to read them while the two families disagree."""
    code = """
import torch
from flopbench.timing.measure.precision import TORCH_DTYPES, precision
def flags():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
for conv, matmul in ((None, None), (False, "high"), (True, "medium"), (False, "highest")):
    if matmul:
        torch.backends.cudnn.allow_tf32 = conv
        torch.set_float32_matmul_precision(matmul)
    before = flags()
    for dtype in TORCH_DTYPES:
        with precision(dtype):
            pass
    assert flags() == before, (before, flags())
"""
    run_apart(code)


def test_an_unknown_format_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(InputError, match="unknown dtype 'fp23'"), precision("fp23"):
        pass


@pytest.mark.gpu
@needs_cuda
def test_roofs_of_a_gpu() -> None:
    """Events time them; TF32 and BF16 only where the GPU has them."""
    dtypes = ["fp32", "fp16"]
    dtypes += ["tf32", "bf16"] if torch.cuda.get_device_capability() >= (8, 0) else []
    roofs = measure_roofs("cuda", dtypes, 1, budget_s=0.1, n=2048, buffer_bytes=2**26)
    assert roofs.lacks(dtypes) == ()
    assert {roof.clock for roof in roofs.matmul} == {"CUDA events"}
    assert (roofs.flops_per_s("fp32") or 0) > 1e11
    assert roofs.bytes_per_s > 1e10
    for dtype in dtypes:
        families = {one.family: one for one in roofs.families if one.dtype == dtype}
        assert {"convolution", "depthwise convolution", "pointwise", "pooling"} <= set(families)
        assert len(families["copy"].streams) == 6  # 256 KiB to 256 MiB
        assert not any(one.call_s for one in families.values())

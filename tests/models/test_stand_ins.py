"""Modules that would take seconds to import: what answers in their place says what they say."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from typing import Any

import pytest
import torch
from torch.fx.experimental import symbolic_shapes

from flopbench.models.build import kernels, stand_ins

# The published 300,774,272 MACs at 224 px: convolutions, 49 times fewer here, and 1280 x 1000.
COUNTS = """
import sys, torch
from importlib.util import find_spec
before, finders = set(sys.modules), list(sys.meta_path)
from flopbench import profile
assert profile("mobilenet_v2@32", counters=["thop", "torch"])[0].dense_macs == 6112128 + 1280000
loaded = set(sys.modules) - before
from torch.utils import flop_counter
assert not loaded & {"torch._dynamo", "sympy", "torch._inductor", "triton"}, loaded
assert sys.meta_path == finders
if find_spec("triton") and hasattr(flop_counter, "_JITFunction"):
    assert not isinstance(profile, flop_counter._JITFunction)
    from triton.runtime.jit import JITFunction
    assert isinstance(JITFunction.__new__(JITFunction), flop_counter._JITFunction)
assert "getattr" not in vars(torch._compile)
from torch._dynamo.utils import is_compile_supported
from torchvision.ops import roi_align
asks = sys.modules["torchvision.ops.roi_align"].is_compile_supported
assert asks is not is_compile_supported and asks("cpu") == is_compile_supported("cpu")
from torch.fx.experimental.symbolic_shapes import ShapeEnv
twice = torch.compile(lambda x: 2 * x, backend="eager")
assert twice(torch.ones(1)).item() == 2
"""


def test_a_count_imports_neither_dynamo_nor_sympy_nor_triton() -> None:
    """They are the real ones afterwards, and what torchvision asks later is answered by dynamo."""
    done = subprocess.run([sys.executable, "-c", COUNTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_numbers_are_answered_as_torch_answers_them() -> None:
    """Each question, for conditions and sizes; a symbol, or another name, goes to torch."""
    values: dict[str, list[tuple[Any, ...]]] = {
        "sym_eq": [(3, 3), (3, 4), ((1, 2), (1, 2)), ([1, 2], (1, 2)), ((1,), (1, 2))],
        **{key: [*product((True, False), repeat=2), (True,)] for key in ("sym_and", "sym_or")},
        **{key: [(0,), (7,)] for key in ("guard_int", "has_guarding_hint", "is_nested_int")},
    }
    real = vars(symbolic_shapes)
    for name in stand_ins._OF_NUMBERS.keys() & real.keys():
        for given in values.get(name, [(True,), (False,)]):
            assert stand_ins._answering(name)(*given) == real[name](*given), (name, given)

    stand_in = stand_ins._Plain("symbols")
    assert stand_in.ShapeEnv is symbolic_shapes.ShapeEnv
    symbol = symbolic_shapes.ShapeEnv().create_unbacked_symint()
    assert stand_ins._answering("guard_or_false")(symbol == 3) is False


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_dtypes_are_promoted_as_torch_promotes_them(dtype: torch.dtype) -> None:
    """Alone, with numbers, and with another dtype, by every rule of torch's."""
    from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as RULES
    from torch._prims_common import elementwise_dtypes as real

    quick = kernels._same_dtype((None, ""), real)
    one, other = (torch.empty(2, dtype=kind, device="meta") for kind in (dtype, torch.float64))
    for values, rule in product(
        [(one,), (one, one), (one, 2.5), (one, 2, None), (one, other)], RULES
    ):
        found = quick(*values, type_promotion_kind=rule)
        assert found == real(*values, type_promotion_kind=rule), (values, rule)

"""The torch counter against hand-computed truths, whole models, and its rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
import counted  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from layer_zoo import LAYERS, SEES_HIGHER_ORDER  # noqa: E402
from operator_zoo import OPERATORS, Call, Truth  # noqa: E402
from sweeps import each  # noqa: E402
from torch import nn  # noqa: E402

from flopbench.counting.measure.counters import torch_counter, torch_formulas  # noqa: E402
from flopbench.counting.measure.counters.base import Counted, Subject  # noqa: E402
from flopbench.counting.measure.counters.free_ops import FREE_OPS, is_free  # noqa: E402
from flopbench.counting.measure.counters.torch_counter import TorchCounter  # noqa: E402
from flopbench.counting.profile import DENSE_FAMILIES  # noqa: E402

TRUTHS = OPERATORS + LAYERS
FAST_PATHS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


def count(module: nn.Module, *args: Any, device: str = "cpu", **kwargs: Any) -> Counted:
    return counted.count(TorchCounter(), module, *args, device=device, **kwargs)


def by_module(found: Counted) -> dict[str, int]:
    """Sum MACs by module path."""
    sums: dict[str, int] = {}
    for op in found.operators:
        sums[op.module] = sums.get(op.module, 0) + op.dense_macs
    return sums


@cache
def count_truth(name: str, device: str) -> Counted:
    """Build a truth's model and inputs on a device and count them, once."""
    case = next(case for case in TRUTHS if case.name == name)
    with torch.device(device):
        module, args, kwargs = case.build(), case.args(), case.keyword_args()
    return count(module, *args, device=device, **kwargs)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_counts_the_truth(device: str) -> None:
    """Every model of the zoo costs what the formula next to it says, without gaps."""

    def check(case: Truth) -> None:
        found = count_truth(case.name, device)
        assert found.total == case.macs
        assert found.not_counted == ()
        assert sum(op.total for op in found.operators) == found.total
        assert {op.family for op in found.operators} <= set(DENSE_FAMILIES)
        assert all(op.total == op.dense_macs for op in found.operators)
        if case.families:
            assert {op.family for op in found.operators} == set(case.families)

    each([case for case in TRUTHS if device == "cpu" or not case.needs_values], check)


def test_says_the_same_on_meta_and_cpu() -> None:
    """Names, families, calls and activations do not depend on the kernels of a device."""

    def check(case: Truth) -> None:
        meta, cpu = count_truth(case.name, "meta"), count_truth(case.name, "cpu")
        # Inference mode cannot materialise lazy parameters on meta.
        assert meta.operators == cpu.operators or "LazyLinear" in str(meta)

    each([case for case in TRUTHS if not case.needs_values], check)


@pytest.mark.parametrize("fast_path", [False, True])
def test_fused_and_lower_level_operators_cost_the_same(fast_path: bool) -> None:
    """Under no_grad models reach fused kernels instead: other operators, the same integer.

    Only attention has a fast path: without it there is nothing to choose.
    """
    tried = []

    def check(case: Truth) -> None:
        module, args, kwargs = case.build().eval(), case.args(), case.keyword_args()
        attends = any(isinstance(part, FAST_PATHS) for part in module.modules())
        if fast_path and not attends:
            return
        tried.append(case)
        with torch.no_grad():
            found = torch_counter._count(
                Subject(module=module, args=args, kwargs=kwargs, device="cpu")
            )
        assert (found.total, found.not_counted) == (case.macs, ())

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast_path)
    try:
        # Some products are elementwise there, and a complex convolution is three real ones.
        apart = ("vecdot", "outer: ", "complex convolution")
        each([case for case in TRUTHS if not any(word in case.name for word in apart)], check)
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    assert len(tried) >= 5


def test_prices_the_fused_encoder_layer() -> None:
    """The multi-head fast path, one operator for a whole layer, costs what the layer costs."""
    case = next(case for case in TRUTHS if case.name == "TransformerEncoderLayer")
    x = torch.randn(case.inputs[0])
    found = TorchCounter().count(Subject(module=case.build().eval(), args=(x,), device="cpu"))
    assert found.total == case.macs
    assert [op.op for op in found.operators] == ["aten._transformer_encoder_layer_fwd"]


def test_zoo_is_large_and_its_names_differ() -> None:
    """The table has at least seventy truths, each with its own name."""
    assert len({case.name for case in TRUTHS}) == len(TRUTHS) >= 70


torch.library.define("flopbench_test::project", "(Tensor x, Tensor w) -> Tensor")
project = torch.ops.flopbench_test.project


@torch.library.impl("flopbench_test::project", "cpu")
def _(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Multiply two matrices where no dispatch mode can see it."""
    return x @ w


@torch.library.register_fake("flopbench_test::project")
def _(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape[0], w.shape[1])


def _bag(weight: torch.Tensor) -> torch.Tensor:
    indices = torch.zeros(1, 2, dtype=torch.long, device=weight.device)
    weights = torch.ones(1, 2, device=weight.device)
    return F.embedding_bag(indices, weight, per_sample_weights=weights, mode="sum")


def _as_integers(x: torch.Tensor) -> torch.Tensor:
    from torch._higher_order_ops.out_dtype import out_dtype

    x = x.to(torch.int8)
    return out_dtype(torch.ops.aten.mm.default, torch.int32, x, x)


def _spd(x: torch.Tensor) -> torch.Tensor:
    return x * x.mT + 10 * torch.eye(6, device=x.device)


GAPS: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "fft": (torch.fft.fft, "aten._fft_r2c"),
    "rfft2": (torch.fft.rfft2, "aten._fft_r2c"),
    "ifft": (lambda x: torch.fft.ifft(x + 0j), "aten._fft_c2c"),
    "inv": (lambda x: torch.linalg.inv(_spd(x)), "aten.linalg_inv_ex"),
    "solve": (lambda x: torch.linalg.solve(_spd(x), x), "aten._linalg_solve_ex"),
    "cholesky": (lambda x: torch.linalg.cholesky(_spd(x)), "aten.linalg_cholesky_ex"),
    "svd": (lambda x: torch.linalg.svd(x)[1], "aten._linalg_svd"),
    "qr": (lambda x: torch.linalg.qr(x)[0], "aten.linalg_qr"),
    "eigh": (lambda x: torch.linalg.eigh(_spd(x))[0], "aten._linalg_eigh"),
    "det": (torch.linalg.det, "aten._linalg_det"),
    "matrix_exp": (torch.matrix_exp, "aten.linalg_matrix_exp"),
    "cdist": (lambda x: torch.cdist(x, x), "aten._cdist_forward"),
    "pdist": (F.pdist, "aten._pdist_forward"),
    "weighted embedding bag": (_bag, "aten._embedding_bag_forward_only"),
    "custom operator": (lambda x: project(x, x), "flopbench_test.project"),
}
if SEES_HIGHER_ORDER:
    GAPS["higher-order operator"] = (_as_integers, "out_dtype")


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", GAPS)
def test_reports_what_it_cannot_price(name: str, device: str) -> None:
    """An operator without a price is a gap at its module, with its number of calls."""
    function, operator = GAPS[name]
    with torch.device(device):
        inner, x = Call(function), torch.randn(6, 6)
    try:
        found = count(Call(lambda m, x: (m(x), m(x)), inner), x, device=device)
    except NotImplementedError:
        assert device == "meta"
        pytest.skip("torch has no shape rule for it on meta")
    listed = [gap for gap in found.not_counted if gap.name == operator]
    assert [(gap.kind, gap.module, gap.calls, gap.may_multiply) for gap in listed] == [
        ("operator", "layers.0", 2, True)
    ]
    assert found.total == 0


def test_uses_formulas_that_other_code_registered() -> None:
    """A registered formula prices a custom operator; the note says so, an odd half is dropped."""
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    before = dict(flop_registry)
    register_flop_formula(project)(lambda *shapes, out_shape=None: 7)
    if project not in flop_registry:
        pytest.skip("this torch files the formula where FlopCounterMode does not look")
    try:
        found = count(Call(lambda x: project(x, x)), torch.randn(6, 6))
    finally:
        flop_registry.clear()
        flop_registry.update(before)
    assert (found.total, found.not_counted) == (3, ())
    assert len(found.notes) == 2


needs_higher_order = pytest.mark.skipif(
    not SEES_HIGHER_ORDER, reason="this torch runs no higher-order operator under dispatch modes"
)


@needs_higher_order
def test_prices_flex_attention() -> None:
    """A higher-order operator with a formula of torch's is filed under attention."""
    from torch.nn.attention.flex_attention import flex_attention
    from torch.utils.flop_counter import flop_registry

    if torch.ops.higher_order.flex_attention not in flop_registry:
        pytest.skip("this torch has no formula for flex_attention")
    batch, heads, steps, width = 1, 2, 16, 8
    q = torch.randn(batch, heads, steps, width)
    found = count(Call(lambda q: flex_attention(q, q, q)), q)
    assert found.total == batch * heads * steps * steps * 2 * width
    assert [op.family for op in found.operators] == ["attention"]


def linear_layers(*sizes: int) -> nn.Sequential:
    """Make a chain of linear layers."""
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))


def test_files_operators_under_the_module_that_ran_them() -> None:
    """Children are separate from their parents; a direct ``forward`` belongs to the caller."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = linear_layers(3, 5, 7)
            self.head = nn.Linear(7, 11)
            self.alias = self.head

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.alias(self.body(x))
            return self.body[0].forward(x[:, :3] @ torch.ones(3, 3))

    found = count(Net(), torch.randn(2, 3))
    assert by_module(found) == {
        "body.0": 2 * 3 * 5,
        "body.1": 2 * 5 * 7,
        "head": 2 * 7 * 11,
        "": 2 * 3 * 3 + 2 * 3 * 5,
    }
    types = {op.module: op.module_type for op in found.operators}
    assert types == {"body.0": "Linear", "body.1": "Linear", "head": "Linear", "": "Net"}
    first = found.operators[0]
    assert (first.op, first.calls, first.activations) == ("aten.linear", 1, 2 * 5)


MULTIPLIES = re.compile(
    r"mm(_|$)|matmul|conv(?!ert)|dot(_|$)|linear|attention|attn|lstm|gru|rnn|mv(_|$)|einsum|inner"
    r"|linalg_|fft|dist_forward|chol|matrix|sparse|embedding_bag|quantized|gemm"
    r"|(^|_)(cdist|pdist|solve|svd|qr|eig|eigh|det|inv|inverse|cov|corrcoef|bag)(_|$)"
    r"|transformer|multi_head|linear_combination"
)
REVIEWED = {
    # interpolation, not a bilinear form
    "upsample_bilinear2d", "upsample_linear1d", "upsample_trilinear3d", "__upsample_bilinear",
    "_upsample_bilinear2d_aa",
    # element by element
    "linalg_cross", "linalg_diagonal", "linalg_vander", "linalg_vector_norm",
    "_thnn_fused_gru_cell", "_thnn_fused_lstm_cell",
    # pooling, statistics
    "quantized_batch_norm", "quantized_max_pool1d", "quantized_max_pool2d", "quantized_max_pool3d",
    # views, layouts, filling, bookkeeping
    "_cudnn_rnn_flatten_weight", "_linalg_check_errors", "_make_per_channel_quantized_tensor",
    "_make_per_tensor_quantized_tensor", "_sparse_coo_tensor_unsafe",
    "_sparse_coo_tensor_with_dims_and_tensors", "_sparse_csr_tensor_unsafe", "_to_sparse",
    "_to_sparse_bsc", "_to_sparse_bsr", "_to_sparse_csc", "_to_sparse_csr",
    "copy_sparse_to_sparse", "empty_quantized", "fft_fftfreq", "fft_fftshift", "fft_ifftshift",
    "fft_rfftfreq", "matrix_H", "mkldnn_reorder_conv2d_weight", "mkldnn_reorder_conv3d_weight",
    "slice_inverse", "sparse_bsc_tensor", "sparse_bsr_tensor", "sparse_compressed_tensor",
    "sparse_coo_tensor", "sparse_csc_tensor", "sparse_csr_tensor", "sparse_dim", "sparse_mask",
    "sparse_resize", "to_sparse", "to_sparse_bsc", "to_sparse_bsr", "to_sparse_csc",
    "to_sparse_csr",
}  # fmt: skip


def aten_names() -> set[str]:
    """Return every operator name of the ``aten`` namespace, in-place variants too."""
    schemas = torch._C._jit_get_all_schemas()
    return {s.name.removeprefix("aten::") for s in schemas if s.name.startswith("aten::")}


def test_never_a_silent_zero() -> None:
    """No operator whose name says that it multiplies is on the free list, unless reviewed."""
    suspects = {name for name in aten_names() if MULTIPLIES.search(name)}
    assert len(suspects) > 150
    listed = {name.removesuffix("_") for name in suspects if is_free(f"aten::{name}")}
    assert listed - REVIEWED == set()


def test_nothing_is_both_priced_and_free() -> None:
    """Prices, and the blind list, do not overlap."""
    for operator in torch_formulas.custom_mapping():
        assert not is_free(str(operator)), operator


def test_free_list_names_each_operator_once() -> None:
    """No name is in two groups."""
    names = [name for group in FREE_OPS.values() for name in group]
    assert len(names) == len(set(names))


FREE = """aten::add_ aten.add.Tensor aten::add.Tensor add_ add aten::__iand__ aten.relu_.default
torchvision::nms torchvision.roi_align.default prim::ListConstruct
prims.convert_element_type.default aten._foreach_mul_.List"""
NOT_FREE = """aten::mm aten::addmm_ aten._fft_r2c aten::embedding_bag prim::PythonOp mylib::add
mylib.add.default quantized::linear torchvision::deform_conv2d no_such_operator"""


def test_is_free_reads_every_spelling() -> None:
    """Namespace, overload and in-place underscore do not matter; a foreign namespace does."""
    assert [name for name in FREE.split() if not is_free(name)] == []
    assert [name for name in NOT_FREE.split() if is_free(name)] == []


def vit_b_16_macs() -> int:
    """ViT-B/16 at 224 pixels: 14 x 14 patches and a class token, width 768, 12 layers."""
    tokens, width, hidden = 14 * 14 + 1, 768, 3072
    patches = 14 * 14 * width * 3 * 16**2
    attention = tokens * width * 3 * width + 2 * tokens**2 * width + tokens * width**2
    return patches + 12 * (attention + 2 * tokens * width * hidden) + width * 1000


@pytest.mark.parametrize(
    ("name", "size", "macs"),
    [
        ("vit_b_16", (224, 224), vit_b_16_macs()),
        ("swin_t", (224, 224), 4.4906),
        ("convnext_tiny", (224, 224), 4.4555),
        ("r3d_18", (16, 112, 112), 40.6966),
        ("mvit_v1_b", (16, 224, 224), 70.5994),
        ("swin3d_t", (16, 224, 224), 43.8822),
    ],
)
def test_whole_models(name: str, size: tuple[int, ...], macs: float) -> None:
    """torchvision's models cost what formulas and other counters say (G MACs to four places)."""
    with torch.device("meta"):
        found = count(torchvision.models.get_model(name), torch.empty(1, 3, *size), device="meta")
    assert found.not_counted == ()
    assert found.notes == ()
    assert (found.total if isinstance(macs, int) else round(found.total / 1e9, 4)) == macs

"""The reviewed list of operators that do no multiply-accumulates, and ``is_free``.

An operator that is neither priced nor listed is reported as a gap that may hide dense work. So
the list errs on the short side: deliberately left out are FFTs, linear algebra (solve, inv, svd,
qr, det, matrix_exp, ...), cdist and pdist, quantised layers, sparse products, backward
operators, ``embedding_bag`` (its ``per_sample_weights`` multiply-accumulate), collectives and
every custom operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_GROUPS: dict[str, str] = {
    # Views and copies: the same numbers under other indices.
    "movement": """
        adjoint alias as_strided as_strided_copy as_strided_scatter atleast_1d atleast_2d
        atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod cat channel_shuffle
        chunk clone col2im column_stack combinations concat concatenate constant_pad_nd contiguous
        copy dstack detach detach_copy diag diag_embed diagflat diagonal diagonal_copy
        diagonal_scatter dsplit expand expand_as expand_copy flatten flatten_dense_tensors flip
        fliplr flipud hsplit hstack im2col lift lift_fresh lift_fresh_copy mH mT matrix_H
        meshgrid moveaxis movedim narrow narrow_copy native_channel_shuffle numpy_T pad
        pad_sequence permute permute_copy pin_memory pixel_shuffle pixel_unshuffle ravel
        reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
        replication_pad1d replication_pad2d replication_pad3d reshape reshape_as resize resize_as
        resolve_conj resolve_neg roll rot90 row_stack select select_copy select_scatter set slice
        slice_copy slice_inverse slice_scatter split split_copy split_with_sizes
        split_with_sizes_copy squeeze squeeze_copy stack swapaxes swapdims t t_copy tensor_split
        tile to to_padded_tensor transpose transpose_copy tril triu type_as unbind unbind_copy
        unflatten unflatten_dense_tensors unfold unfold_copy unsafe_chunk unsafe_split
        unsafe_split_with_sizes unsqueeze unsqueeze_copy view view_as view_as_complex
        view_as_complex_copy view_as_real view_as_real_copy view_copy vsplit vstack
        _chunk_cat _conj _conj_copy _copy_from _copy_from_and_resize _lazy_clone _mkldnn_reshape
        _mkldnn_transpose _neg_view _neg_view_copy _pad_circular _pad_enum _pin_memory
        _reshape_alias _reshape_alias_copy _reshape_copy _stack _to_copy _to_cpu _unsafe_view
        real imag complex polar conj data shallow_copy_data set_data copy_sparse_to_sparse
        mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight _add_batch_dim _remove_batch_dim
        _convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu
        _cudnn_rnn_flatten_weight""",
    # Other layouts of the same numbers: sparse and nested tensors taken apart and put together.
    "layout": """
        ccol_indices coalesce col_indices crow_indices indices row_indices sparse_bsc_tensor
        sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor
        sparse_csr_tensor sparse_mask sparse_resize to_sparse to_sparse_bsc to_sparse_bsr
        to_sparse_csc to_sparse_csr nested_to_padded_tensor _coalesce _coalesced
        _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo _dimI _dimV _indices
        _jagged_to_padded_dense_forward _nested_compute_contiguous_strides_offsets
        _nested_from_padded _nested_from_padded_and_nested_example _nested_from_padded_tensor
        _nested_get_jagged_dummy _nested_get_lengths _nested_get_max_seqlen
        _nested_get_min_seqlen _nested_get_offsets _nested_get_ragged_idx _nested_get_values
        _nested_get_values_copy _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned
        _nested_tensor_from_tensor_list _nested_tensor_size _nested_tensor_storage_offsets
        _nested_tensor_strides _nested_view_from_buffer _nested_view_from_buffer_copy
        _nested_view_from_jagged _nested_view_from_jagged_copy _nnz
        _padded_dense_to_jagged_forward _sparse_coo_tensor_unsafe
        _sparse_coo_tensor_with_dims_and_tensors _sparse_csr_tensor_unsafe _to_sparse
        _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr _values""",
    # New tensors filled with constants or ramps. Window functions are elementwise on a ramp.
    "creation": """
        arange as_tensor bartlett_window blackman_window empty empty_like empty_permuted
        empty_quantized empty_strided eye fft_fftfreq fft_rfftfreq fill fill_diagonal from_file
        full full_like hamming_window hann_window kaiser_window linspace logspace new_empty
        new_empty_strided new_full new_ones new_zeros ones ones_like range scalar_tensor tensor
        tril_indices triu_indices zero zeros zeros_like _efficientzerotensor
        _new_zeros_with_same_feature_meta""",
    # Gathers and scatters. Adding into a place is an addition without a product.
    "indexing": """
        argwhere embedding embedding_renorm gather index index_add index_copy index_fill index_put
        index_reduce index_select masked_fill masked_scatter masked_select nonzero nonzero_numpy
        nonzero_static one_hot put scatter scatter_add scatter_reduce take take_along_dim where
        fft_fftshift fft_ifftshift _index_put_impl
        _no_grad_embedding_renorm _unsafe_index _unsafe_index_put _unsafe_masked_index
        _unsafe_masked_index_put_accumulate""",
    # One result an element from the elements at the same place: nothing is accumulated, so the
    # products of mul, addcmul or cross are not multiply-accumulates of a contraction.
    "elementwise": """
        abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh
        arctan arctan2 arctanh asin asinh atan atan2 atanh bitwise_and bitwise_left_shift
        bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip
        conj_physical copysign cos cosh cross deg2rad digamma div divide erf erfc erfinv exp exp2
        expm1 fix float_power floor floor_divide fmax fmin fmod frac frexp gcd heaviside hypot
        i0 igamma igammac lcm ldexp lerp lgamma linalg_cross log log10 log1p log2 logaddexp
        logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mul multiply
        mvlgamma nan_to_num neg negative nextafter polygamma positive pow rad2deg reciprocal
        remainder round rsqrt rsub sgn sign signbit sin sinc sinh sqrt square sub subtract tan
        true_divide trunc xlogy fabs degrees radians modf mathremainder linalg_vander
        special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
        special_digamma special_entr special_erf special_erfc special_erfcx special_erfinv
        special_exp2 special_expit special_expm1 special_gammainc special_gammaincc
        special_gammaln special_i0 special_i0e special_i1 special_i1e special_log1p
        special_log_ndtr special_logit special_multigammaln special_ndtr special_ndtri
        special_polygamma special_psi special_round special_sinc special_xlog1py special_xlogy
        special_zeta __and__ __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __lshift__ __or__
        __rshift__ __xor__ _add_relu _conj_physical _transform_bias_rescale_qkv""",
    # Elementwise too; the gate kernels of recurrent cells follow their (priced) products.
    "activation": """
        celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid
        log_sigmoid_forward logit mish prelu relu relu6 rrelu rrelu_with_noise selu sigmoid silu
        softplus softshrink tanh threshold _prelu_kernel _thnn_fused_gru_cell
        _thnn_fused_lstm_cell""",
    # Comparisons and tests.
    "comparison": """
        allclose eq equal ge greater greater_equal gt isclose isfinite isin isinf isnan isneginf
        isposinf isreal le less less_equal lt ne not_equal _is_all_true _is_any_true""",
    # One operand folded onto itself: sums, extrema, norms, scans. A norm squares and adds, but
    # contracts no two operands; every counter leaves it out.
    "reduction": """
        all amax amin aminmax any argmax argmin bincount count_nonzero cummax cummin cumprod cumsum
        cumulative_trapezoid diff dist frobenius_norm gradient histc histogram linalg_diagonal
        linalg_vector_norm logcumsumexp logsumexp max mean median min mode nanmean nanmedian
        nanquantile nansum norm norm_except_dim pairwise_distance prod quantile renorm
        segment_reduce special_logsumexp std std_mean sum sum_to_size trace trapezoid trapz var
        var_mean _aminmax _cummax_helper _cummin_helper _logcumsumexp cosine_similarity""",
    # Statistics, then one scale and shift an element. Folding a weight norm is elementwise.
    "normalisation": """
        batch_norm batch_norm_elemt batch_norm_gather_stats batch_norm_gather_stats_with_counts
        batch_norm_stats batch_norm_update_stats cudnn_batch_norm group_norm instance_norm
        layer_norm miopen_batch_norm native_batch_norm native_group_norm native_layer_norm
        native_norm quantized_batch_norm rms_norm _batch_norm_impl_index _batch_norm_no_update
        _batch_norm_with_update _batch_norm_with_update_functional _fused_rms_norm
        _native_batch_norm_legit _native_batch_norm_legit_functional
        _native_batch_norm_legit_no_training _weight_norm _weight_norm_interface""",
    # Window sums and extrema, without weights.
    "pooling": """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
        adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
        fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool1d_with_indices max_pool2d
        max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d
        mkldnn_adaptive_avg_pool2d mkldnn_max_pool2d mkldnn_max_pool3d quantized_max_pool1d
        quantized_max_pool2d quantized_max_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d""",
    # Interpolation: a few fixed weights an output element, counted by no dense convention
    # (THOP alone prices it, by rules of its own).
    "resampling": """
        cudnn_grid_sampler grid_sampler grid_sampler_2d grid_sampler_3d upsample_bicubic2d
        upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
        upsample_nearest3d upsample_trilinear3d __upsample __upsample_bilinear __upsample_nearest
        _grid_sampler_2d_cpu_fallback _upsample_bicubic2d_aa _upsample_bilinear2d_aa
        _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d""",
    # Exponentials and their sum; losses compare two tensors element by element.
    "softmax and loss": """
        binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss
        cross_entropy_loss ctc_loss hinge_embedding_loss huber_loss kl_div l1_loss log_softmax
        margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss
        multilabel_margin_loss_forward nll_loss nll_loss2d nll_loss2d_forward nll_loss_forward
        nll_loss_nd poisson_nll_loss smooth_l1_loss soft_margin_loss softmax special_log_softmax
        special_softmax triplet_margin_loss _ctc_loss _cudnn_ctc_loss _log_softmax _masked_softmax
        _nested_tensor_softmax_with_shape _safe_softmax _softmax""",
    # Random numbers and dropout masks.
    "random": """
        alpha_dropout bernoulli binomial cauchy dropout exponential feature_alpha_dropout
        feature_dropout geometric log_normal multinomial native_dropout normal normal_functional
        poisson rand rand_like randint randint_like randn randn_like random randperm
        rrelu_with_noise_functional uniform _dirichlet_grad _fill_mem_eff_dropout_mask
        _fused_dropout _masked_scale _no_grad_fill _no_grad_normal _no_grad_uniform _no_grad_zero
        _philox_normal _philox_randint _philox_uniform _sample_dirichlet _standard_gamma""",
    # Comparisons that reorder.
    "sort and search": """
        argsort bucketize kthvalue msort searchsorted sort topk unique_consecutive unique_dim
        unique_dim_consecutive _unique _unique2""",
    # Rounding to a grid and back, a scale an element. Quantised layers are not here.
    "dtype and quantisation": """
        can_cast chalf dequantize fake_quantize_per_channel_affine
        fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine
        fake_quantize_per_tensor_affine_cachemask fused_moving_avg_obs_fake_quant int_repr
        q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point
        qscheme quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic result_type
        to_dense to_mkldnn _autocast_to_full_precision _autocast_to_reduced_precision _cast_Byte
        _cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short
        _choose_qparams_per_tensor _fake_quantize_learnable_per_channel_affine
        _fake_quantize_learnable_per_tensor_affine
        _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
        _fused_moving_avg_obs_fq_helper _make_per_channel_quantized_tensor
        _make_per_tensor_quantized_tensor _saturate_weight_to_fp16 _to_dense""",
    # Higher-order operators made of bodies, whose operators are counted as often as they run.
    "control flow": """
        associative_scan cond hints_wrapper invoke_subgraph map map_impl scan strict_mode switch
        while_loop while_loop_stack_output""",
    # Sizes, flags, assertions and Python scalars: no tensor arithmetic at all.
    "bookkeeping": """
        Bool Complex ComplexImplicit Float FloatImplicit Int IntImplicit ScalarImplicit Size
        __contains__ __derive_index __getitem__ __is__ __isnot__ __not__ __range_length
        __round_to_zero_floordiv append broadcast_shapes cpu cuda dense_dim device dim
        element_size extend factorial floordiv format get_device insert is_coalesced is_complex
        is_conj is_contiguous is_distributed is_floating_point is_inference is_leaf is_neg
        is_non_overlapping_and_dense is_nonzero is_pinned is_same_size is_scripting is_signed
        is_strides_like_format item items join keys len list local_value numel output_nr pop
        record_stream requires_grad_ retain_grad retains_grad size sparse_dim storage_offset str
        stride sym_constrain_range sym_constrain_range_for_size sym_is_contiguous sym_numel
        sym_size sym_storage_offset sym_stride values warn has_torch_function
        is_autocast_cpu_enabled is_autocast_enabled is_grad_enabled cudnn_is_acceptable
        _assert_async _assert_scalar
        _assert_tensor_metadata _dim_arange _functional_assert_async _functional_assert_scalar
        _functional_sym_constrain_range _functional_sym_constrain_range_for_size _fused_sdp_choice
        _has_compatible_shallow_copy_type _is_zerotensor _linalg_check_errors _local_scalar_dense
        _make_dep_token _nnpack_available _pack_padded_sequence _pack_sequence _pad_packed_sequence
        _print _resize_output _set_item _shape_as_tensor _tensor_to_list _unwrap_optional
        _version""",
}

_OTHER_NAMESPACES: dict[str, str] = {
    # The elementwise, movement and reduction primitives that decompositions are written in; the
    # FFTs and the SVD among them are left out.
    "prims": """
        abs acos acosh add amax amin as_strided as_strided_scatter asin asinh atan atan2 atanh
        bitwise_and bitwise_not bitwise_or bitwise_xor broadcast_in_dim cat cbrt ceil clone
        collapse collapse_view conj conj_physical convert_element_type copy_strided copy_to cos
        cosh device_put digamma div empty empty_permuted empty_strided eq erf erf_inv erfc erfcx
        exp exp2 expm1 fill floor fmax fmin fmod frexp full full_like ge gt hypot imag iota
        isfinite item le lgamma log log10 log1p log2 lt maximum maximum_value minimum
        minimum_value mul ne neg nextafter normal pow prod real reciprocal remainder reshape
        resize rev round rsqrt scalar_tensor shift_left shift_right_arithmetic sign signbit sin
        sinh split_dim sqrt squeeze sub sum tan tanh transpose trunc uniform
        var view_of view_of_dtype where xor_sum""",
    # Elementwise operators, pooling and norms of quantised tensors, and the packing of weights.
    # Layers are not here.
    "quantized": """
        add add_out add_relu add_relu_out add_scalar add_scalar_out add_scalar_relu
        add_scalar_relu_out batch_norm batch_norm1d batch_norm1d_relu batch_norm2d
        batch_norm2d_relu batch_norm3d batch_norm3d_relu batch_norm_relu cat cat_out cat_relu
        cat_relu_out celu clamp dropout elu embedding_4bit embedding_byte group_norm hardswish
        instance_norm layer_norm leaky_relu max_pool1d max_pool2d mul mul_out mul_relu
        mul_relu_out mul_scalar mul_scalar_out mul_scalar_relu mul_scalar_relu_out prelu relu6
        sigmoid softmax threshold conv1d_prepack conv1d_unpack conv2d_prepack conv2d_unpack
        conv3d_prepack conv3d_unpack conv_prepack conv_transpose1d_prepack conv_transpose1d_unpack
        conv_transpose2d_prepack conv_transpose2d_unpack conv_transpose3d_prepack
        conv_transpose3d_unpack conv_unpack linear_prepack linear_unpack""",
    # Nodes of traced graphs that build or unpack Python values. PythonOp and CallMethod, which
    # can hide anything, are left out.
    "prim": """
        Constant DictConstruct GetAttr ListConstruct ListUnpack NumToTensor Print RaiseException
        SetAttr TupleConstruct TupleIndex TupleUnpack Uninitialized abs data device dtype id
        is_cpu is_cuda is_meta is_nested itemsize layout max min nbytes requires_grad tolist type
        unchecked_cast""",
    # Box filtering, and pooling by interpolation over boxes. deform_conv2d is priced instead.
    "torchvision": "box_iou_rotated nms ps_roi_align ps_roi_pool roi_align roi_pool",
    # Markers in a timeline.
    "profiler": """
        _record_function_enter _record_function_enter_new _record_function_exit
        _call_end_callbacks_on_jit_fut""",
}

_FOREACH = """
    abs add addcdiv addcmul ceil clamp_max clamp_min clone copy cos div exp floor lerp log max
    maximum minimum mul neg norm pow reciprocal round rsqrt sigmoid sign sin sqrt sub tanh trunc
    zero"""
"""Elementwise operators that also exist over lists of tensors, as ``_foreach_…``."""

FREE_OPS: dict[str, frozenset[str]] = {
    **{group: frozenset(names.split()) for group, names in _GROUPS.items()},
    "foreach": frozenset(f"_foreach_{name}" for name in _FOREACH.split()),
}
"""Names of the ``aten`` namespace by group, without overload or in-place underscore."""

_FREE = {
    "aten": frozenset[str]().union(*FREE_OPS.values()),
    **{space: frozenset(names.split()) for space, names in _OTHER_NAMESPACES.items()},
}

_GROUP = {name: group for group, names in FREE_OPS.items() for name in names}


_BAG_WEIGHTS = 6
"""Position of ``per_sample_weights`` in ``_embedding_bag`` and ``_embedding_bag_forward_only``."""


def is_free(name: str, args: Sequence[Any] = ()) -> bool:
    """Whether an operator is on the reviewed list of those that do no dense work.

    Args:
        name: the operator with or without namespace, overload and in-place underscore:
            ``aten::add_``, ``aten.add.Tensor``, ``add_``, ``torchvision::nms``. A name without
            one of the known namespaces in front is an ``aten`` name, and then carries no overload.
        args: what it was called with, if known; a bag of embeddings without weights only adds.
    """
    space, base = _split(name)
    if args and base in ("_embedding_bag", "_embedding_bag_forward_only"):
        return len(args) <= _BAG_WEIGHTS or args[_BAG_WEIGHTS] is None
    known = _FREE.get(space, frozenset())
    return base in known or (base.removesuffix("_") in known and not base.endswith("__"))


def free_group(name: str) -> str:
    """Return the group of ``aten.relu_`` in ``FREE_OPS``; empty for operators of no group."""
    space, base = _split(name)
    known = _GROUP.get(base) or _GROUP.get(base.removesuffix("_")) if space == "aten" else None
    return known or ""


def _split(name: str) -> tuple[str, str]:
    if "::" in name:
        space, _, rest = name.partition("::")
        return space, rest.partition(".")[0]
    first, _, rest = name.partition(".")
    if not rest:
        return "aten", first
    return first, rest.partition(".")[0]

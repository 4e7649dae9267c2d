"""What a TorchScript pair may compute with: arithmetic on tensors, and what scripts need around it.

Nothing here reads or writes a file, prints, starts a process, calls Python, or looks at memory that is not the
tensor's. An in-place form (`add_`) is allowed where the other one is.
"""

_MAKING = (
    "alias arange bernoulli clone contiguous copy detach empty empty_like eye fill full full_like linspace meshgrid "
    "new_empty new_full new_ones new_zeros normal ones ones_like rand rand_like randn randn_like scalar_tensor tensor "
    "tril triu uniform zero zeros zeros_like"
)
_SHAPES = (
    "broadcast_tensors broadcast_to cat channel_shuffle chunk col2im concat concatenate constant_pad_nd diagonal "
    "dstack expand expand_as flatten flip gather hstack im2col index index_add index_copy index_fill index_put "
    "index_select lift_fresh masked_fill masked_select moveaxis movedim mT narrow nonzero numpy_T one_hot pad permute "
    "pixel_shuffle pixel_unshuffle ravel reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave "
    "replication_pad1d replication_pad2d replication_pad3d reshape reshape_as roll rot90 scatter scatter_add select "
    "slice split split_with_sizes squeeze stack swapaxes swapdims t take take_along_dim tile transpose unbind "
    "unflatten unfold unsqueeze view view_as view_as_complex view_as_real vstack where"
)
_POINTWISE = (
    "abs absolute acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bitwise_and bitwise_left_shift "
    "bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip copysign cos cosh div "
    "divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac ge greater "
    "greater_equal gt heaviside hypot isclose isfinite isinf isnan ldexp le lerp less less_equal lgamma log log10 "
    "log1p log2 logaddexp logical_and logical_not logical_or logical_xor logit lt maximum minimum mul multiply "
    "nan_to_num ne neg negative not_equal positive pow reciprocal remainder round rsqrt rsub sigmoid sign sin sinc "
    "sinh sqrt square sub subtract tan tanh true_divide trunc"
)
_REDUCTIONS = (
    "all allclose amax amin aminmax any argmax argmin argsort bincount bucketize cdist count_nonzero cummax cummin "
    "cumprod cumsum diff equal linalg_norm linalg_vector_norm logsumexp max mean median min nansum norm prod quantile "
    "searchsorted sort std std_mean sum topk var var_mean"
)
_PRODUCTS = (
    "addbmm addmm addmv addr baddbmm bilinear bmm chain_matmul cross dot einsum inner kron linear matmul mm mv outer "
    "scaled_dot_product_attention tensordot"
)
_LAYERS = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "adaptive_max_pool3d affine_grid_generator alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm celu conv1d "
    "conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d _convolution convolution cosine_similarity "
    "dropout elu embedding feature_alpha_dropout feature_dropout gelu glu grid_sampler grid_sampler_2d "
    "grid_sampler_3d group_norm hardshrink hardsigmoid hardswish hardtanh instance_norm __interpolate layer_norm "
    "leaky_relu log_sigmoid log_softmax max_pool1d max_pool2d max_pool3d mish pairwise_distance prelu relu relu6 "
    "rms_norm rrelu selu silu softmax softplus softshrink threshold upsample_bicubic2d _upsample_bicubic2d_aa "
    "upsample_bilinear2d _upsample_bilinear2d_aa _upsample_lanczos2d_aa upsample_linear1d upsample_nearest1d "
    "upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d upsample_trilinear3d _weight_norm"
)
_QUANTISATION = (
    "dequantize fake_quantize_per_channel_affine fake_quantize_per_tensor_affine int_repr q_scale q_zero_point "
    "quantize_per_channel quantize_per_tensor"
)
_TYPES = (
    "Bool _cast_Float _cast_Int _cast_Long ComplexImplicit cpu cuda device dim Float FloatImplicit get_device Int "
    "IntImplicit is_complex is_contiguous is_floating_point is_signed item _local_scalar_dense numel requires_grad "
    "result_type ScalarImplicit _shape_as_tensor size storage_offset stride to type_as"
)
_PLAIN_VALUES = (
    "__and__ append clear __contains__ copy count degrees Delete __derive_index dict endswith extend floordiv format "
    "get __getitem__ __iand__ index insert __ior__ __is__ __isnot__ items __ixor__ join keys len list __lshift__ "
    "mathremainder __not__ __or__ ord percentFormat pop radians __range_length remove reverse "
    "__round_to_zero_floordiv __rshift__ _set_item sorted startswith str strip _unwrap_optional update values warn "
    "__xor__"
)
"""Numbers, texts, lists and dicts; a warning is text in an error stream and no more (interpolation says one)."""

_CONTROL = (
    "abs CallFunction CallMethod Constant ConstantChunk data device DictConstruct dtype GetAttr If index is_cpu "
    "is_cuda is_quantized isinstance itemsize layout ListConstruct ListUnpack Loop max min NumToTensor RaiseException "
    "rangelist requires_grad SetAttr shape StringIndex tolist TupleConstruct TupleIndex TupleSlice TupleUnpack "
    "unchecked_cast unchecked_unwrap_optional Uninitialized"
)

_ATEN = frozenset(
    " ".join(
        (_MAKING, _SHAPES, _POINTWISE, _REDUCTIONS, _PRODUCTS, _LAYERS, _QUANTISATION, _TYPES, _PLAIN_VALUES)
    ).split()
)
_PRIM = frozenset(_CONTROL.split())


def is_allowed(operator: str) -> bool:
    """Whether a pair may use an operator, named as graphs name it.

    >>> [is_allowed(name) for name in ("aten::conv3d", "aten::add_", "aten::from_file", "prim::PythonOp")]
    [True, True, False, False]
    """
    space, _, name = operator.partition("::")
    if space == "prim":
        return name in _PRIM
    return space == "aten" and (name in _ATEN or (not name.endswith("__") and name.removesuffix("_") in _ATEN))

// Normalizations and norms.
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

Attributes epsilon_of(double epsilon) {
  return attributes_of({{"epsilon", static_cast<float>(epsilon)}});
}

int64_t channels_of(AtenCall& call, ValueId x) {
  const auto channels = known_size(call, x, 1);
  if (!channels) call.refuse("the number of channels is not known");
  return *channels;
}

// A per-channel parameter, or one number for every channel when it is None.
ValueId channel_parameter(AtenCall& call, size_t i, DType dtype, int64_t channels, double if_none) {
  return call.is_none(i) ? filled_vector(call, dtype, channels, if_none) : call.tensor(i);
}

// With running statistics: (input, weight, bias, running_mean, running_var, …)
Results with_running_statistics(AtenCall& call, double epsilon) {
  const ValueId x = call.tensor(0);
  call.require(!call.is_none(3) && !call.is_none(4), "there are no running statistics");
  const DType dtype = call.dtype_of(x);
  const int64_t channels = channels_of(call, x);
  return call.one(
      call.emit(OpKind::kBatchNormalization,
                {x, channel_parameter(call, 1, dtype, channels, 1),
                 channel_parameter(call, 2, dtype, channels, 0), call.tensor(3), call.tensor(4)},
                epsilon_of(epsilon)));
}

// (input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
Results batch_norm(AtenCall& call) {
  call.require(!call.bool_or(5, false),
               "batch statistics, which are for training: save the module after .eval()");
  return with_running_statistics(call, call.float_or(7, 1e-5));
}

// (input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, …)
Results instance_norm(AtenCall& call) {
  if (!call.bool_of(5)) return with_running_statistics(call, call.float_of(7));
  const ValueId x = call.tensor(0);
  const DType dtype = call.dtype_of(x);
  const int64_t channels = channels_of(call, x);
  return call.one(call.emit(OpKind::kInstanceNormalization,
                            {x, channel_parameter(call, 1, dtype, channels, 1),
                             channel_parameter(call, 2, dtype, channels, 0)},
                            epsilon_of(call.float_of(7))));
}

// (input, normalized_shape, weight, bias, eps, …)
Results layer_norm(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const std::vector<int64_t> shape = call.ints(1);
  const DType dtype = call.dtype_of(x);
  call.require(!shape.empty(), "an empty normalized_shape");
  ValueId scale;
  if (call.is_none(2)) {
    scale = filled_vector(call, dtype, element_count(shape), 1);
    if (shape.size() > 1) scale = reshape(call, scale, shape);
  } else {
    scale = call.tensor(2);
  }
  std::vector<ValueId> operands = {x, scale};
  if (!call.is_none(3)) operands.push_back(call.tensor(3));
  Attributes attributes = epsilon_of(call.float_or(4, 1e-5));
  attributes.set("axis", -static_cast<int64_t>(shape.size()));
  return call.one(
      call.emit(OpKind::kLayerNormalization, std::move(operands), std::move(attributes)));
}

// (input, num_groups, weight, bias, eps, …). As instance normalization of the groups, which every
// opset has.
Results group_norm(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const int64_t groups = call.int_of(1);
  const DType dtype = call.dtype_of(x);
  const size_t rank = call.rank_of(x);
  call.require(rank >= 2 && groups >= 1, "an input of two dimensions or more is needed");
  const ValueId grouped = reshape(call, x, {0, groups, -1});
  ValueId y = call.emit(
      OpKind::kInstanceNormalization,
      {grouped, filled_vector(call, dtype, groups, 1), filled_vector(call, dtype, groups, 0)},
      epsilon_of(call.float_or(4, 1e-5)));
  y = call.emit(OpKind::kReshape, {y, shape_of(call, x)});
  // Parameters are per channel: [C] against [N, C, …].
  std::vector<int64_t> axes;
  for (size_t i = 1; i + 1 < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  if (!call.is_none(2)) y = binary(call, OpKind::kMul, y, unsqueeze(call, call.tensor(2), axes));
  if (!call.is_none(3)) y = binary(call, OpKind::kAdd, y, unsqueeze(call, call.tensor(3), axes));
  return call.one(y);
}

// The p-norm over axes (none: over all).
ValueId norm_over(AtenCall& call, ValueId x, double p, const std::vector<int64_t>& axes,
                  bool keep_dims) {
  if (p == 2) return reduce(call, OpKind::kReduceL2, x, axes, keep_dims);
  if (p == 1) return reduce(call, OpKind::kReduceL1, x, axes, keep_dims);
  if (p == 0) {
    const ValueId zero = binary(call, OpKind::kEqual, x, 0.0);
    const ValueId one = call.cast(call.emit(OpKind::kNot, {zero}), call.dtype_of(x));
    return reduce(call, OpKind::kReduceSum, one, axes, keep_dims);
  }
  const ValueId absolute = call.emit(OpKind::kAbs, {x});
  if (std::isinf(p))
    return reduce(call, p > 0 ? OpKind::kReduceMax : OpKind::kReduceMin, absolute, axes, keep_dims);
  const ValueId powers = binary(call, OpKind::kPow, absolute, p);
  return binary(call, OpKind::kPow, reduce(call, OpKind::kReduceSum, powers, axes, keep_dims),
                1 / p);
}

ValueId norm_input(AtenCall& call, size_t dtype_argument) {
  const DType dtype = call.dtype_argument(dtype_argument, floating_type(call.dtype(0)));
  return call.cast(call.tensor(0), dtype);
}

// norm(self, p), norm(self, p, dim, keepdim, dtype) and norm(self, p, dtype)
Results norm(AtenCall& call) {
  const double p = call.float_or(1, 2);
  const bool over_dims = call.node.overload.find("dim") != std::string::npos ||
                         (call.node.overload.empty() && call.arg(2).items != nullptr);
  if (!over_dims) return call.one(norm_over(call, norm_input(call, 2), p, {}, false));
  const ValueId x = norm_input(call, 4);
  return call.one(
      norm_over(call, x, p, axes_argument(call, 2, call.rank_of(x)), call.bool_or(3, false)));
}

// (self) and (self, dim, keepdim)
Results frobenius_norm(AtenCall& call) {
  const ValueId x = floating(call, 0);
  return call.one(
      norm_over(call, x, 2, axes_argument(call, 1, call.rank_of(x)), call.bool_or(2, false)));
}

// (self, ord, dim, keepdim, dtype)
Results vector_norm(AtenCall& call) {
  const ValueId x = norm_input(call, 4);
  return call.one(norm_over(call, x, call.float_or(1, 2), axes_argument(call, 2, call.rank_of(x)),
                            call.bool_or(3, false)));
}

// Of a vector the p-norm, of a matrix only the Frobenius norm.
Results linalg_norm(AtenCall& call) {
  const ValueId x = norm_input(call, 4);
  const size_t rank = call.rank_of(x);
  const std::vector<int64_t> axes = axes_argument(call, 2, rank);
  const bool keep_dims = call.bool_or(3, false);
  if (call.is_none(1)) return call.one(norm_over(call, x, 2, axes, keep_dims));
  if (call.arg(1).is(AbstractValue::Kind::kString)) {
    call.require(call.string_of(1) == "fro", "of the matrix norms only 'fro' is supported");
    return call.one(norm_over(call, x, 2, axes, keep_dims));
  }
  call.require(axes.size() == 1 || (axes.empty() && rank == 1),
               "of the matrix norms only 'fro' is supported");
  return call.one(norm_over(call, x, call.float_of(1), axes, keep_dims));
}

// (x1, x2, dim, eps)
Results cosine_similarity(AtenCall& call) {
  const DType dtype = floating_type(promoted_type(call, {0, 1}));
  const ValueId a = operand(call, 0, dtype);
  const ValueId b = operand(call, 1, dtype);
  const ValueId product = binary(call, OpKind::kMul, a, b);
  const auto axis = static_cast<int64_t>(call.axis(2, call.rank_of(product)));
  const int64_t from_end = axis - static_cast<int64_t>(call.rank_of(product));
  const auto length = [&](ValueId x) {
    return binary(call, OpKind::kMax, reduce(call, OpKind::kReduceL2, x, {from_end}, false),
                  call.float_or(3, 1e-8));
  };
  const ValueId lengths = binary(call, OpKind::kMul, length(a), length(b));
  return call.one(binary(call, OpKind::kDiv,
                         reduce(call, OpKind::kReduceSum, product, {from_end}, false), lengths));
}

// (x1, x2, p, eps, keepdim): the norm of x1 - x2 + eps over the last axis
Results pairwise_distance(AtenCall& call) {
  const DType dtype = floating_type(promoted_type(call, {0, 1}));
  const ValueId difference =
      binary(call, OpKind::kSub, operand(call, 0, dtype), operand(call, 1, dtype));
  const ValueId moved = binary(call, OpKind::kAdd, difference, call.float_or(3, 1e-6));
  return call.one(norm_over(call, moved, call.float_or(2, 2), {-1}, call.bool_or(4, false)));
}

constexpr AtenRow kNormalizationOps[] = {
    {"batch_norm", batch_norm},
    {"instance_norm", instance_norm},
    {"layer_norm", layer_norm},
    {"group_norm", group_norm},
    {"norm", norm},
    {"frobenius_norm", frobenius_norm},
    {"linalg_vector_norm", vector_norm},
    {"linalg_norm", linalg_norm},
    {"cosine_similarity", cosine_similarity},
    {"pairwise_distance", pairwise_distance},
};

}  // namespace

std::span<const AtenRow> normalization_aten_ops() { return kNormalizationOps; }

}  // namespace lathe

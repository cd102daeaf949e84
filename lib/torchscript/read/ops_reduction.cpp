// Reductions, arg-reductions, order statistics.

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

// op(self, dtype) and op(self, dim, keepdim, dtype)
struct Reduction {
  ValueId x;
  std::vector<int64_t> axes;  // empty: all
  bool keep_dims = false;
};

bool names_dims(AtenCall& call) {
  return call.node.overload.find("dim") != std::string::npos ||
         (call.node.overload.empty() && (call.inputs.size() > 2 || call.arg(1).items != nullptr));
}

// Integers and bools add up in int64.
DType sum_type(DType dtype) { return is_floating(dtype) ? dtype : DType::kInt64; }

Reduction read_reduction(AtenCall& call, DType (*type_of)(DType)) {
  Reduction r;
  const bool dims = names_dims(call);
  const ValueId x = call.tensor(0);
  r.x = call.cast(x, call.dtype_argument(dims ? 3 : 1, type_of(call.dtype_of(x))));
  if (!dims) return r;
  r.axes = axes_argument(call, 1, call.rank_of(x));
  r.keep_dims = call.bool_or(2, false);
  return r;
}

// A tensor of rank 0 is its own sum, mean, maximum, …
ValueId reduced(AtenCall& call, OpKind kind, ValueId x, const std::vector<int64_t>& axes,
                bool keep_dims) {
  const Dims* dims = call.dims_of(x);
  if (dims != nullptr && dims->empty()) return x;
  return reduce(call, kind, x, axes, keep_dims);
}

template <OpKind kind, DType (*type_of)(DType)>
Results reduction(AtenCall& call) {
  const Reduction r = read_reduction(call, type_of);
  return call.one(reduced(call, kind, r.x, r.axes, r.keep_dims));
}

// Maximum of bools, which ONNX reduces only lately.
ValueId any_of(AtenCall& call, ValueId x, const std::vector<int64_t>& axes, bool keep_dims,
               OpKind kind) {
  const ValueId numbers = call.cast(call.cast(x, DType::kBool), DType::kInt32);
  return call.cast(reduced(call, kind, numbers, axes, keep_dims), DType::kBool);
}

// (self) and (self, dim, keepdim)
template <OpKind kind>
Results any_all(AtenCall& call) {
  const ValueId x = call.tensor(0);
  return call.one(
      any_of(call, x, axes_argument(call, 1, call.rank_of(x)), call.bool_or(2, false), kind));
}

// (self, dim, keepdim) with a list of dimensions
template <OpKind kind, bool as_floating = false>
Results over_dims(AtenCall& call) {
  const ValueId x = as_floating ? floating(call, 0) : call.tensor(0);
  return call.one(
      reduced(call, kind, x, axes_argument(call, 1, call.rank_of(x)), call.bool_or(2, false)));
}

ValueId arg_extremum(AtenCall& call, OpKind kind, ValueId x, int64_t axis, bool keep_dims) {
  return call.emit(kind, {x}, attributes_of({{"axis", axis}, {"keepdims", int64_t{keep_dims}}}));
}

// max(self), max(self, other), max(self, dim, keepdim) -> (values, indices)
template <OpKind reduction_kind, OpKind pair_kind, OpKind arg_kind>
Results extremum(AtenCall& call) {
  if (call.inputs.size() < 2) {
    return call.one(reduced(call, reduction_kind, call.tensor(0), {}, false));
  }
  if (call.arg(1).is(AbstractValue::Kind::kTensor)) {
    const DType dtype = promoted_type(call, {0, 1});
    return call.one(binary(call, pair_kind, operand(call, 0, dtype), operand(call, 1, dtype)));
  }
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const auto axis = static_cast<int64_t>(call.axis(1, rank));
  const bool keep_dims = call.bool_or(2, false);
  if (rank == 0) return {call.result(x), call.result(call.int_value(0))};
  return {call.result(reduce(call, reduction_kind, x, {axis}, keep_dims)),
          call.result(arg_extremum(call, arg_kind, x, axis, keep_dims))};
}

// (self, dim, keepdim): no dim is the place in the flattened tensor
template <OpKind kind>
Results arg_reduction(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  const bool keep_dims = call.bool_or(2, false);
  if (rank == 0) return call.one(call.int_value(0));
  if (!call.is_none(1))
    return call.one(
        arg_extremum(call, kind, x, static_cast<int64_t>(call.axis(1, rank)), keep_dims));
  const ValueId place = arg_extremum(call, kind, reshape(call, x, {-1}), 0, false);
  return call.one(keep_dims ? reshape(call, place, std::vector<int64_t>(rank, 1)) : place);
}

// Elements that a reduction takes together, as a float.
ValueId element_total(AtenCall& call, ValueId x, const std::vector<int64_t>& axes, DType dtype) {
  double known = 1;
  ValueId total;
  const std::vector<int64_t> over = axes.empty() ? all_axes(call.rank_of(x)) : axes;
  for (const int64_t axis : over) {
    const auto at = static_cast<size_t>(axis);
    if (const auto size = known_size(call, x, at)) {
      known *= static_cast<double>(*size);
      continue;
    }
    const ValueId size = call.cast(call.size_value(x, at), dtype);
    total = total.valid() ? binary(call, OpKind::kMul, total, size) : size;
  }
  return total.valid() ? binary(call, OpKind::kMul, total, known) : call.number_value(known, dtype);
}

struct Spread {
  ValueId mean, variance;
};

// (self, unbiased), (self, dim, unbiased, keepdim), (self, dim, correction, keepdim)
Spread spread_of(AtenCall& call) {
  const ValueId x = floating(call, 0);
  const DType dtype = call.dtype_of(x);
  std::vector<int64_t> axes;
  double correction = 1;
  bool keep_dims = false;
  const bool with_dims = call.inputs.size() > 2;
  if (with_dims) {
    axes = axes_argument(call, 1, call.rank_of(x));
    // A bool asks for Bessel's correction, a number is the correction.
    if (!call.is_none(2)) correction = call.float_of(2);
    keep_dims = call.bool_or(3, false);
  } else if (!call.is_none(1)) {
    correction = call.bool_of(1) ? 1 : 0;
  }
  const ValueId mean = reduce(call, OpKind::kReduceMean, x, axes, true);
  const ValueId distance = binary(call, OpKind::kSub, x, mean);
  const ValueId squares = binary(call, OpKind::kMul, distance, distance);
  Spread spread;
  spread.mean = keep_dims ? mean : reduce(call, OpKind::kReduceMean, x, axes, false);
  if (correction == 0) {
    spread.variance = reduce(call, OpKind::kReduceMean, squares, axes, keep_dims);
    return spread;
  }
  const ValueId divisor =
      binary(call, OpKind::kSub, element_total(call, x, axes, dtype), correction);
  spread.variance = binary(call, OpKind::kDiv,
                           reduce(call, OpKind::kReduceSum, squares, axes, keep_dims), divisor);
  return spread;
}

template <bool root, bool with_mean>
Results spread(AtenCall& call) {
  const Spread found = spread_of(call);
  Results results = call.one(root ? call.emit(OpKind::kSqrt, {found.variance}) : found.variance);
  if (with_mean) results.push_back(call.result(found.mean));
  return results;
}

Results top_k_of(AtenCall& call, ValueId x, ValueId k, int64_t axis, bool largest) {
  const std::vector<ValueId> outputs = call.emit_many(
      OpKind::kTopK, {x, k}, 2,
      attributes_of({{"axis", axis}, {"largest", int64_t{largest}}, {"sorted", int64_t{1}}}));
  return {call.result(outputs[0]), call.result(outputs[1])};
}

// (self, k, dim, largest, sorted)
Results topk(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  call.require(rank > 0, "a tensor without dimensions");
  const auto axis = static_cast<int64_t>(call.is_none(2) ? rank - 1 : call.axis(2, rank));
  const ValueId k = reshape(call, call.scalar(1, DType::kInt64), {1});
  return top_k_of(call, x, k, axis, call.bool_or(3, true));
}

Results sorted(AtenCall& call, size_t dim, size_t descending) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  if (rank == 0) return {call.result(x), call.result(call.int_value(0))};
  const size_t axis = call.is_none(dim) ? rank - 1 : call.axis(dim, rank);
  const ValueId size = number_vector(call, call.size_number(x, axis));
  return top_k_of(call, x, size, static_cast<int64_t>(axis), call.bool_or(descending, false));
}

// sort(self, dim, descending) and sort(self, stable, dim, descending)
Results sort(AtenCall& call) {
  const bool stable = call.node.overload == "stable" || call.inputs.size() == 4;
  return sorted(call, stable ? 2 : 1, stable ? 3 : 2);
}

Results argsort(AtenCall& call) { return {sort(call)[1]}; }

// (self) and (self, dim)
Results count_nonzero(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const ValueId ones = call.cast(call.cast(x, DType::kBool), DType::kInt64);
  return call.one(
      reduced(call, OpKind::kReduceSum, ones, axes_argument(call, 1, call.rank_of(x)), false));
}

constexpr auto kMax = extremum<OpKind::kReduceMax, OpKind::kMax, OpKind::kArgMax>;
constexpr auto kMin = extremum<OpKind::kReduceMin, OpKind::kMin, OpKind::kArgMin>;

constexpr AtenRow kReductionOps[] = {
    {"mean", keeping_grid<reduction<OpKind::kReduceMean, floating_type>>},
    {"sum", reduction<OpKind::kReduceSum, sum_type>},
    {"prod", reduction<OpKind::kReduceProd, sum_type>},
    {"any", any_all<OpKind::kReduceMax>},
    {"all", any_all<OpKind::kReduceMin>},
    {"amax", keeping_grid<over_dims<OpKind::kReduceMax>>},
    {"amin", keeping_grid<over_dims<OpKind::kReduceMin>>},
    {"max", kMax},
    {"min", kMin},
    {"argmax", arg_reduction<OpKind::kArgMax>},
    {"argmin", arg_reduction<OpKind::kArgMin>},
    {"var", spread<false, false>},
    {"std", spread<true, false>},
    {"var_mean", spread<false, true>},
    {"std_mean", spread<true, true>},
    {"logsumexp", over_dims<OpKind::kReduceLogSumExp, true>},
    {"topk", topk},
    {"sort", sort},
    {"argsort", argsort},
    {"count_nonzero", count_nonzero},
};

}  // namespace

std::span<const AtenRow> reduction_aten_ops() { return kReductionOps; }

}  // namespace lathe

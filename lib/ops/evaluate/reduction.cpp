// Reductions, arg-reductions, cumulative sums and the normalizations along an axis.
#include <algorithm>
#include <limits>

#include "evaluate/evaluate.h"
#include "evaluate/unsigned64.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

struct Reduction {
  std::vector<int64_t> axes;  // ascending; empty: nothing is reduced
  bool keep_dims;
};

Reduction reduction_of(const EvaluateCall& call) {
  const int64_t rank = call.input(0).dim();
  Reduction out{{}, call.attributes().int_or("keepdims", 1) != 0};
  if (call.has(1))
    for (const int64_t axis : call.ints(1)) out.axes.push_back(call.normal_axis(axis, rank));
  if (out.axes.empty() && call.attributes().int_or("noop_with_empty_axes", 0) == 0)
    for (int64_t axis = 0; axis < rank; ++axis) out.axes.push_back(axis);
  std::sort(out.axes.begin(), out.axes.end());
  call.require(std::adjacent_find(out.axes.begin(), out.axes.end()) == out.axes.end(),
               "axes name one dimension twice");
  return out;
}

// ATen takes an empty list of axes as "all", so the case of no axes is answered before.
at::Tensor sum_over(const at::Tensor& x, const Reduction& r) {
  if (r.axes.empty()) return x;
  return at::sum(x, r.axes, r.keep_dims, x.scalar_type());
}

Outputs reduce_sum(const EvaluateCall& call) {
  return {sum_over(call.input(0), reduction_of(call))};
}

Outputs reduce_l1(const EvaluateCall& call) {
  return {sum_over(at::abs(call.input(0)), reduction_of(call))};
}

Outputs reduce_sum_square(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  return {sum_over(at::mul(x, x), reduction_of(call))};
}

// Functions that leave the integers are computed in float64 and truncated back.
at::Tensor widened(const at::Tensor& x) {
  return at::isFloatingType(x.scalar_type()) ? x : x.to(at::kDouble);
}

Outputs reduce_l2(const EvaluateCall& call) {
  const at::Tensor x = widened(call.input(0));
  return {at::sqrt(sum_over(at::mul(x, x), reduction_of(call))).to(call.input(0).scalar_type())};
}

Outputs reduce_log_sum(const EvaluateCall& call) {
  const at::Tensor sum = sum_over(widened(call.input(0)), reduction_of(call));
  return {at::log(sum).to(call.input(0).scalar_type())};
}

Outputs reduce_log_sum_exp(const EvaluateCall& call) {
  const Reduction r = reduction_of(call);
  if (r.axes.empty()) return {call.input(0)};
  return {
      at::logsumexp(widened(call.input(0)), r.axes, r.keep_dims).to(call.input(0).scalar_type())};
}

Outputs reduce_mean(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const Reduction r = reduction_of(call);
  if (r.axes.empty()) return {x};
  return {at::mean(widened(x), r.axes, r.keep_dims).to(x.scalar_type())};
}

Outputs reduce_prod(const EvaluateCall& call) {
  const Reduction r = reduction_of(call);
  at::Tensor out = call.input(0);
  for (auto axis = r.axes.rbegin(); axis != r.axes.rend(); ++axis)
    out = at::prod(out, *axis, r.keep_dims, call.input(0).scalar_type());
  return {out};
}

// What max (or min) over no element gives.
at::Scalar limit(DType dtype, bool largest) {
  switch (dtype) {
    case DType::kBool: return at::Scalar(largest);
    case DType::kInt64:
    case DType::kUInt64:  // in ordered() form
      return at::Scalar(largest ? std::numeric_limits<int64_t>::max()
                                : std::numeric_limits<int64_t>::min());
    default: break;
  }
  if (is_integer(dtype)) return at::Scalar(largest ? integer_max(dtype) : integer_min(dtype));
  const double infinity = std::numeric_limits<double>::infinity();
  return at::Scalar(largest ? infinity : -infinity);
}

Outputs extremum(const EvaluateCall& call, bool max) {
  const Reduction r = reduction_of(call);
  const DType dtype = call.dtype(0);
  const at::Tensor x = ordered(call.input(0), dtype);
  if (r.axes.empty()) return {call.input(0)};
  const bool empty =
      std::any_of(r.axes.begin(), r.axes.end(), [&](int64_t axis) { return x.size(axis) == 0; });
  if (!empty)
    return {
        ordered(max ? at::amax(x, r.axes, r.keep_dims) : at::amin(x, r.axes, r.keep_dims), dtype)};
  std::vector<int64_t> sizes;
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const bool reduced = std::binary_search(r.axes.begin(), r.axes.end(), axis);
    if (!reduced) sizes.push_back(x.size(axis));
    if (reduced && r.keep_dims) sizes.push_back(1);
  }
  return {ordered(at::full(sizes, limit(dtype, !max), x.options()), dtype)};
}

Outputs reduce_max(const EvaluateCall& call) { return extremum(call, true); }
Outputs reduce_min(const EvaluateCall& call) { return extremum(call, false); }

Outputs arg_extremum(const EvaluateCall& call, bool max) {
  at::Tensor x = ordered(call.input(0), call.dtype(0));
  if (x.scalar_type() == at::kBool) x = x.to(at::kByte);
  const int64_t axis = call.normal_axis(call.attributes().int_or("axis", 0), x.dim());
  const bool keep = call.attributes().int_or("keepdims", 1) != 0;
  const bool last = call.attributes().int_or("select_last_index", 0) != 0;
  call.require(x.size(axis) > 0, "the axis must not be empty");
  if (last) x = at::flip(x, {axis});
  at::Tensor out = max ? at::argmax(x, axis, keep) : at::argmin(x, axis, keep);
  if (last) out = at::rsub(out, at::Scalar(x.size(axis) - 1));
  return {out};
}

Outputs arg_max(const EvaluateCall& call) { return arg_extremum(call, true); }
Outputs arg_min(const EvaluateCall& call) { return arg_extremum(call, false); }

Outputs cum_sum(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  const int64_t axis = call.normal_axis(call.int_value(1), x.dim());
  const bool reverse = call.attributes().int_or("reverse", 0) != 0;
  const bool exclusive = call.attributes().int_or("exclusive", 0) != 0;
  if (reverse) x = at::flip(x, {axis});
  at::Tensor out = at::cumsum(x, axis, x.scalar_type());
  // Shifted, not "cumsum - x": the subtraction would lose digits.
  if (exclusive && x.size(axis) > 0)
    out = at::cat({at::zeros_like(x.narrow(axis, 0, 1)), out.narrow(axis, 0, x.size(axis) - 1)},
                  axis);
  return {reverse ? at::flip(out, {axis}) : out};
}

int64_t axis_attribute(const EvaluateCall& call, int64_t fallback) {
  return call.normal_axis(call.attributes().int_or("axis", fallback), call.input(0).dim());
}

Outputs softmax(const EvaluateCall& call) {
  return {at::softmax(call.input(0), axis_attribute(call, -1))};
}

Outputs log_softmax(const EvaluateCall& call) {
  return {at::log_softmax(call.input(0), axis_attribute(call, -1))};
}

Outputs hardmax(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = axis_attribute(call, -1);
  if (x.numel() == 0) return {x};
  return {at::zeros_like(x).scatter(axis, at::argmax(x, axis, true), 1)};
}

Outputs lp_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = axis_attribute(call, -1);
  const int64_t p = call.attributes().int_or("p", 2);
  call.require(p == 1 || p == 2, "p must be 1 or 2");
  const at::Tensor norm =
      p == 1 ? at::sum(at::abs(x), axis, true) : at::sqrt(at::sum(at::mul(x, x), axis, true));
  // 0/0 is NaN in ONNX's conformance cases; ONNX Runtime gives 0 there.
  return {at::div(x, norm)};
}

Outputs mean_variance_normalization(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  std::vector<int64_t> axes;
  for (const int64_t axis : call.attributes().ints_or("axes", {0, 2, 3}))
    axes.push_back(call.normal_axis(axis, x.dim()));
  call.require(!axes.empty(), "axes must not be empty");
  const at::Tensor centered = at::sub(x, at::mean(x, axes, true));
  const at::Tensor variance = at::mean(at::mul(centered, centered), axes, true);
  return {at::div(centered, at::add(at::sqrt(variance), 1e-9))};
}

}  // namespace

std::span<const EvaluateRow> reduction_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kArgMax, arg_max},
      {OpKind::kArgMin, arg_min},
      {OpKind::kCumSum, cum_sum},
      {OpKind::kHardmax, hardmax},
      {OpKind::kLogSoftmax, log_softmax},
      {OpKind::kLpNormalization, lp_normalization},
      {OpKind::kMeanVarianceNormalization, mean_variance_normalization},
      {OpKind::kReduceL1, reduce_l1},
      {OpKind::kReduceL2, reduce_l2},
      {OpKind::kReduceLogSum, reduce_log_sum},
      {OpKind::kReduceLogSumExp, reduce_log_sum_exp},
      {OpKind::kReduceMax, reduce_max},
      {OpKind::kReduceMean, reduce_mean},
      {OpKind::kReduceMin, reduce_min},
      {OpKind::kReduceProd, reduce_prod},
      {OpKind::kReduceSum, reduce_sum},
      {OpKind::kReduceSumSquare, reduce_sum_square},
      {OpKind::kSoftmax, softmax},
  };
  return rows;
}

}  // namespace lathe

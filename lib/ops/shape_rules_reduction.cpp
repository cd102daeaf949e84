// Reductions, normalizations and losses.
#include <fmt/format.h>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

void reduce_axes(InferCall& call, const Dims& x, const std::vector<bool>& reduced, bool keep) {
  Dims out;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!reduced[i])
      out.push_back(x[i]);
    else if (keep)
      out.push_back(Dim::of(1));
  }
  call.set_dims(0, std::move(out));
}

void loss(InferCall& call) {
  const Dims* target = call.dims(1);
  if (call.node.attributes.string_or("reduction", "mean") != "none")
    call.set_dims(0, {});
  else if (target != nullptr)
    call.set_dims(0, *target);
}

}  // namespace

void reduce(InferCall& call) {
  const Dims* x = call.dims(0);
  const bool keep = call.node.attributes.int_or("keepdims", 1) != 0;
  const bool noop = call.node.attributes.int_or("noop_with_empty_axes", 0) != 0;
  const auto axes = call.has(1) ? call.constant_ints(1) : std::vector<int64_t>{};
  if (x == nullptr) {
    if (axes && axes->empty() && !keep && !noop) call.set_dims(0, {});
    return;
  }
  if (!axes) {
    const Dims* count = call.dims(1);
    if (keep) return call.set_dims(0, Dims(x->size()));
    if (count == nullptr || count->size() != 1 || !(*count)[0].known()) return;
    const auto dropped = static_cast<size_t>((*count)[0].size);
    if (dropped > 0 && dropped <= x->size()) call.set_dims(0, Dims(x->size() - dropped));
    return;
  }
  if (axes->empty() && noop) return call.set_dims(0, *x);
  std::vector<bool> reduced(x->size(), axes->empty());
  for (const int64_t axis : *axes)
    reduced[static_cast<size_t>(call.normal_axis(axis, x->size()))] = true;
  reduce_axes(call, *x, reduced, keep);
}

void arg_reduce(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const int64_t axis = call.normal_axis(call.node.attributes.int_or("axis", 0), x->size());
  std::vector<bool> reduced(x->size());
  reduced[static_cast<size_t>(axis)] = true;
  reduce_axes(call, *x, reduced, call.node.attributes.int_or("keepdims", 1) != 0);
}

void batch_normalization(InferCall& call) {
  if (const Dims* x = call.dims(0)) {
    Dims out = *x;
    const Dims* scale = call.dims(1);
    if (out.size() > 1 && scale != nullptr && scale->size() == 1)
      out[1] = unify(out[1], (*scale)[0], "channels of input and scale");
    call.set_dims(0, std::move(out));
  }
  for (const size_t i : {size_t{1}, size_t{2}})
    if (const Dims* mean = call.dims(i + 2)) call.set_dims(i, *mean);
}

void layer_normalization(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  call.set_dims(0, *x);
  Dims statistics = *x;
  const int64_t axis = call.normal_axis(call.node.attributes.int_or("axis", -1), x->size());
  for (auto i = static_cast<size_t>(axis); i < statistics.size(); ++i) statistics[i] = Dim::of(1);
  call.set_dims(1, statistics);
  call.set_dims(2, statistics);
}

void skip_layer_normalization(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  if (x->empty()) throw bad_node("the input is a scalar");
  Dims statistics = *x;
  statistics.back() = Dim::of(1);
  call.set_dims(0, *x);
  call.set_dims(1, statistics);
  call.set_dims(2, statistics);
  call.set_dims(3, *x);
}

void negative_log_likelihood_loss(InferCall& call) { loss(call); }

void softmax_cross_entropy_loss(InferCall& call) {
  loss(call);
  if (const Dims* x = call.dims(0)) call.set_dims(1, *x);
}

}  // namespace lathe::shape_rule

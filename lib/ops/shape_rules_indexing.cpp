#include <fmt/format.h>

#include <algorithm>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {

static void gather_along(InferCall& call, const char* name) {
  const Dims* x = call.dims(0);
  const Dims* indices = call.dims(1);
  if (x == nullptr) return;
  const auto axis = call.normal_axis(call.node.attributes.int_or(name, 0), x->size());
  if (indices == nullptr) return;
  Dims out(x->begin(), x->begin() + axis);
  out.insert(out.end(), indices->begin(), indices->end());
  out.insert(out.end(), x->begin() + axis + 1, x->end());
  call.set_dims(0, std::move(out));
}

void gather(InferCall& call) { gather_along(call, "axis"); }
void gather_block_quantized(InferCall& call) { gather_along(call, "gather_axis"); }

void gather_elements(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* indices = call.dims(1);
  if (x != nullptr) call.normal_axis(call.node.attributes.int_or("axis", 0), x->size());
  if (indices == nullptr) return;
  if (x != nullptr && x->size() != indices->size())
    throw bad_node(
        fmt::format("data and indices have ranks {} and {}", x->size(), indices->size()));
  call.set_dims(0, *indices);
}

void gather_nd(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* indices = call.dims(1);
  if (x == nullptr || indices == nullptr) return;
  const int64_t batch = call.node.attributes.int_or("batch_dims", 0);
  if (indices->empty() || batch < 0 || batch >= static_cast<int64_t>(indices->size()) ||
      batch > static_cast<int64_t>(x->size()))
    throw bad_node(
        fmt::format("batch_dims {} for ranks {} and {}", batch, x->size(), indices->size()));
  if (!indices->back().known()) return;
  const int64_t depth = indices->back().size;
  if (depth < 1 || depth > static_cast<int64_t>(x->size()) - batch)
    throw bad_node(fmt::format("indices of {} numbers into rank {}", depth, x->size()));
  Dims out(indices->begin(), indices->end() - 1);
  out.insert(out.end(), x->begin() + batch + depth, x->end());
  call.set_dims(0, std::move(out));
}

void one_hot(InferCall& call) {
  const Dims* indices = call.dims(0);
  if (indices == nullptr) return;
  const auto axis = call.normal_axis(call.node.attributes.int_or("axis", -1), indices->size() + 1);
  // The depth may be a float: only an integer one is read.
  const auto depth = call.elements(1);
  Dims out = *indices;
  out.insert(out.begin() + axis, depth && depth->size() == 1 ? dim_of((*depth)[0]) : Dim{});
  call.set_dims(0, std::move(out));
}

void top_k(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto axis = call.normal_axis(call.node.attributes.int_or("axis", -1), x->size());
  const auto k = call.elements(1);
  Dims out = *x;
  Dim& dim = out[static_cast<size_t>(axis)];
  const Dim whole = dim;
  dim = k && k->size() == 1 ? dim_of((*k)[0]) : Dim{};
  if (whole.known() && dim.known() && dim.size > whole.size)
    throw bad_node(fmt::format("k is {} for an axis of {}", dim.size, whole.size));
  call.set_dims(0, out);
  call.set_dims(1, std::move(out));
}

void non_zero(InferCall& call) {
  const Dims* x = call.dims(0);
  // A scalar counts as a vector of one element.
  const Dim rank =
      x != nullptr ? Dim::of(std::max<int64_t>(1, static_cast<int64_t>(x->size()))) : Dim{};
  call.set_dims(0, {rank, {}});
}

void unique(InferCall& call) {
  for (size_t i = 1; i < call.outputs.size(); ++i) call.set_dims(i, Dims(1));
  if (!call.node.attributes.has("axis")) return call.set_dims(0, Dims(1));
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto axis = call.normal_axis(call.node.attributes.required_int("axis"), x->size());
  Dims out = *x;
  out[static_cast<size_t>(axis)] = {};
  call.set_dims(0, std::move(out));
}

void compress(InferCall& call) { unique(call); }  // which has more outputs

void non_max_suppression(InferCall& call) { call.set_dims(0, {{}, Dim::of(3)}); }

}  // namespace lathe::shape_rule

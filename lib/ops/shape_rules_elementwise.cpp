#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {

void same(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  for (size_t i = 0; i < call.outputs.size(); ++i) call.set_dims(i, *x);
}

void broadcast(InferCall& call) {
  const Dims* first = call.dims(0);
  if (first == nullptr) return;
  Dims out = *first;
  for (size_t i = 1; i < call.node.inputs.size(); ++i) {
    const Dims* next = call.dims(i);
    if (next == nullptr) return;
    out = broadcast_dims(out, *next);
  }
  call.set_dims(0, std::move(out));
}

void scalar(InferCall& call) { call.set_dims(0, {}); }

void qlinear_binary(InferCall& call) {
  const Dims* a = call.dims(0);
  const Dims* b = call.dims(3);
  if (a != nullptr && b != nullptr) call.set_dims(0, broadcast_dims(*a, *b));
}

void dynamic_quantize(InferCall& call) {
  if (const Dims* x = call.dims(0)) call.set_dims(0, *x);
  call.set_dims(1, {});
  call.set_dims(2, {});
}

}  // namespace lathe::shape_rule

// What --max-drop may leave in float of a model whose weights alone are integers.
#pragma once

#include <cstdint>
#include <string>

#include "commands/quantize/layer_search.h"
#include "quantize/apply/store_integer_weights.h"

namespace lathe {

/// `rounded`: what `plan` is executed on, of the reference's ids; its weights may lie on their
/// integers already, and its biases be corrected. `reference`: the float network; nodes that are
/// left in float get its weights and biases back.
LayerSearch search_weights(const Graph& reference, const Graph& rounded,
                           const WeightStoragePlan& plan, int64_t bits);

/// "11 of 15 nodes with int4 weights"; nodes left out are those with an exception.
std::string weight_coverage(const WeightStoragePlan& plan, int64_t bits);

}  // namespace lathe

// What float convolutions and matrix products by oneDNN share. Weights are packed once, in the
// layout that the chosen implementation asks for.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "ir/error.h"
#include "program/bound_step.h"
#include "onednn/onednn_api.h"
#include "onednn/onednn_step.h"
#include "program/openmp_threads.h"

namespace lathe {

/// `alpha`: what the product is multiplied by, before the tail.
dnnl::primitive_attr attributes_of(const FloatTail& tail, float alpha = 1);

/// What a product reads: as it is, or rounded to bfloat16 in any layout.
struct FloatFactors {
  dnnl::memory::data_type type = dnnl::memory::data_type::f32;
  bool any_layout = false;
  bool rounded() const { return type == dnnl::memory::data_type::bf16; }
  dnnl::memory::desc input(const dnnl::memory::desc& array) const {
    return any_layout ? any(array) : array;
  }
  dnnl::memory::desc any(const dnnl::memory::desc& array) const {
    return {dims_of(array), type, dnnl::memory::format_tag::any};
  }
};
constexpr FloatFactors kExactFactors{};
constexpr FloatFactors kRoundedFactors{dnnl::memory::data_type::bf16, true};

/// The implementation that is wanted; any where nothing is said, the reference too.
PickImplementation wanted_implementation(const BindContext& context);
/// The same, but no reference: null is better then.
PickImplementation fast_implementation(const BindContext& context);
/// Adds the names of all to `names` and takes none.
PickImplementation gather_implementations(std::vector<std::string>& names);

/// A float32 step has an implementation in any case: the first, where the one that is wanted is not
/// there. A rounded one may have none.
template <class Primitive>
typename Primitive::primitive_desc choose_primitive(const OnednnOperation<Primitive>& operation,
                                                    const dnnl::primitive_attr& attributes,
                                                    const FloatFactors& factors,
                                                    const PickImplementation& pick) {
  using Chosen = typename Primitive::primitive_desc;
  constexpr bool kMayFail = true;
  Chosen chosen = operation.first(onednn_engine(), attributes, kMayFail);
  if (chosen && pick(chosen)) return chosen;
  return factors.rounded() ? Chosen() : operation.first(onednn_engine(), attributes);
}

/// Adds a product's input, which is rounded on its way where `wanted` is no float32.
std::unique_ptr<BoundStep> with_input(std::unique_ptr<OnednnStep> step,
                                      const dnnl::memory::desc& array,
                                      const dnnl::memory::desc& wanted, ViewId input,
                                      const BindContext& context);

/// What oneDNN throws, as errors of ours.
template <class Make>
auto with_onednn_errors(const char* what, const BindContext& context, const Make& make) {
  const OpenMpThreads threads(context.threads);
  try {
    return make();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory)
      throw over_limit("native.memory", fmt::format("no memory for a {} of oneDNN", what));
    throw bad_environment("native.onednn",
                          fmt::format("oneDNN cannot compute a {}: {}", what, error.what()), {},
                          "--engine interpreter runs the model");
  }
}

}  // namespace lathe

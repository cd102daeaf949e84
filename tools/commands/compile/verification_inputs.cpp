#include "commands/compile/verification_inputs.h"

#include <algorithm>

#include "heavy/model_data.h"
#include "run/interpreter.h"
#include "verify/seeded_inputs.h"

namespace lathe {

VerificationInputs verification_inputs(const CompileOptions& options, const Model& original,
                                       Console& console) {
  VerificationInputs inputs;
  if (options.verify == "random") {
    const auto sets = std::make_shared<std::vector<std::vector<Tensor>>>(seeded_inputs(
        Interpreter(original.graph), options.float16 ? 2.0 : 100.0, options.common.seed));
    inputs.source.count = sets->size();
    inputs.source.sample = [sets](size_t i) { return (*sets)[i]; };
  } else {
    inputs.data = std::make_shared<const DataSet>(
        open_data_for(options.verify, original, 0, options.common, console));
    inputs.source = sample_source(*inputs.data);
  }
  return inputs;
}

VerificationBound verification_bound(const CompileOptions& options, const Graph& graph,
                                     bool arithmetic) {
  VerificationBound bound;
  if (options.tolerance) {
    bound.tolerance = *options.tolerance;
    return bound;
  }
  bound.tolerance = options.float16 ? 5e-3 : arithmetic ? 1e-4 : 1e-6;
  if (options.float16 && options.verify == "random") bound.min_sqnr_db = 30.0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids()) {
      const DType dtype = inner.value(id).type.dtype;
      if (dtype == DType::kFloat16 || dtype == DType::kBFloat16)
        bound.tolerance = std::max(bound.tolerance, 5e-3);
    }
    for (const NodeId id : inner.node_ids())
      if (inner.node(id).kind == OpKind::kQuantizeLinear ||
          inner.node(id).kind == OpKind::kDynamicQuantizeLinear)
        bound.tolerance = std::max(bound.tolerance, 2e-2);
  });
  return bound;
}

}  // namespace lathe

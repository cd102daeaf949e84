#include "batch/make_batch_dynamic.h"

#include "batch/batch_edits.h"
#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

// Opens the declared dimension; returns whether it was closed.
bool open_dimension(Graph& graph, const BatchAxis& axis, const std::string& symbol) {
  auto& dims = graph.edit_type(axis.value).dims;
  if (!dims || static_cast<size_t>(axis.axis) >= dims->size()) return false;
  Dim& dim = (*dims)[static_cast<size_t>(axis.axis)];
  if (!dim.known()) return false;
  dim = Dim::named(symbol);
  return true;
}

}  // namespace

int make_batch_dynamic(Graph& graph, const BatchPlan& plan) {
  if (!plan.refusal.empty())
    throw bad_input("batch.fixed", "the batch cannot be made free: " + plan.refusal, {},
                    "leave --dynamic-batch out: the model keeps its batch");
  int changes = 0;
  for (const BatchEdit& edit : plan.edits) {
    apply_batch_edit(graph, edit);
    ++changes;
  }
  for (const BatchAxis& input : plan.inputs)
    changes += open_dimension(graph, input, plan.symbol) ? 1 : 0;
  for (const BatchAxis& output : plan.outputs)
    changes += open_dimension(graph, output, plan.symbol) ? 1 : 0;
  if (changes == 0) return 0;
  // Inner shapes tell of the old batch.
  for (const ValueId id : graph.value_ids())
    if (graph.value(id).producer.valid() && !graph.is_output(id)) graph.edit_type(id).dims.reset();
  infer_shapes(graph);
  return changes;
}

int make_batch_dynamic(Graph& graph) {
  return make_batch_dynamic(graph, plan_dynamic_batch(graph));
}

}  // namespace lathe

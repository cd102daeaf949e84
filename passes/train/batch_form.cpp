#include "train/batch_form.h"

#include <algorithm>

#include "batch/make_batch_dynamic.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "train/parameters.h"

namespace lathe {
namespace {

void put_axes(const std::vector<BatchAxis>& found, const std::vector<ValueId>& values,
              std::vector<int64_t>& axes) {
  axes.assign(values.size(), -1);
  for (const BatchAxis& axis : found)
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] == axis.value) axes[i] = axis.axis;
}

// Samples are joined along the first axis, and taken apart again before they are run.
void put_single_axes(const Graph& graph, std::vector<int64_t>& axes) {
  for (const ValueId id : graph.inputs()) {
    const auto& dims = graph.value(id).type.dims;
    axes.push_back(dims && dims->empty() ? -1 : 0);
  }
}

}  // namespace

TrainingForm training_form(const Graph& graph) {
  TrainingForm form;
  form.original = graph;
  infer_shapes(form.original);
  separate_shared_constants(form.original);
  form.batched = form.original;
  const BatchPlan plan = plan_dynamic_batch(form.original);
  form.refusal = plan.refusal;
  if (form.refusal.empty()) {
    try {
      make_batch_dynamic(form.batched, plan);
      put_axes(plan.inputs, graph.inputs(), form.axes.inputs);
      put_axes(plan.outputs, graph.outputs(), form.axes.outputs);
      return form;
    } catch (const Error& error) {
      form.refusal = error.what();
      form.batched = form.original;
    }
  }
  form.axes.free = false;
  put_single_axes(graph, form.axes.inputs);
  return form;
}

Graph with_weights_of(const TrainingForm& form, const Graph& trained) {
  Graph result = form.original;
  const auto take = [&](ValueId id) {
    const Tensor* before = form.original.constant(id);
    const Tensor* now = trained.is_live(id) ? trained.constant(id) : nullptr;
    if (before == nullptr || now == nullptr || now->shape() != before->shape()) return;
    if (!now->identical(*before)) result.set_constant(id, *now);
  };
  for (const ParameterUse& use : find_parameters(form.original)) take(use.constant);
  for (const NodeId id : form.original.node_ids()) {
    const Node& node = form.original.node(id);
    if (node.kind != OpKind::kBatchNormalization) continue;
    for (size_t i = 3; i < node.inputs.size(); ++i) take(node.inputs[i]);
  }
  return result;
}

int64_t activation_bytes(const Graph& original) {
  int64_t bytes = 0;
  for (const NodeId id : original.node_ids())
    for (const ValueId output : original.node(id).outputs) {
      if (!output.valid()) continue;
      const ValueType& type = original.value(output).type;
      if (!type.dims || !is_floating(type.dtype)) continue;
      int64_t count = 4;
      for (const Dim& dim : *type.dims)
        if (dim.known() && __builtin_mul_overflow(count, dim.size, &count)) return INT64_MAX / 2;
      if (__builtin_add_overflow(bytes, count, &bytes)) return INT64_MAX / 2;
    }
  return bytes;
}

}  // namespace lathe

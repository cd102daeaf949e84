#include "distill/separable_student.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "ir/real_tensor.h"
#include "ops/op_row.h"
#include "run/foreign_errors.h"
#include "run/runtime_value.h"

namespace lathe {
namespace {

bool is_dense(const Graph& graph, const Node& node, const SeparableOptions& options) {
  if (node.kind != OpKind::kConv || node.attributes.int_or("group", 1) != 1) return false;
  const ValueId id = node.input(1);
  const Tensor* weight = graph.constant(id);
  if (weight == nullptr || !is_floating(weight->dtype()) || weight->rank() < 3) return false;
  if (graph.value(id).users.size() != 1 || graph.is_output(id) || weight->numel() == 0)
    return false;
  const Shape& shape = weight->shape();
  const int64_t outputs = shape[0], inputs = shape[1];
  const int64_t area = weight->numel() / outputs / inputs;
  if (area <= 1 || inputs < options.min_inputs || outputs < options.min_outputs) return false;
  if (inputs * area + outputs * inputs >= weight->numel()) return false;
  return !options.selects || options.selects(node);
}

Tensor tensor_of(const at::Tensor& values, DType dtype, Shape shape) {
  const at::Tensor plain = values.contiguous();
  const double* first = plain.data_ptr<double>();
  return real_tensor(dtype, std::move(shape), {first, first + plain.numel()});
}

// Fills the weights and the error.
void decompose(const Tensor& weight, SeparableRow& row) {
  const Shape& shape = weight.shape();
  const int64_t outputs = shape[0], inputs = shape[1];
  const at::Tensor filters =  // inputs x outputs x kernel elements
      to_runtime(weight).tensor->to(at::kDouble).reshape({outputs, inputs, -1}).transpose(0, 1);
  at::Tensor left, filter;
  try {
    // The first eigenvector of MᵀM is the first right singular vector; the left one follows.
    const at::Tensor squares = at::matmul(filters.transpose(1, 2), filters);
    filter = std::get<1>(at::linalg_eigh(squares)).select(2, -1);  // ascending
  } catch (...) {
    rethrow_foreign("the convolution " + escape_untrusted(row.name) + " in separable form");
  }
  const at::Tensor largest = filter.abs().argmax(1, /*keepdim=*/true);
  filter = filter * filter.gather(1, largest).sign();
  left = at::matmul(filters, filter.unsqueeze(2)).squeeze(2);
  // Equal norms learn at an equal pace.
  const at::Tensor root = left.norm(2, {1}, /*keepdim=*/true).sqrt();
  const at::Tensor rebuilt = left.unsqueeze(2) * filter.unsqueeze(1);
  const double norm = filters.norm().item<double>();
  row.relative_error = norm > 0 ? (filters - rebuilt).norm().item<double>() / norm : 0;
  const at::Tensor scaled = left / root.clamp_min(1e-300);

  Shape depthwise = shape, pointwise(shape.size(), 1);
  depthwise[0] = inputs;
  depthwise[1] = 1;
  pointwise[0] = outputs;
  pointwise[1] = inputs;
  row.depthwise = tensor_of(filter * root, weight.dtype(), std::move(depthwise));
  row.pointwise = tensor_of(scaled.t(), weight.dtype(), std::move(pointwise));
}

void replace(Graph& graph, const SeparableRow& row) {
  const NodeId id = row.node;
  const Tensor* weight = graph.is_live(id) ? graph.constant(graph.node(id).input(1)) : nullptr;
  if (weight == nullptr || graph.node(id).kind != OpKind::kConv ||
      weight->numel() != row.params_before)
    throw InternalError("make_separable: the plan is of another graph: " + row.name);
  const ValueId old_weight = graph.node(id).inputs[1];
  const std::string stem = graph.value(old_weight).name;
  Node first;
  first.kind = OpKind::kConv;
  first.name = row.name + "_depthwise";
  first.attributes = graph.node(id).attributes;
  first.attributes.set("group", row.depthwise.shape()[0]);
  first.inputs = {graph.node(id).inputs[0],
                  graph.add_constant(graph.fresh_name(stem + "_depthwise"), row.depthwise)};
  const Value& output = graph.value(graph.node(id).outputs[0]);
  const ValueId between =
      graph.add_value(graph.fresh_name(output.name + "_depthwise"), tensor_type(output.type.dtype));
  first.outputs = {between};
  graph.add_node(std::move(first));

  graph.replace_input(id, 0, between);
  graph.set_constant(old_weight, row.pointwise);
  Attributes plain;
  plain.set("kernel_shape", std::vector<int64_t>(row.pointwise.shape().size() - 2, 1));
  graph.edit(id).attributes = std::move(plain);
}

}  // namespace

SeparablePlan plan_separable(const Graph& graph, const SeparableOptions& options) {
  SeparablePlan plan;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!is_dense(graph, node, options)) continue;
    const Tensor& weight = *graph.constant(node.inputs[1]);
    SeparableRow row;
    row.node = id;
    row.name = node.name;
    decompose(weight, row);
    row.params_before = weight.numel();
    row.params_after = row.depthwise.numel() + row.pointwise.numel();
    if (const auto macs = op_row(node.kind).macs(graph, node)) {
      const int64_t outputs = weight.shape()[0];
      const int64_t area = row.depthwise.numel() / weight.shape()[1];
      row.macs_before = *macs;
      row.macs_after = *macs / outputs + *macs / area;
    }
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

int make_separable(Graph& graph, const SeparablePlan& plan) {
  for (const SeparableRow& row : plan.rows) replace(graph, row);
  if (!plan.rows.empty()) infer_shapes(graph);
  return static_cast<int>(plan.rows.size());
}

}  // namespace lathe

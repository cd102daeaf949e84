#include "run/control_flow.h"

#include <fmt/format.h>

#include "evaluate/evaluate.h"
#include "ir/error.h"

namespace lathe {
namespace {

using Values = std::vector<RuntimeValue>;

bool truth(const RuntimeValue& value) {
  if (!value.is_tensor() || value.tensor->numel() != 1)
    throw bad_input("run.condition", "a condition must be one boolean");
  return value.tensor->item<bool>();
}

size_t body_index(const Node& node, std::string_view attribute) {
  for (size_t i = 0; i < node.subgraphs.size(); ++i)
    if (node.subgraphs[i].attribute == attribute) return i;
  throw bad_input("node.attribute_missing", fmt::format("subgraph '{}' is missing", attribute));
}

// The result of scanning zero times: the element's known dimensions behind a 0.
RuntimeValue empty_scan(const Graph& body, size_t output) {
  const ValueType& type = body.value(body.outputs().at(output)).type;
  Shape shape{0};
  if (type.dims)
    for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 0);
  const DType dtype = type.dtype == DType::kUndefined ? DType::kFloat32 : type.dtype;
  return {at::empty(shape, storage_type(dtype)), dtype};
}

RuntimeValue stack(const std::vector<RuntimeValue>& parts, int64_t axis) {
  std::vector<at::Tensor> tensors;
  for (const RuntimeValue& part : parts) tensors.push_back(part.tensor);
  return {at::stack(tensors, axis), parts[0].dtype};
}

Values call_if(const Node& node, std::span<const RuntimeValue> inputs,
               std::span<const RunBody> bodies) {
  return bodies[body_index(node, truth(inputs[0]) ? "then_branch" : "else_branch")]({});
}

Values call_loop(const Node& node, std::span<const RuntimeValue> inputs,
                 std::span<const RunBody> bodies) {
  const Graph& body = node.subgraphs[body_index(node, "body")].graph();
  const bool counted = !inputs.empty() && inputs[0].is_tensor();
  const int64_t trips = counted ? inputs[0].tensor->item<int64_t>() : INT64_MAX;
  bool go_on = inputs.size() < 2 || !inputs[1].is_tensor() || truth(inputs[1]);
  Values carried(inputs.begin() + static_cast<ptrdiff_t>(std::min<size_t>(2, inputs.size())),
                 inputs.end());
  if (body.inputs().size() != carried.size() + 2 || body.outputs().size() < carried.size() + 1)
    throw bad_input("node.loop_body", "the loop's body does not fit its carried values");
  const size_t scans = body.outputs().size() - 1 - carried.size();
  std::vector<Values> scanned(scans);
  for (int64_t trip = 0; trip < trips && go_on; ++trip) {
    Values formal;
    formal.emplace_back(at::scalar_tensor(trip, at::kLong), DType::kInt64);
    formal.emplace_back(at::scalar_tensor(true, at::kBool), DType::kBool);
    formal.insert(formal.end(), carried.begin(), carried.end());
    Values results = bodies[0](std::move(formal));
    go_on = truth(results[0]);
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = std::move(results[i + 1]);
    for (size_t i = 0; i < scans; ++i)
      scanned[i].push_back(std::move(results[1 + carried.size() + i]));
  }
  const size_t first_scan = 1 + carried.size();
  Values outputs = std::move(carried);
  for (size_t i = 0; i < scans; ++i)
    outputs.push_back(scanned[i].empty() ? empty_scan(body, first_scan + i) : stack(scanned[i], 0));
  return outputs;
}

Values call_scan(const Node& node, std::span<const RuntimeValue> inputs,
                 std::span<const RunBody> bodies) {
  const Graph& body = node.subgraphs[body_index(node, "body")].graph();
  const auto scan_inputs = node.attributes.required_int("num_scan_inputs");
  if (scan_inputs < 1 || scan_inputs > static_cast<int64_t>(inputs.size()))
    throw bad_input("node.scan", "num_scan_inputs does not fit the node's inputs");
  const size_t states = inputs.size() - static_cast<size_t>(scan_inputs);
  if (body.outputs().size() < states)
    throw bad_input("node.scan", "the scan's body does not fit its states");
  const size_t scan_outputs = body.outputs().size() - states;
  const auto per = [&](std::string_view attribute, size_t i) {
    const std::vector<int64_t> all = node.attributes.ints_or(attribute, {});
    return i < all.size() ? all[i] : 0;
  };
  Values carried(inputs.begin(), inputs.begin() + static_cast<ptrdiff_t>(states));
  std::vector<int64_t> axes;
  int64_t length = -1;
  for (size_t i = states; i < inputs.size(); ++i) {
    const at::Tensor& data = inputs[i].tensor;
    axes.push_back(EvaluateCall::normal_axis(per("scan_input_axes", i - states), data.dim()));
    if (length >= 0 && data.size(axes.back()) != length)
      throw bad_input("node.scan", "the scanned inputs differ in length");
    length = data.size(axes.back());
  }
  std::vector<Values> scanned(scan_outputs);
  for (int64_t step = 0; step < length; ++step) {
    Values formal = carried;
    for (size_t i = 0; i < axes.size(); ++i) {
      const int64_t at = per("scan_input_directions", i) == 1 ? length - 1 - step : step;
      const RuntimeValue& source = inputs[states + i];
      formal.emplace_back(source.tensor->select(axes[i], at).contiguous(), source.dtype);
    }
    Values results = bodies[0](std::move(formal));
    for (size_t i = 0; i < states; ++i) carried[i] = std::move(results[i]);
    for (size_t i = 0; i < scan_outputs; ++i) scanned[i].push_back(std::move(results[states + i]));
  }
  Values outputs = std::move(carried);
  for (size_t i = 0; i < scan_outputs; ++i) {
    if (scanned[i].empty()) {
      outputs.push_back(empty_scan(body, states + i));
      continue;
    }
    if (per("scan_output_directions", i) == 1) std::reverse(scanned[i].begin(), scanned[i].end());
    const int64_t rank = scanned[i][0].tensor->dim() + 1;
    outputs.push_back(
        stack(scanned[i], EvaluateCall::normal_axis(per("scan_output_axes", i), rank)));
  }
  return outputs;
}

Values call_sequence_map(const Node& node, std::span<const RuntimeValue> inputs,
                         std::span<const RunBody> bodies) {
  if (inputs.empty() || inputs[0].kind != RuntimeValue::Kind::kSequence)
    throw bad_input("run.not_a_sequence", "SequenceMap needs a sequence");
  std::vector<Values> mapped(node.outputs.size());
  for (size_t i = 0; i < inputs[0].sequence->size(); ++i) {
    Values formal;
    for (const RuntimeValue& input : inputs) {
      const bool sequence = input.kind == RuntimeValue::Kind::kSequence;
      if (sequence && i >= input.sequence->size())
        throw bad_input("run.sequence_index", "SequenceMap: the sequences differ in length");
      formal.push_back(sequence ? (*input.sequence)[i] : input);
    }
    Values results = bodies[0](std::move(formal));
    for (size_t o = 0; o < mapped.size() && o < results.size(); ++o)
      mapped[o].push_back(std::move(results[o]));
  }
  Values outputs;
  for (Values& elements : mapped) outputs.push_back(RuntimeValue::sequence_of(std::move(elements)));
  return outputs;
}

}  // namespace

bool is_control_flow(OpKind kind) {
  return kind == OpKind::kIf || kind == OpKind::kLoop || kind == OpKind::kScan ||
         kind == OpKind::kSequenceMap;
}

Values call_control_flow(const Node& node, std::span<const RuntimeValue> inputs,
                         std::span<const RunBody> bodies) {
  if (bodies.empty()) throw bad_input("node.attribute_missing", "the node has no body");
  switch (node.kind) {
    case OpKind::kIf: return call_if(node, inputs, bodies);
    case OpKind::kLoop: return call_loop(node, inputs, bodies);
    case OpKind::kScan: return call_scan(node, inputs, bodies);
    case OpKind::kSequenceMap: return call_sequence_map(node, inputs, bodies);
    default: throw InternalError("not a control-flow op");
  }
}

}  // namespace lathe

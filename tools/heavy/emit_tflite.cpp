#include "heavy/emit_tflite.h"

#include <ATen/ATen.h>
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/native_plan_file.h"
#include "evaluate/evaluate.h"
#include "heavy/specialize_graph.h"
#include "ir/transpose.h"
#include "run/interpreter.h"
#include "tflite/read_tflite.h"
#include "tflite/write_tflite.h"
#include "torchscript/emit/torchscript.h"

namespace lathe {
namespace {

constexpr size_t kNamedNodes = 4;
// Of profiles; it reads no float16.
constexpr std::string_view kTfliteMicro = "tflite-micro";

std::vector<int64_t> as_dims(const std::vector<size_t>& order) {
  return {order.begin(), order.end()};
}

// One line an input or output whose dimensions lie in another order than the model's.
std::string order_text(const Graph& graph, const std::vector<ValueId>& values,
                       const std::vector<std::vector<size_t>>& orders) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::is_sorted(orders[i].begin(), orders[i].end())) continue;
    Shape shape;
    for (const size_t d : orders[i])
      shape.push_back((*graph.value(values[i]).type.dims)[d].size);
    text += fmt::format("{} lies channels last there: {}\n",
                        escape_untrusted(graph.value(values[i]).name, 60), shape_text(shape));
  }
  return text;
}

std::string floats_text(const std::vector<std::string>& nodes) {
  if (nodes.empty()) return {};
  std::string names;
  for (size_t i = 0; i < std::min(nodes.size(), kNamedNodes); ++i)
    names += (i == 0 ? "" : ", ") + escape_untrusted(nodes[i], 60);
  if (nodes.size() > kNamedNodes) names += fmt::format(" and {} more", nodes.size() - kNamedNodes);
  return fmt::format(
      "in real numbers between integers: {} (no integer form, or no QuantizeLinear behind)\n",
      names);
}

}  // namespace

CompiledArtifact emit_tflite(const Model& model, const Profile& profile) {
  const Graph graph = specialized(model.graph, shapes_at_batch(model.graph, 1));
  TfliteOptions options;
  options.description = "lathe " LATHE_VERSION;
  options.float16 = options.channel_scales = profile.runtime.name != kTfliteMicro;
  TfliteFile file = write_tflite(graph, options);
  CompiledArtifact artifact;
  artifact.one_shape = true;
  artifact.written.model_bytes = std::move(file.bytes);
  const Model reread = read_tflite(std::as_bytes(std::span(artifact.written.model_bytes)));
  bool integers = false;
  for (const NodeId id : reread.graph.node_ids())
    integers = integers || reread.graph.node(id).kind == OpKind::kQuantizeLinear;
  if (integers) artifact.min_sqnr_db = TorchScriptOptions{}.min_sqnr_db;
  artifact.facts["tflite"] = {{"operators", file.operators}, {"in_floats", file.in_floats}};
  const bool was_free = std::ranges::any_of(model.graph.inputs(), [&](ValueId input) {
    const auto& dims = model.graph.value(input).type.dims;
    return dims && !dims->empty() && !dims->front().known();
  });
  if (was_free)
    artifact.text = "batch 1, although the model's is free: --input-shape NAME=8x… makes another\n";
  artifact.text += order_text(graph, graph.inputs(), file.input_orders) +
                  order_text(graph, graph.outputs(), file.output_orders) +
                  floats_text(file.in_floats);
  if (file.keeps_state)
    artifact.text +=
        "states lie in variables: reset_all_variables() before each sequence, or they go on\n";
  const auto program = std::make_shared<const Interpreter>(reread.graph);
  artifact.run = [program, file](const std::vector<at::Tensor>& inputs) {
    std::vector<RuntimeValue> values;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const ValueType& type = program->graph().value(program->graph().inputs()[i]).type;
      values.emplace_back(inputs[i]
                              .permute(as_dims(file.input_orders[i]))
                              .to(storage_type(type.dtype))
                              .contiguous(),
                          type.dtype);
    }
    std::vector<at::Tensor> results;
    for (RuntimeValue& value : program->run(values)) {
      const at::Tensor made = std::move(value.tensor);
      const std::vector<size_t>& order = file.output_orders[results.size()];
      results.push_back(made.permute(as_dims(inverse_order(order))).contiguous());
    }
    return results;
  };
  return artifact;
}

}  // namespace lathe

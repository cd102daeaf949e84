#include <fmt/format.h>

#include <map>

#include "ir/error.h"
#include "torchscript/emit/quantized_plan.h"

namespace lathe {

std::string_view engine_name(QuantizedEngine engine) {
  return engine == QuantizedEngine::kOnednn ? "onednn" : "qnnpack";
}

std::optional<QuantizedEngine> quantized_engine_from_name(std::string_view name) {
  for (const QuantizedEngine engine : {QuantizedEngine::kOnednn, QuantizedEngine::kQnnpack})
    if (name == engine_name(engine)) return engine;
  return std::nullopt;
}

std::string_view quantized_op_name(QuantizedOp op) {
  switch (op) {
    case QuantizedOp::kConv: return "conv";
    case QuantizedOp::kConvTranspose: return "conv_transpose";
    case QuantizedOp::kLinear: return "linear";
    case QuantizedOp::kAdd: return "add";
    case QuantizedOp::kMul: return "mul";
    case QuantizedOp::kConcat: return "cat";
    case QuantizedOp::kSigmoid: return "sigmoid";
    case QuantizedOp::kHardSwish: return "hardswish";
    case QuantizedOp::kLeakyRelu: return "leaky_relu";
    case QuantizedOp::kClamp: return "clamp";
    case QuantizedOp::kMaxPool: return "max_pool";
    case QuantizedOp::kAveragePool: return "avg_pool";
    case QuantizedOp::kResize: return "upsample_nearest";
    case QuantizedOp::kMove: return "move";
  }
  return "";
}

std::string plan_text(const Graph& graph, const QuantizedPlan& plan) {
  std::map<QuantizedOp, int> counts;
  for (const QuantizedGroup& group : plan.groups) ++counts[group.op];
  std::string text;
  for (const auto& [op, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, quantized_op_name(op));
  if (text.empty()) text = "nothing quantized";
  for (size_t i = 0; i < plan.in_float.size(); ++i) {
    const Node& node = graph.node(plan.in_float[i].node);
    text += fmt::format("{} {} ({}): {}", i == 0 ? "; in float:" : ";", escape_untrusted(node.name),
                        escape_untrusted(node.type_name()), plan.in_float[i].reason);
  }
  return text;
}

}  // namespace lathe

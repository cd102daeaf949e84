#include "heavy/refuse_quantized.h"

#include "ir/error.h"

namespace lathe {
namespace {

bool is_quantization(const Node& node) {
  const std::string_view type = node.type_name();
  // QuantizeLinear, DequantizeLinear, DynamicQuantizeMatMul, …
  const bool named = type.find("uantize") != std::string_view::npos;
  const bool contributed = type == "QGemm" || type == "QAttention" || type == "MatMulNBits";
  return named || contributed || type.starts_with("QLinear") || type.ends_with("Integer");
}

}  // namespace

void refuse_quantized(const Graph& graph, const std::string& hint) {
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const Node& node = inner.node(id);
      if (is_quantization(node))
        throw bad_input("model.quantized", "this model is quantized already",
                        "node " + escape_untrusted(node.name), hint);
    }
  });
}

}  // namespace lathe

#include "evaluate/opaque_ops.h"

namespace lathe {

Evaluate evaluate_function(const Node& node) {
  if (node.kind != OpKind::kOpaque) return evaluate_function(node.kind);
  const bool contrib = node.opaque_domain == "com.microsoft";
  return contrib && node.opaque_type == "DynamicQuantizeLSTM" ? dynamic_quantize_lstm : nullptr;
}

}  // namespace lathe

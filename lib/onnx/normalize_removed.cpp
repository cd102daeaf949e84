// Ops of the default domain that opset 25 does not have.

#include "onnx/normalize_rules.h"

namespace lathe {
namespace {

// Upsample-1: height_scale, width_scale; Upsample-7: scales; Upsample-9: input.
void upsample(const NodeEdit& edit) {
  const Attributes& old = edit.node().attributes;
  ValueId scales = edit.input(1);
  if (!scales.valid()) {
    const float height = old.float_or("height_scale", 1), width = old.float_or("width_scale", 1);
    const std::vector<float> values = old.floats_or("scales", {1, 1, height, width});
    scales = edit.constant("scales", Tensor::vector<float>(values));
  }
  for (const char* name : {"height_scale", "width_scale", "scales"}) edit.attributes().erase(name);
  set_input(edit.graph, edit.id, 1, ValueId{});
  set_input(edit.graph, edit.id, 2, scales);
  set_kind(edit.graph, edit.id, OpKind::kResize);
  set_asymmetric_resize(edit, edit.node().attributes.string_or("mode", "nearest"));
}

/// alpha * activation(beta * x)
void scaled_activation(const NodeEdit& edit, OpKind activation) {
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  const float alpha = edit.node().attributes.float_or("alpha", 1);
  const float beta = edit.node().attributes.float_or("beta", 1);
  const ValueId inner = edit.constant("beta", scalar_tensor(dtype, beta));
  const ValueId outer = edit.constant("alpha", scalar_tensor(dtype, alpha));
  const ValueId scaled = edit.op(OpKind::kMul, {edit.input(0), inner}, "scaled");
  const ValueId active = edit.op(activation, {scaled}, "active");
  replace_node(edit.graph, edit.id, {edit.op(OpKind::kMul, {active, outer}, "result")});
}

}  // namespace

void set_asymmetric_resize(const NodeEdit& edit, std::string mode) {
  bool shrinks = false, grows = false;
  if (const Tensor* scales = edit.graph.constant(edit.input(2))) {
    for (const double scale : scales->to_double()) {
      shrinks = shrinks || scale < 1;
      grows = grows || scale > 1;
    }
  }
  if (mode == "bilinear" || mode == "trilinear") mode = "linear";
  Attributes& attributes = edit.attributes();
  attributes.set("mode", mode);
  attributes.set("coordinate_transformation_mode", std::string("asymmetric"));
  // The conformance data of Resize-10 rounds up when it shrinks.
  if (mode == "nearest")
    attributes.set("nearest_mode", std::string(shrinks && !grows ? "ceil" : "floor"));
}

bool normalize_removed_op(const NodeEdit& edit) {
  const Node& node = edit.node();
  if (node.kind != OpKind::kOpaque ||
      !(node.opaque_domain.empty() || node.opaque_domain == "ai.onnx"))
    return false;
  if (node.opaque_type == "Upsample")
    upsample(edit);
  else if (node.opaque_type == "Scatter")
    set_kind(edit.graph, edit.id, OpKind::kScatterElements);
  else if (node.opaque_type == "ParametricSoftplus")
    scaled_activation(edit, OpKind::kSoftplus);
  else if (node.opaque_type == "ScaledTanh")
    scaled_activation(edit, OpKind::kTanh);
  else
    return false;
  return true;
}

}  // namespace lathe

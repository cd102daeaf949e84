// Attributes that later opsets turned into inputs.
#include <limits>

#include "onnx/normalize_rules.h"

namespace lathe {
namespace {

void ints_to_input(const NodeEdit& edit, const char* attribute, size_t index,
                   bool drop_empty = false) {
  if (!edit.node().attributes.has(attribute)) return;
  std::vector<int64_t> values = edit.node().attributes.required_ints(attribute);
  if (!(drop_empty && values.empty())) {
    const ValueId input = edit.constant(attribute, Tensor::vector<int64_t>(values));
    set_input(edit.graph, edit.id, index, input);
  }
  edit.attributes().erase(attribute);
}

void clip(const NodeEdit& edit) {
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  const auto bound = [&](const char* name, size_t index, float none) {
    if (!edit.node().attributes.has(name)) return;
    const float value = edit.node().attributes.float_or(name, none);
    edit.attributes().erase(name);
    if (value == none) return;
    set_input(edit.graph, edit.id, index, edit.constant(name, scalar_tensor(dtype, value)));
  };
  bound("min", 1, std::numeric_limits<float>::lowest());
  bound("max", 2, std::numeric_limits<float>::max());
}

void axes(const NodeEdit& edit) { ints_to_input(edit, "axes", 1); }
// An empty list meant "all" when it was an attribute.
void reduce_axes(const NodeEdit& edit) { ints_to_input(edit, "axes", 1, true); }

void pad(const NodeEdit& edit) {
  const char* name = edit.node().attributes.has("paddings") ? "paddings" : "pads";
  const std::vector<int64_t> pads = edit.node().attributes.required_ints(name);
  edit.attributes().erase(name);
  set_input(edit.graph, edit.id, 1, edit.constant("pads", Tensor::vector<int64_t>(pads)));
  const float value = edit.node().attributes.float_or("value", 0);
  edit.attributes().erase("value");
  if (value == 0) return;
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  set_input(edit.graph, edit.id, 2, edit.constant("value", scalar_tensor(dtype, value)));
}

void slice(const NodeEdit& edit) {
  edit.node().attributes.required_ints("starts");
  edit.node().attributes.required_ints("ends");
  ints_to_input(edit, "starts", 1);
  ints_to_input(edit, "ends", 2);
  ints_to_input(edit, "axes", 3, true);
}

void split(const NodeEdit& edit) {
  ints_to_input(edit, "split", 1, true);
  const bool sized = edit.input(1).valid();
  if (!sized && !edit.node().attributes.has("num_outputs"))
    edit.attributes().set("num_outputs", static_cast<int64_t>(edit.node().outputs.size()));
}

void topk(const NodeEdit& edit) {
  const int64_t k = edit.node().attributes.required_int("k");
  edit.attributes().erase("k");
  set_input(edit.graph, edit.id, 1, edit.constant("k", Tensor::vector<int64_t>({k})));
}

void reshape(const NodeEdit& edit) { ints_to_input(edit, "shape", 1); }

void dropout(const NodeEdit& edit) {
  if (edit.node().attributes.has("ratio")) {
    const float ratio = edit.node().attributes.float_or("ratio", 0.5F);
    set_input(edit.graph, edit.id, 1, edit.constant("ratio", Tensor::scalar<float>(ratio)));
    edit.attributes().erase("ratio");
  }
  edit.attributes().erase("is_test");
  const ValueId mask = edit.node().output(1);
  if (edit.opset >= 10 || !mask.valid()) return;
  // The mask had the data's type before opset 10.
  if (edit.graph.value(mask).users.empty() && !edit.graph.is_output(mask)) {
    edit.graph.truncate_outputs(edit.id, 1);
    return;
  }
  DType dtype = known_dtype(edit.graph, edit.input(0));
  if (dtype == DType::kUndefined) dtype = DType::kFloat32;
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(dtype));
  insert_after(edit.graph, mask, OpKind::kCast, attributes, "bool");
  edit.graph.edit_type(mask).dtype = DType::kBool;
}

void dft(const NodeEdit& edit) {
  const int64_t axis = edit.node().attributes.int_or("axis", 1);
  edit.attributes().erase("axis");
  set_input(edit.graph, edit.id, 2, edit.constant("axis", Tensor::scalar<int64_t>(axis)));
}

void resize_10(const NodeEdit& edit) {
  const ValueId scales = edit.input(1);
  set_input(edit.graph, edit.id, 1, ValueId{});
  set_input(edit.graph, edit.id, 2, scales);
  set_asymmetric_resize(edit, edit.node().attributes.string_or("mode", "nearest"));
}

// Opsets 11 and 12 wrote an empty tensor where the input is absent now.
void resize_11(const NodeEdit& edit) {
  if (edit.opset < 11) return resize_10(edit);
  const std::string mode =
      edit.node().attributes.string_or("coordinate_transformation_mode", "half_pixel");
  const auto is_empty = [&](size_t i) {
    const Tensor* tensor = edit.graph.constant(edit.input(i));
    return tensor != nullptr && tensor->numel() == 0;
  };
  if (mode != "tf_crop_and_resize" && is_empty(1)) drop_input(edit.graph, edit.id, 1);
  if (is_empty(2)) drop_input(edit.graph, edit.id, 2);
}

constexpr NormalizeRule kInputRules[] = {
    {OpKind::kClip, 11, clip},
    {OpKind::kDFT, 20, dft},
    {OpKind::kDropout, 12, dropout},
    {OpKind::kPad, 11, pad},
    {OpKind::kReduceL1, 18, reduce_axes},
    {OpKind::kReduceL2, 18, reduce_axes},
    {OpKind::kReduceLogSum, 18, reduce_axes},
    {OpKind::kReduceLogSumExp, 18, reduce_axes},
    {OpKind::kReduceMax, 18, reduce_axes},
    {OpKind::kReduceMean, 18, reduce_axes},
    {OpKind::kReduceMin, 18, reduce_axes},
    {OpKind::kReduceProd, 18, reduce_axes},
    {OpKind::kReduceSum, 13, reduce_axes},
    {OpKind::kReduceSumSquare, 18, reduce_axes},
    {OpKind::kReshape, 5, reshape},
    {OpKind::kResize, 13, resize_11},
    {OpKind::kSlice, 10, slice},
    {OpKind::kSplit, 18, split},
    {OpKind::kSqueeze, 13, axes},
    {OpKind::kTopK, 10, topk},
    {OpKind::kUnsqueeze, 13, axes},
};

}  // namespace

std::span<const NormalizeRule> input_rules() { return kInputRules; }

}  // namespace lathe

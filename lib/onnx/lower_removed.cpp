// Experimental ops that ended with opset 9: written as they are up to there, as others after it.
#include <limits>

#include "ir/error.h"
#include "onnx/lower_rules.h"

namespace lathe {
namespace {

constexpr int64_t kEnd = 10;

/// input * scale + shift
void scale_and_shift(const NodeEdit& edit, float scale, Tensor shift) {
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  const ValueId factor = edit.constant("scale", scalar_tensor(dtype, scale));
  const ValueId scaled = edit.op(OpKind::kMul, {edit.input(0), factor}, "scaled");
  const ValueId offset = edit.constant("shift", std::move(shift));
  replace_node(edit.graph, edit.id, {edit.op(OpKind::kAdd, {scaled, offset}, "shifted")});
}

void lower_affine(const NodeEdit& edit) {
  if (edit.opset < kEnd) return;
  const Attributes& attributes = edit.node().attributes;
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  scale_and_shift(edit, attributes.float_or("alpha", 1),
                  scalar_tensor(dtype, attributes.float_or("beta", 0)));
}

// One bias a channel of [N, C, H, W].
void lower_image_scaler(const NodeEdit& edit) {
  if (edit.opset < kEnd) return;
  const Attributes& attributes = edit.node().attributes;
  const std::vector<float> bias = attributes.floats_or("bias", {0});
  const DType dtype = known_dtype(edit.graph, edit.input(0));
  std::vector<std::byte> bytes;
  DType written = DType::kFloat32;
  for (const float value : bias) {
    const Tensor one = scalar_tensor(dtype, value);
    written = one.dtype();
    bytes.insert(bytes.end(), one.bytes().begin(), one.bytes().end());
  }
  const Shape shape{static_cast<int64_t>(bias.size()), 1, 1};
  scale_and_shift(edit, attributes.float_or("scale", 1),
                  Tensor::from_bytes(written, shape, std::move(bytes)));
}

// border: left, top, right, bottom; scale: height and width of what is left.
void lower_crop(const NodeEdit& edit) {
  if (edit.opset < kEnd) return;
  const std::vector<int64_t> border = edit.node().attributes.ints_or("border", {0, 0, 0, 0});
  const std::vector<int64_t> size = edit.node().attributes.ints_or("scale", {});
  if (border.size() != 4 || !(size.empty() || size.size() == 2))
    throw bad_input("node.attribute_value", "Crop needs 4 borders and 2 sizes or none",
                    std::string("node ").append(escape_untrusted(edit.node().name)));
  const auto end = [&](size_t axis, int64_t start, int64_t behind) {
    int64_t stop = behind == 0 ? std::numeric_limits<int64_t>::max() : -behind;
    if (!size.empty() && __builtin_add_overflow(start, size[axis], &stop))
      stop = std::numeric_limits<int64_t>::max();
    return stop;
  };
  const int64_t left = border[0], top = border[1];
  const auto list = [&](const char* name, std::vector<int64_t> values) {
    return edit.constant(name, Tensor::vector<int64_t>(values));
  };
  const ValueId starts = list("starts", {top, left});
  const ValueId ends = list("ends", {end(0, top, border[3]), end(1, left, border[2])});
  const ValueId axes = list("axes", {2, 3});
  const ValueId cropped = edit.op(OpKind::kSlice, {edit.input(0), starts, ends, axes}, "cropped");
  replace_node(edit.graph, edit.id, {cropped});
}

constexpr FormRule kRemovedForms[] = {
    {OpKind::kAffine, nullptr, lower_affine},
    {OpKind::kCrop, nullptr, lower_crop},
    {OpKind::kImageScaler, nullptr, lower_image_scaler},
};

}  // namespace

std::span<const FormRule> removed_forms() { return kRemovedForms; }

}  // namespace lathe

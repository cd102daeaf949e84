// Forms of old opsets that are more than an input or an attribute less.
#include <algorithm>
#include <cmath>

#include "onnx/lower_rules.h"

namespace lathe {
namespace {

// -- Softmax, LogSoftmax, Hardmax: before 13 over everything from `axis` on -------------------

int64_t need_softmax(const Graph& graph, const Node& node) {
  int64_t axis = node.attributes.int_or("axis", -1);
  const ValueId input = node.input(0);
  const std::optional<int64_t> rank = input.valid() ? known_rank(graph, input) : std::nullopt;
  if (!rank) return axis == -1 ? 11 : 13;
  if (axis < 0) axis += *rank;
  if (axis == *rank - 1) return 0;
  const ValueType& type = graph.value(input).type;
  if (!type.is_tensor() || !type.dims || axis < 0 || axis >= *rank) return 13;
  const bool ones = std::all_of(type.dims->begin() + axis + 1, type.dims->end(),
                                [](const Dim& dim) { return dim.size == 1; });
  return ones ? 0 : 13;
}
void lower_softmax(const NodeEdit& edit) {
  if (edit.opset >= 13) return;
  int64_t axis = edit.node().attributes.int_or("axis", -1);
  if (const auto rank = known_rank(edit.graph, edit.input(0)); rank && axis < 0) axis += *rank;
  edit.attributes().set("axis", axis);
}

// -- Resize: Upsample before 10; asymmetric without attributes at 10 ---------------------------

bool is_upsample_like(const Graph& graph, const Node& node) {
  const Attributes& attributes = node.attributes;
  const std::string mode = attributes.string_or("mode", "nearest");
  if (node.input(1).valid() || !node.input(2).valid() || node.input(3).valid()) return false;
  if (attributes.string_or("coordinate_transformation_mode", "half_pixel") != "asymmetric")
    return false;
  if (attributes.int_or("exclude_outside", 0) != 0) return false;
  if (mode == "linear") return true;
  if (mode != "nearest") return false;
  const std::string rounding = attributes.string_or("nearest_mode", "round_prefer_floor");
  const Tensor* scales = graph.constant(node.input(2));
  const std::vector<double> factors =
      scales != nullptr ? scales->to_double() : std::vector<double>{};
  const bool shrinks = std::any_of(factors.begin(), factors.end(), [](double f) { return f < 1; });
  const bool grows = std::any_of(factors.begin(), factors.end(), [](double f) { return f > 1; });
  return rounding == (shrinks && !grows ? "ceil" : "floor");
}
int64_t need_resize(const Graph& graph, const Node& node) {
  if (node.attributes.string_or("coordinate_transformation_mode", "") == "half_pixel_symmetric")
    return 19;
  if (!is_upsample_like(graph, node)) return 11;
  const Tensor* scales = graph.constant(node.input(2));
  if (scales == nullptr) return 10;
  const std::vector<double> factors = scales->to_double();
  return std::all_of(factors.begin(), factors.end(), [](double f) { return f >= 1; }) ? 0 : 10;
}
void lower_resize(const NodeEdit& edit) {
  if (edit.opset >= 13) return;
  if (edit.opset >= 11) {
    // All three inputs had to be there.
    const Tensor empty = Tensor::vector<float>({});
    if (!edit.input(1).valid()) set_input(edit.graph, edit.id, 1, edit.constant("roi", empty));
    if (!edit.input(2).valid()) set_input(edit.graph, edit.id, 2, edit.constant("scales", empty));
    return;
  }
  for (const char* name : {"coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a",
                           "exclude_outside", "extrapolation_value"})
    edit.attributes().erase(name);
  const ValueId scales = edit.input(2);
  if (edit.opset >= 9) {
    set_input(edit.graph, edit.id, 1, scales);
    edit.graph.truncate_inputs(edit.id, 2);
  } else {
    std::vector<float> factors;
    for (const double factor : edit.graph.constant(scales)->to_double())
      factors.push_back(static_cast<float>(factor));
    edit.attributes().set("scales", std::move(factors));
    keep_inputs(edit.graph, edit.id, 1);
  }
  if (edit.opset < 10) set_opaque(edit.graph, edit.id, "", "Upsample");
}

// -- QuantizeLinear, DequantizeLinear -----------------------------------------------------------

int64_t need_quantize(const Graph& graph, const Node& node) {
  if (!node.input(1).valid()) return 0;
  const ValueType& scale = graph.value(node.input(1)).type;
  const bool scalar =
      !scale.dims || scale.dims->empty() || (scale.dims->size() == 1 && (*scale.dims)[0].size == 1);
  return scalar ? 0 : 13;
}
void lower_quantize(const NodeEdit& edit) {
  if (edit.opset < 13) edit.attributes().erase("axis");
}

// -- names and ops that came later --------------------------------------------------------------

int64_t need_scatter(const Graph&, const Node& node) {
  const std::string reduction = node.attributes.string_or("reduction", "none");
  return reduction == "min" || reduction == "max" ? 18 : 0;
}
void lower_scatter(const NodeEdit& edit) {
  if (edit.opset < 11) set_opaque(edit.graph, edit.id, "", "Scatter");
}

int64_t need_grid_sample(const Graph& graph, const Node& node) {
  return known_rank(graph, node.input(0)).value_or(4) == 4 ? 0 : 20;
}
void lower_grid_sample(const NodeEdit& edit) {
  if (edit.opset >= 20) return;
  const std::string mode = edit.node().attributes.string_or("mode", "");
  if (mode == "linear") edit.attributes().set("mode", std::string("bilinear"));
  if (mode == "cubic") edit.attributes().set("mode", std::string("bicubic"));
}

int64_t need_roi_align(const Graph&, const Node& node) {
  const char* name = "coordinate_transformation_mode";
  return node.attributes.string_or(name, "half_pixel") == "output_half_pixel" ? 0 : 16;
}
void lower_roi_align(const NodeEdit& edit) {
  if (edit.opset < 16) edit.attributes().erase("coordinate_transformation_mode");
}

int64_t need_gemm(const Graph&, const Node& node) { return node.input(2).valid() ? 0 : 11; }

int64_t need_attention(const Graph&, const Node& node) { return node.input(6).valid() ? 24 : 0; }

int64_t need_batch_normalization(const Graph&, const Node& node) {
  return node.outputs.size() > 1 ? 14 : 0;
}

int64_t need_max_pool(const Graph&, const Node& node) { return node.output(1).valid() ? 8 : 0; }

int64_t need_identity(const Graph& graph, const Node& node) {
  if (!node.input(0).valid()) return 0;
  const ValueType::Kind kind = graph.value(node.input(0)).type.kind;
  if (kind == ValueType::Kind::kSequence) return 14;
  return kind == ValueType::Kind::kOptional ? 16 : 0;
}

int64_t need_optional(const Graph& graph, const Node& node) {
  if (!node.input(0).valid()) return 18;
  const ValueType& type = graph.value(node.input(0)).type;
  const bool known = !type.is_tensor() || type.dtype != DType::kUndefined;
  return known && type.kind != ValueType::Kind::kOptional ? 18 : 0;
}

constexpr FormRule kOtherForms[] = {
    {OpKind::kAttention, need_attention, nullptr},
    {OpKind::kBatchNormalization, need_batch_normalization, nullptr},
    {OpKind::kDequantizeLinear, need_quantize, lower_quantize},
    {OpKind::kGemm, need_gemm, nullptr},
    {OpKind::kGridSample, need_grid_sample, lower_grid_sample},
    {OpKind::kHardmax, need_softmax, lower_softmax},
    {OpKind::kIdentity, need_identity, nullptr},
    {OpKind::kLogSoftmax, need_softmax, lower_softmax},
    {OpKind::kMaxPool, need_max_pool, nullptr},
    {OpKind::kOptionalGetElement, need_optional, nullptr},
    {OpKind::kOptionalHasElement, need_optional, nullptr},
    {OpKind::kQuantizeLinear, need_quantize, lower_quantize},
    {OpKind::kResize, need_resize, lower_resize},
    {OpKind::kRoiAlign, need_roi_align, lower_roi_align},
    {OpKind::kScatterElements, need_scatter, lower_scatter},
    {OpKind::kScatterND, need_scatter, nullptr},
    {OpKind::kSoftmax, need_softmax, lower_softmax},
};

constexpr AttributeRow kAttributes[] = {
    {OpKind::kArgMax, "select_last_index", 12, int64_t{0}},
    {OpKind::kArgMin, "select_last_index", 12, int64_t{0}},
    {OpKind::kAveragePool, "ceil_mode", 10, int64_t{0}},
    {OpKind::kAveragePool, "dilations", 19, int64_t{1}},
    {OpKind::kBatchNormalization, "training_mode", 14, int64_t{0}},
    {OpKind::kCast, "round_mode", 24, "up"},
    {OpKind::kCast, "saturate", 19, int64_t{1}},
    {OpKind::kCastLike, "round_mode", 24, "up"},
    {OpKind::kCastLike, "saturate", 19, int64_t{1}},
    {OpKind::kDepthToSpace, "mode", 11, "DCR"},
    {OpKind::kDequantizeLinear, "block_size", 21, int64_t{0}},
    {OpKind::kDequantizeLinear, "output_dtype", 23, int64_t{0}},
    {OpKind::kGRU, "layout", 14, int64_t{0}},
    {OpKind::kGatherND, "batch_dims", 12, int64_t{0}},
    {OpKind::kLSTM, "layout", 14, int64_t{0}},
    {OpKind::kLpPool, "ceil_mode", 18, int64_t{0}},
    {OpKind::kLpPool, "dilations", 18, int64_t{1}},
    {OpKind::kMaxPool, "ceil_mode", 10, int64_t{0}},
    {OpKind::kMaxPool, "dilations", 10, int64_t{1}},
    {OpKind::kMaxPool, "storage_order", 8, int64_t{0}},
    {OpKind::kQuantizeLinear, "block_size", 21, int64_t{0}},
    {OpKind::kQuantizeLinear, "output_dtype", 21, int64_t{0}},
    {OpKind::kQuantizeLinear, "precision", 23, int64_t{0}},
    {OpKind::kQuantizeLinear, "saturate", 19, int64_t{1}},
    {OpKind::kRNN, "layout", 14, int64_t{0}},
    {OpKind::kReshape, "allowzero", 14, int64_t{0}},
    {OpKind::kResize, "antialias", 18, int64_t{0}},
    {OpKind::kResize, "axes", 18, std::monostate{}},
    {OpKind::kResize, "keep_aspect_ratio_policy", 18, "stretch"},
    {OpKind::kScatterElements, "reduction", 16, "none"},
    {OpKind::kScatterND, "reduction", 16, "none"},
    {OpKind::kShape, "end", 15, std::monostate{}},
    {OpKind::kShape, "start", 15, int64_t{0}},
    {OpKind::kTopK, "largest", 11, int64_t{1}},
    {OpKind::kTopK, "sorted", 11, int64_t{1}},
};

}  // namespace

std::span<const FormRule> other_forms() { return kOtherForms; }
std::span<const AttributeRow> attribute_rows() { return kAttributes; }

}  // namespace lathe

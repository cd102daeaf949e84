// Inputs that were attributes in old opsets: constants go back into attributes.
#include <algorithm>

#include "onnx/lower_rules.h"

namespace lathe {
namespace {

bool absent_or_constant(const Graph& graph, const Node& node, size_t i) {
  return !node.input(i).valid() || graph.constant(node.input(i)) != nullptr;
}

/// The single number of a constant when a float attribute holds it exactly.
std::optional<float> float_constant(const Graph& graph, ValueId value) {
  const Tensor* tensor = graph.constant(value);
  if (tensor == nullptr || tensor->numel() != 1 || tensor->dtype() == DType::kString)
    return std::nullopt;
  const double number = tensor->to_double()[0];
  const float narrow = static_cast<float>(number);
  if (static_cast<double>(narrow) != number) return std::nullopt;
  return narrow;
}

/// Moves a constant list of integers into an attribute.
void ints_to_attribute(const NodeEdit& edit, size_t index, const char* name,
                       bool drop_empty = false) {
  const auto values = constant_ints(edit.graph, edit.input(index));
  if (!values) return;
  if (!(drop_empty && values->empty())) edit.attributes().set(name, *values);
  drop_input(edit.graph, edit.id, index);
}

int64_t need_clip(const Graph& graph, const Node& node) {
  for (const size_t i : {size_t{1}, size_t{2}})
    if (node.input(i).valid() && !float_constant(graph, node.input(i))) return 11;
  return 0;
}
void lower_clip(const NodeEdit& edit) {
  if (edit.opset >= 11) return;
  for (const auto& [index, name] : {std::pair<size_t, const char*>{1, "min"}, {2, "max"}})
    if (const auto bound = float_constant(edit.graph, edit.input(index)))
      edit.attributes().set(name, *bound);
  keep_inputs(edit.graph, edit.id, 1);
}

int64_t need_axes(const Graph& graph, const Node& node) {
  return absent_or_constant(graph, node, 1) ? 0 : 13;
}
void lower_axes(const NodeEdit& edit) {
  if (edit.opset < 13) ints_to_attribute(edit, 1, "axes");
}

int64_t axes_input_since(OpKind kind) { return kind == OpKind::kReduceSum ? 13 : 18; }
int64_t need_reduce(const Graph& graph, const Node& node) {
  const int64_t since = axes_input_since(node.kind);
  if (!absent_or_constant(graph, node, 1)) return since;
  const Tensor* axes = graph.constant(node.input(1));
  const bool empty = axes == nullptr || axes->numel() == 0;
  return empty && node.attributes.int_or("noop_with_empty_axes", 0) != 0 ? since : 0;
}
void lower_reduce(const NodeEdit& edit) {
  if (edit.opset >= axes_input_since(edit.node().kind)) return;
  edit.attributes().erase("noop_with_empty_axes");
  ints_to_attribute(edit, 1, "axes", true);
}

int64_t need_pad(const Graph& graph, const Node& node) {
  if (node.attributes.string_or("mode", "constant") == "wrap") return 19;
  if (node.input(3).valid()) return 18;
  if (graph.constant(node.input(1)) == nullptr) return 11;
  return node.input(2).valid() && !float_constant(graph, node.input(2)) ? 11 : 0;
}
void lower_pad(const NodeEdit& edit) {
  if (edit.opset >= 11) return;
  if (const auto value = float_constant(edit.graph, edit.input(2)); value && *value != 0)
    edit.attributes().set("value", *value);
  ints_to_attribute(edit, 1, "pads");
  keep_inputs(edit.graph, edit.id, 1);
}

int64_t need_slice(const Graph& graph, const Node& node) {
  for (size_t i = 1; i <= 4; ++i)
    if (!absent_or_constant(graph, node, i)) return 10;
  const auto steps = constant_ints(graph, node.input(4));
  const bool stepped =
      steps && std::any_of(steps->begin(), steps->end(), [](int64_t step) { return step != 1; });
  return stepped ? 10 : 0;
}
void lower_slice(const NodeEdit& edit) {
  if (edit.opset >= 10) return;
  ints_to_attribute(edit, 1, "starts");
  ints_to_attribute(edit, 2, "ends");
  ints_to_attribute(edit, 3, "axes", true);
  keep_inputs(edit.graph, edit.id, 1);
}

/// Sizes of the parts where num_outputs does not divide the dimension.
std::optional<std::vector<int64_t>> uneven_parts(const Graph& graph, const Node& node) {
  const int64_t count = static_cast<int64_t>(node.outputs.size());
  const ValueId input = node.input(0);
  if (node.input(1).valid() || !input.valid() || count == 0) return std::nullopt;
  const ValueType& type = graph.value(input).type;
  if (!type.is_tensor() || !type.dims) return std::nullopt;
  const int64_t rank = static_cast<int64_t>(type.dims->size());
  int64_t axis = node.attributes.int_or("axis", 0);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  const Dim& dim = (*type.dims)[static_cast<size_t>(axis)];
  if (!dim.known() || dim.size % count == 0) return std::nullopt;
  const int64_t part = dim.size / count + 1;
  std::vector<int64_t> parts;
  int64_t left = dim.size;
  for (int64_t i = 0; i < count; ++i) {
    parts.push_back(std::min(part, left));
    left -= parts.back();
  }
  return parts;
}

int64_t need_split(const Graph& graph, const Node& node) {
  return absent_or_constant(graph, node, 1) ? 0 : 13;
}
void lower_split(const NodeEdit& edit) {
  if (edit.opset >= 18) return;
  if (const auto parts = uneven_parts(edit.graph, edit.node()))
    set_input(edit.graph, edit.id, 1, edit.constant("split", Tensor::vector<int64_t>(*parts)));
  edit.attributes().erase("num_outputs");
  if (edit.opset < 13) ints_to_attribute(edit, 1, "split");
}

int64_t need_topk(const Graph& graph, const Node& node) {
  const Tensor* k = graph.constant(node.input(1));
  return k != nullptr && k->numel() == 1 ? 0 : 10;
}
void lower_topk(const NodeEdit& edit) {
  if (edit.opset >= 10) return;
  if (const auto k = constant_ints(edit.graph, edit.input(1))) edit.attributes().set("k", k->at(0));
  keep_inputs(edit.graph, edit.id, 1);
}

bool is_read(const Graph& graph, ValueId value) {
  return value.valid() && (!graph.value(value).users.empty() || graph.is_output(value));
}
int64_t need_dropout(const Graph& graph, const Node& node) {
  if (node.input(1).valid() && !float_constant(graph, node.input(1))) return 12;
  if (node.input(2).valid()) {
    const auto training = float_constant(graph, node.input(2));
    if (!training || *training != 0) return 12;
  }
  return is_read(graph, node.output(1)) ? 10 : 0;
}
void lower_dropout(const NodeEdit& edit) {
  if (edit.opset >= 12) return;
  if (const auto ratio = float_constant(edit.graph, edit.input(1)))
    edit.attributes().set("ratio", *ratio);
  edit.attributes().erase("seed");
  keep_inputs(edit.graph, edit.id, 1);
  if (edit.opset < 10 && !is_read(edit.graph, edit.node().output(1)))
    edit.graph.truncate_outputs(edit.id, 1);
}

int64_t need_dft(const Graph& graph, const Node& node) {
  return absent_or_constant(graph, node, 2) ? 0 : 20;
}
void lower_dft(const NodeEdit& edit) {
  if (edit.opset >= 20) return;
  const auto axis = constant_ints(edit.graph, edit.input(2));
  edit.attributes().set("axis", axis && axis->size() == 1 ? (*axis)[0] : int64_t{-2});
  keep_inputs(edit.graph, edit.id, 2);
}

constexpr FormRule kInputForms[] = {
    {OpKind::kClip, need_clip, lower_clip},
    {OpKind::kDFT, need_dft, lower_dft},
    {OpKind::kDropout, need_dropout, lower_dropout},
    {OpKind::kPad, need_pad, lower_pad},
    {OpKind::kReduceL1, need_reduce, lower_reduce},
    {OpKind::kReduceL2, need_reduce, lower_reduce},
    {OpKind::kReduceLogSum, need_reduce, lower_reduce},
    {OpKind::kReduceLogSumExp, need_reduce, lower_reduce},
    {OpKind::kReduceMax, need_reduce, lower_reduce},
    {OpKind::kReduceMean, need_reduce, lower_reduce},
    {OpKind::kReduceMin, need_reduce, lower_reduce},
    {OpKind::kReduceProd, need_reduce, lower_reduce},
    {OpKind::kReduceSum, need_reduce, lower_reduce},
    {OpKind::kReduceSumSquare, need_reduce, lower_reduce},
    {OpKind::kSlice, need_slice, lower_slice},
    {OpKind::kSplit, need_split, lower_split},
    {OpKind::kSqueeze, need_axes, lower_axes},
    {OpKind::kTopK, need_topk, lower_topk},
    {OpKind::kUnsqueeze, need_axes, lower_axes},
};

}  // namespace

std::span<const FormRule> input_forms() { return kInputForms; }

}  // namespace lathe

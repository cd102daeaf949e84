// Forms and defaults that opsets dropped without a new input: broadcasting, layouts, names.
#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "onnx/normalize_rules.h"

namespace lathe {
namespace {

/// `value` with `count` dimensions of size 1 put behind its own.
ValueId with_trailing_ones(const NodeEdit& edit, ValueId value, int64_t rank, int64_t count) {
  if (count == 0) return value;
  if (const Tensor* tensor = edit.graph.constant(value)) {
    Shape shape = tensor->shape();
    shape.insert(shape.end(), static_cast<size_t>(count), 1);
    return edit.constant("operand", tensor->reshaped(std::move(shape)));
  }
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < count; ++i) axes.push_back(rank + i);
  const ValueId input = edit.constant("operand_axes", Tensor::vector<int64_t>(axes));
  return edit.op(OpKind::kUnsqueeze, {value, input}, "operand");
}

/// The same when ranks are only known at run time: ones = rank(a) - rank(b) - axis.
ValueId with_runtime_ones(const NodeEdit& edit, ValueId a, ValueId b, int64_t axis) {
  const ValueId shape_a = edit.op(OpKind::kShape, {a}, "shape_a");
  const ValueId shape_b = edit.op(OpKind::kShape, {b}, "shape_b");
  const ValueId rank_a = edit.op(OpKind::kShape, {shape_a}, "rank_a");
  const ValueId rank_b = edit.op(OpKind::kShape, {shape_b}, "rank_b");
  const ValueId first = edit.constant("axis", Tensor::vector<int64_t>({axis}));
  const ValueId rest = edit.op(OpKind::kSub, {rank_a, rank_b}, "rank_difference");
  const ValueId count = edit.op(OpKind::kSub, {rest, first}, "ones_count");
  Attributes one;
  one.set("value", Tensor::vector<int64_t>({1}));
  const ValueId ones = edit.op(OpKind::kConstantOfShape, {count}, "ones", one);
  Attributes axis0;
  axis0.set("axis", int64_t{0});
  const ValueId shape = edit.op(OpKind::kConcat, {shape_b, ones}, "operand_shape", axis0);
  return edit.op(OpKind::kReshape, {b, shape}, "operand");
}

// Before opset 7 the second operand was aligned at `axis` of the first, or at its end.
void broadcast(const NodeEdit& edit) {
  const bool aligned =
      edit.node().attributes.int_or("broadcast", 0) != 0 && edit.node().attributes.has("axis");
  const int64_t axis = edit.node().attributes.int_or("axis", -1);
  edit.attributes().erase("broadcast");
  edit.attributes().erase("axis");
  if (!aligned || axis < 0) return;
  const ValueId a = edit.input(0), b = edit.input(1);
  if (!a.valid() || !b.valid()) return;
  const std::optional<int64_t> rank_a = known_rank(edit.graph, a),
                               rank_b = known_rank(edit.graph, b);
  ValueId operand;
  if (rank_a && rank_b) {
    const int64_t ones = *rank_a - *rank_b - axis;
    if (ones < 0 || axis > *rank_a)
      throw bad_input("node.axis", "the second operand does not fit at the attribute 'axis'");
    operand = with_trailing_ones(edit, b, *rank_b, ones);
  } else {
    operand = with_runtime_ones(edit, a, b, axis);
  }
  set_input(edit.graph, edit.id, 1, operand);
}

void gemm(const NodeEdit& edit) { edit.attributes().erase("broadcast"); }

// Before opset 7 a slope of one dimension was per channel.
void prelu(const NodeEdit& edit) {
  const ValueId slope = edit.input(1);
  if (known_rank(edit.graph, slope) != 1) return;
  if (const Tensor* tensor = edit.graph.constant(slope); tensor != nullptr && tensor->numel() == 1)
    return;
  const int64_t rank = known_rank(edit.graph, edit.input(0)).value_or(4);
  if (rank <= 2) return;
  set_input(edit.graph, edit.id, 1, with_trailing_ones(edit, slope, 1, rank - 2));
}

void cast(const NodeEdit& edit) {
  const std::string to = edit.node().attributes.required_string("to");
  std::string lower = to;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::optional<DType> dtype = dtype_from_name(lower);
  if (!dtype || *dtype == DType::kUndefined)
    throw bad_input("node.attribute_value", "Cast to unknown type '" + escape_untrusted(to) + "'");
  edit.attributes().set("to", static_cast<int64_t>(*dtype));
}

void concat(const NodeEdit& edit) {
  if (!edit.node().attributes.has("axis")) edit.attributes().set("axis", int64_t{1});
}

void selu(const NodeEdit& edit) {
  if (!edit.node().attributes.has("alpha")) edit.attributes().set("alpha", 1.6732F);
  if (!edit.node().attributes.has("gamma")) edit.attributes().set("gamma", 1.0507F);
}

void lp_pool(const NodeEdit& edit) {
  const Attribute* p = edit.node().attributes.find("p");
  const float* power = p != nullptr ? std::get_if<float>(p) : nullptr;
  if (power == nullptr) return;
  if (std::rint(*power) != *power || std::fabs(*power) > 1e6F)
    return set_opaque(edit.graph, edit.id, "", std::string(op_name(edit.node().kind)));
  edit.attributes().set("p", static_cast<int64_t>(*power));
}

// Tile-1 repeats along one axis.
void tile(const NodeEdit& edit) {
  const auto tiles = constant_ints(edit.graph, edit.input(1));
  const auto axis = constant_ints(edit.graph, edit.input(2));
  const std::optional<int64_t> rank = known_rank(edit.graph, edit.input(0));
  if (!edit.input(2).valid()) return;
  const bool usable = tiles && axis && rank && tiles->size() == 1 && axis->size() == 1 &&
                      (*axis)[0] >= 0 && (*axis)[0] < *rank;
  if (!usable) return set_opaque(edit.graph, edit.id, "", "Tile");
  std::vector<int64_t> repeats(static_cast<size_t>(*rank), 1);
  repeats[static_cast<size_t>((*axis)[0])] = (*tiles)[0];
  keep_inputs(edit.graph, edit.id, 1);
  set_input(edit.graph, edit.id, 1, edit.constant("repeats", Tensor::vector<int64_t>(repeats)));
}

void recurrent(const NodeEdit& edit) { edit.attributes().erase("output_sequence"); }

void roi_align(const NodeEdit& edit) {
  const char* name = "coordinate_transformation_mode";
  if (!edit.node().attributes.has(name))
    edit.attributes().set(name, std::string("output_half_pixel"));
}

void grid_sample(const NodeEdit& edit) {
  const std::string mode = edit.node().attributes.string_or("mode", "");
  if (mode == "bilinear") edit.attributes().set("mode", std::string("linear"));
  if (mode == "bicubic") edit.attributes().set("mode", std::string("cubic"));
}

// Scan-8 has a batch axis and sequence lengths, which no later op has.
void scan(const NodeEdit& edit) { set_opaque(edit.graph, edit.id, "", "Scan"); }

constexpr NormalizeRule kLegacyRules[] = {
    {OpKind::kAdd, 7, broadcast},
    {OpKind::kAnd, 7, broadcast},
    {OpKind::kCast, 6, cast},
    {OpKind::kConcat, 4, concat},
    {OpKind::kDiv, 7, broadcast},
    {OpKind::kEqual, 7, broadcast},
    {OpKind::kGRU, 7, recurrent},
    {OpKind::kGemm, 7, gemm},
    {OpKind::kGlobalLpPool, 2, lp_pool},
    {OpKind::kGreater, 7, broadcast},
    {OpKind::kGridSample, 20, grid_sample},
    {OpKind::kLSTM, 7, recurrent},
    {OpKind::kLess, 7, broadcast},
    {OpKind::kLpPool, 2, lp_pool},
    {OpKind::kMul, 7, broadcast},
    {OpKind::kOr, 7, broadcast},
    {OpKind::kPRelu, 7, prelu},
    {OpKind::kPow, 7, broadcast},
    {OpKind::kRNN, 7, recurrent},
    {OpKind::kRoiAlign, 16, roi_align},
    {OpKind::kScan, 9, scan},
    {OpKind::kSelu, 6, selu},
    {OpKind::kSub, 7, broadcast},
    {OpKind::kTile, 6, tile},
    {OpKind::kXor, 7, broadcast},
};

}  // namespace

std::span<const NormalizeRule> legacy_rules() { return kLegacyRules; }

}  // namespace lathe

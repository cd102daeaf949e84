#include "batch/batch_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "ops/dim_math.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

int64_t rank_of(const Graph& graph, ValueId id) {
  const auto& dims = graph.value(id).type.dims;
  return dims ? static_cast<int64_t>(dims->size()) : -1;
}

bool has_batch(const BatchPlaces& inputs, size_t i) { return i < inputs.size() && inputs[i]; }

// Ops whose axis 0 is a batch by definition. Weights and other parameters must not have one.
std::string leading_only(const Node& node, const BatchPlaces& inputs) {
  const OpRow& row = op_row(node.kind);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    const auto input = static_cast<int16_t>(i);
    if (input == row.weight_input || input == row.bias_input)
      return "its weights differ between the items of a batch";
    if (inputs[i]->axis != 0)
      return fmt::format("takes axis 0 for the batch, which is on axis {}", inputs[i]->axis);
  }
  return {};
}

std::string not_along(int64_t axis, const Graph& graph, const Node& node,
                      const BatchPlaces& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    const int64_t rank = rank_of(graph, node.inputs[i]);
    if ((axis < 0 ? axis + rank : axis) == inputs[i]->axis)
      return fmt::format("works along axis {}, the batch's", inputs[i]->axis);
  }
  return {};
}

std::string not_behind(int64_t axis, const Graph& graph, const Node& node,
                       const BatchPlaces& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    const int64_t rank = rank_of(graph, node.inputs[i]);
    if (inputs[i]->axis >= (axis < 0 ? axis + rank : axis))
      return fmt::format("normalizes over axis {}, the batch's", inputs[i]->axis);
  }
  return {};
}

std::string matrix_product(const Graph& graph, const Node& node, const BatchPlaces& inputs,
                           size_t left, size_t right) {
  const auto sums_over = [&](size_t input, int64_t from_end) {
    if (!has_batch(inputs, input)) return false;
    const int64_t rank = rank_of(graph, node.inputs[input]);
    return inputs[input]->axis == (rank == 1 ? 0 : rank - from_end);
  };
  if (sums_over(left, 1) || sums_over(right, 2)) return "sums over the batch";
  return {};
}

std::string gemm(const Node& node, const BatchPlaces& inputs) {
  if (has_batch(inputs, 1)) return "its weights differ between the items of a batch";
  const int64_t rows = node.attributes.int_or("transA", 0) != 0 ? 1 : 0;
  if (has_batch(inputs, 0) && inputs[0]->axis != rows) return "sums over the batch";
  return {};
}

std::string recurrent(const Node& node, const BatchPlaces& inputs) {
  const int64_t axis = node.attributes.int_or("layout", 0) != 0 ? 0 : 1;
  for (const size_t input : {1, 2, 3, 7})
    if (has_batch(inputs, input)) return "its weights differ between the items of a batch";
  for (const size_t input : {0, 5, 6})
    if (has_batch(inputs, input) && inputs[input]->axis != axis)
      return fmt::format("takes axis {} for the batch, which is on axis {}", axis,
                         inputs[input]->axis);
  if (!has_batch(inputs, 0)) return "its state has a batch, its input has none";
  return {};
}

// Every batched operand must name the batch by one letter, which the result keeps.
std::string einsum(const Node& node, const BatchPlaces& inputs) {
  std::string equation = node.attributes.string_or("equation", "");
  std::erase(equation, ' ');
  const size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos)
    return "its equation does not name the batch";
  char letter = 0;
  size_t at = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t end = std::min(equation.find(',', at), arrow);
    const std::string term = equation.substr(at, end - at);
    at = end + 1;
    if (!inputs[i]) continue;
    const auto axis = static_cast<size_t>(inputs[i]->axis);
    if (axis >= term.size() || (letter != 0 && term[axis] != letter))
      return "its operands have the batch on different letters";
    letter = term[axis];
  }
  if (equation.find(letter, arrow) == std::string::npos) return "sums over the batch";
  return {};
}

// Parameters per channel on the axis of the batch would differ from item to item.
std::string quantization(const Graph& graph, const Node& node, const BatchPlaces& inputs) {
  if (has_batch(inputs, 1) || has_batch(inputs, 2)) return "its scales differ between items";
  const int64_t scale_rank = rank_of(graph, node.inputs[1]);
  if (scale_rank == 0) return {};
  const Tensor* scale = graph.constant(node.inputs[1]);
  if (scale != nullptr && scale->numel() == 1) return {};
  return not_along(node.attributes.int_or("axis", 1), graph, node, inputs);
}

std::string cumulative(const Graph& graph, const Node& node, const BatchPlaces& inputs) {
  const Tensor* axis = graph.constant(node.input(1));
  if (axis == nullptr || axis->numel() != 1) return "its axis is computed";
  return not_along(axis->to_int64()[0], graph, node, inputs);
}

std::string mean_variance(const Graph& graph, const Node& node, const BatchPlaces& inputs) {
  for (const int64_t axis : node.attributes.ints_or("axes", {0, 2, 3}))
    if (auto why = not_along(axis, graph, node, inputs); !why.empty()) return why;
  return {};
}

}  // namespace

std::string mixes_batch(const Graph& graph, const Node& node, const BatchPlaces& inputs) {
  const Attributes& attributes = node.attributes;
  switch (node.kind) {
    case OpKind::kMaxPool:
      if (node.output(1).valid()) return "its indices count through the whole batch";
      return leading_only(node, inputs);
    case OpKind::kBatchNormalization:
      if (attributes.int_or("training_mode", 0) != 0) return "averages over the batch";
      return leading_only(node, inputs);
    case OpKind::kConv:
    case OpKind::kConvInteger:
    case OpKind::kConvTranspose:
    case OpKind::kDeformConv:
    case OpKind::kFusedConv:
    case OpKind::kQLinearConv:
    case OpKind::kAveragePool:
    case OpKind::kLpPool:
    case OpKind::kGlobalAveragePool:
    case OpKind::kGlobalLpPool:
    case OpKind::kGlobalMaxPool:
    case OpKind::kQLinearAveragePool:
    case OpKind::kQLinearGlobalAveragePool:
    case OpKind::kInstanceNormalization:
    case OpKind::kGroupNormalization:
    case OpKind::kLRN:
    case OpKind::kResize:
    case OpKind::kDepthToSpace:
    case OpKind::kSpaceToDepth:
    case OpKind::kCrop:
    case OpKind::kImageScaler:
    case OpKind::kGridSample:
    case OpKind::kAffineGrid:
    case OpKind::kCol2Im:
    case OpKind::kAttention: return leading_only(node, inputs);
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
    case OpKind::kHardmax:
    case OpKind::kLpNormalization:
    case OpKind::kQLinearSoftmax:
    case OpKind::kTopK: return not_along(attributes.int_or("axis", -1), graph, node, inputs);
    case OpKind::kArgMax:
    case OpKind::kArgMin:
    case OpKind::kConcat:
    case OpKind::kSplit:
    case OpKind::kGatherElements:
    case OpKind::kScatterElements:
      return not_along(attributes.int_or("axis", 0), graph, node, inputs);
    case OpKind::kGather:
      // Data differing between items is judged on its axis, indices may have any shape.
      return not_along(attributes.int_or("axis", 0), graph, node,
                       {inputs.empty() ? std::nullopt : inputs[0]});
    case OpKind::kGatherND:
      if (has_batch(inputs, 0) && (attributes.int_or("batch_dims", 0) < 1 || inputs[0]->axis != 0))
        return "gathers across the batch";
      return {};
    case OpKind::kCumSum: return cumulative(graph, node, inputs);
    case OpKind::kLayerNormalization:
    case OpKind::kRMSNormalization:
      return not_behind(attributes.int_or("axis", -1), graph, node, inputs);
    case OpKind::kSkipLayerNormalization:
    case OpKind::kDet: return not_behind(-1, graph, node, inputs);
    case OpKind::kTrilu: return not_behind(-2, graph, node, inputs);
    case OpKind::kMeanVarianceNormalization: return mean_variance(graph, node, inputs);
    case OpKind::kMatMul:
    case OpKind::kMatMulInteger: return matrix_product(graph, node, inputs, 0, 1);
    case OpKind::kQLinearMatMul: return matrix_product(graph, node, inputs, 0, 3);
    case OpKind::kGemm:
    case OpKind::kFusedGemm: return gemm(node, inputs);
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: return recurrent(node, inputs);
    case OpKind::kEinsum: return einsum(node, inputs);
    case OpKind::kQuantizeLinear:
    case OpKind::kDequantizeLinear: return quantization(graph, node, inputs);
    case OpKind::kDynamicQuantizeLinear: return "takes one scale for the whole batch";
    case OpKind::kRange: return "counts the items of the batch";
    // Judged by their shapes.
    case OpKind::kReshape:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kTranspose:
    case OpKind::kExpand:
    case OpKind::kTile:
    case OpKind::kSlice:
    case OpKind::kPad:
    case OpKind::kShape:
    case OpKind::kSize:
    case OpKind::kConstantOfShape:
    case OpKind::kOneHot:
    case OpKind::kPRelu:
    case OpKind::kReduceL1:
    case OpKind::kReduceL2:
    case OpKind::kReduceLogSum:
    case OpKind::kReduceLogSumExp:
    case OpKind::kReduceMax:
    case OpKind::kReduceMean:
    case OpKind::kReduceMin:
    case OpKind::kReduceProd:
    case OpKind::kReduceSum:
    case OpKind::kReduceSumSquare: return {};
    default: break;
  }
  if (op_row(node.kind).channels == ChannelFlow::kElementwise) return {};
  return "it is not known whether it keeps the items of a batch apart";
}

std::vector<BatchPlace> reshaped_places(const Dims& from, const BatchPlace& place, const Dims& to,
                                        int64_t batch) {
  const auto at = static_cast<size_t>(place.axis);
  const Dim before = multiply(product(std::span(from).first(at)), Dim::of(place.outer));
  if (!before.known()) return {};
  struct Candidate {
    BatchPlace place;
    int64_t score = 0;  // less is likelier
  };
  std::vector<Candidate> candidates;
  Dim passed = Dim::of(1);
  for (size_t i = 0; i < to.size(); passed = multiply(passed, to[i]), ++i) {
    if (!passed.known() || passed.size == 0 || before.size % passed.size != 0) continue;
    const int64_t outer = before.size / passed.size;
    int64_t step = 0;
    if (__builtin_mul_overflow(outer, batch, &step) || !to[i].known() || to[i].size == 0 ||
        to[i].size % step != 0)
      continue;
    const auto axis = static_cast<int64_t>(i);
    const BatchPlace found{axis, outer, to[i].size / step};
    const bool tail_stays =
        std::equal(from.begin() + place.axis + 1, from.end(), to.begin() + axis + 1, to.end());
    const bool head_stays = i == at && std::equal(from.begin(), from.begin() + place.axis,
                                                  to.begin(), to.begin() + axis);
    const int64_t distance = std::abs(axis - place.axis);
    candidates.push_back({found, (found.is_whole_axis() ? 0 : 10000) +
                                     (tail_stays || head_stays ? 0 : 1000) + distance});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  std::vector<BatchPlace> places;
  for (const Candidate& candidate : candidates) places.push_back(candidate.place);
  return places;
}

}  // namespace lathe

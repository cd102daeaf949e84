#include "train/channel_place.h"

#include <algorithm>

#include "ops/op_row.h"

namespace lathe {
namespace {

using K = OpKind;

constexpr int kMaxNodes = 32;  // that are looked at

enum class Layout : uint8_t { kSecond, kLast, kUnknown, kInputs, kMoved };

Layout layout_of(const Node& node) {
  switch (node.kind) {
    case K::kConv:
    case K::kFusedConv:
    case K::kConvTranspose:
    case K::kDeformConv:
    case K::kQLinearConv:
    case K::kBatchNormalization:
    case K::kInstanceNormalization:
    case K::kGroupNormalization:
    case K::kLRN:
    case K::kAveragePool:
    case K::kMaxPool:
    case K::kLpPool:
    case K::kGlobalAveragePool:
    case K::kGlobalMaxPool:
    case K::kDepthToSpace:
    case K::kSpaceToDepth:
    case K::kResize: return Layout::kSecond;
    case K::kMatMul:
    case K::kGemm:
    case K::kFusedMatMul:
    case K::kFusedGemm:
    case K::kLayerNormalization:
    case K::kSkipLayerNormalization:
    case K::kRMSNormalization:
    case K::kBiasGelu:
    case K::kFastGelu:
    case K::kGather:
    case K::kAttention:
    case K::kLSTM:
    case K::kGRU:
    case K::kRNN: return Layout::kLast;
    case K::kTranspose: return Layout::kMoved;
    case K::kIdentity:
    case K::kDropout:
    case K::kCast:
    case K::kConcat:
    case K::kPRelu:
    case K::kPad: return Layout::kInputs;
    default:
      return op_row(node.kind).channels == ChannelFlow::kElementwise ? Layout::kInputs
                                                                     : Layout::kUnknown;
  }
}

// Of a value of the same rank; invalid: there is none.
ValueId computed_input(const Graph& graph, const Node& node, int64_t rank) {
  for (const ValueId input : node.inputs) {
    if (!input.valid() || !graph.value(input).producer.valid()) continue;
    const auto& dims = graph.value(input).type.dims;
    if (!dims || static_cast<int64_t>(dims->size()) == rank) return input;
  }
  return {};
}

int64_t axis_of(const Graph& graph, ValueId value, int64_t rank, int nodes_left) {
  const int64_t unknown = rank == 3 ? 2 : 1;
  const NodeId producer = value.valid() ? graph.value(value).producer : NodeId{};
  if (!producer.valid() || nodes_left == 0) return unknown;
  const Node& node = graph.node(producer);
  switch (layout_of(node)) {
    case Layout::kSecond: return 1;
    case Layout::kLast: return rank - 1;
    case Layout::kUnknown: return unknown;
    case Layout::kInputs:
      return axis_of(graph, computed_input(graph, node, rank), rank, nodes_left - 1);
    case Layout::kMoved: break;
  }
  const int64_t before = axis_of(graph, node.inputs[0], rank, nodes_left - 1);
  const std::vector<int64_t> order = node.attributes.ints_or("perm", {});
  if (order.empty()) return rank - 1 - before;
  const auto place = std::find(order.begin(), order.end(), before);
  return place == order.end() ? unknown : place - order.begin();
}

}  // namespace

int64_t channel_axis(const Graph& graph, ValueId value, int64_t rank) {
  return std::clamp<int64_t>(axis_of(graph, value, rank, kMaxNodes), 0, rank - 1);
}

}  // namespace lathe

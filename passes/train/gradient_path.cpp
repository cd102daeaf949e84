#include "train/gradient_path.h"

#include <algorithm>
#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

using K = OpKind;

bool is_float(const Graph& graph, ValueId id) {
  const DType dtype = graph.value(id).type.dtype;
  return dtype == DType::kUndefined || is_floating(dtype);
}

template <class Visit>
void for_each_read(const Node& node, Visit visit) {
  for (const ValueId input : node.inputs)
    if (input.valid()) visit(input);
  for (const Subgraph& subgraph : node.subgraphs)
    for (const ValueId capture : subgraph.captures) visit(capture);
}

// Values from which a gradient of `outputs` comes back.
std::set<ValueId> reached_backwards(const Graph& graph, const std::vector<NodeId>& order,
                                    std::span<const ValueId> outputs) {
  std::set<ValueId> reached(outputs.begin(), outputs.end());
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.node(*it);
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                    [&](ValueId id) { return reached.contains(id); });
    if (!wanted || !is_differentiable(node)) continue;
    for_each_read(node, [&](ValueId input) {
      if (is_float(graph, input)) reached.insert(input);
    });
  }
  return reached;
}

// Values computed from `sources` in any way but by asking for their shape.
std::set<ValueId> computed_from(const Graph& graph, const std::vector<NodeId>& order,
                                const std::vector<ValueId>& sources) {
  std::set<ValueId> found(sources.begin(), sources.end());
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (node.kind == K::kShape || node.kind == K::kSize) continue;
    bool depends = false;
    for_each_read(node, [&](ValueId input) { depends = depends || found.contains(input); });
    if (!depends) continue;
    for (const ValueId output : node.outputs)
      if (output.valid()) found.insert(output);
  }
  return found;
}

}  // namespace

bool is_differentiable(OpKind kind) {
  switch (kind) {
    case K::kAbs:
    case K::kAcos:
    case K::kAcosh:
    case K::kAdd:
    case K::kAffine:
    case K::kAffineGrid:
    case K::kAsin:
    case K::kAsinh:
    case K::kAtan:
    case K::kAtanh:
    case K::kAttention:
    case K::kAveragePool:
    case K::kBatchNormalization:
    case K::kBiasGelu:
    case K::kCast:
    case K::kCastLike:
    case K::kCelu:
    case K::kCenterCropPad:
    case K::kClip:
    case K::kCompress:
    case K::kConcat:
    case K::kConv:
    case K::kConvTranspose:
    case K::kCos:
    case K::kCosh:
    case K::kCrop:
    case K::kCumSum:
    case K::kDepthToSpace:
    case K::kDet:
    case K::kDiv:
    case K::kDropout:
    case K::kEinsum:
    case K::kElu:
    case K::kErf:
    case K::kExp:
    case K::kExpand:
    case K::kFastGelu:
    case K::kFlatten:
    case K::kFusedConv:
    case K::kFusedGemm:
    case K::kFusedMatMul:
    case K::kGRU:
    case K::kGather:
    case K::kGatherElements:
    case K::kGatherND:
    case K::kGelu:
    case K::kGemm:
    case K::kGlobalAveragePool:
    case K::kGlobalLpPool:
    case K::kGlobalMaxPool:
    case K::kGridSample:
    case K::kGroupNormalization:
    case K::kHardSigmoid:
    case K::kHardSwish:
    case K::kIdentity:
    case K::kIf:
    case K::kImageScaler:
    case K::kInstanceNormalization:
    case K::kLRN:
    case K::kLSTM:
    case K::kLayerNormalization:
    case K::kLeakyRelu:
    case K::kLog:
    case K::kLogSoftmax:
    case K::kLoop:
    case K::kLpNormalization:
    case K::kLpPool:
    case K::kMatMul:
    case K::kMax:
    case K::kMaxPool:
    case K::kMean:
    case K::kMeanVarianceNormalization:
    case K::kMin:
    case K::kMish:
    case K::kMul:
    case K::kNeg:
    case K::kNegativeLogLikelihoodLoss:
    case K::kPRelu:
    case K::kPad:
    case K::kPow:
    case K::kQuickGelu:
    case K::kRMSNormalization:
    case K::kRNN:
    case K::kReciprocal:
    case K::kReduceL1:
    case K::kReduceL2:
    case K::kReduceLogSum:
    case K::kReduceLogSumExp:
    case K::kReduceMax:
    case K::kReduceMean:
    case K::kReduceMin:
    case K::kReduceProd:
    case K::kReduceSum:
    case K::kReduceSumSquare:
    case K::kRelu:
    case K::kReshape:
    case K::kResize:
    case K::kReverseSequence:
    case K::kRotaryEmbedding:
    case K::kScan:
    case K::kScatterElements:
    case K::kScatterND:
    case K::kSelu:
    case K::kShrink:
    case K::kSigmoid:
    case K::kSin:
    case K::kSinh:
    case K::kSkipLayerNormalization:
    case K::kSlice:
    case K::kSoftmax:
    case K::kSoftmaxCrossEntropyLoss:
    case K::kSoftplus:
    case K::kSoftsign:
    case K::kSpaceToDepth:
    case K::kSplit:
    case K::kSqrt:
    case K::kSqueeze:
    case K::kSub:
    case K::kSum:
    case K::kSwish:
    case K::kTan:
    case K::kTanh:
    case K::kThresholdedRelu:
    case K::kTile:
    case K::kTopK:
    case K::kTranspose:
    case K::kTrilu:
    case K::kUnsqueeze:
    case K::kWhere: return true;
    default: return false;
  }
}

bool is_differentiable(const Node& node) {
  if (!is_differentiable(node.kind)) return false;
  if (node.kind == K::kCast) {
    const int64_t to = node.attributes.int_or("to", 0);
    return to > 0 && to < kDTypeCount && is_floating(static_cast<DType>(to));
  }
  if (node.kind == K::kScatterElements || node.kind == K::kScatterND) {
    const std::string reduction = node.attributes.string_or("reduction", "none");
    return reduction == "none" || reduction == "add";
  }
  return true;
}

GradientPath trace_gradients(const Graph& graph, std::span<const ValueId> outputs,
                             std::span<const ValueId> parameters) {
  const std::vector<NodeId> order = graph.order();
  const std::set<ValueId> reached = reached_backwards(graph, order, outputs);
  GradientPath path;
  for (const ValueId parameter : parameters)
    if (!reached.contains(parameter)) path.unreached.push_back(parameter);
  if (path.unreached.empty()) return path;
  const std::set<ValueId> lost = computed_from(graph, order, path.unreached);
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (is_differentiable(node)) continue;
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                    [&](ValueId output) { return reached.contains(output); });
    bool depends = false;
    for_each_read(node, [&](ValueId input) { depends = depends || lost.contains(input); });
    if (wanted && depends) path.stops.push_back(id);
  }
  return path;
}

}  // namespace lathe

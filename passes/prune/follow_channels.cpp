// The walk over a graph, and the table of rules.
#include <fmt/format.h>

#include <set>

#include "ir/error.h"
#include "ops/op_row.h"
#include "prune/channel_flow.h"

namespace lathe {
namespace {

constexpr std::string_view kOutput = "output ";

bool is_quantized(OpKind kind) {
  switch (kind) {
    case OpKind::kQuantizeLinear:
    case OpKind::kDequantizeLinear:
    case OpKind::kDynamicQuantizeLinear:
    case OpKind::kConvInteger:
    case OpKind::kMatMulInteger:
    case OpKind::kMatMulIntegerToFloat:
    case OpKind::kDynamicQuantizeMatMul:
    case OpKind::kQLinearConv:
    case OpKind::kQLinearMatMul:
    case OpKind::kQGemm:
    case OpKind::kQLinearAdd:
    case OpKind::kQLinearAveragePool:
    case OpKind::kQLinearConcat:
    case OpKind::kQLinearGlobalAveragePool:
    case OpKind::kQLinearLeakyRelu:
    case OpKind::kQLinearMul:
    case OpKind::kQLinearSigmoid:
    case OpKind::kQLinearSoftmax: return true;
    default: return false;
  }
}

ChannelFlows walk(const Graph& graph, const std::vector<NodeId>& order, const CutChoices& choices) {
  ChannelFlows flows;
  for (const NodeId id : order) {
    FlowCall call(graph, id, flows, choices);
    const FlowRule rule = flow_rule(call.node.kind);
    if (rule != nullptr) rule(call);
    call.finish();
    for (const Subgraph& body : call.node.subgraphs)
      for (const ValueId outer : body.captures) {
        const Dims* dims = graph.value(outer).type.dims ? &*graph.value(outer).type.dims : nullptr;
        for (size_t axis = 0; dims != nullptr && axis < dims->size(); ++axis)
          call.block(flows.at(outer, static_cast<int64_t>(axis)),
                     fmt::format("a body of {} reads it", call.label()));
      }
  }
  for (const ValueId output : graph.outputs()) {
    if (static_cast<size_t>(output.index) >= flows.axes.size()) continue;
    const std::string reason =
        fmt::format("{}{} of the model", kOutput, escape_untrusted(graph.value(output).name));
    for (const Positions& positions : flows.axes[static_cast<size_t>(output.index)])
      if (positions) flows.atoms.block(*positions, reason);
  }
  return flows;
}

// Positions of producers that can be removed: what the choices are judged by.
size_t free_positions(const ChannelFlows& flows) {
  size_t count = 0;
  for (const Producer& producer : flows.producers) {
    std::set<Atom> roots;
    size_t positions = 0;
    for (const Atom atom : *producer.atoms) {
      const Atom root = flows.atoms.find(atom);
      if (!flows.atoms.blocked(root).empty()) continue;
      roots.insert(root);
      ++positions;
    }
    // A single channel cannot be removed.
    if (roots.size() > 1) count += positions;
  }
  return count;
}

// A cut is worth another choice when channels behind it are blocked or have all become one.
bool is_stuck(const ChannelFlows& flows, const CutAxis& cut) {
  std::set<Atom> roots;
  for (const Atom atom : *cut.atoms) {
    if (atom == kNoAtom) continue;
    const Atom root = flows.atoms.find(atom);
    if (!flows.atoms.blocked(root).empty()) return true;
    roots.insert(root);
  }
  return roots.size() == 1;
}

}  // namespace

bool is_model_output(const ChannelGroup& group) { return group.blocked.starts_with(kOutput); }

std::string FlowCall::untaken_reason() const {
  if (node.kind == OpKind::kOpaque) return fmt::format("{} is not known", label());
  if (is_quantized(node.kind))
    return fmt::format("{}: the model is quantized; prune first, then quantize", label());
  if (!node.subgraphs.empty()) return fmt::format("a body of {} reads it", label());
  switch (node.kind) {
    case OpKind::kLayerNormalization:
    case OpKind::kGroupNormalization:
    case OpKind::kSkipLayerNormalization:
    case OpKind::kRMSNormalization:
    case OpKind::kLpNormalization:
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
    case OpKind::kHardmax:
      return fmt::format("{} normalizes over it: removal would change the others", label());
    default: return fmt::format("{} mixes its channels or cannot be followed", label());
  }
}

ChannelFlows follow_channels(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  CutChoices choices;
  ChannelFlows best = walk(graph, order, choices);
  constexpr int kRounds = 4;
  ChannelFlows last = best;
  size_t best_free = free_positions(best);
  for (int round = 0; round < kRounds; ++round) {
    bool changed = false;
    for (const CutAxis& cut : last.cuts) {
      if (!is_stuck(last, cut) || cut.taken + 1 >= cut.options) continue;
      choices[cut.node.index] = cut.taken + 1;
      changed = true;
    }
    if (!changed) break;
    last = walk(graph, order, choices);
    const size_t free = free_positions(last);
    if (free <= best_free) continue;
    best_free = free;
    best = last;
  }
  return best;
}

FlowRule flow_rule(OpKind kind) {
  switch (kind) {
    case OpKind::kConv:
    case OpKind::kFusedConv: return flow::conv;
    case OpKind::kConvTranspose: return flow::conv_transpose;
    case OpKind::kGemm:
    case OpKind::kFusedGemm: return flow::gemm;
    case OpKind::kMatMul: return flow::matmul;
    case OpKind::kLSTM: return flow::lstm;
    case OpKind::kGRU: return flow::gru;
    case OpKind::kRNN: return flow::rnn;
    case OpKind::kAttention: return flow::attention;
    case OpKind::kPRelu: return flow::broadcast;
    case OpKind::kClip:
    case OpKind::kCastLike:
    case OpKind::kDropout: return flow::first_only;
    case OpKind::kBatchNormalization: return flow::batch_normalization;
    case OpKind::kInstanceNormalization: return flow::instance_normalization;
    case OpKind::kLayerNormalization:
    case OpKind::kRMSNormalization: return flow::behind_axis;
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
    case OpKind::kHardmax:
    case OpKind::kLpNormalization:
    case OpKind::kTopK: return flow::all_but_axis;
    case OpKind::kLRN: return flow::all_but_channels;
    case OpKind::kMeanVarianceNormalization: return flow::mean_variance;
    case OpKind::kCumSum: return flow::cumulative;
    case OpKind::kGroupNormalization: return flow::batch_only;
    case OpKind::kAveragePool:
    case OpKind::kMaxPool:
    case OpKind::kLpPool:
    case OpKind::kGlobalAveragePool:
    case OpKind::kGlobalMaxPool:
    case OpKind::kGlobalLpPool:
    case OpKind::kGridSample:
    case OpKind::kCrop: return flow::pool;
    case OpKind::kReduceL1:
    case OpKind::kReduceL2:
    case OpKind::kReduceLogSum:
    case OpKind::kReduceLogSumExp:
    case OpKind::kReduceMax:
    case OpKind::kReduceMean:
    case OpKind::kReduceMin:
    case OpKind::kReduceProd:
    case OpKind::kReduceSum:
    case OpKind::kReduceSumSquare: return flow::reduce;
    case OpKind::kArgMax:
    case OpKind::kArgMin: return flow::arg_reduce;
    case OpKind::kTrilu: return flow::trilu;
    case OpKind::kReverseSequence: return flow::reverse_sequence;
    case OpKind::kReshape:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze: return flow::reshape;
    case OpKind::kTranspose: return flow::transpose;
    case OpKind::kDepthToSpace: return flow::depth_to_space;
    case OpKind::kSpaceToDepth: return flow::space_to_depth;
    case OpKind::kConcat: return flow::concat;
    case OpKind::kSplit: return flow::split;
    case OpKind::kSlice: return flow::slice;
    case OpKind::kGather: return flow::gather;
    case OpKind::kPad: return flow::pad;
    case OpKind::kConstantOfShape: return flow::constant_of_shape;
    case OpKind::kExpand: return flow::expand;
    case OpKind::kTile: return flow::tile;
    case OpKind::kResize: return flow::resize;
    case OpKind::kShape: return flow::shape;
    default: break;
  }
  const bool elementwise = op_row(kind).channels == ChannelFlow::kElementwise;
  return elementwise && !is_quantized(kind) ? flow::broadcast : nullptr;
}

}  // namespace lathe

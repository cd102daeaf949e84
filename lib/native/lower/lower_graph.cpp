#include "lower/lower_graph.h"

#include <algorithm>

#include "ir/error.h"
#include "lower/improve_plan.h"
#include "lower/lowering.h"
#include "plan/step_order.h"

namespace lathe {
namespace {

using LowerNode = bool (*)(Lowering&, NodeId);

struct LowerRow {
  LowerNode lower;
  std::vector<OpKind> kinds;
};

LowerNode lowering_of(OpKind kind) {
  using enum OpKind;
  static const LowerRow rows[] = {
      {lower_convolution, {kConv, kConvTranspose}},
      {lower_matrix_product, {kGemm, kMatMul}},
      {lower_quantize, {kQuantizeLinear, kDequantizeLinear}},
      {lower_movement,
       {kIdentity, kFlatten, kReshape, kSqueeze, kUnsqueeze, kTranspose, kSlice, kSplit, kExpand,
        kTile, kGather, kDepthToSpace, kSpaceToDepth}},
      {lower_concat, {kConcat}},
      {lower_pad, {kPad}},
      {lower_pool, {kMaxPool, kAveragePool, kGlobalAveragePool, kGlobalMaxPool}},
      {lower_softmax, {kSoftmax, kLogSoftmax}},
      {lower_layer_norm, {kLayerNormalization, kInstanceNormalization}},
      {lower_reduce,
       {kReduceSum, kReduceMean, kReduceMax, kReduceMin, kReduceProd, kReduceSumSquare,
        kReduceL2}},
      {lower_resize, {kResize}},
      {lower_recurrent, {kLSTM, kGRU, kRNN, kOpaque}},
      {lower_dynamic_quantize, {kDynamicQuantizeLinear}},
      {lower_integer_matmul, {kMatMulInteger, kMatMulIntegerToFloat, kDynamicQuantizeMatMul}},
      {lower_cast, {kCast}},
  };
  for (const LowerRow& row : rows)
    if (std::ranges::find(row.kinds, kind) != row.kinds.end()) return row.lower;
  return lower_elementwise;
}

/// Reads a value whose size is unknown: only the interpreter can.
bool reads_slot(const Lowering& lowering, const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id.valid() && !lowering.graph.constant(id) && !lowering.shape(id);
  });
}

/// Plans have no arrays without elements; the interpreter knows what each op makes of them.
bool is_empty(const Lowering& lowering, const Node& node) {
  const auto empty = [&](ValueId id) {
    if (!id.valid() || lowering.graph.constant(id)) return false;
    const auto shape = lowering.shape(id);
    return shape && element_count(*shape) == 0;
  };
  return std::any_of(node.inputs.begin(), node.inputs.end(), empty) ||
         std::any_of(node.outputs.begin(), node.outputs.end(), empty);
}

void lower_inputs(Lowering& lowering) {
  const Graph& graph = lowering.graph;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const ValueId id = graph.inputs()[i];
    const auto shape = lowering.shape(id);
    if (!shape) {
      lowering.build.plan().inputs.push_back({{}, lowering.add_slot(id)});
      continue;
    }
    const ViewId view =
        lowering.build.add_external(graph.value(id).name, BlockPlace::kInput,
                                    static_cast<int64_t>(i), graph.value(id).type.dtype, *shape);
    lowering.set_real(id, view);
    lowering.build.plan().inputs.push_back({view, -1});
  }
}

/// The value where the caller wants it: where it is made, if nothing speaks against it.
ViewId output_view(Lowering& lowering, ValueId id, int64_t index) {
  PlanBuilder& build = lowering.build;
  const ViewId made = lowering.dense(id);
  const PlanView& view = build.view(made);
  PlanBlock& block = build.plan().blocks[static_cast<size_t>(view.block)];
  const int64_t bytes = element_count(view.shape) * (dtype_bits(view.dtype) / 8);
  // Products read their input some bytes beyond its end.
  if (block.place == BlockPlace::kArena && view.offset == 0 && block.bytes == bytes) {
    block.place = BlockPlace::kOutput;
    block.offset = index;
    return made;
  }
  const ViewId output =
      build.add_external(view.name, BlockPlace::kOutput, index, view.dtype, view.shape);
  build.add_step({}, -1, CopyStep{made, output});
  return output;
}

void lower_outputs(Lowering& lowering) {
  const Graph& graph = lowering.graph;
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const ValueId id = graph.outputs()[i];
    if (graph.constant(id)) lowering.hold_constant(id);
    if (lowering.slot(id) >= 0)
      lowering.build.plan().outputs.push_back({{}, lowering.slot(id)});
    else
      lowering.build.plan().outputs.push_back(
          {output_view(lowering, id, static_cast<int64_t>(i)), -1});
  }
}

// A vector that grows is there twice while it does.
void make_room_for_constants(Lowering& lowering) {
  size_t bytes = 0;
  for (const ValueId id : lowering.graph.value_ids())
    if (const Tensor* constant = lowering.graph.constant(id))
      bytes += block_aligned(constant->bytes().size());
  lowering.build.plan().constants.own().reserve(bytes);
}

}  // namespace

namespace {

// Branches one after the other where that needs clearly less memory. What depends on slots has its
// order from the graph.
void order_branches(NativePlan& plan) {
  constexpr size_t kMostSteps = 400;
  constexpr int64_t kLeastGain = 20;  // a twentieth
  if (plan.steps.size() > kMostSteps || !plan.slots.empty()) return;
  const std::vector<size_t> order =
      order_for_memory(plan, std::vector<int64_t>(plan.steps.size()));
  if (std::ranges::is_sorted(order)) return;
  NativePlan other = reordered(plan, order);
  place_blocks(other);
  if (other.arena_bytes < plan.arena_bytes - plan.arena_bytes / kLeastGain)
    plan = std::move(other);
}

}  // namespace

LoweredGraph lower_graph(const Graph& graph, const LowerOptions& options) {
  Lowering lowering(graph, options);
  make_room_for_constants(lowering);
  lower_inputs(lowering);
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (lowering.is_finished(id) || lowering.roots.is_function(id)) continue;
    if (reads_slot(lowering, node) || is_empty(lowering, node) || !node.subgraphs.empty() ||
        !lowering_of(node.kind)(lowering, id))
      lowering.add_to_partition(id);
  }
  lowering.close_partition();
  lower_outputs(lowering);
  NativePlan& plan = lowering.build.plan();
  erase_unread_steps(plan);
  fold_tables(plan);
  fold_sums(plan);
  // After the tables are gone that stood between a product and the array it is a part of.
  write_in_place(plan);
  place_copies(plan);
  place_blocks(plan);
  if (!options.compact) order_branches(plan);
  order_constants(plan);  // after the tables have joined them
  plan.constants.share();
  return {std::move(lowering.build.plan()), std::move(lowering.partitions)};
}

}  // namespace lathe

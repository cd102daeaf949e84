#include "graph/optimize_graph.h"

#include <algorithm>
#include <iterator>

#include "graph/graph_passes.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "recognize/recognize_patterns.h"

namespace lathe {

bool is_arithmetic_pass(std::string_view name) {
  // Passes that round otherwise than the nodes they replace. All others only move, drop or join
  // what computes the same numbers; flush_denormal_constants, too, as what runs them here flushes.
  constexpr std::string_view kArithmetic[] = {
      "fuse_batch_norm",
      "fuse_channel_affine",
      "fuse_constant_chains",
      "fuse_matmul_add",
      "fuse_pad",
      "recognize_attention",
      "remove_constant_channels",
      "merge_parallel_matmuls",
      "recognize_focus",
      "recognize_gelu",
      "recognize_softmax",
      "recognize_hard_sigmoid",
      "recognize_swish",
      "recognize_layer_norm",
      "recognize_hard_swish",
  };
  return std::find(std::begin(kArithmetic), std::end(kArithmetic), name) != std::end(kArithmetic);
}

void optimize_graph(Graph& graph, Pipeline& pipeline) {
  constexpr int kMaxRounds = 16;
  for (int round = 0; round < kMaxRounds; ++round) {
    // Shapes first: nearly every pass asks for them.
    infer_shapes(graph);
    int changes = 0;
    const auto run = [&](const char* name, int (*pass)(Graph&)) {
      changes += pipeline.run(name, [&] { return pass(graph); });
    };
    // Identities first: they stand between the nodes that the patterns below look for.
    run("eliminate_identities", eliminate_identities);
    run("eliminate_neutral_operations", eliminate_neutral_operations);
    // Before folding: conditions and axes of a body often stand outside.
    run("copy_constants_into_bodies", copy_constants_into_bodies);
    // Before folding: folding finishes the arithmetic on the dimensions that this makes constant.
    run("fold_shape_chains", fold_shape_chains);
    changes += pipeline.run("fold_constants", [&] { return fold_constants(graph); });
    // After folding: what is left of a target depends on sizes that nobody knows yet.
    run("fold_reshape_targets", fold_reshape_targets);
    // After folding: that is what makes conditions constant. The branch's nodes meet every pass
    // below in this round.
    run("inline_constant_if", inline_constant_if);
    // Before fusions that want a single reader: equal nodes become one, unread outputs go.
    run("eliminate_common_subexpressions", eliminate_common_subexpressions);
    run("remove_unused_outputs", remove_unused_outputs);
    run("drop_zero_states", drop_zero_states);
    run("eliminate_redundant_casts", eliminate_redundant_casts);
    run("cancel_quantize_dequantize", cancel_quantize_dequantize);
    run("gather_integers", gather_integers);
    // Before the fusions: they would absorb the scalars that the patterns are known by.
    changes += recognize_patterns(graph, pipeline);
    // Neighbours before distance: what meets already need not be pushed.
    run("fuse_consecutive_transposes", fuse_consecutive_transposes);
    run("push_transposes", push_transposes);
    // Just before the reshapes: a Transpose becomes one where it has such a neighbour.
    run("replace_trivial_transposes", replace_trivial_transposes);
    run("fuse_consecutive_reshapes", fuse_consecutive_reshapes);
    run("fuse_reduce_squeeze", fuse_reduce_squeeze);
    run("fuse_consecutive_slices", fuse_consecutive_slices);
    run("fuse_consecutive_concats", fuse_consecutive_concats);
    // After the layout passes: Transposes and Reshapes no longer part producers from what follows.
    run("fuse_matmul_add", fuse_matmul_add);
    // As in simplify(); after fuse_matmul_add, so that a Gemm takes its scale in, too.
    run("fuse_pad", fuse_pad);
    run("fuse_batch_norm", fuse_batch_norm);
    run("fuse_channel_affine", fuse_channel_affine);
    // After the producers took in what they can: the rest is joined among itself.
    run("fuse_constant_chains", fuse_constant_chains);
    run("merge_parallel_matmuls", merge_parallel_matmuls);
    // After the fusions: they bring activations next to each other.
    run("merge_activations", merge_activations);
    // After the fusions: batch norms and pads are a part of what has constant channels then.
    run("remove_constant_channels", remove_constant_channels);
    // After everything that makes constants: folding leaves denormal numbers, too.
    run("flush_denormal_constants", flush_denormal_constants);
    // Behind it, as constants may differ in those alone; the next round finds more equal nodes.
    run("deduplicate_constants", deduplicate_constants);
    // Last: fusions leave their old parameters behind.
    run("eliminate_dead_nodes", eliminate_dead_nodes);
    if (changes == 0) break;
  }
  infer_shapes(graph);
}

}  // namespace lathe

#include "compile/optimize_graph.h"

#include "compile/compile_passes.h"
#include "ops/op_row.h"
#include "passes/passes.h"

namespace lathe {

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
    // Before folding: folding finishes the arithmetic on the dimensions that this makes constant.
    run("fold_shape_chains", fold_shape_chains);
    changes += pipeline.run("fold_constants", [&] { return fold_constants(graph); });
    // After folding: that is what makes conditions constant. The branch's nodes meet every pass
    // below in this round.
    run("inline_constant_if", inline_constant_if);
    // Before fusions that want a single reader: equal nodes become one, unread outputs go.
    run("eliminate_common_subexpressions", eliminate_common_subexpressions);
    run("remove_unused_outputs", remove_unused_outputs);
    run("eliminate_redundant_casts", eliminate_redundant_casts);
    run("cancel_quantize_dequantize", cancel_quantize_dequantize);
    // Neighbours before distance: what meets already need not be pushed.
    run("fuse_consecutive_transposes", fuse_consecutive_transposes);
    run("push_transposes", push_transposes);
    run("fuse_consecutive_reshapes", fuse_consecutive_reshapes);
    // After the layout passes: Transposes and Reshapes no longer part producers from what follows.
    run("fuse_matmul_add", fuse_matmul_add);
    // As in simplify(); after fuse_matmul_add, so that a Gemm takes its scale in, too.
    run("fuse_pad", fuse_pad);
    run("fuse_batch_norm", fuse_batch_norm);
    run("fuse_channel_affine", fuse_channel_affine);
    // After the fusions: they bring activations next to each other.
    run("merge_activations", merge_activations);
    // After everything that makes constants; the next round finds more equal nodes by it.
    run("deduplicate_constants", deduplicate_constants);
    // Last: fusions leave their old parameters behind.
    run("eliminate_dead_nodes", eliminate_dead_nodes);
    if (changes == 0) break;
  }
  infer_shapes(graph);
}

}  // namespace lathe

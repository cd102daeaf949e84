#include "graph/simplify.h"

#include "ops/op_row.h"
#include "passes/passes.h"
#include "recognize/recognition_passes.h"

namespace lathe {

void simplify(Graph& graph, Pipeline& pipeline) {
  constexpr int kMaxRounds = 8;
  for (int round = 0; round < kMaxRounds; ++round) {
    // Shapes first: folding and identities ask for them.
    infer_shapes(graph);
    int changes = 0;
    changes += pipeline.run("eliminate_identities", [&] { return eliminate_identities(graph); });
    changes += pipeline.run("fold_constants", [&] { return fold_constants(graph); });
    // After shapes: the reader of old opsets writes a Softmax between Flatten and Reshape.
    changes += pipeline.run("recognize_flattened_softmax",
                            [&] { return recognize_flattened_softmax(graph); });
    // After folding: exporters hide pads and scales behind constant expressions.
    changes += pipeline.run("fuse_pad", [&] { return fuse_pad(graph); });
    changes += pipeline.run("fuse_batch_norm", [&] { return fuse_batch_norm(graph); });
    changes += pipeline.run("fuse_channel_affine", [&] { return fuse_channel_affine(graph); });
    changes += pipeline.run("deduplicate_constants", [&] { return deduplicate_constants(graph); });
    // Last: fusions leave their old parameters behind.
    changes += pipeline.run("eliminate_dead_nodes", [&] { return eliminate_dead_nodes(graph); });
    if (changes == 0) break;
  }
  infer_shapes(graph);
}

}  // namespace lathe

#include "recognize/recognize_patterns.h"

#include "recognize/recognition_passes.h"

namespace lathe {

int recognize_patterns(Graph& graph, Pipeline& pipeline) {
  int changes = 0;
  const auto run = [&](const char* name, int (*pass)(Graph&)) {
    changes += pipeline.run(name, [&] { return pass(graph); });
  };
  // Before attention, which looks for the Softmax itself.
  run("recognize_softmax", recognize_softmax);
  run("recognize_flattened_softmax", recognize_flattened_softmax);
  run("recognize_layer_norm", recognize_layer_norm);
  run("recognize_gelu", recognize_gelu);
  run("recognize_swish", recognize_swish);
  // HardSwish is also found as x times what this makes.
  run("recognize_hard_sigmoid", recognize_hard_sigmoid);
  run("recognize_hard_swish", recognize_hard_swish);
  run("recognize_attention", recognize_attention);
  run("recognize_focus", recognize_focus);
  return changes;
}

}  // namespace lathe

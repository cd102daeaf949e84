// A graph that was exported for one batch size becomes one for any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Which axis of a graph input or output counts the items of the batch.
struct BatchAxis {
  ValueId value;
  int64_t axis = 0;
};

/// A change that a node needs.
struct BatchEdit {
  enum class Kind : uint8_t {
    kConstant,  // input `input` becomes `constant`
    kReshape,   // the node becomes a Reshape of its first input to `constant`
    kDrop,      // input `input` goes: its default says the same for any batch
    kExpand,    // input `input`, one item on axis `axis`, is repeated for the batch
    kPatch,     // input `input` becomes `constant` with the batch in element `axis`
  };
  Kind kind = Kind::kConstant;
  NodeId node;
  size_t input = 0;
  Tensor constant;
  int64_t axis = 0;
  int64_t rank = 0;  // kExpand: of the input
  /// Where the batch can be read: size of axis `source_axis` of `source`, divided by `divisor` and,
  /// for a kPatch, multiplied by `factor`.
  ValueId source;
  int64_t source_axis = 0;
  int64_t divisor = 1;
  int64_t factor = 1;
  std::string what;  // "target 1x-1x80x80 becomes …", for reports
};

struct BatchPlan {
  int64_t batch = 1;              // the size that the graph was made for
  std::string symbol;             // what the dimension is called from now on
  std::vector<BatchAxis> inputs;  // that have a batch; the others are the same for all items
  std::vector<BatchAxis> outputs;
  std::vector<BatchEdit> edits;  // in the order of execution
  std::string refusal;           // why it cannot be done, naming the node; empty: it can
};

/// Derives which inputs have a batch and on which axis (0 where nothing speaks against it; the
/// state of a recurrent network has it on axis 1, a sample rate none), follows it through the graph
/// by running the shape rules at two batch sizes, and collects what fixes it. Items of a batch must
/// never meet: what sums, sorts or counts over the batch is a refusal. Shapes of `graph` must have
/// been inferred.
BatchPlan plan_dynamic_batch(const Graph& graph);

/// Executes the plan, then infers shapes. Returns the number of changes: edits, inputs and outputs
/// (0: the batch is free already). Throws Error (exit 3) with the plan's refusal.
int make_batch_dynamic(Graph& graph, const BatchPlan& plan);
int make_batch_dynamic(Graph& graph);

}  // namespace lathe

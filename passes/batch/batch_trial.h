// One attempt to follow the batch through a graph: the graph at two batch sizes, and what was
// decided.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "batch/batch_flow.h"
#include "batch/make_batch_dynamic.h"
#include "ops/op_row.h"

namespace lathe {

/// What the batch is multiplied by for the second inference: a prime that no layer size repeats.
constexpr int64_t kBatchFactor = 7;

/// Ends an attempt; says why, naming the node.
struct BatchRefused {
  std::string why;
};

/// Shape inference of one node after another, as infer_shapes() does it, on a graph under edit.
class StepwiseShapes {
 public:
  explicit StepwiseShapes(Graph the_graph);

  /// Types of the node's outputs from those of its inputs. Throws Error where they do not fit.
  void infer(NodeId id);
  /// The elements of a small integer tensor, where they are known.
  std::optional<Elements> elements(ValueId id) const;
  void set_elements(ValueId id, std::optional<Elements> elements);
  const std::optional<Dims>& dims(ValueId id) const { return graph.value(id).type.dims; }

  Graph graph;

 private:
  KnownElements known_;
};

/// Answers to ambiguous questions in the order in which they come up; the first one by default.
struct Decisions {
  std::vector<size_t> chosen;
  std::vector<size_t> options;

  size_t choose(size_t count) {
    options.push_back(count);
    if (chosen.size() < options.size()) chosen.push_back(0);
    return chosen[options.size() - 1];
  }
};

struct BatchTrial {
  BatchTrial(const Graph& graph, Decisions& the_decisions)
      : source(graph), narrow(graph), wide(graph), decisions(the_decisions) {}

  [[noreturn]] void refuse(NodeId id, const std::string& why) const;
  std::optional<BatchPlace> place(ValueId id) const;
  std::optional<std::vector<int64_t>> constant_ints(const Node& node, size_t input) const;
  BatchEdit edit_of(NodeId id, BatchEdit::Kind kind, size_t input, std::string what) const;
  /// Makes the change in the wide graph and notes it.
  void edit(BatchEdit change);
  /// Whether the node, as it now is in the wide graph, gives `wanted`.
  bool gives(NodeId id, const Dims& wanted);

  const Graph& source;
  StepwiseShapes narrow;  // at the batch that the graph was made for, never edited
  StepwiseShapes wide;    // at kBatchFactor times that batch, with the edits
  Decisions& decisions;
  std::map<ValueId, BatchPlace> places;
  BatchPlan plan;
};

/// Gives the inputs their batch: the first that looks like data has it, others may; what is open is
/// a decision. Refuses where no input could have one.
void place_batch_inputs(BatchTrial& trial);

/// Makes a node take any batch where its constant shapes, bounds, sizes or indices fix it: Reshape,
/// Squeeze, Gather, Expand, Tile, Slice, Resize. `from`: the batch in its first input.
void adapt_shape(BatchTrial& trial, NodeId id, const BatchPlace& from);

/// Likewise where what stands beside the batch fixes it: parts of a Concat, states of a recurrent
/// layer, constants with a row for each item.
void adapt_operands(BatchTrial& trial, NodeId id, const BatchPlaces& inputs);

}  // namespace lathe

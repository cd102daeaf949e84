// A graph run in segments that keep only what crosses their borders; backward computes a segment
// anew. Costs one more forward run of all segments but the last.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ir/graph.h"
#include "run/interpreter.h"

namespace lathe {

/// RunOptions with what their span refers to.
struct PreparedRun {
  std::vector<RuntimeValue> constants;
  RunOptions options;
};

/// What to run a part of the graph with; ValueIds and NodeIds are those of the whole graph, except
/// for the part's inputs. `again`: it was run before and is now computed anew, under autograd.
/// Parameters are made here, since they may depend on leaf tensors of their own.
using PrepareRun = std::function<PreparedRun(const Graph& part, bool again)>;

class CheckpointedRun {
 public:
  /// Copies the graph, cut by activation_segments(). Throws as Interpreter.
  explicit CheckpointedRun(const Graph& graph);

  size_t segments() const { return segments_.size(); }

  /// As Interpreter::run with gradients, to be called with autograd on. Leaf tensors that
  /// `prepare` brings in get their gradients in .grad by backward() (torch::autograd::grad does
  /// not see them). `prepare` is called within backward() too, so what it refers to and this object
  /// must live until then. Gradients are bit for bit those of a plain run, but for values with
  /// three or more readers and parameters that several segments read (another order of summation).
  std::vector<RuntimeValue> run(std::vector<RuntimeValue> inputs, const PrepareRun& prepare) const;

  struct Segment {
    std::vector<ValueId> reads;  // of the whole graph, in order of the interpreter's inputs
    std::vector<ValueId> makes;  // and of its outputs
    std::vector<ValueId> dying;  // not read by later segments
    std::unique_ptr<Interpreter> interpreter;
  };

 private:
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::vector<Segment> segments_;
};

}  // namespace lathe

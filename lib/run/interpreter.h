// Executes a Graph node by node with ATen. Calibration, per-node timing, comparison and
// sensitivity are hooks, not modes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

struct RunOptions {
  /// Called with every produced value of the top graph right after its node ran; may replace it.
  std::function<void(ValueId, RuntimeValue&)> on_value;
  /// Computes a node of the top graph in place of the op's own function; nullopt: not this one.
  /// Not asked for control flow.
  std::function<std::optional<std::vector<RuntimeValue>>(const Node&,
                                                         const std::vector<RuntimeValue>& inputs)>
      compute;
  /// Called before every node at any depth; throws to stop a run (deadline, interrupt).
  std::function<void()> check;
  /// Called after every node of the top graph with its duration.
  std::function<void(NodeId, int64_t duration_ns)> on_node;
  /// Node executions that one run may take, bodies of loops included; a model can ask for 2^63.
  /// Exceeding it throws Error (exit 8).
  int64_t max_node_runs = 5'000'000;
  /// Keep autograd on (training); otherwise the run is under InferenceMode.
  bool gradients = false;
  /// Stand for constants of the top graph, by ValueId::index (parameters while they are trained).
  /// Where absent or beyond the end, the graph's own. Not seen by what is computed once.
  std::span<const RuntimeValue> constants;
};

/// A graph made ready to run: order, last uses, constants as ATen tensors (sharing bytes;
/// dequantized weights are computed once here, so hooks do not see them).
/// Keeps a copy of the graph. `run` is const and may be called from several threads at once.
class Interpreter {
 public:
  /// Throws Error (exit 3) that lists the ops that lathe cannot run, unless `allow_unsupported`
  /// (then reaching such a node throws).
  explicit Interpreter(Graph graph, bool allow_unsupported = false);
  ~Interpreter();

  const Graph& graph() const { return graph_; }

  /// One value per graph input, in order; returns one per graph output. A value is freed after its
  /// last use. Throws Error (exit 3) naming the node when a node cannot be computed, exit 8 when
  /// memory runs out.
  std::vector<RuntimeValue> run(std::vector<RuntimeValue> inputs,
                                const RunOptions& options = {}) const;

  /// The same for plain tensors.
  std::vector<Tensor> run_tensors(const std::vector<Tensor>& inputs,
                                  const RunOptions& options = {}) const;

  /// Runs a subgraph's body: `captured` are the values of graph().captured(), in order.
  /// `node_runs_left` is what is left of max_node_runs.
  std::vector<RuntimeValue> run_body(std::vector<RuntimeValue> inputs,
                                     std::vector<RuntimeValue> captured, const RunOptions& options,
                                     int64_t& node_runs_left) const;

 private:
  struct Step {
    NodeId node;
    std::vector<ValueId> dying;  // values whose last reader is this step
    std::vector<std::unique_ptr<Interpreter>> bodies;
  };

  /// Absent when the value is no constant.
  const RuntimeValue& constant(ValueId id, const RunOptions& options) const;
  std::vector<RuntimeValue> run_step(const Step& step, const std::vector<RuntimeValue>& slots,
                                     const RunOptions& options, int64_t& node_runs_left) const;

  Graph graph_;
  std::vector<Step> steps_;
  std::vector<RuntimeValue> constants_;  // by value index; absent for other values
  size_t slot_count_ = 0;
};

/// Names of the op types in the graph and its subgraphs that the interpreter cannot run, sorted.
std::vector<std::string> unsupported_ops(const Graph& graph);

}  // namespace lathe

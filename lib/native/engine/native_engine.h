// lathe's own engine: the graph is lowered to a native plan for the shapes at hand and executed by
// the kernels of native/kernels and oneDNN; what has no native kernel runs in the interpreter.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "lower/lower_graph.h"
#include "names/engines.h"
#include "program/batch_program.h"
#include "run/engine.h"

namespace lathe {

/// A graph for fixed shapes of its inputs, optimized, with all shapes inferred that can be.
using SpecializeGraph = std::function<Graph(const std::vector<Shape>& input_shapes)>;

/// The plan for these shapes of the inputs.
using LowerShapes = std::function<LoweredGraph(const std::vector<Shape>& input_shapes)>;

class NativeEngine : public Engine {
 public:
  /// `graph`: what the engine was made of, whose nodes are observed; `lower` throws Error for
  /// shapes that there is no plan for. Plans use as many threads as ATen does when they are made.
  /// `onednn_products`: see ProgramOptions.
  NativeEngine(const Graph& graph, LowerShapes lower, bool onednn_products = has_integer_tiles());
  /// `specialize` gives the form of the graph to lower.
  NativeEngine(const Graph& graph, SpecializeGraph specialize,
               bool onednn_products = has_integer_tiles());
  ~NativeEngine() override;

  std::string_view name() const override { return kNativeEngine; }
  void prepare(const std::vector<std::vector<Tensor>>& samples) override;
  void execute(size_t iteration) override;
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) override;
  bool observe(NodeObserver observer) override;
  EngineFacts facts() override;
  int64_t lone_runs() const override;

  /// One plan for one set of input shapes, ready to run.
  struct Prepared;
  /// The plan for these shapes, made when first asked for.
  const Prepared& prepared(const std::vector<Shape>& shapes);

 private:
  Graph graph_;
  LowerShapes lower_;
  bool onednn_products_;
  std::map<std::vector<Shape>, std::unique_ptr<Prepared>> prepared_;
  std::vector<std::vector<RuntimeValue>> samples_;
  std::vector<Prepared*> of_sample_;
  NodeObserver observer_;
};

/// What one plan consists of, for reports and tests.
struct NativeEngine::Prepared {
  Prepared(LoweredGraph lowered, const ProgramOptions& options);
  std::vector<RuntimeValue> run(const Graph& graph, const std::vector<RuntimeValue>& inputs,
                                const Program::StepObserver& observer);

  std::vector<RuntimeValue> slots;             // values of unknown size, while a run lasts
  std::map<std::string, int64_t> interpreted;  // nodes of fallback partitions, by op type
  std::unique_ptr<BatchProgram> program;
};

}  // namespace lathe

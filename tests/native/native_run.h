// A graph in the native engine beside the interpreter. Include before doctest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/native_engine.h"
#include "ops/op_row.h"
#include "quantized_graph.h"
#include "run/interpreter.h"

namespace lathe::test {

/// Grids of values, for which steps have ways of their own: any, not negative, signed.
constexpr Quantization kOut{0.11F, 117, DType::kUInt8};
constexpr Quantization kPositive{0.043F, 0, DType::kUInt8};
constexpr Quantization kSigned{0.0517F, -9, DType::kInt8};

/// Fixed shapes, nothing optimized: every node meets the engine as it is.
inline Graph with_shapes(const Graph& graph, const std::vector<Shape>& shapes) {
  Graph fixed = graph;
  for (size_t i = 0; i < shapes.size(); ++i) {
    ValueType& type = fixed.edit_type(fixed.inputs()[i]);
    if (type.is_tensor()) type.dims = dims_of(shapes[i]);
  }
  infer_shapes(fixed);
  return fixed;
}

struct NativeRun {
  std::vector<at::Tensor> outputs;
  std::map<std::string, int> steps;  // by kind
};

inline NativeRun run_native(const Graph& graph, const std::vector<Tensor>& inputs,
                            bool onednn_products = false) {
  NativeEngine engine(
      graph, [&](const std::vector<Shape>& shapes) { return with_shapes(graph, shapes); },
      onednn_products);
  std::vector<RuntimeValue> values;
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) {
    values.push_back(to_runtime(input));
    shapes.push_back(input.shape());
  }
  NativeRun run;
  for (const RuntimeValue& value : engine.run(values)) run.outputs.push_back(value.tensor);
  for (const PlanStep& step : engine.prepared(shapes).program->plan().steps)
    ++run.steps[std::string(step_name(step.kind))];
  return run;
}

struct Difference {
  double largest = 0;
  double share = 0;  // of elements that differ by more than half of `step`
};

/// Of all outputs, in units of `step`.
inline Difference difference(const Graph& graph, const std::vector<Tensor>& inputs,
                             const NativeRun& run, double step) {
  const auto expected = Interpreter(graph).run_tensors(inputs);
  Difference found;
  for (size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor wanted = to_runtime(expected[i]).tensor->to(at::kDouble);
    const at::Tensor error = (run.outputs.at(i).to(at::kDouble) - wanted).abs() / step;
    if (error.numel() == 0) continue;
    found.largest = std::max(found.largest, error.max().item<double>());
    found.share = std::max(found.share, (error > 0.5).to(at::kDouble).mean().item<double>());
  }
  return found;
}

}  // namespace lathe::test

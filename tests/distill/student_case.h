// Graphs from text and what they compute on seeded inputs.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "ir/verify.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "run/interpreter.h"

namespace lathe::test {

inline Tensor seeded_numbers(const Shape& shape, uint64_t seed, double scale = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = static_cast<float>(normal(random));
  return Tensor::of<float>(shape, values);
}

/// `body` between "agraph" and the end, shapes inferred. Inputs other than x become constants:
/// numbers, the same for the same name.
inline Graph student_graph(const std::string& body) {
  Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]> agraph " + body).graph;
  std::vector<ValueId> inputs;
  const std::vector<ValueId> given = graph.inputs();
  for (const ValueId id : given)
    if (graph.value(id).name == "x") inputs.push_back(id);
  graph.set_inputs(inputs);
  for (const ValueId id : given)
    if (graph.value(id).name != "x")
      graph.set_constant(id, seeded_numbers(*static_shape(*graph.value(id).type.dims),
                                            static_cast<uint64_t>(graph.value(id).name[0])));
  infer_shapes(graph);
  return graph;
}

/// Adds constant `name`, numbers of the seed.
inline ValueId add_numbers(Graph& graph, const std::string& name, const Shape& shape,
                           uint64_t seed = 1, double scale = 0.3) {
  return graph.add_constant(name, seeded_numbers(shape, seed, scale));
}

/// The outputs on seeded inputs, unknown dimensions 2, as doubles in one row.
inline std::vector<double> numbers_of(const Graph& graph, uint64_t seed = 3) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs()) {
    Shape shape;
    for (const Dim& dim : *graph.value(id).type.dims) shape.push_back(dim.known() ? dim.size : 2);
    inputs.push_back(seeded_numbers(shape, seed++));
  }
  std::vector<double> all;
  for (const Tensor& output : Interpreter(graph).run_tensors(inputs))
    for (const double value : output.to_double()) all.push_back(value);
  return all;
}

/// Largest difference, relative to the largest number of `a`.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0, apart = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(a[i]));
    apart = std::max(apart, std::isfinite(b[i]) ? std::fabs(a[i] - b[i]) : INFINITY);
  }
  return apart / std::max(largest, 1e-30);
}

inline int count_kind(const Graph& graph, OpKind kind) {
  int count = 0;
  for (const NodeId id : graph.node_ids()) count += graph.node(id).kind == kind ? 1 : 0;
  return count;
}

inline std::vector<double> constant_of(const Graph& graph, const std::string& name) {
  return graph.constant(graph.find_value(name))->to_double();
}

inline double deviation_of(const std::vector<double>& values) {
  double squares = 0;
  for (const double value : values) squares += value * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

}  // namespace lathe::test

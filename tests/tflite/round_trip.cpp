#include "tflite/round_trip.h"

#include <algorithm>
#include <cmath>

#include "ir/transpose.h"
#include "ops/op_row.h"
#include "pass_check.h"
#include "quantized_graph.h"
#include "run/interpreter.h"
#include "tflite/read_tflite.h"

namespace lathe::test {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Graph graph_with_weights(const std::string& text) {
  Graph graph = graph_of(kHead + text);
  std::vector<ValueId> left;
  for (const ValueId input : graph.inputs()) {
    if (!graph.value(input).name.starts_with("w")) {
      left.push_back(input);
      continue;
    }
    const Shape shape = *static_shape(*graph.value(input).type.dims);
    const auto seed = static_cast<uint32_t>(input.index);
    const ValueId constant =
        graph.add_constant("", Tensor::of<float>(shape, noise(element_count(shape), seed)));
    graph.replace_all_uses(input, constant);
  }
  graph.set_inputs(left);
  infer_shapes(graph);
  return graph;
}

RoundTrip round_trip(const Graph& graph) {
  RoundTrip made{write_tflite(graph, {}), {}};
  made.read = read_tflite(bytes_of(made.file.bytes));
  infer_shapes(made.read.graph);
  return made;
}

double round_trip_error(const Graph& graph, const RoundTrip& made) {
  std::vector<Tensor> given, moved;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Shape shape = *static_shape(*graph.value(graph.inputs()[i]).type.dims);
    std::vector<float> values = noise(element_count(shape), static_cast<uint32_t>(i));
    for (float& value : values) value *= 6;
    given.push_back(Tensor::of<float>(shape, values));
    moved.push_back(transposed(given.back(), made.file.input_orders[i]));
  }
  const std::vector<Tensor> wanted = Interpreter(graph).run_tensors(given);
  const std::vector<Tensor> got = Interpreter(made.read.graph).run_tensors(moved);
  double largest = 0;
  double error = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Tensor back = transposed(got[i], inverse_order(made.file.output_orders[i]));
    if (back.shape() != wanted[i].shape()) return INFINITY;
    const std::vector<double> a = wanted[i].to_double();
    const std::vector<double> b = back.to_double();
    for (size_t k = 0; k < a.size(); ++k) {
      largest = std::max(largest, std::abs(a[k]));
      error = std::max(error, std::isfinite(b[k]) ? std::abs(a[k] - b[k]) : INFINITY);
    }
  }
  return largest == 0 ? error : error / largest;
}

}  // namespace lathe::test

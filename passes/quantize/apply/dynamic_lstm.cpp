#include "quantize/apply/dynamic_lstm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/quantization.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

struct LstmWeight {
  Tensor integers;  // [directions, inputs, rows]
  Tensor scales;    // [directions, rows] or [directions]
  Tensor zeros;     // alike
};

// `weight`: [directions, rows, inputs]; one scale a row, or one a direction.
LstmWeight quantized(const Tensor& weight, bool per_channel, bool reduce_range) {
  const int64_t directions = weight.shape()[0];
  const int64_t rows = weight.shape()[1];
  const int64_t inputs = weight.shape()[2];
  const int32_t qmax = weight_qmax(DType::kInt8, reduce_range);
  const auto values = weight.values<float>();
  const Shape shape = per_channel ? Shape{directions, rows} : Shape{directions};
  std::vector<float> largest(static_cast<size_t>(element_count(shape)), 0.0F);
  const auto scale_of = [&](int64_t row) {  // of all directions' rows
    return static_cast<size_t>(per_channel ? row : row / rows);
  };
  for (int64_t row = 0; row < directions * rows; ++row)
    for (int64_t i = 0; i < inputs; ++i) {
      float& seen = largest[scale_of(row)];
      seen = std::max(seen, std::fabs(values[static_cast<size_t>(row * inputs + i)]));
    }
  std::vector<float> scales;
  for (const float max_abs : largest) scales.push_back(choose_symmetric(max_abs, qmax).scale);
  std::vector<int32_t> integers(values.size());
  for (int64_t row = 0; row < directions * rows; ++row)
    for (int64_t i = 0; i < inputs; ++i) {
      const int64_t to = (row / rows * inputs + i) * rows + row % rows;
      integers[static_cast<size_t>(to)] = quantize(values[static_cast<size_t>(row * inputs + i)],
                                                   scales[scale_of(row)], 0, -qmax, qmax);
    }
  const std::vector<int32_t> zeros(scales.size(), 0);
  return {integer_tensor(DType::kInt8, {directions, inputs, rows}, integers),
          Tensor::of<float>(shape, scales), integer_tensor(DType::kInt8, shape, zeros)};
}

}  // namespace

void make_dynamic_lstm(Graph& graph, NodeId lstm, bool per_channel, bool reduce_range) {
  constexpr size_t kFirstScale = 8;
  while (graph.node(lstm).inputs.size() < kFirstScale) graph.add_node_input(lstm, ValueId{});
  for (const size_t input : {size_t{1}, size_t{2}}) {
    const ValueId old = graph.node(lstm).inputs[input];
    const std::string name = graph.value(old).name;
    const LstmWeight weight = quantized(*graph.constant(old), per_channel, reduce_range);
    graph.replace_input(lstm, input, graph.add_constant(name + "_quantized", weight.integers));
    graph.add_node_input(lstm, graph.add_constant(name + "_scale", weight.scales));
    graph.add_node_input(lstm, graph.add_constant(name + "_zero_point", weight.zeros));
  }
  Node& node = graph.edit(lstm);
  node.kind = OpKind::kOpaque;
  node.opaque_domain = "com.microsoft";
  node.opaque_type = "DynamicQuantizeLSTM";
  node.attributes.erase("layout");
}

}  // namespace lathe

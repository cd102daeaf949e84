// Signals keep their size through the networks: no layer saturates, none is dead.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "calibration/random_data.h"
#include "run/interpreter.h"
#include "zoo/zoo.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

struct Spread {
  double mean = 0;
  double deviation = 0;
  bool finite = true;
};

Spread spread_of(const Tensor& tensor) {
  double sum = 0;
  double squares = 0;
  Spread spread;
  const auto values = tensor.values<float>();
  for (const float value : values) {
    spread.finite = spread.finite && std::isfinite(value);
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const double count = static_cast<double>(values.size());
  spread.mean = sum / count;
  spread.deviation = std::sqrt(std::max(0.0, squares / count - spread.mean * spread.mean));
  return spread;
}

bool computes(OpKind kind) {
  return kind == OpKind::kConv || kind == OpKind::kGemm || kind == OpKind::kMatMul ||
         kind == OpKind::kLSTM || kind == OpKind::kBatchNormalization || kind == OpKind::kAdd;
}

std::vector<Tensor> inputs_of(const Graph& graph, uint64_t seed) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    Shape shape;
    for (const Dim& dim : *value.type.dims) shape.push_back(dim.known() ? dim.size : 1);
    inputs.push_back(random_tensor(value.type.dtype, shape, seed, inputs.size()));
  }
  return inputs;
}

// Deviation of what two inputs change in an output, over the output's own.
double share_of_input(const Tensor& a, const Tensor& b) {
  std::vector<float> difference;
  const auto x = a.values<float>();
  const auto y = b.values<float>();
  for (size_t i = 0; i < x.size(); ++i) difference.push_back(x[i] - y[i]);
  return spread_of(Tensor::vector(difference)).deviation / std::sqrt(2.0) / spread_of(a).deviation;
}

void check_signals(const std::string& name) {
  CAPTURE(name);
  const Interpreter network(find_zoo_network(name)->build(0).graph);
  const Graph& graph = network.graph();
  RunOptions options;
  options.on_value = [&](ValueId id, RuntimeValue& value) {
    const Value& about = graph.value(id);
    const Node& node = graph.node(about.producer);
    if (value.dtype != DType::kFloat32 || !computes(node.kind) || value.tensor->numel() == 1)
      return;
    const Spread spread = spread_of(to_tensor(value));
    if (std::getenv("LATHE_SHOW_SIGNALS") != nullptr)
      MESSAGE(about.name << " mean " << spread.mean << " deviation " << spread.deviation);
    CAPTURE(about.name);
    CHECK(spread.finite);
    // Masks, and the places of boxes in pixels, have the sizes that they mean.
    if (about.name.starts_with("mask.") || about.name.ends_with(".masked") ||
        about.name.starts_with("model.24."))
      return;
    CHECK(spread.deviation > 0.1);
    CHECK(spread.deviation < 20);
  };
  const std::vector<Tensor> first = network.run_tensors(inputs_of(graph, 1), options);
  const std::vector<Tensor> second = network.run_tensors(inputs_of(graph, 2));
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i].dtype() != DType::kFloat32) continue;  // counts tokens
    CHECK(spread_of(first[i]).finite);
    // What goes in is seen in what comes out.
    CHECK(share_of_input(first[i], second[i]) > 0.15);
  }
}

}  // namespace

TEST_CASE("signals keep their size") {
  for (const char* name : {"resnet18", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0",
                           "crnn", "lstm_autoencoder", "llama_15m"})
    check_signals(name);
}

TEST_CASE("slow: signals keep their size in the large networks" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  for (const char* name : {"resnet50", "yolov5s", "bert_base"}) check_signals(name);
}

}  // namespace lathe

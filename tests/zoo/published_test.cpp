// The networks are the published ones: parameters exactly, multiply-adds as far as they are
// published.
#include <doctest/doctest.h>

#include <set>

#include "ops/op_row.h"
#include "zoo/zoo.h"

namespace lathe {
namespace {

bool is_trained(const Graph& graph, const Node& node, size_t input) {
  const Tensor* tensor = graph.constant(node.input(input));
  if (tensor == nullptr || tensor->dtype() != DType::kFloat32 || tensor->rank() == 0) return false;
  if (node.kind == OpKind::kBatchNormalization) return input < 3;
  // Scales of Resize, and the cells and anchors of yolov5, follow from the architecture.
  const std::string& name = graph.value(node.input(input)).name;
  return name.ends_with(".weight") || name.ends_with(".bias") || node.kind == OpKind::kLSTM;
}

// An LSTM's second biases, when they are all zero, are there for ONNX only.
int64_t unused_biases(const Graph& graph, const Node& node) {
  const auto biases = graph.constant(node.input(3))->values<float>();
  const int64_t half = static_cast<int64_t>(biases.size()) / 2;
  for (size_t i = biases.size() / 2; i < biases.size(); ++i)
    if (biases[i] != 0) return 0;
  return half;
}

int64_t trained_parameters(const Graph& graph) {
  std::set<ValueId> seen;
  int64_t count = 0;
  for (const NodeId id : graph.node_ids()) {
    const Node& node = graph.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (is_trained(graph, node, i) && seen.insert(node.input(i)).second)
        count += graph.constant(node.input(i))->numel();
    if (node.kind == OpKind::kLSTM) count -= unused_biases(graph, node);
  }
  return count;
}

// Multiply-adds as the source gives them, with the digits that it gives.
struct Published {
  const char* network;
  double giga_macs;
  double rounding;
};

constexpr Published kPublished[] = {
    // torchvision: "_ops" of the weights (GFLOPS in its documentation), which are multiply-adds.
    {"resnet18", 1.814, 0.0005},
    {"resnet50", 4.089, 0.0005},
    {"mobilenet_v2", 0.301, 0.0005},
    {"mobilenet_v3_large", 0.217, 0.0005},
    {"efficientnet_b0", 0.386, 0.0005},
    // "YOLOv5s summary: 213 layers, 7225885 parameters, 16.4 GFLOPs", two per multiply-add.
    {"yolov5s", 16.4 / 2, 0.1},
    // MobileBERT, arXiv:2004.02984, table 4: 22.5 GFLOPs with the softmax and norms.
    {"bert_base", 22.5 / 2, 0.1},
};

}  // namespace

TEST_CASE("parameters, multiply-adds and inputs are those of the catalogue") {
  CHECK(zoo_networks().size() == 10);
  for (const ZooNetwork& network : zoo_networks()) {
    CAPTURE(network.name);
    const Graph graph = network.build(0).graph;
    CHECK(graph.name == network.name);
    CHECK(trained_parameters(graph) == network.parameters);
    const MacCount macs = count_macs(graph);
    CHECK(macs.unknown_nodes == 0);
    CHECK(macs.macs == network.macs);
    std::string inputs;
    for (const ValueId id : graph.inputs())
      inputs += (inputs.empty() ? "" : ", ") + graph.value(id).name;
    inputs += " " + dims_text(*graph.value(graph.inputs()[0]).type.dims);
    CHECK(inputs == network.inputs);
    for (const ValueId id : graph.outputs())
      CHECK(dims_text(*graph.value(id).type.dims).starts_with("Nx"));
  }
}

TEST_CASE("the catalogue's multiply-adds round to the published ones") {
  for (const Published& published : kPublished) {
    CAPTURE(published.network);
    const ZooNetwork* network = find_zoo_network(published.network);
    REQUIRE(network != nullptr);
    const double giga = static_cast<double>(network->macs) / 1e9;
    CHECK(giga == doctest::Approx(published.giga_macs).epsilon(published.rounding / giga));
  }
  CHECK(find_zoo_network("resnet") == nullptr);
}

TEST_CASE("multiply-adds of crnn and lstm_autoencoder, layer by layer") {
  // Convolutions: output height * width * channels * inputs * kernel.
  const int64_t convolutions = 32 * 100 * 64 * 9 + 16 * 50 * 128 * 64 * 9 + 8 * 25 * 256 * 128 * 9 +
                               8 * 25 * 256 * 256 * 9 + 4 * 26 * 512 * 256 * 9 +
                               4 * 26 * 512 * 512 * 9 + 26 * 512 * 512 * 4;
  const int64_t recurrent = 26 * 2 * 4 * 256 * (512 + 256) + 26 * 2 * 4 * 256 * (256 + 256);
  const int64_t linear = 26 * 512 * 256 + 26 * 512 * 37;
  CHECK(find_zoo_network("crnn")->macs == convolutions + recurrent + linear);
  const int64_t lstms = 4 * 16 * (4 + 16) + 4 * 4 * (16 + 4) + 4 * 4 * (4 + 4) + 4 * 16 * (4 + 16);
  CHECK(find_zoo_network("lstm_autoencoder")->macs == 30 * (lstms + 16 * 4));
}

}  // namespace lathe

// The same file on every run and every machine; another one for another seed.
#include <doctest/doctest.h>

#include "onnx/read_model.h"
#include "onnx/text_form.h"
#include "onnx/write_model.h"
#include "os/sha256.h"
#include "zoo/layer_builder.h"
#include "zoo/zoo.h"

namespace lathe {
namespace {

std::string bytes_of(const char* name, uint64_t seed, std::optional<int64_t> opset = {}) {
  WriteOptions options;
  options.opset = opset;
  return write_onnx(find_zoo_network(name)->build(seed), options).model_bytes;
}

int64_t opset_of(const std::string& bytes) {
  return read_onnx(std::as_bytes(std::span(bytes)), {}).opset;
}

}  // namespace

TEST_CASE("bytes depend on the seed alone") {
  for (const char* name : {"lstm_autoencoder", "mobilenet_v3_large"}) {
    CAPTURE(name);
    const std::string first = bytes_of(name, 0);
    CHECK(first == bytes_of(name, 0));
    CHECK(first != bytes_of(name, 1));
    CHECK(first.size() == bytes_of(name, 1).size());
  }
}

TEST_CASE("weights are the ones that every machine gets") {
  // Change these only together with a word in the change log: stored results rest on them.
  const auto weights_hash = [](const char* name) {
    std::string weights;
    const Graph graph = find_zoo_network(name)->build(0).graph;
    for (const ValueId id : graph.value_ids())
      if (const Tensor* tensor = graph.constant(id))
        weights.append(reinterpret_cast<const char*>(tensor->bytes().data()),
                       tensor->bytes().size());
    return sha256_hex(weights).substr(0, 16);
  };
  CHECK(weights_hash("lstm_autoencoder") == "366cfba6a71904d9");
  CHECK(weights_hash("mobilenet_v2") == "ac051a569b835dee");
}

TEST_CASE("older and newer opsets") {
  CHECK(opset_of(bytes_of("mobilenet_v3_large", 0)) == 17);
  CHECK(opset_of(bytes_of("mobilenet_v3_large", 0, 11)) == 11);
  CHECK(opset_of(bytes_of("lstm_autoencoder", 0, 7)) == 7);
  CHECK(opset_of(bytes_of("efficientnet_b0", 0, 25)) == 25);
}

TEST_CASE("the layers of lstm_autoencoder") {
  const Graph graph = find_zoo_network("lstm_autoencoder")->build(0).graph;
  std::string layers;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (const ValueId output : node.outputs)
      if (output.valid())
        layers +=
            std::string(node.type_name()) + " " + dims_text(*graph.value(output).type.dims) + "\n";
  }
  CHECK(layers ==
        "Transpose 30xNx4\n"
        "LSTM 30x1xNx16\n"
        "Squeeze 30xNx16\n"
        "LSTM 1xNx4\n"
        "Tile 30xNx4\n"
        "LSTM 30x1xNx4\n"
        "Squeeze 30xNx4\n"
        "LSTM 30x1xNx16\n"
        "Squeeze 30xNx16\n"
        "Transpose Nx30x16\n"
        "MatMul Nx30x4\n"
        "Add Nx30x4\n");
}

TEST_CASE("a layer's weights do not depend on what else is in the network") {
  LayerBuilder small("small", 7);
  small.conv(small.input("x", {3, 8, 8}), {.out = 4, .kernel = 3}, "here");
  LayerBuilder large("large", 7);
  const ValueId x = large.input("x", {3, 8, 8});
  large.conv(x, {.out = 9}, "before");
  const ValueId y = large.conv(x, {.out = 4, .kernel = 3}, "here");
  const Graph one = small.finish({}).graph;
  const Graph other = large.finish({{y, "y"}}).graph;
  CHECK(one.constant(one.find_value("here.weight"))
            ->identical(*other.constant(other.find_value("here.weight"))));
}

}  // namespace lathe

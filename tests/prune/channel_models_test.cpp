// Real networks: every group alone and all together; graphs of any kind: no crash.
#include "prune/channel_check.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "graph/simplify.h"
#include "ir/error.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "zoo/zoo.h"

#include <doctest/doctest.h>

namespace lathe {

using test::check_groups;
using test::CheckOptions;
using test::keep_most;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(LATHE_SHARED_DIR) / "models";

Graph simplified(Graph graph) {
  Pipeline pipeline(graph);
  simplify(graph, pipeline);
  return graph;
}

struct ModelCase {
  std::string file;
  size_t free_groups = 0;
  int64_t batch = 2;
  bool as_double = false;
  size_t most_alone = 1000;
};

void check_model(const ModelCase& model) {
  const fs::path path = kModels / model.file;
  CAPTURE(model.file);
  if (!fs::exists(path)) {
    MESSAGE("SKIPPED: " << path << " does not exist");
    return;
  }
  const Graph graph = simplified(load_onnx(path).graph);
  CheckOptions options;
  options.unknown_size = model.batch;
  options.as_double = model.as_double;
  if (model.as_double) options.tolerance = 1e-10;
  options.most_alone = model.most_alone;
  CHECK(check_groups(graph, options) == model.free_groups);
}

std::vector<fs::path> models_beneath(const fs::path& root) {
  std::vector<fs::path> found;
  if (!fs::exists(root)) {
    MESSAGE("SKIPPED: " << root << " does not exist");
    return found;
  }
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// Finds, removes, infers shapes and verifies; a file that cannot be read does not count.
size_t removed_from(const fs::path& path) {
  try {
    Graph graph = load_onnx(path).graph;
    infer_shapes(graph);
    const auto groups = find_channel_groups(graph);
    bool any = false;
    for (const ChannelGroup& group : groups) any = any || group.blocked.empty();
    if (!any) return 0;
    return static_cast<size_t>(remove_channels(graph, groups, keep_most(groups, {})));
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace

TEST_CASE("channels of real networks: the quick ones") {
  check_model({"cifar10_resnet_2b.onnx", 5});
  check_model({"mnist_cntk_op8.onnx", 2});
  check_model({"lstm_autoencoder.onnx", 3, 1});
  check_model({"vit_pgd_2_3_16.onnx", 5});
  check_model({"cct_2_32_op20.onnx", 4});
  check_model({"pcb_simple_cnn_fp32.onnx", 4});
  check_model({"pcb_simple_cnn_qdq.onnx", 0});
}

TEST_CASE("slow: channels of all real networks" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  check_model({"cifar10_resnet_4b.onnx", 8});
  check_model({"mobilenet_v2_imagenet.onnx", 25, 1, true, 8});
  check_model({"ultraface_RFB_320.onnx", 25, 1, true, 8});
  check_model({"yolox_nano.onnx", 67, 1, true, 8});
  check_model({"super_resolution_x3.onnx", 3, 1, true});
  check_model({"SINet_Softmax.onnx", 16, 1, true, 8});
  check_model({"candy.onnx", 10, 1, true, 2});
  check_model({"gtcrn_simple.onnx", 5, 1, true});
  check_model({"SqueezeNet_fp16.onnx", 25, 1, true, 4});
  check_model({"magika_standard_v3_3.onnx", 0, 1});
}

TEST_CASE("slow: channels of the zoo's networks" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  struct Expected {
    std::string name;
    size_t free_groups;
  };
  for (const Expected& expected :
       {Expected{"resnet18", 12}, Expected{"mobilenet_v2", 25}, Expected{"mobilenet_v3_large", 30},
        Expected{"efficientnet_b0", 40}, Expected{"yolov5s", 50}, Expected{"crnn", 10},
        Expected{"lstm_autoencoder", 4}, Expected{"bert_base", 24}, Expected{"resnet50", 37}}) {
    CAPTURE(expected.name);
    const ZooNetwork* network = find_zoo_network(expected.name);
    REQUIRE(network != nullptr);
    CheckOptions options;
    options.unknown_size = 1;
    options.most_alone = 3;
    options.as_double = true;
    options.tolerance = 1e-10;
    CHECK(check_groups(simplified(network->build(1).graph), options) == expected.free_groups);
  }
}

TEST_CASE("no graph of the conformance suites breaks the walk or the removal") {
  size_t removed = 0;
  for (const char* suite : {"node", "pytorch-converted", "pytorch-operator", "simple"})
    for (const fs::path& path :
         models_beneath(fs::path("/usr/share/libonnx-testdata/data") / suite)) {
      CAPTURE(path);
      CHECK_NOTHROW(removed += removed_from(path));
    }
  for (const fs::path& path : models_beneath(kModels)) {
    CAPTURE(path);
    CHECK_NOTHROW(removed += removed_from(path));
  }
  MESSAGE(removed << " channels removed");
}

}  // namespace lathe

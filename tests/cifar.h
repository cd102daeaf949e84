// The shared network of 32 x 32 pictures and its data, for tests that train it.
#pragma once

#include <filesystem>
#include <string>

#include "batch/make_batch_dynamic.h"
#include "calibration/npz.h"
#include "onnx/read_model.h"
#include "run/interpreter.h"
#include "run/runtime_value.h"

#include "doctest_after_torch.h"

namespace lathe {

inline const std::string kShared = LATHE_SHARED_DIR;

inline bool has_data() {
  const bool present = std::filesystem::exists(kShared + "/data/cifar10/train.npz");
  if (!present) MESSAGE("skipped: no shared data");
  return present;
}

struct Pictures {
  at::Tensor images;  // [N, 3, 32, 32], normalised as the network was trained
  at::Tensor labels;
};

/// The first `count` of a file of the data set.
inline Pictures cifar_pictures(const char* file, int64_t count) {
  const std::vector<NamedArray> arrays = open_npz(kShared + "/data/cifar10/" + file);
  Pictures result;
  for (const NamedArray& named : arrays) {
    const at::Tensor all = to_runtime(read_array(named.array)).tensor;
    if (named.name == "labels") result.labels = all.narrow(0, 0, count).to(at::kLong);
    if (named.name != "images") continue;
    const at::Tensor mean = at::tensor(std::vector<float>{0.4914F, 0.4822F, 0.4465F});
    const at::Tensor deviation = at::tensor(std::vector<float>{0.2471F, 0.2435F, 0.2616F});
    const at::Tensor scaled = all.narrow(0, 0, count).to(at::kFloat) / 255;
    result.images = ((scaled - mean) / deviation).permute({0, 3, 1, 2}).contiguous();
  }
  return result;
}

/// With a free batch.
inline Graph resnet() {
  Graph graph = load_onnx(kShared + "/models/cifar10_resnet_4b.onnx").graph;
  infer_shapes(graph);
  make_batch_dynamic(graph);
  return graph;
}

}  // namespace lathe

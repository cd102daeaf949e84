// The catalogue of well-known networks that lathe can write by itself, with seeded weights.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ir/model.h"

namespace lathe {

struct ZooNetwork {
  std::string_view name;
  std::string_view task;
  std::string_view source;  // the implementation that it equals
  /// What its source counts as parameters: everything trained, hence not BatchNormalization's
  /// running statistics, and one bias per LSTM gate where the source is Keras.
  int64_t parameters;
  /// Of one inference at batch 1: convolutions, matrix products and recurrent layers.
  int64_t macs;
  std::string_view inputs;  // "input Nx3x224x224"
  Model (*build)(uint64_t seed);
};

std::span<const ZooNetwork> zoo_networks();
/// nullptr when there is none of that name.
const ZooNetwork* find_zoo_network(std::string_view name);

}  // namespace lathe

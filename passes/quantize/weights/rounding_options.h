// How weights are rounded layer by layer, and what became of each: round_weights.h,
// round_stored_weights.h.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

enum class RoundingMethod : uint8_t {
  kNearest,      // every weight by itself
  kCompensated,  // round_compensated()
  kFitted,       // the same of fitted weights
  kLearned,      // learn_rounding() from the best of these
};

/// How the bias moves.
enum class BiasShift : uint8_t {
  kNone,
  kOwn,      // the mean that rounding these weights changes (analytical bias correction)
  kOutputs,  // least squared error behind the activation, earlier layers' errors included
};

struct RoundingOptions {
  int threads = 1;
  uint64_t seed = 0;  // of the positions that are looked at
  /// Rows of inputs that a layer is looked at, of all samples together; more where it has many
  /// inputs.
  int64_t rows = 6000;
  double damping = 0.01;  // as in RoundLayerOptions
  std::vector<double> ridges = {0, 0.1, 1};
  int iterations = 0;
  bool clip = false;
  /// Activations of all samples are kept between layers up to this; beyond, they are computed anew.
  int64_t cache_bytes = int64_t{384} << 20;
  /// Outputs of the float layers at the positions that are looked at; beyond, the float network
  /// runs once more.
  int64_t target_bytes = int64_t{128} << 20;
  std::function<void()> check;  // may throw to stop
  std::function<void(size_t done, size_t all)> progress;
};

struct RoundingRow {
  NodeId node;
  RoundingMethod method = RoundingMethod::kNearest;
  BiasShift bias = BiasShift::kNone;
  bool clipped = false;
  int64_t rows = 0;
  double error_nearest = 0;  // as in RoundedLayer
  double error_after = 0;
};

}  // namespace lathe

// Resampling of one axis as a table of source indices and weights, and the ops made of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe {

struct EvaluateCall;

/// How Resize maps and weighs; the same for every axis.
struct ResizeRule {
  enum class Mode : uint8_t { kNearest, kLinear, kCubic };
  enum class Nearest : uint8_t { kPreferFloor, kPreferCeil, kFloor, kCeil };
  enum class Coordinates : uint8_t {
    kHalfPixel,
    kHalfPixelSymmetric,
    kPytorchHalfPixel,
    kAlignCorners,
    kAsymmetric,
    kCropAndResize,
    kTfHalfPixelForNn,  // of opsets 11 and 12 only
  };
  Mode mode = Mode::kNearest;
  Nearest nearest = Nearest::kPreferFloor;
  Coordinates coordinates = Coordinates::kHalfPixel;
  bool antialias = false;
  bool exclude_outside = false;
  float cubic_a = -0.75F;
};

/// One axis to resample from `input` to `output` elements.
struct ResizeAxis {
  int64_t axis = 0;
  int64_t input = 0;
  int64_t output = 0;
  float scale = 1;          // output per input
  float wanted_output = 0;  // scale * input before it was cut to `output`
  float roi_start = 0;      // of kCropAndResize, normalized
  float roi_end = 1;
};

/// output[o] = sum over taps of weight[tap][o] * input[index[tap][o]].
struct ResizeTable {
  std::vector<std::vector<int64_t>> index;
  std::vector<std::vector<float>> weight;
  std::vector<char> outside;  // 1: takes the extrapolation value; empty: none does
};

/// Source position of output element `o`, in ONNX Runtime's float32 arithmetic, on which ties of
/// nearest depend.
float resize_position(const ResizeRule& rule, const ResizeAxis& axis, int64_t o);
ResizeTable resize_table(const ResizeRule& rule, const ResizeAxis& axis);

// grid_sample.cpp
std::vector<at::Tensor> grid_sample(const EvaluateCall& call);
std::vector<at::Tensor> affine_grid(const EvaluateCall& call);

}  // namespace lathe

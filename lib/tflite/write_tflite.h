// Graph -> TensorFlow Lite file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct TfliteOptions {
  std::string description;
  /// The run time reads float16 constants; else they are float32.
  bool float16 = true;
  /// Its DEQUANTIZE takes a scale for each channel; else weights of layers that are no integers are
  /// float32.
  bool channel_scales = true;
};

struct TfliteFile {
  std::string bytes;
  /// Of each input and output: dimension i of the file's tensor is dimension order[i] of the
  /// graph's (images are N, H, W, C there).
  std::vector<std::vector<size_t>> input_orders;
  std::vector<std::vector<size_t>> output_orders;
  std::map<std::string, int64_t> operators;
  /// Nodes of integer inputs that are computed in real numbers, for want of an integer form.
  std::vector<std::string> in_floats;
  /// Recurrent layers keep their states in variables: whoever runs it resets those before each
  /// sequence.
  bool keeps_state = false;
};

/// `graph` has static shapes. What QuantizeLinear and DequantizeLinear enclose becomes int8 (uint8
/// shifted by 128), with biases in steps of input times weight; everything else is float32. Images
/// that convolutions read lie N, H, W, C. Specification: tensorflow.org/lite/performance/
/// quantization_spec. Throws Error (exit 3) naming the node that has no form there.
TfliteFile write_tflite(const Graph& graph, const TfliteOptions& options);

}  // namespace lathe

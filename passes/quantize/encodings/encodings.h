// Quantization parameters by tensor name, as training tools write them: ranges that were learned or
// measured elsewhere are kept.
//
// AIMET: "Quantization Encoding Specification" 0.6.1 and 1.0.0 (docs of quic/aimet): a grid of 2^bw
// integers from 0, value = scale * (q + offset). ONNX Runtime: TensorQuantOverrides of
// quantize_static, as the JSON file of its static_quantize_runner.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

enum class EncodingsFormat : uint8_t { kAimet, kOnnxRuntime };
/// "aimet", "onnxruntime"; nullopt for another name.
std::optional<EncodingsFormat> encodings_format(std::string_view name);

/// One tensor's, or one of its channels'.
struct Encoding {
  double scale = 0;
  /// The integer that stands for zero, counted from the grid's smallest.
  int64_t zero = 0;
};

struct TensorEncoding {
  int bits = 8;
  /// nullopt: the file does not say (AIMET), the plan's own type stays, or int16 and uint16.
  std::optional<bool> is_signed;
  std::vector<Encoding> channels;  // one: of the whole tensor
};

/// By tensor name.
using Encodings = std::map<std::string, TensorEncoding>;

/// Of a larger file nothing is read.
constexpr size_t kMostEncodingsBytes = size_t{256} << 20;

/// Of any of the formats. Throws Error (exit 3) with file and place for what is damaged, a range
/// that is inverted or no number, a width that is neither 8 nor 16 bits, and floats.
Encodings read_encodings(std::string_view text, const std::string& file);

/// `weights`: names of Encodings that AIMET keeps apart. Ends with a newline; sorted by name.
std::string write_encodings(const Encodings& encodings, const std::vector<std::string>& weights,
                            EncodingsFormat format);

/// Of the plan's values and weights, without biases, whose scales follow. `weights`: the latter.
Encodings encodings_of(const Graph& graph, const PrecisionPlan& plan,
                       std::vector<std::string>& weights);

struct AppliedEncodings {
  int values = 0;
  int weights = 0;
  /// Tensors of the model that are not quantized, or have the range of where they come from.
  std::vector<std::string> unused;
};

/// Puts them into the plan, biases following. `known`: whether the model has a tensor of a name,
/// in the form in which it was given. Throws Error (exit 3) for unknown tensors (with the nearest
/// name), per-channel activations, other numbers of channels, and asymmetric weights.
AppliedEncodings apply_encodings(const Graph& graph, const Encodings& encodings,
                                 const std::string& file, const std::vector<std::string>& known,
                                 PrecisionPlan& plan);

}  // namespace lathe

// What a user asks of single tensors, by the patterns of their names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/choose_range.h"
#include "os/glob.h"
#include "quantize/encodings/encodings.h"

namespace lathe {

/// "GLOB=WORD,WORD…": a type (uint8, int8, uint16, int16), "symmetric", a range "-1..6".
struct TensorOverride {
  Glob glob;
  std::optional<DType> dtype;
  bool symmetric = false;
  std::optional<Range> range;
};

/// Throws Error (exit 2) for other words, inverted ranges and none of a word.
TensorOverride parse_override(const std::string& text);

/// What becomes of the plan's activations and weights that a pattern matches; of several patterns a
/// later one's words win. Ranges that nothing gives are the plan's. Unsigned types are for
/// activations alone; a weight's range is that of all of its channels. Throws Error (exit 2) where a pattern
/// matches no tensor that gets parameters of its own.
Encodings overridden_encodings(const Graph& graph, const PrecisionPlan& plan,
                               std::span<const TensorOverride> overrides);

}  // namespace lathe

// Does a model fit into a device: its weights into the flash, its activations into the RAM, its ops
// and opset into the run time; what is largest, and what would make it fit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "profiles/profile.h"

namespace lathe {

enum class FitVerdict : uint8_t { kFits, kUnknown, kDoesNotFit };
/// "fits", "unknown", "does not fit".
std::string_view fit_verdict_name(FitVerdict verdict);

/// The line that says who has to bring the run time, where lathe has none.
inline constexpr const char* kRunTimeLine = "run time";

struct FitLine {
  std::string what;  // "flash", "RAM", "ops", "run time", "opset", "shapes"
  FitVerdict verdict = FitVerdict::kFits;
  std::optional<int64_t> need;   // of what has a limit; bytes, or opset
  std::optional<int64_t> limit;  // of the profile
  std::string text;              // what it is made of, or why
};

/// A value or constant, the node that makes or reads it, and its size.
struct FitPart {
  std::string value;
  std::string node;
  std::string type;  // of the node
  int64_t bytes = 0;
};

/// What one or several changes of the model would leave, by the sizes of its tensors.
struct FitChange {
  std::string what;  // "int8 + half the resolution"
  int64_t flash_bytes = 0;
  int64_t ram_bytes = 0;
  bool fits = false;  // all of the model, where nothing but memory stands in its way
};

struct Fit {
  std::vector<FitLine> lines;
  /// What the model and its run time take; weights count where the device keeps them.
  int64_t flash_bytes = 0;
  int64_t ram_bytes = 0;
  int64_t weights_bytes = 0;
  std::optional<int64_t> arena_bytes;  // with the profile's alignment; absent: too many values
  std::string peak_node;               // that runs when most is alive
  std::vector<FitPart> peak;           // what is alive then, largest first
  std::vector<FitPart> weights;        // the largest constants
  /// Each change alone; the smallest set that fits comes last, if it is none of them.
  std::vector<FitChange> changes;
  /// How many items at once fit.
  int64_t batch = 1;

  /// The worst line.
  FitVerdict verdict() const;
};

/// What is known of the file besides its graph.
struct FitFile {
  std::optional<int64_t> opset;  // of an ONNX file
  std::optional<int64_t> ir;
  bool is_plan = false;  // of the native engine; otherwise the constants are counted and the arena
                         // is planned (qdq/activation_buffers.h)
  bool is_source = false;  // C code: it is its own run time
  bool plan_batch_fixed = false;
  std::string plan_refused;  // nodes of it that the run time refuses, as "2 ScatterND"
  std::optional<int64_t> plan_bytes;  // of C code: its constants
  std::optional<int64_t> plan_arena_bytes;
  std::optional<int64_t> code_bytes;  // of C code, as they were measured
  std::optional<int64_t> stack_bytes;
};

/// Whether the profile bounds flash or RAM.
bool has_memory_limits(const Profile& profile);

/// The profile's default batch, halved as its memory demands: below its floor (batch_within_memory)
/// and while that many arenas are more than what weights and run time leave.
int64_t batch_that_fits(const Profile& profile, int64_t fixed_bytes, int64_t arena_bytes);

/// At the stored shapes; an open first dimension counts as 1. Weights lie in the flash where the
/// device has any, else in RAM. What the run time itself takes is counted where the profile tells
/// it. `graph`: after infer_shapes. Linear but for the plan of the arena.
Fit does_it_fit(const Graph& graph, const FitFile& file, const Profile& profile);

}  // namespace lathe

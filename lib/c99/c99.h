// A native plan (native/lower, LowerOptions::compact) as C99 source: one unit and its header, which
// need a C compiler and nothing else. No allocation: the caller gives one region of memory, and
// calls are reentrant as long as each has its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "plan/plan.h"

namespace lathe {

/// What becomes of the sums of products, of sums of two arrays, averages and softmax: as in ONNX
/// Runtime's integer operators, or to the bit as in TensorFlow Lite's reference kernels, which
/// TensorFlow Lite Micro executes.
enum class Rounding : uint8_t { kOrt, kTflite };

struct C99Options {
  std::string prefix;  // of all names with external linkage; an identifier
  std::string header;  // name of the header's file
  std::string source_sha256;
  int64_t alignment = 8;  // of the arena, a power of two of at least 4
  bool weights_apart = false;  // a unit of their own: C99Code::weights
  Rounding rounding = Rounding::kOrt;
  /// Where the arena would take more, the first steps come in parts (c99/parts.h), as far as that
  /// helps.
  int64_t most_arena_bytes = INT64_MAX;
  /// A second region of at most so many bytes takes what is used most; 0: there is one.
  int64_t fast_bytes = 0;
  /// Calls `void lathe_step(int32_t step)` before each step and after the last one, with their
  /// number: for whoever measures.
  bool tells_steps = false;
};

struct C99Code {
  std::string source;  // for all processors: for_core() leaves others out
  std::string header;
  std::string weights;  // "": they are in the source
  int64_t arena_bytes = 0;
  int64_t fast_bytes = 0;  // of the second region
  int64_t arena_lower_bound = 0;
  int64_t constant_bytes = 0;
  int64_t parts = 1;          // of the first steps_in_parts
  size_t steps_in_parts = 0;
  int64_t extra_macs = 0;     // what parts compute twice, less what nobody reads
  std::string peak;  // the step that needs most of the arena, with its nodes
  std::vector<std::string> steps;  // what they are, with their nodes
  /// With Rounding::kTflite: those that are computed in floats nevertheless; with kOrt: those that
  /// ONNX Runtime computes in floats.
  std::vector<std::string> float_steps;
};

/// `graph`: what the plan was made of; it tells the parameters of quantized inputs and outputs.
/// Results: sums of 8-bit products are exact, what becomes of them is computed in float32 without
/// fused operations, half to even, as ONNX Runtime's QLinear ops do; the same bytes on every
/// processor, but for expf and the like of the C library. Throws Error (exit 3) naming the node for
/// a step without C code, 64-bit inputs and outputs, and sums that may exceed 32 bits.
C99Code emit_c99(const Graph& graph, const NativePlan& plan, const C99Options& options);

/// The same of a graph as `specialized` makes it: it is lowered for code first. Throws Error
/// (exit 3) also for what has no kernel at all.
C99Code emit_c99(const Graph& graph, const C99Options& options);

/// `void lathe_call(void *arena, const void *const *in, void *const *out)`: one inference, whatever
/// the signature of the code with this prefix; a fast region lies behind the arena. For a unit that
/// includes its header.
std::string c99_call_text(const C99Code& code, const std::string& prefix, size_t inputs,
                          size_t outputs);

}  // namespace lathe

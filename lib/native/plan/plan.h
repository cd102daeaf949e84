// A native execution plan: a list of steps on views of a few memory blocks, with everything decided
// beforehand. Plain data: made by native/lower from a Graph, executed by native/program, written to
// a file by native/artifact.
//
// All shapes are fixed: another batch size is another plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/memory_plan.h"
#include "ir/tensor.h"
#include "plan/plan_constants.h"
#include "plan/plan_steps.h"

namespace lathe {

enum class BlockPlace : uint8_t {
  kArena,     // at an offset of the one arena
  kConstant,  // at an offset of the plan's constants
  kInput,     // the caller's, read only
  kOutput,    // the caller's
};

/// A piece of memory that views divide.
struct PlanBlock {
  BlockPlace place = BlockPlace::kArena;
  int64_t bytes = 0;
  /// kArena, kConstant: bytes from the start; kInput, kOutput: the graph's input or output.
  int64_t offset = 0;
};

/// A strided array in a block. Of 8-bit integers that stand for real numbers: these are
/// (q - zero_point) * scale.
struct PlanView {
  std::string name;  // of the graph's value
  int32_t block = -1;
  DType dtype = DType::kFloat32;
  Shape shape;                   // in ONNX's order of dimensions
  std::vector<int64_t> strides;  // in elements, one per dimension
  int64_t offset = 0;            // of the first element, in elements
  float scale = 0;               // 0: the integers are meant as they are
  int32_t zero_point = 0;
  /// Of compact plans, which are not stored: what was added to the graph's int8 numbers, 128.
  int32_t shift = 0;
};

/// How a step is computed where there are several ways, by measurements on one machine (tuning/).
/// A machine that lacks the implementation takes its own default.
struct StepChoice {
  /// A name that BoundStep::implementation gives: "brgconv:avx512_core_vnni". "": the default.
  std::string implementation;
  /// As many as this at most; 0: as many as the program has.
  int32_t threads = 0;

  bool operator==(const StepChoice&) const = default;
};

struct PlanStep {
  /// The graph's nodes that the step computes, the one that gives its name first.
  std::vector<std::string> nodes;
  /// Index of the first of them in the graph that was lowered; -1 after reading a file.
  int32_t node = -1;
  StepKind kind;
  StepChoice choice = {};
};

/// A value whose size nobody knows before it is computed: only fallback partitions make and read
/// such values.
struct PlanSlot {
  std::string name;
};

struct NativePlan {
  std::vector<PlanBlock> blocks;
  std::vector<PlanView> views;
  std::vector<PlanSlot> slots;
  std::vector<PlanStep> steps;
  std::vector<PlanValue> inputs;   // as the graph's, in order
  std::vector<PlanValue> outputs;  // as the graph's, in order
  PlanConstants constants;
  int64_t arena_bytes = 0;
  int64_t arena_lower_bound = 0;  // of the live values of any step
};

/// The view of a valid id.
inline const PlanView& view_of(const NativePlan& plan, ViewId id) {
  return plan.views[static_cast<size_t>(id.index)];
}
/// Bytes of one element.
inline int64_t element_bytes(const PlanView& view) { return dtype_bits(view.dtype) / 8; }

/// Alignment of blocks in the arena and among the constants.
constexpr int64_t kBlockAlignment = 64;
/// Up to where the next block may begin.
constexpr size_t block_aligned(size_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

/// Strides of an array without gaps whose dimensions lie in memory in `order`, outermost first.
std::vector<int64_t> dense_strides(const Shape& shape, const std::vector<int64_t>& order);
/// The same in the order of the dimensions.
std::vector<int64_t> dense_strides(const Shape& shape);
/// No gaps, dimensions of size 1 aside, in the order of the dimensions.
bool is_dense(const PlanView& view);
/// Elements from the view's first to one behind its last.
int64_t span_elements(const PlanView& view);

/// Views that a step reads and writes, in a fixed order; invalid ids are left out.
struct StepViews {
  std::vector<ViewId> reads;
  std::vector<ViewId> writes;
};
StepViews views_of(const PlanStep& step);

/// A float product that may round its factors to bfloat16.
bool may_round(const PlanStep& step);

/// "product", "elementwise", …
std::string_view step_name(const StepKind& step);

/// Gives every arena block its offset: two that are alive together never overlap. Sets arena_bytes
/// and arena_lower_bound. Throws Error (exit 8) as plan_memory does.
void place_blocks(NativePlan& plan);

/// States every invariant of a plan: ids, offsets within blocks, arena and constants, shapes that
/// fit together, windows. Throws Error (exit 3, code "plan.invalid"): a plan may come from a file.
void verify_plan(const NativePlan& plan);

}  // namespace lathe

// What verify_plan is made of: everything about one step is asked of a PlanCheck, which names the
// step when the answer is bad.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "plan/plan.h"

namespace lathe {

/// Sizes below which products of them cannot overflow where kernels compute them.
constexpr int64_t kMostPlanBytes = int64_t{1} << 40;  // of a block, elements of a view
constexpr int64_t kMostWindow = int64_t{1} << 20;     // extent, stride or padding of a window
constexpr int64_t kMostProductTerms = 65793;          // sums stay within int32
constexpr int64_t kMostPlanValues = 4096;
constexpr int32_t kMostStepThreads = 1024;
constexpr size_t kMostImplementationName = 128;

/// Bytes of a block that a view lies in: from `begin` up to and without `end`.
struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// A view as images of pixels whose channels lie side by side; pitches in elements.
struct PlanPixels {
  int64_t images = 1;
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 1;
  int64_t image_pitch = 0;
  int64_t row_pitch = 0;
  int64_t pixel_pitch = 0;
};

class PlanCheck {
 public:
  PlanCheck(const NativePlan& plan, std::string where) : plan_(plan), where_(std::move(where)) {}

  /// Throws Error (exit 3, "plan.invalid").
  [[noreturn]] void fail(std::string_view message) const;
  void require(bool holds, std::string_view message) const {
    if (!holds) fail(message);
  }

  /// A view that must be there. It lies within its block, whatever its strides are.
  const PlanView& view(ViewId id) const;
  /// The same with elements of `dtype`, at least one.
  const PlanView& view(ViewId id, DType dtype) const;
  const PlanBlock& block(const PlanView& view) const {
    return plan_.blocks[static_cast<size_t>(view.block)];
  }
  /// Of a view that has elements.
  ByteRange range(const PlanView& view) const;

  /// `count` neighbouring elements of `dtype` among the constants.
  void constant_row(ViewId id, DType dtype, int64_t count) const;
  /// No gaps, in the order of the dimensions.
  void dense(const PlanView& view) const;
  /// Each element has its own place.
  void written_once(const PlanView& view) const;
  void same_shape(const PlanView& a, const PlanView& b) const;
  /// Dimensions and strides that the kernels' loops take, the written array first.
  void loops(const Shape& shape, const std::vector<std::vector<int64_t>>& strides) const;

  PlanPixels pixels(const PlanView& view, ChannelAxis axis) const;
  /// Pixels of all images follow each other with one pitch.
  void uniform(const PlanPixels& pixels) const;

  const NativePlan& plan() const { return plan_; }

 private:
  const NativePlan& plan_;
  std::string where_;
};

/// Types, shapes and parameters of one step.
void verify_step(const PlanCheck& check, const PlanStep& step);

/// What a step reads and what it writes are different elements, or the very same ones where the
/// kind of step computes in place.
void verify_apart(const PlanCheck& check, const PlanStep& step);

/// Arena blocks that are alive together have no byte in common.
void verify_arena(const NativePlan& plan);

/// The first and the last step that touches a block; first > last: none does.
struct BlockLife {
  int32_t first = INT32_MAX;
  int32_t last = -1;
};
std::vector<BlockLife> block_lives(const NativePlan& plan);

}  // namespace lathe

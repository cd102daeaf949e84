// What the writers of steps share: the plan, where its arrays lie, and the text so far.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "c99/arena.h"
#include "c99/c99.h"
#include "c99/fixed_point.h"
#include "ir/quantization.h"
#include "plan/plan.h"

namespace lathe {

/// Pieces of C text that are a part of the source when a step needs them, in this order.
enum class KernelText : uint8_t {
  kMath,
  kBase,
  kQuantize,
  kSum,
  kMultiply,
  kSoftmax,
  kRows,
  kProduct,
  kDepthwise,
  kPool,
  kRecurrentBytes,
  kRecurrent,
};
/// Where kernels use Arm's vector unit.
inline constexpr std::string_view kVectorUnit =
    "#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2) && defined(__GNUC__)\n";
constexpr size_t kKernelTexts = static_cast<size_t>(KernelText::kRecurrent) + 1;

class CodeContext {
 public:
  /// `fast`: of the fast region; where it has an array, the arena has not.
  CodeContext(const NativePlan& the_plan, const Arena& arena, const Arena& fast,
              std::vector<std::string> inputs,
              std::vector<std::string> outputs, Rounding how, std::string unit_prefix = {})
      : plan(the_plan),
        rounding(how),
        arena_(arena),
        fast_(fast),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        unit_prefix_(std::move(unit_prefix)) {}

  const NativePlan& plan;
  const Rounding rounding;
  std::string constants;  // definitions
  std::string weights;    // of a unit of their own, where the context has a prefix for its names
  std::set<std::string> ports;  // inputs and outputs that steps use
  int64_t constant_bytes = 0;

  const PlanView& view(ViewId id) const { return view_of(plan, id); }
  /// A pointer to the first element, of its type; bytes of quantized arrays are unsigned.
  std::string address(ViewId id, bool is_written);
  /// A pointer to a step's part of the arena.
  std::string scratch(size_t step, std::string_view type) const;
  /// Of a view among the constants.
  template <class T>
  std::vector<T> values(ViewId id) const;
  /// Defines an array; the name is "NAME_STEP", or that of an equal one.
  template <class T>
  std::string add_array(std::string_view name, size_t step, const std::vector<T>& values);
  /// An array that is another one where the processor has Arm's vector unit with floats
  /// (kernels/base.c: HAS_MVE), of as many elements.
  std::string add_array(std::string_view name, size_t step, const std::vector<int32_t>& values,
                        const std::vector<int32_t>& of_vectors);

  void use(KernelText text) {
    used_[static_cast<size_t>(text)] = true;
    // All but these round.
    if (text != KernelText::kMath && text != KernelText::kRecurrent)
      used_[static_cast<size_t>(KernelText::kBase)] = true;
    if (text == KernelText::kProduct || text == KernelText::kRecurrentBytes)
      used_[static_cast<size_t>(KernelText::kRows)] = true;
  }
  /// Factors of `rescaled`, in the source itself: the type is its own.
  std::string add_factors(std::string_view name, size_t step, const std::vector<FixedPoint>& factors);

  /// The same of a struct: what stands between its braces.
  std::string add_struct(std::string_view type, size_t step, const std::string& fields);

  bool uses(KernelText text) const { return used_[static_cast<size_t>(text)]; }

 private:
  std::string constant_array(const PlanView& view);
  void define(std::string_view type, const std::string& name, size_t count,
              const std::string& text);

  const Arena& arena_;
  const Arena& fast_;
  std::vector<std::string> inputs_, outputs_;
  std::string unit_prefix_;  // "": arrays are the source's own
  // The name of what is defined so; false: it has just been given this one.
  std::pair<std::string, bool> known_as(const std::string& name, std::string content);

  std::vector<int32_t> defined_;  // blocks of constants
  std::map<std::string, std::string> names_;  // of arrays and structs by what they hold
  std::array<bool, kKernelTexts> used_{};
};

/// kernels/base.c rounds numbers below this.
constexpr double kMostRounded = 4e6;

/// Bytes that stand for real numbers.
inline bool is_quantized(const PlanView& view) {
  return view.scale != 0 && (view.dtype == DType::kUInt8 || view.dtype == DType::kInt8);
}

/// "float", "uint8_t", …. Throws Error (exit 3) for types that C has not.
std::string_view c_type(DType dtype);

/// A view as images of pixels; distances in elements. Matrices are one line of pixels.
struct Pixels {
  int64_t images = 1, height = 1, width = 1, channels = 1;
  int64_t image = 0, row = 0, pixel = 0, channel = 1;
};
Pixels pixels_of(const PlanView& view, ChannelAxis axis);

/// The kind of step and its nodes, for comments and messages.
std::string step_title(const PlanStep& step);
/// Throws Error (exit 3): there is no C code for this step.
[[noreturn]] void refuse_step(const PlanStep& step, const std::string& why);

// One pair per family of steps: what the step needs, and its statements. `index`: of the step.
StepNeeds needs_of_product(const NativePlan& plan, const ProductStep& step);
StepNeeds needs_of_depthwise(const NativePlan& plan, const DepthwiseStep& step);
std::string write_product(CodeContext& code, const PlanStep& step, size_t index);
std::string write_depthwise(CodeContext& code, const PlanStep& step, size_t index);
std::string write_pool(CodeContext& code, const PoolStep& step, size_t index);
std::string write_resize(CodeContext& code, const ResizeStep& step, size_t index);
StepNeeds needs_of_recurrent(const NativePlan& plan, const RecurrentStep& step);
std::string write_recurrent(CodeContext& code, const PlanStep& step, size_t index);
StepNeeds needs_of_elements(const NativePlan& plan, ViewId input, ViewId output);
std::string write_elements(CodeContext& code, const PlanStep& step, size_t index);
/// A sum or product of two arrays of bytes, as bytes, without floats in between.
bool is_byte_binary(const NativePlan& plan, const ElementwiseProgramStep& step);
std::string write_byte_binary(CodeContext& code, const PlanStep& whole,
                              const ElementwiseProgramStep& step, size_t index);
/// Defines what `summed` is told, and gives its name; `a` and `b` in the order of the Add, `shift`:
/// the result's (PlanView).
std::string add_sum_terms(CodeContext& code, const PlanStep& step, const ScaleZeroPoint& a,
                          const ScaleZeroPoint& b, const ScaleZeroPoint& total, int32_t shift,
                          size_t index);
std::string write_gather(CodeContext& code, const PlanStep& whole, const GatherStep& step,
                         size_t index);
std::string write_floats(CodeContext& code, const PlanStep& step);
std::string write_byte_softmax(CodeContext& code, const SoftmaxStep& step, size_t index);

/// An average of bytes of the same parameters as its result, without padding that counts.
bool is_whole_average(const NativePlan& plan, const PoolStep& step);
/// Whether TensorFlow Lite's reference kernel may give other bytes than this step, with
/// Rounding::kTflite too.
bool rounds_in_floats(const NativePlan& plan, const PlanStep& step);
/// Whether this computes bytes in integers what ONNX Runtime, which has no integer operator for it,
/// computes in floats.
bool is_float_in_ort(const NativePlan& plan, const PlanStep& step);

/// All that a step of any kind needs. Throws Error (exit 3) naming the node of one without C code.
StepNeeds needs_of(const NativePlan& plan, const PlanStep& step);
std::string write_step(CodeContext& code, const PlanStep& step, size_t index);

}  // namespace lathe

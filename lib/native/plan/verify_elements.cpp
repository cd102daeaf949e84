// Steps that move, convert or combine single elements, and fallback partitions.
#include <algorithm>

#include "ir/error.h"
#include "kernels/cast.h"
#include "plan/verify_step_kinds.h"

namespace lathe {
namespace {

bool is_byte(DType dtype) { return dtype == DType::kUInt8 || dtype == DType::kInt8; }

/// As the kernels name it; false: no kernel takes it.
bool element_type(DType dtype, ElementType& type) {
  switch (dtype) {
    case DType::kFloat32: type = ElementType::kFloat32; return true;
    case DType::kUInt8: type = ElementType::kUInt8; return true;
    case DType::kInt8: type = ElementType::kInt8; return true;
    case DType::kInt32: type = ElementType::kInt32; return true;
    case DType::kBool: type = ElementType::kBool; return true;
    default: return false;
  }
}

ElementwiseArray array_of(const PlanCheck& check, const PlanView& view) {
  ElementwiseArray array;
  check.require(element_type(view.dtype, array.type), "a type that no kernel takes");
  array.strides = view.strides;
  return array;
}

void verify_element_size(const PlanCheck& check, DType dtype) {
  const int bits = dtype_bits(dtype);
  check.require(bits == 8 || bits == 16 || bits == 32 || bits == 64,
                "elements of a size that cannot be copied");
}

/// Elements may be none: such steps do nothing then.
void verify_moved(const PlanCheck& check, const PlanView& input, const PlanView& output) {
  check.same_shape(input, output);
  check.loops(output.shape, {output.strides, input.strides});
  if (element_count(output.shape) > 0) check.written_once(output);
}

}  // namespace

void verify(const PlanCheck& check, const ElementwiseProgramStep& s) {
  constexpr size_t kMostOps = 4096;
  const PlanView& output = check.view(s.output);
  check.require(s.inputs.size() <= kMaxElementwiseInputs && s.program.size() <= kMostOps,
                "too many inputs or operations");
  std::vector<ElementwiseArray> inputs;
  for (const ViewId id : s.inputs) {
    const PlanView& input = check.view(id);
    check.same_shape(input, output);
    inputs.push_back(array_of(check, input));
  }
  for (size_t i = 0; i < s.program.size(); ++i) {
    const ElementwiseOp& op = s.program[i];
    check.require(static_cast<int>(op.kind) < kElementwiseKinds, "an unknown operation");
    // Operands that the kind does not have, too.
    const auto registers = static_cast<int>(s.inputs.size() + i);
    for (const int16_t operand : {op.a, op.b, op.c})
      check.require(operand >= 0 && operand < std::max(registers, 1),
                    "an operand that does not exist yet");
  }
  if (element_count(output.shape) > 0) check.written_once(output);
  try {
    prepare_elementwise(output.shape, inputs, s.program, array_of(check, output));
  } catch (const InternalError& error) {
    check.fail(error.what());
  }
}

void verify(const PlanCheck& check, const LookupStep& s) {
  const PlanView& input = check.view(s.input);
  const PlanView& output = check.view(s.output);
  check.require(is_byte(input.dtype), "a table for an array that has no bytes");
  check.require(is_byte(output.dtype) || output.dtype == DType::kFloat32,
                "a table of another type");
  check.require(element_count(input.shape) > 0, "an array without elements");
  check.same_shape(input, output);
  check.constant_row(s.table, output.dtype, 256);
  check.written_once(output);
  if (input.strides == output.strides && span_elements(input) == element_count(input.shape)) return;
  check.uniform(check.pixels(input, ChannelAxis::kSecond));
  check.uniform(check.pixels(output, ChannelAxis::kSecond));
}

void verify(const PlanCheck& check, const ConvertStep& s) {
  const PlanView& input = check.view(s.input);
  const PlanView& output = check.view(s.output);
  const bool quantizes = input.dtype == DType::kFloat32 && is_byte(output.dtype);
  const bool dequantizes =
      (is_byte(input.dtype) || input.dtype == DType::kInt32) && output.dtype == DType::kFloat32;
  check.require(quantizes || dequantizes, "a conversion between types that have none");
  check.require((quantizes ? output : input).scale > 0, "a conversion without a scale");
  verify_moved(check, input, output);
}

void verify(const PlanCheck& check, const CopyStep& s) {
  const PlanView& input = check.view(s.input);
  const PlanView& output = check.view(s.output);
  verify_element_size(check, input.dtype);
  check.require(dtype_bits(input.dtype) == dtype_bits(output.dtype), "elements of different sizes");
  verify_moved(check, input, output);
}

void verify(const PlanCheck& check, const CastStep& s) {
  const PlanView& input = check.view(s.input);
  const PlanView& output = check.view(s.output);
  check.require(can_cast(input.dtype, output.dtype), "a cast between types that have none");
  check.same_shape(input, output);
  check.dense(input);
  check.dense(output);
}

void verify(const PlanCheck& check, const GatherStep& s) {
  const PlanView& input = check.view(s.input);
  const PlanView& output = check.view(s.output);
  const PlanView& indices = check.view(s.indices);
  verify_element_size(check, input.dtype);
  check.require(input.dtype == output.dtype, "elements of different types");
  check.require(indices.dtype == DType::kInt32 || indices.dtype == DType::kInt64,
                "indices that are no integers");
  check.require(s.axis >= 0 && s.axis < static_cast<int64_t>(input.shape.size()),
                "an axis that the array does not have");
  Shape expected = input.shape;
  const auto at = expected.erase(expected.begin() + s.axis);
  expected.insert(at, indices.shape.begin(), indices.shape.end());
  check.require(output.shape == expected, "an output of another shape");
  check.dense(input);
  check.dense(indices);
  check.dense(output);
}

void verify(const PlanCheck& check, const FillStep& s) {
  const PlanView& output = check.view(s.output);
  verify_element_size(check, output.dtype);
  check.loops(output.shape, {output.strides});
  if (element_count(output.shape) > 0) check.written_once(output);
}

void verify(const PlanCheck& check, const FallbackStep& s) {
  check.require(s.partition >= 0, "there is no such partition");
  check.require(s.inputs.size() <= kMostPlanValues && s.outputs.size() <= kMostPlanValues,
                "too many inputs or outputs");
  for (const std::vector<PlanValue>* side : {&s.inputs, &s.outputs}) {
    for (const PlanValue& value : *side) {
      if (!value.view.valid()) {
        check.require(
            value.slot >= 0 && static_cast<size_t>(value.slot) < check.plan().slots.size(),
            "there is no such slot");
        continue;
      }
      check.require(value.slot == -1, "a value that is a view and a slot");
      check.dense(check.view(value.view));
    }
  }
}

}  // namespace lathe

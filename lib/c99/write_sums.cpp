// Sums and products of two arrays of bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "c99/c_nest.h"
#include "c99/c_text.h"
#include "c99/code_context.h"

namespace lathe {
namespace {

std::string fixed_text(double factor) {
  const FixedPoint point = fixed_point(factor);
  return fmt::format("{{{}, {}}}", point.multiplier, point.shift);
}

void require_roundable(const PlanStep& step, double most) {
  if (!(most < kMostRounded))
    refuse_step(step, fmt::format("results may be {:.3g} steps from zero", most));
}

// Along the innermost dimension that has several elements.
bool repeats(const PlanView& view) {
  for (size_t i = view.shape.size(); i-- > 0;)
    if (view.shape[i] > 1) return view.strides[i] == 0;
  return true;
}

std::string multiply_terms(CodeContext& code, const PlanStep& step, const PlanView& a,
                           const PlanView& b, const PlanView& output, size_t index) {
  std::string first;
  if (code.rounding == Rounding::kTflite) {
    first = fixed_text(double{a.scale} * double{b.scale} / double{output.scale});
  } else {
    const float factor = a.scale * b.scale / output.scale;
    require_roundable(step, 65025.0 * double{factor} + 256);
    first = fmt::format("{}, {}", c_float(factor),
                        c_float(static_cast<float>(output.zero_point - output.shift)));
  }
  return code.add_struct(
      "multiply_terms", index,
      fmt::format("{}, {}, {}, {}", first, a.zero_point, b.zero_point,
                  code.rounding == Rounding::kTflite ? output.zero_point : output.shift));
}

}  // namespace

std::string add_sum_terms(CodeContext& code, const PlanStep& step, const ScaleZeroPoint& a,
                          const ScaleZeroPoint& b, const ScaleZeroPoint& total, int32_t shift,
                          size_t index) {
  std::string text;
  if (code.rounding == Rounding::kTflite) {
    const double unit = 2.0 * std::max(a.scale, b.scale);
    text = fmt::format("{}, {}, {}, {}, {}, {}", fixed_text(a.scale / unit),
                       fixed_text(b.scale / unit), fixed_text(unit / (0x1p20 * total.scale)),
                       a.zero_point, b.zero_point, total.zero_point);
  } else {
    const float factor_a = a.scale / total.scale;
    const float factor_b = b.scale / total.scale;
    require_roundable(step, 512 * (double{factor_a} + double{factor_b}) + 256);
    const auto real = [&](int32_t zero_point) {
      return static_cast<float>(zero_point - shift);
    };
    // Fused as ONNX Runtime's compiler does it.
    const float zeros = std::fma(factor_a, real(a.zero_point), factor_b * real(b.zero_point));
    text = fmt::format("{}, {}, {}, {}", c_float(factor_a), c_float(factor_b),
                       c_float(real(total.zero_point) - zeros), shift);
  }
  return code.add_struct("sum_terms", index, text);
}

bool is_byte_binary(const NativePlan& plan, const ElementwiseProgramStep& step) {
  if (step.program.size() != 1 || step.inputs.size() != 2) return false;
  const ElementwiseKind kind = step.program[0].kind;
  return (kind == ElementwiseKind::kAdd || kind == ElementwiseKind::kMul) &&
         is_quantized(view_of(plan, step.inputs[0])) &&
         is_quantized(view_of(plan, step.inputs[1])) && is_quantized(view_of(plan, step.output));
}

std::string write_byte_binary(CodeContext& code, const PlanStep& whole,
                              const ElementwiseProgramStep& step, size_t index) {
  const ElementwiseOp& op = step.program[0];
  ViewId first = step.inputs[static_cast<size_t>(op.a)];
  ViewId second = step.inputs[static_cast<size_t>(op.b)];
  // What repeats is added first, as by ONNX Runtime.
  if (repeats(code.view(first)) && !repeats(code.view(second))) std::swap(first, second);
  const PlanView& a = code.view(first);
  const PlanView& b = code.view(second);
  const PlanView& to = code.view(step.output);
  const bool is_sum = op.kind == ElementwiseKind::kAdd;
  code.use(is_sum ? KernelText::kSum : KernelText::kMultiply);
  const std::string terms =
      is_sum ? add_sum_terms(code, whole, {a.scale, a.zero_point}, {b.scale, b.zero_point},
                             {to.scale, to.zero_point}, to.shift, index)
             : multiply_terms(code, whole, a, b, to, index);
  return c_nest(to.shape, {to.strides, a.strides, b.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = {}(&{}, ({})[{}], ({})[{}]{});\n",
                       code.address(step.output, true), at[0], is_sum ? "summed" : "multiplied",
                       terms, code.address(first, false), at[1], code.address(second, false), at[2],
                       is_sum ? ", 0, 255" : "");
  });
}

}  // namespace lathe

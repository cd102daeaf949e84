// Steps that compute or move one element at a time.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "c99/c_nest.h"
#include "c99/c_text.h"
#include "c99/code_context.h"
#include "ir/error.h"

namespace lathe {
namespace {

// A float expression of an element.
std::string loaded(const PlanView& view, const std::string& element) {
  if (is_quantized(view))
    return fmt::format("(float)({} - {}) * {}", element, view.zero_point, c_float(view.scale));
  return view.dtype == DType::kFloat32 ? element : "(float)" + element;
}

std::string stored(CodeContext& code, const PlanStep& step, const PlanView& view,
                   const std::string& value) {
  if (view.dtype == DType::kFloat32) return value;
  if (view.dtype == DType::kBool) return fmt::format("{} != 0.0f", value);
  if (view.dtype != DType::kUInt8 || view.scale == 0)
    refuse_step(step, fmt::format("results of type {}", dtype_name(view.dtype)));
  code.use(KernelText::kQuantize);
  return fmt::format("quantized_byte({}, {}, {})", value, c_float(view.scale), view.zero_point);
}

// C of one operation: {a}, {b}, {c} are registers, {p}, {q} its constants.
const char* operation(ElementwiseKind kind) {
  using enum ElementwiseKind;
  switch (kind) {
    case kConstant: return "{p}";
    case kAdd: return "{a} + {b}";
    case kSub: return "{a} - {b}";
    case kMul: return "{a} * {b}";
    case kDiv: return "{a} / {b}";
    case kMin: return "{a} < {b} ? {a} : {b}";
    case kMax: return "{a} > {b} ? {a} : {b}";
    case kPow: return "powf({a}, {b})";
    case kPRelu: return "{a} >= 0.0f ? {a} : {a} * {b}";
    case kLess: return "{a} < {b} ? 1.0f : 0.0f";
    case kGreater: return "{a} > {b} ? 1.0f : 0.0f";
    case kEqual: return "{a} == {b} ? 1.0f : 0.0f";
    case kWhere: return "{a} != 0.0f ? {b} : {c}";
    case kNeg: return "-{a}";
    case kAbs: return "{a} < 0.0f ? -{a} : {a}";
    case kSqrt: return "sqrtf({a})";
    case kExp: return "expf({a})";
    case kLog: return "logf({a})";
    case kReciprocal: return "1.0f / {a}";
    case kFloor: return "floorf({a})";
    case kCeil: return "ceilf({a})";
    case kRound: return "rintf({a})";
    case kSign: return "{a} > 0.0f ? 1.0f : {a} < 0.0f ? -1.0f : 0.0f";
    case kRelu: return "{a} > 0.0f ? {a} : 0.0f";
    case kClip: return "{a} < {p} ? {p} : {a} > {q} ? {q} : {a}";
    case kLeakyRelu: return "{a} >= 0.0f ? {a} : {p} * {a}";
    case kElu: return "{a} >= 0.0f ? {a} : {p} * (expf({a}) - 1.0f)";
    case kCelu: return "{a} >= 0.0f ? {a} : {p} * (expf({a} / {p}) - 1.0f)";
    case kSelu: return "{q} * ({a} > 0.0f ? {a} : {p} * (expf({a}) - 1.0f))";
    case kHardSigmoid: return "fminf(fmaxf({p} * {a} + {q}, 0.0f), 1.0f)";
    case kHardSwish: return "{a} * fminf(fmaxf({a} / 6.0f + 0.5f, 0.0f), 1.0f)";
    case kSigmoid: return "1.0f / (1.0f + expf(-{a}))";
    case kSilu: return "{a} / (1.0f + expf(-{a}))";
    case kTanh: return "tanhf({a})";
    case kGelu: return "0.5f * {a} * (1.0f + erff({a} * 0.707106781f))";
    case kGeluTanh:
      return "0.5f * {a} * (1.0f + tanhf(0.797884561f * ({a} + 0.044715f * {a} * {a} * {a})))";
    case kErf: return "erff({a})";
    case kSoftplus: return "logf(1.0f + expf({a}))";
    case kMish: return "{a} * tanhf(logf(1.0f + expf({a})))";
    case kSoftsign: return "{a} / (1.0f + fabsf({a}))";
    case kSin: return "sinf({a})";
    case kCos: return "cosf({a})";
    case kThresholdedRelu: return "{a} > {p} ? {a} : 0.0f";
  }
  throw InternalError("c99: an elementwise operation without C");
}

// All functions of math.h that operation() names end so.
bool needs_math(const std::string& expression) { return expression.find("f(") != std::string::npos; }

std::string write_program(CodeContext& code, const PlanStep& whole,
                          const ElementwiseProgramStep& step) {
  const PlanView& to = code.view(step.output);
  std::vector<std::vector<int64_t>> strides{to.strides};
  std::string pointers = fmt::format("  {{\n    {} *const to = {};\n", c_type(to.dtype),
                                     code.address(step.output, true));
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    const PlanView& from = code.view(step.inputs[i]);
    pointers += fmt::format("    const {} *const from{} = {};\n", c_type(from.dtype), i,
                            code.address(step.inputs[i], false));
    strides.push_back(from.strides);
  }
  const std::string nest = c_nest(to.shape, strides, [&](const auto& at) {
    std::string body = "{\n";
    const auto line = [&](const std::string& text) { body += "        " + text + "\n"; };
    size_t next = 0;
    for (; next < step.inputs.size(); ++next)
      line(fmt::format("const float r{} = {};", next,
                       loaded(code.view(step.inputs[next]),
                              fmt::format("from{}[{}]", next, at[next + 1]))));
    for (const ElementwiseOp& op : step.program) {
      const char* format = operation(op.kind);
      const std::string text = fmt::format(
          fmt::runtime(format), fmt::arg("a", fmt::format("r{}", op.a)),
          fmt::arg("b", fmt::format("r{}", op.b)), fmt::arg("c", fmt::format("r{}", op.c)),
          fmt::arg("p", c_float(op.p)), fmt::arg("q", c_float(op.q)));
      if (needs_math(text)) code.use(KernelText::kMath);
      line(fmt::format("const float r{} = {};", next++, text));
    }
    line(fmt::format("to[{}] = {};", at[0],
                     stored(code, whole, to, fmt::format("r{}", next - 1))));
    return body + "      }\n";
  });
  return pointers + nest + "  }\n";
}

std::string write_lookup(CodeContext& code, const LookupStep& step) {
  const PlanView& from = code.view(step.input);
  const PlanView& to = code.view(step.output);
  const std::string table = code.address(step.table, false);
  const std::string in = code.address(step.input, false);
  const std::string out = code.address(step.output, true);
  // A table of int8 begins with that of -128, which comes as 128.
  return c_nest(to.shape, {to.strides, from.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = ({})[(uint8_t)({})[{}]];\n", out, at[0], table, in, at[1]);
  });
}

std::string write_copy(CodeContext& code, ViewId input, ViewId output) {
  const PlanView& from = code.view(input);
  const PlanView& to = code.view(output);
  return c_nest(to.shape, {to.strides, from.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = ({})[{}];\n", code.address(output, true), at[0],
                       code.address(input, false), at[1]);
  });
}

std::string write_convert(CodeContext& code, const PlanStep& whole, const ConvertStep& step) {
  const PlanView& from = code.view(step.input);
  const PlanView& to = code.view(step.output);
  const std::string out = code.address(step.output, true);
  const std::string in = code.address(step.input, false);
  return c_nest(to.shape, {to.strides, from.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = {};\n", out, at[0],
                       stored(code, whole, to,
                              loaded(from, fmt::format("({})[{}]", in, at[1]))));
  });
}

std::string write_fill(CodeContext& code, const PlanStep& whole, const FillStep& step) {
  const PlanView& to = code.view(step.output);
  std::string value = std::to_string(step.value & 255);
  const auto bits = static_cast<uint32_t>(step.value);
  if (to.dtype == DType::kFloat32)
    value = c_float(std::bit_cast<float>(bits));
  else if (to.dtype == DType::kInt32)
    value = std::to_string(std::bit_cast<int32_t>(bits));
  else if (element_bytes(to) != 1 && step.value != 0)
    refuse_step(whole, "a constant fill of this type");
  return c_nest(to.shape, {to.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = {};\n", code.address(step.output, true), at[0], value);
  });
}

std::string write_cast(CodeContext& code, const PlanStep& whole, const CastStep& step) {
  const PlanView& from = code.view(step.input);
  const PlanView& to = code.view(step.output);
  if (to.dtype == DType::kInt64) refuse_step(whole, "64-bit integers");
  return c_nest(to.shape, {to.strides, from.strides}, [&](const auto& at) {
    return fmt::format("({})[{}] = ({})({})[{}];\n", code.address(step.output, true), at[0],
                       c_type(to.dtype), code.address(step.input, false), at[1]);
  });
}

}  // namespace

StepNeeds needs_of_elements(const NativePlan& plan, ViewId input, ViewId output) {
  const PlanView& from = view_of(plan, input);
  const PlanView& to = view_of(plan, output);
  StepNeeds needs;
  // The same element is read and then written.
  if (from.shape == to.shape && from.strides == to.strides &&
      element_bytes(from) == element_bytes(to))
    needs.overlap = StepOverlap{input, 0, 1};
  return needs;
}

std::string write_elements(CodeContext& code, const PlanStep& step, size_t index) {
  if (const auto* s = std::get_if<ElementwiseProgramStep>(&step.kind))
    return is_byte_binary(code.plan, *s) ? write_byte_binary(code, step, *s, index)
                                         : write_program(code, step, *s);
  if (const auto* s = std::get_if<LookupStep>(&step.kind)) return write_lookup(code, *s);
  if (const auto* s = std::get_if<CopyStep>(&step.kind))
    return write_copy(code, s->input, s->output);
  if (const auto* s = std::get_if<ConvertStep>(&step.kind)) return write_convert(code, step, *s);
  if (const auto* s = std::get_if<FillStep>(&step.kind)) return write_fill(code, step, *s);
  if (const auto* s = std::get_if<CastStep>(&step.kind)) return write_cast(code, step, *s);
  refuse_step(step, fmt::format("there is no C code for {} yet", step_name(step.kind)));
}

std::string write_gather(CodeContext& code, const PlanStep& whole, const GatherStep& step,
                         size_t index) {
  const PlanView& from = code.view(step.input);
  const PlanView& indices = code.view(step.indices);
  const auto axis = static_cast<size_t>(step.axis);
  int64_t outer = 1;
  int64_t inner = element_bytes(from);
  for (size_t i = 0; i < axis; ++i) outer *= from.shape[i];
  for (size_t i = axis + 1; i < from.shape.size(); ++i) inner *= from.shape[i];
  const int64_t rows = from.shape[axis];
  std::string places;
  if (code.plan.blocks[static_cast<size_t>(indices.block)].place == BlockPlace::kConstant &&
      indices.dtype == DType::kInt64) {
    std::vector<int32_t> known;
    for (const int64_t each : code.values<int64_t>(step.indices))
      known.push_back(static_cast<int32_t>(std::clamp(each, -rows, rows - 1)));
    places = code.add_array("indices", index, known);
  } else if (indices.dtype == DType::kInt32) {
    places = code.address(step.indices, false);
  } else {
    refuse_step(whole, fmt::format("indices of type {}", dtype_name(indices.dtype)));
  }
  // An index out of range takes the first row or the last one: there is nobody to tell.
  return fmt::format(
      "  {{\n    const int32_t *const places = {0};\n    int32_t n, i, row;\n"
      "    for (n = 0; n < {1}; ++n)\n      for (i = 0; i < {2}; ++i) {{\n"
      "        row = places[i] < 0 ? places[i] + {3} : places[i];\n"
      "        row = row < 0 ? 0 : row >= {3} ? {3} - 1 : row;\n"
      "        memcpy((uint8_t *)({5}) + (n * {2} + i) * {4}, (const uint8_t *)({6}) + (n * {3} + "
      "row) * {4}, {4});\n      }}\n  }}\n",
      places, outer, element_count(indices.shape), rows, inner, code.address(step.output, true),
      code.address(step.input, false));
}

std::string write_byte_softmax(CodeContext& code, const SoftmaxStep& step, size_t index) {
  code.use(KernelText::kSoftmax);
  const PlanView& from = code.view(step.input);
  const SoftmaxTerms terms = softmax_terms(from.scale);
  const int64_t length = from.shape.back();
  const std::string name = code.add_struct(
      "softmax_terms", index,
      fmt::format("{}, {}, {}", terms.difference.multiplier, terms.difference.shift,
                  terms.least_difference));
  return fmt::format(
      "  {{\n    int32_t row;\n    for (row = 0; row < {0}; ++row)\n"
      "      softmax_row(&{1}, {2} + row * {3}, {4} + row * {3}, {3});\n  }}\n",
      element_count(from.shape) / length, name, code.address(step.input, false), length,
      code.address(step.output, true));
}

}  // namespace lathe

#include "c99/code_context.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "c99/c_text.h"
#include "ir/error.h"

namespace lathe {
namespace {

template <class T>
std::vector<T> read_values(const NativePlan& plan, const PlanView& view) {
  const PlanBlock& block = plan.blocks[static_cast<size_t>(view.block)];
  if (block.place != BlockPlace::kConstant || !is_dense(view))
    throw InternalError("c99: no array of constants");
  std::vector<T> values(static_cast<size_t>(element_count(view.shape)));
  if (!values.empty())
    std::memcpy(values.data(),
                plan.constants.data() + block.offset +
                    view.offset * static_cast<int64_t>(sizeof(T)),
                values.size() * sizeof(T));
  return values;
}

template <class T>
std::string_view type_name();
template <>
std::string_view type_name<int8_t>() { return "int8_t"; }
template <>
std::string_view type_name<uint8_t>() { return "uint8_t"; }
template <>
std::string_view type_name<int32_t>() { return "int32_t"; }
template <>
std::string_view type_name<float>() { return "float"; }

}  // namespace

std::string_view c_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return "float";
    case DType::kUInt8:
    case DType::kBool: return "uint8_t";
    case DType::kInt8: return "int8_t";
    case DType::kInt32: return "int32_t";
    case DType::kInt64: return "int64_t";
    default:
      throw bad_input("c99.type", fmt::format("{} has no form in the C code", dtype_name(dtype)));
  }
}

template <class T>
std::vector<T> CodeContext::values(ViewId id) const {
  return read_values<T>(plan, view(id));
}
template std::vector<int8_t> CodeContext::values(ViewId) const;
template std::vector<uint8_t> CodeContext::values(ViewId) const;
template std::vector<int32_t> CodeContext::values(ViewId) const;
template std::vector<float> CodeContext::values(ViewId) const;
template std::vector<double> CodeContext::values(ViewId) const;
template std::vector<int64_t> CodeContext::values(ViewId) const;

void CodeContext::define(std::string_view type, const std::string& name, size_t count,
                         const std::string& text) {
  if (unit_prefix_.empty()) {
    constants += text;
    return;
  }
  const std::string declared = fmt::format("extern const {} {}[{}];\n", type, name, count);
  constants += declared;
  weights += declared;
  constexpr std::string_view kStatic = "static ";
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(kStatic, at), text.size());
    weights += text.substr(at, found - at);
    if (found == text.size()) break;
    weights += "WEIGHTS_ATTRIBUTE ";
    at = found + kStatic.size();
  }
}

std::pair<std::string, bool> CodeContext::known_as(const std::string& name, std::string content) {
  const auto [at, is_new] = names_.try_emplace(std::move(content), name);
  return {at->second, !is_new};
}

std::string CodeContext::add_array(std::string_view name, size_t step,
                                   const std::vector<int32_t>& values,
                                   const std::vector<int32_t>& of_vectors) {
  // No vector unit rounds as TensorFlow Lite does: kernels/base.c leaves it out there.
  if (rounding == Rounding::kTflite) return add_array(name, step, values);
  const std::string full = fmt::format("{}{}_{}", unit_prefix_, name, step);
  const std::string_view type = type_name<int32_t>();
  const auto text = [&](const std::string& label) {
    return fmt::format("{}{}#else\n{}#endif\n", kVectorUnit, c_array(type, label, of_vectors),
                       c_array(type, label, values));
  };
  const auto [known, is_there] = known_as(full, text("_"));
  if (is_there) return known;
  define(type, full, values.size(), text(full));
  constant_bytes += static_cast<int64_t>(values.size() * sizeof(int32_t));
  return full;
}

template <class T>
std::string CodeContext::add_array(std::string_view name, size_t step,
                                   const std::vector<T>& values) {
  const std::string full = fmt::format("{}{}_{}", unit_prefix_, name, step);
  const std::string_view type = type_name<T>();
  const auto [known, is_there] = known_as(full, c_array(type, "_", values));
  if (is_there) return known;
  define(type, full, values.size(), c_array(type, full, values));
  constant_bytes += static_cast<int64_t>(values.size() * sizeof(T));
  return full;
}
template std::string CodeContext::add_array(std::string_view, size_t, const std::vector<int8_t>&);
template std::string CodeContext::add_array(std::string_view, size_t, const std::vector<uint8_t>&);
template std::string CodeContext::add_array(std::string_view, size_t, const std::vector<int32_t>&);
template std::string CodeContext::add_array(std::string_view, size_t, const std::vector<float>&);

std::string CodeContext::add_factors(std::string_view name, size_t step,
                                     const std::vector<FixedPoint>& factors) {
  const std::string full = fmt::format("{}_{}", name, step);
  std::string text;
  for (const FixedPoint& each : factors)
    text += fmt::format("{}\n  {{{}, {}}}", text.empty() ? "" : ",", each.multiplier, each.shift);
  const auto [known, is_there] = known_as(full, "rescale" + text);
  if (is_there) return known;
  constants +=
      fmt::format("static const rescale {}[{}] = {{{}\n}};\n", full, factors.size(), text);
  constant_bytes += static_cast<int64_t>(factors.size() * sizeof(FixedPoint));
  return full;
}

std::string CodeContext::add_struct(std::string_view type, size_t step,
                                    const std::string& fields) {
  std::string_view label = type;
  if (label.ends_with("_terms")) label.remove_suffix(std::string_view("_terms").size());
  const std::string full = fmt::format("{}_{}", label, step);
  const auto [known, is_there] = known_as(full, fmt::format("{} {}", type, fields));
  if (!is_there) constants += fmt::format("static const {} {} = {{{}}};\n", type, full, fields);
  return known;
}

// The whole block, in the type of the view that asks first.
std::string CodeContext::constant_array(const PlanView& view) {
  const std::string name = fmt::format("{}constant_{}", unit_prefix_, view.block);
  if (std::ranges::find(defined_, view.block) != defined_.end()) return name;
  defined_.push_back(view.block);
  const PlanBlock& block = plan.blocks[static_cast<size_t>(view.block)];
  PlanView whole;
  whole.block = view.block;
  whole.dtype = view.dtype;
  whole.shape = {block.bytes / element_bytes(view)};
  whole.strides = {1};
  constant_bytes += block.bytes;
  if (view.dtype == DType::kFloat32)
    for (const float value : read_values<float>(plan, whole))
      if (!std::isfinite(value))
        throw bad_input("c99.nan", std::isnan(value) ? "a constant is NaN" : "a constant is infinite",
                        "value " + escape_untrusted(view.name, 60),
                        "repair the model: lathe inspect tells more of it");
  const auto define_as = [&](std::string_view type, const auto& values) {
    define(type, name, values.size(), c_array(type, name, values));
  };
  if (view.dtype == DType::kFloat32)
    define_as("float", read_values<float>(plan, whole));
  else if (view.dtype == DType::kInt8)
    define_as("int8_t", read_values<int8_t>(plan, whole));
  else if (view.dtype == DType::kInt32)
    define_as("int32_t", read_values<int32_t>(plan, whole));
  else if (element_bytes(view) == 1)
    define_as("uint8_t", read_values<uint8_t>(plan, whole));
  else
    c_type(DType::kUndefined);
  return name;
}

std::string CodeContext::address(ViewId id, bool is_written) {
  const PlanView& array = view(id);
  const PlanBlock& block = plan.blocks[static_cast<size_t>(array.block)];
  const std::string_view type = array.dtype == DType::kInt8 ? "int8_t" : c_type(array.dtype);
  const char* qualifier = is_written ? "" : "const ";
  const auto behind = [](const std::string& base, int64_t offset) {
    return offset == 0 ? base : fmt::format("{} + {}", base, offset);
  };
  switch (block.place) {
    case BlockPlace::kConstant: return behind(constant_array(array), array.offset);
    case BlockPlace::kInput:
      ports.insert(inputs_[static_cast<size_t>(block.offset)]);
      return behind(inputs_[static_cast<size_t>(block.offset)], array.offset);
    case BlockPlace::kOutput:
      return behind(outputs_[static_cast<size_t>(block.offset)], array.offset);
    case BlockPlace::kArena: break;
  }
  const auto at = static_cast<size_t>(array.block);
  const bool is_fast = !fast_.blocks.empty() && fast_.blocks[at] >= 0;
  const int64_t offset =
      (is_fast ? fast_.blocks[at] : arena_.blocks[at]) + array.offset * element_bytes(array);
  const std::string place = behind(is_fast ? "fast_bytes" : "bytes", offset);
  if (type == "uint8_t") return place;
  return fmt::format("({}{} *)({}void *)({})", qualifier, type, qualifier, place);
}

std::string CodeContext::scratch(size_t step, std::string_view type) const {
  if (!fast_.scratch.empty() && fast_.scratch[step] >= 0)
    return fmt::format("({} *)(void *)(fast_bytes + {})", type, fast_.scratch[step]);
  return fmt::format("({} *)(void *)(bytes + {})", type, arena_.scratch[step]);
}

Pixels pixels_of(const PlanView& view, ChannelAxis axis) {
  Pixels pixels;
  const Shape& shape = view.shape;
  if (axis == ChannelAxis::kLast) {
    pixels.channels = shape.back();
    pixels.width = element_count(shape) / std::max<int64_t>(1, pixels.channels);
    pixels.pixel = pixels.channels;
    pixels.row = pixels.image = pixels.width * pixels.channels;
    return pixels;
  }
  pixels.images = shape[0];
  pixels.image = view.strides[0];
  pixels.channels = shape[1];
  pixels.channel = shape[1] > 1 ? view.strides[1] : 1;
  if (shape.size() > 2) {
    pixels.width = shape.back();
    pixels.pixel = view.strides.back();
  }
  pixels.row = pixels.width * pixels.pixel;
  if (shape.size() > 3) {
    pixels.height = shape[2];
    pixels.row = view.strides[2];
  }
  return pixels;
}

std::string step_title(const PlanStep& step) {
  std::string nodes;
  for (const std::string& node : step.nodes)
    nodes += (nodes.empty() ? "" : ", ") + escape_untrusted(node, 60);
  return std::string(step_name(step.kind)) + (nodes.empty() ? "" : " of " + nodes);
}

void refuse_step(const PlanStep& step, const std::string& why) {
  throw bad_input("c99.step", why,
                  step.nodes.empty() ? std::string(step_name(step.kind))
                                     : "node " + escape_untrusted(step.nodes.front(), 60),
                  "leave it out of the network, or take the native engine");
}

}  // namespace lathe

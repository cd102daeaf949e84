#include "quantize/encodings/tensor_overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "ir/error.h"
#include "quantize/plan/weight_params.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

constexpr const char* kFlag = "--tensor";
constexpr std::pair<std::string_view, DType> kTypes[] = {{"uint8", DType::kUInt8},
                                                         {"int8", DType::kInt8},
                                                         {"uint16", DType::kUInt16},
                                                         {"int16", DType::kInt16}};

[[noreturn]] void refuse(const std::string& what) {
  throw bad_usage("usage.tensor", what, kFlag,
                  "for example --tensor '*Softmax*=uint8,0..1' or 'conv1=uint16'");
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

Range parse_range(const std::string& word) {
  const size_t dots = word.find("..");
  const auto low = number(std::string_view(word).substr(0, dots));
  const auto high = number(std::string_view(word).substr(dots + 2));
  if (!low || !high) refuse(fmt::format("'{}' is no range of two numbers", escape_untrusted(word)));
  if (!(*low < *high)) refuse(fmt::format("the range {} is empty", word));
  constexpr double kMostReal = 1e38;
  constexpr double kNarrowest = 1e-30;
  if (std::fabs(*low) > kMostReal || std::fabs(*high) > kMostReal || *high - *low < kNarrowest)
    refuse(fmt::format("the range {} does not fit float32", word));
  return {*low, *high};
}

void parse_word(const std::string& word, TensorOverride& made) {
  for (const auto& [name, dtype] : kTypes)
    if (word == name) {
      if (made.dtype) refuse("one type is enough");
      made.dtype = dtype;
      return;
    }
  if (word == "symmetric")
    made.symmetric = true;
  else if (word.find("..") != std::string::npos && made.range)
    refuse("one range is enough");
  else if (word.find("..") != std::string::npos)
    made.range = parse_range(word);
  else
    refuse(fmt::format("'{}' is none of uint8, int8, uint16, int16, symmetric and a range such as "
                       "-1..6",
                       escape_untrusted(word)));
}

int bits_of(DType dtype) { return dtype == DType::kUInt16 || dtype == DType::kInt16 ? 16 : 8; }

bool is_unsigned(const TensorOverride& one) { return one.dtype && integer_min(*one.dtype) >= 0; }

// The words of all patterns that match; weights are signed.
std::optional<TensorOverride> asked_of(const std::string& name, bool is_weight,
                                       std::span<const TensorOverride> overrides,
                                       std::vector<bool>& used) {
  std::optional<TensorOverride> asked;
  for (size_t i = 0; i < overrides.size(); ++i) {
    const TensorOverride& one = overrides[i];
    if ((is_weight && is_unsigned(one)) || !one.glob.matches(name)) continue;
    used[i] = true;
    if (!asked) asked = TensorOverride{one.glob, {}, false, {}};
    if (one.dtype) asked->dtype = one.dtype;
    if (one.range) asked->range = one.range;
    asked->symmetric = asked->symmetric || one.symmetric;
  }
  return asked;
}

TensorEncoding value_encoding(const TensorOverride& asked, const QuantParams& params,
                              const Range& chosen) {
  const DType dtype = asked.dtype.value_or(params.dtype);
  const Range range = asked.range.value_or(chosen);
  const auto qmin = static_cast<int32_t>(integer_min(dtype));
  const auto qmax = static_cast<int32_t>(integer_max(dtype));
  TensorEncoding made{bits_of(dtype), qmin < 0, {}};
  if (asked.symmetric) {
    // Zero is in the middle of an unsigned type's integers, too.
    const int32_t middle = qmin < 0 ? 0 : (qmax + 1) / 2;
    const double most = std::max(std::fabs(range.min), std::fabs(range.max));
    made.channels = {{choose_symmetric(most, qmax - middle).scale, middle - qmin}};
  } else {
    const ScaleZeroPoint both = choose_asymmetric(range.min, range.max, qmin, qmax);
    made.channels = {{both.scale, both.zero_point - qmin}};
  }
  return made;
}

TensorEncoding weight_encoding(const TensorOverride& asked, const WeightPlan& weight) {
  const DType dtype = asked.dtype.value_or(weight.params.dtype);
  const double had = weight_qmax(weight.params.dtype, weight.reduce_range);
  const double has = weight_qmax(dtype, weight.reduce_range);
  const int64_t middle = -integer_min(dtype);
  TensorEncoding made{bits_of(dtype), true, {}};
  if (asked.range) {
    const double most = std::max(std::fabs(asked.range->min), std::fabs(asked.range->max));
    made.channels = {{most / has, middle}};
  } else {
    for (const float scale : weight.params.scales)
      made.channels.push_back({scale * (had / has), middle});
  }
  return made;
}

}  // namespace

TensorOverride parse_override(const std::string& text) {
  // A name may hold '='.
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    refuse(fmt::format("'{}' is no GLOB=WORDS", escape_untrusted(text)));
  TensorOverride made{Glob(std::string_view(text).substr(0, equals)), {}, false, {}};
  for (size_t begin = equals + 1; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    parse_word(text.substr(begin, comma - begin), made);
    begin = comma + 1;
  }
  return made;
}

Encodings overridden_encodings(const Graph& graph, const PrecisionPlan& plan,
                               std::span<const TensorOverride> overrides) {
  Encodings made;
  std::vector<bool> used(overrides.size(), false);
  std::vector<std::string> names;
  // A value without a range of its own has the parameters of what moves it there.
  for (const auto& [id, range] : plan.ranges) {
    const std::string& name = names.emplace_back(graph.value(id).name);
    if (const auto asked = asked_of(name, false, overrides, used))
      made[name] = value_encoding(*asked, plan.values.at(id), range.range);
  }
  for (const WeightPlan& weight : plan.weights) {
    const ValueId id = graph.node(weight.node).inputs.at(weight.input);
    const std::string& name = names.emplace_back(graph.value(id).name);
    if (const auto asked = asked_of(name, true, overrides, used))
      made[name] = weight_encoding(*asked, weight);
  }
  const auto idle = std::ranges::find(used, false);
  if (idle != used.end()) {
    const TensorOverride& one = overrides[static_cast<size_t>(idle - used.begin())];
    const std::string& glob = one.glob.pattern();
    if (is_unsigned(one) && std::ranges::any_of(plan.weights, [&](const WeightPlan& weight) {
          const ValueId id = graph.node(weight.node).inputs.at(weight.input);
          return one.glob.matches(graph.value(id).name);
        }))
      refuse(fmt::format("'{}' is of weights, which are int8 or int16", escape_untrusted(glob)));
    throw bad_usage("usage.tensor",
                    fmt::format("no {} with a range of its own matches '{}'",
                                is_unsigned(one) ? "activation" : "tensor", escape_untrusted(glob)),
                    kFlag, escape_untrusted(name_hint(glob, names)));
  }
  return made;
}

}  // namespace lathe

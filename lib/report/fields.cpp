#include "report/fields.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "ir/error.h"

namespace lathe {

using nlohmann::json;

const json& field(const json& object, std::string_view key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

const json& list_field(const json& object, std::string_view key) {
  static const json empty = json::array();
  const json& value = field(object, key);
  return value.is_array() ? value : empty;
}

std::optional<double> number_of(const json& value) {
  const json& number = value.is_object() ? field(value, "value") : value;
  if (!number.is_number() || !std::isfinite(number.get<double>())) return std::nullopt;
  return number.get<double>();
}

std::optional<double> number_field(const json& object, std::string_view key) {
  return number_of(field(object, key));
}

std::optional<std::pair<double, double>> interval_field(const json& object) {
  const json& pair = list_field(object, "ci95");
  if (pair.size() != 2) return std::nullopt;
  const auto low = number_of(pair[0]);
  const auto high = number_of(pair[1]);
  if (!low || !high) return std::nullopt;
  return std::pair(*low, *high);
}

std::string text_of(const json& value) {
  constexpr size_t kMaxBytes = 300;
  if (value.is_null()) return {};
  if (value.is_string()) return escape_untrusted(value.get_ref<const std::string&>(), kMaxBytes);
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return escape_untrusted(value.dump(-1, ' ', false, json::error_handler_t::replace), kMaxBytes);
}

std::string text_field(const json& object, std::string_view key) {
  return text_of(field(object, key));
}

}  // namespace lathe

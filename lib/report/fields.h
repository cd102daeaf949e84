// Reading a report whose sections may be absent, null or of another type. Nothing here throws.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lathe {

/// object[key]; null when it is absent or `object` is none.
const nlohmann::json& field(const nlohmann::json& object, std::string_view key);
/// The same, an empty array for everything that is no array.
const nlohmann::json& list_field(const nlohmann::json& object, std::string_view key);

/// A finite number, or the one under "value" when `value` is an object.
std::optional<double> number_of(const nlohmann::json& value);
std::optional<double> number_field(const nlohmann::json& object, std::string_view key);

/// [low, high] of two finite numbers under "ci95".
std::optional<std::pair<double, double>> interval_field(const nlohmann::json& object);

/// Text without control characters and at most 300 bytes long: strings as escape_untrusted() gives
/// them, numbers with 6 digits, "" for null, other JSON as its text.
std::string text_of(const nlohmann::json& value);
std::string text_field(const nlohmann::json& object, std::string_view key);

}  // namespace lathe

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report/nearest_name.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

std::string pointer_token(std::string_view key) {
  std::string out = "/";
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// What was found, short enough for a message.
std::string found_text(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string())
    return fmt::format("\"{}\"", escape_untrusted(value.get_ref<const std::string&>(), 60));
  return value.dump();
}

std::string integer_range(int64_t min, int64_t max) {
  if (max == INT64_MAX) return fmt::format("an integer of at least {}", min);
  return fmt::format("an integer from {} to {}", min, max);
}

std::string number_range(double min, double max) {
  if (std::isinf(min) && std::isinf(max)) return "a number";
  if (std::isinf(max)) return fmt::format("a number of at least {}", min);
  if (std::isinf(min)) return fmt::format("a number of at most {}", max);
  return fmt::format("a number from {} to {}", min, max);
}

bool integer_within(const json& value, int64_t min, int64_t max) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return false;
  const int64_t number = value.get<int64_t>();
  return number >= min && number <= max;
}

bool number_within(const json& value, double min, double max) {
  if (!value.is_number()) return false;
  const double number = value.get<double>();
  return number >= min && number <= max;
}

}  // namespace

JsonReader::JsonReader(const json& object, std::string file, std::string pointer, ExitCode code)
    : object_(&object), file_(std::move(file)), pointer_(std::move(pointer)), code_(code) {
  if (!object.is_object()) throw wrong({}, "an object", object);
}

bool JsonReader::has(std::string_view key) const { return object_->contains(key); }

std::vector<std::string> JsonReader::keys() const {
  std::vector<std::string> out;
  for (const auto& item : object_->items()) out.push_back(item.key());
  return out;
}

const json* JsonReader::find(std::string_view key) {
  allow(key);
  const auto it = object_->find(key);
  return it == object_->end() ? nullptr : &*it;
}

const json& JsonReader::require(std::string_view key) {
  if (const json* found = find(key)) return *found;
  throw error({}, fmt::format("the key \"{}\" is missing", key));
}

std::string JsonReader::child(std::string_view key) const { return pointer_ + pointer_token(key); }

Error JsonReader::error(std::string_view key, std::string message, std::string hint) const {
  const std::string pointer = key.empty() ? pointer_ : child(key);
  std::string where = escape_untrusted(file_);
  if (!pointer.empty()) where += ": " + escape_untrusted(pointer, 300);
  return Error(code_, "json.value", {std::move(message), std::move(where), std::move(hint)});
}

Error JsonReader::wrong(std::string_view key, const std::string& expected,
                        const json& found) const {
  return error(key, "expected " + expected + ", found " + found_text(found));
}

const json& JsonReader::value(std::string_view key) { return require(key); }

std::string JsonReader::string(std::string_view key) {
  const json& value = require(key);
  if (!value.is_string()) throw wrong(key, "a string", value);
  return value.get<std::string>();
}

bool JsonReader::boolean(std::string_view key) {
  const json& value = require(key);
  if (!value.is_boolean()) throw wrong(key, "true or false", value);
  return value.get<bool>();
}

int64_t JsonReader::integer(std::string_view key, int64_t min, int64_t max) {
  const json& value = require(key);
  if (!integer_within(value, min, max)) throw wrong(key, integer_range(min, max), value);
  return value.get<int64_t>();
}

double JsonReader::number(std::string_view key, double min, double max) {
  const json& value = require(key);
  if (!number_within(value, min, max)) throw wrong(key, number_range(min, max), value);
  return value.get<double>();
}

std::string JsonReader::choice(std::string_view key, const std::vector<std::string>& allowed) {
  std::string text = string(key);
  for (const std::string& one : allowed)
    if (one == text) return text;
  std::string all;
  for (const std::string& one : allowed) all += (all.empty() ? "" : ", ") + one;
  const std::string nearest = nearest_name(text, allowed);
  throw error(key, fmt::format("expected one of {}, found \"{}\"", all, escape_untrusted(text, 60)),
              nearest.empty() ? "" : "did you mean \"" + nearest + "\"?");
}

std::vector<std::string> JsonReader::strings(std::string_view key) {
  const json& array = require(key);
  if (!array.is_array()) throw wrong(key, "an array of strings", array);
  std::vector<std::string> out;
  for (const json& item : array) {
    if (!item.is_string()) throw wrong(key, "an array of strings", item);
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<int64_t> JsonReader::integers(std::string_view key, int64_t min, int64_t max) {
  const json& array = require(key);
  if (!array.is_array()) throw wrong(key, "an array of integers", array);
  std::vector<int64_t> out;
  for (const json& item : array) {
    if (!integer_within(item, min, max))
      throw wrong(key, "an array, each element " + integer_range(min, max), item);
    out.push_back(item.get<int64_t>());
  }
  return out;
}

std::vector<double> JsonReader::numbers(std::string_view key, double min, double max) {
  const json& array = require(key);
  if (!array.is_array()) throw wrong(key, "an array of numbers", array);
  std::vector<double> out;
  for (const json& item : array) {
    if (!number_within(item, min, max))
      throw wrong(key, "an array, each element " + number_range(min, max), item);
    out.push_back(item.get<double>());
  }
  return out;
}

JsonReader JsonReader::object(std::string_view key) {
  return JsonReader(require(key), file_, child(key), code_);
}

std::vector<JsonReader> JsonReader::objects(std::string_view key) {
  const json& array = require(key);
  if (!array.is_array()) throw wrong(key, "an array of objects", array);
  std::vector<JsonReader> out;
  for (size_t i = 0; i < array.size(); ++i)
    out.emplace_back(array[i], file_, child(key) + "/" + std::to_string(i), code_);
  return out;
}

std::string JsonReader::string_or(std::string_view key, std::string fallback) {
  return find(key) ? string(key) : std::move(fallback);
}

bool JsonReader::boolean_or(std::string_view key, bool fallback) {
  return find(key) ? boolean(key) : fallback;
}

int64_t JsonReader::integer_or(std::string_view key, int64_t min, int64_t max, int64_t fallback) {
  return find(key) ? integer(key, min, max) : fallback;
}

double JsonReader::number_or(std::string_view key, double min, double max, double fallback) {
  return find(key) ? number(key, min, max) : fallback;
}

std::string JsonReader::choice_or(std::string_view key, const std::vector<std::string>& allowed,
                                  std::string fallback) {
  return find(key) ? choice(key, allowed) : std::move(fallback);
}

std::vector<std::string> JsonReader::strings_or(std::string_view key,
                                                std::vector<std::string> fallback) {
  return find(key) ? strings(key) : std::move(fallback);
}

std::optional<int64_t> JsonReader::integer_if(std::string_view key, int64_t min, int64_t max) {
  if (!find(key)) return std::nullopt;
  return integer(key, min, max);
}

std::optional<double> JsonReader::number_if(std::string_view key, double min, double max) {
  if (!find(key)) return std::nullopt;
  return number(key, min, max);
}

std::optional<std::string> JsonReader::string_if(std::string_view key) {
  if (!find(key)) return std::nullopt;
  return string(key);
}

std::optional<JsonReader> JsonReader::object_if(std::string_view key) {
  if (!find(key)) return std::nullopt;
  return object(key);
}

std::vector<JsonReader> JsonReader::objects_or_none(std::string_view key) {
  return find(key) ? objects(key) : std::vector<JsonReader>{};
}

void JsonReader::finish() const {
  for (const auto& item : object_->items()) {
    if (known_.contains(item.key())) continue;
    throw error(item.key(), fmt::format("unknown key \"{}\"", escape_untrusted(item.key(), 60)),
                name_hint(item.key(), {known_.begin(), known_.end()}));
  }
}

}  // namespace lathe

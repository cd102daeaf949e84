// JSON as lathe reads it: RFC 8259 without surprises, from files that may be hostile.
//
//   const nlohmann::json document = parse_json_strict(text, "device.json");
//   JsonReader reader(document, "device.json");
//   const int64_t cores = reader.integer("cores", 1, 4096);
//   JsonReader memory = reader.object("memory");
//   …
//   memory.finish();
//   reader.finish();
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/error.h"

namespace lathe {

constexpr size_t kMaxJsonBytes = 16u << 20;
constexpr int kMaxJsonDepth = 64;

/// The document in `text`. Refused with line:column: syntax errors, comments, trailing text, NUL
/// bytes, duplicate keys, NaN, infinite or overflowing numbers, integers beyond 64 bits, invalid
/// UTF-8. `code` is the exit code of these errors: kUsage for profiles, configs, gates, jobs and
/// reports; kBadInput for data specs. Text over `max_bytes`, nesting over kMaxJsonDepth: exit 8.
/// A UTF-8 byte order mark is skipped.
nlohmann::json parse_json_strict(std::string_view text, std::string_view file,
                                 ExitCode code = ExitCode::kUsage,
                                 size_t max_bytes = kMaxJsonBytes);

/// Reads one JSON object key by key. Every getter marks its key as known; finish() refuses the
/// rest. All errors name the file and the JSON pointer, what is allowed and what was found.
/// Refers to the object: the document must outlive the reader.
class JsonReader {
 public:
  /// Throws when `object` is not an object.
  JsonReader(const nlohmann::json& object, std::string file, std::string pointer = {},
             ExitCode code = ExitCode::kUsage);
  JsonReader(nlohmann::json&&, std::string, std::string = {}, ExitCode = ExitCode::kUsage) = delete;

  bool has(std::string_view key) const;
  /// All keys, sorted: for objects whose keys are data (op names, input names).
  std::vector<std::string> keys() const;
  const std::string& file() const { return file_; }
  const std::string& pointer() const { return pointer_; }

  /// Required values. The bounds are inclusive. number() takes integers as well.
  std::string string(std::string_view key);
  bool boolean(std::string_view key);
  int64_t integer(std::string_view key, int64_t min, int64_t max);
  double number(std::string_view key, double min, double max);
  /// One of `allowed`, with a suggestion when it is not.
  std::string choice(std::string_view key, const std::vector<std::string>& allowed);
  std::vector<std::string> strings(std::string_view key);
  std::vector<int64_t> integers(std::string_view key, int64_t min, int64_t max);
  std::vector<double> numbers(std::string_view key, double min, double max);
  JsonReader object(std::string_view key);
  /// The elements of an array, each an object.
  std::vector<JsonReader> objects(std::string_view key);
  /// Any value, unread.
  const nlohmann::json& value(std::string_view key);

  /// The value, or `fallback` when the key is absent. null is a value of the wrong type.
  std::string string_or(std::string_view key, std::string fallback);
  bool boolean_or(std::string_view key, bool fallback);
  int64_t integer_or(std::string_view key, int64_t min, int64_t max, int64_t fallback);
  double number_or(std::string_view key, double min, double max, double fallback);
  std::string choice_or(std::string_view key, const std::vector<std::string>& allowed,
                        std::string fallback);
  std::vector<std::string> strings_or(std::string_view key, std::vector<std::string> fallback);
  std::optional<int64_t> integer_if(std::string_view key, int64_t min, int64_t max);
  std::optional<double> number_if(std::string_view key, double min, double max);
  std::optional<std::string> string_if(std::string_view key);
  std::optional<JsonReader> object_if(std::string_view key);
  std::vector<JsonReader> objects_or_none(std::string_view key);

  /// Marks a key as known without reading it.
  void allow(std::string_view key) { known_.insert(std::string(key)); }
  /// Throws for a key that no getter asked for, with the nearest known key.
  void finish() const;

  /// An error at `key` of this object (at the object itself when empty).
  Error error(std::string_view key, std::string message, std::string hint = {}) const;

 private:
  const nlohmann::json* find(std::string_view key);
  const nlohmann::json& require(std::string_view key);
  std::string child(std::string_view key) const;
  Error wrong(std::string_view key, const std::string& expected, const nlohmann::json& found) const;

  const nlohmann::json* object_;
  std::string file_;
  std::string pointer_;
  ExitCode code_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace lathe

#include "report/json_text.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "ir/error.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

void check(const json& value, const std::string& pointer, int depth) {
  if (depth > kMaxJsonDepth) throw InternalError("JSON nested too deeply at " + pointer);
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    throw InternalError("NaN or infinity in JSON at " + (pointer.empty() ? "the top" : pointer));
  if (!value.is_structured()) return;
  for (const auto& item : value.items()) check(item.value(), pointer + "/" + item.key(), depth + 1);
}

std::string text(const json& value, int indent) {
  check(value, {}, 0);
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string json_text(const json& value) { return text(value, 2) + "\n"; }

std::string compact_json_text(const json& value) { return text(value, -1); }

}  // namespace lathe

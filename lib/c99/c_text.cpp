#include "c99/c_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr size_t kColumns = 96;

// Of C99 and of C++20, whose programs include the header.
constexpr std::string_view kKeywords[] = {
    "alignas",      "alignof",     "and",        "and_eq",   "asm",       "auto",
    "bitand",       "bitor",       "bool",       "break",    "case",      "catch",
    "char",         "class",       "co_await",   "compl",    "concept",   "const",
    "const_cast",   "consteval",   "constexpr",  "continue", "co_return", "co_yield",
    "decltype",     "default",     "delete",     "do",       "double",    "else",
    "enum",         "explicit",    "export",     "extern",   "false",     "float",
    "for",          "friend",      "goto",       "if",       "inline",    "int",
    "long",         "mutable",     "namespace",  "new",      "noexcept",  "not",
    "not_eq",       "nullptr",     "operator",   "or",       "or_eq",     "private",
    "protected",    "public",      "register",   "requires", "restrict",  "return",
    "short",        "signed",      "sizeof",     "static",   "struct",    "switch",
    "template",     "this",        "throw",      "true",     "try",       "typedef",
    "typeid",       "typename",    "union",      "unsigned", "using",     "virtual",
    "void",         "volatile",    "while",      "xor",      "xor_eq",    "static_assert",
    "thread_local", "static_cast", "dynamic_cast"};

// Of C's headers and of GNU C, with small letters.
constexpr std::string_view kMacros[] = {"assert", "errno", "linux",  "offsetof",
                                        "stderr", "stdin", "stdout", "unix"};
// Of the same list of parameters.
constexpr std::string_view kTypes[] = {"int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t",
                                       "uint32_t"};

template <class T, class Text>
std::string array_text(std::string_view type, std::string_view name, std::span<const T> values,
                       const Text& text) {
  // Kernels read bytes by words.
  std::string out = fmt::format("static const {} {}[{}]{} = {{", type, name, values.size(),
                                sizeof(T) == 1 ? " WORD_ALIGNED" : "");
  std::string line;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string next = text(values[i]) + (i + 1 < values.size() ? "," : "");
    if (line.size() + next.size() + 3 > kColumns) {
      out += "\n " + line;
      line.clear();
    }
    line += " " + next;
  }
  const bool fits = out.find('\n') == std::string::npos && out.size() + line.size() + 2 < kColumns;
  return out + (fits ? line.substr(std::min<size_t>(1, line.size())) : "\n " + line + "\n") +
         "};\n";
}

}  // namespace

std::string c_identifier(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    out += is_letter || (c >= '0' && c <= '9') ? c : '_';
  }
  // What begins with '_' belongs to compilers.
  const bool starts_well = !out.empty() && out[0] != '_' && !(out[0] >= '0' && out[0] <= '9');
  if (!starts_well || std::ranges::find(kKeywords, std::string_view(out)) != std::end(kKeywords))
    out.insert(0, "v_");
  return out;
}

std::string c_variable(std::string_view name) {
  std::string out = c_identifier(name);
  const bool is_taken =
      std::ranges::find(kMacros, std::string_view(out)) != std::end(kMacros) ||
      std::ranges::find(kTypes, std::string_view(out)) != std::end(kTypes) ||
      std::ranges::none_of(out, [](char c) { return c >= 'a' && c <= 'z'; });
  if (is_taken) out.insert(0, "v_");
  return out;
}

bool is_c_library_header(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "assert",   "complex", "ctype",  "errno",   "fenv",   "float",  "inttypes", "iso646",
      "limits",   "locale",  "math",   "setjmp",  "signal", "stdarg", "stdbool",  "stddef",
      "stdint",   "stdio",   "stdlib", "string",  "tgmath", "time",   "wchar",    "wctype",
      "arm_acle", "arm_mve", "memory", "strings", "unistd"};
  return name.ends_with(".h") &&
         std::ranges::find(kNames, name.substr(0, name.size() - 2)) != std::end(kNames);
}

std::string c_comment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool ends = !out.empty() && ((out.back() == '*' && c == '/') ||
                                       (out.back() == '/' && c == '*') || c == '\\');
    out += ends || c < ' ' || c > '~' ? '_' : c;
  }
  return out;
}

std::string c_float(float value) {
  if (std::isnan(value)) throw bad_input("c99.nan", "a constant of the model is NaN");
  constexpr float kMost = std::numeric_limits<float>::max();
  std::string text = fmt::format("{:.9g}", std::clamp(value, -kMost, kMost));
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text + "f";
}

std::string c_array(std::string_view type, std::string_view name, std::span<const int8_t> values) {
  return array_text(type, name, values, [](int8_t x) { return std::to_string(x); });
}
std::string c_array(std::string_view type, std::string_view name, std::span<const uint8_t> values) {
  return array_text(type, name, values, [](uint8_t x) { return std::to_string(x); });
}
std::string c_array(std::string_view type, std::string_view name, std::span<const int32_t> values) {
  return array_text(type, name, values, [](int32_t x) {
    // There is no literal of the least one.
    return x == INT32_MIN ? std::string("(-2147483647 - 1)") : std::to_string(x);
  });
}
std::string c_array(std::string_view type, std::string_view name, std::span<const float> values) {
  return array_text(type, name, values, [](float x) { return c_float(x); });
}

}  // namespace lathe

#include "os/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

struct UnitRow {
  std::string_view name;
  Unit unit;
  double factor;
};

constexpr double kKibi = 1024;
constexpr std::array<UnitRow, 23> kUnits{{
    {"", Unit::kNone, 1},
    {"%", Unit::kPercent, 0.01},
    {"B", Unit::kBytes, 1},
    {"kB", Unit::kBytes, 1e3},
    {"KB", Unit::kBytes, 1e3},
    {"MB", Unit::kBytes, 1e6},
    {"GB", Unit::kBytes, 1e9},
    {"TB", Unit::kBytes, 1e12},
    {"K", Unit::kBytes, kKibi},
    {"M", Unit::kBytes, kKibi* kKibi},
    {"G", Unit::kBytes, kKibi* kKibi* kKibi},
    {"T", Unit::kBytes, kKibi* kKibi* kKibi* kKibi},
    {"KiB", Unit::kBytes, kKibi},
    {"MiB", Unit::kBytes, kKibi* kKibi},
    {"GiB", Unit::kBytes, kKibi* kKibi* kKibi},
    {"TiB", Unit::kBytes, kKibi* kKibi* kKibi* kKibi},
    {"ns", Unit::kNanoseconds, 1},
    {"us", Unit::kNanoseconds, 1e3},
    {"µs", Unit::kNanoseconds, 1e3},
    {"ms", Unit::kNanoseconds, 1e6},
    {"s", Unit::kNanoseconds, 1e9},
    {"min", Unit::kNanoseconds, 60e9},
    {"h", Unit::kNanoseconds, 3600e9},
}};

Error refused(std::string_view text, std::string_view what, std::string_view expected,
              std::string hint = {}) {
  return bad_usage("quantity.value",
                   fmt::format("expected {}, found \"{}\"", expected, escape_untrusted(text, 60)),
                   std::string(what), std::move(hint));
}

// Takes a decimal number off the front of `text`; false when there is none or it is not finite.
bool take_number(std::string_view& text, double& value) {
  // from_chars would read "inf" and "nan".
  const size_t first = text.starts_with('-') ? 1 : 0;
  if (first >= text.size() || !((text[first] >= '0' && text[first] <= '9') || text[first] == '.'))
    return false;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || !std::isfinite(value)) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take_integer(std::string_view& text, int64_t& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

int64_t checked_integer(double value, std::string_view text, std::string_view what) {
  constexpr double kMost = 4611686018427387904.0;  // 2^62
  if (value < 0) throw refused(text, what, "nothing below zero");
  if (!(value <= kMost)) throw refused(text, what, "something smaller");
  return static_cast<int64_t>(std::llround(value));
}

struct Range {
  int64_t first = 0;
  int64_t last = 0;
  int64_t step = 1;
  bool multiply = false;
};

Range parse_range(std::string_view item, std::string_view what) {
  const std::string_view whole = item;
  const auto wrong = [&] {
    return refused(whole, what, "an integer or a range", "write 1,2,4 or 1..8 or 1..64:x2");
  };
  Range range;
  if (!take_integer(item, range.first)) throw wrong();
  range.last = range.first;
  if (item.empty()) return range;
  if (!item.starts_with("..")) throw wrong();
  item.remove_prefix(2);
  if (!take_integer(item, range.last)) throw wrong();
  if (item.empty()) {
    if (range.last < range.first) throw wrong();
    return range;
  }
  if (!item.starts_with(":x") && !item.starts_with(":+")) throw wrong();
  range.multiply = item[1] == 'x';
  item.remove_prefix(2);
  if (!take_integer(item, range.step) || !item.empty()) throw wrong();
  const bool stuck = range.multiply ? range.step < 2 || range.first < 1 : range.step < 1;
  if (stuck || range.last < range.first) throw wrong();
  return range;
}

}  // namespace

Quantity parse_quantity(std::string_view text, std::string_view what) {
  constexpr std::string_view kExpected = "a quantity such as 50%, 64MiB, 10ms or 0.5";
  std::string_view rest = text;
  double value = 0;
  if (!take_number(rest, value)) throw refused(text, what, kExpected);
  if (rest.size() > 1 && rest.starts_with(' ')) rest.remove_prefix(1);
  for (const UnitRow& row : kUnits) {
    if (row.name != rest) continue;
    // Division keeps "2%" equal to 0.02; 2 * 0.01 need not be.
    const double scaled = row.unit == Unit::kPercent ? value / 100 : value * row.factor;
    if (!std::isfinite(scaled)) throw refused(text, what, kExpected);
    return {scaled, row.unit};
  }
  throw refused(text, what, kExpected, "units: % B kB MB GB KiB MiB GiB ns us ms s min h");
}

double parse_fraction(std::string_view text, std::string_view what, double min, double max) {
  const std::string expected =
      fmt::format("a share from {} to {}", percent_text(min), percent_text(max));
  const Quantity quantity = parse_quantity(text, what);
  if (quantity.unit == Unit::kNone && std::abs(quantity.value) >= 1 &&
      (text.find('.') == std::string_view::npos || std::abs(quantity.value) > 1))
    throw refused(text, what, expected, fmt::format("write {}% or {}", text, quantity.value / 100));
  if (quantity.unit != Unit::kNone && quantity.unit != Unit::kPercent)
    throw refused(text, what, expected);
  if (!(quantity.value >= min && quantity.value <= max)) throw refused(text, what, expected);
  return quantity.value;
}

int64_t parse_bytes(std::string_view text, std::string_view what) {
  constexpr std::string_view kExpected = "a size with its unit";
  const Quantity quantity = parse_quantity(text, what);
  if (quantity.unit == Unit::kNone && quantity.value == 0) return 0;
  if (quantity.unit == Unit::kNone)
    throw refused(text, what, kExpected, fmt::format("write {0}MiB or {0}B", text));
  if (quantity.unit != Unit::kBytes) throw refused(text, what, kExpected, "such as 64MiB");
  return checked_integer(quantity.value, text, what);
}

int64_t parse_nanoseconds(std::string_view text, std::string_view what) {
  constexpr std::string_view kExpected = "a time with its unit";
  const Quantity quantity = parse_quantity(text, what);
  if (quantity.unit == Unit::kNone && quantity.value == 0) return 0;
  if (quantity.unit == Unit::kNone)
    throw refused(text, what, kExpected, fmt::format("write {0}ms or {0}s", text));
  if (quantity.unit != Unit::kNanoseconds) throw refused(text, what, kExpected, "such as 10ms");
  return checked_integer(quantity.value, text, what);
}

int64_t parse_integer(std::string_view text, std::string_view what, int64_t min, int64_t max) {
  std::string_view rest = text;
  int64_t value = 0;
  if (!take_integer(rest, value) || !rest.empty() || value < min || value > max)
    throw refused(text, what,
                  max == INT64_MAX ? fmt::format("an integer of at least {}", min)
                                   : fmt::format("an integer from {} to {}", min, max));
  return value;
}

double parse_number(std::string_view text, std::string_view what, double min, double max) {
  std::string_view rest = text;
  double value = 0;
  if (!take_number(rest, value) || !rest.empty() || !(value >= min && value <= max))
    throw refused(text, what, fmt::format("a number from {} to {}", min, max));
  return value;
}

std::vector<int64_t> parse_list(std::string_view text, std::string_view what, int64_t min,
                                int64_t max) {
  std::vector<int64_t> out;
  std::set<int64_t> seen;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, comma - begin);
    begin = comma + 1;
    const Range range = parse_range(item, what);
    if (range.first < min || range.last > max)
      throw refused(item, what, fmt::format("integers from {} to {}", min, max));
    for (int64_t value = range.first;;) {
      if (seen.insert(value).second) out.push_back(value);
      if (out.size() > kMaxListItems)
        throw refused(text, what, fmt::format("at most {} items", kMaxListItems));
      // The next value, unless it would pass the end (or overflow on the way there).
      if (range.multiply ? value > range.last / range.step : value > range.last - range.step) break;
      value = range.multiply ? value * range.step : value + range.step;
    }
  }
  return out;
}

std::string grouped_text(double count) {
  std::string text = fmt::format("{:.0f}", count);
  const size_t sign = text.starts_with('-') ? 1 : 0;
  for (size_t at = text.size(); at > sign + 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string bytes_text(int64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; std::abs(value) >= 1024 && unit + 1 < kNames.size(); ++unit) value /= 1024;
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, std::abs(value) < 10 ? 2 : 1, kNames[unit]);
}

std::string duration_text(double nanoseconds) {
  const double size = std::abs(nanoseconds);
  if (size < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  if (size < 1e6) return fmt::format("{:.3g} us", nanoseconds / 1e3);
  if (size < 1e9) return fmt::format("{:.3g} ms", nanoseconds / 1e6);
  if (size < 60e9) return fmt::format("{:.3g} s", nanoseconds / 1e9);
  const int64_t seconds = std::llround(std::min(nanoseconds / 1e9, 9e15));
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string percent_text(double fraction) {
  const double percent = fraction * 100;
  std::string digits = fmt::format("{:.2f}", percent);
  while (digits.back() == '0') digits.pop_back();
  if (digits.back() == '.') digits.pop_back();
  return (digits == "-0" ? "0" : digits) + " %";
}

}  // namespace lathe

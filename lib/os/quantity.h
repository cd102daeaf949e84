// Quantities, lists and ranges as flags, gates and configs write them. Independent of the locale.
// Everything here throws Error (exit 2) whose message says what was read and what is expected;
// `what` names the flag or key ("--max-drop") and becomes the place of the error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

enum class Unit : uint8_t { kNone, kPercent, kBytes, kNanoseconds };

/// A number with its unit: "2%" is {0.02, kPercent}, "64MiB" {67108864, kBytes}, "10ms"
/// {1e7, kNanoseconds}, "0.5" {0.5, kNone}. Units: %; B kB MB GB TB KiB MiB GiB TiB (K M G T alone
/// mean KiB …); ns us ms s min h. No sign other than a leading '-', no hexadecimal, no infinity.
struct Quantity {
  double value = 0;
  Unit unit = Unit::kNone;
  bool operator==(const Quantity&) const = default;
};
Quantity parse_quantity(std::string_view text, std::string_view what);

/// "50%" and "0.5" are 0.5; a bare number of 1 or more is refused because it could mean either
/// ("1.0" with a decimal point is 100 %). The result lies within [min, max].
double parse_fraction(std::string_view text, std::string_view what, double min = 0, double max = 1);
/// "64MiB"; 0 to 2^62 bytes. A bare number other than 0 is refused.
int64_t parse_bytes(std::string_view text, std::string_view what);
/// "10ms"; more than zero unless "0", at most 292 years. A bare number is refused.
int64_t parse_nanoseconds(std::string_view text, std::string_view what);
/// A plain decimal integer, no sign but '-', nothing behind it.
int64_t parse_integer(std::string_view text, std::string_view what, int64_t min, int64_t max);
/// A plain finite decimal number ("1e-3").
double parse_number(std::string_view text, std::string_view what, double min, double max);

constexpr size_t kMaxListItems = 4096;

/// "1,2,4", "1..8", "1..64:x2" (1 2 4 … 64), "2..10:+4" (2 6 10) and mixtures ("1..4,8"). The end
/// of a range is included when a step meets it. Order is kept, repeated values appear once; every
/// item lies within [min, max]; more than kMaxListItems are refused.
std::vector<int64_t> parse_list(std::string_view text, std::string_view what, int64_t min,
                                int64_t max);

/// For humans: "12.3 MiB", "512 B"; "1.23 ms", "640 ns", "2.5 s", "3 min 20 s"; "-1.5 %".
std::string bytes_text(int64_t bytes);
/// "5,161,714": without decimals.
std::string grouped_text(double count);
std::string duration_text(double nanoseconds);
std::string percent_text(double fraction);

}  // namespace lathe

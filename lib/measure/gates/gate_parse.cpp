#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gates/gate.h"
#include "gates/gate_metric.h"
#include "os/quantity.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

constexpr size_t kLongestGate = 200;  // bytes

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Columns that a terminal gives to valid UTF-8: two for East Asian wide and emoji, none for marks
// that combine with the letter before.
size_t columns(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
    for (size_t i = 1; i < length && at + i < text.size(); ++i)
      code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
    at += length;
    const auto within = [code](uint32_t first, uint32_t last) {
      return code >= first && code <= last;
    };
    if (within(0x300, 0x36f)) continue;
    const bool wide = within(0x1100, 0x115f) || within(0x2e80, 0xa4cf) || within(0xac00, 0xd7a3) ||
                      within(0xf900, 0xfaff) || within(0xff00, 0xff60) ||
                      within(0x1f300, 0x1faff) || within(0x20000, 0x3fffd);
    count += wide ? 2 : 1;
  }
  return count;
}

// The text with a caret under byte `place`, both indented by two columns. Escapes make the text
// longer, so the caret is placed by the escaped form of what stands before it.
Error syntax_error(std::string_view text, size_t place, const std::string& message,
                   std::string hint = {}) {
  constexpr size_t kAllEscaped = 4 * kLongestGate;
  const std::string shown = escape_untrusted(text, kAllEscaped);
  const size_t column = columns(escape_untrusted(text.substr(0, place), kAllEscaped));
  return bad_usage("gate.syntax",
                   fmt::format("{}\n  {}\n  {:>{}}", message, shown, "^", column + 1), "gate",
                   std::move(hint));
}

std::string metric_hint(std::string_view name) {
  const std::vector<std::string_view> known = gate_metrics();
  const std::string near = nearest_name(name, {known.begin(), known.end()});
  if (!near.empty()) return "did you mean " + near + "?";
  return fmt::format("metrics: {}", fmt::join(known, " "));
}

struct GateParts {
  std::string_view cases;
  std::string_view metric;
  size_t metric_place = 0;
  GateComparison comparison = GateComparison::kLess;
  std::string_view quantity;
  size_t quantity_place = 0;
};

GateParts split_gate(std::string_view text) {
  const size_t sign = text.find_first_of("<>");
  if (sign == std::string_view::npos) {
    size_t place = 0;
    while (place < text.size() && is_blank(text[place])) ++place;
    while (place < text.size() && !is_blank(text[place])) ++place;
    while (place < text.size() && is_blank(text[place])) ++place;
    throw syntax_error(text, place, "expected <, <=, > or >=",
                       "a gate is written METRIC < QUANTITY, as in \"p99 < 10ms\"");
  }
  const bool equal = sign + 1 < text.size() && text[sign + 1] == '=';
  GateParts parts;
  const size_t colon = text.substr(0, sign).rfind(':');
  if (colon != std::string_view::npos) {
    parts.cases = trimmed(text.substr(0, colon));
    if (parts.cases.empty())
      throw syntax_error(text, colon, "expected a case before the colon",
                         "as in \"*/batch8/*: p95 < 10ms\"");
    parts.metric_place = colon + 1;
  }
  parts.metric = trimmed(text.substr(parts.metric_place, sign - parts.metric_place));
  while (parts.metric_place < text.size() && is_blank(text[parts.metric_place]))
    ++parts.metric_place;
  parts.comparison = text[sign] == '<'
                         ? (equal ? GateComparison::kLessEqual : GateComparison::kLess)
                         : (equal ? GateComparison::kGreaterEqual : GateComparison::kGreater);
  parts.quantity_place = sign + (equal ? 2 : 1);
  while (parts.quantity_place < text.size() && is_blank(text[parts.quantity_place])) {
    ++parts.quantity_place;
  }
  parts.quantity = trimmed(text.substr(parts.quantity_place));
  return parts;
}

// The number before a suffix that only gates know, or nothing when the text does not end in it.
std::optional<double> number_before(std::string_view text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return std::nullopt;
  text.remove_suffix(suffix.size());
  const Quantity q = parse_quantity(trimmed(text), "gate");
  if (q.unit != Unit::kNone) return std::nullopt;
  return q.value;
}

// The part that a percentage or a number up to 1 stands for; 50 could mean either and is refused.
std::optional<double> fraction(std::string_view text, const Quantity& q) {
  if (q.unit == Unit::kPercent) return q.value;
  const bool bare_count = q.value >= 1 && text.find('.') == std::string_view::npos;
  if (q.unit != Unit::kNone || bare_count || q.value > 1) return std::nullopt;
  return q.value;
}

std::string expected_quantity(GateUnit unit) {
  switch (unit) {
    case GateUnit::kNanoseconds: return "expected a time (10ms) or a percentage (90%)";
    case GateUnit::kPerSecond: return "expected a number per second (100/s)";
    case GateUnit::kTimes: return "expected a factor (1.5x)";
    case GateUnit::kBytes: return "expected a size (64MiB) or a percentage (50%)";
    case GateUnit::kCount: return "expected a number (5.2M) or a percentage (102%)";
    case GateUnit::kFraction: return "expected a percentage (1%) or a part (0.01)";
    case GateUnit::kJoules: return "expected an energy (5mJ)";
    case GateUnit::kCelsius: return "expected a temperature (80C)";
  }
  throw InternalError("expected_quantity: unknown unit");
}

// False when the quantity is well formed but of a kind that the metric does not take.
bool read_limit(std::string_view text, Gate& gate) {
  if (gate.unit == GateUnit::kPerSecond) {
    if (const auto rate = number_before(text, "/s")) return gate.limit = *rate, true;
  }
  if (gate.unit == GateUnit::kTimes) {
    if (const auto factor = number_before(text, "x")) return gate.limit = *factor, true;
  }
  if (gate.unit == GateUnit::kJoules)
    for (const auto& [suffix, joules] : {std::pair("uJ", 1e-6), {"mJ", 1e-3}, {"J", 1.0}})
      if (const auto energy = number_before(text, suffix))
        return gate.limit = *energy * joules, true;
  if (gate.unit == GateUnit::kCelsius)
    for (const char* suffix : {"\u00b0C", "C"})
      if (const auto degrees = number_before(text, suffix)) return gate.limit = *degrees, true;
  if (gate.unit == GateUnit::kCount)
    for (const auto& [suffix, times] : {std::pair("k", 1e3), {"M", 1e6}, {"G", 1e9}, {"", 1.0}})
      if (const auto count = number_before(text, suffix)) return gate.limit = *count * times, true;
  if (gate.metric == "accuracy") {
    if (const auto decibels = number_before(text, "dB")) return gate.limit = *decibels, true;
  }
  const Quantity q = parse_quantity(text, "gate");
  gate.limit = q.value;
  switch (gate.unit) {
    case GateUnit::kNanoseconds:
    case GateUnit::kBytes:
      gate.relative = q.unit == Unit::kPercent;
      return gate.relative ||
             q.unit == (gate.unit == GateUnit::kBytes ? Unit::kBytes : Unit::kNanoseconds);
    case GateUnit::kPerSecond: return q.unit == Unit::kNone;
    case GateUnit::kTimes: return q.unit == Unit::kNone;
    case GateUnit::kCount: return gate.relative = q.unit == Unit::kPercent;
    case GateUnit::kJoules:
    case GateUnit::kCelsius: return false;
    case GateUnit::kFraction: {
      const auto part = fraction(text, q);
      if (part) gate.limit = *part;
      return part.has_value();
    }
  }
  throw InternalError("read_limit: unknown unit");
}

}  // namespace

std::string_view gate_comparison_text(GateComparison comparison) {
  static constexpr std::string_view kNames[] = {"<", "<=", ">", ">="};
  return kNames[static_cast<size_t>(comparison)];
}

Gate parse_gate(std::string_view text) {
  if (text.size() > kLongestGate) {
    throw bad_usage("gate.syntax", fmt::format("longer than {} bytes", kLongestGate), "gate");
  }
  const GateParts parts = split_gate(text);
  const GateMetric* metric = find_gate_metric(parts.metric);
  if (metric == nullptr) {
    if (parts.metric.ends_with('='))
      throw syntax_error(text, parts.metric_place + parts.metric.size() - 1,
                         "expected <, <=, > or >=");
    throw syntax_error(text, parts.metric_place,
                       parts.metric.empty() ? "expected a metric" : "there is no such metric",
                       metric_hint(parts.metric));
  }
  Gate gate;
  gate.text = trimmed(text);
  gate.cases = parts.cases;
  gate.metric = parts.metric;
  gate.unit = metric->unit;
  gate.comparison = parts.comparison;
  const std::string expected = expected_quantity(gate.unit);
  if (parts.quantity.empty()) throw syntax_error(text, text.size(), expected);
  try {
    if (!read_limit(parts.quantity, gate)) {
      throw syntax_error(text, parts.quantity_place, expected);
    }
  } catch (const Error& error) {
    if (error.id() == "gate.syntax") throw;
    throw syntax_error(text, parts.quantity_place, expected, error.text().message);
  }
  const bool may_be_negative = gate.unit == GateUnit::kFraction && gate.metric != "coverage";
  if (gate.limit < 0 && !may_be_negative) {
    throw syntax_error(text, parts.quantity_place, "a negative limit cannot hold");
  }
  return gate;
}

}  // namespace lathe

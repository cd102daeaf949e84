#include "peaks/peak_lines.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr size_t kMostRows = 64;
constexpr double kMostRate = 1e9;

std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> fields;
  for (bool more = true; more && fields.size() < 8;) {
    const size_t tab = std::min(line.find('\t'), line.size());
    fields.push_back(escape_untrusted(line.substr(0, tab), 60));
    more = tab < line.size();
    line.remove_prefix(std::min(tab + 1, line.size()));
  }
  return fields;
}

template <class T>
std::optional<T> number_of(const std::string& text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_one = problem == std::errc{} && end == text.data() + text.size() && value >= 0;
  return is_one ? std::optional(value) : std::nullopt;
}

std::optional<double> rate_of(const std::string& text) {
  const auto rate = number_of<double>(text);
  return rate && *rate <= kMostRate ? rate : std::nullopt;
}

}  // namespace

std::string peak_lines(const MeasuredPeaks& peaks) {
  std::string lines = fmt::format("took\t{}\t{}\n", peaks.threads, peaks.time_ns);
  for (const ComputePeak& peak : peaks.compute)
    lines += fmt::format("compute\t{}\t{}\t{}\t{}\n", peak.dtype, peak.instruction,
                         peak.one_core_gops, peak.all_cores_gops);
  for (const BandwidthPeak& peak : peaks.bandwidth)
    lines +=
        fmt::format("memory\t{}\t{}\t{}\t{}\t{}\t{}\n", peak.level, peak.bytes, peak.one_core_read,
                    peak.all_cores_read, peak.one_core_copy, peak.all_cores_copy);
  return lines;
}

void read_peak_line(std::string_view line, MeasuredPeaks& peaks) {
  const std::vector<std::string> fields = fields_of(line);
  if (fields[0] == "took" && fields.size() == 3) {
    peaks.threads = number_of<int>(fields[1]).value_or(1);
    peaks.time_ns = number_of<int64_t>(fields[2]).value_or(0);
  }
  if (fields[0] == "compute" && fields.size() == 5 && peaks.compute.size() < kMostRows) {
    const auto one = rate_of(fields[3]);
    const auto all = rate_of(fields[4]);
    if (one && all) peaks.compute.push_back({fields[1], fields[2], *one, *all});
  }
  if (fields[0] == "memory" && fields.size() == 7 && peaks.bandwidth.size() < kMostRows) {
    BandwidthPeak peak{fields[1], number_of<int64_t>(fields[2]).value_or(0)};
    double* const rates[] = {&peak.one_core_read, &peak.all_cores_read, &peak.one_core_copy,
                             &peak.all_cores_copy};
    for (size_t i = 0; i < std::size(rates); ++i) {
      const auto rate = rate_of(fields[i + 3]);
      if (!rate) return;
      *rates[i] = *rate;
    }
    peaks.bandwidth.push_back(std::move(peak));
  }
}

}  // namespace lathe

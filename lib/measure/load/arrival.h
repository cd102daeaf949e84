// When the queries of an open loop are due: a list of moments that does not depend on how fast they
// are answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace lathe {

enum class Arrival {
  kPoisson,   // independent, exponentially distributed gaps: many users
  kConstant,  // equal gaps: a camera
};

/// "poisson", "constant": as in flags and reports.
std::string_view arrival_name(Arrival arrival);
std::optional<Arrival> parse_arrival(std::string_view text);

struct ArrivalOptions {
  Arrival arrival = Arrival::kPoisson;
  double rate_per_s = 0;                 // in (0, 1e9]
  size_t max_queries = 100'000;          // 1 … kMaxQueries
  int64_t issue_ns = 3'600'000'000'000;  // nothing but the first query is due then or later
  uint64_t seed = 0;                     // Poisson only; the same gaps everywhere
};

/// Eight bytes each here, some fifty while a run lasts.
constexpr size_t kMaxQueries = 1'000'000;

/// Nanoseconds since the start of the run, ascending; the first query is due at 0, so there is
/// always one. Ends with max_queries or with issue_ns. Throws Error (exit 2) for a rate or a count
/// outside of its range.
std::vector<int64_t> schedule_arrivals(const ArrivalOptions& options);

/// The offline scenario: `queries` due at 0, all of them. The same bounds.
std::vector<int64_t> schedule_at_once(size_t queries);

}  // namespace lathe

#include "load/arrival.h"

#include <cmath>

#include "ir/error.h"
#include "statistics/random.h"

namespace lathe {
namespace {

void check_count(size_t queries) {
  if (queries >= 1 && queries <= kMaxQueries) return;
  throw bad_usage("bench.bad_query_count", "cannot run " + std::to_string(queries) + " queries", {},
                  "ask for 1 to " + std::to_string(kMaxQueries));
}

}  // namespace

std::string_view arrival_name(Arrival arrival) {
  return arrival == Arrival::kPoisson ? "poisson" : "constant";
}

std::optional<Arrival> parse_arrival(std::string_view text) {
  for (const Arrival arrival : {Arrival::kPoisson, Arrival::kConstant}) {
    if (text == arrival_name(arrival)) return arrival;
  }
  return std::nullopt;
}

std::vector<int64_t> schedule_arrivals(const ArrivalOptions& options) {
  check_count(options.max_queries);
  const double rate = options.rate_per_s;
  if (!(rate > 0 && rate <= 1e9)) {
    throw bad_usage("bench.bad_rate", "a rate of " + std::to_string(rate) + " queries/s", {},
                    "give a rate above 0 and at most 1e9 per second");
  }
  const double gap_ns = 1e9 / rate;
  const double last_ns = static_cast<double>(options.issue_ns);
  BenchRandom random(options.seed);
  std::vector<int64_t> due{0};
  double moment = 0;
  while (due.size() < options.max_queries) {
    if (options.arrival == Arrival::kPoisson) {
      moment += -std::log1p(-random.unit()) * gap_ns;
    } else {
      moment = static_cast<double>(due.size()) * gap_ns;  // a sum would drift
    }
    if (moment >= last_ns) break;
    due.push_back(static_cast<int64_t>(moment));
  }
  return due;
}

std::vector<int64_t> schedule_at_once(size_t queries) {
  check_count(queries);
  return std::vector<int64_t>(queries, 0);
}

}  // namespace lathe

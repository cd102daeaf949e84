#include "prune/sparsity_schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

constexpr const char* kFlag = "--schedule";
constexpr int64_t kMostSteps = int64_t{1} << 40;
constexpr const char* kKeys = "initial, begin, end, frequency and power";

Error bad_schedule(std::string what, std::string hint) {
  return bad_usage("prune.schedule", std::move(what), kFlag, std::move(hint));
}

ScheduleTime parse_time(std::string_view text, std::string_view what) {
  if (text.ends_with('%') || text.find('.') != std::string_view::npos)
    return {parse_fraction(text, what), true};
  return {static_cast<double>(parse_integer(text, what, 0, kMostSteps)), false};
}

void set_key(SparsitySchedule& schedule, std::string_view key, std::string_view value) {
  const std::string what = fmt::format("{} {}", kFlag, key);
  if (key == "initial") {
    schedule.initial = parse_fraction(value, what);
  } else if (key == "begin") {
    schedule.begin = parse_time(value, what);
  } else if (key == "end") {
    schedule.end = parse_time(value, what);
  } else if (key == "frequency") {
    schedule.frequency = parse_integer(value, what, 1, kMostSteps);
  } else if (key == "power") {
    schedule.power = parse_number(value, what, 1e-3, 100);
  } else {
    throw bad_schedule(fmt::format("a schedule has no '{}'", escape_untrusted(key)),
                       fmt::format("it has {}", kKeys));
  }
}

}  // namespace

int64_t ScheduleTime::step(int64_t steps) const {
  return is_share ? std::llround(value * static_cast<double>(steps)) : std::llround(value);
}

SparsitySchedule parse_schedule(std::string_view text) {
  constexpr std::string_view kName = "polynomial";
  const size_t colon = text.find(':');
  if (text.substr(0, colon) != kName)
    throw bad_schedule(fmt::format("'{}' is no schedule", escape_untrusted(text)),
                       "give one-shot or polynomial[:KEY=VALUE,…]");
  SparsitySchedule schedule;
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      throw bad_schedule(fmt::format("'{}' has no value", escape_untrusted(item)),
                         fmt::format("give KEY=VALUE; the keys are {}", kKeys));
    set_key(schedule, item.substr(0, equals), item.substr(equals + 1));
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return schedule;
}

std::vector<SparsityChange> sparsity_changes(const SparsitySchedule& schedule,
                                             double final_sparsity, int64_t steps) {
  const int64_t begin = schedule.begin.step(steps), end = schedule.end.step(steps);
  if (begin < 0 || end <= begin || end > steps)
    throw bad_schedule(
        fmt::format("sparsity cannot grow from step {} to step {} of {}", begin, end, steps),
        "begin must be before end, end within the training; shares (60%) always fit");
  if (schedule.initial > final_sparsity)
    throw bad_schedule(fmt::format("it starts at {} and ends at {}", percent_text(schedule.initial),
                                   percent_text(final_sparsity)),
                       "initial must not be above the sparsity that is asked for");
  std::vector<SparsityChange> changes;
  for (int64_t step = begin; step < end; step += schedule.frequency) {
    const double left = 1 - static_cast<double>(step - begin) / static_cast<double>(end - begin);
    changes.push_back({step, final_sparsity + (schedule.initial - final_sparsity) *
                                                  std::pow(left, schedule.power)});
  }
  changes.push_back({end, final_sparsity});
  return changes;
}

double sparsity_at(const std::vector<SparsityChange>& changes, int64_t step) {
  double sparsity = 0;
  for (const SparsityChange& change : changes)
    if (change.step <= step) sparsity = change.sparsity;
  return sparsity;
}

}  // namespace lathe

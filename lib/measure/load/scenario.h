// The load scenarios of `lathe bench` and what each one calls.
//   single   warm_up + take_samples (statistics/sampling.h): one closed loop
//   multi    run_streams (load/streams.h): N closed loops in N threads
//   server   run_open_loop(schedule_arrivals(…), …) (load/open_loop.h); with --find-peak
//            find_peak(…, server_trial(…)) (load/find_peak.h)
//   offline  run_open_loop(schedule_at_once(items), …), batch.max_batch = the batch size
// Every latency list that they return goes to summarize (statistics/statistics.h), which withholds
// the percentiles that it cannot support. An interrupted run may return an empty list: ask first.
#pragma once

#include <optional>
#include <string_view>

namespace lathe {

enum class Scenario { kSingle, kMulti, kServer, kOffline };

/// "single", "multi", "server", "offline": as in flags and reports.
std::string_view scenario_name(Scenario scenario);
std::optional<Scenario> parse_scenario(std::string_view text);

}  // namespace lathe

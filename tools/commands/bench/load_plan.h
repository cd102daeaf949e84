// Which load a benchmark puts on the model (--scenario and what belongs to it), and the camera that
// --frames simulates: read and checked before any model is opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/arrival.h"
#include "load/frame_policy.h"
#include "load/scenario.h"
#include "options.h"

namespace lathe {

struct LoadPlan {
  Scenario scenario = Scenario::kSingle;
  size_t streams = 1;  // multi: closed loops; server and offline: workers
  bool lockstep = false;
  /// Server: queries a second; absent: half of what the workers can serve. With find_peak: where
  /// the search begins.
  std::optional<double> rate_per_s;
  Arrival arrival = Arrival::kPoisson;
  std::optional<int64_t> slo_ns;
  /// Server: how long a query waits for its batch to fill; absent: the profile's queue_delay_ms.
  std::optional<int64_t> max_delay_ns;
  bool find_peak = false;

  bool is_load() const { return scenario != Scenario::kSingle; }
};

struct FramePlan {
  double fps = 30;
  std::string power_mode;  // of the profile; empty: each of them
  EarlyExit early_exit;
};

/// Throws Error (exit 2, naming what to do instead) for values out of range and for flags that the
/// chosen scenario has no use for.
LoadPlan read_load_plan(const BenchOptions& options);

/// nullopt without --frames. Throws Error (exit 2) as read_load_plan does, and for a power mode
/// that the profile lacks (the message lists those that there are).
std::optional<FramePlan> read_frame_plan(const BenchOptions& options);

/// The flags that ask for the same load and frames again; none for a plain single run.
std::vector<std::string> load_flags(const BenchOptions& options);

}  // namespace lathe

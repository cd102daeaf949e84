// What pruning gained, measured: the dense and the pruned network side by side on every engine.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "command_run.h"
#include "ir/model.h"
#include "names/engines.h"
#include "statistics/statistics.h"

namespace lathe {

struct LatencyRow {
  std::string engine;  // names/engines.h, or the profile's name when simulated
  int threads = 0;     // 0: as the profile's device runs it
  // Of undisturbed runs, the 15th percentile; absent: `note` says why.
  std::optional<double> before_ns;
  std::optional<double> after_ns;
  std::optional<double> speedup;  // before / after: above 1 is faster
  std::optional<Interval> ci95;   // of speedup; absent too when the runs were too few
  bool simulated = false;
  std::string note;
};

struct LatencyOptions {
  std::vector<std::string> engines{std::string(kNativeEngine), std::string(kInterpreterEngine),
                                   std::string(kTorchScriptEngine)};
  int64_t max_ns = 4'000'000'000;  // of all measurements; three times that for slow networks
  int threads = 1;                 // for the rows: the numeric libraries have been told
  uint64_t seed = 0;
};

/// The first sample of `data`, or a seeded random one where there is none.
std::vector<Tensor> latency_sample(const DataSet* data, const Model& model,
                                   const CommonOptions& common, Console& console);

/// One row an engine: both networks in this process, in short alternating blocks
/// (comparison/comparison.h), the interval at 95 % by its statistics; it speaks of this process
/// alone. An engine that cannot run one of them gives a row without numbers. One more row,
/// simulated from the profile's rates, when its device is another than this host. `before` and
/// `after` have the same inputs, in the same order. Throws Error (exit 130, 143) when interrupted.
std::vector<LatencyRow> latency_figures(const Graph& before, const Graph& after,
                                        const std::vector<Tensor>& sample, const Profile& profile,
                                        const LatencyOptions& options, Console& console);

/// The same of a model that is written, on a sample, into details["latency"]; where it cannot be
/// timed, no rows and a note.
std::vector<LatencyRow> report_latency(CommandRun& run, const Graph& before, const Graph& after,
                                       const DataSet* data, const Model& model, int threads,
                                       std::vector<std::string>& notes);

/// [{engine, threads, before_ns, after_ns, speedup, ci95, simulated, note}]
nlohmann::json latency_json(const std::vector<LatencyRow>& rows);

/// Rows for the screen, with a heading.
std::vector<std::vector<std::string>> latency_table(const std::vector<LatencyRow>& rows);

}  // namespace lathe

// What the processes of one case found, as one case.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "commands/bench/child.h"
#include "commands/bench/request.h"
#include "comparison/comparison_merge.h"
#include "gates/gate_cases.h"
#include "statistics/processes.h"
#include "statistics/soak.h"

namespace lathe {

struct SweepCase {
  BenchCase plan;
  std::string scenario = "single";
  std::vector<nlohmann::json> processes;  // trimmed_report() of each
  std::optional<CaseFailure> failure;
  bool resumed = false;

  // By merge_case:
  std::optional<PooledSummary> pooled;
  double items_per_s = 0;
  nlohmann::json row;          // of cases[]
  nlohmann::json against_row;  // null without --against
  nlohmann::json comparison;   // of comparison.cases[]; null without
  std::optional<Comparison> compared;
  std::vector<ProcessRatios> ratios;  // that it was made of
  nlohmann::json quality;             // rows; null where this case did not measure it
  GateCase gates;
  std::optional<SoakVerdict> soak;
};

/// The parts of a child's report that merging needs: model, models, inputs, cases, comparison,
/// quality, child, artifacts, phases, memory, noise (of its host).
nlohmann::json trimmed_report(const nlohmann::json& report);

/// Pools samples and pairs of the processes; a failed case gets a row that says so. `options` are
/// those of the comparison (tolerance, seed). Throws Error (exit 2) naming `where` when stored
/// results do not have the expected form.
void merge_case(SweepCase& one, const ComparisonOptions& options, const std::string& where);

/// Gives the case the accuracy that another one with the same model and engine measured.
void share_quality(SweepCase& one, const nlohmann::json& quality);

/// "ci95" of a row's figure.
std::optional<Interval> interval_of(const nlohmann::json& object);

/// A metric as gates see it; nullopt where the case did not measure it.
std::optional<double> observed_metric(const SweepCase& one, const char* metric);

}  // namespace lathe

// Calibration of --mode static: what is measured of a form of the network, and how its ranges are
// chosen.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "commands/quantize/calibration_samples.h"
#include "quantize/ranges/choose_ranges.h"

namespace lathe {

struct Calibrated {
  SplitStatistics statistics;
  ChosenRanges chosen;  // by the ids of the graph
};

/// What the plan of `graph`, a form of the job's graph, needs, and the channels of these values
/// besides. Throws Error as calibrate(), and what `check` throws, which long loops call.
SplitStatistics measure_form(const QuantizeJob& job, const IntegerRules& rules,
                             CalibrationSamples& samples, const Graph& graph,
                             const std::map<ValueId, int64_t>& channels, const std::string& label,
                             const std::function<void()>& check);

/// measure_form()'s of the graph, with --observer's ranges, or whole networks' best.
Calibrated with_ranges(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       SplitStatistics statistics);

/// Errors with ranges of the samples that do not judge: what is clipped elsewhere shows.
CompareResult errors_unseen(const QuantizeJob& job, const IntegerRules& rules,
                            const CalibrationSamples& samples, const Graph& graph,
                            const SplitStatistics& statistics);

/// Tries ranges_by_outputs(), where --observer does not ask for others.
void choose_by_outputs(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       Calibrated& calibrated);

/// For Statistics::ranges of the plan that was made by `rules`, and back.
std::map<std::string, std::string> range_texts(const Graph& graph, const PrecisionPlan& plan,
                                               const RangeRules& rules);
RangeRules rules_of(const Graph& graph, const Statistics& saved, Observer usual);

}  // namespace lathe

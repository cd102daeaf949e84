// Calibration of --mode static: what is measured of a form of the network, and how its ranges are
// chosen.
#pragma once

#include <map>
#include <string>

#include "commands/quantize/calibration_samples.h"
#include "quantize/ranges/choose_observers.h"

namespace lathe {

struct Calibrated {
  SplitStatistics statistics;
  ChosenObservers chosen;  // by the ids of the graph
};

/// Measures what the plan of `graph`, a form of the job's graph, needs, and the channels of these
/// values besides; then chooses --observer's ranges, or whole networks' best. Throws Error as
/// lathe::calibrate().
Calibrated calibrate_form(const QuantizeJob& job, const IntegerRules& rules,
                          const CalibrationSamples& samples, const Graph& graph,
                          const std::map<ValueId, int64_t>& channels, const std::string& label);

/// Tries the observers that cost each value least at the outputs, where none was asked for.
void choose_by_outputs(const QuantizeJob& job, const IntegerRules& rules,
                       const CalibrationSamples& samples, const Graph& graph,
                       Calibrated& calibrated);

/// For Statistics::observers, and back.
std::map<std::string, std::string> observer_names(const Graph& graph, const PrecisionPlan& plan);
Observers observers_of(const Graph& graph, const Statistics& saved, Observer usual);

}  // namespace lathe

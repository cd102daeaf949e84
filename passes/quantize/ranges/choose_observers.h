// Ranges by what reaches the network's outputs: a range that is best for a value by itself is not
// best for the network.
#pragma once

#include <string>
#include <vector>

#include "quantize/diagnose/output_judge.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/sensitivity/layer_sensitivity.h"

namespace lathe {

/// A network whose ranges are to be chosen.
struct RangeTrial {
  const Graph& graph;
  const IntegerRules& rules;
  const PrecisionPlan& selection;  // select_nodes() of the graph
  const Statistics& statistics;    // of samples that the judge does not have
  const OutputJudge& judge;
};

struct TriedObservers {
  std::string name;
  double output_sqnr_db = 0;
};

struct ChosenObservers {
  Observers observers = Observer::kMinMax;
  std::string name;
  CompareResult errors;  // of the network that these make
  std::vector<TriedObservers> tried;
};

/// Quantizes the network with these ranges and its biases corrected, and takes them where nothing
/// was tried before or where the outputs are clearly better.
void try_observers(const RangeTrial& trial, const std::string& name, const Observers& observers,
                   ChosenObservers& chosen);

/// All values by their extremes ("minmax"), all by the range that is best for themselves ("auto").
ChosenObservers choose_observers(const RangeTrial& trial);

/// Of each value the observer whose range costs least at the outputs, to first order, with all
/// other values in float. Errors as measure_sensitivity().
Observers observers_by_outputs(const RangeTrial& trial, const SampleSource& source,
                               const SensitivityOptions& options);

}  // namespace lathe

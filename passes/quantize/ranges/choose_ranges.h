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
  /// Of all samples, as they will be used: extremes grow with their number, and a range that fits
  /// half of them says little of one that fits all.
  const Statistics& statistics;
  const OutputJudge& judge;
};

struct TriedRanges {
  std::string name;
  double output_sqnr_db = 0;
};

struct ChosenRanges {
  RangeRules rules = Observer::kMinMax;
  std::string name;
  CompareResult errors;  // of the network that these make
  std::vector<TriedRanges> tried;
};

/// Quantizes the network with these ranges and its biases corrected, and takes them where nothing
/// was tried before or where the outputs are clearly better.
void try_ranges(const RangeTrial& trial, const std::string& name, const RangeRules& rules,
                ChosenRanges& chosen);

/// All values by their extremes ("minmax"), all by the range that is best for themselves ("auto").
ChosenRanges choose_ranges(const RangeTrial& trial);

/// `base`, but for values whose noise tells at the outputs and is clearly less there, to first
/// order, by another observer or with the extremes cut off. Errors as measure_sensitivity().
RangeRules ranges_by_outputs(const RangeTrial& trial, const RangeRules& base,
                             const SampleSource& source, const SensitivityOptions& options);

}  // namespace lathe

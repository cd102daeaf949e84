// The causes that diagnose_layers() decides between, a function (and a file) for each kind of
// noise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "quantize/diagnose/diagnose_layers.h"

namespace lathe {

/// What all causes are decided from.
struct DiagnosisFacts {
  const Graph& graph;
  const PrecisionPlan& plan;
  const Statistics& statistics;
  const std::vector<LayerError>& errors;
  const DiagnosisRequest& request;
};

struct Verdict {
  LossCause cause = LossCause::kActivations;
  std::string text;
  std::string flag;
  double share = 0;   // of Diagnosis
  std::string apart;  // of Diagnosis
};

/// "'NAME'" of a value, shortened, for a sentence.
std::string quoted_name(const Graph& graph, ValueId value);
/// `flag`, or `otherwise` when it is empty.
std::string first_of(const std::string& flag, const std::string& otherwise);

/// Of magnitudes that are not zero: the one that a tenth of them stay below, and the largest.
struct Spread {
  double low = 0;
  double high = 0;
  double ratio() const { return low > 0 ? high / low : 1; }
};
/// All zero for fewer than two.
Spread spread_of(std::vector<double> magnitudes);

/// The next --effort, or "" when the last was tried.
std::string effort_flag(const DiagnosisRequest& request);

/// Causes 1 and 2 of diagnose_layers(): those that no SQNR shows.
std::optional<Verdict> device_verdict(const DiagnosisFacts& facts, const LayerError& error);
std::optional<Verdict> shape_verdict(const DiagnosisFacts& facts, const LayerError& error);

/// Causes 4 to 6.
Verdict weight_verdict(const DiagnosisFacts& facts, const LayerError& error);

/// Causes 7 to 12. `value`: the rounded value to blame; invalid: the worst that the layer reads.
/// `last`: no layer reads what depends on it.
Verdict activation_verdict(const DiagnosisFacts& facts, const LayerError& error, ValueId value,
                           bool last);

}  // namespace lathe

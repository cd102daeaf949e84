// Why one model is slower or faster than another, op by op: "14 inserted QuantizeLinear cost 31 %".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tracing/op_profile.h"

namespace lathe {

enum class OpChange {
  kKept,      // in both, of one type
  kChanged,   // in both, of another type
  kInserted,  // in the candidate only
  kFused,     // in the baseline only; another node computes its result now
  kMissing,   // in the baseline only
};

/// "kept", "changed", "inserted", "fused", "missing": as in reports.
std::string_view op_change_name(OpChange change);

/// Times are those of one run (the median of a call times the calls of a run).
struct OpDelta {
  OpChange change = OpChange::kKept;
  std::string name;
  std::string type;       // the candidate's; the baseline's when it is only there
  std::string from_type;  // kChanged: the baseline's
  std::string into;       // kFused: the node that took it over
  double baseline_ns = 0;
  double candidate_ns = 0;

  double delta_ns() const { return candidate_ns - baseline_ns; }
};

/// The same over all ops of one change and type.
struct OpTypeDelta {
  OpChange change = OpChange::kKept;
  std::string type;
  std::string from_type;
  size_t count = 0;
  double baseline_ns = 0;
  double candidate_ns = 0;

  double delta_ns() const { return candidate_ns - baseline_ns; }
};

struct OpBlame {
  std::vector<OpDelta> ops;        // largest difference first
  std::vector<OpTypeDelta> types;  // largest difference first
  double baseline_ns = 0;          // of a whole run, without the profiler
  double candidate_ns = 0;
  /// Difference that no op explains: the engines' own work, and what the medians leave out.
  double unattributed_ns = 0;
  /// At most five, the weightiest first; differences below 1 % of the baseline are not worth one.
  std::vector<std::string> sentences;
  std::string reason;  // why there is nothing to compare
};

/// Which ops belong together is found in this order: equal name and type; equal name; a node whose
/// result (or a later one's) a counterpart of the node before it makes now is fused into that;
/// equal output name; and what is left of one type is paired in order of execution when both have
/// as many.
OpBlame blame_ops(const OpProfile& baseline, const OpProfile& candidate);

}  // namespace lathe

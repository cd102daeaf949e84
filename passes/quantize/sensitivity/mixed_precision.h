// Which layers go back to float so that a quantized network holds a target, as few as can be found.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// How much worse than the float network the one is that leaves these nodes in float; the same for
/// the same set. May throw to stop the search.
using DropJudge = std::function<double(const std::set<NodeId>& left_in_float)>;

struct JudgedNodes {
  std::set<NodeId> left_in_float;
  double drop = 0;
};

struct MixedPrecisionOptions {
  double allowed = 0;      // the target: drop <= allowed
  size_t max_judged = 48;  // evaluations at most
};

/// State of a search; complete at every moment, so that an interrupted one has its best.
struct MixedPrecision {
  std::vector<JudgedNodes> judged;  // in order
  /// Of those that hold the target the one with the fewest nodes in float, of these the one with
  /// the least drop; while none holds it, the one with the least drop. Index into `judged`.
  size_t best = 0;
  bool held = false;  // by the best
  bool finished = false;

  const JudgedNodes& found() const { return judged.at(best); }
};

/// `ranking`: candidates, those that matter most first. Judges prefixes of the ranking of 1, 2, 4,
/// … nodes until one holds, bisects between the last two, and then takes nodes back one by one
/// from the end of the prefix as long as the target holds. At least one candidate stays quantized:
/// when that does not hold the target, it cannot be reached. `search.judged` may hold results of
/// an earlier run; they are not judged again. An empty set of nodes is judged first.
void find_mixed_precision(const std::vector<NodeId>& ranking, const DropJudge& judge,
                          const MixedPrecisionOptions& options, MixedPrecision& search);

}  // namespace lathe

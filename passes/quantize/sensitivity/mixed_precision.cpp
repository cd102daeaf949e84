#include "quantize/sensitivity/mixed_precision.h"

#include <algorithm>

namespace lathe {
namespace {

class Search {
 public:
  Search(const std::vector<NodeId>& ranking, const DropJudge& judge,
         const MixedPrecisionOptions& options, MixedPrecision& state)
      : ranking_(ranking), judge_(judge), options_(options), state_(state) {}

  void run() {
    const std::vector<JudgedNodes> earlier = std::move(state_.judged);
    state_.judged.clear();
    known_ = earlier;
    if (!holds({})) {
      const std::optional<size_t> length = shortest_prefix();
      if (length) take_back(*length);
    }
    state_.finished = true;
  }

 private:
  bool is_better(const JudgedNodes& a, const JudgedNodes& b) const {
    const bool held = a.drop <= options_.allowed;
    if (held != (b.drop <= options_.allowed)) return held;
    if (held && a.left_in_float.size() != b.left_in_float.size())
      return a.left_in_float.size() < b.left_in_float.size();
    if (a.drop != b.drop) return a.drop < b.drop;
    return a.left_in_float.size() < b.left_in_float.size();
  }

  // Over budget everything counts as missed: the search ends with what it has.
  bool holds(const std::set<NodeId>& left) {
    for (const JudgedNodes& row : state_.judged)
      if (row.left_in_float == left) return row.drop <= options_.allowed;
    const auto known = std::find_if(known_.begin(), known_.end(), [&](const JudgedNodes& row) {
      return row.left_in_float == left;
    });
    if (known == known_.end() && spent_ >= options_.max_judged) return false;
    spent_ += known == known_.end() ? 1 : 0;
    state_.judged.push_back({left, known != known_.end() ? known->drop : judge_(left)});
    const JudgedNodes& row = state_.judged.back();
    if (state_.judged.size() == 1 || is_better(row, state_.judged[state_.best]))
      state_.best = state_.judged.size() - 1;
    state_.held = state_.judged[state_.best].drop <= options_.allowed;
    return row.drop <= options_.allowed;
  }

  std::set<NodeId> prefix(size_t length) const {
    return {ranking_.begin(), ranking_.begin() + static_cast<std::ptrdiff_t>(length)};
  }

  std::optional<size_t> shortest_prefix() {
    if (ranking_.size() < 2) return std::nullopt;
    const size_t most = ranking_.size() - 1;
    size_t missed = 0;
    size_t length = 1;
    while (!holds(prefix(length))) {
      if (length == most) return std::nullopt;
      missed = length;
      length = std::min(2 * length, most);
    }
    while (length - missed > 1) {
      const size_t middle = missed + (length - missed) / 2;
      (holds(prefix(middle)) ? length : missed) = middle;
    }
    return length;
  }

  void take_back(size_t length) {
    std::set<NodeId> left = prefix(length);
    // Without the last one it was judged already.
    for (size_t i = length - 1; i-- > 0;) {
      std::set<NodeId> fewer = left;
      fewer.erase(ranking_[i]);
      if (holds(fewer)) left = std::move(fewer);
    }
  }

  const std::vector<NodeId>& ranking_;
  const DropJudge& judge_;
  const MixedPrecisionOptions& options_;
  MixedPrecision& state_;
  std::vector<JudgedNodes> known_;
  size_t spent_ = 0;
};

}  // namespace

void find_mixed_precision(const std::vector<NodeId>& ranking, const DropJudge& judge,
                          const MixedPrecisionOptions& options, MixedPrecision& search) {
  Search(ranking, judge, options, search).run();
}

}  // namespace lathe

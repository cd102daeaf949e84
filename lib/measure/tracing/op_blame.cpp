#include "tracing/op_blame.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);
constexpr size_t kMaxSentences = 5;
constexpr double kWorthASentence = 0.01;

using Places = std::map<std::string, size_t, std::less<>>;

size_t find(const Places& places, std::string_view name) {
  const auto place = places.find(name);
  return place == places.end() ? kNone : place->second;
}

struct Matching {
  std::vector<size_t> to_candidate;  // by baseline op; kNone: none
  std::vector<size_t> to_baseline;   // by candidate op
  std::vector<size_t> fused_into;    // by baseline op: a candidate op
};

class Matcher {
 public:
  Matcher(const std::vector<OpTime>& baseline, const std::vector<OpTime>& candidate)
      : baseline_(baseline), candidate_(candidate) {
    matching_.to_candidate.assign(baseline.size(), kNone);
    matching_.to_baseline.assign(candidate.size(), kNone);
    matching_.fused_into.assign(baseline.size(), kNone);
    for (size_t i = 0; i < baseline.size(); ++i) baseline_names_.emplace(baseline[i].name, i);
    for (size_t i = 0; i < candidate.size(); ++i) {
      names_.emplace(candidate[i].name, i);
      if (!candidate[i].output.empty()) outputs_.emplace(candidate[i].output, i);
    }
  }

  Matching run() {
    by_key(names_, &OpTime::name, true);
    by_key(names_, &OpTime::name, false);
    find_fused();
    by_key(outputs_, &OpTime::output, true);
    by_key(outputs_, &OpTime::output, false);
    by_order();
    return std::move(matching_);
  }

 private:
  bool is_open(size_t i) const {
    return matching_.to_candidate[i] == kNone && matching_.fused_into[i] == kNone;
  }
  void pair(size_t baseline, size_t candidate) {
    matching_.to_candidate[baseline] = candidate;
    matching_.to_baseline[candidate] = baseline;
  }
  void by_key(const Places& places, std::string OpTime::*key, bool same_type) {
    for (size_t i = 0; i < baseline_.size(); ++i) {
      if (!is_open(i) || (baseline_[i].*key).empty()) continue;
      const size_t j = find(places, baseline_[i].*key);
      if (j == kNone || matching_.to_baseline[j] != kNone) continue;
      if (same_type && candidate_[j].type != baseline_[i].type) continue;
      pair(i, j);
    }
  }
  // From an op whose result another op makes now, back to that op's counterpart: all between are
  // fused into it.
  void find_fused() {
    for (size_t i = 0; i < baseline_.size(); ++i) {
      if (!is_open(i)) continue;
      const size_t maker = find(outputs_, baseline_[i].output);
      if (maker == kNone || matching_.to_baseline[maker] == kNone) continue;
      std::vector<size_t> chain{i};
      size_t at = find(baseline_names_, baseline_[i].producer);
      // Producers come before: the way back ends.
      while (at != kNone && at < chain.back() && is_open(at)) {
        chain.push_back(at);
        at = find(baseline_names_, baseline_[at].producer);
      }
      if (at == kNone || matching_.to_candidate[at] != maker) continue;
      for (const size_t op : chain) matching_.fused_into[op] = maker;
    }
  }
  void by_order() {
    std::map<std::string, std::pair<std::vector<size_t>, std::vector<size_t>>> left;
    for (size_t i = 0; i < baseline_.size(); ++i)
      if (is_open(i)) left[baseline_[i].type].first.push_back(i);
    for (size_t j = 0; j < candidate_.size(); ++j)
      if (matching_.to_baseline[j] == kNone) left[candidate_[j].type].second.push_back(j);
    for (const auto& [type, both] : left)
      if (both.first.size() == both.second.size())
        for (size_t k = 0; k < both.first.size(); ++k) pair(both.first[k], both.second[k]);
  }

  const std::vector<OpTime>& baseline_;
  const std::vector<OpTime>& candidate_;
  Places baseline_names_;
  Places names_;
  Places outputs_;
  Matching matching_;
};

double run_ns(const OpTime& op, const OpProfile& profile) {
  return op.median_ns * static_cast<double>(op.calls) /
         static_cast<double>(std::max<size_t>(1, profile.runs));
}

std::vector<OpDelta> differences(const OpProfile& baseline, const OpProfile& candidate) {
  const Matching matching = Matcher(baseline.ops, candidate.ops).run();
  std::vector<OpDelta> ops;
  for (size_t j = 0; j < candidate.ops.size(); ++j) {
    const OpTime& op = candidate.ops[j];
    OpDelta delta{OpChange::kInserted, op.name, op.type, {}, {}, 0, run_ns(op, candidate)};
    if (const size_t i = matching.to_baseline[j]; i != kNone) {
      const OpTime& before = baseline.ops[i];
      delta.change = before.type == op.type ? OpChange::kKept : OpChange::kChanged;
      if (delta.change == OpChange::kChanged) delta.from_type = before.type;
      delta.baseline_ns = run_ns(before, baseline);
    }
    ops.push_back(std::move(delta));
  }
  for (size_t i = 0; i < baseline.ops.size(); ++i) {
    if (matching.to_candidate[i] != kNone) continue;
    const OpTime& op = baseline.ops[i];
    OpDelta delta{OpChange::kMissing, op.name, op.type, {}, {}, run_ns(op, baseline), 0};
    if (const size_t j = matching.fused_into[i]; j != kNone) {
      delta.change = OpChange::kFused;
      delta.into = candidate.ops[j].name;
    }
    ops.push_back(std::move(delta));
  }
  return ops;
}

template <class Delta>
void sort_by_weight(std::vector<Delta>& deltas) {
  std::stable_sort(deltas.begin(), deltas.end(), [](const Delta& a, const Delta& b) {
    return std::abs(a.delta_ns()) > std::abs(b.delta_ns());
  });
}

std::string percent(double part) {
  return fmt::format("{:.{}f} %", part * 100, part < 0.095 ? 1 : 0);
}

std::string sentence(const OpTypeDelta& delta, const OpBlame& blame) {
  const std::string type = escape_untrusted(delta.type, 60);
  const bool one = delta.count == 1;
  const double of_baseline = std::abs(delta.delta_ns()) / blame.baseline_ns;
  const auto ratio = [&] {
    const double times = delta.candidate_ns / delta.baseline_ns;
    return fmt::format("{:.2f}x the time ({}{} of the baseline)", times,
                       delta.delta_ns() < 0 ? "−" : "+", percent(of_baseline));
  };
  switch (delta.change) {
    case OpChange::kInserted:
      return fmt::format("{} inserted {} cost{} {}", delta.count, type, one ? "s" : "",
                         percent(delta.candidate_ns / blame.candidate_ns));
    case OpChange::kFused:
      return fmt::format("{} fused {} save{} {}", delta.count, type, one ? "s" : "",
                         percent(of_baseline));
    case OpChange::kMissing:
      return fmt::format("{} {} no longer there save{} {}", delta.count, type, one ? "s" : "",
                         percent(of_baseline));
    case OpChange::kChanged:
      return fmt::format("{} {} that became {} take{} {}", delta.count,
                         escape_untrusted(delta.from_type, 60), type, one ? "s" : "", ratio());
    case OpChange::kKept:
      return fmt::format("{} {} take{} {}", delta.count, type, one ? "s" : "", ratio());
  }
  return {};
}

}  // namespace

std::string_view op_change_name(OpChange change) {
  static constexpr std::string_view kNames[] = {"kept", "changed", "inserted", "fused", "missing"};
  return kNames[static_cast<size_t>(change)];
}

OpBlame blame_ops(const OpProfile& baseline, const OpProfile& candidate) {
  OpBlame blame;
  for (const OpProfile* profile : {&baseline, &candidate})
    if (blame.reason.empty() && !profile->reason.empty()) blame.reason = profile->reason;
  if (!blame.reason.empty()) return blame;
  blame.baseline_ns = baseline.plain_ns;
  blame.candidate_ns = candidate.plain_ns;
  blame.ops = differences(baseline, candidate);
  std::map<std::tuple<OpChange, std::string, std::string>, OpTypeDelta> types;
  blame.unattributed_ns = blame.candidate_ns - blame.baseline_ns;
  for (const OpDelta& op : blame.ops) {
    OpTypeDelta& type = types[{op.change, op.type, op.from_type}];
    type.change = op.change;
    type.type = op.type;
    type.from_type = op.from_type;
    ++type.count;
    type.baseline_ns += op.baseline_ns;
    type.candidate_ns += op.candidate_ns;
    blame.unattributed_ns -= op.delta_ns();
  }
  for (auto& [key, type] : types) blame.types.push_back(std::move(type));
  sort_by_weight(blame.ops);
  sort_by_weight(blame.types);
  if (blame.baseline_ns <= 0 || blame.candidate_ns <= 0) return blame;
  for (const OpTypeDelta& type : blame.types) {
    if (blame.sentences.size() == kMaxSentences ||
        std::abs(type.delta_ns()) < kWorthASentence * blame.baseline_ns)
      break;
    blame.sentences.push_back(sentence(type, blame));
  }
  return blame;
}

}  // namespace lathe

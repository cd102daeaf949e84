// How sparsity grows while a network is trained: Zhu and Gupta, "To prune, or not to prune:
// exploring the efficacy of pruning for model compression", 2017.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lathe {

/// A moment of a training: a step, or a share of all steps.
struct ScheduleTime {
  double value = 0;
  bool is_share = true;  // 0..1; otherwise a number of steps
  int64_t step(int64_t steps) const;
};

/// s(t) = final + (initial - final) (1 - (t - begin) / (end - begin))^power, looked at every
/// `frequency` steps from `begin`, and at `end`; 0 before `begin`, constant after `end`.
struct SparsitySchedule {
  double initial = 0;
  ScheduleTime begin{0, true};
  ScheduleTime end{0.6, true};
  int64_t frequency = 20;
  double power = 3;
};

/// "polynomial", "polynomial:initial=10%,begin=5%,end=60%,frequency=20,power=3"; begin and end are
/// shares ("60%") or steps ("600"). Throws Error (exit 2) that names --schedule.
SparsitySchedule parse_schedule(std::string_view text);

struct SparsityChange {
  int64_t step = 0;
  double sparsity = 0;
};

/// Every change in a training of `steps`, ascending; the last one is to `final_sparsity`. Throws
/// Error (exit 2) when the schedule does not fit into the steps or does not grow.
std::vector<SparsityChange> sparsity_changes(const SparsitySchedule& schedule,
                                             double final_sparsity, int64_t steps);
/// The sparsity in force when `step` steps are done; 0 before the first change.
double sparsity_at(const std::vector<SparsityChange>& changes, int64_t step);

}  // namespace lathe

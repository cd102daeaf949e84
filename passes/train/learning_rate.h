// The learning rate of every step.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe {

struct LearningRate {
  enum class Schedule : uint8_t { kConstant, kCosine, kStep };
  Schedule schedule = Schedule::kConstant;
  double base = 1e-3;        // above 0, finite
  int64_t warmup_steps = 0;  // linear from base / warmup_steps up to base
  double final_share = 0;    // cosine: share of base at the end (PyTorch's eta_min / lr)
  int64_t step_size = 0;     // step: steps between two decays
  double gamma = 0.1;        // step: factor of a decay
};

std::optional<LearningRate::Schedule> schedule_from_name(std::string_view name);
std::string_view schedule_name(LearningRate::Schedule schedule);

/// Of step `step` (from 0) of `steps` in all, as PyTorch's CosineAnnealingLR and StepLR give it
/// when stepped once a batch; the schedule starts after the warm-up.
double learning_rate_at(const LearningRate& rate, int64_t step, int64_t steps);

/// Throws Error (exit 2) for a rate that is not positive and finite, and for schedules that make
/// no sense.
void check_learning_rate(const LearningRate& rate);

}  // namespace lathe

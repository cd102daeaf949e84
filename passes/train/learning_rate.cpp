#include "train/learning_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ir/error.h"

namespace lathe {
namespace {

using Schedule = LearningRate::Schedule;

}  // namespace

std::optional<Schedule> schedule_from_name(std::string_view name) {
  for (const Schedule schedule : {Schedule::kConstant, Schedule::kCosine, Schedule::kStep})
    if (schedule_name(schedule) == name) return schedule;
  return std::nullopt;
}

std::string_view schedule_name(Schedule schedule) {
  switch (schedule) {
    case Schedule::kConstant: return "constant";
    case Schedule::kCosine: return "cosine";
    case Schedule::kStep: return "step";
  }
  return "";
}

double learning_rate_at(const LearningRate& rate, int64_t step, int64_t steps) {
  if (step < rate.warmup_steps)
    return rate.base * static_cast<double>(step + 1) / static_cast<double>(rate.warmup_steps);
  const int64_t done = step - rate.warmup_steps;
  const int64_t all = std::max<int64_t>(steps - rate.warmup_steps, 1);
  switch (rate.schedule) {
    case Schedule::kConstant: break;
    case Schedule::kCosine: {
      const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
      const double share = 0.5 * (1 + std::cos(std::numbers::pi * part));
      return rate.base * (rate.final_share + (1 - rate.final_share) * share);
    }
    case Schedule::kStep:
      return rate.base * std::pow(rate.gamma, static_cast<double>(done / rate.step_size));
  }
  return rate.base;
}

void check_learning_rate(const LearningRate& rate) {
  const auto refuse = [](std::string what, std::string hint) {
    return bad_usage("train.learning_rate", std::move(what), {}, std::move(hint));
  };
  if (!std::isfinite(rate.base) || rate.base <= 0)
    throw refuse(fmt::format("the learning rate is {}", rate.base),
                 "it must be above 0; 1e-3 is usual for Adam, 1e-2 for SGD");
  if (rate.warmup_steps < 0) throw refuse("a negative warm-up", "give 0 or more steps");
  if (!(rate.final_share >= 0 && rate.final_share <= 1))
    throw refuse(fmt::format("final share {} of the learning rate", rate.final_share),
                 "it must be within 0..1");
  if (rate.schedule != Schedule::kStep) return;
  if (rate.step_size < 1) throw refuse("a step schedule without a step size", "give 1 or more");
  if (!(rate.gamma > 0 && rate.gamma <= 1))
    throw refuse(fmt::format("a decay factor of {}", rate.gamma), "it must be above 0, at most 1");
}

}  // namespace lathe

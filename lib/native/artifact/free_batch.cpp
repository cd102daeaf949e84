#include <algorithm>

#include "artifact/plan_archive.h"
#include "artifact/plan_fields.h"
#include "artifact/plan_file.h"
#include "ir/error.h"
#include "plan/plan_check.h"

namespace lathe {
namespace {

/// What must be the same for every batch: all fields but the numbers, and but for where the arena's
/// blocks lie.
std::string lasting_fields(const NativePlan& plan) {
  NativePlan lasting;
  lasting.blocks = plan.blocks;
  for (PlanBlock& block : lasting.blocks)
    if (block.place == BlockPlace::kArena) block.offset = 0;
  lasting.views = plan.views;
  lasting.slots = plan.slots;
  lasting.steps = plan.steps;
  lasting.inputs = plan.inputs;
  lasting.outputs = plan.outputs;
  PlanWriter writer;
  writer(lasting);
  return writer.bytes;
}

/// one + steps * (two - one); false when it overflows.
bool on_line(int64_t one, int64_t two, int64_t steps, int64_t& value) {
  int64_t growth = 0;
  return !__builtin_sub_overflow(two, one, &growth) &&
         !__builtin_mul_overflow(growth, steps, &growth) &&
         !__builtin_add_overflow(one, growth, &value);
}

Error too_large() {
  return over_limit("plan.batch", "a batch of such a size does not fit into any memory");
}

/// `plan` with the numbers that lie `steps` batches from its own on the line to `next`.
NativePlan moved_on_line(NativePlan plan, const std::vector<int64_t>& next, int64_t steps) {
  std::vector<int64_t> numbers = batch_numbers(plan);
  if (numbers.size() != next.size())
    throw InternalError("plan file: another number of numbers for another batch");
  for (size_t i = 0; i < numbers.size(); ++i)
    if (!on_line(numbers[i], next[i], steps, numbers[i])) throw too_large();
  PlanNumbers change(numbers);
  change(plan);
  // Sizes must be right before blocks are placed by them.
  for (const PlanBlock& block : plan.blocks)
    if (block.bytes < 0 || block.bytes > kMostPlanBytes) throw too_large();
  place_blocks(plan);
  if (plan.arena_bytes > kMostPlanBytes) throw too_large();
  verify_plan(plan);
  return plan;
}

}  // namespace

std::vector<int64_t> batch_numbers(const NativePlan& plan) {
  PlanWriter writer;
  writer(plan);
  return std::move(writer.numbers);
}

bool is_on_line(const NativePlan& one, const NativePlan& two, const NativePlan& far,
                int64_t steps) {
  const std::string lasting = lasting_fields(one);
  for (const NativePlan* other : {&two, &far})
    if (other->constants != one.constants || lasting_fields(*other) != lasting) return false;
  const std::vector<int64_t> first = batch_numbers(one);
  const std::vector<int64_t> second = batch_numbers(two);
  const std::vector<int64_t> last = batch_numbers(far);
  if (second.size() != first.size() || last.size() != first.size()) return false;
  for (size_t i = 0; i < first.size(); ++i) {
    int64_t value = 0;
    if (!on_line(first[i], second[i], steps, value) || value != last[i]) return false;
  }
  return true;
}

NativePlan plan_before(const NativePlan& plan, const NativePlan& next) {
  return moved_on_line(plan, batch_numbers(next), -1);
}

NativePlan plan_for_batch(const PlanFile& file, int64_t batch) {
  if (batch < 1) throw bad_input("plan.batch", "a batch below 1");
  if (batch == 1) return file.plan;
  if (file.batch_two.empty())
    throw bad_input("plan.batch", "the plan has a fixed batch", {},
                    "lathe compile --dynamic-batch writes plans for any batch");
  NativePlan plan = moved_on_line(file.plan, file.batch_two, batch - 1);
  for (PlanStep& step : plan.steps) step.choice.threads = 0;
  return plan;
}

}  // namespace lathe

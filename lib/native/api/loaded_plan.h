// What a handle of the C API holds: a plan file and programs for the batches that were asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/lathe.h"
#include "artifact/plan_file.h"
#include "program/program.h"

namespace lathe {

/// One end of a plan for one batch.
struct LoadedPort {
  std::string name;
  Shape shape;
  lathe_tensor_info info{};  // points into this
  size_t element_bytes = 1;
};

class LoadedPlan {
 public:
  /// Throws Error as read_plan_file and Program do, and exit 2 for options that cannot be.
  LoadedPlan(PlanFile file, const lathe_options& options);

  /// Throws Error as plan_for_batch and Program do; the old batch stays then.
  void set_batch(int64_t batch);
  int64_t batch() const { return programs_.front().batch; }
  bool has_free_batch() const { return !file_.batch_two.empty(); }

  const std::vector<LoadedPort>& inputs() const { return programs_.front().inputs; }
  const std::vector<LoadedPort>& outputs() const { return programs_.front().outputs; }
  const PlanMetadata& metadata() const { return file_.metadata; }
  int threads() const { return threads_; }
  const std::string& warning() const { return warning_; }

  /// As many addresses as ports, of which all is checked.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

 private:
  struct Ready {
    int64_t batch = 1;
    std::unique_ptr<Program> program;
    std::vector<LoadedPort> inputs;
    std::vector<LoadedPort> outputs;
  };
  Ready make_ready(NativePlan plan, int64_t batch) const;

  PlanFile file_;
  int threads_ = 1;
  uint64_t most_bytes_ = 0;
  std::string warning_;
  std::list<Ready> programs_;  // the last used first
};

}  // namespace lathe

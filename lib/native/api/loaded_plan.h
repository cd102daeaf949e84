// What a handle of the C API holds: a plan file, which queues share, and programs for the batches
// that were asked for.
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
#include "program/batch_program.h"

namespace lathe {

/// One end of a plan for one batch.
struct LoadedPort {
  std::string name;
  Shape shape;
  lathe_tensor_info info{};  // points into this
  size_t element_bytes = 1;
};

/// `described`: as the file has them.
std::vector<LoadedPort> ports_of(const NativePlan& plan, const std::vector<PlanValue>& values,
                                 const std::vector<PlanPort>& described);

/// A file and what all programs of it share.
struct SharedPlan {
  /// Choices of another machine are forgotten.
  explicit SharedPlan(PlanFile read);
  /// What a user with so many threads should know; "" when there is nothing.
  std::string warning(int threads) const;
  const std::string fingerprint;  // of this machine; not looked at for plans that were not tuned
  const PlanFile file;
  const std::shared_ptr<PackedWeights> packed;
};

/// One batch of a plan, ready to run.
struct ReadyPlan {
  /// `most_bytes`: of arrays and weights; 0: no limit. Throws Error as plan_for_batch and Program
  /// do.
  ReadyPlan(const SharedPlan& shared, int64_t batch, int threads, uint64_t most_bytes);
  int64_t batch = 1;
  std::unique_ptr<BatchProgram> program;
  std::vector<LoadedPort> inputs;
  std::vector<LoadedPort> outputs;
};

/// Throws Error (exit 2) for numbers of threads that cannot be; 0 becomes all CPUs.
int checked_threads(int threads);

class LoadedPlan {
 public:
  /// Throws Error as read_plan_file and Program do, and exit 2 for options that cannot be.
  LoadedPlan(PlanFile file, const lathe_options& options);

  /// Throws Error as plan_for_batch and BatchProgram do; the old batch stays then.
  void set_batch(int64_t batch);
  int64_t batch() const { return programs_.front().batch; }
  bool has_free_batch() const { return !shared_->file.batch_two.empty(); }
  const std::shared_ptr<const SharedPlan>& shared() const { return shared_; }

  const std::vector<LoadedPort>& inputs() const { return programs_.front().inputs; }
  const std::vector<LoadedPort>& outputs() const { return programs_.front().outputs; }
  const PlanMetadata& metadata() const { return shared_->file.metadata; }
  int threads() const { return threads_; }
  const std::string& warning() const { return warning_; }

  /// As many addresses as ports, of which all is checked.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

 private:
  std::shared_ptr<const SharedPlan> shared_;
  int threads_ = 1;
  uint64_t most_bytes_ = 0;
  std::string warning_;
  std::list<ReadyPlan> programs_;  // the last used first
};

}  // namespace lathe

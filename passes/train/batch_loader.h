// Loads the next batch while the present one is trained on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "train/batch.h"

namespace lathe {

/// One thread for a whole run that uses one processor: LibTorch starts its pools anew for every
/// thread that first comes to it, which costs tens of milliseconds.
class BatchLoader {
 public:
  explicit BatchLoader(std::function<Batch(int64_t step)> load);
  /// Waits for a batch that is being loaded.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// Starts to load the batch of `step`, unless another one waits to be taken.
  void prefetch(int64_t step);
  /// The batch of `step`; throws what loading it threw. Loads it now unless it was prefetched.
  Batch take(int64_t step);

 private:
  void work();

  std::function<Batch(int64_t)> load_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int64_t> wanted_;  // to load, or loaded and not yet taken
  std::optional<Batch> ready_;
  std::exception_ptr failure_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

/// All samples in their order, `batch` at a time (the last one has what is left).
void for_each_batch(const TrainingData& data, size_t batch,
                    const std::function<void(const Batch&)>& work);

}  // namespace lathe

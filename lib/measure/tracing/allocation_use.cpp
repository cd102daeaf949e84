#include "tracing/allocation_use.h"

#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "evaluate/torch_api.h"

namespace lathe {
namespace {

class AllocationRecorder : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t alloc_size, ReportedTotal, ReportedTotal,
                         c10::Device) override {
    // The information may be handed on to threads that LibTorch starts.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (alloc_size > 0) ++use_.allocations;
    held_ += alloc_size;
    use_.peak_bytes = std::max(use_.peak_bytes, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }

  AllocationUse use() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return use_;
  }

 private:
  mutable std::mutex mutex_;
  int64_t held_ = 0;
  AllocationUse use_;
};

}  // namespace

AllocationUse allocation_use(const std::function<void()>& run) {
  const auto recorder = std::make_shared<AllocationRecorder>();
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, recorder);
    run();
  }
  return recorder->use();
}

}  // namespace lathe

// The functions of lathe.h for queues.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "api/handles.h"
#include "api/plan_queue.h"

struct lathe_queue {
  explicit lathe_queue(std::unique_ptr<lathe::PlanQueue> held) : queue(std::move(held)) {}
  std::unique_ptr<lathe::PlanQueue> queue;
};

namespace {

using lathe::bad_usage;
using lathe::guarded;
using lathe::RequestArrays;

thread_local std::string queue_error;

lathe_status refused(lathe_status status, const char* why) {
  lathe::keep(queue_error, why);
  return status;
}

lathe_status submit(lathe_queue* queue, const RequestArrays& arrays, bool waits, lathe_done done,
                    void* context) {
  bool accepted = false;
  const lathe_status status = guarded(queue_error, [&] {
    if (queue == nullptr) throw bad_usage("api.null", "a null handle");
    accepted = queue->queue->submit(arrays, waits, done, context);
  });
  if (status != LATHE_OK || accepted) return status;
  return refused(LATHE_CANCELLED, "the queue is being freed");
}

/// What one waiting caller is told by a worker.
struct Result {
  std::mutex mutex;
  std::condition_variable told;
  bool is_told = false;
  lathe_status status = LATHE_OK;
  std::string error;
};

void tell(void* context, lathe_status status, const char* error) {
  auto& result = *static_cast<Result*>(context);
  const std::lock_guard lock(result.mutex);
  result.status = status;
  lathe::keep(result.error, error);
  result.is_told = true;
  // Under the lock: the caller's Result is gone as soon as it sees it.
  result.told.notify_one();
}

}  // namespace

lathe_status lathe_queue_make(const lathe_plan* plan, const lathe_queue_options* options,
                              lathe_queue** queue) {
  return guarded(queue_error, [&] {
    if (queue == nullptr) throw bad_usage("api.null", "a null pointer for the handle");
    *queue = nullptr;
    if (plan == nullptr) throw bad_usage("api.null", "a null handle");
    auto made = std::make_unique<lathe::PlanQueue>(
        plan->loaded.shared(), options == nullptr ? lathe_queue_options{} : *options);
    *queue = new lathe_queue(std::move(made));
  });
}

lathe_status lathe_queue_submit(lathe_queue* queue, const void* const* inputs,
                                const size_t* input_bytes, size_t input_count, void* const* outputs,
                                const size_t* output_bytes, size_t output_count, lathe_done done,
                                void* context) {
  const bool waits = queue != nullptr && queue->queue->settings().waits_when_full != 0;
  return submit(queue, {inputs, input_bytes, input_count, outputs, output_bytes, output_count},
                waits, done, context);
}

lathe_status lathe_queue_run(lathe_queue* queue, const void* const* inputs,
                             const size_t* input_bytes, size_t input_count, void* const* outputs,
                             const size_t* output_bytes, size_t output_count) {
  if (queue != nullptr && queue->queue->is_in_callback())
    return refused(LATHE_USAGE, "a callback that waits for its own queue");
  Result result;
  const lathe_status status = lathe_queue_submit(queue, inputs, input_bytes, input_count, outputs,
                                                 output_bytes, output_count, tell, &result);
  if (status != LATHE_OK) return status;
  std::unique_lock lock(result.mutex);
  result.told.wait(lock, [&] { return result.is_told; });
  lathe::keep(queue_error, result.error.c_str());
  return result.status;
}

lathe_status lathe_queue_drain(lathe_queue* queue) {
  return guarded(queue_error, [&] {
    if (queue == nullptr) throw bad_usage("api.null", "a null handle");
    if (queue->queue->is_in_callback())
      throw bad_usage("queue.callback", "a callback that waits for its own queue");
    queue->queue->drain();
  });
}

lathe_status lathe_queue_free(lathe_queue* queue) {
  return guarded(queue_error, [&] {
    if (queue != nullptr && queue->queue->is_in_callback())
      throw bad_usage("queue.callback", "a callback that frees its own queue");
    delete queue;
  });
}

const char* lathe_queue_error(void) { return queue_error.c_str(); }

const char* lathe_queue_warning(const lathe_queue* queue) {
  return queue == nullptr ? "" : queue->queue->warning().c_str();
}

lathe_status lathe_queue_settings(const lathe_queue* queue, lathe_queue_options* options) {
  return guarded(queue_error, [&] {
    if (queue == nullptr || options == nullptr) throw bad_usage("api.null", "a null pointer");
    *options = queue->queue->settings();
  });
}

lathe_status lathe_queue_count(const lathe_queue* queue, lathe_queue_counts* counts) {
  return guarded(queue_error, [&] {
    if (queue == nullptr || counts == nullptr) throw bad_usage("api.null", "a null pointer");
    *counts = queue->queue->counts();
  });
}

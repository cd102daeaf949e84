#include "api/plan_queue.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "api/checked_arrays.h"
#include "api/handles.h"
#include "api/worker_cpus.h"
#include "os/host.h"
#include "plan/divide_plan.h"

namespace lathe {
namespace {

constexpr int kMostWorkers = 1024;
constexpr size_t kMostWaiting = size_t{1} << 20;
constexpr size_t kMostOtherBatches = 8;  // that nobody made ready beforehand
constexpr std::align_val_t kLine{64};

thread_local const PlanQueue* queue_of_this_thread = nullptr;

int64_t at_least_one(int64_t number) { return std::max<int64_t>(number, 1); }

/// The batch is the first dimension of all ports; "" or which has none.
std::string port_without_batch(const std::vector<LoadedPort>& one, const NativePlan& two,
                               const std::vector<PlanValue>& ends) {
  for (size_t i = 0; i < one.size(); ++i) {
    Shape twice = one[i].shape;
    if (!twice.empty() && twice[0] == 1) {
      twice[0] = 2;
      if (twice == two.views[static_cast<size_t>(ends[i].view.index)].shape) continue;
    }
    return escape_untrusted(one[i].name);
  }
  return {};
}

std::vector<int64_t> ready_batches(int64_t most) {
  std::vector<int64_t> batches;
  for (int64_t batch = 1; batch < most; batch *= 2) batches.push_back(batch);
  batches.push_back(most);
  return batches;
}

/// Dynamic quantization: what a row becomes depends on the other rows.
bool has_scale_of_batch(const NativePlan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [](const PlanStep& step) {
    const auto* recurrent = std::get_if<RecurrentStep>(&step.kind);
    return std::holds_alternative<DynamicQuantizeStep>(step.kind) ||
           (recurrent != nullptr && recurrent->weights_scale.valid());
  });
}

}  // namespace

struct PlanQueue::Worker {
  struct FreeArray {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, kLine); }
  };
  using Array = std::unique_ptr<std::byte[], FreeArray>;

  std::list<ReadyPlan> plans;  // those of ready_batches last
  size_t others = 0;
  std::vector<Array> inputs;
  std::vector<Array> outputs;
  std::vector<const void*> in;
  std::vector<void*> out;

  BatchProgram& program(const SharedPlan& shared, int64_t batch,
                        const lathe_queue_options& settings) {
    const auto found = std::find_if(plans.begin(), plans.end(),
                                    [&](const ReadyPlan& plan) { return plan.batch == batch; });
    if (found != plans.end()) {
      const bool other = static_cast<size_t>(std::distance(plans.begin(), found)) < others;
      if (other) plans.splice(plans.begin(), plans, found);
      return *found->program;
    }
    plans.emplace_front(shared, batch, settings.threads, settings.max_memory_bytes);
    if (++others > kMostOtherBatches)
      plans.erase(std::next(plans.begin(), static_cast<int>(--others)));
    return *plans.front().program;
  }
};

PlanQueue::PlanQueue(std::shared_ptr<const SharedPlan> shared, const lathe_queue_options& options)
    : shared_(std::move(shared)) {
  settle(options);
  check_memory(options.max_memory_bytes);
  requests_ = std::make_unique<RequestQueue>(
      settings_.capacity,
      BatchLimits{settings_.max_batch, std::max<int64_t>(settings_.max_delay_us, 0) * 1000},
      inputs_.size(), outputs_.size());
  start();
}

PlanQueue::~PlanQueue() { stop(); }

void PlanQueue::warn(const std::string& text) {
  if (warning_.find(text) != std::string::npos) return;
  if (!warning_.empty()) warning_ += "; ";
  warning_ += text;
}

void PlanQueue::settle(const lathe_queue_options& options) {
  const PlanExecution& wanted = shared_->file.metadata.execution;
  const int cpus = usable_cpus();
  if (options.workers < 0 || options.workers > kMostWorkers)
    throw bad_usage("queue.workers",
                    fmt::format("{} workers; 1 to {} are possible", options.workers, kMostWorkers));
  if (options.capacity > kMostWaiting)
    throw bad_usage("queue.capacity", fmt::format("room for {} requests; at most {} may wait",
                                                  options.capacity, kMostWaiting));
  if (options.max_delay_us > kMostQueueDelayUs)
    throw bad_usage("queue.delay", fmt::format("{} us; a request waits for at most {}",
                                               options.max_delay_us, kMostQueueDelayUs));
  if (options.affinity < LATHE_AFFINITY_PLAN || options.affinity > LATHE_AFFINITY_BIG)
    throw bad_usage("queue.affinity", "there is no such affinity");
  settings_ = options;
  settings_.threads = options.threads != 0 ? checked_threads(options.threads) : wanted.threads;
  if (settings_.threads == 0)
    settings_.threads = static_cast<int>(at_least_one(cpus / at_least_one(options.workers)));
  if (settings_.workers == 0)
    settings_.workers = static_cast<int>(at_least_one(cpus / settings_.threads));
  if (int64_t{settings_.workers} * settings_.threads > cpus)
    warn(fmt::format("{} workers of {} threads for {} CPUs", settings_.workers, settings_.threads,
                     cpus));
  if (const std::string tuning = shared_->warning(settings_.threads); !tuning.empty()) warn(tuning);
  settings_.waits_when_full = options.waits_when_full != 0 ? 1 : 0;
  if (options.max_delay_us == 0) settings_.max_delay_us = wanted.queue_delay_us;
  if (options.affinity == LATHE_AFFINITY_PLAN)
    settings_.affinity = static_cast<int>(wanted.affinity) + 1;
  settle_batch(options.max_batch);
  constexpr int64_t kWaiting = 1024;
  if (options.capacity == 0)
    settings_.capacity = static_cast<size_t>(
        std::min(std::max(kWaiting, settings_.max_batch), static_cast<int64_t>(kMostWaiting)));
}

void PlanQueue::settle_batch(int64_t asked) {
  const PlanFile& file = shared_->file;
  if (asked < 0 || asked > kMostPlanBatch)
    throw bad_usage("queue.batch",
                    fmt::format("a batch of {}; 1 to {} are possible", asked, kMostPlanBatch));
  inputs_ = ports_of(file.plan, file.plan.inputs, file.metadata.inputs);
  outputs_ = ports_of(file.plan, file.plan.outputs, file.metadata.outputs);
  settings_.max_batch = asked != 0 ? asked : file.metadata.execution.batch_default;
  if (settings_.max_batch > 1) {
    std::string why;
    if (file.batch_two.empty()) {
      why = "the plan's batch is fixed";
    } else {
      const NativePlan two = plan_for_batch(file, 2);
      std::string name = port_without_batch(inputs_, two, two.inputs);
      if (name.empty()) name = port_without_batch(outputs_, two, two.outputs);
      if (!name.empty()) why = fmt::format("{} does not have the batch first", name);
      if (has_scale_of_batch(file.plan)) why = "the plan computes one scale for a whole batch";
    }
    if (why.empty()) {
      joins_ = true;
      return;
    }
    // Nobody asked for it: the profile is not for this model alone.
    if (asked != 0) warn("requests are not joined: " + why);
  }
  settings_.max_batch = 1;
}

void PlanQueue::check_memory(uint64_t most_bytes) const {
  if (most_bytes == 0) return;
  uint64_t of_worker = 0;
  for (const int64_t batch : ready_batches(settings_.max_batch)) {
    const NativePlan plan = plan_for_batch(shared_->file, batch);
    const int threads = settings_.threads;
    of_worker +=
        static_cast<uint64_t>(batch_arena_bytes(plan, worthwhile_parts(plan, threads), threads));
  }
  if (joins_)
    for (const std::vector<LoadedPort>* ports : {&inputs_, &outputs_})
      for (const LoadedPort& port : *ports)
        of_worker += port.info.bytes * static_cast<uint64_t>(settings_.max_batch);
  // Weights are there twice: as the file has them, and packed.
  const uint64_t bytes = 2 * shared_->file.plan.constants.size() +
                         of_worker * static_cast<uint64_t>(settings_.workers);
  if (bytes > most_bytes)
    throw over_limit("api.memory", fmt::format("the queue needs about {} bytes, {} are allowed",
                                               bytes, most_bytes));
}

void PlanQueue::start() {
  const CpuAffinity affinity = static_cast<CpuAffinity>(settings_.affinity - 1);
  const auto cpus =
      divided_cpus(preferred_cpus(affinity), affinity, settings_.workers, settings_.threads);
  if (affinity != CpuAffinity::kNone && cpus.empty())
    warn("workers run on any CPU: there are not enough for their threads");
  const auto workers = static_cast<size_t>(settings_.workers);
  try {
    threads_.reserve(workers);
    for (size_t i = 0; i < workers; ++i)
      threads_.emplace_back([this, own = cpus.empty() ? nullptr : &cpus[i]] { work(own); });
    std::unique_lock lock(starting_);
    started_.wait(lock, [&] { return ready_ == workers; });
    if (failure_) std::rethrow_exception(failure_);
  } catch (const std::system_error& error) {
    stop();
    throw over_limit("queue.threads", fmt::format("a worker cannot be started: {}", error.what()));
  } catch (...) {
    stop();
    throw;
  }
}

void PlanQueue::stop() {
  // Callbacks must not wait for this queue here either.
  const PlanQueue* before = std::exchange(queue_of_this_thread, this);
  requests_->close([&](QueuedRequest& request) {
    request.done(request.context, LATHE_CANCELLED, "the queue was freed before the request ran");
    ++failed_;
    ++finished_;
  });
  queue_of_this_thread = before;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool PlanQueue::is_in_callback() const { return queue_of_this_thread == this; }

void PlanQueue::work(const std::vector<int>* cpus) {
  queue_of_this_thread = this;
  Worker worker;
  std::vector<QueuedRequest> group;
  std::string warning;
  std::exception_ptr failure;
  try {
    // Threads of the pool inherit it.
    if (cpus != nullptr) warning = run_on(*cpus);
    omp_set_num_threads(settings_.threads);
    for (const int64_t batch : ready_batches(settings_.max_batch))
      worker.plans.emplace_back(*shared_, batch, settings_.threads, uint64_t{0});
    worker.in.resize(inputs_.size());
    worker.out.resize(outputs_.size());
    group = requests_->make_group();
    const auto allocate = [&](const std::vector<LoadedPort>& ports,
                              std::vector<Worker::Array>& arrays) {
      for (const LoadedPort& port : ports) {
        const size_t bytes = port.info.bytes * static_cast<size_t>(settings_.max_batch);
        Worker::Array made(new (kLine) std::byte[std::max<size_t>(bytes, 1)]);
        arrays.push_back(std::move(made));
      }
    };
    if (joins_) {
      allocate(inputs_, worker.inputs);
      allocate(outputs_, worker.outputs);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(starting_);
    if (failure && !failure_) failure_ = failure;
    if (!warning.empty()) warn(warning);
    ++ready_;
    started_.notify_all();
  }
  if (failure) return;
  while (const size_t count = requests_->take(group)) {
    run_group(worker, std::span(group).first(count));
    requests_->finish(count);
  }
}

void PlanQueue::compute(Worker& worker, std::span<const QueuedRequest> group) {
  int64_t rows = 0;
  for (const QueuedRequest& request : group) rows += request.rows;
  BatchProgram& program = worker.program(*shared_, rows, settings_);
  if (group.size() == 1) {
    program.run(group[0].inputs, group[0].outputs);
    return;
  }
  for (size_t port = 0; port < inputs_.size(); ++port) {
    std::byte* to = worker.inputs[port].get();
    worker.in[port] = to;
    for (const QueuedRequest& request : group) {
      const size_t bytes = inputs_[port].info.bytes * static_cast<size_t>(request.rows);
      std::memcpy(to, request.inputs[port], bytes);
      to += bytes;
    }
  }
  for (size_t port = 0; port < outputs_.size(); ++port)
    worker.out[port] = worker.outputs[port].get();
  program.run(worker.in, worker.out);
  for (size_t port = 0; port < outputs_.size(); ++port) {
    const std::byte* from = worker.outputs[port].get();
    for (const QueuedRequest& request : group) {
      const size_t bytes = outputs_[port].info.bytes * static_cast<size_t>(request.rows);
      std::memcpy(request.outputs[port], from, bytes);
      from += bytes;
    }
  }
}

void PlanQueue::run_group(Worker& worker, std::span<QueuedRequest> group) {
  ++runs_;
  std::string error;
  const lathe_status status = guarded(error, [&] { compute(worker, group); });
  if (status == LATHE_BAD_INPUT && group.size() > 1) {
    // An index in one of them is out of range, which is not the others' fault.
    for (size_t i = 0; i < group.size(); ++i) run_group(worker, group.subspan(i, 1));
    return;
  }
  for (QueuedRequest& request : group) {
    request.done(request.context, status, error.c_str());
    if (status != LATHE_OK) ++failed_;
    ++finished_;
  }
}

bool PlanQueue::submit(const RequestArrays& arrays, bool waits, lathe_done done, void* context) {
  if (done == nullptr) throw bad_usage("api.null", "a null pointer for the callback");
  int64_t rows = 1;
  if (joins_ && arrays.input_count > 0 && arrays.input_bytes != nullptr &&
      inputs_.front().info.bytes > 0) {
    const auto given = static_cast<int64_t>(arrays.input_bytes[0] / inputs_.front().info.bytes);
    rows = std::clamp<int64_t>(given, 1, settings_.max_batch);
    if (given > rows)
      throw bad_input("queue.batch",
                      fmt::format("a request of batch {}; the queue takes {} at most", given,
                                  settings_.max_batch));
  }
  check_arrays(inputs_, rows, arrays.inputs, arrays.input_bytes, arrays.input_count, "input");
  check_arrays(outputs_, rows, arrays.outputs, arrays.output_bytes, arrays.output_count, "output");
  // A worker that waits for room waits for itself.
  const bool may_wait = waits && !is_in_callback();
  ++submitted_;
  const NewRequest request{{arrays.inputs, arrays.input_count},
                           {arrays.outputs, arrays.output_count},
                           rows,
                           done,
                           context};
  const RequestQueue::Pushed pushed = requests_->push(request, may_wait);
  if (pushed == RequestQueue::Pushed::kYes) return true;
  --submitted_;
  if (pushed == RequestQueue::Pushed::kClosed) return false;
  throw over_limit("queue.full",
                   fmt::format("the queue is full: {} requests wait", settings_.capacity));
}

lathe_queue_counts PlanQueue::counts() const {
  lathe_queue_counts counts;
  // What is finished was submitted.
  counts.finished = finished_;
  counts.failed = failed_;
  counts.runs = runs_;
  counts.submitted = submitted_;
  counts.waiting = requests_->waiting();
  return counts;
}

}  // namespace lathe

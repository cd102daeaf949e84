#include "api/loaded_plan.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <utility>

#include "ir/error.h"
#include "os/host.h"

namespace lathe {
namespace {

constexpr int kMostThreads = 1024;
constexpr size_t kMostReady = 8;

/// oneDNN takes as many threads as OpenMP would give to the calling thread.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
};

std::vector<LoadedPort> ports_of(const NativePlan& plan, const std::vector<IslandValue>& values,
                                 const std::vector<PlanPort>& described) {
  std::vector<LoadedPort> ports(values.size());
  for (size_t i = 0; i < ports.size(); ++i) {
    LoadedPort& port = ports[i];
    port.name = described[i].name;
    port.info.name = port.name.c_str();
    port.info.dtype = static_cast<lathe_dtype>(described[i].dtype);
    if (!values[i].view.valid()) continue;  // only islands have such ends, and no Program has these
    const PlanView& view = plan.views[static_cast<size_t>(values[i].view.index)];
    port.shape = view.shape;
    port.element_bytes = static_cast<size_t>(dtype_bits(view.dtype) / 8);
    port.info.rank = port.shape.size();
    port.info.dims = port.shape.data();
    port.info.bytes = static_cast<size_t>(element_count(port.shape)) * port.element_bytes;
  }
  return ports;
}

}  // namespace

LoadedPlan::LoadedPlan(PlanFile file, const lathe_options& options)
    : file_(std::move(file)), most_bytes_(options.max_memory_bytes) {
  const int cpus = usable_cpus();
  threads_ = options.threads == 0 ? cpus : options.threads;
  if (threads_ < 1 || threads_ > kMostThreads)
    throw bad_usage("api.threads",
                    fmt::format("{} threads; 1 to {} are possible", threads_, kMostThreads));
  if (threads_ > cpus) warning_ = fmt::format("{} threads for {} CPUs", threads_, cpus);
  const PlanMetadata& metadata = file_.metadata;
  const std::string tuning = keep_own_choices(
      file_, metadata.fingerprint.empty() ? "" : host_facts().fingerprint, threads_);
  if (!tuning.empty()) warning_ += (warning_.empty() ? "" : "; ") + tuning;
  // Other batches are made of the plan; else it is needed once only.
  programs_.push_front(
      make_ready(has_free_batch() ? file_.plan : std::exchange(file_.plan, {}), 1));
}

LoadedPlan::Ready LoadedPlan::make_ready(NativePlan plan, int64_t batch) const {
  // Weights are there twice: as the file has them, and packed.
  const uint64_t bytes = static_cast<uint64_t>(plan.arena_bytes) + 2 * plan.constants.size();
  if (most_bytes_ != 0 && bytes > most_bytes_)
    throw over_limit("api.memory", fmt::format("the plan needs about {} bytes, {} are allowed",
                                               bytes, most_bytes_));
  const OpenMpThreads threads(threads_);
  Ready ready;
  ready.batch = batch;
  ready.inputs = ports_of(plan, plan.inputs, file_.metadata.inputs);
  ready.outputs = ports_of(plan, plan.outputs, file_.metadata.outputs);
  ready.program = std::make_unique<Program>(std::move(plan), ProgramOptions{threads_});
  return ready;
}

void LoadedPlan::set_batch(int64_t batch) {
  if (batch == this->batch()) return;
  const auto found = std::find_if(programs_.begin(), programs_.end(),
                                  [&](const Ready& ready) { return ready.batch == batch; });
  if (found != programs_.end()) {
    programs_.splice(programs_.begin(), programs_, found);
    return;
  }
  programs_.push_front(make_ready(plan_for_batch(file_, batch), batch));
  if (programs_.size() > kMostReady) programs_.pop_back();
}

void LoadedPlan::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  const OpenMpThreads threads(threads_);
  programs_.front().program->run(inputs, outputs);
}

}  // namespace lathe

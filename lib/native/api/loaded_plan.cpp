#include "api/loaded_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ir/error.h"
#include "os/host.h"
#include "plan/divide_plan.h"

namespace lathe {
namespace {

constexpr int kMostThreads = static_cast<int>(kMostPlanThreads);
constexpr size_t kMostReady = 8;

PlanFile with_own_choices(PlanFile file, const std::string& fingerprint) {
  // How many threads there are is not known yet: SharedPlan::warning.
  keep_own_choices(file, fingerprint, file.metadata.tuned_threads);
  return file;
}

}  // namespace

std::vector<LoadedPort> ports_of(const NativePlan& plan, const std::vector<PlanValue>& values,
                                 const std::vector<PlanPort>& described) {
  std::vector<LoadedPort> ports(values.size());
  for (size_t i = 0; i < ports.size(); ++i) {
    LoadedPort& port = ports[i];
    port.name = described[i].name;
    port.info.name = port.name.c_str();
    port.info.dtype = static_cast<lathe_dtype>(described[i].dtype);
    if (!values[i].view.valid())
      continue;  // only fallback partitions have such ends, and no Program has these
    const PlanView& view = plan.views[static_cast<size_t>(values[i].view.index)];
    port.shape = view.shape;
    port.element_bytes = static_cast<size_t>(dtype_bits(view.dtype) / 8);
    port.info.rank = port.shape.size();
    port.info.dims = port.shape.data();
    port.info.bytes = static_cast<size_t>(element_count(port.shape)) * port.element_bytes;
  }
  return ports;
}

int checked_threads(int threads) {
  if (threads < 0 || threads > kMostThreads)
    throw bad_usage("api.threads",
                    fmt::format("{} threads; 1 to {} are possible", threads, kMostThreads));
  return threads == 0 ? usable_cpus() : threads;
}

SharedPlan::SharedPlan(PlanFile read)
    : fingerprint(read.metadata.fingerprint.empty() ? "" : host_facts().fingerprint),
      file(with_own_choices(std::move(read), fingerprint)),
      packed(std::make_shared<PackedWeights>()) {
  if (file.packing_key != packing_key({})) return;
  for (const auto& [key, array] : file.packed) packed->add(key, array);
}

std::string SharedPlan::warning(int threads) const {
  return tuning_warning(file.metadata, fingerprint, threads);
}

ReadyPlan::ReadyPlan(const SharedPlan& shared, int64_t of_batch, int threads, uint64_t most_bytes)
    : batch(of_batch) {
  NativePlan plan = plan_for_batch(shared.file, batch);
  const int64_t parts = worthwhile_parts(plan, threads);
  // Weights are there twice: as the file has them, and packed.
  const uint64_t bytes =
      static_cast<uint64_t>(batch_arena_bytes(plan, parts, threads)) + 2 * plan.constants.size();
  if (most_bytes != 0 && bytes > most_bytes)
    throw over_limit("api.memory", fmt::format("the plan needs about {} bytes, {} are allowed",
                                               bytes, most_bytes));
  inputs = ports_of(plan, plan.inputs, shared.file.metadata.inputs);
  outputs = ports_of(plan, plan.outputs, shared.file.metadata.outputs);
  ProgramOptions options;
  options.threads = threads;
  options.packed = shared.packed;
  program = std::make_unique<BatchProgram>(std::move(plan), parts, options);
}

LoadedPlan::LoadedPlan(PlanFile file, const lathe_options& options)
    : shared_(std::make_shared<SharedPlan>(std::move(file))),
      threads_(checked_threads(options.threads)),
      most_bytes_(options.max_memory_bytes) {
  const int cpus = usable_cpus();
  if (threads_ > cpus) warning_ = fmt::format("{} threads for {} CPUs", threads_, cpus);
  if (const std::string tuning = shared_->warning(threads_); !tuning.empty())
    warning_ += (warning_.empty() ? "" : "; ") + tuning;
  programs_.emplace_front(*shared_, 1, threads_, most_bytes_);
}

void LoadedPlan::set_batch(int64_t batch) {
  if (batch == this->batch()) return;
  const auto found = std::find_if(programs_.begin(), programs_.end(),
                                  [&](const ReadyPlan& ready) { return ready.batch == batch; });
  if (found != programs_.end()) {
    programs_.splice(programs_.begin(), programs_, found);
    return;
  }
  programs_.emplace_front(*shared_, batch, threads_, most_bytes_);
  if (programs_.size() > kMostReady) programs_.pop_back();
}

void LoadedPlan::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  programs_.front().program->run(inputs, outputs);
}

}  // namespace lathe

#include "api/lathe.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "api/checked_arrays.h"
#include "api/handles.h"
#include "artifact/open_plan.h"
#include "ir/error.h"

namespace {

using lathe::bad_usage;
using lathe::guarded;
using lathe::LoadedPort;

thread_local std::string load_error;

template <class Read>
lathe_status load(const lathe_options* options, lathe_plan** plan, const Read& read) noexcept {
  return guarded(load_error, [&] {
    if (plan == nullptr) throw bad_usage("api.null", "a null pointer for the handle");
    *plan = nullptr;
    *plan =
        new lathe_plan(lathe::LoadedPlan(read(), options == nullptr ? lathe_options{} : *options));
  });
}

lathe_status describe(lathe_plan* plan, const std::vector<LoadedPort>& ports, size_t index,
                      lathe_tensor_info* info) noexcept {
  return guarded(plan->error, [&] {
    if (info == nullptr) throw bad_usage("api.null", "a null pointer for the description");
    if (index >= ports.size())
      throw bad_usage("api.index", fmt::format("number {} of {}", index, ports.size()));
    *info = ports[index].info;
  });
}

}  // namespace

const char* lathe_version(void) { return LATHE_VERSION; }

lathe_status lathe_load_file(const char* path, const lathe_options* options, lathe_plan** plan) {
  return load(options, plan, [&] {
    if (path == nullptr) throw bad_usage("api.null", "a null pointer for the path");
    return lathe::open_plan_file(path);
  });
}

lathe_status lathe_load_memory(const void* data, size_t bytes, const lathe_options* options,
                               lathe_plan** plan) {
  return load(options, plan, [&] {
    if (data == nullptr) throw bad_usage("api.null", "a null pointer for the plan");
    return lathe::read_plan_file({static_cast<const std::byte*>(data), bytes});
  });
}

const char* lathe_load_error(void) { return load_error.c_str(); }

void lathe_free(lathe_plan* plan) { delete plan; }

const char* lathe_error(const lathe_plan* plan) {
  return plan == nullptr ? "a null handle" : plan->error.c_str();
}

const char* lathe_warning(const lathe_plan* plan) {
  return plan == nullptr ? "" : plan->loaded.warning().c_str();
}

const char* lathe_metadata(const lathe_plan* plan, const char* key) {
  if (plan == nullptr || key == nullptr) return "";
  const lathe::PlanMetadata& metadata = plan->loaded.metadata();
  const std::string_view name = key;
  if (name == "producer") return metadata.producer.c_str();
  if (name == "source_sha256") return metadata.source_sha256.c_str();
  if (name == "profile") return metadata.profile.c_str();
  if (name == "fingerprint") return metadata.fingerprint.c_str();
  return "";
}

int lathe_threads(const lathe_plan* plan) { return plan == nullptr ? 0 : plan->loaded.threads(); }

size_t lathe_input_count(const lathe_plan* plan) {
  return plan == nullptr ? 0 : plan->loaded.inputs().size();
}

size_t lathe_output_count(const lathe_plan* plan) {
  return plan == nullptr ? 0 : plan->loaded.outputs().size();
}

lathe_status lathe_input(lathe_plan* plan, size_t index, lathe_tensor_info* info) {
  return plan == nullptr ? LATHE_USAGE : describe(plan, plan->loaded.inputs(), index, info);
}

lathe_status lathe_output(lathe_plan* plan, size_t index, lathe_tensor_info* info) {
  return plan == nullptr ? LATHE_USAGE : describe(plan, plan->loaded.outputs(), index, info);
}

int lathe_has_free_batch(const lathe_plan* plan) {
  return plan != nullptr && plan->loaded.has_free_batch() ? 1 : 0;
}

lathe_status lathe_set_batch(lathe_plan* plan, int64_t batch) {
  if (plan == nullptr) return LATHE_USAGE;
  return guarded(plan->error, [&] { plan->loaded.set_batch(batch); });
}

int64_t lathe_batch(const lathe_plan* plan) { return plan == nullptr ? 0 : plan->loaded.batch(); }

lathe_status lathe_run(lathe_plan* plan, const void* const* inputs, const size_t* input_bytes,
                       size_t input_count, void* const* outputs, const size_t* output_bytes,
                       size_t output_count) {
  if (plan == nullptr) return LATHE_USAGE;
  return guarded(plan->error, [&] {
    check_arrays(plan->loaded.inputs(), 1, inputs, input_bytes, input_count, "input");
    check_arrays(plan->loaded.outputs(), 1, outputs, output_bytes, output_count, "output");
    plan->loaded.run({inputs, input_count}, {outputs, output_count});
  });
}

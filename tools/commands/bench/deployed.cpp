#include "commands/bench/deployed.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "commands/bench/text_parts.h"
#include "heavy/make_remote_engine.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/child_process.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/fields.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr double kMostSeconds = 120;
constexpr int kPlanDescriptor = 3;
constexpr int kRuns = 20;

// A file in memory: nothing is left behind, whatever dies.
class PlanBytes {
 public:
  explicit PlanBytes(const std::string& bytes)
      : descriptor_(::memfd_create("lathe-plan", MFD_CLOEXEC)) {
    size_t done = 0;
    while (descriptor_ >= 0 && done < bytes.size()) {
      const ssize_t count = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    if (done < bytes.size() || descriptor_ < 0)
      throw bad_environment("bench.deployed", "the plan could not be handed to lathe-runner");
  }
  ~PlanBytes() { ::close(descriptor_); }
  PlanBytes(const PlanBytes&) = delete;
  PlanBytes& operator=(const PlanBytes&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Beside the program in the build tree and after installation.
std::string runner_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lathe-runner").string();
}

std::string first_line(const std::string& text) {
  return escape_untrusted(text.substr(0, text.find('\n')), 200);
}

DeployedCost run_plan(const std::string& bytes, int threads, int64_t batch) {
  const PlanBytes plan(bytes);
  ChildCommand command;
  command.argv = {runner_path(), fmt::format("/proc/self/fd/{}", kPlanDescriptor),
                  std::to_string(threads), std::to_string(kRuns)};
  if (batch > 1) command.argv.push_back(std::to_string(batch));
  command.descriptors = {{plan.descriptor(), kPlanDescriptor}};
  command.seconds = kMostSeconds;
  const ChildResult result = run_child(command);
  if (result.timed_out) throw over_limit("bench.deployed", "lathe-runner took too long", "bench");
  if (result.exit_code != 0)
    throw bad_environment("bench.deployed",
                          result.error_output.empty()
                              ? fmt::format("lathe-runner ended with {}", result.exit_code)
                              : first_line(result.error_output));
  const json document = parse_json_strict(result.output, "lathe-runner");
  JsonReader reader(document, "lathe-runner");
  const auto number = [&](const char* key) { return reader.integer(key, -1, INT64_MAX); };
  DeployedCost cost;
  cost.load_ns = number("load_ns");
  cost.first_inference_ns = number("first_inference_ns");
  cost.load_bytes = number("load_bytes");
  cost.first_bytes = number("first_bytes");
  cost.steady_bytes = number("steady_bytes");
  cost.peak_bytes = number("peak_bytes");
  return cost;
}

}  // namespace

Deployed measure_deployed(const BenchSubject& subject, const Profile& profile, int threads) {
  Deployed deployed;
  if (subject.engine->name() != kNativeEngine) {
    deployed.reason = "measured for the native engine only";
    return deployed;
  }
  try {
    const RemoteEngine::Plan plan =
        plan_for_shapes(subject.graph(), subject.plan, profile, subject.input_shapes);
    deployed.cost = run_plan(plan.bytes, threads, plan.batch);
  } catch (const Error& error) {
    if (interrupted()) throw;
    deployed.reason = error.text().message;
  }
  return deployed;
}

void put_deployed(json& row, const Deployed& deployed) {
  std::optional<json> section;
  if (const auto& cost = deployed.cost)
    section = json{{"load_ns", cost->load_ns},
                   {"first_inference_ns", cost->first_inference_ns},
                   {"load_bytes", cost->load_bytes},
                   {"first_bytes", cost->first_bytes},
                   {"steady_bytes", cost->steady_bytes},
                   {"peak_bytes", cost->peak_bytes},
                   {"method",
                    "lathe-runner: a process that links liblathe_rt alone, inputs of "
                    "zeros"}};
  put_or_reason(row, "deployed", section, deployed.reason);
  if (!deployed.cost || deployed.cost->peak_bytes < 0) return;
  json& memory = row["memory"];
  if (memory.contains("hwm_bytes")) memory["with_libtorch_bytes"] = memory["hwm_bytes"];
  memory["hwm_bytes"] = deployed.cost->peak_bytes;
  memory["hwm_method"] = "VmHWM of lathe-runner, which links the run time alone";
  memory.erase("hwm_bytes_reason");
}

std::string deployed_text(const json& row) {
  const json& cost = field(row, "deployed");
  if (!cost.is_object()) {
    const std::string reason = text_field(row, "deployed_reason");
    const bool is_native = text_field(row, "engine") == kNativeEngine;
    return is_native && !reason.empty() ? "not measured as deployed: " + reason : std::string();
  }
  std::string text = fmt::format(
      "as deployed: load {}, first inference {}, resident {} then {}",
      cell("load_ns", duration_text)(cost), cell("first_inference_ns", duration_text)(cost),
      cell("load_bytes", bytes_cell)(cost), cell("steady_bytes", bytes_cell)(cost));
  if (number_of(at_path(row, "memory/with_libtorch_bytes")))
    text += fmt::format("; this process with LibTorch {}",
                        cell("memory/with_libtorch_bytes", bytes_cell)(row));
  return text;
}

}  // namespace lathe

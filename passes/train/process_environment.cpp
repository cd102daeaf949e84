#include "train/process_environment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int64_t kMostProcesses = 65536;

Error refused(std::string_view variable, std::string what, std::string hint) {
  return bad_usage("train.processes", std::move(what), std::string(variable), std::move(hint));
}

class Environment {
 public:
  explicit Environment(const EnvironmentVariable& variable) : variable_(variable) {}

  std::optional<std::string> text(const char* name) const {
    const char* value = variable_(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  }
  bool has(const char* name) const { return text(name).has_value(); }

  std::string required(const char* name, const char* why) const {
    const auto value = text(name);
    if (!value)
      throw refused(name, fmt::format("{} is not set", name),
                    fmt::format("{}; unset the others to train alone", why));
    return *value;
  }

  int64_t number(const char* name, const char* why, int64_t least, int64_t most) const {
    const std::string value = required(name, why);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < least ||
        number > most)
      throw refused(name, fmt::format("{} is {}", name, escape_untrusted(value)),
                    fmt::format("it must be a number from {} to {}", least, most));
    return number;
  }

 private:
  const EnvironmentVariable& variable_;
};

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

constexpr const char* kTorchWhy = "torchrun sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT";
constexpr const char* kSlurmWhy =
    "srun sets SLURM_PROCID, SLURM_NTASKS, SLURM_JOB_NODELIST and SLURM_JOB_ID";

void read_torchrun(const Environment& given, ProcessEnvironment& read) {
  read.size = given.number("WORLD_SIZE", kTorchWhy, 1, kMostProcesses);
  read.rank = given.number("RANK", kTorchWhy, 0, read.size - 1);
  if (given.has("LOCAL_RANK"))
    read.local_rank = given.number("LOCAL_RANK", kTorchWhy, 0, read.rank);
  if (read.size == 1) return;
  read.address = given.required("MASTER_ADDR", kTorchWhy);
  read.port = static_cast<uint16_t>(given.number("MASTER_PORT", kTorchWhy, 1, 65535));
  read.store_served = given.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  read.attempt = given.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
}

// Below the ports that Linux gives to clients, another one for each job and each step of a job.
uint16_t slurm_port(const Environment& given) {
  constexpr int64_t kFirst = 10000, kPorts = 20000, kStepStride = 1009;
  const int64_t job = given.number("SLURM_JOB_ID", kSlurmWhy, 0, INT64_C(1) << 40);
  const int64_t step = given.has("SLURM_STEP_ID")
                           ? given.number("SLURM_STEP_ID", kSlurmWhy, 0, INT64_C(1) << 32)
                           : 0;
  return static_cast<uint16_t>(kFirst + (job + step * kStepStride) % kPorts);
}

void read_slurm(const Environment& given, ProcessEnvironment& read) {
  read.size = given.number("SLURM_NTASKS", kSlurmWhy, 1, kMostProcesses);
  // srun may start fewer than the job has.
  if (given.has("SLURM_STEP_NUM_TASKS"))
    read.size = given.number("SLURM_STEP_NUM_TASKS", kSlurmWhy, 1, kMostProcesses);
  read.rank = given.number("SLURM_PROCID", kSlurmWhy, 0, read.size - 1);
  if (given.has("SLURM_LOCALID"))
    read.local_rank = given.number("SLURM_LOCALID", kSlurmWhy, 0, read.rank);
  if (read.size == 1) return;
  const char* list =
      given.has("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
  read.address = given.has("MASTER_ADDR") ? *given.text("MASTER_ADDR")
                                          : first_host(given.required(list, kSlurmWhy));
  read.port = given.has("MASTER_PORT")
                  ? static_cast<uint16_t>(given.number("MASTER_PORT", kSlurmWhy, 1, 65535))
                  : slurm_port(given);
}

}  // namespace

std::string first_host(std::string_view nodes) {
  std::string host;
  const auto refuse = [&] {
    return refused("SLURM_JOB_NODELIST",
                   fmt::format("{} is no list of hosts", escape_untrusted(nodes)),
                   "name the host of rank 0 in MASTER_ADDR");
  };
  for (size_t i = 0; i < nodes.size() && nodes[i] != ','; ++i) {
    if (nodes[i] != '[') {
      if (!is_host_character(nodes[i])) throw refuse();
      host += nodes[i];
      continue;
    }
    const size_t close = nodes.find(']', i);
    const size_t first = i + 1;
    const size_t end = nodes.find_first_not_of("0123456789", first);
    if (close == std::string_view::npos || end == first || end > close ||
        nodes.substr(first, close - first).find_first_not_of("0123456789-,") !=
            std::string_view::npos)
      throw refuse();
    host += nodes.substr(first, end - first);
    i = close;
  }
  if (host.empty() || host.size() > 253) throw refuse();
  return host;
}

std::optional<ProcessEnvironment> process_environment(const EnvironmentVariable& variable) {
  const Environment given(variable);
  ProcessEnvironment read;
  if (given.has("RANK") || given.has("WORLD_SIZE"))
    read_torchrun(given, read);
  else if (given.has("SLURM_PROCID"))  // not set in the shell of salloc
    read_slurm(given, read);
  if (read.size == 1) return std::nullopt;
  read.network = given.text("GLOO_SOCKET_IFNAME").value_or("");
  return read;
}

std::optional<ProcessEnvironment> process_environment() {
  return process_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace lathe

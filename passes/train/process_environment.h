// Who this process is among those that train together, as torchrun and Slurm tell it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lathe {

struct ProcessEnvironment {
  int64_t rank = 0;  // 0 … size - 1
  int64_t size = 1;
  int64_t local_rank = 0;     // among the processes of this machine
  std::string address;        // host of rank 0
  uint16_t port = 0;          // of the store where all meet
  bool store_served = false;  // by torchrun's agent; otherwise rank 0 serves it
  std::string attempt = "0";  // of torchrun, which starts all again after a failure
  std::string network;        // interface to the others ("ib0"); empty: that towards `address`
  std::chrono::milliseconds join_timeout{60'000};
  /// How long another process may be silent while it is waited for; also for a validation by rank
  /// 0.
  std::chrono::milliseconds timeout{600'000};
};

/// Value of an environment variable, nullptr without one.
using EnvironmentVariable = std::function<const char*(const char* name)>;

/// torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK, TORCHELASTIC_…),
/// else Slurm's (SLURM_PROCID, SLURM_NTASKS, SLURM_STEP_NODELIST or SLURM_JOB_NODELIST,
/// SLURM_JOB_ID, SLURM_LOCALID), where MASTER_ADDR, MASTER_PORT and GLOO_SOCKET_IFNAME may be set
/// too. None, and a size of 1: nothing, the process is alone. Throws Error (exit 2) naming the
/// variable that is missing, no number or out of its range.
std::optional<ProcessEnvironment> process_environment(const EnvironmentVariable& variable);
/// Of this process.
std::optional<ProcessEnvironment> process_environment();

/// First host of a Slurm list: "node[003-010,12],big1" is node003. Throws Error (exit 2) for what
/// is no such list.
std::string first_host(std::string_view nodes);

}  // namespace lathe

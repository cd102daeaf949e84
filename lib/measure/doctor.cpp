#include "measure/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>

#include "ir/error.h"
#include "os/proc_text.h"
#include "os/quantity.h"
#include "peaks/kernels.h"

namespace lathe {
namespace {

constexpr double kNoiseFloors = 3;
constexpr double kMuchSteal = 0.01;
constexpr double kMuchPressure = 0.1;
// All cores together give at least this share of what they give one by one.
constexpr double kGoodScaling = 0.7;

std::optional<std::string> environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// "some avg10=1.53 avg60=0.87 …"
std::optional<double> some_pressure(const std::string& text) {
  for (const std::string& word : words_of(text.substr(0, text.find('\n'))))
    if (word.starts_with("avg10=")) {
      try {
        return parse_number(word.substr(6), "pressure", 0, 100) / 100;
      } catch (const Error&) {
        return std::nullopt;
      }
    }
  return std::nullopt;
}

// "always [madvise] never"
std::optional<std::string> chosen(const std::string& text) {
  const size_t begin = text.find('[');
  const size_t end = text.find(']', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return std::nullopt;
  return text.substr(begin + 1, end - begin - 1);
}

std::optional<bool> discharging(const std::string& root) {
  std::optional<bool> out;
  for (const char* name : {"BAT0", "BAT1", "battery"})
    if (const auto status =
            small_file(fmt::format("{}/sys/class/power_supply/{}/status", root, name)))
      out = out.value_or(false) || *status == "Discharging";
  return out;
}

std::string percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

using Row = DoctorRow;

Row ok(const char* id, std::string fact) { return {id, std::move(fact), Health::kOk, {}}; }
Row unknown(const char* id, std::string fact) {
  return {id, std::move(fact), Health::kUnknown, {}};
}

Row cpu_row(const HostFacts& host) {
  return ok("cpu", fmt::format("{}, {} of {} CPUs", escape_untrusted(host.cpu_model),
                               host.cpus_usable, host.cpus_online));
}

Row threads_row(const DoctorFacts& facts) {
  const HostFacts& host = facts.host;
  Row row = ok("threads", fmt::format("{}", facts.threads));
  const int cores = host.topology.cores.value_or(host.cpus_usable);
  if (facts.threads > host.cpus_usable) {
    row.health = Health::kWarn;
    row.advice = fmt::format(
        "more than the {} usable CPUs: they wait for each other; use "
        "--threads {}",
        host.cpus_usable, host.cpus_usable);
  } else if (host.topology.smt.value_or(false) && facts.threads > cores) {
    row.health = Health::kWarn;
    row.advice = fmt::format("two of them share a core; try --threads {}", cores);
  }
  return row;
}

Row affinity_row(const HostFacts& host) {
  if (host.cpus_usable >= host.cpus_online) return ok("affinity", "all CPUs");
  return ok("affinity", fmt::format("{} of {} CPUs", host.cpus_usable, host.cpus_online));
}

Row cgroup_row(const HostFacts& host) {
  if (!host.cgroup_quota) return ok("cgroup", "no CPU quota");
  return {"cgroup", fmt::format("quota of {:.3g} CPUs", *host.cgroup_quota), Health::kWarn,
          "a group that used its quota stands still until the next period: tails are the quota's; "
          "give the container whole CPUs (cpuset) instead"};
}

Row smt_row(const HostFacts& host) {
  if (!host.topology.smt) return unknown("smt", "not known");
  if (!*host.topology.smt) return ok("smt", "one thread a core");
  return {"smt", "two threads a core", Health::kWarn,
          "what runs on the other thread halves this one's speed; pin to one thread a core "
          "(taskset) or write off to /sys/devices/system/cpu/smt/control"};
}

Row numa_row(const HostFacts& host) {
  const auto& nodes = host.topology.numa_nodes;
  if (!nodes) return unknown("numa", "not known");
  if (*nodes < 2) return ok("numa", "one node");
  return {"numa", fmt::format("{} nodes", *nodes), Health::kWarn,
          "memory may be far away: numactl --cpunodebind=0 --membind=0 lathe bench …"};
}

Row virtualization_row(const HostFacts& host) {
  if (host.virt == "none") return ok("virtualization", "none");
  return {"virtualization", host.virt, Health::kUnknown,
          "other tenants cannot be seen from inside; judge by steal and noise floor"};
}

Row governor_row(const HostFacts& host) {
  if (!host.governor) return unknown("governor", "not reported (no cpufreq here)");
  const std::string name = escape_untrusted(*host.governor, 40);
  if (name == "performance") return ok("governor", name);
  return {"governor", name, Health::kWarn,
          "the clock follows the load: cpupower frequency-set -g performance"};
}

Row turbo_row(const HostFacts& host) {
  if (!host.turbo) return unknown("turbo", "not reported");
  if (!*host.turbo) return ok("turbo", "off");
  return {"turbo", "on", Health::kWarn,
          "the clock depends on temperature and on the other cores: write 1 to "
          "/sys/devices/system/cpu/intel_pstate/no_turbo, or 0 to …/cpufreq/boost"};
}

Row battery_row(const DoctorFacts& facts) {
  if (!facts.on_battery) return ok("battery", "none");
  if (!*facts.on_battery) return ok("battery", "charging or full");
  return {"battery", "discharging", Health::kWarn, "connect the machine to mains power"};
}

Row build_row(const DoctorFacts& facts) {
  if (!facts.sanitizers.empty())
    return {"build",
            fmt::format("{}, with {}", facts.build_type, fmt::join(facts.sanitizers, ", ")),
            Health::kWarn, "times of a build with sanitizers mean nothing: use a release build"};
  if (facts.build_type == "release") return ok("build", facts.build_type);
  return {"build", facts.build_type.empty() ? "not known" : facts.build_type, Health::kWarn,
          "use a release build (-DCMAKE_BUILD_TYPE=Release)"};
}

Row aslr_row(const HostFacts& host) {
  if (!host.aslr) return unknown("aslr", "not reported");
  if (!*host.aslr) return ok("aslr", "off");
  // Worth a word, but nothing to be changed: several processes are the remedy.
  return {"aslr", "on", Health::kOk,
          "the memory layout differs between processes, and speed a little with it: --processes 5 "
          "averages over layouts"};
}

Row huge_pages_row(const DoctorFacts& facts) {
  if (!facts.huge_pages) return unknown("huge_pages", "not reported");
  const std::string setting = escape_untrusted(*facts.huge_pages, 40);
  if (setting != "never") return ok("huge_pages", setting);
  return {"huge_pages", setting, Health::kWarn,
          "large tensors pay for address translation: write madvise to "
          "/sys/kernel/mm/transparent_hugepage/enabled"};
}

Row spinning_row(const DoctorFacts& facts) {
  Row row{"spinning", "as libgomp decides", Health::kUnknown,
          "idle workers may spin and take the core from others: GOMP_SPINCOUNT=1000"};
  bool much = facts.wait_policy == "active" || facts.wait_policy == "ACTIVE";
  if (much) row.fact = "OMP_WAIT_POLICY=" + *facts.wait_policy;
  if (facts.spin_count) {
    const std::string count = escape_untrusted(*facts.spin_count, 40);
    row.fact = "GOMP_SPINCOUNT=" + count;
    // Longer ones carry a unit or are "infinite".
    much = count.empty() || count.size() > 5 ||
           count.find_first_not_of("0123456789") != std::string::npos;
  }
  if (facts.spin_count && !much) return ok("spinning", row.fact);
  if (much) row.health = Health::kWarn;
  return row;
}

Row steal_row(const DoctorFacts& facts) {
  if (!facts.steal) return unknown("steal", "not reported");
  Row row = ok("steal", percent(*facts.steal));
  if (*facts.steal <= kMuchSteal) return row;
  row.health = Health::kWarn;
  row.advice = "the hypervisor gives this machine's time to others: repeat later, or elsewhere";
  return row;
}

Row pressure_row(const DoctorFacts& facts) {
  if (!facts.psi_cpu) return unknown("pressure", "not reported (kernel without PSI)");
  Row row = ok("pressure",
               "tasks waited for a CPU during " + percent(*facts.psi_cpu) + " of the last 10 s");
  if (*facts.psi_cpu <= kMuchPressure) return row;
  row.health = Health::kWarn;
  row.advice = "other processes want the same CPUs: end them, or leave CPUs to them (taskset)";
  return row;
}

Row compute_row(const DoctorFacts& facts) {
  if (!facts.peaks) return unknown("compute", "not measured");
  Row row = ok("compute", {});
  for (const char* dtype : {"float32", "bfloat16", "int8"}) {
    const ComputePeak* peak = best_peak(*facts.peaks, dtype);
    if (peak == nullptr) continue;
    row.fact += fmt::format("{}{} {:.0f} GOP/s a core, {:.0f} on {} ({})",
                            row.fact.empty() ? "" : "; ", dtype, peak->one_core_gops,
                            peak->all_cores_gops, facts.peaks->threads, peak->instruction);
    if (peak->all_cores_gops < kGoodScaling * facts.peaks->threads * peak->one_core_gops) {
      row.health = Health::kWarn;
      row.advice =
          "the cores do not add up: they are shared with others, or the clock falls when "
          "all work";
    }
  }
  return row;
}

Row memory_row(const DoctorFacts& facts) {
  if (!facts.peaks) return unknown("memory", "not measured");
  std::string text;
  for (const BandwidthPeak& peak : facts.peaks->bandwidth)
    text += fmt::format("{}{} {:.3g}", text.empty() ? "" : ", ", peak.level, peak.all_cores_read);
  return ok("memory", text + " GB/s read by all cores");
}

Row noise_row(const DoctorFacts& facts, double tolerance) {
  const auto resolvable = resolvable_change(facts);
  if (!resolvable)
    return {"noise_floor", "could not be measured", Health::kUnknown, "repeat when less runs"};
  Row row =
      ok("noise_floor", fmt::format("±{} in comparisons: changes from {} on are told",
                                    percent(*resolvable / kNoiseFloors), percent(*resolvable)));
  if (can_resolve(facts, tolerance)) return row;
  row.health = Health::kWarn;
  row.advice = fmt::format(
      "this machine cannot resolve {}: quieten it (see above) or ask for "
      "--tolerance {:.2g}%",
      percent(tolerance), 110 * *resolvable);
  return row;
}

}  // namespace

DoctorFacts doctor_facts(const std::string& root) {
  DoctorFacts facts;
  facts.host = host_facts(root);
  facts.psi_cpu = some_pressure(small_file(root + "/proc/pressure/cpu").value_or(""));
  facts.huge_pages =
      chosen(small_file(root + "/sys/kernel/mm/transparent_hugepage/enabled").value_or(""));
  facts.spin_count = environment("GOMP_SPINCOUNT");
  facts.wait_policy = environment("OMP_WAIT_POLICY");
  facts.on_battery = discharging(root);
  return facts;
}

Comparison compare_with_itself(double tolerance, int64_t max_ns, const Conduct& conduct) {
  constexpr int64_t kKernelNs = 300'000;
  const auto kernel = compute_kernels().front().run;
  int64_t steps = 1024;
  for (int64_t ns = 0; ns < kKernelNs && steps < (int64_t{1} << 40); steps *= 2) {
    const int64_t start = conduct.clock();
    kernel(steps);
    ns = conduct.clock() - start;
  }
  const Runnable run = [kernel, steps](size_t) { kernel(steps / 2); };
  ComparisonOptions options;
  options.tolerance = tolerance;
  options.max_ns = max_ns;
  options.warm_up.min_ns = 100'000'000;
  options.warm_up.max_ns = max_ns / 4;
  return compare_runs(run, run, options, conduct);
}

std::string_view health_name(Health health) {
  static constexpr std::string_view kNames[] = {"ok", "warn", "unknown"};
  return kNames[static_cast<size_t>(health)];
}

std::vector<DoctorRow> diagnose(const DoctorFacts& facts, double tolerance) {
  const HostFacts& host = facts.host;
  return {
      cpu_row(host),         threads_row(facts),  affinity_row(host),         cgroup_row(host),
      smt_row(host),         numa_row(host),      virtualization_row(host),   governor_row(host),
      turbo_row(host),       battery_row(facts),  build_row(facts),           aslr_row(host),
      huge_pages_row(facts), spinning_row(facts), steal_row(facts),           pressure_row(facts),
      compute_row(facts),    memory_row(facts),   noise_row(facts, tolerance)};
}

std::optional<double> resolvable_change(const DoctorFacts& facts) {
  if (!facts.self || !facts.self->noise_floor) return std::nullopt;
  return kNoiseFloors * *facts.self->noise_floor;
}

bool can_resolve(const DoctorFacts& facts, double tolerance) {
  const auto resolvable = resolvable_change(facts);
  return resolvable && tolerance > 0 && *resolvable <= tolerance;
}

}  // namespace lathe

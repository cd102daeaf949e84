#include "os/host.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "os/proc_text.h"
#include "os/sha256.h"

namespace lathe {
namespace {

std::optional<int64_t> integer_of(std::string_view text) {
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

std::string unquoted(std::string text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    return text.substr(1, text.size() - 2);
  return text;
}

std::string os_name(const std::string& root) {
  const std::string release = small_file(root + "/etc/os-release").value_or("");
  const std::string key = "PRETTY_NAME=";
  const size_t at = release.starts_with(key) ? 0 : release.find("\n" + key);
  if (at == std::string::npos) return "Linux";
  const size_t begin = release.find('=', at) + 1;
  return unquoted(release.substr(begin, release.find('\n', begin) - begin));
}

std::string cpu_model(const std::string& cpuinfo, const HostFacts& host) {
  for (const char* name : {"model name", "Model", "Hardware", "uarch", "cpu model"})
    if (const auto field = text_field(cpuinfo, name)) return *field;
  std::string cores;
  for (const CpuCluster& cluster : host.topology.clusters)
    if (!cluster.model.empty())
      cores +=
          fmt::format("{}{}x {}", cores.empty() ? "" : ", ", cluster.cpus.size(), cluster.model);
  return cores.empty() ? host.arch : cores;
}

// What this process may use, where /proc/cpuinfo does not tell (or is another machine's: in an
// emulator).
std::vector<std::string> own_isa_flags() {
  std::vector<std::string> flags;
#if defined(__aarch64__)
  const auto add = [&](unsigned long bits, unsigned long bit, const char* name) {
    if ((bits & bit) != 0) flags.emplace_back(name);
  };
  const unsigned long first = ::getauxval(AT_HWCAP);
  const unsigned long second = ::getauxval(AT_HWCAP2);
  add(first, HWCAP_ASIMD, "asimd");
  add(first, HWCAP_ASIMDDP, "asimddp");
  add(first, HWCAP_ASIMDHP, "asimdhp");
  add(second, HWCAP2_BF16, "bf16");
  add(first, HWCAP_FPHP, "fphp");
  add(second, HWCAP2_I8MM, "i8mm");
  add(first, HWCAP_SVE, "sve");
  add(second, HWCAP2_SVE2, "sve2");
  add(second, HWCAP2_SVEI8MM, "svei8mm");
#endif
  return flags;
}

std::vector<std::string> isa_flags(const std::string& cpuinfo) {
  auto field = text_field(cpuinfo, "flags");            // x86
  if (!field) field = text_field(cpuinfo, "Features");  // ARM
  std::vector<std::string> out;
  const std::vector<std::string>& known = known_isa_flags();
  for (std::string& word : words_of(field.value_or("")))
    if (std::find(known.begin(), known.end(), word) != known.end()) out.push_back(std::move(word));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string virtualization(const std::string& root, const std::string& cpuinfo) {
  if (small_file(root + "/.dockerenv") || small_file(root + "/run/.containerenv"))
    return "container";
  const auto words = words_of(text_field(cpuinfo, "flags").value_or(""));
  return std::find(words.begin(), words.end(), "hypervisor") != words.end() ? "vm" : "none";
}

int affinity_cpus() {
  // The kernel refuses a mask shorter than its own; no machine has more than 2^16 CPUs.
  for (size_t count = 1024; count <= 65536; count *= 2) {
    std::vector<cpu_set_t> mask(count / CPU_SETSIZE);
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (::sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
  }
  return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

const std::vector<std::string>& known_isa_flags() {
  static const std::vector<std::string> flags{
      "amx_bf16", "amx_int8",    "amx_tile",    "asimd",       "asimddp",  "asimdhp",  "avx",
      "avx2",     "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx512bw", "avx512dq", "avx512f",
      "avx512vl", "avx_vnni",    "bf16",        "f16c",        "fma",      "fphp",     "i8mm",
      "sse4_1",   "sse4_2",      "ssse3",       "sve",         "sve2",     "svei8mm"};
  return flags;
}

HostFacts host_facts(const std::string& root) {
  HostFacts host;
  struct utsname names {};
  ::uname(&names);
  host.os = os_name(root);
  host.kernel = names.release;
  host.arch = names.machine;
  const std::string cpuinfo = small_file(root + "/proc/cpuinfo").value_or("");
  host.topology = cpu_topology(root);
  host.cpu_model = cpu_model(cpuinfo, host);
  host.isa = isa_flags(cpuinfo);
  if (root.empty() && (host.isa.empty() || host.arch == "aarch64"))
    if (std::vector<std::string> own = own_isa_flags(); !own.empty()) host.isa = std::move(own);
  host.cpus_online = static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  host.cpus_usable = usable_cpus();
  host.cgroup_quota = cgroup_cpu_quota(root);
  host.mem_bytes = kib_field(small_file(root + "/proc/meminfo").value_or(""), "MemTotal");
  if (const auto limit = cgroup_memory_limit(root))
    host.mem_bytes = std::min(*limit, host.mem_bytes.value_or(*limit));
  host.virt = virtualization(root, cpuinfo);
  host.governor = small_file(root + "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  if (const auto no_turbo = small_file(root + "/sys/devices/system/cpu/intel_pstate/no_turbo"))
    host.turbo = *no_turbo == "0";
  else if (const auto boost = small_file(root + "/sys/devices/system/cpu/cpufreq/boost"))
    host.turbo = *boost == "1";
  if (const auto aslr = small_file(root + "/proc/sys/kernel/randomize_va_space"))
    host.aslr = *aslr != "0";
  std::string identity = host.arch + "\n" + host.cpu_model;
  for (const std::string& flag : host.isa) identity += "\n" + flag;
  identity += fmt::format("\n{}\n{}", host.cpus_usable, host.mem_bytes.value_or(0) >> 30);
  host.fingerprint = sha256_hex(identity).substr(0, 16);
  return host;
}

int usable_cpus() {
  const int allowed = std::max(1, affinity_cpus());
  const std::optional<double> quota = cgroup_cpu_quota();
  if (!quota) return allowed;
  return std::clamp(static_cast<int>(std::ceil(std::min(*quota, 65536.0))), 1, allowed);
}

bool host_has_int8(const HostFacts& host, std::string_view instruction) {
  const auto has = [&](std::string_view flag) {
    return std::find(host.isa.begin(), host.isa.end(), flag) != host.isa.end();
  };
  if (instruction == "none") return true;
  if (instruction == "maddubs") return has("avx2");
  if (instruction == "vnni") return has("avx512_vnni") || has("avx_vnni");
  if (instruction == "amx") return has("amx_int8");
  if (instruction == "sdot") return has("asimddp");
  if (instruction == "smmla") return has("i8mm");
  return false;
}

bool reset_peak_resident() {
  std::FILE* file = std::fopen("/proc/self/clear_refs", "w");
  if (!file) return false;
  const bool written = std::fputs("5", file) >= 0;
  return std::fclose(file) == 0 && written;
}

Reading peak_resident_bytes() {
  const auto value = kib_field(small_file("/proc/self/status").value_or(""), "VmHWM");
  return {value, value ? "" : "the kernel does not report VmHWM"};
}

Reading resident_bytes() {
  const auto value = kib_field(small_file("/proc/self/status").value_or(""), "VmRSS");
  return {value, value ? "" : "the kernel does not report VmRSS"};
}

std::optional<CpuTicks> cpu_ticks(const std::string& root) {
  const auto text = small_file(root + "/proc/stat");
  if (!text) return std::nullopt;
  const auto words = words_of(text->substr(0, text->find('\n')));
  // cpu user nice system idle iowait irq softirq steal (guest and guest_nice are in user and nice)
  if (words.size() < 9 || words[0] != "cpu") return std::nullopt;
  CpuTicks ticks;
  for (size_t i = 1; i <= 8; ++i) ticks.total += integer_of(words[i]).value_or(0);
  ticks.steal = integer_of(words[8]).value_or(0);
  return ticks;
}

std::optional<double> steal_share(const CpuTicks& before, const CpuTicks& after) {
  if (after.total <= before.total) return std::nullopt;
  const double share = static_cast<double>(after.steal - before.steal) /
                       static_cast<double>(after.total - before.total);
  return std::clamp(share, 0.0, 1.0);
}

}  // namespace lathe

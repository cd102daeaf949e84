#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "os/arm_cores.h"
#include "os/host.h"
#include "os/proc_text.h"

namespace lathe {
namespace {

constexpr int kMostIndices = 4096;

// "48K", "1024K", "32M".
int64_t cache_bytes(const std::string& text) {
  int64_t size = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (problem != std::errc{} || size < 0 || size > (int64_t{1} << 40)) return 0;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  return unit == "K" ? size << 10 : unit == "M" ? size << 20 : size;
}

std::optional<int64_t> number_in(const std::string& path) {
  const auto text = small_file(path);
  int64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc{})
    return std::nullopt;
  return number;
}

// /proc/cpuinfo has a paragraph for each CPU that is online.
std::string paragraph_of(const std::string& cpuinfo, int cpu) {
  for (size_t begin = 0; begin < cpuinfo.size();) {
    const size_t end = std::min(cpuinfo.find("\n\n", begin), cpuinfo.size());
    std::string paragraph = cpuinfo.substr(begin, end - begin);
    if (text_field(paragraph, "processor") == std::to_string(cpu)) return paragraph;
    begin = end + 2;
  }
  return {};
}

std::vector<CpuCluster> cpu_clusters(const std::string& root, int cpus) {
  const std::string cpuinfo = small_file(root + "/proc/cpuinfo").value_or("");
  const bool names_parts = cpuinfo.find("CPU part") != std::string::npos;
  std::vector<CpuCluster> clusters;
  for (int cpu = 0; cpu < cpus; ++cpu) {
    const std::string own = names_parts ? paragraph_of(cpuinfo, cpu) : "";
    const std::string folder = fmt::format("{}/sys/devices/system/cpu/cpu{}/", root, cpu);
    CpuCluster found;
    found.model = arm_core_name(text_field(own, "CPU implementer").value_or(""),
                                text_field(own, "CPU part").value_or(""));
    found.max_hz = number_in(folder + "cpufreq/cpuinfo_max_freq");
    if (found.max_hz) *found.max_hz *= 1000;
    found.capacity = number_in(folder + "cpu_capacity");
    if (found.model.empty() && !found.max_hz && !found.capacity) continue;
    auto same = std::find_if(clusters.begin(), clusters.end(), [&](const CpuCluster& other) {
      return other.model == found.model && other.max_hz == found.max_hz &&
             other.capacity == found.capacity;
    });
    if (same == clusters.end()) same = clusters.insert(same, std::move(found));
    same->cpus.push_back(cpu);
  }
  std::stable_sort(clusters.begin(), clusters.end(), [](const CpuCluster& a, const CpuCluster& b) {
    return std::pair(a.capacity, a.max_hz) > std::pair(b.capacity, b.max_hz);
  });
  return clusters;
}

}  // namespace

CpuTopology cpu_topology(const std::string& root) {
  CpuTopology topology;
  const std::string cpus = root + "/sys/devices/system/cpu/cpu";
  std::set<std::string> sockets;
  std::set<std::string> cores;
  int threads = 0;
  for (int cpu = 0; cpu < kMostIndices; ++cpu) {
    const std::string directory = fmt::format("{}{}/topology/", cpus, cpu);
    const auto socket = small_file(directory + "physical_package_id");
    const auto core = small_file(directory + "core_id");
    if (!socket || !core) break;
    sockets.insert(*socket);
    cores.insert(*socket + ":" + *core);
    ++threads;
  }
  if (threads > 0) {
    topology.sockets = static_cast<int>(sockets.size());
    topology.cores = static_cast<int>(cores.size());
    topology.smt = threads > static_cast<int>(cores.size());
  }
  topology.clusters = cpu_clusters(root, threads);
  for (int index = 0; index < 16; ++index) {
    const std::string directory = fmt::format("{}0/cache/index{}/", cpus, index);
    const auto level = small_file(directory + "level");
    if (!level) break;
    CacheFacts cache;
    std::from_chars(level->data(), level->data() + level->size(), cache.level);
    cache.type = small_file(directory + "type").value_or("");
    cache.bytes = cache_bytes(small_file(directory + "size").value_or(""));
    topology.caches.push_back(std::move(cache));
  }
  int nodes = 0;
  while (nodes < kMostIndices &&
         small_file(fmt::format("{}/sys/devices/system/node/node{}/cpulist", root, nodes)))
    ++nodes;
  if (nodes > 0) topology.numa_nodes = nodes;
  return topology;
}

}  // namespace lathe

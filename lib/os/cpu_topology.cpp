#include <fmt/format.h>

#include <charconv>
#include <set>

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

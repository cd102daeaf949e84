#include "os/host_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "ir/error.h"
#include "os/proc_text.h"

namespace lathe {
namespace {

constexpr size_t kMostEntries = 256;  // of a list

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return text;
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<CacheFacts> cache_of(const std::string& value) {
  const std::vector<std::string> words = words_of(value);
  if (words.size() != 3) return std::nullopt;
  const auto level = number_of<int>(words[0]);
  const auto bytes = number_of<int64_t>(words[2]);
  if (!level || !bytes) return std::nullopt;
  return CacheFacts{*level, words[1], *bytes};
}

// "0,1 2400000000 1024 Cortex-A76", "-" for what is not known.
std::optional<CpuCluster> cluster_of(const std::string& value) {
  const std::vector<std::string> words = words_of(value);
  if (words.size() < 3 || words.size() > 4) return std::nullopt;
  CpuCluster cluster;
  std::string_view cpus = words[0];
  while (!cpus.empty() && cluster.cpus.size() < 4096) {
    const size_t comma = std::min(cpus.find(','), cpus.size());
    const auto cpu = number_of<int>(cpus.substr(0, comma));
    if (!cpu) return std::nullopt;
    cluster.cpus.push_back(*cpu);
    cpus.remove_prefix(std::min(comma + 1, cpus.size()));
  }
  cluster.max_hz = number_of<int64_t>(words[1]);
  cluster.capacity = number_of<int64_t>(words[2]);
  if (words.size() == 4) cluster.model = words[3];
  return cluster;
}

}  // namespace

std::string host_lines(const HostFacts& host) {
  std::string lines;
  const auto add = [&](std::string_view name, const auto& value) {
    lines += fmt::format("{}\t{}\n", name, one_line(fmt::format("{}", value)));
  };
  const auto add_known = [&](std::string_view name, const auto& value) {
    if (value) add(name, *value);
  };
  add("os", host.os);
  add("kernel", host.kernel);
  add("arch", host.arch);
  add("cpu_model", host.cpu_model);
  for (const std::string& flag : host.isa) add("isa", flag);
  add("cpus_online", host.cpus_online);
  add("cpus_usable", host.cpus_usable);
  add_known("mem_bytes", host.mem_bytes);
  add("virt", host.virt);
  add_known("governor", host.governor);
  add_known("sockets", host.topology.sockets);
  add_known("cores", host.topology.cores);
  for (const CacheFacts& cache : host.topology.caches)
    add("cache", fmt::format("{} {} {}", cache.level, cache.type, cache.bytes));
  for (const CpuCluster& cluster : host.topology.clusters) {
    const auto text = [](const std::optional<int64_t>& value) {
      return value ? std::to_string(*value) : "-";
    };
    add("cluster", fmt::format("{} {} {} {}", fmt::join(cluster.cpus, ","), text(cluster.max_hz),
                               text(cluster.capacity), cluster.model));
  }
  add("fingerprint", host.fingerprint);
  return lines;
}

void read_host_line(std::string_view line, HostFacts& host) {
  const size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return;
  const std::string_view name = line.substr(0, tab);
  const std::string value = escape_untrusted(line.substr(tab + 1), 200);
  const auto number = [&](auto& to) {
    if (const auto read = number_of<std::decay_t<decltype(to)>>(value)) to = *read;
  };
  const auto known = [&](auto& to) {
    to = number_of<typename std::decay_t<decltype(to)>::value_type>(value);
  };
  const auto entry = [](auto& list, const auto& read) {
    if (read && list.size() < kMostEntries) list.push_back(*read);
  };
  if (name == "os") host.os = value;
  if (name == "kernel") host.kernel = value;
  if (name == "arch") host.arch = value;
  if (name == "cpu_model") host.cpu_model = value;
  if (name == "isa") entry(host.isa, std::optional(value));
  if (name == "cpus_online") number(host.cpus_online);
  if (name == "cpus_usable") number(host.cpus_usable);
  if (name == "mem_bytes") known(host.mem_bytes);
  if (name == "virt") host.virt = value;
  if (name == "governor") host.governor = value;
  if (name == "sockets") known(host.topology.sockets);
  if (name == "cores") known(host.topology.cores);
  if (name == "cache") entry(host.topology.caches, cache_of(value));
  if (name == "cluster") entry(host.topology.clusters, cluster_of(value));
  if (name == "fingerprint") host.fingerprint = value;
}

}  // namespace lathe

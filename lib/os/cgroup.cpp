// Limits that control groups set, version 2 (one tree) and version 1 (one tree per controller).
#include <algorithm>
#include <charconv>
#include <functional>
#include <sstream>

#include "os/host.h"
#include "os/proc_text.h"

namespace lathe {
namespace {

// What a group's directory says.
using Read = std::function<std::optional<double>(const std::string& directory)>;

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || !(value >= 0))
    return std::nullopt;
  return value;
}

// Whether "cpu,cpuacct" names the controller; version 2's list is empty.
bool lists(std::string_view controllers, std::string_view controller) {
  if (controller.empty()) return controllers.empty();
  while (!controllers.empty()) {
    const size_t end = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, end) == controller) return true;
    controllers.remove_prefix(std::min(end + 1, controllers.size()));
  }
  return false;
}

// The group's path in a tree: controller "" is version 2's ("0::/user.slice/x").
std::optional<std::string> group_path(const std::string& root, const std::string& controller) {
  std::istringstream lines(small_file(root + "/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view whole = line;
    const std::string_view controllers = whole.substr(first + 1, second - first - 1);
    if (lists(controllers, controller)) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The smallest value that `read(directory)` gives for a group and its parents. Inside a container
// the path may name groups that are not mounted; then the tree's top is what applies.
std::optional<double> smallest(const std::string& tree, std::string path, const Read& read) {
  std::optional<double> least;
  for (;;) {
    if (path == "/") path.clear();
    if (const auto value = read(tree + path)) least = std::min(*value, least.value_or(*value));
    if (path.empty()) return least;
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

std::optional<double> least_limit(const std::string& root, const std::string& controller,
                                  const Read& v2, const Read& v1) {
  std::optional<double> least;
  if (const auto path = group_path(root, "")) least = smallest(root + "/sys/fs/cgroup", *path, v2);
  if (const auto path = group_path(root, controller))
    if (const auto value = smallest(root + "/sys/fs/cgroup/" + controller, *path, v1))
      least = std::min(*value, least.value_or(*value));
  return least;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  const auto share = [](std::optional<double> quota,
                        std::optional<double> period) -> std::optional<double> {
    if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
    return *quota / *period;
  };
  return least_limit(
      root, "cpu",
      [&](const std::string& directory) -> std::optional<double> {
        const auto words = words_of(small_file(directory + "/cpu.max").value_or(""));
        if (words.size() != 2) return std::nullopt;
        return share(number_of(words[0]), number_of(words[1]));  // "max" is no number
      },
      [&](const std::string& directory) {
        return share(number_of(small_file(directory + "/cpu.cfs_quota_us").value_or("")),
                     number_of(small_file(directory + "/cpu.cfs_period_us").value_or("")));
      });
}

std::optional<int64_t> cgroup_memory_limit(const std::string& root) {
  const auto limit = least_limit(
      root, "memory",
      [](const std::string& directory) {
        return number_of(small_file(directory + "/memory.max").value_or(""));
      },
      [](const std::string& directory) {
        return number_of(small_file(directory + "/memory.limit_in_bytes").value_or(""));
      });
  // Version 1 writes "no limit" as a number near 2^63.
  if (!limit || *limit >= 4611686018427387904.0) return std::nullopt;
  return static_cast<int64_t>(*limit);
}

}  // namespace lathe

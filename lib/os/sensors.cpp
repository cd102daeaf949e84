#include "os/sensors.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

namespace lathe {
namespace {

struct FileText {
  SensorState state = SensorState::kAbsent;
  std::string text;
};

SensorState state_of(int problem) {
  if (problem == EACCES || problem == EPERM) return SensorState::kForbidden;
  if (problem == ENOENT || problem == ENOTDIR || problem == ENODEV || problem == ENXIO)
    return SensorState::kAbsent;
  return SensorState::kUnreadable;
}

FileText read_text(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return {state_of(errno), {}};
  char buffer[4096];
  const ssize_t length = read(descriptor, buffer, sizeof(buffer));
  const int problem = errno;
  close(descriptor);
  if (length < 0) return {state_of(problem), {}};
  std::string text(buffer, static_cast<size_t>(length));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return {SensorState::kRead, std::move(text)};
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

// Where the kernel would tell it.
std::string_view file_of(std::string_view what) {
  constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
      {"temperature", "/sys/class/thermal/thermal_zone*/temp"},
      {"energy", "/sys/class/powercap/intel-rapl:*/energy_uj"}};
  for (const auto& [name, file] : kFiles)
    if (name == what) return file;
  return {};
}

SensorValue no_value(SensorState state, std::string_view what) {
  std::string reason;
  if (state == SensorState::kAbsent) {
    reason = fmt::format("this machine tells no {}", what);
    if (const std::string_view file = file_of(what); !file.empty())
      reason += fmt::format(": there is no {}", file);
  }
  if (state == SensorState::kForbidden)
    reason = fmt::format("{} may not be read by this user", what);
  if (state == SensorState::kUnreadable) reason = fmt::format("{} gave no number", what);
  return {state, std::nullopt, std::move(reason)};
}

SensorValue number_in(const std::string& path, std::string_view what) {
  const FileText file = read_text(path);
  if (file.state != SensorState::kRead) return no_value(file.state, what);
  const auto number = whole_number(file.text);
  if (!number) return no_value(SensorState::kUnreadable, what);
  return {SensorState::kRead, static_cast<double>(*number), {}};
}

struct Listing {
  SensorState state = SensorState::kAbsent;
  std::vector<std::string> names;
};

// Entries that start with `prefix` and go on with a digit, sorted.
Listing numbered(const std::string& folder, std::string_view prefix) {
  DIR* directory = opendir(folder.c_str());
  if (directory == nullptr) return {state_of(errno), {}};
  Listing out{SensorState::kRead, {}};
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name.size() > prefix.size() && name.starts_with(prefix) && name[prefix.size()] >= '0' &&
        name[prefix.size()] <= '9')
      out.names.emplace_back(name);
  }
  closedir(directory);
  std::sort(out.names.begin(), out.names.end());
  return out;
}

// Of several sensors that say different things: a value beats all, then what the user can change.
SensorState more_telling(SensorState a, SensorState b) {
  const auto rank = [](SensorState state) {
    if (state == SensorState::kRead) return 3;
    if (state == SensorState::kForbidden) return 2;
    return state == SensorState::kUnreadable ? 1 : 0;
  };
  return rank(a) >= rank(b) ? a : b;
}

bool is_processor_zone(std::string_view type) {
  for (const std::string_view word : {"x86_pkg", "cpu", "CPU", "soc", "coretemp", "k10temp"})
    if (type.find(word) != std::string_view::npos) return true;
  return false;
}

struct Hottest {
  SensorState state = SensorState::kAbsent;
  std::optional<double> celsius;
  bool is_processor = false;
  std::string source;

  void add(const SensorValue& reading, const std::string& type) {
    state = more_telling(state, reading.state);
    if (!reading.value) return;
    const double value = *reading.value / 1000;
    const bool processor = is_processor_zone(type);
    if (celsius && (is_processor > processor || (is_processor == processor && *celsius >= value)))
      return;
    celsius = value;
    is_processor = processor;
    source = type;
  }
};

void read_temperature(const std::string& root, SensorSnapshot& out) {
  constexpr std::string_view kWhat = "temperature";
  Hottest hottest;
  const std::string thermal = root + "/sys/class/thermal";
  const Listing zones = numbered(thermal, "thermal_zone");
  if (zones.state != SensorState::kRead) hottest.state = zones.state;
  for (const std::string& zone : zones.names)
    hottest.add(number_in(thermal + "/" + zone + "/temp", kWhat),
                read_text(thermal + "/" + zone + "/type").text);
  if (!hottest.celsius) {
    const std::string hwmon = root + "/sys/class/hwmon";
    const Listing chips = numbered(hwmon, "hwmon");
    hottest.state = more_telling(
        hottest.state, chips.state == SensorState::kRead ? SensorState::kAbsent : chips.state);
    for (const std::string& chip : chips.names)
      hottest.add(number_in(hwmon + "/" + chip + "/temp1_input", kWhat),
                  read_text(hwmon + "/" + chip + "/name").text);
  }
  if (hottest.celsius)
    out.temperature_c = {SensorState::kRead, hottest.celsius, {}};
  else
    out.temperature_c = no_value(hottest.state, kWhat);
  out.temperature_source = hottest.source;
}

// Sum and number of one file of all processors.
struct CpuSum {
  SensorValue sum;
  int count = 0;
};

CpuSum cpu_sum(const std::string& root, const std::string& file, std::string_view what) {
  const std::string folder = root + "/sys/devices/system/cpu";
  SensorState state = SensorState::kAbsent;
  CpuSum out;
  double sum = 0;
  const Listing cpus = numbered(folder, "cpu");
  if (cpus.state != SensorState::kRead) state = cpus.state;
  for (const std::string& cpu : cpus.names) {
    const SensorValue value = number_in(folder + "/" + cpu + "/" + file, what);
    state = more_telling(state, value.state);
    if (!value.value) continue;
    sum += *value.value;
    ++out.count;
  }
  out.sum = out.count > 0 ? SensorValue{SensorState::kRead, sum, {}} : no_value(state, what);
  return out;
}

void read_energy(const std::string& root, SensorSnapshot& out) {
  constexpr std::string_view kWhat = "energy";
  const std::string folder = root + "/sys/class/powercap";
  SensorState state = SensorState::kAbsent;
  const Listing zones = numbered(folder, "intel-rapl:");
  if (zones.state != SensorState::kRead) state = zones.state;
  for (const std::string& zone : zones.names) {
    // "intel-rapl:0:1" is a part of "intel-rapl:0"; the whole platform would count twice.
    if (std::count(zone.begin(), zone.end(), ':') != 1) continue;
    const std::string path = folder + "/" + zone;
    const std::string name = read_text(path + "/name").text;
    if (!name.starts_with("package")) continue;
    const FileText file = read_text(path + "/energy_uj");
    const auto value = whole_number(file.text);
    const bool usable = file.state == SensorState::kRead && value && *value >= 0;
    state = more_telling(
        state, usable || file.state != SensorState::kRead ? file.state : SensorState::kUnreadable);
    if (usable)
      out.energy.push_back(
          {name, *value,
           std::max<int64_t>(
               0, whole_number(read_text(path + "/max_energy_range_uj").text).value_or(0))});
  }
  if (!out.energy.empty())
    out.energy_state = {SensorState::kRead, std::nullopt, {}};
  else
    out.energy_state = no_value(state, kWhat);
  if (state == SensorState::kForbidden && out.energy.empty())
    out.energy_state.reason += " (Linux lets root alone read it)";
}

SensorValue read_pressure(const std::string& root) {
  constexpr std::string_view kWhat = "processor pressure";
  const FileText file = read_text(root + "/proc/pressure/cpu");
  if (file.state != SensorState::kRead) return no_value(file.state, kWhat);
  const std::string line = file.text.substr(0, file.text.find('\n'));
  const size_t at = line.find("total=");
  const auto total =
      at == std::string::npos ? std::nullopt : whole_number(std::string_view(line).substr(at + 6));
  if (!total) return no_value(SensorState::kUnreadable, kWhat);
  return {SensorState::kRead, static_cast<double>(*total), {}};
}

int64_t nanoseconds(const timeval& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_usec} * 1000;
}

}  // namespace

std::string_view sensor_state_name(SensorState state) {
  switch (state) {
    case SensorState::kRead: return "read";
    case SensorState::kAbsent: return "absent";
    case SensorState::kForbidden: return "forbidden";
    case SensorState::kUnreadable: return "unreadable";
  }
  return "absent";
}

SensorSnapshot read_sensors(const std::string& root) {
  SensorSnapshot out;
  read_temperature(root, out);
  CpuSum frequency = cpu_sum(root, "cpufreq/scaling_cur_freq", "frequency");
  if (frequency.sum.value) *frequency.sum.value *= 1000.0 / frequency.count;
  out.frequency_hz = std::move(frequency.sum);
  out.throttles = cpu_sum(root, "thermal_throttle/core_throttle_count", "throttling").sum;
  out.pressure_us = read_pressure(root);
  read_energy(root, out);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  out.user_ns = nanoseconds(usage.ru_utime);
  out.system_ns = nanoseconds(usage.ru_stime);
  out.voluntary_switches = usage.ru_nvcsw;
  out.involuntary_switches = usage.ru_nivcsw;
  out.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                    std::chrono::steady_clock::now().time_since_epoch())
                    .count();
  return out;
}

}  // namespace lathe

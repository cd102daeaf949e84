#include "os/sensors.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "scratch_directory.h"

namespace lathe {
namespace {

void write_machine(const ScratchDirectory& root) {
  root.write("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  root.write("sys/class/thermal/thermal_zone0/temp", "90000\n");
  root.write("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
  root.write("sys/class/thermal/thermal_zone1/temp", "61500\n");
  root.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2000000\n");
  root.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3000000\n");
  root.write("sys/devices/system/cpu/cpufreq/boost", "1\n");
  root.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0\n");
  root.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
  root.write("sys/class/powercap/intel-rapl:0/energy_uj", "9000000\n");
  root.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "10000000\n");
  root.write("sys/class/powercap/intel-rapl:0:0/name", "core\n");
  root.write("sys/class/powercap/intel-rapl:0:0/energy_uj", "77\n");
  root.write("sys/class/powercap/intel-rapl:1/name", "psys\n");
  root.write("sys/class/powercap/intel-rapl:1/energy_uj", "123456\n");
  root.write("proc/pressure/cpu", "some avg10=1.0 avg60=0 avg300=0 total=5000\nfull total=0\n");
}

TEST_CASE("sensors of a machine that has them all") {
  const ScratchDirectory root;
  write_machine(root);
  const SensorSnapshot now = read_sensors(root.path());
  CHECK(*now.temperature_c.value == 61.5);
  CHECK(now.temperature_source == "x86_pkg_temp");
  CHECK(*now.frequency_hz.value == 2.5e9);
  CHECK(now.throttles.state == SensorState::kRead);
  CHECK(*now.throttles.value == 0);
  CHECK(now.throttles.reason.empty());
  CHECK(*now.pressure_us.value == 5000);
  REQUIRE(now.energy.size() == 1);
  CHECK(now.energy[0].domain == "package-0");
  CHECK(now.energy[0].microjoules == 9'000'000);
  CHECK(now.energy_state.state == SensorState::kRead);
  CHECK(now.user_ns + now.system_ns > 0);
  CHECK(now.time_ns > 0);
}

TEST_CASE("a machine without sensors says so of each") {
  const ScratchDirectory root;
  const SensorSnapshot now = read_sensors(root.path());
  for (const SensorValue* value : {&now.temperature_c, &now.frequency_hz, &now.throttles,
                                   &now.pressure_us, &now.energy_state}) {
    CHECK(value->state == SensorState::kAbsent);
    CHECK_FALSE(value->value);
    CHECK(value->reason.starts_with("this machine tells no "));
  }
}

TEST_CASE("text where a number belongs is unreadable, not zero") {
  const ScratchDirectory root;
  write_machine(root);
  root.write("sys/class/thermal/thermal_zone0/temp", "");
  root.write("sys/class/thermal/thermal_zone1/temp", "hot");
  root.write("sys/class/powercap/intel-rapl:0/energy_uj", "12abc");
  root.write("proc/pressure/cpu", "some");
  const SensorSnapshot now = read_sensors(root.path());
  CHECK(now.temperature_c.state == SensorState::kUnreadable);
  CHECK(now.energy_state.state == SensorState::kUnreadable);
  CHECK(now.energy.empty());
  CHECK(now.pressure_us.state == SensorState::kUnreadable);
  CHECK_FALSE(now.temperature_c.value);
}

// Root reads everything; another user does not.
class AsNobody {
 public:
  AsNobody() : was_root_(geteuid() == 0) {
    if (was_root_) REQUIRE(seteuid(65534) == 0);
  }
  ~AsNobody() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }

 private:
  bool was_root_;
};

TEST_CASE("a sensor that only root may read is forbidden, not absent and not zero") {
  const ScratchDirectory root;
  write_machine(root);
  chmod(root.path().c_str(), 0755);
  chmod((root.path() + "/sys/class/powercap/intel-rapl:0/energy_uj").c_str(), 0);
  for (const char* zone : {"0", "1"})
    chmod((root.path() + "/sys/class/thermal/thermal_zone" + zone + "/temp").c_str(), 0);
  SensorSnapshot now;
  {
    const AsNobody nobody;
    now = read_sensors(root.path());
  }
  CHECK(now.energy_state.state == SensorState::kForbidden);
  CHECK(now.energy_state.reason.find("root") != std::string::npos);
  CHECK(now.energy.empty());
  CHECK(now.temperature_c.state == SensorState::kForbidden);
  CHECK(now.temperature_c.reason == "temperature may not be read by this user");
  CHECK(now.frequency_hz.state == SensorState::kRead);
  const SensorUse use = sensor_use(std::vector{now, now});
  CHECK(use.joules.state == SensorState::kForbidden);
  CHECK_FALSE(use.joules.value);
}

TEST_CASE("a run's use is the difference, and a counter that wrapped goes on") {
  const ScratchDirectory root;
  write_machine(root);
  SensorSnapshot before = read_sensors(root.path());
  before.time_ns = 0;
  before.user_ns = before.system_ns = 0;
  before.voluntary_switches = before.involuntary_switches = 5;
  root.write("sys/class/powercap/intel-rapl:0/energy_uj", "9500000\n");
  root.write("sys/class/thermal/thermal_zone1/temp", "80000\n");
  root.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1000000\n");
  SensorSnapshot middle = read_sensors(root.path());
  root.write("sys/class/powercap/intel-rapl:0/energy_uj", "500000\n");
  root.write("sys/class/thermal/thermal_zone1/temp", "70000\n");
  root.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3\n");
  root.write("proc/pressure/cpu", "some avg10=1.0 avg60=0 avg300=0 total=505000\n");
  SensorSnapshot after = read_sensors(root.path());
  after.time_ns = 1'000'000'000;
  after.user_ns = 1'500'000'000;
  after.system_ns = 300'000'000;
  after.voluntary_switches = 7;
  after.involuntary_switches = 15;
  const SensorUse use = sensor_use(std::vector{before, middle, after});
  CHECK(use.duration_ns == 1'000'000'000);
  CHECK(*use.cpus_used == doctest::Approx(1.8));
  CHECK(use.voluntary_switches == 2);
  CHECK(use.involuntary_switches == 10);
  CHECK(*use.start_c.value == 61.5);
  CHECK(*use.max_c.value == 80);
  CHECK(*use.min_hz.value == 2.0e9);
  CHECK(*use.mean_hz.value == doctest::Approx((2.5e9 + 2.0e9 + 2.0e9) / 3));
  CHECK(*use.throttles.value == 3);
  CHECK(*use.pressure.value == doctest::Approx(0.5));
  CHECK(*use.joules.value == doctest::Approx(1.5));
  CHECK(use.joules.reason.empty());
  CHECK(use.energy_domain == "package-0");
}

TEST_CASE(
    "a counter that stands still is a zero that says so; one that fell without range is not") {
  const ScratchDirectory root;
  write_machine(root);
  const SensorSnapshot before = read_sensors(root.path());
  const SensorUse still = sensor_use(std::vector{before, before});
  CHECK(*still.joules.value == 0);
  CHECK(still.joules.state == SensorState::kRead);
  CHECK(still.joules.reason.find("stood still") != std::string::npos);
  CHECK_FALSE(still.cpus_used);
  SensorSnapshot after = before;
  after.energy[0].microjoules = 1;
  after.energy[0].range = 0;
  CHECK(sensor_use(std::vector{before, after}).joules.state == SensorState::kUnreadable);
  after.energy.clear();
  CHECK_FALSE(sensor_use(std::vector{before, after}).joules.value);
  CHECK_FALSE(sensor_use(std::vector{before}).joules.value);
  CHECK_FALSE(sensor_use({}).max_c.reason.empty());
}

TEST_CASE("this machine's sensors are read or say why not") {
  const SensorSnapshot before = read_sensors();
  volatile double work = 0;
  for (int i = 0; i < 5'000'000; ++i) work = work + i;
  const SensorUse use = sensor_use(std::vector{before, read_sensors()});
  CHECK(use.duration_ns > 0);
  CHECK(use.user_ns + use.system_ns >= 0);
  for (const SensorValue* value : {&use.start_c, &use.max_c, &use.min_hz, &use.mean_hz,
                                   &use.throttles, &use.pressure, &use.joules})
    CHECK((value->value.has_value() || !value->reason.empty()));
}

}  // namespace
}  // namespace lathe

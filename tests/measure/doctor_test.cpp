#include "measure/doctor.h"

#include <doctest/doctest.h>

#include <cmath>

#include "scratch_directory.h"
#include "simulated_machine.h"
#include "tracing/allocation_use.h"

namespace lathe {
namespace {

// A machine without faults.
DoctorFacts healthy() {
  DoctorFacts facts;
  facts.host.cpu_model = "Test CPU";
  facts.host.cpus_online = 4;
  facts.host.cpus_usable = 4;
  facts.host.virt = "none";
  facts.host.governor = "performance";
  facts.host.turbo = false;
  facts.host.aslr = false;
  facts.host.topology.cores = 4;
  facts.host.topology.smt = false;
  facts.host.topology.numa_nodes = 1;
  facts.threads = 4;
  facts.build_type = "release";
  facts.steal = 0.0;
  facts.psi_cpu = 0.01;
  facts.huge_pages = "madvise";
  facts.spin_count = "1000";
  facts.self = Comparison{};
  facts.self->noise_floor = 0.002;
  facts.peaks = MeasuredPeaks{};
  facts.peaks->threads = 4;
  facts.peaks->compute = {{"float32", "fma", 100, 390}, {"int8", "dot", 400, 1500}};
  facts.peaks->bandwidth = {{"DRAM", 1 << 27, 10, 20, 9, 18}};
  return facts;
}

DoctorRow row_of(const DoctorFacts& facts, const std::string& id, double tolerance = 0.02) {
  for (const DoctorRow& row : diagnose(facts, tolerance))
    if (row.id == id) return row;
  FAIL("no row " << id);
  return {};
}

TEST_CASE("a healthy machine has no warning, an unknown one no verdict but on its build") {
  for (const DoctorRow& row : diagnose(healthy(), 0.02)) {
    CAPTURE(row.id);
    CHECK(row.health == Health::kOk);
    CHECK_FALSE(row.fact.empty());
  }
  const DoctorFacts unknown;
  const auto rows = diagnose(unknown, 0.02);
  CHECK(rows.size() == diagnose(healthy(), 0.02).size());
  for (const char* id : {"smt", "numa", "governor", "turbo", "aslr", "huge_pages", "steal",
                         "pressure", "compute", "memory", "noise_floor"}) {
    CAPTURE(id);
    CHECK(row_of(unknown, id).health == Health::kUnknown);
  }
  CHECK_FALSE(can_resolve(unknown, 1));
}

TEST_CASE("each fault is found alone and comes with advice") {
  const auto check = [](const char* id, const auto& spoil) {
    CAPTURE(id);
    DoctorFacts facts = healthy();
    spoil(facts);
    size_t warnings = 0;
    for (const DoctorRow& row : diagnose(facts, 0.02)) warnings += row.health == Health::kWarn;
    CHECK(warnings == 1);
    const DoctorRow row = row_of(facts, id);
    CHECK(row.health == Health::kWarn);
    CHECK_FALSE(row.advice.empty());
  };
  check("threads", [](DoctorFacts& facts) { facts.threads = 5; });
  check("cgroup", [](DoctorFacts& facts) { facts.host.cgroup_quota = 1.5; });
  check("smt", [](DoctorFacts& facts) { facts.host.topology.smt = true; });
  check("numa", [](DoctorFacts& facts) { facts.host.topology.numa_nodes = 2; });
  check("governor", [](DoctorFacts& facts) { facts.host.governor = "powersave"; });
  check("turbo", [](DoctorFacts& facts) { facts.host.turbo = true; });
  check("battery", [](DoctorFacts& facts) { facts.on_battery = true; });
  check("build", [](DoctorFacts& facts) { facts.build_type = "debug"; });
  check("build", [](DoctorFacts& facts) { facts.sanitizers = {"address"}; });
  check("huge_pages", [](DoctorFacts& facts) { facts.huge_pages = "never"; });
  check("spinning", [](DoctorFacts& facts) { facts.spin_count = "3000000"; });
  check("spinning", [](DoctorFacts& facts) { facts.spin_count = "infinite"; });
  check("spinning", [](DoctorFacts& facts) {
    facts.spin_count.reset();
    facts.wait_policy = "active";
  });
  check("steal", [](DoctorFacts& facts) { facts.steal = 0.05; });
  check("pressure", [](DoctorFacts& facts) { facts.psi_cpu = 0.6; });
  check("compute", [](DoctorFacts& facts) { facts.peaks->compute[0].all_cores_gops = 150; });
  check("noise_floor", [](DoctorFacts& facts) { facts.self->noise_floor = 0.01; });
}

TEST_CASE("the machine resolves three of its noise floors") {
  const DoctorFacts facts = healthy();
  CHECK(*resolvable_change(facts) == doctest::Approx(0.006));
  CHECK(can_resolve(facts, 0.02));
  CHECK_FALSE(can_resolve(facts, 0.005));
  CHECK(row_of(facts, "noise_floor", 0.005).health == Health::kWarn);
}

TEST_CASE("facts are read from proc and sys") {
  const ScratchDirectory root;
  DoctorFacts facts = doctor_facts(root.path());
  CHECK_FALSE(facts.psi_cpu);
  CHECK_FALSE(facts.huge_pages);
  CHECK_FALSE(facts.on_battery);
  root.write(
      "proc/pressure/cpu",
      "some avg10=12.50 avg60=3.00 avg300=1.00 total=1\nfull avg10=0.00 avg60=0.00 total=0\n");
  root.write("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  root.write("sys/class/power_supply/BAT1/status", "Discharging\n");
  root.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  facts = doctor_facts(root.path());
  CHECK(*facts.psi_cpu == doctest::Approx(0.125));
  CHECK(facts.huge_pages == "never");
  CHECK(facts.on_battery == true);
  CHECK(facts.host.governor == "powersave");
  root.write("proc/pressure/cpu", "some avg10=lots\n");
  root.write("sys/kernel/mm/transparent_hugepage/enabled", "what");
  facts = doctor_facts(root.path());
  CHECK_FALSE(facts.psi_cpu);
  CHECK_FALSE(facts.huge_pages);
}

TEST_CASE("a comparison with itself ends in time and finds no difference beyond its interval") {
  const Comparison self = compare_with_itself(0.5, 300'000'000);
  CHECK(self.pairs > 0);
  CHECK(self.time_ns < 60'000'000'000);
  if (self.interval) CHECK(self.interval->low <= self.interval->high);
  const Conduct stopped{.interrupted = [] { return true; }};
  CHECK_FALSE(compare_with_itself(0.5, 300'000'000, stopped).noise_floor);
}

TEST_CASE("allocations of LibTorch are counted while they are watched") {
  const AllocationUse none = allocation_use([] {});
  CHECK(none.peak_bytes == 0);
  CHECK(none.allocations == 0);
  CHECK_THROWS_AS(allocation_use([] { throw std::runtime_error("x"); }), std::runtime_error);
}

}  // namespace
}  // namespace lathe

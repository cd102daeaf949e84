#include "os/host.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "os/limits.h"
#include "os/proc_text.h"
#include "os/progress.h"
#include "os/terminal.h"
#include "scratch_directory.h"
#include "status_of_fork.h"

namespace lathe {
namespace {

TEST_CASE("host facts of an x86 machine in a version 2 cgroup") {
  const ScratchDirectory root;
  root.write("proc/cpuinfo",
             "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Test\nflags\t\t: fpu hypervisor avx2 "
             "avx512f avx512_vnni amx_int8 fma\n\nprocessor\t: 1\nmodel name\t: other\n");
  root.write("proc/meminfo", "MemTotal:       8000000 kB\nMemFree: 1 kB\n");
  root.write("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian 12\"\n");
  root.write("proc/self/cgroup", "0::/a/b\n");
  root.write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  root.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/a/memory.max", "max\n");
  root.write("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  root.write("proc/stat", "cpu  10 0 20 60 0 0 0 10 0 0\ncpu0 1 2 3\n");
  for (const std::string cpu : {"cpu0", "cpu1"}) {
    root.write("sys/devices/system/cpu/" + cpu + "/topology/physical_package_id", "0\n");
    root.write("sys/devices/system/cpu/" + cpu + "/topology/core_id", "3\n");
  }
  root.write("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
  root.write("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
  root.write("sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n");
  root.write("sys/devices/system/node/node0/cpulist", "0-1\n");
  root.write("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
  root.write("proc/sys/kernel/randomize_va_space", "2\n");
  const HostFacts host = host_facts(root.path());
  CHECK(host.topology.sockets == 1);
  CHECK(host.topology.cores == 1);
  CHECK(host.topology.smt == true);
  REQUIRE(host.topology.caches.size() == 1);
  CHECK(host.topology.caches[0].bytes == 49152);
  CHECK(host.topology.numa_nodes == 1);
  CHECK(host.turbo == false);
  CHECK(host.aslr == true);
  CHECK(host.cpu_model == "Intel(R) Xeon(R) Test");
  CHECK(host.isa == std::vector<std::string>{"amx_int8", "avx2", "avx512_vnni", "avx512f", "fma"});
  CHECK(host.os == "Debian 12");
  CHECK(host.virt == "vm");
  CHECK(host.mem_bytes == 1073741824);
  CHECK(host.cgroup_quota == 1.5);
  CHECK(!host.governor);
  CHECK(host.fingerprint.size() == 16);
  CHECK(host.fingerprint == host_facts(root.path()).fingerprint);
  CHECK(host_has_int8(host, "amx"));
  CHECK(host_has_int8(host, "vnni"));
  CHECK(host_has_int8(host, "maddubs"));
  CHECK(!host_has_int8(host, "sdot"));
  CHECK(!host_has_int8(host, "cmsis-nn"));
  const CpuTicks before{0, 0};
  const auto after = cpu_ticks(root.path());
  REQUIRE(after);
  CHECK(after->total == 100);
  CHECK(steal_share(before, *after) == 0.1);
  CHECK(!steal_share(*after, *after));
}

TEST_CASE("host facts of an ARM machine in a version 1 cgroup") {
  const ScratchDirectory root;
  root.write("proc/cpuinfo",
             "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nModel\t: Raspberry Pi 5\n");
  root.write("proc/self/cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write(".dockerenv", "");
  const HostFacts host = host_facts(root.path());
  CHECK(host.cpu_model == "Raspberry Pi 5");
  CHECK(host.cgroup_quota == 0.5);  // the named group is not mounted: the top of the tree applies
  CHECK(!host.mem_bytes);
  CHECK(host.virt == "container");
  CHECK(host_has_int8(host, "sdot"));
  CHECK(host_has_int8(host, "smmla"));
  CHECK(!host_has_int8(host, "maddubs"));
}

TEST_CASE("clusters of a phone, the fastest first") {
  const ScratchDirectory root;
  std::string cpuinfo;
  for (int cpu = 0; cpu < 4; ++cpu) {
    const bool is_big = cpu == 1 || cpu == 3;
    cpuinfo += "processor\t: " + std::to_string(cpu) + "\nFeatures\t: asimd asimddp\n" +
               "CPU implementer\t: 0x41\nCPU part\t: " + (is_big ? "0xd0b" : "0xd05") + "\n\n";
    const std::string folder = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/";
    root.write(folder + "topology/physical_package_id", "0\n");
    root.write(folder + "topology/core_id", std::to_string(cpu) + "\n");
    root.write(folder + "cpu_capacity", is_big ? "1024\n" : "400\n");
    if (is_big) root.write(folder + "cpufreq/cpuinfo_max_freq", "2400000\n");
  }
  root.write("proc/cpuinfo", cpuinfo);
  const HostFacts host = host_facts(root.path());
  const std::vector<CpuCluster>& clusters = host.topology.clusters;
  REQUIRE(clusters.size() == 2);
  CHECK(clusters[0].model == "Cortex-A76");
  CHECK(clusters[0].cpus == std::vector<int>{1, 3});
  CHECK(clusters[0].max_hz == 2'400'000'000);
  CHECK(clusters[1].model == "Cortex-A55");
  CHECK(clusters[1].capacity == 400);
  CHECK(!clusters[1].max_hz);
  CHECK(host.cpu_model == "2x Cortex-A76, 2x Cortex-A55");
}

TEST_CASE("an unlimited or nonsensical cgroup grants everything") {
  const ScratchDirectory root;
  CHECK(!cgroup_cpu_quota(root.path()));
  root.write("proc/self/cgroup", "0::/\nrubbish\n::\n");
  for (const char* text : {"max 100000", "-1 100000", "100000 0", "x y", "", "nan 1"}) {
    root.write("sys/fs/cgroup/cpu.max", text);
    CHECK_MESSAGE(!cgroup_cpu_quota(root.path()), text);
  }
}

TEST_CASE("usable_cpus follows the affinity mask") {
  CHECK(usable_cpus() >= 1);
  cpu_set_t before;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_cpus() == 1);
  ::sched_setaffinity(0, sizeof before, &before);
}

TEST_CASE("resident memory is read, with a reason when it is not") {
  const Reading now = resident_bytes();
  REQUIRE((now.value.has_value() || !now.reason.empty()));
  if (!now.value) return;
  const bool reset = reset_peak_resident();
  {
    std::vector<char> block(64 << 20);
    std::memset(block.data(), 1, block.size());
  }
  const Reading peak = peak_resident_bytes();
  REQUIRE(peak.value);
  CHECK(*peak.value >= int64_t{64} << 20);
#ifdef __SANITIZE_ADDRESS__
  MESSAGE("not checked under AddressSanitizer, which keeps freed memory: the peak after a reset");
#else
  if (reset) {
    reset_peak_resident();
    CHECK(*peak_resident_bytes().value < *peak.value);
  }
#endif
}

TEST_CASE("the memory limit turns allocations into errors, not into signals") {
#ifdef __SANITIZE_ADDRESS__
  MESSAGE("not checked under AddressSanitizer, which aborts instead of throwing: the limit itself");
#else
  const int verdict = status_of_fork([] {
    apply_memory_limit(private_memory_bytes().value_or(0) + (int64_t{64} << 20));
    try {
      std::vector<char> block(size_t{256} << 20, 'x');
      ::_exit(11);
    } catch (const std::bad_alloc&) {
      const Error error = memory_error("m.onnx");
      ::_exit(error.code() == ExitCode::kLimit && memory_limit() ? 0 : 12);
    }
  });
  CHECK(verdict == 0);
#endif
  try {
    apply_memory_limit(4096);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kLimit);
    CHECK(!e.text().hint.empty());
  }
  CHECK(!memory_limit());
}

TEST_CASE("text fields") {
  CHECK(text_field("a: 1\nab : two words \n", "ab") == "two words");
  CHECK(!text_field("a: 1", "b"));
  CHECK(kib_field("VmHWM:\t  12 kB", "VmHWM") == 12288);
  CHECK(!kib_field("VmHWM: x kB", "VmHWM"));
  CHECK(!kib_field("VmHWM: 99999999999999999 kB", "VmHWM"));
  CHECK(words_of("  a\tb \n") == std::vector<std::string>{"a", "b"});
  CHECK(!small_file("/no/such/file"));
}

TEST_CASE("colour follows flag, NO_COLOR, CLICOLOR_FORCE, CLICOLOR and the terminal") {
  TerminalFacts facts;
  CHECK(!use_color(ColorChoice::kAuto, facts));
  CHECK(use_color(ColorChoice::kAlways, facts));
  facts.clicolor_force = "1";
  CHECK(use_color(ColorChoice::kAuto, facts));
  facts.no_color = "1";
  CHECK(!use_color(ColorChoice::kAuto, facts));
  CHECK(use_color(ColorChoice::kAlways, facts));
  facts = {
      .is_terminal = true, .no_color = "", .clicolor_force = {}, .clicolor = {}, .term = "xterm"};
  CHECK(use_color(ColorChoice::kAuto, facts));
  CHECK(!use_color(ColorChoice::kNever, facts));
  facts.clicolor = "0";
  CHECK(!use_color(ColorChoice::kAuto, facts));
  facts.clicolor = {};
  facts.term = "dumb";
  CHECK(!use_color(ColorChoice::kAuto, facts));
  CHECK(!can_redraw(facts));
  CHECK(painted("x", Color::kRed, true) == "\x1b[31mx\x1b[0m");
  CHECK(painted("x", Color::kRed, false) == "x");
}

struct Recorder {
  std::string text;
  int writes = 0;
  Progress::Clock::time_point now{};
  Progress progress;
  explicit Recorder(ProgressMode mode)
      : progress(
            mode, [this](std::string_view s) { text += s, ++writes; }, [this] { return now; }) {}
};

TEST_CASE("progress redraws at most 4 times a second and erases its line") {
  Recorder r(ProgressMode::kTerminal);
  r.progress.start("calibrating", 100, "samples");
  for (int i = 1; i <= 50; ++i) {
    r.now += std::chrono::milliseconds(50);
    r.progress.update(i);
  }
  CHECK(r.writes == 10);
  CHECK(r.text.find("calibrating 50/100 samples 50%, 2.5 s left") != std::string::npos);
  CHECK(r.text.find('\n') == std::string::npos);
  r.progress.pause();
  const std::string before = r.text;
  CHECK(before.ends_with("\r\x1b[K"));
  r.now += std::chrono::seconds(5);
  r.progress.update(51);
  CHECK(r.text == before);
  r.progress.resume();
  r.progress.update(52, "loss \x1b[31m0.4");
  CHECK(r.text.find("loss \\x1b[31m0.4") != std::string::npos);
  r.progress.finish();
  CHECK(r.text.ends_with("\r\x1b[K"));
}

TEST_CASE("progress in a log is a line each 10 seconds; quiet is quiet") {
  Recorder plain(ProgressMode::kPlain);
  plain.progress.start("training", 0, "steps");
  for (int i = 1; i <= 25; ++i) {
    plain.now += std::chrono::seconds(1);
    plain.progress.update(i);
  }
  CHECK(plain.text == "training 10 steps, 10 s\ntraining 20 steps, 20 s\n");
  Recorder quiet(ProgressMode::kQuiet);
  quiet.progress.start("x", 10);
  quiet.now += std::chrono::seconds(100);
  quiet.progress.update(5);
  quiet.progress.finish();
  CHECK(quiet.writes == 0);
}

}  // namespace
}  // namespace lathe

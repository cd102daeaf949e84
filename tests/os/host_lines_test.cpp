#include "os/host_lines.h"

#include <doctest/doctest.h>

#include <string>

namespace lathe {
namespace {

HostFacts read(std::string lines) {
  HostFacts host;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    read_host_line(lines.substr(0, end), host);
    lines.erase(0, end + 1);
  }
  return host;
}

}  // namespace

TEST_CASE("what a host tells in lines is read again") {
  HostFacts host;
  host.os = "Debian";
  host.kernel = "6.1";
  host.arch = "aarch64";
  host.cpu_model = "2x Cortex-A76";
  host.isa = {"asimd", "asimddp"};
  host.cpus_online = 4;
  host.cpus_usable = 3;
  host.mem_bytes = int64_t{8} << 30;
  host.virt = "none";
  host.governor = "ondemand";
  host.topology.sockets = 1;
  host.topology.cores = 4;
  host.topology.caches = {{1, "Data", 65536}, {2, "Unified", 524288}};
  host.topology.clusters = {{"Cortex-A76", {2, 3}, 2'400'000'000, 1024}, {"", {0, 1}, {}, 400}};
  host.fingerprint = "0123";
  const std::string lines = host_lines(host);
  const HostFacts same = read(lines);
  CHECK(host_lines(same) == lines);
  CHECK(same.topology.clusters.size() == 2);
  CHECK(same.topology.clusters[1].cpus == std::vector<int>{0, 1});
  CHECK(!same.topology.clusters[1].max_hz);
  CHECK(same.mem_bytes == int64_t{8} << 30);
}

TEST_CASE("lines of a stranger do no harm") {
  const HostFacts host = read(
      "what\nos\tevil\x1b[31m\ncpus_usable\t-3\ncpus_usable\tmany\nmem_bytes\t\ncache\t1 Data\n"
      "cache\ta b c\ncluster\t0,x 1 1\ncluster\t\ncluster\t0,1 - -\n\tvalue\n");
  CHECK(host.os.find('\x1b') == std::string::npos);
  CHECK(host.cpus_usable == 1);
  CHECK(!host.mem_bytes);
  CHECK(host.topology.caches.empty());
  REQUIRE(host.topology.clusters.size() == 1);
  CHECK(host.topology.clusters[0].cpus == std::vector<int>{0, 1});
}

TEST_CASE("a value's own line breaks do not become lines") {
  HostFacts host;
  host.os = "one\narch\tother";
  host.arch = "aarch64";
  CHECK(read(host_lines(host)).arch == "aarch64");
}

}  // namespace lathe

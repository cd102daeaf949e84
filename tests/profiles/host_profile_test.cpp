#include "profiles/host_profile.h"

#include <doctest/doctest.h>

namespace lathe {
namespace {

HostFacts host_with(std::vector<std::string> isa, int64_t memory) {
  HostFacts host;
  host.arch = "x86_64";
  host.isa = std::move(isa);
  host.mem_bytes = memory;
  return host;
}

constexpr int64_t kGiB = int64_t{1} << 30;

TEST_CASE("a host is the profile that comes nearest to it, and no other") {
  const HostFacts vnni = host_with({"avx2", "fma", "avx512f", "avx512_vnni"}, 16 * kGiB);
  CHECK(nearest_profile(vnni).name == "x86-64-vnni");
  CHECK(why_not_host(load_profile("x86-64-vnni"), vnni).empty());
  CHECK(why_not_host(load_profile("openvino"), vnni) ==
        "this host computes with lathe's engine, openvino with openvino");
  CHECK(why_not_host(load_profile("x86-64"), vnni) ==
        "of the shipped profiles x86-64-vnni is nearer to this host than x86-64");
  CHECK(why_not_host(load_profile("x86-64-amx"), vnni) ==
        "this host lacks instructions of x86-64-amx");
  CHECK(why_not_host(load_profile("esp32"), vnni) == "this host is x86_64, esp32 is xtensa");
  CHECK(why_not_host(load_profile("server-gpu"), vnni) ==
        "this host computes on its CPU, server-gpu with tensorrt");
}

TEST_CASE("of two kinds with the same instructions memory decides") {
  const HostFacts small = host_with({"avx2", "fma"}, 8 * kGiB);
  CHECK(why_not_host(load_profile("x86_64_low_power"), small).empty());
  CHECK_FALSE(why_not_host(load_profile("x86-64"), small).empty());
  CHECK(why_not_host(load_profile("x86-64"), host_with({"avx2", "fma"}, 16 * kGiB)).empty());
}

TEST_CASE("an own profile that says more of the host is the host") {
  Profile own = load_profile("x86-64-vnni");
  own.name = "mine";
  own.cpu.isa.emplace_back("bmi2");
  const HostFacts host = host_with({"avx2", "fma", "avx512f", "avx512_vnni", "bmi2"}, 2 * kGiB);
  CHECK(why_not_host(own, host).empty());
  own.cpu.isa.emplace_back("amx_tile");
  CHECK_FALSE(why_not_host(own, host).empty());
}

}  // namespace
}  // namespace lathe

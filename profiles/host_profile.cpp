#include "profiles/host_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr const char* kInt8Instructions[] = {"amx", "vnni", "maddubs", "smmla", "sdot", "none"};

// More is better.
int int8_rank(const std::string& name) {
  const auto* const at =
      std::find(std::begin(kInt8Instructions), std::end(kInt8Instructions), name);
  return static_cast<int>(std::end(kInt8Instructions) - at);
}

bool fits(const Profile& profile, const HostFacts& host) {
  const auto has = [&](const std::string& flag) {
    return std::find(host.isa.begin(), host.isa.end(), flag) != host.isa.end();
  };
  return profile.cpu.arch == host.arch && is_measured_by_lathe(profile) &&
         host_has_int8(host, profile.cpu.int8) &&
         std::all_of(profile.cpu.isa.begin(), profile.cpu.isa.end(), has);
}

// 0 for equal memories.
double memory_distance(const Profile& profile, const HostFacts& host) {
  if (!profile.memory.ram_bytes || !host.mem_bytes || *host.mem_bytes <= 0) return 0;
  return std::fabs(std::log(static_cast<double>(*profile.memory.ram_bytes) /
                            static_cast<double>(*host.mem_bytes)));
}

auto nearness(const Profile& profile, const HostFacts& host) {
  return std::tuple(int8_rank(profile.cpu.int8), profile.cpu.isa.size(),
                    -memory_distance(profile, host));
}

std::optional<Profile> nearest_shipped(const HostFacts& host) {
  std::optional<Profile> best;
  for (const std::string& name : profile_names())
    if (Profile profile = load_profile(name);
        fits(profile, host) && (!best || nearness(profile, host) > nearness(*best, host)))
      best = std::move(profile);
  return best;
}

}  // namespace

std::string int8_instruction(const HostFacts& host) {
  for (const char* name : kInt8Instructions)
    if (host_has_int8(host, name)) return name;
  return "none";
}

Profile nearest_profile(const HostFacts& host) {
  if (std::optional<Profile> best = nearest_shipped(host)) return *std::move(best);
  throw bad_environment(
      "profile.host",
      "no shipped profile fits this processor (" + escape_untrusted(host.arch, 40) + ")",
      "profiles detect", "write one by hand: lathe profiles show x86-64");
}

std::string why_not_host(const Profile& profile, const HostFacts& host) {
  const std::string name = escape_untrusted(profile.name, 60);
  if (profile.cpu.arch != host.arch)
    return fmt::format("this host is {}, {} is {}", escape_untrusted(host.arch, 40), name,
                       escape_untrusted(profile.cpu.arch, 40));
  if (!computes_on_cpu(profile))
    return fmt::format("this host computes on its CPU, {} with {}", name,
                       escape_untrusted(profile.runtime.name, 40));
  if (!is_measured_by_lathe(profile))
    return fmt::format("this host computes with lathe's engine, {} with {}", name,
                       escape_untrusted(profile.runtime.name, 40));
  if (!fits(profile, host)) return fmt::format("this host lacks instructions of {}", name);
  const std::optional<Profile> nearest = nearest_shipped(host);
  if (!nearest || nearness(*nearest, host) <= nearness(profile, host)) return {};
  if (nearest->name == profile.name)
    return fmt::format("this profile is called {} but describes another machine than it does",
                       name);
  return fmt::format("of the shipped profiles {} is nearer to this host than {}", nearest->name,
                     name);
}

}  // namespace lathe

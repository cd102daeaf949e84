// Which profile this host is.
#pragma once

#include <string>

#include "os/host.h"
#include "profiles/profile.h"

namespace lathe {

/// The best int8 instruction of a host, as profiles name it: amx, vnni, maddubs, smmla, sdot, none.
std::string int8_instruction(const HostFacts& host);

/// Of the shipped profiles the one that comes nearest to the host: same architecture, inference on
/// its CPU, an int8 instruction that the host has and all its instruction sets; of those the best
/// int8, then the most instruction sets, then the memory that is least different. Throws Error
/// (exit 6) when there is none.
Profile nearest_profile(const HostFacts& host);

/// Why what is timed on this host says nothing of the profile's device, as a sentence that begins
/// with what the host is; empty when the host is that kind of device: no shipped profile comes
/// nearer to it.
std::string why_not_host(const Profile& profile, const HostFacts& host);

}  // namespace lathe

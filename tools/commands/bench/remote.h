// A case that another machine runs (--remote): its times are that machine's, and what this process
// tells of itself is left out.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/bench/request.h"
#include "commands/bench/subject.h"
#include "statistics/clock.h"

namespace lathe {

inline constexpr const char* kNotOfTheRemote = "of this process, which only asks the other machine";

/// Throws Error (exit 2) for what is not measured over --remote.
void refuse_remote(const BenchOptions& options, const BenchRequest& request);

/// Takes memory and times of loading from the machine that ran the subject, where another did.
void take_remote_facts(BenchSubject& subject);

/// The clock of the machine that computes for both: of executions alone; now_ns where it is this.
Clock clock_of(const BenchSubject& candidate, const BenchSubject* against);

/// Adds "remote" to a case's row: the host's identity, temperature, what its run time warned of.
void put_remote(nlohmann::json& row, const BenchSubject& subject, const std::string& remote);

/// "on pi@raspi: Cortex-A72, 4 CPUs, aarch64, Linux 6.1.0, governor ondemand, 48 °C"; empty where
/// this machine computed.
std::string remote_text(const nlohmann::json& row);

}  // namespace lathe

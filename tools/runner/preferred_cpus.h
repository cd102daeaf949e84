// The CPUs that a plan's profile prefers, for all threads of this process.
#pragma once

struct lathe_plan;

/// Where the plan asks for the fastest CPUs: all threads that there are, and those that they start
/// later, run on as many of these as the plan has threads. Elsewhere nothing changes.
void use_preferred_cpus(const lathe_plan* plan);

// What a camera application would get from the measured network under the power modes of the
// device profile and the policies of frames left out (load/frame_policy.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "commands/bench/load_plan.h"
#include "load/frame_policy.h"
#include "profiles/profile.h"

namespace lathe {

/// One power mode under one policy.
struct FrameRow {
  std::string power_mode;  // "none" where the profile has none
  FrameChoice choice = FrameChoice::kEvery;
  size_t skip = 0;
  size_t batch = 1;  // that was simulated: the measured one where the mode asks for as many
  FrameReport report;
  /// What the simulation cannot tell: the mode asks for a batch or for threads that were not
  /// measured. Empty: nothing.
  std::string note;
};

struct BenchFrames {
  FramePlan plan;
  std::string device;     // the profile's name
  std::string elsewhere;  // why the latencies are not the device's; empty: they are
  std::vector<FrameRow> rows;  // modes by name, each under every, drop-late, latest-only
};

/// How the latencies were measured.
struct MeasuredSetting {
  size_t batch = 1;    // frames of an execution
  int threads = 1;     // of an execution
  size_t workers = 1;  // that shared --threads
  int cores = 1;
};

/// A minute of the camera (at least 300 frames) on `service_ns`, latencies of one execution; a
/// simulation: one worker, latencies drawn at random. A batch waits for the profile's queue delay.
/// The same input gives the same rows everywhere.
BenchFrames simulate_camera(std::span<const double> service_ns, const FramePlan& plan,
                            const Profile& profile, const MeasuredSetting& measured, uint64_t seed);

/// The rows of cases[].frames, each marked as simulated.
nlohmann::json frames_json(const BenchFrames& frames);

}  // namespace lathe

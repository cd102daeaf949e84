// What one `lathe bench` was asked for, read from the flags before any model is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "commands/bench/load_plan.h"
#include "comparison/comparison_merge.h"
#include "gates/gate.h"
#include "options.h"

namespace lathe {

/// One model at one setting.
struct BenchCase {
  std::string id;      // "mobilenet/batch8/threads2/torchscript"; "single" when it is the only one
  std::string name;    // of the model: "mobilenet"
  std::string model;   // its file
  std::string engine;  // interpreter or torchscript
  std::optional<int64_t> batch;
  int threads = 0;     // 0: usable CPUs
  std::string remote;  // host that computes; empty: this machine
};

/// The same model, engine and threads.
bool same_but_batch(const BenchCase& a, const BenchCase& b);

/// What --recommend, --minimize and --maximize ask.
struct Recommendation {
  std::vector<Gate> gates;
  std::string metric;
  bool maximize = false;
};

struct BenchRequest {
  std::vector<Gate> gates;
  /// The device that the case must fit into: of --gate-profile, else of --profile.
  std::string device;
  /// Its times are simulated, for gates.
  bool simulates = false;
  /// The child measures what the model costs an application, too.
  bool measures_deployed = false;
  std::optional<Recommendation> recommendation;
  double tolerance = 0;
  bool cross_run = false;  // --baseline
  /// --batch auto: cases run in ascending order, until larger batches bring nothing.
  bool searches_batch = false;
  /// --tolerance was given: every compared case has to keep it.
  bool tolerance_is_gate = false;
  std::optional<int64_t> duration_ns;  // of a long run
  int64_t max_ns = 0;                  // of one case, all its processes together
  int64_t processes = 1;               // of each case, before the first look at them
  /// How often a comparison may be looked at; between looks the processes double. 1 where their
  /// number was given.
  size_t looks = 1;
  std::vector<BenchCase> cases;
  LoadPlan load;
  std::optional<FramePlan> frames;
  /// This process is a child that measures the only case: gates tell what to measure and are judged
  /// by the parent.
  bool is_child = false;
  ProcessPlan plan;  // of the child
  bool wants_quality = true;
  /// --self-check, also in its child.
  bool is_self_check = false;

  /// One process measures everything: it has the whole time and looks itself.
  bool is_alone() const { return cases.size() == 1 && processes == 1 && !cross_run; }
};

/// Throws Error (exit 2) for what contradicts itself, and 2 or 9 for a --report or --resume that
/// cannot be written.
BenchRequest read_request(const BenchOptions& options);

/// --case-child of child number `process` that measures for this request.
std::string child_spec(const BenchRequest& request, size_t process, bool wants_quality);

}  // namespace lathe

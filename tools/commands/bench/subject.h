// A model made ready for measuring, with what is known of it before any time is taken.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/plan_file.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "os/host.h"
#include "profiles/profile.h"
#include "report/report.h"
#include "roofline/estimate.h"
#include "run/engine.h"

namespace lathe {

/// What the process did for the model, by the clock of lathe (statistics/clock.h): for the trace.
struct PhaseTime {
  std::string name;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
};

struct BenchSubject {
  std::string path;
  Model model;
  std::shared_ptr<const PlanFile> plan;  // of a .lathe file; the model is then its graph
  std::optional<Graph> batched;          // the graph at --batch
  ModelFacts facts;
  std::optional<double> coverage;
  /// Bytes of the planned arena for the values between the nodes; unknown dimensions count as 1.
  std::optional<int64_t> arena_bytes;
  std::string arena_reason;
  /// The file; absent when weights lie outside of it (external data).
  std::optional<int64_t> size_bytes;
  std::string size_reason;
  Reading peak;  // resident memory of the process while this model alone was loaded and run once
  std::string peak_method;
  Reading resident;                 // of the process right after that run
  std::vector<Shape> input_shapes;  // of the inputs that it is timed on
  std::vector<PhaseTime> phases;    // loading to first inference
  int64_t load_ns = 0;
  int64_t compile_ns = 0;
  int64_t first_inference_ns = 0;
  std::unique_ptr<Engine> engine;
  EngineFacts engine_facts;  // after the first run

  /// What the engine executes.
  const Graph& graph() const { return batched ? *batched : model.graph; }
};

/// Loads and prepares the model for `engine` (--engine) at `batch` (nullopt: as it is), timed
/// apart; the arena is planned with the profile's alignment. Throws Error as open_model,
/// with_batch and make_engine do.
BenchSubject load_subject(const std::string& path, const std::string& engine,
                          const std::optional<int64_t>& batch, const Profile& profile,
                          const BenchOptions& options, Console& console);

/// Memory that is taken before something is loaded moves that to another place in the heap.
using HeapPadding = std::unique_ptr<std::byte[]>;
HeapPadding pad_heap(size_t bytes);

/// Plans the arena anew for inputs of these shapes, so that it is that of the batch that is
/// measured.
void plan_arena(BenchSubject& subject, std::span<const Shape> shapes, const Profile& profile);

/// Share of the nodes that the profile computes on integers or passes through; Quantize and
/// Dequantize nodes do not count. nullopt for a graph without other nodes.
std::optional<double> integer_coverage(const Graph& graph, const Profile& profile);

/// How long one execution of the shapes that it is timed on would take on the profile's device, by
/// its stated rates.
EstimatedLatency simulate(const BenchSubject& subject, const Profile& profile);

/// Gives the engine its inputs and runs it once. `alone`: no other model was loaded before in this
/// process, so that its peak is this model's even where the kernel does not reset the mark.
void run_first(BenchSubject& subject, const std::vector<std::vector<Tensor>>& samples, bool alone);

/// For each input of `to` the position of its counterpart in `from`: by name when all names agree,
/// else by position. Throws Error (exit 3) when number, type or known dimensions differ.
std::vector<size_t> input_positions(const Graph& from, const Graph& to);

/// Items that one execution of a sample handles: the leading dimension that the first input and
/// the first output (where its shape is known) share, else 1.
int64_t items_of(const std::vector<Tensor>& sample, const Graph& graph);

}  // namespace lathe

// Native plans as files (.lathe): what a device needs to run a model. Nothing that must be there
// depends on its processor: weights are packed when a Program is made. A file may bring packed
// weights too, for processes whose packing_key is the same; others do not look at them.
//
// A plan has fixed shapes. Where the model's batch is free, the file holds the numbers that grow
// with the batch for batch 1 and for batch 2, and all batches follow from these: shapes, strides
// and offsets are linear in the batch (is_on_line says whether they are).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan/packed_weights.h"
#include "plan/plan.h"

namespace lathe {

/// An input or output of the model.
struct PlanPort {
  std::string name;
  DType dtype = DType::kUndefined;
  bool has_shape = true;  // false: only a run tells
  Shape shape;            // at batch 1 where the batch is free
};

/// Which CPUs the workers of a queue run on: any; neighbours; those that compute fastest.
enum class CpuAffinity : uint8_t { kNone, kCompact, kBig };

/// How a profile wants its plans to be served: what a queue does where nothing else is asked.
struct PlanExecution {
  int32_t threads = 0;  // of each worker; 0: all CPUs
  CpuAffinity affinity = CpuAffinity::kNone;
  int64_t batch_default = 1;  // of requests that run as one
  int64_t batch_max = 1;
  int64_t queue_delay_us = 0;
};

constexpr int64_t kMostPlanThreads = 1024;
constexpr int64_t kMostPlanBatch = int64_t{1} << 20;
constexpr int64_t kMostQueueDelayUs = 60'000'000;

struct PlanMetadata {
  std::string producer;       // "lathe 0.1.0"
  std::string source_sha256;  // of the model
  std::string profile;        // its name
  std::string fingerprint;    // HostFacts::fingerprint where the plan was tuned; else empty
  int32_t tuned_threads = 0;  // with so many threads; 0: it was not
  bool lost_batch = false;    // the model takes any batch, the plan batch 1
  PlanExecution execution;
  std::vector<PlanPort> inputs;
  std::vector<PlanPort> outputs;
};

struct PlanFile {
  PlanMetadata metadata;
  /// For the fixed batch, or for batch 1.
  NativePlan plan;
  /// batch_numbers of the plan lowered at batch 2; empty: the batch is fixed.
  std::vector<int64_t> batch_two;
  /// What FallbackStep::partition counts: ONNX files.
  std::vector<std::string> partitions;
  /// Weights that were packed under packing_key; none: the file has no such section.
  std::string packing_key;
  std::map<PackedKey, PackedArray> packed;
};

/// Names, types and shapes of a plan's inputs and outputs as its views have them.
void describe_ports(PlanFile& file);

/// The numbers of a plan that may grow with the batch, in the order of its fields.
std::vector<int64_t> batch_numbers(const NativePlan& plan);

/// Whether plans lowered at a batch, the next one and `steps` after the first are one plan but for
/// numbers that grow linearly, and where place_blocks puts the blocks.
bool is_on_line(const NativePlan& one, const NativePlan& two, const NativePlan& far, int64_t steps);

/// The plan for the batch before that of `plan`, on the line to `next`. Some models are lowered
/// otherwise for batch 1, where many layouts are the same, but the plan of larger batches does it
/// too: plan_before(two, three) where is_on_line(two, three, four, 2). Throws Error as
/// plan_for_batch.
NativePlan plan_before(const NativePlan& plan, const NativePlan& next);

/// What the user of a tuned plan should know on the machine `fingerprint`, with so many threads; ""
/// when nothing is lost, or the plan was not tuned.
std::string tuning_warning(const PlanMetadata& metadata, std::string_view fingerprint, int threads);

/// Forgets the choices of a plan that was tuned on another machine than `fingerprint` (which layers
/// are in float stays). Returns tuning_warning.
std::string keep_own_choices(PlanFile& file, std::string_view fingerprint, int threads);

/// The plan for a batch; how many threads a step is worth is known for batch 1 only. Throws Error:
/// exit 3 for a batch below 1, or other than the plan's fixed one (called 1); exit 8 for one that
/// is too large; what verify_plan throws.
NativePlan plan_for_batch(const PlanFile& file, int64_t batch);

/// Equal files for equal contents.
std::string write_plan_file(const PlanFile& file);

/// For files that may be hostile. The plan has been verified. Throws Error: exit 3 ("plan.format",
/// "plan.truncated", "plan.checksum", "plan.invalid"), exit 6 ("plan.version").
PlanFile read_plan_file(std::span<const std::byte> bytes);
/// The same; constants and packed weights stay where they are and own `keeper`. `bytes` begin on a
/// page's border. Whoever changes them meanwhile changes results, and nothing else.
PlanFile read_plan_file(std::span<const std::byte> bytes, std::shared_ptr<const void> keeper);

}  // namespace lathe

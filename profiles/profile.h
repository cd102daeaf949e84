// A device as data: what it computes with, what fits into it, what is asked of it. Adding a device
// is adding a JSON file; notes on every field stand here.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dtype.h"
#include "ir/op_kind.h"

namespace lathe {

/// How the numbers of one tensor are stored.
struct TensorFormat {
  DType dtype = DType::kUInt8;  // uint8, int8, uint16, int16, uint4, int4
  bool symmetric = false;       // zero point 0
  bool per_channel = false;     // weights only
  /// Weights: one bit less in every layer. Where the CPU's int8 is maddubs, channels whose sums of
  /// products can saturate get up to one bit less without being told.
  bool reduce_range = false;
  bool operator==(const TensorFormat&) const = default;
};

/// A way to execute an op in integers.
struct PrecisionConfig {
  std::string name;
  TensorFormat activations;
  std::optional<TensorFormat> weights;  // absent: an op without weights
  DType bias = DType::kInt32;
  /// Scales are powers of two: the device rescales with shifts.
  bool power_of_two = false;
};

struct PrecisionRules {
  std::map<std::string, PrecisionConfig> configs;
  /// Allowed configs, best first. An op that is not here, or with an empty list, stays in float.
  std::map<OpKind, std::vector<std::string>> ops;
  /// Ops that the device executes on integers without new parameters (MaxPool, Reshape, …).
  std::set<OpKind> pass_through;
  /// Ops whose integer form can give floats: a result that only float ops read is not rounded.
  std::set<OpKind> float_outputs{OpKind::kGemm, OpKind::kMatMul};
  bool float16 = false;                   // computes or at least stores float16
  bool bfloat16 = false;                  // the native engine may round float products' inputs
  std::vector<int64_t> weight_only_bits;  // of 8, 4
};

struct CpuProfile {
  std::string arch;              // "x86_64", "aarch64", "xtensa", "armv7e-m"
  std::vector<std::string> isa;  // as /proc/cpuinfo spells them
  int64_t cores = 1;
  std::string int8 = "none";  // none, maddubs, vnni, amx, sdot, smmla, cmsis-nn
  /// For times that are estimated from counted instructions.
  std::optional<double> clock_mhz;
  std::optional<double> cycles_per_instruction;
};

struct RuntimeProfile {
  std::string name;        // "onnxruntime", "tensorrt", "native"
  int64_t max_opset = 21;  // every writer obeys both
  int64_t max_ir = 10;
  /// What its own code and tables take of the flash, and its state and stack of the RAM.
  std::optional<int64_t> flash_bytes;
  std::optional<int64_t> ram_bytes;
};

struct MemoryProfile {
  std::optional<int64_t> ram_bytes;
  /// Weights stay there while the network runs; absent: they are loaded into RAM.
  std::optional<int64_t> flash_bytes;
  int64_t arena_alignment = 64;
};

/// Networks of a size, and how fast they shall be.
struct LatencyClass {
  std::string name;      // after a network of it: "ResNet-50"
  int64_t max_macs = 0;  // and more than the class before it
  double latency_ms = 0;
};

/// Bounds that `--gate-profile` checks; absent: not asked.
struct TargetProfile {
  std::string source;  // who asks this
  std::optional<double> latency_ms;
  std::vector<LatencyClass> latency_classes;  // instead of latency_ms, smallest first
  std::optional<double> throughput_per_s;
  std::optional<int64_t> size_bytes;
  std::optional<int64_t> ram_bytes;
  std::optional<double> cpu_percent;
  std::optional<double> accuracy;       // share, 0.85 = 85 %
  std::optional<double> accuracy_drop;  // share, 0.01 = one point
};

struct ExecutionProfile {
  int64_t threads = 0;            // 0: all usable CPUs
  std::string affinity = "none";  // none, compact, big
  int64_t batch_default = 1;
  int64_t batch_max = 1;
  std::optional<int64_t> memory_floor_bytes;  // less free memory halves the batch
  double queue_delay_ms = 0;                  // wait for a batch to fill
};

struct PowerMode {
  int64_t threads = 0;
  int64_t frame_skip = 0;  // frames left out between two that are computed
  int64_t batch = 1;
};

/// For an estimated latency, which reports mark as simulated.
struct RateProfile {
  std::string source;  // "stated" (data sheet peak) or "measured"
  std::string note;
  std::map<std::string, double> gops;  // dtype -> 10^9 operations/s, a multiply-add is two
  std::optional<double> bandwidth_gb_per_s;
};

struct Profile {
  std::string name;
  std::string version;
  std::string description;
  CpuProfile cpu;
  PrecisionRules precision;
  RuntimeProfile runtime;
  MemoryProfile memory;
  TargetProfile targets;
  ExecutionProfile execution;
  std::map<std::string, PowerMode> power_modes;  // performance, balanced, powersave
  std::optional<RateProfile> rates;
  /// sha256 of the resolved JSON (after `extends`), for reports.
  std::string hash;
};

constexpr std::string_view kDefaultProfile = "x86-64-vnni";

/// Names of the shipped profiles, sorted.
std::vector<std::string> profile_names();

/// A shipped profile by name, or a file when the text holds a '/' or ends in ".json". `extends`
/// names a shipped profile or a .json file in the same folder: objects are merged key by key,
/// everything else is replaced. Throws Error (exit 2) that names file, JSON pointer, allowed values
/// and the nearest key or profile; also for cycles and chains longer than 8.
Profile load_profile(const std::string& name_or_file);

/// The resolved JSON of a profile (what `profiles show` prints), with the same errors.
nlohmann::json profile_json(const std::string& name_or_file);

/// The profile that resolved JSON describes; `file` is for messages.
Profile read_profile(const nlohmann::json& document, const std::string& file);

/// Whether inference runs on the device's CPU; an accelerator's speed is not its host's.
bool computes_on_cpu(const Profile& profile);
/// Whether lathe's engine may stand for the device's runtime where times are measured.
bool is_measured_by_lathe(const Profile& profile);

/// Whether a config of the device computes on tensors of this integer type, or with such weights.
bool computes_on(const PrecisionRules& rules, DType dtype);

/// The configs that the device allows for an op, best first; empty: float only.
std::vector<const PrecisionConfig*> allowed_configs(const Profile& profile, OpKind kind);

/// The latency that the device's targets ask of a network of so many multiply-accumulates.
std::optional<double> latency_target_ms(const TargetProfile& targets, int64_t macs);

/// What `free_bytes` of memory leave of a batch, at least 1:
/// One halving for each halving of the free memory below the floor.
int64_t batch_within_memory(const ExecutionProfile& execution, int64_t batch, int64_t free_bytes);

/// Duration of one inference in ns from the rates: the slower of arithmetic and memory traffic.
/// nullopt without rates for the dtype. An estimate: mark it "simulated".
std::optional<double> estimated_latency_ns(const Profile& profile, std::string_view dtype,
                                           int64_t macs, int64_t traffic_bytes);

}  // namespace lathe

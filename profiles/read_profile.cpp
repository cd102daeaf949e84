// The strict reader: every key of a profile, its type, its range.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "os/sha256.h"
#include "profiles/profile.h"
#include "report/json_text.h"
#include "report/nearest_name.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 50;
constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxBatch = 65536;
constexpr int64_t kMaxOpset = 1000;

DType read_dtype(JsonReader& reader, const char* key, const std::vector<std::string>& allowed) {
  return dtype_from_name(reader.choice(key, allowed)).value();
}

TensorFormat read_format(JsonReader reader, bool weights) {
  TensorFormat format;
  format.dtype = read_dtype(reader, "dtype", {"uint8", "int8", "uint16", "int16", "uint4", "int4"});
  format.symmetric = reader.boolean("symmetric");
  if (weights) {
    format.per_channel = reader.boolean_or("per_channel", false);
    format.reduce_range = reader.boolean_or("reduce_range", false);
  }
  reader.finish();
  return format;
}

PrecisionConfig read_config(JsonReader reader, std::string name) {
  PrecisionConfig config;
  config.name = std::move(name);
  config.activations = read_format(reader.object("activations"), false);
  if (auto weights = reader.object_if("weights")) config.weights = read_format(*weights, true);
  if (reader.has("bias")) config.bias = read_dtype(reader, "bias", {"int32", "float"});
  config.power_of_two = reader.boolean_or("power_of_two", false);
  reader.finish();
  return config;
}

OpKind read_op(const JsonReader& reader, const std::string& key, const std::string& name) {
  if (const auto kind = op_kind("", name); kind && *kind != OpKind::kOpaque) return *kind;
  if (const auto kind = op_kind("com.microsoft", name)) return *kind;
  std::vector<std::string> known;
  for (int i = 1; i < kOpKindCount; ++i) known.emplace_back(op_name(static_cast<OpKind>(i)));
  const std::string nearest = nearest_name(name, known);
  throw reader.error(key, "unknown op \"" + escape_untrusted(name, 60) + "\"",
                     nearest.empty() ? "" : "did you mean " + nearest + "?");
}

PrecisionRules read_precision(JsonReader reader) {
  PrecisionRules rules;
  if (auto configs = reader.object_if("configs"))
    for (const std::string& name : configs->keys())
      rules.configs[name] = read_config(configs->object(name), name);
  if (auto ops = reader.object_if("ops"))
    for (const std::string& op : ops->keys()) {
      std::vector<std::string> allowed = ops->strings(op);
      for (const std::string& config : allowed) {
        if (rules.configs.contains(config)) continue;
        std::vector<std::string> known;
        for (const auto& [name, unused] : rules.configs) known.push_back(name);
        throw ops->error(op, "no config is named \"" + escape_untrusted(config, 60) + "\"",
                         name_hint(config, known));
      }
      rules.ops[read_op(*ops, op, op)] = std::move(allowed);
    }
  const auto op_set = [&](const char* key, std::set<OpKind>& ops) {
    if (!reader.has(key)) return;
    ops.clear();
    for (const std::string& op : reader.strings(key)) ops.insert(read_op(reader, key, op));
  };
  op_set("pass_through", rules.pass_through);
  op_set("float_outputs", rules.float_outputs);
  rules.float16 = reader.boolean_or("float16", false);
  rules.bfloat16 = reader.boolean_or("bfloat16", false);
  if (reader.has("weight_only_bits"))
    for (const int64_t bits : reader.integers("weight_only_bits", 4, 8)) {
      if (bits != 4 && bits != 8) throw reader.error("weight_only_bits", "expected 4 or 8");
      rules.weight_only_bits.push_back(bits);
    }
  reader.finish();
  return rules;
}

CpuProfile read_cpu(JsonReader reader) {
  CpuProfile cpu;
  cpu.arch = reader.string("arch");
  cpu.isa = reader.strings_or("isa", {});
  cpu.cores = reader.integer("cores", 1, kMaxThreads);
  cpu.int8 = reader.choice("int8", {"none", "maddubs", "vnni", "amx", "sdot", "smmla", "cmsis-nn"});
  cpu.clock_mhz = reader.number_if("clock_mhz", 1e-3, 1e5);
  cpu.cycles_per_instruction = reader.number_if("cycles_per_instruction", 0.01, 100);
  reader.finish();
  return cpu;
}

RuntimeProfile read_runtime(JsonReader reader) {
  RuntimeProfile runtime;
  runtime.name = reader.string("name");
  runtime.max_opset = reader.integer("max_opset", 1, kMaxOpset);
  runtime.max_ir = reader.integer("max_ir", 3, kMaxOpset);
  runtime.flash_bytes = reader.integer_if("flash_bytes", 0, kMaxBytes);
  runtime.ram_bytes = reader.integer_if("ram_bytes", 0, kMaxBytes);
  reader.finish();
  return runtime;
}

MemoryProfile read_memory(JsonReader reader) {
  MemoryProfile memory;
  memory.ram_bytes = reader.integer_if("ram_bytes", 1, kMaxBytes);
  memory.flash_bytes = reader.integer_if("flash_bytes", 1, kMaxBytes);
  memory.arena_alignment = reader.integer_or("arena_alignment", 1, 4096, 64);
  if ((memory.arena_alignment & (memory.arena_alignment - 1)) != 0)
    throw reader.error("arena_alignment", "expected a power of two");
  reader.finish();
  return memory;
}

TargetProfile read_targets(JsonReader reader) {
  TargetProfile targets;
  targets.source = reader.string_or("source", "");
  targets.latency_ms = reader.number_if("latency_ms", 1e-6, 1e9);
  if (reader.has("latency_classes")) {
    int64_t before = 0;
    for (JsonReader& row : reader.objects("latency_classes")) {
      targets.latency_classes.push_back({row.string("name"),
                                         row.integer("max_macs", before + 1, kMaxBytes),
                                         row.number("latency_ms", 1e-6, 1e9)});
      before = targets.latency_classes.back().max_macs;
      row.finish();
    }
    if (targets.latency_ms)
      throw reader.error("latency_classes", "there is a latency_ms for all networks already");
  }
  targets.throughput_per_s = reader.number_if("throughput_per_s", 1e-6, 1e12);
  targets.size_bytes = reader.integer_if("size_bytes", 1, kMaxBytes);
  targets.ram_bytes = reader.integer_if("ram_bytes", 1, kMaxBytes);
  targets.cpu_percent = reader.number_if("cpu_percent", 1e-3, 100);
  targets.accuracy = reader.number_if("accuracy", 0, 1);
  targets.accuracy_drop = reader.number_if("accuracy_drop", 0, 1);
  reader.finish();
  return targets;
}

ExecutionProfile read_execution(JsonReader reader) {
  ExecutionProfile execution;
  execution.threads = reader.integer_or("threads", 0, kMaxThreads, 0);
  execution.affinity = reader.choice_or("affinity", {"none", "compact", "big"}, "none");
  execution.batch_default = reader.integer_or("batch_default", 1, kMaxBatch, 1);
  execution.batch_max = reader.integer_or("batch_max", 1, kMaxBatch, execution.batch_default);
  if (execution.batch_max < execution.batch_default)
    throw reader.error("batch_max", "expected at least batch_default");
  execution.memory_floor_bytes = reader.integer_if("memory_floor_bytes", 1, kMaxBytes);
  execution.queue_delay_ms = reader.number_or("queue_delay_ms", 0, 60'000, 0);
  reader.finish();
  return execution;
}

std::map<std::string, PowerMode> read_power_modes(JsonReader reader) {
  std::map<std::string, PowerMode> modes;
  for (const char* name : {"performance", "balanced", "powersave"}) {
    auto mode = reader.object_if(name);
    if (!mode) continue;
    modes[name] = {mode->integer_or("threads", 0, kMaxThreads, 0),
                   mode->integer_or("frame_skip", 0, 1000, 0),
                   mode->integer_or("batch", 1, kMaxBatch, 1)};
    mode->finish();
  }
  reader.finish();
  return modes;
}

RateProfile read_rates(JsonReader reader) {
  RateProfile rates;
  rates.source = reader.choice("source", {"stated", "measured"});
  rates.note = reader.string_or("note", "");
  JsonReader gops = reader.object("gops");
  for (const char* dtype : {"float32", "float16", "bfloat16", "int8", "int4"})
    if (const auto rate = gops.number_if(dtype, 1e-6, 1e9)) rates.gops[dtype] = *rate;
  gops.finish();
  rates.bandwidth_gb_per_s = reader.number_if("bandwidth_gb_per_s", 1e-6, 1e6);
  reader.finish();
  return rates;
}

// What the device cannot hold it cannot be asked to keep below.
void refuse_contradictions(const Profile& profile, const std::string& file) {
  const auto refuse_above = [&](const char* part, const char* key, std::optional<int64_t> value,
                                const char* of_part, const char* of_key,
                                std::optional<int64_t> limit) {
    if (!value || !limit || *value <= *limit) return;
    throw bad_usage("profile.contradiction",
                    fmt::format("{} is more than {}/{}, {}", *value, of_part, of_key, *limit),
                    fmt::format("{}: /{}/{}", file, part, key));
  };
  const MemoryProfile& memory = profile.memory;
  refuse_above("targets", "ram_bytes", profile.targets.ram_bytes, "memory", "ram_bytes",
               memory.ram_bytes);
  refuse_above("targets", "size_bytes", profile.targets.size_bytes, "memory", "flash_bytes",
               memory.flash_bytes);
  refuse_above("runtime", "ram_bytes", profile.runtime.ram_bytes, "memory", "ram_bytes",
               memory.ram_bytes);
  refuse_above("runtime", "flash_bytes", profile.runtime.flash_bytes, "memory", "flash_bytes",
               memory.flash_bytes);
  refuse_above("execution", "threads", profile.execution.threads, "cpu", "cores",
               profile.cpu.cores);
  for (const auto& [name, mode] : profile.power_modes) {
    const std::string place = "power_modes/" + name;
    refuse_above(place.c_str(), "threads", mode.threads, "cpu", "cores", profile.cpu.cores);
    refuse_above(place.c_str(), "batch", mode.batch, "execution", "batch_max",
                 profile.execution.batch_max);
  }
  if (profile.targets.latency_ms && profile.targets.throughput_per_s &&
      *profile.targets.throughput_per_s * *profile.targets.latency_ms >
          1000.0 * static_cast<double>(std::max<int64_t>(1, profile.cpu.cores) *
                                       profile.execution.batch_max))
    throw bad_usage(
        "profile.contradiction",
        fmt::format("{} a second of {} ms each are more than {} cores and batches of {}",
                    *profile.targets.throughput_per_s, *profile.targets.latency_ms,
                    profile.cpu.cores, profile.execution.batch_max),
        file + ": /targets/throughput_per_s");
}

}  // namespace

Profile read_profile(const nlohmann::json& document, const std::string& file) {
  JsonReader reader(document, file);
  Profile profile;
  profile.name = reader.string("name");
  profile.version = reader.string("version");
  profile.description = reader.string_or("description", "");
  profile.cpu = read_cpu(reader.object("cpu"));
  profile.precision = read_precision(reader.object("precision"));
  profile.runtime = read_runtime(reader.object("runtime"));
  if (auto part = reader.object_if("memory")) profile.memory = read_memory(*part);
  if (auto part = reader.object_if("targets")) profile.targets = read_targets(*part);
  if (auto part = reader.object_if("execution")) profile.execution = read_execution(*part);
  if (auto part = reader.object_if("power_modes")) profile.power_modes = read_power_modes(*part);
  if (auto part = reader.object_if("rates")) profile.rates = read_rates(*part);
  reader.finish();
  refuse_contradictions(profile, file);
  profile.hash = sha256_hex(compact_json_text(document));
  return profile;
}

}  // namespace lathe

#include "profiles/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ir/error.h"
#include "names/engines.h"
#include "ops/op_row.h"
#include "os/quantity.h"
#include "profiles/fit_changes.h"
#include "qdq/activation_buffers.h"
#include "qdq/fused_layers.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

constexpr size_t kShownParts = 5;
constexpr size_t kShownNames = 3;
// What a process takes that runs a plan of a few bytes in liblathe_rt: measured on Debian 12.
constexpr int64_t kPlanRunTimeBytes = int64_t{14} << 20;
// Of generated C for a Cortex-M4: 5 to 7 KB of code, 200 to 250 bytes of stack (compare_tiny.sh).
constexpr int64_t kSourceCodeBytes = 8192;
constexpr int64_t kSourceStackBytes = 512;

std::string name_of(const Graph& graph, NodeId id) {
  return id.valid() ? escape_untrusted(graph.node(id).name, 60) : std::string();
}

void keep_largest(std::vector<FitPart>& parts) {
  std::stable_sort(parts.begin(), parts.end(),
                   [](const FitPart& a, const FitPart& b) { return a.bytes > b.bytes; });
  parts.resize(std::min(parts.size(), kShownParts));
}

FitPart part_of(const Graph& graph, ValueId id, NodeId node, int64_t bytes) {
  FitPart part{escape_untrusted(graph.value(id).name, 60), name_of(graph, node), {}, bytes};
  if (node.valid()) part.type = escape_untrusted(graph.node(node).type_name(), 40);
  return part;
}

void find_peak(const Graph& graph, const ActivationBuffers& buffers, int64_t alignment, Fit& fit) {
  const LivePeak peak = live_peak(buffers.requests, alignment);
  for (size_t i = 0; i < buffers.requests.size(); ++i) {
    const BufferRequest& request = buffers.requests[i];
    if (request.first_step > peak.step || request.last_step < peak.step || request.bytes == 0)
      continue;
    // What is written in that step is what makes the peak.
    if (request.first_step == peak.step && fit.peak_node.empty())
      fit.peak_node = name_of(graph, buffers.nodes[i]);
    fit.peak.push_back(part_of(graph, buffers.values[i], buffers.nodes[i], request.bytes));
  }
  keep_largest(fit.peak);
}

// The node that computes with a constant, behind the DequantizeLinear of an integer one.
NodeId reader_of(const Graph& graph, ValueId id) {
  const std::vector<NodeId>& users = graph.value(id).users;
  if (users.empty()) return {};
  const Node& user = graph.node(users[0]);
  if (user.kind != OpKind::kDequantizeLinear || !user.output(0).valid()) return users[0];
  const std::vector<NodeId>& readers = graph.value(user.output(0)).users;
  return readers.empty() ? users[0] : readers[0];
}

void find_weights(const Graph& graph, Fit& fit) {
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids())
      if (const Tensor* tensor = inner.constant(id)) {
        const auto bytes = static_cast<int64_t>(tensor->bytes().size());
        fit.weights_bytes += bytes;
        fit.weights.push_back(part_of(inner, id, reader_of(inner, id), bytes));
      }
  });
  keep_largest(fit.weights);
}

bool has_open_dimension(const ValueType& type) {
  if (!type.is_tensor() || !type.dims) return true;
  for (size_t i = 1; i < type.dims->size(); ++i)
    if (!(*type.dims)[i].known()) return true;
  return false;
}

FitLine bounded(std::string what, int64_t need, std::optional<int64_t> limit, bool is_least,
                std::string text) {
  FitLine line{std::move(what), FitVerdict::kFits, need, limit, std::move(text)};
  if (limit && need > *limit)
    line.verdict = FitVerdict::kDoesNotFit;
  else if (is_least)
    line.verdict = FitVerdict::kUnknown;
  return line;
}

std::string with_run_time(std::string text, const std::optional<int64_t>& bytes) {
  return text + (bytes ? " + run time " + bytes_text(*bytes) : ", without the run time");
}

// Empty: none.
std::string first_float16(const Graph& graph) {
  for (const ValueId id : graph.value_ids()) {
    const DType dtype = graph.value(id).type.dtype;
    if (dtype == DType::kFloat16 || dtype == DType::kBFloat16)
      return fmt::format("{} '{}'", dtype_name(dtype), escape_untrusted(graph.value(id).name, 60));
  }
  return {};
}

FitLine ops_line(const Graph& graph, const Profile& profile) {
  FitLine line{"ops", FitVerdict::kFits, {}, {}, {}};
  std::vector<std::string> unknown;
  std::vector<std::string> bodies;
  int64_t computing = 0;
  int64_t integer = 0;
  std::set<std::string_view> foreign;  // types that no config of the profile has
  for (const FusedLayer& layer : fused_layers(graph)) {
    const Node& node = graph.node(layer.node);
    const auto name = [&] {
      return fmt::format("{} ({})", escape_untrusted(node.name, 60),
                         escape_untrusted(node.type_name(), 40));
    };
    if (node.kind == OpKind::kOpaque) unknown.push_back(name());
    if (!node.subgraphs.empty()) bodies.push_back(name());
    if (op_row(node.kind).macs == nullptr) continue;
    ++computing;
    const ValueId data = stored_through_views(graph, node.input(0));
    const DType dtype = data.valid() ? graph.value(data).type.dtype : DType::kUndefined;
    if (!is_eight_bits(dtype)) continue;
    ++integer;
    if (!computes_on(profile.precision, dtype)) foreign.insert(dtype_name(dtype));
  }
  const auto listed = [](const std::vector<std::string>& names) {
    std::string text;
    for (size_t i = 0; i < std::min(names.size(), kShownNames); ++i)
      text += (i == 0 ? "" : ", ") + names[i];
    return text + (names.size() > kShownNames ? ", …" : "");
  };
  line.text = computing > 0    ? fmt::format("{} of {} products in integers", integer, computing)
              : bodies.empty() ? "nothing multiplies"
                               : "what multiplies is in bodies of " + listed(bodies);
  if (!foreign.empty())
    line.text += fmt::format(", of {}, which the profile does not list", fmt::join(foreign, ", "));
  if (!unknown.empty()) {
    line.verdict = FitVerdict::kUnknown;
    line.text = "lathe does not know " + listed(unknown);
  }
  // Other run times widen what the device does not compute.
  if (profile.runtime.name == kNativeEngine && !profile.precision.float16) {
    if (const std::string narrow = first_float16(graph); !narrow.empty()) {
      line.verdict = FitVerdict::kDoesNotFit;
      line.text = "no 16-bit floats there: " + narrow;
    }
  }
  // A device that runs from flash has no allocator for bodies of unknown length.
  if (!bodies.empty() && profile.memory.flash_bytes) {
    line.verdict = FitVerdict::kDoesNotFit;
    line.text = "no control flow there: " + listed(bodies);
  }
  return line;
}

FitLine plan_line(const FitFile& file, const Profile& profile) {
  FitLine line{"ops", FitVerdict::kFits, {}, {}, fmt::format("a plan for {}", fmt::join(kNativeArchs, ", "))};
  if (!file.plan_refused.empty()) {
    line.verdict = FitVerdict::kDoesNotFit;
    line.text = "the run time has no kernel for " + file.plan_refused;
  }
  if (!is_native_arch(profile.cpu.arch)) {
    line.verdict = FitVerdict::kDoesNotFit;
    line.text = fmt::format("lathe makes plans for {} only; for {}: --target onnx",
                            fmt::join(kNativeArchs, ", "), escape_untrusted(profile.cpu.arch, 40));
  }
  return line;
}

FitLine native_line(const Profile& profile) {
  if (!is_native_arch(profile.cpu.arch))
    return {kRunTimeLine, FitVerdict::kFits, {}, {},
            "one of yours there, or C: lathe compile --target c99 makes it where all ops have some"};
  return {kRunTimeLine, FitVerdict::kUnknown, {}, {},
          "lathe compile --target native tells whether it has kernels for all"};
}

FitLine shapes_line(const Graph& graph, const ActivationBuffers& buffers, const Profile& profile) {
  FitLine line{"shapes", FitVerdict::kFits, {}, {}, "all known"};
  for (const ValueId id : buffers.values) {
    const Value& value = graph.value(id);
    if (!has_open_dimension(value.type) || graph.is_input(id)) continue;
    line.text = fmt::format(
        "the size of {} is not known, so RAM is the least there can be; fix "
        "the inputs' sizes: --input-shape NAME=…, batch included",
        escape_untrusted(value.name, 60));
    break;
  }
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    if (!has_open_dimension(value.type)) continue;
    line.verdict = profile.memory.flash_bytes ? FitVerdict::kDoesNotFit : FitVerdict::kFits;
    line.text = fmt::format("input {} has open dimensions: --input-shape {}=…",
                            escape_untrusted(value.name, 60), escape_untrusted(value.name, 60));
    break;
  }
  return line;
}

FitLine opset_line(const FitFile& file, const Profile& profile) {
  const RuntimeProfile& runtime = profile.runtime;
  FitLine line = bounded("opset", *file.opset, runtime.max_opset, false,
                         fmt::format("of {}", escape_untrusted(runtime.name, 40)));
  if (file.ir && *file.ir > runtime.max_ir) {
    line.verdict = FitVerdict::kDoesNotFit;
    line.text += fmt::format("; IR {} of at most {}", *file.ir, runtime.max_ir);
  }
  if (line.verdict == FitVerdict::kDoesNotFit)
    line.text += fmt::format("; lathe compile --opset {}", runtime.max_opset);
  return line;
}

}  // namespace

std::string_view fit_verdict_name(FitVerdict verdict) {
  static constexpr std::string_view kNames[] = {"fits", "unknown", "does not fit"};
  return kNames[static_cast<size_t>(verdict)];
}

FitVerdict Fit::verdict() const {
  FitVerdict worst = FitVerdict::kFits;
  for (const FitLine& line : lines) worst = std::max(worst, line.verdict);
  return worst;
}

bool has_memory_limits(const Profile& profile) {
  return profile.memory.ram_bytes || profile.memory.flash_bytes;
}

int64_t batch_that_fits(const Profile& profile, int64_t fixed_bytes, int64_t arena_bytes) {
  const ExecutionProfile& execution = profile.execution;
  const std::optional<int64_t>& ram = profile.memory.ram_bytes;
  if (!ram) return execution.batch_default;
  const int64_t free = std::max<int64_t>(0, *ram - fixed_bytes);
  int64_t batch = batch_within_memory(execution, execution.batch_default, free);
  while (batch > 1 && arena_bytes > free / batch) batch /= 2;
  return batch;
}

Fit does_it_fit(const Graph& graph, const FitFile& file, const Profile& profile) {
  Fit fit;
  const MemoryProfile& memory = profile.memory;
  const RuntimeProfile& runtime = profile.runtime;
  find_weights(graph, fit);
  const ActivationBuffers buffers = activation_buffers(graph);
  const int64_t alignment = memory.arena_alignment;
  find_peak(graph, buffers, alignment, fit);
  fit.arena_bytes = file.plan_arena_bytes;
  if (!fit.arena_bytes) fit.arena_bytes = planned_arena_bytes(buffers, alignment);
  const int64_t arena =
      fit.arena_bytes ? *fit.arena_bytes : live_peak(buffers.requests, alignment).bytes;
  bool is_least = !fit.arena_bytes;
  for (const ValueId id : buffers.values)
    is_least = is_least || has_open_dimension(graph.value(id).type);

  const int64_t stored = file.plan_bytes.value_or(fit.weights_bytes);
  const std::string stored_text = (file.is_source   ? "constants "
                                   : file.plan_bytes ? "plan "
                                                     : "weights ") +
                                  bytes_text(stored);
  std::optional<int64_t> run_time = runtime.ram_bytes;
  if (file.plan_bytes && !run_time) run_time = kPlanRunTimeBytes;
  std::optional<int64_t> run_time_flash = runtime.flash_bytes;
  if (file.is_source) {
    run_time = file.stack_bytes.value_or(kSourceStackBytes);
    run_time_flash = file.code_bytes.value_or(kSourceCodeBytes);
  }
  const auto with_code = [&](std::string text, const char* what, const std::optional<int64_t>& of) {
    if (!file.is_source) return with_run_time(std::move(text), of);
    return text + fmt::format(" + {} {}{}", what, file.stack_bytes ? "" : "about ",
                              bytes_text(of.value_or(0)));
  };
  const int64_t fixed = run_time.value_or(0) + (memory.flash_bytes ? 0 : stored);
  fit.flash_bytes = stored + run_time_flash.value_or(0);
  fit.ram_bytes = fixed + arena;
  if (!has_memory_limits(profile))
    fit.lines.push_back({"limits", FitVerdict::kUnknown, {}, {},
                         "the profile bounds neither flash nor RAM"});
  if (memory.flash_bytes)
    fit.lines.push_back(bounded("flash", fit.flash_bytes, memory.flash_bytes, false,
                                with_code(stored_text, "code", run_time_flash)));
  if (memory.ram_bytes) {
    std::string text = (is_least ? "activations at least " : "activations ") + bytes_text(arena);
    if (!memory.flash_bytes) text = stored_text + " + " + text;
    fit.lines.push_back(bounded("RAM", fit.ram_bytes, memory.ram_bytes, is_least,
                                with_code(std::move(text), "stack", run_time)));
  }
  fit.batch = file.plan_batch_fixed ? 1 : batch_that_fits(profile, fixed, arena);
  fit.lines.push_back(file.is_plan ? plan_line(file, profile) : ops_line(graph, profile));
  if (!file.is_plan && !file.is_source && profile.runtime.name == kNativeEngine)
    fit.lines.push_back(native_line(profile));
  if (file.opset) fit.lines.push_back(opset_line(file, profile));
  fit.lines.push_back(shapes_line(graph, buffers, profile));
  const FitLimits limits{memory.flash_bytes, memory.ram_bytes, runtime.flash_bytes.value_or(0),
                         runtime.ram_bytes.value_or(0), alignment};
  if (std::ranges::any_of(fit.lines, [](const FitLine& line) {
        return line.verdict == FitVerdict::kDoesNotFit && line.need && line.what != "opset";
      }))
    fit.changes =
        changes_that_help(graph, buffers, becomes_integer(graph, profile.precision), limits);
  const bool only_memory = std::ranges::all_of(fit.lines, [](const FitLine& line) {
    return line.verdict == FitVerdict::kFits || line.what == "flash" || line.what == "RAM";
  });
  for (FitChange& change : fit.changes) change.fits = change.fits && only_memory;
  return fit;
}

}  // namespace lathe

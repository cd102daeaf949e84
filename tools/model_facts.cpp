#include "model_facts.h"

#include <nlohmann/json.hpp>

#include <filesystem>

#include "artifact/open_plan.h"
#include "artifact/plan_graph.h"
#include "names/targets.h"
#include "ops/op_row.h"
#include "os/limits.h"
#include "os/quantity.h"
#include "os/read_file.h"
#include "os/sha256.h"
#include "tflite/read_tflite.h"
#include "torchscript/read/load_torchscript.h"

namespace lathe {

ReadOptions read_options(const CommonOptions& common) {
  ReadOptions options;
  options.follow_links = common.follow_links;
  options.refuse_hard_links = common.limits == "strict";
  if (common.limits == "off") {
    options.max_depth = 64;
    options.memory_multiplier = 1024;
    options.memory_allowance = int64_t{1} << 40;
  }
  return options;
}

int64_t weights_bytes(const Graph& graph) {
  int64_t total = 0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids())
      if (const Tensor* tensor = inner.constant(id))
        total += static_cast<int64_t>(tensor->bytes().size());
  });
  return total;
}

ModelFacts model_facts(const std::string& path, const Model& model) {
  ModelFacts facts;
  facts.path_basename = std::filesystem::path(path).filename().string();
  facts.sha256 = sha256_file(path);
  const bool torchscript = is_torchscript_file(path);
  const bool plan = is_plan_file(path);
  const bool tflite = is_tflite_file(path);
  facts.format = torchscript ? kTorchScriptFormat
                 : plan      ? kNativeFormat
                 : tflite    ? kTfliteFormat
                             : kOnnxFormat;
  if (facts.format == kOnnxFormat) facts.opset = model.opset;
  facts.file_bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  facts.weights_bytes = weights_bytes(model.graph);
  int64_t nodes = 0;
  int64_t params = 0;
  for_each_graph(model.graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      ++nodes;
      ++facts.ops[std::string(inner.node(id).type_name())];
    }
    for (const ValueId id : inner.value_ids()) {
      const Tensor* tensor = inner.constant(id);
      if (tensor == nullptr || tensor->rank() == 0 || tensor->dtype() == DType::kInt64) continue;
      params += tensor->numel();
      facts.dtype_histogram[std::string(dtype_name(tensor->dtype()))] += tensor->numel();
    }
  });
  facts.nodes = nodes;
  facts.params = params;
  if (plan) {
    facts.macs = plan_macs(model.graph);
    return facts;
  }
  const MacCount macs = count_macs(model.graph);
  if (macs.unknown_nodes == 0) facts.macs = macs.macs;
  return facts;
}

Report start_report(const std::string& command, const CommonOptions& common) {
  Report report;
  report.tool = tool_facts(LATHE_VERSION);
  report.run.command = command;
  if (!common.argv.empty()) report.run.argv.assign(common.argv.begin() + 1, common.argv.end());
  report.run.started_utc = utc_now();
  report.run.seed = common.seed;
  report.run.ci = ci_facts();
  report.recipe = nlohmann::json::parse(common.recipe);
  report.run.config_hash = config_hash(report.recipe);
  report.host = host_facts();
  return report;
}

void note_usage(Report& report, double seconds) {
  const Reading peak = peak_resident_bytes();
  report.memory = MemoryFacts{peak.value, peak.value ? "VmHWM" : peak.reason, {}};
  report.run.duration_ns = static_cast<int64_t>(seconds * 1e9);
}

void apply_limits(const CommonOptions& common) {
  if (!common.max_memory.empty())
    return apply_memory_limit(parse_bytes(common.max_memory, "--max-memory"));
  const std::optional<int64_t> memory = host_facts().mem_bytes;
  if (!memory || common.limits == "off" || memory_limit()) return;
  // Below what makes the kernel kill somebody: a model may ask for any amount.
  apply_memory_limit(*memory / 10 * (common.limits == "strict" ? 5 : 9));
}

}  // namespace lathe

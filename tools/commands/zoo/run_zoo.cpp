// lathe zoo: well-known networks with seeded weights, for benchmarks and tests.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "commands.h"
#include "commands/inspect/inspect_graph.h"
#include "ir/error.h"
#include "model_facts.h"
#include "names/targets.h"
#include "onnx/write_model.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/nearest_name.h"
#include "zoo/zoo.h"

namespace lathe {
namespace {

nlohmann::json network_json(const ZooNetwork& network) {
  return {{"name", network.name},     {"task", network.task},
          {"source", network.source}, {"parameters", network.parameters},
          {"macs", network.macs},     {"inputs", network.inputs}};
}

int list_networks(const ZooOptions& options, CommandRun& run) {
  const Console& console = run.console;
  if (!options.common.output.empty())
    throw bad_usage("usage.zoo", "which network?", "-o", "lathe zoo NAME -o FILE");
  std::vector<std::vector<std::string>> rows{{console.bold("network"), console.bold("parameters"),
                                              console.bold("MACs"), console.bold("input"),
                                              console.bold("task")}};
  nlohmann::json list = nlohmann::json::array();
  for (const ZooNetwork& network : zoo_networks()) {
    const std::string_view shape = network.inputs.substr(network.inputs.rfind(' ') + 1);
    rows.push_back({std::string(network.name), count_text(network.parameters),
                    count_text(network.macs), std::string(shape), std::string(network.task)});
    list.push_back(network_json(network));
  }
  const std::string text =
      fmt::format("{} networks; lathe zoo NAME -o FILE writes one, weights by --seed\n{}",
                  list.size(), table(rows));
  run.report.details["zoo"] = std::move(list);
  return finish_run(run, text);
}

const ZooNetwork& network_of(const std::string& name) {
  if (const ZooNetwork* network = find_zoo_network(name)) return *network;
  std::vector<std::string> names{"list"};
  for (const ZooNetwork& network : zoo_networks()) names.emplace_back(network.name);
  throw bad_usage("zoo.unknown", fmt::format("no network is named {}", escape_untrusted(name)),
                  "zoo", name_hint(name, names));
}

WriteOptions write_options(const ZooOptions& options, const Profile& profile, const Model& model) {
  WriteOptions write;
  write.max_opset = std::min(kNewestWrittenOpset, profile.runtime.max_opset);
  if (options.opset) write.max_opset = std::min(write.max_opset, *options.opset);
  write.opset = std::min(options.opset.value_or(model.opset), write.max_opset);
  write.max_ir = profile.runtime.max_ir;
  return write;
}

}  // namespace

int run_zoo(const ZooOptions& options, Console& console) {
  CommandRun run = begin_run("zoo", options.common, console);
  if (options.name == "list") return list_networks(options, run);
  const CommonOptions& common = options.common;
  const ZooNetwork& network = network_of(options.name);
  require_output(common, "network", "FILE.onnx");
  check_output_name(common.output, target_of(TargetKind::kOnnx));
  check_files(common, {common.dry_run ? "" : common.output}, {});
  run.report.details["zoo"] = network_json(network);

  Model model = network.build(common.seed);
  throw_if_interrupted();
  const WrittenModel written = write_onnx(model, write_options(options, run.profile, model));
  throw_if_interrupted();
  model.opset = written.opset;
  if (!common.dry_run) {
    publish_artifact(run, "model", common.output, written.model_bytes, common.force);
    run.report.model_out = model_facts(common.output, model);
  }
  return finish_run(
      run,
      fmt::format("{}: {}  ({}, opset {}, seed {})\n{}", console.good(std::string(network.name)),
                  common.dry_run ? "nothing was written" : escape_untrusted(common.output),
                  bytes_text(static_cast<int64_t>(written.model_bytes.size())), written.opset,
                  common.seed,
                  table({{"parameters", count_text(network.parameters)},
                         {"MACs", count_text(network.macs)},
                         {"input", std::string(network.inputs)},
                         {"as in", std::string(network.source)}})));
}

}  // namespace lathe

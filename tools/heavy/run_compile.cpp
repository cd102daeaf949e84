// lathe compile: load, optimize, prove, publish.
#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "compile/optimize_graph.h"
#include "heavy/commands.h"
#include "heavy/error_rows.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/threads.h"
#include "heavy/verify_compiled.h"
#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "os/check_output.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

// "NAME=1x3x224x224" onto the graph's input.
void fix_input_shape(Graph& graph, const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos)
    throw bad_usage("usage.input_shape", "'" + escape_untrusted(text) + "' has no '='",
                    "--input-shape", "write NAME=1x3x224x224");
  const std::string name = text.substr(0, equals);
  std::vector<std::string> names;
  ValueId found;
  for (const ValueId id : graph.inputs()) {
    names.push_back(graph.value(id).name);
    if (graph.value(id).name == name) found = id;
  }
  if (!found.valid())
    throw bad_usage("usage.input_shape", "the model has no input '" + escape_untrusted(name) + "'",
                    "--input-shape", name_hint(name, names));
  Dims dims;
  for (size_t at = equals + 1; at <= text.size();) {
    const size_t end = std::min(text.find('x', at), text.size());
    dims.push_back(Dim::of(parse_integer(text.substr(at, end - at), "--input-shape", 1, 1 << 30)));
    at = end + 1;
  }
  const auto& declared = graph.value(found).type.dims;
  bool fits = !declared || declared->size() == dims.size();
  for (size_t i = 0; fits && declared && i < dims.size(); ++i)
    fits = !(*declared)[i].known() || (*declared)[i].size == dims[i].size;
  if (!fits)
    throw bad_usage("usage.input_shape",
                    fmt::format("{} does not fit {}", dims_text(dims), dims_text(*declared)),
                    "--input-shape " + escape_untrusted(name));
  graph.edit_type(found).dims = dims;
}

// Unknown sizes of outputs follow from the inputs' shapes, so that inference may say them.
void forget_inner_shapes(Graph& graph) {
  for (const ValueId id : graph.value_ids())
    if (graph.value(id).producer.valid() && !graph.is_output(id)) graph.edit_type(id).dims.reset();
}

nlohmann::json verification_json(const CompileOptions& options, const Verification& verification) {
  return {{"inputs", options.verify},
          {"samples", verification.result.samples},
          {"tolerance", verification.tolerance},
          {"verified", verification.failure.empty()},
          {"outputs", error_rows(verification.result.outputs)}};
}

nlohmann::json manifest_of(const CompileOptions& options, const Report& report,
                           const std::optional<Verification>& verification) {
  nlohmann::json passes = nlohmann::json::array();
  for (const StepRow& step : report.steps)
    if (step.changes > 0) passes.push_back({{"pass", step.pass}, {"changes", step.changes}});
  nlohmann::json manifest = {{"schema", "lathe.manifest"},
                             {"schema_version", "1.0"},
                             {"lathe_version", report.tool.version},
                             {"source_sha256", report.model->sha256},
                             {"recipe", report.recipe},
                             {"target", options.target},
                             {"passes", std::move(passes)},
                             {"nodes_before", *report.model->nodes},
                             {"verified", verification.has_value()},
                             {"expected_environment", {{"engine", "onnxruntime"}}}};
  if (verification) manifest["verification"] = verification_json(options, *verification);
  return manifest;
}

void require_known_passes(const CompileOptions& options, const Pipeline& pipeline) {
  std::vector<std::string> names;
  for (const PipelineStep& step : pipeline.steps()) names.push_back(step.pass);
  for (const std::string& wanted : options.disabled)
    if (std::find(names.begin(), names.end(), wanted) == names.end())
      throw bad_usage("usage.pass", "there is no pass '" + escape_untrusted(wanted) + "'",
                      "--disable-pass", name_hint(wanted, names));
}

int64_t node_count(const Graph& graph) {
  int64_t count = 0;
  for_each_graph(graph,
                 [&](const Graph& inner) { count += static_cast<int64_t>(inner.node_count()); });
  return count;
}

}  // namespace

int run_compile(const CompileOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  if (common.output.empty() && !common.dry_run)
    throw bad_usage("usage.output", "where should the model go?", "-o", "add -o OUT.onnx");
  std::vector<std::string> outputs;
  if (!common.dry_run) outputs = {common.output, common.output + ".manifest.json"};
  if (!common.report.empty()) outputs.push_back(common.report);
  check_outputs(outputs, common.force, {options.model});
  const auto start = std::chrono::steady_clock::now();
  const int threads = use_threads(common);
  const Profile profile = load_profile(common.profile);
  Report report = start_report("compile", common);
  Model model = open_model(options.model, common);
  report.model = model_facts(options.model, model);
  Graph& graph = model.graph;
  for (const std::string& shape : options.input_shapes) fix_input_shape(graph, shape);
  if (!options.input_shapes.empty()) {
    forget_inner_shapes(graph);
    infer_shapes(graph);
  }
  const Graph original = graph;
  const std::set<std::string> disabled(options.disabled.begin(), options.disabled.end());
  Pipeline pipeline(graph, {.disabled = disabled, .dump = {}, .check = throw_if_interrupted});
  optimize_graph(graph, pipeline);
  require_known_passes(options, pipeline);
  record_steps(pipeline, report);
  const int64_t before = node_count(original);
  const int64_t after = node_count(graph);
  if (common.dry_run) {
    console.print(fmt::format("{} nodes would become {}; nothing was written\n", before, after));
    console.deliver(to_json(report), common);
    return 0;
  }
  if (options.opset) model.opset = *options.opset;
  const WrittenModel written = write_model_for(model, profile, options.opset, common.output);

  std::optional<Verification> verification;
  if (options.verify != "off") {
    const Model reread = read_back(written, model);
    verification = verify_compiled(options, original, reread.graph, threads, console);
    report.details["verification"] = verification_json(options, *verification);
  }
  const bool failed = verification && !verification->failure.empty();
  throw_if_interrupted();
  if (!failed) {
    publish_model(written, manifest_of(options, report, verification), common, report);
    model.opset = written.opset;
    report.model_out = model_facts(common.output, model);
    report.model_out->parent_sha256 = report.model->sha256;
  }
  report.exit_code = failed ? ExitCode::kGateMissed : ExitCode::kDone;
  report.run.duration_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count();
  if (failed) {
    console.print(console.bad("FAIL not verified, nothing was written") + ": " +
                  verification->failure + "\n  --disable-pass NAME leaves a pass out\n");
    console.deliver(to_json(report), common);
    return static_cast<int>(report.exit_code);
  }
  std::string text =
      verification ? console.good("compiled and verified") : "compiled, not verified";
  text += fmt::format(": {}  {} nodes (was {}), {} (was {}), opset {}\n", common.output, after,
                      before, bytes_text(report.model_out->file_bytes),
                      bytes_text(report.model->file_bytes), written.opset);
  if (verification)
    text += fmt::format("{} samples, allowed max|a-b|/max|a| {:.0e}\n\n",
                        verification->result.samples, verification->tolerance) +
            table(error_table(verification->result.outputs, 8));
  std::map<std::string, int64_t> changes;
  for (const StepRow& step : report.steps) changes[step.pass] += step.changes;
  std::vector<std::vector<std::string>> rows{{"pass", "changes"}};
  for (const auto& [pass, count] : changes)
    if (count > 0) rows.push_back({pass, std::to_string(count)});
  if (rows.size() > 1) text += "\n" + table(rows);
  console.print(text);
  console.deliver(to_json(report), common);
  return 0;
}

}  // namespace lathe

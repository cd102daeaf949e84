#include "commands/distill/integer_student.h"

#include "calibration/calibrate.h"
#include "commands/quantize/integer_rules.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_report.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "passes/passes.h"
#include "quantize/plan/precision_plan.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

// What integer_rules() reads of the flags.
QuantizeOptions quantize_options(const DistillOptions& options) {
  QuantizeOptions quantize;
  quantize.common = options.common;
  quantize.weight_granularity = options.weight_granularity;
  quantize.include = options.include;
  quantize.exclude = options.exclude;
  return quantize;
}

IntegerRules rules_of(const DistillOptions& options, const Profile& profile, const Graph& graph) {
  IntegerRules rules = integer_rules(profile, quantize_options(options), graph);
  rules.weight_only = options.mode == "weight-only";
  if (options.weight_bits == 4) rules.weight_dtype = DType::kInt4;
  return rules;
}

}  // namespace

IntegerStudent::IntegerStudent(const DistillOptions& options, Model& student,
                               const Profile& profile, int threads, Console& console) {
  Graph& graph = student.graph;
  const IntegerRules rules = rules_of(options, profile, graph);
  PrecisionPlan plan = select_nodes(graph, rules);
  if (plan.nodes.empty())
    throw bad_input("distill.no_integers", "no node of the student can become integer", {},
                    "leave --quantization-aware out");
  Statistics statistics;
  if (!rules.weight_only) {
    const DataSet data =
        open_data_for(options.data, student, calibration_samples(options.samples, options.data),
                      options.common, console);
    statistics =
        calibrate(Interpreter(graph), calibration_targets(graph, plan), sample_source(data),
                  sample_run(threads, console, "calibrating", data.size()));
  }
  plan = plan_precision(graph, rules, std::move(plan), statistics,
                        *observer_from_name(options.observer));
  coverage_ = coverage_text(graph, plan);
  plan_json_ = plan_section(graph, plan);
  separate_readers(graph, plan);
  infer_shapes(graph);
  QuantizationAwareOptions aware;
  aware.learn_weights = aware.learn_activations = options.step_sizes == "learned";
  aware_ = std::make_unique<QuantizationAware>(graph, std::move(plan), aware);
}

Graph IntegerStudent::quantized(const Graph& trained) const {
  Graph graph = trained;
  insert_qdq(graph, aware_->learned_plan(trained));
  eliminate_identities(graph);
  return graph;
}

}  // namespace lathe

#include "commands/distill/make_student.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

#include "commands/prune/prune_report.h"
#include "distill/fresh_student.h"
#include "distill/separable_student.h"
#include "distill/student_fit.h"
#include "graph/simplify.h"
#include "heavy/model_data.h"
#include "heavy/refuse_quantized.h"
#include "heavy/step_progress.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "passes/pipeline.h"
#include "prune/output_noise.h"
#include "prune/prune_plan.h"
#include "prune/repair.h"
#include "run/interpreter.h"
#include "torchscript/read/load_torchscript.h"

namespace lathe {
namespace {

// Normalizations are trained; integers want them folded.
void prepare(Graph& graph, bool fold) {
  PipelineOptions options;
  options.check = throw_if_interrupted;
  if (!fold) options.disabled = {"fuse_batch_norm", "fuse_channel_affine"};
  Pipeline pipeline(graph, options);
  simplify(graph, pipeline);
}

class Maker {
 public:
  Maker(const DistillOptions& options, const DistillRequest& request, const Model& teacher,
        const DataSet* data, int threads, Console& console)
      : options_(options),
        request_(request),
        teacher_(teacher),
        data_(data),
        threads_(threads),
        console_(console) {}

  Student make() {
    const bool file = request_.source == StudentSource::kFile;
    student_.model =
        file ? open_beside(request_.file, options_.teacher, options_.common, console_) : teacher_;
    student_.origin = file ? "a network of its own" : "the teacher";
    Graph& graph = student_.model.graph;
    refuse_quantized(graph,
                     "the student must be a float model; --quantization-aware makes "
                     "integers of it while it learns");
    if (options_.quantization_aware) widen_float16(graph);  // as quantize does
    prepare(graph, options_.quantization_aware);
    require_fit(teacher_.graph, graph);
    if (!options_.student_width.empty()) narrow();
    if (options_.student_separable) separate();
    if (!file) student_.model.metadata.erase("lathe.prune.channels");
    if (request_.fresh) refresh();
    infer_shapes(graph);
    return std::move(student_);
  }

 private:
  bool inherits() const { return !request_.fresh; }

  // One choice of channels, repaired.
  struct Narrowed {
    Graph graph;
    PrunePlan plan;
    ChannelCriterion criterion = ChannelCriterion::kL2;
  };

  void narrow() {
    const Graph dense = student_.model.graph;
    const std::vector<ChannelGroup> groups = find_channel_groups(dense);
    std::vector<ChannelCriterion> criteria{ChannelCriterion::kL2};
    CriterionData data;
    // Whether weights or what channels do on data say more differs from network to network. Which
    // ones stay does not matter to fresh weights.
    if (inherits() && data_ != nullptr && data_->size() >= 8 && data_->carry().empty()) {
      data.activations =
          measure_activations(Interpreter(dense), groups, sample_source(*data_),
                              sample_run(threads_, console_, "measuring channels", data_->size()));
      criteria.push_back(ChannelCriterion::kActivation);
    }
    std::optional<Narrowed> best;
    double least = 0;
    for (const ChannelCriterion criterion : criteria) {
      Narrowed one = narrowed(dense, groups, criterion, data);
      const double noise =
          criteria.size() > 1 ? output_noise(dense, one.graph, *data_, threads_) : 0;
      if (best && noise >= least) continue;
      least = noise;
      best = std::move(one);
    }
    student_.model.graph = std::move(best->graph);
    PruneRequest described;
    described.structure = PruneStructure::kChannel;
    described.share = 1 - request_.width;
    described.criterion = best->criterion;
    student_.plan = plan_json(described, best->plan);
    student_.plan_lines += plan_text(best->plan);
    student_.origin += " at " + percent_text(request_.width) + " width";
    if (best->plan.removed == 0)
      student_.notes.emplace_back("the student is as wide as the teacher: nothing could go");
  }

  Narrowed narrowed(const Graph& dense, const std::vector<ChannelGroup>& groups,
                    ChannelCriterion criterion, const CriterionData& data) {
    Narrowed one{dense, {}, criterion};
    ChoiceOptions choice;
    choice.kind = GroupKind::kAll;
    one.plan = removal(dense, groups, score_channels(dense, groups, criterion, data), choice);
    remove_channels(one.graph, groups, one.plan.kept());
    repair_from(dense, kept_outputs(dense, groups, one.plan.kept()), one.graph);
    return one;
  }

  // Without the hints of lathe prune, whose flags are others.
  PrunePlan removal(const Graph& graph, const std::vector<ChannelGroup>& groups,
                    const std::vector<GroupScores>& scores, const ChoiceOptions& choice) const {
    try {
      return RemovalOrder(graph, groups, scores, choice).plan_sparsity(1 - request_.width);
    } catch (const Error& error) {
      if (error.id() != "prune.nothing") throw;
      throw bad_input("distill.width", error.text().message, "--student-width",
                      "give a student of its own with --student, or leave out --student-width");
    }
  }

  void separate() {
    Graph& graph = student_.model.graph;
    require_matches(request_.nodes, graph);
    const Graph dense = graph;
    SeparableOptions separable;
    separable.selects = [&](const Node& node) { return request_.nodes.selects(node); };
    const SeparablePlan plan = plan_separable(graph, separable);
    if (plan.rows.empty())
      throw bad_input("distill.separable", "no convolution would get smaller", {},
                      "it needs dense convolutions with kernels above 1x1 and constant weights");
    make_separable(graph, plan);
    nlohmann::json rows = nlohmann::json::array();
    for (const SeparableRow& row : plan.rows) {
      rows.push_back({{"node", escape_untrusted(row.name)},
                      {"relative_error", row.relative_error},
                      {"params_before", row.params_before},
                      {"params_after", row.params_after}});
      student_.plan_lines +=
          fmt::format("{}: {} → {} weights, error {:.2g}\n", escape_untrusted(row.name),
                      row.params_before, row.params_after, row.relative_error);
    }
    student_.plan["separable"] = std::move(rows);
    student_.origin += fmt::format(", {} convolutions separable", plan.rows.size());
    repair_from(dense, {}, graph);
  }

  // Fits what is left to what the dense network computed.
  void repair_from(const Graph& dense, const KeptOutputs& kept, Graph& graph) {
    if (!inherits() || data_ == nullptr) return;
    RepairOptions options;
    options.threads = threads_;
    options.seed = options_.common.seed;
    options.check = throw_if_interrupted;
    options.progress = step_progress(console_, "repairing", "layers");
    repair(dense, graph, kept, sample_source(*data_), options);
  }

  void refresh() {
    Graph& graph = student_.model.graph;
    student_.normalized = insert_batch_norm(graph) > 0;
    make_fresh(graph, options_.common.seed);
    student_.origin += ", fresh weights";
  }

  const DistillOptions& options_;
  const DistillRequest& request_;
  const Model& teacher_;
  const DataSet* data_;
  int threads_;
  Console& console_;
  Student student_;
};

}  // namespace

Model open_beside(const std::string& file, const std::string& other, const CommonOptions& common,
                  Console& console) {
  if (other.empty() || is_torchscript_file(file) || !is_torchscript_file(other))
    return open_model(file, common, console);
  CommonOptions own = common;
  own.input_types.clear();
  own.input_values.clear();
  try {
    return open_model(file, own, console);
  } catch (const Error& error) {
    if (error.id() != "usage.input_shape") throw;
  }
  own.input_shapes.clear();
  return open_model(file, own, console);
}

Student make_student(const DistillOptions& options, const DistillRequest& request,
                     const Model& teacher, const DataSet* data, int threads, Console& console) {
  return Maker(options, request, teacher, data, threads, console).make();
}

Graph finished_student(const Student& student, Graph trained) {
  if (student.normalized) fuse_batch_norm(trained);
  deduplicate_constants(trained);
  eliminate_dead_nodes(trained);
  infer_shapes(trained);
  return trained;
}

}  // namespace lathe

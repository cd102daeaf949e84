// lathe distill: open the teacher, open or make the student, train it, evaluate, publish.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "command_run.h"
#include "commands/distill/distill_request.h"
#include "commands/distill/integer_student.h"
#include "commands/distill/make_student.h"
#include "commands/prune/latency_figures.h"
#include "commands/prune/size_figures.h"
#include "commands/prune/stage_metrics.h"
#include "commands/quantize/quantize_report.h"
#include "commands/training/fine_tune.h"
#include "commands/training/training_recipe.h"
#include "distill/epoch_metric.h"
#include "distill/student_fit.h"
#include "graph/simplify.h"
#include "heavy/commands.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "os/quantity.h"
#include "os/read_file.h"
#include "os/sha256.h"
#include "os/signals.h"
#include "passes/pipeline.h"
#include "prune/training_masks.h"
#include "train/process_group.h"
#include "train/taught_outputs.h"

namespace lathe {
namespace {

constexpr int64_t kMaxManifestBytes = int64_t{1} << 24;

// What an earlier run of ours left there; --resume goes on to replace it.
bool is_student(const std::string& output) {
  const std::string manifest = output + ".manifest.json";
  std::error_code ignored;
  if (!std::filesystem::exists(manifest, ignored)) return false;
  const auto found = nlohmann::json::parse(read_file(manifest, kMaxManifestBytes), nullptr, false);
  return found.is_object() && found.value("command", nlohmann::json()) == "distill";
}

class Distillation {
 public:
  Distillation(const DistillOptions& options, std::optional<ProcessEnvironment> environment,
               Console& console)
      : options_(options),
        common_(options.common),
        environment_(std::move(environment)),
        console_(console),
        request_(distill_request(options)),
        run_(begin_run("distill", common_, console)),
        training_(options.training) {}

  int run() {
    replace_ = common_.force ||
               (options_.training.resume && !common_.output.empty() && is_student(common_.output));
    require_output(common_, "student", "OUT.onnx");
    CommonOptions replacing = common_;
    replacing.force = replace_;
    check_files(replacing, planned_files(common_),
                {options_.teacher, options_.student, options_.student_from_pruned, options_.data,
                 options_.eval});
    check_flags();
    threads_ = use_threads(common_);
    open();
    if (common_.dry_run) return finish_dry_run();
    if (environment_) processes_ = join_processes(*environment_, throw_if_interrupted);
    train();
    if (!is_first()) return 0;
    publish();
    measure();
    return finish();
  }

 private:
  // Of processes that train together, one evaluates and writes.
  bool is_first() const { return !environment_ || environment_->rank == 0; }

  void check_flags() const {
    TrainingOptions training = options_.training;
    // A dry run makes no folder.
    if (common_.dry_run && !training.checkpoint.empty()) {
      training.checkpoint.clear();
      training.resume = false;
    }
    check_training(training, common_.force);
  }

  void open() {
    teacher_ = open_beside(options_.teacher, request_.file, common_, console_);
    report_.model = model_facts(options_.teacher, teacher_);
    const bool random = options_.data == "random";
    std::optional<DataSet> repair;
    if (!common_.dry_run && is_repaired(options_, request_))
      repair = open_data_for(options_.data, teacher_, options_.samples.value_or(2000), common_,
                             console_);
    student_ =
        make_student(options_, request_, teacher_, repair ? &*repair : nullptr, threads_, console_);
    notes_ = student_.notes;
    if (random) notes_.emplace_back("random data teach little: give real --data");
    prepare_teacher();
    if (options_.quantization_aware) {
      integers_.emplace(options_, student_.model, run_.profile, threads_, console_);
      report_.plan = integers_->plan_json();
      if (!student_.plan.is_null()) report_.plan["student"] = student_.plan;
    } else {
      report_.plan = student_.plan;
    }
    initial_ = student_.model.graph;
    // What cannot be written for the device must not be found out after hours of training.
    Graph start = finished(initial_);
    bytes_of(start);
    if (!options_.eval.empty() && !request_.fresh && is_first()) start_ = std::move(start);
    data_ = open_data_for(options_.data, student_.model, 0, common_, console_);
    if (options_.training.label_smoothing > 0 && !data_->has_labels())
      throw bad_usage("usage.label_smoothing", "the data have no labels to smooth",
                      "--label-smoothing", "leave it out, or give data with labels");
    if (options_.eval.empty()) return;
    eval_ = open_data_for(options_.eval, student_.model, 0, common_, console_);
    const Metric metric = !options_.metric.empty() || eval_->has_labels() || gives_scores()
                              ? choose_metric(options_.metric, eval_->has_labels())
                              : Metric::kMse;
    // Labels of classes, or a question for the class, say what the output is.
    training_.classes = training_.classes || metric == Metric::kTop1 || metric == Metric::kTop5 ||
                        options_.metric == "agreement";
    metrics_.emplace(teacher_graph_, *eval_, metric, threads_, console_, "teacher");
    if (eval_->carry().empty()) epoch_metric_.emplace(teacher_graph_, *eval_, metric);
  }

  // The first output is, or may be, scores of classes: a vector, or what a Softmax makes.
  bool gives_scores() const {
    const auto& dims = teacher_graph_.value(teacher_graph_.outputs()[0]).type.dims;
    if (!dims) return true;
    const auto rank = static_cast<int64_t>(dims->size());
    const bool vector = std::all_of(dims->begin() + std::min<int64_t>(rank, 2), dims->end(),
                                    [](const Dim& dim) { return dim.size == 1; });
    return vector || taught_value(teacher_graph_, 0, 0, rank).class_axis >= 0;
  }

  void prepare_teacher() {
    teacher_graph_ = teacher_.graph;
    align_teacher(teacher_graph_, student_.model.graph);
    // Simplification may take away the inner values that were named.
    if (!request_.features.empty() || !request_.attention.empty()) return;
    Pipeline pipeline(teacher_graph_, {.disabled = {}, .dump = {}, .check = throw_if_interrupted});
    simplify(teacher_graph_, pipeline);
  }

  int finish_dry_run() {
    std::string text = "plan: " + student_.origin;
    if (integers_) text += " · " + integers_->coverage();
    report_.details["notes"] = notes_;
    return finish_run(run_, text + "\n" + student_.plan_lines + "no model was written\n");
  }

  // What is written: batch normalization folded, integers put in.
  Graph finished(const Graph& trained) const {
    return finished_student(student_, integers_ ? integers_->quantized(trained) : trained);
  }

  void train() {
    if (start_) add_stage(*metrics_, *start_, "start", 0, stages_);
    FineTuneTask task{initial_, &teacher_graph_, *data_, training_};
    task.label = "distilling";
    task.seed = common_.seed;
    task.threads = threads_;
    task.replace_checkpoint = common_.force;
    task.keep_best = true;
    task.recipe = recipe();
    for (const NamedPair& pair : request_.features)
      task.features.push_back(
          {pair.teacher, pair.student, FeatureKind::kFeatures, options_.feature_weight});
    for (const NamedPair& pair : request_.attention)
      task.features.push_back(
          {pair.teacher, pair.student, FeatureKind::kAttention, options_.feature_weight});
    if (request_.keep_sparsity)
      task.hooks.on_start = [](TrainableGraph& graph, int64_t, int64_t) { mask_zeros(graph); };
    if (integers_) task.integers = &integers_->aware();
    if (metrics_) {
      task.higher_is_better = is_higher_better(metrics_->metric());
      task.validate = [this](const Graph& graph) {
        const Graph now = finished(graph);
        const std::optional<double> value =
            epoch_metric_ ? epoch_metric_->value(now) : metrics_->measure_quietly(now, 0).value;
        return value.value_or(NAN);
      };
    }
    task.processes = processes_.get();
    if (is_first())
      task.on_better = [this](const Graph& graph, const EpochRecord& record) {
        publish_meanwhile(graph, record);
      };
    tuned_ = fine_tune(task, console_);
    for (const std::string& note : tuned_.notes) notes_.push_back(note);
    report_.details["training"] = training_json(tuned_);
  }

  std::map<std::string, std::string> recipe() const {
    return {{"student", student_.origin},
            {"threads", std::to_string(threads_)},
            {"features", nlohmann::json(options_.features).dump()},
            {"attention", nlohmann::json(options_.attention).dump()},
            {"feature-weight", fmt::format("{}", options_.feature_weight)},
            {"keep-sparsity", request_.keep_sparsity ? "yes" : "no"},
            {"integers", options_.quantization_aware
                             ? fmt::format("{} {} bits, one scale a {}, {} step sizes",
                                           options_.mode, options_.weight_bits,
                                           options_.weight_granularity, options_.step_sizes)
                             : "none"},
            // Which nodes, and their calibrated ranges.
            {"plan", sha256_hex(report_.plan.dump()).substr(0, kHashDigits)},
            {"eval", metrics_ ? fmt::format("{} of {} samples", metric_name(metrics_->metric()),
                                            eval_->size())
                              : "none"}};
  }

  nlohmann::json manifest_of(const Graph& graph) const {
    nlohmann::json manifest = manifest_json(run_, teacher_.graph, graph);
    manifest["student"] = student_.origin;
    if (integers_) manifest["precision"] = integers_->coverage();
    return manifest;
  }

  WrittenModel bytes_of(const Graph& graph) const {
    return write_model_for(with_graph(graph), run_.profile, options_.opset, common_.output);
  }

  void write(const WrittenModel& written, const nlohmann::json& manifest, Report& report) {
    report.artifacts.clear();
    publish_model(written, manifest, common_.output, replace_, report);
    // From now on the file there is ours.
    replace_ = true;
  }

  // Whatever ends the process, the best student so far is there.
  void publish_meanwhile(const Graph& graph, const EpochRecord& record) {
    if (start_ && is_better(stages_[1].value, record.metric)) return;
    const Graph best = finished(graph);
    Report partial = report_;
    nlohmann::json manifest = manifest_of(best);
    manifest["complete"] = false;
    manifest["verified"] = record.metric.has_value();
    manifest["verification"] = record.metric ? nlohmann::json(*record.metric) : nlohmann::json();
    if (!record.metric) manifest["verification_reason"] = "no --eval data were given";
    write(bytes_of(best), manifest, partial);
  }

  void publish() {
    final_ = finished(tuned_.graph);
    WrittenModel written = bytes_of(final_);
    const Model reread = read_back(written, with_graph(final_));
    if (metrics_) add_stage(*metrics_, reread.graph, "distilled", tuned_.seconds, stages_);
    if (start_ && is_better(stages_[1].value, stages_.back().value)) {
      kept_start_ = true;
      final_ = *start_;
      written = bytes_of(final_);
    }
    throw_if_interrupted();
    if (metrics_) {
      report_stages(metrics_->metric(), stages_, result(), "the teacher", report_);
      if (kept_start_)
        notes_.emplace_back(
            "training made the student worse: what was written is the student as it started; try a "
            "lower --lr, --lr-schedule cosine or more data");
      else if (tuned_.best_epoch && tuned_.epochs.size() > 1)
        notes_.push_back(fmt::format(
            "epoch {} of {} was the best on --eval and is what was written: its figure is a little "
            "flattered by that choice (last epoch: {})",
            *tuned_.best_epoch + 1, tuned_.epochs.size(),
            metric_text(metrics_->metric(), tuned_.epochs.back().metric)));
    }
    nlohmann::json manifest = manifest_of(final_);
    manifest["complete"] = true;
    add_stages(report_, manifest);
    write(written, manifest, report_);
    note_output(run_, with_graph(final_), written);
  }

  bool is_better(const std::optional<double>& one, const std::optional<double>& other) const {
    if (!one || !other || std::isnan(*other)) return one.has_value();
    return is_higher_better(metrics_->metric()) ? *one > *other : *one < *other;
  }

  // Stages: the teacher, the start unless it is fresh, the trained student.
  const StageFigure& result() const { return kept_start_ ? stages_[1] : stages_.back(); }

  Model with_graph(const Graph& graph) const {
    Model model = student_.model;
    model.graph = graph;
    return model;
  }

  void measure() {
    before_ =
        size_figures(options_.teacher, *report_.model, teacher_.graph, run_.profile, console_);
    after_ = size_figures(common_.output, *report_.model_out, final_, run_.profile, console_);
    report_.details["sizes"] = sizes_json(before_, after_);
    if (options_.latency != "off")
      latencies_ =
          report_latency(run_, teacher_graph_, final_, &*data_, student_.model, threads_, notes_);
  }

  int finish() {
    report_.details["notes"] = notes_;
    report_.details["distill"] = {{"student", student_.origin}, {"loss", tuned_.loss}};
    const bool missed = request_.max_drop && !stages_.empty() &&
                        result().drop.value_or(INFINITY) > *request_.max_drop;
    report_.exit_code = missed ? ExitCode::kGateMissed : ExitCode::kDone;
    return finish_run(run_, text(missed));
  }

  std::string text(bool missed) const {
    std::string out = missed ? console_.bad("FAIL --max-drop " + options_.max_drop + " missed")
                             : console_.good("distilled");
    out += fmt::format(
        ": {}  {} ({} of the teacher's {})\n", common_.output, bytes_text(after_.file_bytes),
        size_left_text(before_.file_bytes, after_.file_bytes), bytes_text(before_.file_bytes));
    out += student_.origin;
    if (integers_) out += " · " + integers_->coverage();
    out += fmt::format(" · {} epochs in {:.0f} s, {:.0f} samples/s", tuned_.epochs.size(),
                       tuned_.seconds, tuned_.samples_per_s);
    if (tuned_.processes > 1) out += fmt::format(" in {} processes", tuned_.processes);
    out += "\n";
    if (!stages_.empty()) out += "\n" + table(stages_table(metrics_->metric(), stages_));
    out += "\n" + table(sizes_table(before_, after_));
    if (!latencies_.empty()) out += "\n" + table(latency_table(latencies_));
    out += "\nloss: " + tuned_.loss + "\n";
    for (const std::string& note : notes_) out += "note: " + note + "\n";
    if (options_.eval.empty())
      out += "hint: --eval DATA says how good the student is, and keeps its best epoch\n";
    return out;
  }

  const DistillOptions& options_;
  const CommonOptions& common_;
  const std::optional<ProcessEnvironment> environment_;
  std::unique_ptr<Processes> processes_;
  Console& console_;
  const DistillRequest request_;
  CommandRun run_;
  Report& report_ = run_.report;
  bool replace_ = false;  // the output: it is ours, or may go
  int threads_ = 1;
  Model teacher_;        // as read
  Graph teacher_graph_;  // simplified
  Student student_;
  Graph initial_;
  TrainingOptions training_;
  std::optional<Graph> start_;  // as it would be written before any training
  bool kept_start_ = false;
  std::optional<IntegerStudent> integers_;
  std::optional<DataSet> data_;
  std::optional<DataSet> eval_;
  std::optional<StageMetrics> metrics_;
  std::optional<EpochMetric> epoch_metric_;
  FineTuned tuned_;
  Graph final_;
  std::vector<StageFigure> stages_;
  std::vector<std::string> notes_;
  SizeFigures before_;
  SizeFigures after_;
  std::vector<LatencyRow> latencies_;
};

}  // namespace

int run_distill(const DistillOptions& options, Console& console) {
  std::optional<ProcessEnvironment> environment;
  if (!options.common.dry_run) environment = process_environment();
  if (!environment || environment->rank == 0)
    return Distillation(options, std::move(environment), console).run();
  DistillOptions silent = options;
  silent.common.quiet = true;
  silent.common.report.clear();
  silent.common.html.clear();
  Console quiet(silent.common);
  return Distillation(silent, std::move(environment), quiet).run();
}

}  // namespace lathe

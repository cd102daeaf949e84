#include "commands/quantize/target_search.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "commands/quantize/search_file.h"
#include "heavy/model_artifact.h"
#include "os/sha256.h"
#include "os/signals.h"
#include "stopwatch.h"

namespace lathe {
namespace {

// Time to write the best model after an interrupt; lathe ends by force when it is over.
constexpr unsigned kWritingSeconds = 60;
constexpr unsigned kUsualGraceSeconds = 2;
constexpr double kRounding = 1e-9;

class WritingGrace {
 public:
  WritingGrace() { set_interrupt_grace(kWritingSeconds); }
  // After a signal the time is needed until the model is written.
  ~WritingGrace() {
    if (!interrupted()) set_interrupt_grace(kUsualGraceSeconds);
  }
  WritingGrace(const WritingGrace&) = delete;
  WritingGrace& operator=(const WritingGrace&) = delete;
};

std::string key_of(const QuantizeJob& job, const DecidingMetric& metric, const Graph& full) {
  Model model = job.model;
  model.graph = full;
  const WrittenModel written =
      write_model_for(model, job.profile, job.options.opset, job.options.common.output);
  Sha256 hash;
  hash.update(written.model_bytes);
  for (const ExternalPiece& piece : written.external) hash.update(piece.tensor.bytes());
  hash.update(metric.key);
  return hash.hex();
}

class Searcher {
 public:
  Searcher(const QuantizeJob& job, const DecidingMetric& metric, const LayerSearch& layers,
           double allowed)
      : job_(job), metric_(metric), layers_(layers), options_{.allowed = allowed + kRounding} {}

  TargetSearch run(const MetricReading& full) {
    const WritingGrace grace;
    MixedPrecision& search = found_.search;
    readings_[{}] = full;
    search.judged = {{{}, full.drop}};
    try {
      const Stopwatch start;
      found_.sensitivity = layers_.measure(job_);
      found_.sensitivity_s = start.seconds();
      found_.ranking = layers_.rank(*found_.sensitivity);
      if (!layers_.kept_in.empty()) load();
      find_mixed_precision(
          found_.ranking, [this](const std::set<NodeId>& left) { return judge(left); }, options_,
          search);
      read_best();
    } catch (const Error& error) {
      const bool signal =
          error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated;
      if (!signal && !judging_) throw;
      found_.stopped_by = error;
    }
    const JudgedNodes& best = search.found();
    if (const auto it = readings_.find(best.left_in_float); it != readings_.end())
      found_.reading = it->second;
    else
      found_.reading = full;
    found_.reading.drop = best.drop;
    return std::move(found_);
  }

 private:
  void load() {
    key_ = key_of(job_, metric_, layers_.make({}).graph);
    std::vector<JudgedNodes>& judged = found_.search.judged;
    for (JudgedNodes& row : load_search(layers_.kept_in, key_, layers_.reference))
      if (!row.left_in_float.empty()) judged.push_back(std::move(row));
    found_.reused = judged.size() - 1;
  }

  double judge(const std::set<NodeId>& left) {
    throw_if_interrupted();
    const MetricReading reading = read(left);
    readings_[left] = reading;
    std::vector<JudgedNodes> known = found_.search.judged;
    known.push_back({left, reading.drop});
    save_search(layers_.kept_in, key_, layers_.reference, known);
    job_.console.detail(fmt::format("{} of {} layers in float: {} {}", left.size(),
                                    found_.ranking.size(), metric_.name, drop_text(reading)));
    return reading.drop;
  }

  MetricReading read(const std::set<NodeId>& left) {
    const Graph candidate = layers_.make(left).graph;
    judging_ = true;
    const MetricReading reading = metric_.read(candidate);
    judging_ = false;
    return reading;
  }

  // A best that was taken from the file has only its drop.
  void read_best() {
    const std::set<NodeId>& left = found_.search.found().left_in_float;
    if (!readings_.contains(left)) readings_[left] = read(left);
  }

  const QuantizeJob& job_;
  const DecidingMetric& metric_;
  const LayerSearch& layers_;
  MixedPrecisionOptions options_;
  TargetSearch found_;
  std::map<std::set<NodeId>, MetricReading> readings_;
  std::string key_;
  bool judging_ = false;  // an error of the metric costs no results
};

}  // namespace

bool holds_target(double drop, double allowed) { return drop <= allowed + kRounding; }

std::vector<NodeId> TargetSearch::left_in_float() const {
  std::vector<NodeId> left;
  for (const NodeId id : ranking)
    if (search.found().left_in_float.contains(id)) left.push_back(id);
  return left;
}

TargetSearch search_target(const QuantizeJob& job, const DecidingMetric& metric,
                           const LayerSearch& layers, double allowed, const MetricReading& full) {
  return Searcher(job, metric, layers, allowed).run(full);
}

}  // namespace lathe

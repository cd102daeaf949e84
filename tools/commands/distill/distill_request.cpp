#include "commands/distill/distill_request.h"

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

void read_source(const DistillOptions& options, DistillRequest& request) {
  const bool made = !options.student_width.empty() || options.student_separable;
  const int files = !options.student.empty() + !options.student_from_pruned.empty();
  if (files == 2 || (files == 1 && made))
    throw bad_usage("usage.student", "a student comes from one place", "--student",
                    "give a file (--student, --student-from-pruned), or have one made of the "
                    "teacher (--student-width, --student-separable)");
  if (files == 0 && !made && !options.quantization_aware)
    throw bad_usage("usage.student", "which network should learn?", "--student",
                    "give --student MODEL, --student-width 50%, --student-separable, or "
                    "--quantization-aware");
  if (files == 1) {
    request.source = StudentSource::kFile;
    request.file = options.student.empty() ? options.student_from_pruned : options.student;
  }
  if (options.student_width.empty()) return;
  request.width = parse_fraction(options.student_width, "--student-width");
  if (request.width <= 0)
    throw bad_usage("usage.student_width", "nothing is left of a width of 0", "--student-width",
                    "the share of the channels that stays: 50%");
}

void check_init(const DistillOptions& options, const DistillRequest& request) {
  if (!request.fresh) return;
  const auto refuse = [](const char* flag, std::string hint) {
    throw bad_usage("usage.student_init",
                    std::string("fresh weights and ") + flag + " exclude each other", flag,
                    std::move(hint));
  };
  if (request.keep_sparsity)
    refuse(options.keep_sparsity ? "--keep-sparsity" : "--student-from-pruned",
           "use --student-init inherited");
  if (options.quantization_aware)
    refuse("--quantization-aware", "distill in float first, then that student in integers");
}

void check_integers(const DistillOptions& options) {
  const DistillOptions defaults;
  if (options.quantization_aware) {
    if (options.mode == "weight-only" && options.observer != defaults.observer)
      throw bad_usage("usage.observer", "weights alone need no calibration", "--observer",
                      "leave it out, or use --mode static");
    return;
  }
  const auto require = [](bool same, const char* flag) {
    if (!same)
      throw bad_usage("usage.quantization_aware",
                      std::string(flag) + " is for --quantization-aware", flag,
                      "add --quantization-aware, or leave it out");
  };
  require(options.mode == defaults.mode, "--mode");
  require(options.weight_bits == defaults.weight_bits, "--weight-bits");
  require(options.weight_granularity == defaults.weight_granularity, "--weight-granularity");
  require(options.step_sizes == defaults.step_sizes, "--step-sizes");
  require(options.observer == defaults.observer, "--observer");
  if (!options.student_separable && !(options.include.empty() && options.exclude.empty()))
    throw bad_usage("usage.include", "there is nothing to choose nodes for",
                    options.include.empty() ? "--exclude" : "--include",
                    "it is for --student-separable and --quantization-aware");
}

void check_eval(const DistillOptions& options) {
  if (!options.eval.empty()) {
    if (!options.max_drop.empty() && options.metric == "sqnr")
      throw bad_usage("usage.metric", "sqnr has no value of the teacher to fall from", "--max-drop",
                      "use another --metric");
    return;
  }
  const auto refuse = [](const char* flag, const char* what) {
    throw bad_usage("usage.eval", std::string(what) + " needs data to measure it on", flag,
                    "add --eval DATA");
  };
  if (!options.metric.empty()) refuse("--metric", "a metric");
  if (!options.max_drop.empty()) refuse("--max-drop", "a drop");
  if (options.training.patience > 0) refuse("--patience", "stopping early");
}

// What would be ignored, or do nothing.
void check_idle(const DistillOptions& options, const DistillRequest& request) {
  if (options.training.epochs == 0)
    throw bad_usage("usage.epochs", "no training in 0 epochs", "--epochs", "give 1 or more");
  const bool calibrates = options.quantization_aware && options.mode == "static";
  if (options.samples && !calibrates && !is_repaired(options, request))
    throw bad_usage("usage.samples", "nothing is calibrated or repaired here", "--samples",
                    "leave it out; training sees all of --data");
  const DistillOptions defaults;
  if (options.feature_weight != defaults.feature_weight && options.features.empty() &&
      options.attention.empty())
    throw bad_usage("usage.features", "there are no features to weigh", "--feature-weight",
                    "add --features or --attention");
}

std::vector<NamedPair> pairs(const std::vector<std::string>& texts, const char* flag) {
  std::vector<NamedPair> out;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      throw bad_usage("usage.features", "'" + escape_untrusted(text) + "' names no two values",
                      flag,
                      "TEACHER_VALUE=STUDENT_VALUE; a name that is not there lists those that are");
    out.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return out;
}

}  // namespace

bool is_repaired(const DistillOptions& options, const DistillRequest& request) {
  const bool made = !options.student_width.empty() || options.student_separable;
  return made && !request.fresh && options.data != "random";
}

DistillRequest distill_request(const DistillOptions& options) {
  DistillRequest request;
  if (options.teacher.empty())
    throw bad_usage("usage.teacher", "who should teach?", "--teacher", "add --teacher MODEL");
  if (options.data.empty())
    throw bad_usage("usage.data", "what should be learned on?", "--data",
                    "add --data DATA; labels are used where there are any");
  read_source(options, request);
  request.fresh = options.student_init == "fresh";
  request.keep_sparsity = options.keep_sparsity || !options.student_from_pruned.empty();
  check_init(options, request);
  check_integers(options);
  check_eval(options);
  check_idle(options, request);
  if (!options.max_drop.empty()) request.max_drop = parse_fraction(options.max_drop, "--max-drop");
  request.features = pairs(options.features, "--features");
  request.attention = pairs(options.attention, "--attention");
  request.nodes = {parse_selectors(options.include), parse_selectors(options.exclude)};
  return request;
}

}  // namespace lathe

#include "train/teaching.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "ir/error.h"
#include "run/foreign_errors.h"
#include "train/batch_loader.h"
#include "train/loss_terms.h"

namespace lathe {
namespace {

constexpr size_t kProbedSamples = 64;  // for the variance of the teacher's outputs

int64_t axis_of(const std::vector<int64_t>& axes, size_t index) {
  return index < axes.size() ? axes[index] : 0;
}

void check_options(const TeachingOptions& options, bool teacher, bool labels) {
  const auto refuse = [](std::string what, const char* where, std::string hint) {
    return bad_usage("train.teaching", std::move(what), where, std::move(hint));
  };
  if (!teacher && !labels)
    throw refuse("there is nothing to learn from", "--data", "give data with labels, or a teacher");
  if (!(options.temperature > 0 && std::isfinite(options.temperature)))
    throw refuse(fmt::format("a temperature of {}", options.temperature), "--temperature",
                 "it must be above 0; 2 to 8 are usual");
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    throw refuse(fmt::format("a label smoothing of {}", options.label_smoothing),
                 "--label-smoothing", "it is 0 or more and below 1; 0.1 is usual");
  if (!options.features.empty() && !teacher)
    throw refuse("features are compared with a teacher's, and there is none", "--features",
                 "give a teacher");
  for (const FeatureMatch& match : options.features)
    if (!(match.weight > 0 && std::isfinite(match.weight)))
      throw refuse(
          fmt::format("a weight of {} for {}", match.weight, escape_untrusted(match.student)),
          "--features", "it must be above 0");
  if (!options.alpha) return;
  if (!(*options.alpha >= 0 && *options.alpha <= 1))
    throw refuse(fmt::format("alpha {}", *options.alpha), "--alpha",
                 "the teacher's share is within 0..1");
  if (*options.alpha < 1 && !labels)
    throw refuse(fmt::format("alpha {} needs labels, and the data have none", *options.alpha),
                 "--alpha", "add \"labels\" to the data's spec, or leave --alpha out");
}

size_t partner_of(const Graph& student, size_t index, const Graph& teacher) {
  const std::string& name = student.value(student.outputs()[index]).name;
  for (size_t i = 0; i < teacher.outputs().size(); ++i)
    if (teacher.value(teacher.outputs()[i]).name == name) return i;
  return index;
}

class Maker {
 public:
  Maker(const Graph& student, const Graph* teacher, const SampleSource& source,
        const std::function<Tensor(size_t)>& labels, const TeachingOptions& options)
      : student_(student),
        teacher_(teacher),
        source_(source),
        labels_(labels),
        options_(options),
        terms_(std::make_shared<LossTerms>()) {}

  Teaching make() {
    check_options(options_, teacher_ != nullptr, static_cast<bool>(labels_));
    if (source_.count == 0) throw bad_input("train.data", "there are no samples");
    if (teacher_ != nullptr && teacher_->inputs().size() != student_.inputs().size())
      throw bad_input("train.teacher",
                      fmt::format("the teacher has {} inputs, the student {}",
                                  teacher_->inputs().size(), student_.inputs().size()),
                      {}, "both must take the same inputs");
    terms_->count = source_.count;
    terms_->temperature = options_.temperature;
    terms_->label_smoothing = options_.label_smoothing;
    terms_->check = options_.check;
    const std::vector<at::Tensor> outputs = outputs_of(student_);
    for (size_t i = 0; i < outputs.size(); ++i) add_loss_term(i, outputs[i]);
    for (const LossTerm& term : terms_->all) result_.outputs.push_back(term.student.value);
    if (!options_.features.empty()) add_features();
    if (terms_->all.empty() && terms_->features.empty())
      throw bad_input("train.outputs", "no output of the model can be compared with anything", {},
                      result_.notes.empty() ? "" : result_.notes.front());
    if (teacher_ != nullptr) ask_teacher();
    return finish();
  }

 private:
  std::vector<at::Tensor> outputs_of(const Graph& graph) const {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& tensor : source_.sample(0)) inputs.push_back(to_runtime(tensor));
    std::vector<at::Tensor> outputs;
    for (const RuntimeValue& output : Interpreter(graph).run(std::move(inputs)))
      outputs.push_back(output.is_tensor() ? *output.tensor : at::Tensor());
    return outputs;
  }

  void leave_out(size_t index, const char* why) {
    result_.notes.push_back(
        fmt::format("output {} is not trained on: {}",
                    escape_untrusted(student_.value(student_.outputs()[index]).name), why));
  }

  void add_loss_term(size_t index, const at::Tensor& output) {
    if (!output.defined() || !output.is_floating_point())
      return leave_out(index, "it holds no floating-point numbers");
    const int64_t axis = axis_of(options_.student_axes.outputs, index);
    if (axis < 0) return leave_out(index, "it is the same for all samples");
    LossTerm term;
    term.told.name = student_.value(student_.outputs()[index]).name;
    term.student = taught_value(student_, index, axis, output.dim());
    if (teacher_ != nullptr) term.from_teacher = find_partner(index, output, term);
    bool classes =
        term.student.class_axis >= 0 || (options_.classes && index == 0 && output.dim() >= 2);
    if (labels_ && index == 0) add_labels(output, classes, term);
    classes = classes || (term.labels && term.labels->classes);
    if (!term.from_teacher && !term.labels)
      return leave_out(index, "nothing says what it should be");
    term.told.classes = classes;
    if (!classes && !term.labels && index == 0 && output.dim() == 2)
      result_.notes.push_back(
          fmt::format("output {} is compared as numbers; if it is class scores, say --classes",
                      escape_untrusted(term.told.name)));
    if (classes && term.student.class_axis < 0) term.student.class_axis = 1;
    if (term.from_teacher && classes) term.teacher.class_axis = term.student.class_axis;
    const double alpha = options_.alpha.value_or(0.7);
    term.told.teacher_share = !term.from_teacher ? 0 : !term.labels ? 1 : alpha;
    term.told.label_share = term.labels ? 1 - term.told.teacher_share : 0;
    // At one of the ends the other side need not be computed.
    term.from_teacher = term.told.teacher_share > 0;
    if (term.told.label_share <= 0) term.labels.reset();
    if (term.labels) terms_->label_term = terms_->all.size();
    terms_->all.push_back(std::move(term));
  }

  // Whether the teacher has this output.
  bool find_partner(size_t index, const at::Tensor& output, LossTerm& term) {
    const size_t partner = partner_of(student_, index, *teacher_);
    if (partner >= teacher_->outputs().size()) return false;
    if (teacher_outputs_.empty()) teacher_outputs_ = outputs_of(*teacher_);
    const at::Tensor& theirs = teacher_outputs_[partner];
    if (!theirs.defined() || theirs.sizes() != output.sizes())
      throw bad_input("train.teacher", "student and teacher give outputs of different shapes",
                      "output " + escape_untrusted(term.told.name),
                      "a teacher has the student's classes and resolution");
    const int64_t axis = axis_of(options_.teacher_axes.outputs, partner);
    term.teacher = taught_value(*teacher_, partner, axis < 0 ? 0 : axis, theirs.dim());
    // Only one of them may end in a Softmax: what the other one gives are logits then.
    term.student.class_axis = std::max(term.student.class_axis, term.teacher.class_axis);
    return true;
  }

  void add_labels(const at::Tensor& output, bool known_classes, LossTerm& term) {
    TaughtValue place = term.student;
    place.order.clear();  // the output itself is looked at
    if (place.class_axis < 0 && output.dim() >= 2 && place.batch_axis != 1) place.class_axis = 1;
    terms_->first_output = batch_first(output, place).detach();
    term.labels = fit_labels(labels_, source_.count, terms_->first_output, known_classes);
    if (term.labels) {
      term.told.variance = term.labels->variance;
      // Numbers lie as the output does.
      if (!term.labels->classes) terms_->first_output = batch_first(output, term.student);
      return;
    }
    const std::string shape = shape_text(labels_(0).shape());
    if (teacher_ == nullptr || options_.alpha.value_or(1) < 1)
      throw bad_input("train.labels",
                      fmt::format("labels of shape {} do not fit the output", shape),
                      "output " + escape_untrusted(term.told.name),
                      "a class a sample or pixel, or numbers of the output's shape");
    result_.notes.push_back(fmt::format(
        "labels of shape {} do not fit the output: the teacher alone is followed", shape));
  }

  std::vector<FeatureValue> find_side(const char* whose, const Graph& graph, const BatchForm& form,
                                      std::string FeatureMatch::*name) const {
    FeatureSide side{whose, graph, form.free, options_.student_axes.inputs, {}, {}, options_.hint};
    side.one = plain_batch({0}).inputs;
    if (form.free) side.two = plain_batch({0, 0}).inputs;
    std::vector<std::string> names;
    for (const FeatureMatch& match : options_.features) names.push_back(match.*name);
    return find_features(side, names);
  }

  void add_features() {
    const std::vector<FeatureValue> ours =
        find_side("student", student_, options_.student_axes, &FeatureMatch::student);
    const std::vector<FeatureValue> theirs =
        find_side("teacher", *teacher_, options_.teacher_axes, &FeatureMatch::teacher);
    for (size_t i = 0; i < ours.size(); ++i) {
      FeatureLossTerm term =
          feature_loss_term(options_.features[i], ours[i], theirs[i], i, options_.seed);
      auto& outputs = result_.outputs;
      const auto known = std::find(outputs.begin(), outputs.end(), ours[i].place.value);
      term.output = static_cast<size_t>(known - outputs.begin());
      if (known == outputs.end()) outputs.push_back(ours[i].place.value);
      for (const auto& parameter : {term.weight, term.bias})
        if (parameter) result_.parameters.push_back(parameter);
      terms_->features.push_back(std::move(term));
    }
  }

  void ask_teacher() {
    std::vector<TaughtValue> values;
    for (const LossTerm& term : terms_->all)
      if (term.from_teacher) values.push_back(term.teacher);
    for (const FeatureLossTerm& feature : terms_->features) values.push_back(feature.teacher.place);
    if (values.empty()) return;
    const BatchForm& form = options_.teacher_axes;
    terms_->teacher.emplace(*teacher_, values, form.free, form.inputs);
    const std::vector<size_t> probed = spread_samples(source_.count, kProbedSamples);
    const std::vector<at::Tensor> outputs = answers(probed);
    int64_t numbers = 0;
    size_t next = 0;
    for (LossTerm& term : terms_->all) {
      if (!term.from_teacher) continue;
      const at::Tensor& output = outputs[next++];
      numbers += output.numel();
      if (!term.told.classes) term.told.variance = variance_or_one(output);
    }
    for (FeatureLossTerm& feature : terms_->features) {
      const at::Tensor& target = outputs[next++];
      numbers += target.numel();
      feature.variance = variance_or_one(target);
    }
    const double bytes = static_cast<double>(numbers) * 4 / static_cast<double>(probed.size()) *
                         static_cast<double>(source_.count);
    if (!options_.inputs_change && bytes <= static_cast<double>(options_.cache_bytes))
      fill_cache(outputs.size());
  }

  TrainingData plain_data() const {
    TrainingData data;
    data.count = source_.count;
    data.input_axes = options_.student_axes.inputs;
    data.sample = [source = source_](size_t i) { return Sample{sample_inputs(source, i), {}}; };
    return data;
  }

  Batch plain_batch(const std::vector<size_t>& samples) const {
    return make_batch(plain_data(), samples);
  }

  std::vector<at::Tensor> asked(const Batch& batch) const {
    return terms_->ask(batch.inputs, static_cast<int64_t>(batch.samples.size()));
  }

  /// In parts, as memory asks for.
  std::vector<at::Tensor> answers(const std::vector<size_t>& samples) const {
    const auto batch = static_cast<size_t>(std::max<int64_t>(options_.batch, 1));
    std::vector<std::vector<at::Tensor>> parts;
    for (size_t first = 0; first < samples.size(); first += batch) {
      const auto begin = samples.begin() + static_cast<std::ptrdiff_t>(first);
      const size_t count = std::min(batch, samples.size() - first);
      const std::vector<size_t> part(begin, begin + static_cast<std::ptrdiff_t>(count));
      const std::vector<at::Tensor> outputs = asked(plain_batch(part));
      require_finite(outputs, part);
      parts.resize(outputs.size());
      for (size_t i = 0; i < outputs.size(); ++i) parts[i].push_back(outputs[i]);
    }
    std::vector<at::Tensor> all;
    for (const std::vector<at::Tensor>& part : parts)
      all.push_back(part.size() == 1 ? part[0] : at::cat(part));
    return all;
  }

  void require_finite(const std::vector<at::Tensor>& outputs,
                      const std::vector<size_t>& samples) const {
    size_t next = 0;
    const auto require = [&](const std::string& name) {
      if (at::isfinite(outputs[next++]).all().item<bool>()) return;
      throw bad_input("train.teacher", "the teacher gives NaN or infinity",
                      fmt::format("{}, samples {} to {}", escape_untrusted(name), samples.front(),
                                  samples.back()),
                      "no student can follow that: look at the teacher and at these samples");
    };
    for (const LossTerm& term : terms_->all)
      if (term.from_teacher) require(term.told.name);
    for (const FeatureLossTerm& feature : terms_->features) require(feature.match.teacher);
  }

  // In an order of its own, so that a sample's outputs are the same bits after a resume.
  void fill_cache(size_t outputs) {
    const TrainingData data = plain_data();
    std::vector<std::vector<at::Tensor>> parts(outputs);
    size_t done = 0;
    for_each_batch(data, static_cast<size_t>(std::max<int64_t>(options_.batch, 1)),
                   [&](const Batch& batch) {
                     const std::vector<at::Tensor> found = asked(batch);
                     require_finite(found, batch.samples);
                     for (size_t i = 0; i < outputs; ++i) parts[i].push_back(found[i].clone());
                     done += batch.samples.size();
                     if (options_.progress) options_.progress(done, data.count);
                   });
    try {
      for (const std::vector<at::Tensor>& part : parts) terms_->cache.push_back(at::cat(part));
    } catch (...) {
      rethrow_foreign("the teacher's outputs of all samples");
    }
  }

  Teaching finish() {
    result_.data = plain_data();
    result_.data.sample = [terms = terms_, source = source_, labels = labels_](size_t i) {
      return terms->sample(source, labels, i);
    };
    result_.loss = [terms = terms_](const std::vector<at::Tensor>& outputs, const Batch& batch) {
      return terms->loss(outputs, batch);
    };
    for (LossTerm& term : terms_->all) {
      term.told.loss = loss_text(term, options_);
      result_.taught.push_back(term.told);
    }
    for (const FeatureLossTerm& feature : terms_->features) {
      TaughtOutput told;
      told.name = feature.match.student;
      told.teacher_share = feature.match.weight;
      told.variance = feature.variance;
      told.loss = feature.text();
      told.feature = feature.match;
      told.projected = feature.weight != nullptr;
      result_.taught.push_back(std::move(told));
    }
    const bool classes = terms_->has_labels() && terms_->all[terms_->label_term].told.classes;
    if (options_.label_smoothing > 0 && !classes)
      result_.notes.push_back("label smoothing has no effect: no labels that are classes are used");
    result_.cached = !terms_->cache.empty();
    return std::move(result_);
  }

  const Graph& student_;
  const Graph* teacher_;
  const SampleSource& source_;
  const std::function<Tensor(size_t)>& labels_;
  const TeachingOptions& options_;
  std::shared_ptr<LossTerms> terms_;
  std::vector<at::Tensor> teacher_outputs_;  // on the first sample
  Teaching result_;
};

}  // namespace

std::string Teaching::description() const {
  std::string text;
  for (const TaughtOutput& output : taught) {
    if (!text.empty()) text += "; ";
    if (taught.size() > 1) text += escape_untrusted(output.name) + ": ";
    text += output.loss;
  }
  return text;
}

Teaching make_teaching(const Graph& student, const Graph* teacher, const SampleSource& source,
                       const std::function<Tensor(size_t)>& labels,
                       const TeachingOptions& options) {
  return Maker(student, teacher, source, labels, options).make();
}

}  // namespace lathe

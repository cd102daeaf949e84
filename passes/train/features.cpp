#include "train/features.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "run/foreign_errors.h"
#include "train/channel_place.h"
#include "train/initial_values.h"
#include "train/losses.h"

namespace lathe {
namespace {

std::string place_of(const FeatureSide& side, const std::string& name) {
  return fmt::format("value {} of the {}", escape_untrusted(name), side.whose);
}

ValueId find_one(const FeatureSide& side, const std::string& name) {
  const Graph& graph = side.graph;
  const ValueId id = graph.find_value(name);
  if (id.valid() && graph.value(id).producer.valid()) {
    if (is_floating(graph.value(id).type.dtype)) return id;
    throw bad_input("train.feature_type", "it holds no floating-point numbers",
                    place_of(side, name), "features are values in between, such as a layer's");
  }
  if (id.valid())
    throw bad_usage("train.feature_name",
                    fmt::format("{} is {}: there is nothing to compare", escape_untrusted(name),
                                graph.value(id).is_constant() ? "a constant" : "an input"),
                    place_of(side, name), "name a value that a layer computes");
  std::vector<std::string> known;
  for (const ValueId other : graph.value_ids()) {
    const Value& value = graph.value(other);
    if (value.producer.valid() && is_floating(value.type.dtype)) known.push_back(value.name);
  }
  std::string hint = side.hint ? side.hint(name, known) : "";
  if (!hint.empty()) hint += "; ";
  throw bad_usage("train.feature_name",
                  fmt::format("the {} has no value {}", side.whose, escape_untrusted(name)), {},
                  hint + "values that simplification takes away cannot be named");
}

std::string sizes_text(const std::vector<int64_t>& sizes) { return shape_text(sizes); }

int64_t batch_axis_of(const FeatureSide& side, const std::string& name, const at::Tensor& one,
                      const at::Tensor& two) {
  const auto refuse = [&](std::string what) {
    return bad_input("train.feature_batch", std::move(what), place_of(side, name),
                     "name a value with one item a sample");
  };
  if (!side.free) {
    const int64_t rows = side.one.empty() || side.one[0].dim() == 0 ? 1 : side.one[0].size(0);
    if (one.dim() > 0 && one.size(0) == rows) return 0;
    throw refuse(fmt::format("samples run one by one, and axis 0 of its shape {} is not the batch",
                             sizes_text(one.sizes().vec())));
  }
  int64_t found = -1;
  for (int64_t axis = 0; axis < one.dim() && one.dim() == two.dim(); ++axis) {
    if (one.size(axis) == two.size(axis)) continue;
    if (found >= 0 || two.size(axis) != 2 * one.size(axis))
      throw refuse(fmt::format("one sample gives {}, two give {}: the batch is on no single axis",
                               sizes_text(one.sizes().vec()), sizes_text(two.sizes().vec())));
    found = axis;
  }
  if (found < 0) throw refuse("it is the same for any number of samples");
  return found;
}

at::Tensor channels_second(const at::Tensor& value) {
  return value.dim() == 1 ? value.unsqueeze(1) : value;
}

at::Tensor pooled_to(const at::Tensor& value, const std::vector<int64_t>& sizes) {
  if (sizes.empty()) return value;
  switch (sizes.size()) {
    case 1: return at::adaptive_avg_pool1d(value, sizes);
    case 2: return at::adaptive_avg_pool2d(value, sizes);
    default: return at::adaptive_avg_pool3d(value, sizes);
  }
}

std::vector<int64_t> positions(const FeatureValue& value) {
  return {value.sizes.begin() + 2, value.sizes.end()};
}

}  // namespace

std::vector<FeatureValue> find_features(const FeatureSide& side,
                                        const std::vector<std::string>& names) {
  std::vector<TaughtValue> values;
  for (const std::string& name : names) values.push_back({find_one(side, name)});
  // Axis 0 is as good as any: what comes is looked at as it is.
  const Teacher network(side.graph, values, /*free=*/true, side.input_axes);
  const std::vector<at::Tensor> one = network.outputs(side.one, 1, {});
  const std::vector<at::Tensor> two = side.free ? network.outputs(side.two, 2, {}) : one;
  std::vector<FeatureValue> found;
  for (size_t i = 0; i < names.size(); ++i) {
    FeatureValue feature{values[i], {}};
    const int64_t rank = one[i].dim();
    feature.place.batch_axis = batch_axis_of(side, names[i], one[i], two[i]);
    if (rank > 1) feature.place.class_axis = channel_axis(side.graph, values[i].value, rank);
    if (feature.place.class_axis == feature.place.batch_axis)
      throw bad_input("train.feature_batch",
                      fmt::format("axis {} of its shape {} is the batch, where its channels are "
                                  "expected",
                                  feature.place.batch_axis, sizes_text(one[i].sizes().vec())),
                      place_of(side, names[i]), "name another value");
    feature.sizes = channels_second(batch_first(one[i], feature.place)).sizes().vec();
    found.push_back(std::move(feature));
  }
  return found;
}

at::Tensor FeatureLossTerm::target(const at::Tensor& value) const {
  const at::NoGradGuard no_gradient;
  // What the interpreter computed under InferenceMode cannot be read with autograd on.
  const at::Tensor usable = channels_second(value.is_inference() ? value.clone() : value);
  if (match.kind == FeatureKind::kAttention) return attention_map(usable, pooled);
  return pooled_to(usable, pooled);
}

at::Tensor FeatureLossTerm::loss(const at::Tensor& value, const at::Tensor& target) const {
  const at::Tensor ours = channels_second(batch_first(value, student.place));
  if (match.kind == FeatureKind::kAttention)
    return attention_transfer(attention_map(ours, pooled), target) * match.weight;
  at::Tensor features = pooled_to(ours, pooled);
  if (weight) {
    std::vector<int64_t> sizes = features.sizes().vec();
    sizes[1] = weight->tensor->size(0);
    const at::ScalarType type = features.scalar_type();
    const at::Tensor rows = features.reshape({sizes[0], student.sizes[1], -1});
    features = at::matmul(weight->tensor->to(type), rows) + bias->tensor->to(type).unsqueeze(1);
    features = features.reshape(sizes);
  }
  return mean_squared_error(features, target) * (match.weight / variance);
}

std::string FeatureLossTerm::text() const {
  const std::string name = escape_untrusted(match.teacher);
  if (match.kind == FeatureKind::kAttention)
    return fmt::format("{:.3g} attention transfer from {}", match.weight, name);
  std::string text = fmt::format("{:.3g} squared error / {:.3g} against the teacher's {}",
                                 match.weight, variance, name);
  if (weight)
    text += fmt::format(", {} channels projected to {}", student.sizes[1], teacher.sizes[1]);
  return text;
}

FeatureLossTerm feature_loss_term(const FeatureMatch& match, const FeatureValue& student,
                                  const FeatureValue& teacher, size_t index, uint64_t seed) {
  FeatureLossTerm term;
  term.match = match;
  term.student = student;
  term.teacher = teacher;
  const auto refuse = [&](const char* what, const char* hint) {
    return bad_input("train.feature_shapes",
                     fmt::format("the teacher's {} is {}, the student's {} is {}: {}",
                                 escape_untrusted(match.teacher), sizes_text(teacher.sizes),
                                 escape_untrusted(match.student), sizes_text(student.sizes), what),
                     {}, hint);
  };
  if (student.sizes.size() != teacher.sizes.size())
    throw refuse("their ranks differ", "compare values of like layers");
  if (student.sizes[0] != teacher.sizes[0])
    throw refuse("their items of a sample differ", "compare values of like layers");
  const std::vector<int64_t> ours = positions(student), theirs = positions(teacher);
  if (ours != theirs) {
    if (ours.size() > 3)
      throw refuse("more than three axes of positions differ", "compare values of like layers");
    for (size_t i = 0; i < ours.size(); ++i) term.pooled.push_back(std::min(ours[i], theirs[i]));
  }
  const std::vector<int64_t>& compared = term.pooled.empty() ? ours : term.pooled;
  if (match.kind == FeatureKind::kAttention) {
    if (std::all_of(compared.begin(), compared.end(), [](int64_t size) { return size == 1; }))
      throw refuse("attention is spread over positions, and there is one at most",
                   "compare pictures or sequences, or features instead");
    return term;
  }
  const int64_t from = student.sizes[1], to = teacher.sizes[1];
  if (from == to) return term;
  const std::string stem = fmt::format("projection/{}", index);
  const std::string name = stem + "/weight";
  const std::vector<double> values = normal_values(seed, name, static_cast<size_t>(from * to),
                                                   1 / std::sqrt(static_cast<double>(from)));
  term.weight = std::make_shared<Parameter>(
      make_parameter(name, at::tensor(values, at::kDouble).reshape({to, from}).to(at::kFloat)));
  term.bias =
      std::make_shared<Parameter>(make_parameter(stem + "/bias", at::zeros({to}, at::kFloat)));
  term.bias->role = ParameterRole::kBias;
  return term;
}

}  // namespace lathe

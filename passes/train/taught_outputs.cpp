#include "train/taught_outputs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

// Labels that are looked at: all of a usual set.
constexpr size_t kProbedLabels = 65536;
constexpr int64_t kProbedNumbers = int64_t{1} << 24;

bool is_softmax(const Node& node) {
  return node.kind == OpKind::kSoftmax || node.kind == OpKind::kLogSoftmax;
}

int64_t softmax_axis(const Node& node, int64_t rank) {
  const int64_t axis = node.attributes.int_or("axis", -1);
  return axis < 0 ? axis + rank : axis;
}

// The value that `id` is a copy of, maybe in another floating-point type.
ValueId behind_casts(const Graph& graph, ValueId id) {
  while (true) {
    const NodeId producer = graph.value(id).producer;
    if (!producer.valid()) return id;
    const Node& node = graph.node(producer);
    const bool copies = node.kind == OpKind::kIdentity || node.kind == OpKind::kCast;
    if (!copies || !is_floating(graph.value(node.inputs[0]).type.dtype)) return id;
    id = node.inputs[0];
  }
}

bool is_class(double value) { return value >= 0 && std::floor(value) == value && value < 0x1p31; }

// [N, C] of [N, C, 1, …].
bool drops_ones(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kSqueeze && node.kind != OpKind::kReshape &&
      node.kind != OpKind::kFlatten)
    return false;
  const auto& before = graph.value(node.inputs[0]).type.dims;
  const auto& after = graph.value(node.outputs[0]).type.dims;
  if (!before || !after || before->size() <= 2 || after->size() != 2) return false;
  if (!(*before)[1].known() || (*before)[1].size != (*after)[1].size) return false;
  return std::all_of(before->begin() + 2, before->end(), [](const Dim& d) { return d.size == 1; });
}

// What makes an output, behind what only moves its elements.
struct Origin {
  ValueId made;
  std::vector<int64_t> order;  // of the axes of `made`, in the output
  bool dropped = false;        // axes of size 1
};

Origin origin_of(const Graph& graph, ValueId output) {
  Origin origin{behind_casts(graph, output), {}};
  const NodeId producer = graph.value(origin.made).producer;
  if (!producer.valid()) return origin;
  const Node& node = graph.node(producer);
  origin.dropped = drops_ones(graph, node);
  if (node.kind == OpKind::kTranspose) origin.order = node.attributes.ints_or("perm", {});
  if (origin.dropped || !origin.order.empty()) origin.made = behind_casts(graph, node.inputs[0]);
  return origin;
}

}  // namespace

TaughtValue taught_value(const Graph& graph, size_t index, int64_t batch_axis, int64_t rank) {
  TaughtValue found;
  found.value = graph.outputs()[index];
  found.batch_axis = batch_axis;
  const auto put_axis = [&](int64_t axis) {
    if (axis >= 0 && axis < rank && axis != batch_axis) found.class_axis = axis;
  };
  const Origin origin = origin_of(graph, found.value);
  const NodeId producer = graph.value(origin.made).producer;
  if (producer.valid() && is_softmax(graph.node(producer))) {
    const Node& softmax = graph.node(producer);
    const auto& dims = graph.value(origin.made).type.dims;
    int64_t axis = softmax_axis(softmax, origin.dropped ? std::ssize(*dims) : rank);
    if (!origin.order.empty())
      axis = std::find(origin.order.begin(), origin.order.end(), axis) - origin.order.begin();
    if (origin.dropped && axis != 1) return found;
    put_axis(axis);
    if (softmax.kind == OpKind::kLogSoftmax) return found;
    found.value = softmax.inputs[0];
    found.order = origin.order;
    return found;
  }
  for (const NodeId user : graph.value(found.value).users)
    if (is_softmax(graph.node(user))) {
      put_axis(softmax_axis(graph.node(user), rank));
      break;
    }
  return found;
}

std::vector<size_t> spread_samples(size_t all, size_t count) {
  const size_t taken = std::min(all, count);
  std::vector<size_t> samples;
  for (size_t i = 0; i < taken; ++i) samples.push_back(i * all / taken);
  return samples;
}

std::optional<LabelFit> fit_labels(const std::function<Tensor(size_t)>& labels, size_t samples,
                                   const at::Tensor& output, bool known_classes) {
  const bool ranked = output.dim() >= 2;
  const int64_t classes = ranked ? output.size(1) : 0;
  const int64_t positions = classes > 0 ? output.numel() / classes : 0;
  bool integral = true, one_a_position = ranked, as_output = true;
  // Whole numbers one a position, of which one is no class, are a mistake.
  bool whole = true;
  std::optional<std::pair<double, size_t>> beyond;
  double sum = 0, squares = 0;
  int64_t numbers = 0;
  for (const size_t sample : spread_samples(samples, kProbedLabels)) {
    const Tensor label = labels(sample);
    one_a_position = one_a_position && label.numel() == positions;
    as_output = as_output && label.numel() == output.numel();
    if (!one_a_position && !as_output) return std::nullopt;
    for (const double value : label.to_double()) {
      integral = integral && is_class(value);
      whole = whole && std::floor(value) == value;
      if (!beyond && (value < 0 || value >= static_cast<double>(classes))) beyond = {value, sample};
      sum += value;
      squares += value * value;
    }
    numbers += label.numel();
    if (numbers > kProbedNumbers) break;
  }
  if (one_a_position && integral && classes >= 2 && !beyond) return LabelFit{true, 1};
  if (one_a_position && whole && classes >= 2 && (known_classes || !as_output) && beyond)
    throw bad_input("train.labels",
                    fmt::format("label {:.0f} of sample {} is out of range: the output has {} "
                                "classes, 0 to {}",
                                beyond->first, beyond->second, classes, classes - 1),
                    {}, "check the data's labels");
  if (!as_output || known_classes) return std::nullopt;
  const double mean = sum / static_cast<double>(numbers);
  const double variance = squares / static_cast<double>(numbers) - mean * mean;
  return LabelFit{false, variance > 0 ? variance : 1};
}

at::Tensor label_target(const Tensor& label, const LabelFit& fit, const at::Tensor& output) {
  if (!fit.classes) return to_runtime(label).tensor->to(at::kFloat).reshape(output.sizes()).clone();
  std::vector<int64_t> classes;
  for (const double value : label.to_double()) {
    if (!is_class(value))
      throw bad_input("train.labels", fmt::format("label {} is no class", value), {},
                      "classes are 0, 1, 2, …");
    classes.push_back(static_cast<int64_t>(value));
  }
  return at::tensor(classes);
}

double variance_or_one(const at::Tensor& values) {
  if (values.numel() == 0) return 1;
  const double variance = values.to(at::kDouble).var(/*unbiased=*/false).item<double>();
  return std::isfinite(variance) && variance > 0 ? variance : 1;
}

}  // namespace lathe

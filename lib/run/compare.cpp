#include "run/compare.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

// By name where all names agree, else by position.
std::vector<size_t> match(const Graph& a, const std::vector<ValueId>& ids, const Graph& b,
                          const std::vector<ValueId>& others, const char* kind) {
  if (ids.size() != others.size())
    throw bad_input("compare.interface",
                    fmt::format("the models have {} and {} {}s", ids.size(), others.size(), kind));
  std::vector<size_t> positions;
  for (const ValueId id : ids) {
    const auto it = std::find_if(others.begin(), others.end(), [&](ValueId other) {
      return b.value(other).name == a.value(id).name;
    });
    if (it != others.end()) positions.push_back(static_cast<size_t>(it - others.begin()));
  }
  if (positions.size() == ids.size()) return positions;
  positions.clear();
  for (size_t i = 0; i < ids.size(); ++i) positions.push_back(i);
  return positions;
}

// Float values that nodes of both graphs produce under one name.
std::map<std::string, ValueId> common_layers(const Graph& a, const Graph& b) {
  std::map<std::string, ValueId> found;
  for (const ValueId id : a.value_ids()) {
    const Value& value = a.value(id);
    if (!value.producer.valid() || !is_floating(value.type.dtype)) continue;
    const ValueId other = b.find_value(value.name);
    if (other.valid() && b.value(other).producer.valid()) found.emplace(value.name, id);
  }
  return found;
}

ValueError named(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  ValueError error;
  error.value = value.name;
  if (value.producer.valid()) {
    error.node = graph.node(value.producer).name;
    error.node_type = std::string(graph.node(value.producer).type_name());
  }
  return error;
}

// (output, input) of the candidate that are carried on, of the reference's names.
std::vector<std::pair<size_t, size_t>> carried_in(const Graph& reference,
                                                  const SampleSource& source,
                                                  const std::vector<size_t>& input_of,
                                                  const std::vector<size_t>& output_of) {
  std::vector<std::pair<size_t, size_t>> found;
  for (const auto& [output, input] : source.carry)
    for (size_t o = 0; o < output_of.size(); ++o)
      for (size_t i = 0; i < input_of.size(); ++i)
        if (reference.value(reference.outputs()[o]).name == output &&
            reference.value(reference.inputs()[input_of[i]]).name == input)
          found.emplace_back(output_of[o], i);
  return found;
}

struct SampleResult {
  std::vector<ErrorSums> outputs;
  std::map<std::string, ErrorSums> layers;
};

}  // namespace

void ErrorSums::merge(const ErrorSums& next) {
  signal += next.signal;
  other += next.other;
  product += next.product;
  noise += next.noise;
  max_abs_error = std::max(max_abs_error, next.max_abs_error);
  max_abs = std::max(max_abs, next.max_abs);
  count += next.count;
  unequal_non_finite += next.unequal_non_finite;
}

double ErrorSums::sqnr_db() const {
  if (noise == 0) return INFINITY;
  return signal == 0 ? -INFINITY : 10 * std::log10(signal / noise);
}

double ErrorSums::cosine() const {
  if (signal == 0 && other == 0) return 1;
  return signal == 0 || other == 0 ? 0 : product / std::sqrt(signal * other);
}

double ErrorSums::relative_max_error() const {
  if (max_abs_error == 0) return 0;
  return max_abs == 0 ? INFINITY : max_abs_error / max_abs;
}

ErrorSums error_sums(const at::Tensor& a, const at::Tensor& b) {
  ErrorSums sums;
  if (a.numel() != b.numel())
    throw bad_input("compare.shape",
                    fmt::format("shapes differ: {} and {}", shape_text(a.sizes().vec()),
                                shape_text(b.sizes().vec())));
  const bool narrow = a.scalar_type() == at::kFloat || a.scalar_type() == at::kHalf ||
                      a.scalar_type() == at::kBFloat16;
  const at::ScalarType wide = narrow ? at::kFloat : at::kDouble;
  const at::Tensor left = a.to(wide).contiguous();
  const at::Tensor right = b.to(wide).contiguous();
  sums.count = left.numel();
  const auto add = [&](const auto* x, const auto* y) {
    for (int64_t i = 0; i < sums.count; ++i) {
      const double p = x[i];
      const double q = y[i];
      if (!std::isfinite(p) || !std::isfinite(q)) {
        const bool same = p == q || (std::isnan(p) && std::isnan(q));
        sums.unequal_non_finite += same ? 0 : 1;
        continue;
      }
      const double difference = std::fabs(p - q);
      sums.signal += p * p;
      sums.other += q * q;
      sums.product += p * q;
      sums.noise += difference * difference;
      sums.max_abs_error = std::max(sums.max_abs_error, difference);
      sums.max_abs = std::max(sums.max_abs, std::fabs(p));
    }
  };
  if (narrow)
    add(left.data_ptr<float>(), right.data_ptr<float>());
  else
    add(left.data_ptr<double>(), right.data_ptr<double>());
  if (sums.unequal_non_finite > 0) sums.noise = INFINITY;
  return sums;
}

std::vector<ErrorSums> output_sums(const std::vector<RuntimeValue>& wanted,
                                   const std::vector<RuntimeValue>& got) {
  std::vector<ErrorSums> sums;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].is_tensor() || !got.at(i).is_tensor())
      throw bad_input("compare.not_a_tensor", "an output is no tensor of numbers");
    sums.push_back(error_sums(wanted[i].tensor, got[i].tensor));
  }
  return sums;
}

std::vector<ValueError> output_errors(const Graph& graph) {
  std::vector<ValueError> errors;
  for (const ValueId id : graph.outputs()) errors.push_back(named(graph, id));
  return errors;
}

ComparedModel compared(const Interpreter& interpreter) {
  return {interpreter.graph(),
          [&interpreter](std::vector<RuntimeValue> inputs, const RunOptions& options) {
            return interpreter.run(std::move(inputs), options);
          }};
}

CompareResult compare_graphs(const Interpreter& reference, const Interpreter& candidate,
                             const SampleSource& source, const CompareOptions& options) {
  return compare_models(compared(reference), compared(candidate), source, options);
}

CompareResult compare_models(const ComparedModel& reference, const ComparedModel& candidate,
                             const SampleSource& source, const CompareOptions& options) {
  const Graph& a = reference.graph;
  const Graph& b = candidate.graph;
  const std::vector<size_t> input_of = match(b, b.inputs(), a, a.inputs(), "input");
  const std::vector<size_t> output_of = match(a, a.outputs(), b, b.outputs(), "output");
  const auto layers = options.layers ? common_layers(a, b) : std::map<std::string, ValueId>{};
  std::vector<MetricCollector> before;
  std::vector<MetricCollector> after;
  for (const Metric metric : options.metrics) {
    before.emplace_back(metric, source.count);
    after.emplace_back(metric, source.count);
  }

  const auto carried = options.own_carry ? carried_in(a, source, input_of, output_of)
                                         : std::vector<std::pair<size_t, size_t>>{};
  std::vector<RuntimeValue> before_it;  // the candidate's last outputs; samples come in order then
  std::vector<SampleResult> results(source.count);
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    SampleResult& result = results[sample];
    std::map<std::string, at::Tensor> kept;
    RunOptions run;
    run.check = options.run.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      const std::string& name = a.value(id).name;
      if (value.is_tensor() && layers.contains(name)) kept.emplace(name, value.tensor);
    };
    run.compute = options.reference_compute;
    const std::vector<RuntimeValue> wanted = reference.run(inputs, run);
    run.compute = options.candidate_compute;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      const auto it = kept.find(b.value(id).name);
      if (it == kept.end() || !value.is_tensor()) return;
      if (it->second.numel() == value.tensor->numel())
        result.layers[it->first] = error_sums(it->second, value.tensor);
      kept.erase(it);
    };
    std::vector<RuntimeValue> ordered;
    for (const size_t position : input_of) ordered.push_back(inputs[position]);
    if (!before_it.empty())
      for (const auto& [output, input] : carried) ordered[input] = before_it[output];
    const std::vector<RuntimeValue> made = candidate.run(std::move(ordered), run);
    if (!carried.empty()) before_it = made;
    std::vector<RuntimeValue> got;  // in the reference's order
    for (const size_t position : output_of) got.push_back(made[position]);
    result.outputs = output_sums(wanted, got);
    const std::vector<int64_t> labels =
        options.labels ? options.labels(sample) : std::vector<int64_t>{};
    for (size_t m = 0; m < options.metrics.size(); ++m) {
      before[m].add(sample, wanted[0].tensor, labels, wanted[0].tensor);
      after[m].add(sample, got[0].tensor, labels, wanted[0].tensor);
    }
    return wanted;
  };
  for_each_sample(a, source, options.run, work);

  CompareResult total;
  total.samples = source.count;
  total.outputs = output_errors(a);
  std::map<std::string, ErrorSums> layer_sums;
  for (const SampleResult& result : results) {
    for (size_t i = 0; i < result.outputs.size(); ++i)
      total.outputs[i].sums.merge(result.outputs[i]);
    for (const auto& [name, sums] : result.layers) layer_sums[name].merge(sums);
  }
  for (const auto& [name, sums] : layer_sums) {
    total.layers.push_back(named(a, layers.at(name)));
    total.layers.back().sums = sums;
  }
  std::stable_sort(total.layers.begin(), total.layers.end(), [](const auto& x, const auto& y) {
    return x.sums.sqnr_db() < y.sums.sqnr_db();
  });
  for (size_t m = 0; m < options.metrics.size(); ++m) {
    MetricPair pair;
    pair.metric = options.metrics[m];
    if (needs_labels(pair.metric)) pair.before = before[m].value();
    pair.after = after[m].value();
    pair.items = after[m].items();
    total.metrics.push_back(pair);
  }
  return total;
}

}  // namespace lathe

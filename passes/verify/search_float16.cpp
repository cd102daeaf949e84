#include "verify/search_float16.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <set>

#include "run/compare.h"

namespace lathe {
namespace {

constexpr size_t kMostSamples = 16;
constexpr size_t kScoredSamples = 2;
constexpr size_t kParts = 24;
constexpr double kLargestSafe = 16384.0;       // 2^14
constexpr double kSmallest = 6.103515625e-05;  // 2^-14
// Some of the bound is left for samples and for runtimes that are not measured here.
constexpr double kGoal = 0.7;

// What the float32 graph made of one sample; carried state is among the inputs.
struct Recorded {
  std::vector<RuntimeValue> inputs;
  std::vector<RuntimeValue> outputs;
};

struct ReferenceRun {
  std::vector<Recorded> samples;
  /// Largest absolute value of each value over the samples; infinite where one is not finite.
  std::map<ValueId, double> ranges;
};

ReferenceRun run_reference(const Graph& graph, const SampleSource& source,
                           const SampleRunOptions& options) {
  const Interpreter interpreter(graph);
  ReferenceRun reference;
  reference.samples.resize(source.count);
  std::mutex mutex;
  const auto add = [&](ValueId id, const RuntimeValue& value) {
    if (!value.is_tensor() || value.dtype != DType::kFloat32 || value.tensor->numel() == 0) return;
    const double largest = value.tensor->abs().max().item<double>();
    const std::scoped_lock lock(mutex);
    double& range = reference.ranges[id];
    range = std::isfinite(largest) ? std::max(range, largest) : INFINITY;
  };
  for_each_sample(graph, source, options,
                  [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
                    RunOptions run;
                    run.check = options.check;
                    run.on_value = add;
                    for (size_t i = 0; i < inputs.size(); ++i) add(graph.inputs()[i], inputs[i]);
                    reference.samples[sample] = {inputs, interpreter.run(inputs, run)};
                    return reference.samples[sample].outputs;
                  });
  return reference;
}

std::string range_reason(const Graph& graph, const Node& node,
                         const std::map<ValueId, double>& ranges) {
  for (const auto& ids : {node.inputs, node.outputs})
    for (const ValueId id : ids) {
      const auto it = id.valid() ? ranges.find(id) : ranges.end();
      if (it == ranges.end() || graph.constant(id) != nullptr) continue;
      if (!std::isfinite(it->second)) return "has values that are not finite";
      if (it->second > kLargestSafe) return fmt::format("has values up to {:.1e}", it->second);
      if (it->second > 0 && it->second < kSmallest)
        return fmt::format("has no value above {:.1e}", it->second);
    }
  return {};
}

// At most `count` of the samples: the first ones where state is carried, else spread from the last
// backwards. Refers to `source`.
SampleSource some_of(const SampleSource& source, size_t count) {
  SampleSource some = source;
  some.count = std::min(source.count, count);
  if (some.count == source.count || !source.carry.empty()) return some;
  const size_t stride = source.count / some.count;
  some.sample = [&source, stride](size_t i) {
    return source.sample(source.count - 1 - i * stride);
  };
  return some;
}

class Search {
 public:
  Search(const Graph& graph, const SampleSource& samples, bool is_data,
         const VerificationBound& bound, const SampleRun& run, const KeptNodes& excluded)
      : graph_(graph), is_data_(is_data), bound_(bound), run_(run), kept_(excluded) {
    const SampleSource source = some_of(samples, kMostSamples);
    reference_ = run_reference(graph, source, run_("measuring ranges", source.count));
  }

  Float16Search run() {
    keep_by_range();
    Float16Search found;
    const Float16Plan by_rule = plan(kept_);
    found.plan = by_rule;
    found.strain_before = found.strain_after = measure(by_rule, reference_.samples.size());
    if (found.strain_after <= kGoal || by_rule.converted == 0) return found;
    measure_parts(by_rule);
    // The fewest of the worst parts that leave an error within the goal.
    size_t too_few = 0;
    size_t enough = parts_.size();
    while (too_few + 1 < enough) {
      const size_t count = (too_few + enough) / 2;
      ++found.rounds;
      Float16Plan tried = plan(keep_worst(count));
      const double left = measure(tried, reference_.samples.size());
      if (left > kGoal) {
        too_few = count;
        continue;
      }
      enough = count;
      found.strain_after = left;
      found.plan = std::move(tried);
    }
    return found;
  }

 private:
  struct Part {
    std::vector<NodeId> nodes;
    double strain = 0;
    double weights = 0;  // elements
  };

  void keep_by_range() {
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (!has_float32_work(graph_, node)) continue;
      if (std::string reason = range_reason(graph_, node, reference_.ranges); !reason.empty())
        kept_.emplace(id, std::move(reason));
    }
  }

  Float16Plan plan(const KeptNodes& kept) const { return plan_float16(graph_, kept, is_data_); }

  // The largest strain of an output over the last `count` samples.
  double measure(const Float16Plan& plan, size_t count) {
    const SampleRunOptions options = run_("measuring float16", count);
    if (options.check) options.check();
    Graph converted = graph_;
    convert_float16(converted, plan);
    const Interpreter interpreter(std::move(converted));
    const size_t first = reference_.samples.size() - count;
    std::vector<std::vector<ErrorSums>> sums(count);
    // The inputs are recorded already.
    const SampleSource none{count, [](size_t) { return std::vector<Tensor>{}; }, {}};
    for_each_sample(
        graph_, none, options, [&](size_t sample, size_t, const std::vector<RuntimeValue>&) {
          RunOptions run;
          run.check = options.check;
          const Recorded& wanted = reference_.samples[first + sample];
          std::vector<RuntimeValue> got = interpreter.run(wanted.inputs, run);
          for (size_t i = 0; i < got.size(); ++i)
            sums[sample].push_back(got[i].is_tensor()
                                       ? error_sums(wanted.outputs[i].tensor, got[i].tensor)
                                       : ErrorSums{});
          return got;
        });
    double worst = 0;
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      ErrorSums total;
      for (const std::vector<ErrorSums>& sample : sums) total.merge(sample[i]);
      worst = std::max(worst, strain(total, bound_));
    }
    return worst;
  }

  void measure_parts(const Float16Plan& by_rule) {
    std::vector<NodeId> converted;
    for (const NodeId id : graph_.order())
      if (is_converted(graph_, by_rule, id)) converted.push_back(id);
    const size_t few = std::min(reference_.samples.size(), kScoredSamples);
    const size_t length = (converted.size() + kParts - 1) / kParts;
    for (size_t begin = 0; begin < converted.size(); begin += length) {
      const size_t end = std::min(begin + length, converted.size());
      Part part;
      part.nodes.assign(converted.begin() + static_cast<std::ptrdiff_t>(begin),
                        converted.begin() + static_cast<std::ptrdiff_t>(end));
      part.weights = weights_of(part.nodes);
      KeptNodes others = kept_;
      for (size_t i = 0; i < converted.size(); ++i)
        if (i < begin || i >= end) others.emplace(converted[i], "");
      part.strain = measure(plan(others), few);
      parts_.push_back(std::move(part));
    }
    sort_parts();
  }

  // Many weights are worth some noise: of two equal offenders the smaller one stays in float32.
  void sort_parts() {
    double mean = 1;
    for (const Part& part : parts_) mean += part.weights / static_cast<double>(parts_.size());
    const auto cost = [&](const Part& part) { return part.strain / (part.weights + mean); };
    std::stable_sort(parts_.begin(), parts_.end(),
                     [&](const Part& a, const Part& b) { return cost(a) > cost(b); });
  }

  double weights_of(const std::vector<NodeId>& nodes) const {
    std::set<ValueId> found;
    for (const NodeId id : nodes)
      for (const ValueId input : graph_.node(id).inputs)
        if (graph_.constant(input) != nullptr) found.insert(input);
    return std::accumulate(found.begin(), found.end(), 0.0, [&](double sum, ValueId id) {
      return sum + static_cast<double>(graph_.constant(id)->numel());
    });
  }

  KeptNodes keep_worst(size_t count) const {
    KeptNodes kept = kept_;
    for (size_t i = 0; i < count; ++i)
      for (const NodeId id : parts_[i].nodes)
        kept.emplace(id, fmt::format("its rounding and that of {} neighbours alone take {} of the "
                                     "bound",
                                     parts_[i].nodes.size() - 1, share_text(parts_[i].strain)));
    return kept;
  }

  static std::string share_text(double strain) {
    return std::isfinite(strain) ? fmt::format("{:.0f} %", 100 * std::sqrt(strain)) : "all";
  }

  const Graph& graph_;
  const bool is_data_;
  const VerificationBound& bound_;
  const SampleRun& run_;
  KeptNodes kept_;
  ReferenceRun reference_;
  std::vector<Part> parts_;
};

}  // namespace

Float16Search search_float16(const Graph& graph, const SampleSource& samples, bool is_data,
                             const VerificationBound& bound, const SampleRun& run,
                             const KeptNodes& excluded) {
  return Search(graph, samples, is_data, bound, run, excluded).run();
}

}  // namespace lathe

#include "heavy/search_float16.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "heavy/model_data.h"
#include "heavy/verification_inputs.h"
#include "os/signals.h"
#include "run/compare.h"

namespace lathe {
namespace {

constexpr size_t kSamples = 16;
constexpr size_t kSensitivitySamples = 2;
constexpr size_t kParts = 24;
constexpr double kLarge = 16384.0;             // 2^14
constexpr double kSmallest = 6.103515625e-05;  // 2^-14
// Some of the bound is left for samples and for runtimes that are not measured here.
constexpr double kGoal = 0.7;

// Largest absolute value of each value over the samples; infinite where one is not finite.
std::map<ValueId, double> measured_ranges(const Interpreter& interpreter,
                                          const SampleSource& source,
                                          const SampleRunOptions& options) {
  std::map<ValueId, double> ranges;
  std::mutex mutex;
  const auto add = [&](ValueId id, const RuntimeValue& value) {
    if (!value.is_tensor() || value.dtype != DType::kFloat32 || value.tensor.numel() == 0) return;
    const double largest = value.tensor.abs().max().item<double>();
    const std::scoped_lock lock(mutex);
    double& range = ranges[id];
    range = std::isfinite(largest) ? std::max(range, largest) : INFINITY;
  };
  for_each_sample(interpreter.graph(), source, options,
                  [&](size_t, size_t, const std::vector<RuntimeValue>& inputs) {
                    RunOptions run;
                    run.check = options.check;
                    run.on_value = add;
                    for (size_t i = 0; i < inputs.size(); ++i)
                      add(interpreter.graph().inputs()[i], inputs[i]);
                    return interpreter.run(inputs, run);
                  });
  return ranges;
}

std::string range_reason(const Graph& graph, const Node& node,
                         const std::map<ValueId, double>& ranges) {
  for (const auto& ids : {node.inputs, node.outputs})
    for (const ValueId id : ids) {
      const auto it = id.valid() ? ranges.find(id) : ranges.end();
      if (it == ranges.end() || graph.constant(id) != nullptr) continue;
      if (!std::isfinite(it->second)) return "has values that are not finite";
      if (it->second > kLarge) return fmt::format("has values up to {:.1e}", it->second);
      if (it->second > 0 && it->second < kSmallest)
        return fmt::format("has no value above {:.1e}", it->second);
    }
  return {};
}

class Search {
 public:
  Search(const Graph& graph, const SampleSource& source, const VerificationBound& bound,
         int threads, Console& console)
      : graph_(graph),
        reference_(graph),
        source_(some_of(source, kSamples)),
        few_(some_of(source_, kSensitivitySamples)),
        bound_(bound),
        threads_(threads),
        console_(console) {}

  Float16Search run() {
    keep_by_range();
    Float16Search found;
    found.plan = plan_float16(graph_, kept_);
    found.strain_before = found.strain_after = measure(found.plan, source_);
    if (found.strain_after <= kGoal || found.plan.converted == 0) return found;
    measure_parts(found.plan);
    // The fewest of the worst parts that leave an error within the goal.
    size_t too_few = 0;
    size_t enough = parts_.size();
    while (too_few + 1 < enough) {
      const size_t count = (too_few + enough) / 2;
      ++found.rounds;
      const double left = measure(plan_float16(graph_, keep_worst(count)), source_);
      if (left > kGoal) {
        too_few = count;
        continue;
      }
      enough = count;
      found.strain_after = left;
    }
    found.plan = plan_float16(graph_, keep_worst(enough));
    if (enough == parts_.size()) found.strain_after = measure(found.plan, source_);
    return found;
  }

 private:
  struct Part {
    std::vector<NodeId> nodes;
    double strain = 0;
  };

  void keep_by_range() {
    const SampleRunOptions options =
        sample_run(threads_, console_, "measuring ranges", source_.count);
    const auto ranges = measured_ranges(reference_, source_, options);
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (!has_float32_work(graph_, node)) continue;
      if (std::string reason = range_reason(graph_, node, ranges); !reason.empty())
        kept_.emplace(id, std::move(reason));
    }
  }

  double measure(const Float16Plan& plan, const SampleSource& source) {
    throw_if_interrupted();
    Graph converted = graph_;
    convert_float16(converted, plan);
    CompareOptions options;
    options.layers = false;
    options.run = sample_run(threads_, console_, "measuring float16", source.count);
    double worst = 0;
    for (const ValueError& output :
         compare_graphs(reference_, Interpreter(std::move(converted)), source, options).outputs)
      worst = std::max(worst, strain(output.sums, bound_));
    return worst;
  }

  void measure_parts(const Float16Plan& plan) {
    std::vector<NodeId> converted;
    for (const NodeId id : graph_.order())
      if (is_converted(graph_, plan, id)) converted.push_back(id);
    const size_t length = (converted.size() + kParts - 1) / kParts;
    for (size_t begin = 0; begin < converted.size(); begin += length) {
      const size_t end = std::min(begin + length, converted.size());
      Part part;
      part.nodes.assign(converted.begin() + static_cast<std::ptrdiff_t>(begin),
                        converted.begin() + static_cast<std::ptrdiff_t>(end));
      KeptNodes others = kept_;
      for (size_t i = 0; i < converted.size(); ++i)
        if (i < begin || i >= end) others.emplace(converted[i], "");
      part.strain = measure(plan_float16(graph_, others), few_);
      parts_.push_back(std::move(part));
    }
    std::stable_sort(parts_.begin(), parts_.end(),
                     [](const Part& a, const Part& b) { return a.strain > b.strain; });
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
  const Interpreter reference_;
  const SampleSource source_;
  const SampleSource few_;
  const VerificationBound& bound_;
  const int threads_;
  Console& console_;
  KeptNodes kept_;
  std::vector<Part> parts_;
};

}  // namespace

Float16Search search_float16(const Graph& graph, const SampleSource& source,
                             const VerificationBound& bound, int threads, Console& console) {
  return Search(graph, source, bound, threads, console).run();
}

}  // namespace lathe

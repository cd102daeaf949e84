#include "calibration/calibrate.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

void collect(const RuntimeValue& value, Histogram& histogram) {
  if (!value.is_tensor()) return;
  const at::Tensor floats = value.tensor.to(at::kFloat).contiguous();
  histogram.add({floats.data_ptr<float>(), static_cast<size_t>(floats.numel())});
}

void refuse_non_finite(const Graph& graph, ValueId id, const Histogram& histogram) {
  if (histogram.non_finite() == 0) return;
  const Value& value = graph.value(id);
  const std::string producer =
      value.producer.valid() ? "node " + escape_untrusted(graph.node(value.producer).name)
                             : "graph input";
  throw bad_input("calibration.non_finite",
                  fmt::format("{} elements of value '{}' are NaN or infinite on the calibration data",
                              histogram.non_finite(), escape_untrusted(value.name)),
                  producer, "mend the data or the model, or --exclude what computes it");
}

}  // namespace

Statistics calibrate(const Interpreter& interpreter, const std::set<ValueId>& values,
                     const SampleSource& source, const SampleRunOptions& options) {
  const Graph& graph = interpreter.graph();
  using Local = std::map<ValueId, Histogram>;
  std::vector<Local> locals(static_cast<size_t>(std::max(1, options.threads)));
  const auto work = [&](size_t, size_t worker, const std::vector<RuntimeValue>& inputs) {
    Local& local = locals[worker];
    for (size_t i = 0; i < inputs.size(); ++i)
      if (values.contains(graph.inputs()[i])) collect(inputs[i], local[graph.inputs()[i]]);
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      if (values.contains(id)) collect(value, local[id]);
    };
    return interpreter.run(inputs, run);
  };
  for_each_sample(graph, source, options, work);

  Statistics statistics;
  statistics.samples = static_cast<int64_t>(source.count);
  for (const Local& local : locals)
    for (const auto& [id, histogram] : local)
      statistics.values[graph.value(id).name].merge(histogram);
  for (const ValueId id : values)
    refuse_non_finite(graph, id, statistics.values[graph.value(id).name]);
  return statistics;
}

}  // namespace lathe

#include "layers/layer_outputs.h"

#include <ATen/ATen.h>

#include "layers/linear_layer.h"

namespace lathe {

LayerOutputs::LayerOutputs(const Graph& graph, std::vector<OutputRows> values,
                           const SampleSource& source, const LayerOutputsOptions& options)
    : values_(std::move(values)), samples_(source.count), seed_(options.seed) {
  rows_.assign(values_.size(), std::vector<HeldTensor>(samples_));
  places_.assign(values_.size(), std::vector<int64_t>(samples_, 0));
  std::multimap<ValueId, size_t> wanted;
  for (size_t i = 0; i < values_.size(); ++i) wanted.emplace(values_[i].value, i);
  const Interpreter interpreter(graph);
  SampleRunOptions run_options;
  run_options.threads = options.threads;
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      const auto [first, last] = wanted.equal_range(id);
      for (auto it = first; it != last; ++it) {
        const size_t index = it->second;
        const int64_t wanted_axis = values_[index].axis;
        const int64_t axis = wanted_axis < 0 ? value.tensor->dim() + wanted_axis : wanted_axis;
        places_[index][sample] = position_count(value.tensor, axis);
        rows_[index][sample] =
            channel_rows(value.tensor, axis, positions(index, sample), values_[index].channels);
      }
    };
    return interpreter.run(inputs, run);
  };
  for_each_sample(graph, source, run_options, work);
}

std::vector<int64_t> LayerOutputs::positions(size_t index, size_t sample) const {
  return choose_positions(places_[index][sample], values_[index].rows_a_sample, seed_,
                          values_[index].stream * samples_ + sample);
}

CarriedInputs record_carried(const Graph& graph, const SampleSource& source,
                             const std::function<void()>& check) {
  if (source.carry.empty()) return {};
  std::vector<size_t> places;
  for (const auto& [output, input] : source.carry)
    for (size_t i = 0; i < graph.inputs().size(); ++i)
      if (graph.value(graph.inputs()[i]).name == input) places.push_back(i);
  CarriedInputs carried(source.count);
  const Interpreter interpreter(graph);
  RunOptions run;
  run.check = check;
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    for (const size_t i : places) carried[sample][i] = to_tensor(inputs[i]);
    return interpreter.run(inputs, run);
  };
  for_each_sample(graph, source, {}, work);
  return carried;
}

SampleSource without_carry(const SampleSource& source, const CarriedInputs& carried) {
  if (carried.empty()) return source;
  SampleSource plain;
  plain.count = source.count;
  plain.sample = [&source, &carried](size_t sample) {
    std::vector<Tensor> inputs = source.sample(sample);
    for (const auto& [input, tensor] : carried[sample]) inputs[input] = tensor;
    return inputs;
  };
  return plain;
}

}  // namespace lathe

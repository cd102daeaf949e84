#include "prune/repair_targets.h"

#include <algorithm>
#include <set>

#include "prune/lstm_run.h"

namespace lathe {

RepairTargets::RepairTargets(const Graph& dense, std::vector<RepairTarget>& layers,
                             const SampleSource& source, const RepairOptions& options)
    : samples_(source.count), seed_(options.seed) {
  double bytes = 0;
  for (const RepairTarget& target : layers)
    bytes += (target.layer.recurrent ? 24.0 : 4.0) *
             static_cast<double>(target.rows_a_sample * target.layer.channels());
  const double share = std::min(1.0, static_cast<double>(options.target_bytes) / (bytes + 1));
  std::multimap<ValueId, const RepairTarget*> wanted;
  std::vector<const RepairTarget*> recurrent;
  std::set<ValueId> read;  // by recurrent layers
  for (RepairTarget& target : layers) {
    const auto rows = static_cast<int64_t>(static_cast<double>(target.rows_a_sample) * share);
    const auto count = static_cast<int64_t>(source.count);
    target.rows_a_sample = std::max<int64_t>(1, (rows + count - 1) / count);
    if (target.layer.method == RepairMethod::kNone) continue;
    if (!target.layer.recurrent) {
      wanted.emplace(target.dense_value, &target);
      continue;
    }
    recurrent.push_back(&target);
    for (const ValueId id : computed_inputs(dense, target.dense_node)) read.insert(id);
  }
  rows_.assign(layers.size(), std::vector<at::Tensor>(samples_));
  places_.assign(layers.size(), std::vector<int64_t>(samples_, 0));
  carried_.resize(source.carry.empty() ? 0 : samples_);
  std::vector<size_t> carried_inputs;
  for (const auto& [output, input] : source.carry)
    for (size_t i = 0; i < dense.inputs().size(); ++i)
      if (dense.value(dense.inputs()[i]).name == input) carried_inputs.push_back(i);

  const Interpreter interpreter(dense);
  SampleRunOptions run_options;
  run_options.threads = options.threads;
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    for (const size_t i : carried_inputs) carried_[sample][i] = to_tensor(inputs[i]);
    std::map<ValueId, RuntimeValue> values;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (read.contains(dense.inputs()[i])) values[dense.inputs()[i]] = inputs[i];
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      if (read.contains(id)) values[id] = value;
      const auto [first, last] = wanted.equal_range(id);
      for (auto it = first; it != last; ++it) {
        const RepairTarget& target = *it->second;
        const OpKind kind = dense.node(target.dense_node).kind;
        const int64_t axis = channel_axis(kind, value.tensor.dim());
        places_[target.index][sample] = position_count(value.tensor, axis);
        rows_[target.index][sample] =
            channel_rows(value.tensor, axis, positions(target, sample), target.kept);
      }
    };
    std::vector<RuntimeValue> outputs = interpreter.run(inputs, run);
    for (const RepairTarget* target : recurrent) {
      const LstmRun lstm = run_lstm(dense, target->dense_node, values);
      places_[target->index][sample] = lstm.after.size(0);
      rows_[target->index][sample] =
          lstm_targets(dense, target->dense_node, lstm, target->kept, positions(*target, sample));
    }
    return outputs;
  };
  for_each_sample(dense, source, run_options, work);
}

std::vector<int64_t> RepairTargets::positions(const RepairTarget& target, size_t sample) const {
  return choose_positions(places_[target.index][sample], target.rows_a_sample, seed_,
                          target.index * samples_ + sample);
}

std::vector<at::Tensor> RepairTargets::outputs(const RepairTarget& target, size_t begin,
                                               size_t end) const {
  const auto& rows = rows_[target.index];
  return {rows.begin() + static_cast<std::ptrdiff_t>(begin),
          rows.begin() + static_cast<std::ptrdiff_t>(end)};
}

SampleSource RepairTargets::without_carry(const SampleSource& source) const {
  return lathe::without_carry(source, carried_);
}

}  // namespace lathe

#include "prune/repair_targets.h"

#include <algorithm>
#include <set>

#include "prune/lstm_run.h"

namespace lathe {
namespace {

void share_memory(std::vector<RepairTarget>& layers, size_t samples, int64_t target_bytes) {
  double bytes = 0;
  for (const RepairTarget& target : layers)
    bytes += (target.layer.recurrent ? 24.0 : 4.0) *
             static_cast<double>(target.rows_a_sample * target.layer.channels());
  const double share = std::min(1.0, static_cast<double>(target_bytes) / (bytes + 1));
  const auto count = static_cast<int64_t>(samples);
  for (RepairTarget& target : layers) {
    const auto rows = static_cast<int64_t>(static_cast<double>(target.rows_a_sample) * share);
    target.rows_a_sample = std::max<int64_t>(1, (rows + count - 1) / count);
  }
}

}  // namespace

RepairTargets::RepairTargets(const Graph& dense, std::vector<RepairTarget>& layers,
                             const SampleSource& source, const RepairOptions& options)
    : samples_(source.count),
      seed_(options.seed),
      carried_(record_carried(dense, source, options.check)) {
  share_memory(layers, samples_, options.target_bytes);
  std::vector<OutputRows> wanted;
  std::vector<const RepairTarget*> recurrent;
  for (const RepairTarget& target : layers) {
    if (target.layer.method == RepairMethod::kNone) continue;
    if (target.layer.recurrent) {
      recurrent.push_back(&target);
      continue;
    }
    // Of a rank that is not known here, -1 is the last axis.
    const int64_t axis = channel_axis(dense.node(target.dense_node).kind, 0);
    output_[target.index] = wanted.size();
    wanted.push_back({target.dense_value, axis, target.rows_a_sample, target.index, target.kept});
  }
  const SampleSource plain = without_carry(source);
  if (!wanted.empty())
    outputs_ = std::make_unique<const LayerOutputs>(
        dense, std::move(wanted), plain,
        LayerOutputsOptions{options.threads, options.seed, options.check});
  if (!recurrent.empty()) run_recurrent(dense, recurrent, plain, options);
}

void RepairTargets::run_recurrent(const Graph& dense,
                                  const std::vector<const RepairTarget*>& recurrent,
                                  const SampleSource& source, const RepairOptions& options) {
  std::set<ValueId> read;
  for (const RepairTarget* target : recurrent) {
    for (const ValueId id : computed_inputs(dense, target->dense_node)) read.insert(id);
    recurrent_[target->index] = {std::vector<HeldTensor>(samples_),
                                 std::vector<int64_t>(samples_, 0)};
  }
  const Interpreter interpreter(dense);
  SampleRunOptions run_options;
  run_options.threads = options.threads;
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    std::map<ValueId, RuntimeValue> values;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (read.contains(dense.inputs()[i])) values[dense.inputs()[i]] = inputs[i];
    RunOptions run;
    run.check = options.check;
    run.on_value = [&](ValueId id, RuntimeValue& value) {
      if (read.contains(id)) values[id] = value;
    };
    std::vector<RuntimeValue> outputs = interpreter.run(inputs, run);
    for (const RepairTarget* target : recurrent) {
      const LstmRun lstm = run_lstm(dense, target->dense_node, values);
      Recurrent& found = recurrent_.at(target->index);
      found.places[sample] = lstm.after.size(0);
      found.rows[sample] =
          lstm_targets(dense, target->dense_node, lstm, target->kept, positions(*target, sample));
    }
    return outputs;
  };
  for_each_sample(dense, source, run_options, work);
}

std::vector<int64_t> RepairTargets::positions(const RepairTarget& target, size_t sample) const {
  if (!target.layer.recurrent) return outputs_->positions(output_.at(target.index), sample);
  return choose_positions(recurrent_.at(target.index).places[sample], target.rows_a_sample, seed_,
                          target.index * samples_ + sample);
}

std::vector<at::Tensor> RepairTargets::outputs(const RepairTarget& target, size_t begin,
                                               size_t end) const {
  std::vector<at::Tensor> rows;
  for (size_t sample = begin; sample < end; ++sample)
    rows.push_back(target.layer.recurrent ? *recurrent_.at(target.index).rows[sample]
                                          : outputs_->rows(output_.at(target.index), sample));
  return rows;
}

SampleSource RepairTargets::without_carry(const SampleSource& source) const {
  return lathe::without_carry(source, carried_);
}

}  // namespace lathe

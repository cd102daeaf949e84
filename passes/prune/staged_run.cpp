#include "prune/staged_run.h"

#include <algorithm>
#include <map>
#include <optional>

#include "ir/error.h"
#include "passes/passes.h"

namespace lathe {
namespace {

// The part of the graph that computes `wanted` from `known`.
Graph part_of(const Graph& graph, const std::vector<ValueId>& known,
              const std::vector<ValueId>& wanted) {
  Graph part = graph;
  std::map<ValueId, ValueId> replaced;
  std::vector<ValueId> inputs;
  for (const ValueId id : known) {
    ValueId input = id;
    if (!graph.is_input(id)) {
      input = part.add_input(part.fresh_name(graph.value(id).name), graph.value(id).type);
      part.replace_all_uses(id, input);
      replaced[id] = input;
    }
    inputs.push_back(input);
  }
  std::vector<ValueId> outputs;
  for (const ValueId id : wanted) {
    const auto found = replaced.find(id);
    outputs.push_back(found == replaced.end() ? id : found->second);
  }
  part.set_outputs(std::move(outputs));
  part.set_inputs(std::move(inputs));
  eliminate_dead_nodes(part);
  return part;
}

int64_t bytes_of(const std::vector<RuntimeValue>& values) {
  int64_t bytes = 0;
  for (const RuntimeValue& value : values)
    if (value.is_tensor())
      bytes += value.tensor.numel() * static_cast<int64_t>(value.tensor.element_size());
  return bytes;
}

bool all_tensors(const std::vector<RuntimeValue>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](const RuntimeValue& value) { return value.is_tensor(); });
}

}  // namespace

StagedRun::StagedRun(const Graph& graph, const SampleSource& source, StageOptions options)
    : graph_(graph), source_(source), options_(std::move(options)), order_(graph.order()) {
  if (!source.carry.empty()) throw InternalError("staged runs have no carried values");
}

// What nodes from `stage` on, and the graph's outputs, read of what is before.
std::vector<ValueId> StagedRun::frontier(size_t stage) const {
  std::map<NodeId, size_t> position;
  for (size_t i = 0; i < order_.size(); ++i) position[order_[i]] = i;
  std::vector<ValueId> values;
  for (const ValueId id : graph_.value_ids()) {
    const Value& value = graph_.value(id);
    const bool given = graph_.is_input(id);
    if (!given && (!value.producer.valid() || position.at(value.producer) >= stage)) continue;
    const bool needed = graph_.is_output(id) ||
                        std::any_of(value.users.begin(), value.users.end(),
                                    [&](NodeId user) { return position.at(user) >= stage; });
    if (needed) values.push_back(id);
  }
  return values;
}

std::vector<Tensor> StagedRun::known(size_t sample) const {
  return cached_.empty() ? source_.sample(sample) : cached_[sample];
}

void StagedRun::visit_all(
    size_t stage, const std::vector<ValueId>& watched, size_t portion,
    const std::function<void(size_t, const std::vector<RuntimeValue>&)>& visit,
    const std::function<void(size_t, size_t)>& after) {
  const std::vector<ValueId> start = cached_.empty() ? graph_.inputs() : cached_values_;
  std::vector<ValueId> wanted = watched;
  for (const ValueId id : frontier(stage))
    if (std::find(watched.begin(), watched.end(), id) == watched.end()) wanted.push_back(id);
  std::optional<Interpreter> interpreter(std::in_place, part_of(graph_, start, wanted));
  RunOptions run;
  run.check = options_.check;
  // Whether the next stage can start here is decided on the first sample.
  bool caching = false;
  {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& tensor : known(0)) inputs.push_back(to_runtime(tensor));
    const std::vector<RuntimeValue> values = interpreter->run(std::move(inputs), run);
    const double bytes = static_cast<double>(bytes_of(values)) * static_cast<double>(source_.count);
    caching = all_tensors(values) && bytes <= static_cast<double>(options_.cache_bytes);
  }
  if (!caching) interpreter.emplace(part_of(graph_, start, watched));
  std::vector<std::vector<Tensor>> next(caching ? source_.count : 0);

  for (size_t begin = 0; begin < source_.count; begin += portion) {
    const size_t end = std::min(source_.count, begin + portion);
    SampleSource part;
    part.count = end - begin;
    part.sample = [&](size_t i) { return known(begin + i); };
    SampleRunOptions options;
    options.threads = options_.threads;
    const auto work = [&](size_t i, size_t, const std::vector<RuntimeValue>& inputs) {
      std::vector<RuntimeValue> values = interpreter->run(inputs, run);
      for (size_t k = 0; k < watched.size(); ++k)
        if (!values[k].is_tensor()) throw bad_input("prune.no_tensor", "a layer reads no tensor");
      visit(begin + i, values);
      if (caching)
        for (const RuntimeValue& value : values) next[begin + i].push_back(to_tensor(value));
      return values;
    };
    for_each_sample(interpreter->graph(), part, options, work);
    if (caching && !cached_.empty())
      for (size_t i = begin; i < end; ++i) cached_[i].clear();
    after(begin, end);
  }
  if (!caching) return;
  cached_ = std::move(next);
  cached_values_ = std::move(wanted);
}

void StagedRun::forget(ValueId value) {
  const auto found = std::find(cached_values_.begin(), cached_values_.end(), value);
  if (found == cached_values_.end()) return;
  const auto at = found - cached_values_.begin();
  cached_values_.erase(found);
  for (std::vector<Tensor>& values : cached_) values.erase(values.begin() + at);
}

}  // namespace lathe

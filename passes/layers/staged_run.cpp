#include "layers/staged_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ir/error.h"
#include "passes/passes.h"
#include "qdq/qdq.h"

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

int64_t bytes_of(const RuntimeValue& value) {
  if (!value.is_tensor()) return 0;
  return value.tensor->numel() * static_cast<int64_t>(value.tensor->element_size());
}

// A quarter of the bytes, and quickly dequantized again.
ValueId integers_of(const Graph& graph, ValueId id) {
  const Node* dq = dequantizer(graph, id);
  const bool fixed = dq != nullptr && constant_params(graph, *dq);
  return fixed && graph.constant(dq->inputs[0]) == nullptr ? dq->inputs[0] : id;
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
  std::set<ValueId> values;
  for (const ValueId id : graph_.value_ids()) {
    const Value& value = graph_.value(id);
    const bool given = graph_.is_input(id);
    if (!given && (!value.producer.valid() || position.at(value.producer) >= stage)) continue;
    const bool needed = graph_.is_output(id) ||
                        std::any_of(value.users.begin(), value.users.end(),
                                    [&](NodeId user) { return position.at(user) >= stage; });
    if (needed) values.insert(integers_of(graph_, id));
  }
  return {values.begin(), values.end()};
}

std::vector<Tensor> StagedRun::known(size_t sample) const {
  return cached_.empty() ? source_.sample(sample) : cached_[sample];
}

void StagedRun::visit_all(
    size_t stage, const std::vector<ValueId>& watched, size_t portion,
    const std::function<void(size_t, const std::vector<RuntimeValue>&)>& visit,
    const std::function<void(size_t, size_t)>& after) {
  const std::vector<ValueId> start = cached_.empty() ? graph_.inputs() : cached_values_;
  const std::vector<ValueId> kept = frontier(stage);
  std::vector<ValueId> wanted = watched;
  std::vector<size_t> held;  // where the kept ones are in `wanted`
  for (const ValueId id : kept) {
    held.push_back(
        static_cast<size_t>(std::find(wanted.begin(), wanted.end(), id) - wanted.begin()));
    if (held.back() == wanted.size()) wanted.push_back(id);
  }
  std::optional<Interpreter> interpreter(std::in_place, part_of(graph_, start, wanted));
  RunOptions run;
  run.check = options_.check;
  // Whether the next stage can start here is decided on the first sample.
  bool caching = false;
  {
    std::vector<RuntimeValue> inputs;
    for (const Tensor& tensor : known(0)) inputs.push_back(to_runtime(tensor));
    const std::vector<RuntimeValue> values = interpreter->run(std::move(inputs), run);
    double bytes = 0;
    caching = true;
    for (const size_t k : held) {
      bytes += static_cast<double>(bytes_of(values[k])) * static_cast<double>(source_.count);
      caching = caching && values[k].is_tensor();
    }
    caching = caching && bytes <= static_cast<double>(options_.cache_bytes);
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
        if (!values[k].is_tensor()) throw bad_input("layers.no_tensor", "a layer reads no tensor");
      visit(begin + i, values);
      if (caching)
        for (const size_t k : held) next[begin + i].push_back(to_tensor(values[k]));
      return values;
    };
    for_each_sample(interpreter->graph(), part, options, work);
    if (caching && !cached_.empty())
      for (size_t i = begin; i < end; ++i) cached_[i].clear();
    after(begin, end);
  }
  if (!caching) return;
  cached_ = std::move(next);
  cached_values_ = kept;
}

}  // namespace lathe

#include "train/checkpointed_run.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <map>
#include <set>

#include "ir/error.h"
#include "passes/passes.h"
#include "train/activation_segments.h"

namespace lathe {
namespace {

using Segment = CheckpointedRun::Segment;
using GradientNode = torch::autograd::Node;
using torch::autograd::variable_list;

variable_list tensors_of(const std::vector<RuntimeValue>& values) {
  variable_list tensors;
  for (const RuntimeValue& value : values) {
    if (!value.is_tensor())
      throw bad_input("train.segment", "a value that is no tensor of numbers would be kept", {},
                      "train without --checkpoint-activations");
    tensors.push_back(value.tensor);
  }
  return tensors;
}

std::vector<RuntimeValue> run_prepared(const Segment& segment, const variable_list& tensors,
                                       const std::vector<DType>& dtypes, PreparedRun prepared) {
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < tensors.size(); ++i) inputs.emplace_back(tensors[i], dtypes[i]);
  prepared.options.constants = prepared.constants;
  return segment.interpreter->run(std::move(inputs), prepared.options);
}

/// Where a backward run ends. Unlike .grad it keeps the gradients' layout in memory, in which later
/// kernels sum.
class GradientSink : public GradientNode {
 public:
  std::string name() const override { return "GradientSink"; }
  variable_list taken;

 protected:
  variable_list apply(variable_list&& gradients) override {
    taken = std::move(gradients);
    return {};
  }
};

/// Where a backward run begins: hands on gradients that it holds no longer, so that they and the
/// values that they are of are freed as soon as they were used.
class GradientSource : public GradientNode {
 public:
  std::string name() const override { return "GradientSource"; }
  void add(const at::Tensor& output, at::Tensor gradient) {
    add_next_edge(torch::autograd::impl::gradient_edge(output));
    held_.push_back(std::move(gradient));
  }
  bool empty() const { return held_.empty(); }

 protected:
  variable_list apply(variable_list&&) override { return std::move(held_); }

 private:
  variable_list held_;
};

/// The segment as one step of autograd's graph. Its gradient is found by a backward run of its
/// own, which leaves those of leaf tensors in .grad.
class SegmentBackward : public GradientNode {
 public:
  SegmentBackward(const Segment& segment, PrepareRun prepare)
      : segment_(segment), prepare_(std::move(prepare)) {}

  std::string name() const override { return "SegmentBackward"; }

  void keep(const variable_list& inputs, std::vector<DType> dtypes) {
    dtypes_ = std::move(dtypes);
    for (const at::Tensor& input : inputs) {
      kept_.emplace_back(input, /*is_output=*/false);
      needed_.push_back(input.requires_grad());
    }
  }

  void release_variables() override {
    for (torch::autograd::SavedVariable& variable : kept_) variable.reset_data();
  }

 protected:
  variable_list apply(variable_list&& gradients) override {
    const auto sink = std::make_shared<GradientSink>();
    variable_list inputs;
    for (size_t i = 0; i < kept_.size(); ++i) {
      inputs.push_back(kept_[i].unpack().detach());
      if (needed_[i]) torch::autograd::set_history(inputs.back(), sink);
    }
    const auto source = std::make_shared<GradientSource>();
    {
      const at::AutoGradMode on(true);
      const variable_list outputs = tensors_of(run_prepared(
          segment_, inputs, dtypes_, prepare_(segment_.interpreter->graph(), /*again=*/true)));
      for (size_t i = 0; i < outputs.size(); ++i)
        if (gradients[i].defined() && outputs[i].requires_grad())
          source->add(outputs[i], std::move(gradients[i]));
    }
    gradients.clear();
    inputs.clear();
    if (!source->empty()) {
      at::Tensor start = at::zeros({});
      torch::autograd::set_history(start, source);
      torch::autograd::backward({start});
    }
    variable_list results(needed_.size());
    size_t next = 0;
    for (size_t i = 0; i < needed_.size() && next < sink->taken.size(); ++i)
      if (needed_[i]) results[i] = std::move(sink->taken[next++]);
    return results;
  }

 private:
  const Segment& segment_;
  PrepareRun prepare_;
  std::vector<DType> dtypes_;
  std::vector<torch::autograd::SavedVariable> kept_;
  std::vector<bool> needed_;
};

bool may_learn(const variable_list& inputs, const PreparedRun& prepared) {
  for (const at::Tensor& input : inputs)
    if (input.requires_grad()) return true;
  for (const RuntimeValue& constant : prepared.constants)
    if (constant.is_tensor() && constant.tensor->requires_grad()) return true;
  return prepared.options.on_value != nullptr;  // it may bring leaf tensors in
}

std::vector<RuntimeValue> run_forgetting(const Segment& segment,
                                         const std::vector<RuntimeValue>& inputs,
                                         const PrepareRun& prepare) {
  const variable_list tensors = tensors_of(inputs);
  std::vector<DType> dtypes;
  for (const RuntimeValue& input : inputs) dtypes.push_back(input.dtype);
  PreparedRun prepared = prepare(segment.interpreter->graph(), /*again=*/false);
  const bool learns = may_learn(tensors, prepared);
  std::vector<RuntimeValue> outputs;
  {
    const at::NoGradGuard no_gradient;
    outputs = run_prepared(segment, tensors, dtypes, std::move(prepared));
    tensors_of(outputs);
    for (RuntimeValue& output : outputs) output.tensor = output.tensor->detach();
  }
  if (!learns) return outputs;
  const std::shared_ptr<SegmentBackward> backward(new SegmentBackward(segment, prepare),
                                                  torch::autograd::deleteNode);
  backward->set_next_edges(torch::autograd::collect_next_edges(tensors));
  backward->keep(tensors, dtypes);
  for (RuntimeValue& output : outputs) {
    if (output.tensor->is_floating_point())
      torch::autograd::set_history(output.tensor, backward);
    else  // keeps the numbers of the outputs behind it
      backward->add_input_metadata(GradientNode::undefined_input());
  }
  return outputs;
}

/// The part of the graph that computes `makes` from `reads`; ids stay as they are.
Graph part_of(const Graph& graph, const Segment& segment) {
  Graph part = graph;
  part.set_outputs(segment.makes);
  std::vector<ValueId> inputs;
  for (const ValueId read : segment.reads) {
    if (!graph.value(read).producer.valid()) {
      inputs.push_back(read);
      continue;
    }
    const Value& value = graph.value(read);
    inputs.push_back(part.add_input(part.fresh_name(value.name), value.type));
    part.replace_all_uses(read, inputs.back());
  }
  part.set_inputs(inputs);
  eliminate_dead_nodes(part);
  return part;
}

std::vector<ValueId> read_by(const Node& node) {
  std::vector<ValueId> reads = node.inputs;
  for (const Subgraph& subgraph : node.subgraphs)
    reads.insert(reads.end(), subgraph.captures.begin(), subgraph.captures.end());
  return reads;
}

}  // namespace

CheckpointedRun::CheckpointedRun(const Graph& graph)
    : inputs_(graph.inputs()), outputs_(graph.outputs()) {
  const std::vector<NodeId> order = graph.order();
  const std::vector<size_t> starts = activation_segments(graph);
  std::vector<std::set<ValueId>> reads(starts.size()), made(starts.size());
  for (size_t s = 0; s < starts.size(); ++s) {
    const size_t end = s + 1 < starts.size() ? starts[s + 1] : order.size();
    for (size_t i = starts[s]; i < end; ++i) {
      const Node& node = graph.node(order[i]);
      for (const ValueId read : read_by(node))
        if (read.valid() && !graph.value(read).is_constant() && !made[s].contains(read))
          reads[s].insert(read);
      for (const ValueId output : node.outputs)
        if (output.valid()) made[s].insert(output);
    }
  }
  std::set<ValueId> wanted(outputs_.begin(), outputs_.end());  // by later segments or the caller
  for (size_t s = starts.size(); s-- > 0;) {
    Segment segment;
    segment.reads.assign(reads[s].begin(), reads[s].end());
    for (const ValueId value : made[s])
      if (wanted.contains(value)) segment.makes.push_back(value);
    // A constant that is an output: the last segment hands it out.
    for (const ValueId output : s + 1 == starts.size() ? outputs_ : std::vector<ValueId>())
      if (graph.value(output).is_constant()) segment.makes.push_back(output);
    for (const ValueId read : segment.reads)
      if (wanted.insert(read).second) segment.dying.push_back(read);
    segment.interpreter = std::make_unique<Interpreter>(part_of(graph, segment));
    segments_.push_back(std::move(segment));
  }
  std::reverse(segments_.begin(), segments_.end());
}

std::vector<RuntimeValue> CheckpointedRun::run(std::vector<RuntimeValue> inputs,
                                               const PrepareRun& prepare) const {
  if (inputs.size() != inputs_.size()) throw InternalError("a segmented run lacks inputs");
  std::map<ValueId, RuntimeValue> held;
  for (size_t i = 0; i < inputs.size(); ++i) held[inputs_[i]] = std::move(inputs[i]);
  for (const Segment& segment : segments_) {
    std::vector<RuntimeValue> given;
    for (const ValueId read : segment.reads) given.push_back(held.at(read));
    for (const ValueId read : segment.dying) held.erase(read);
    std::vector<RuntimeValue> results;
    if (&segment == &segments_.back()) {
      // Its activations would be computed anew at once.
      PreparedRun prepared = prepare(segment.interpreter->graph(), false);
      prepared.options.constants = prepared.constants;
      results = segment.interpreter->run(std::move(given), prepared.options);
    } else {
      results = run_forgetting(segment, given, prepare);
    }
    for (size_t i = 0; i < results.size(); ++i) held[segment.makes[i]] = std::move(results[i]);
  }
  std::vector<RuntimeValue> outputs;
  for (const ValueId output : outputs_) outputs.push_back(held.at(output));
  return outputs;
}

}  // namespace lathe

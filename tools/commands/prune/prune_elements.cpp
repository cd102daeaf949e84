#include "commands/prune/prune_elements.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands/prune/prune_report.h"
#include "commands/prune/prune_training.h"
#include "ir/error.h"
#include "prune/element_masks.h"
#include "stopwatch.h"

namespace lathe {
namespace {

ElementPattern pattern_of(PruneStructure structure) {
  if (structure == PruneStructure::kTwoOfFour) return ElementPattern::kTwoOfFour;
  return structure == PruneStructure::kBlock1x4 ? ElementPattern::kBlock1x4
                                                : ElementPattern::kUnstructured;
}

ElementMaskOptions mask_options(const PruneRequest& request) {
  ElementMaskOptions options;
  options.pattern = pattern_of(request.structure);
  options.sparsity = request.share;
  options.scope = request.scope;
  options.selected = [&request](const Node& node) { return request.nodes.selects(node); };
  return options;
}

// What a runtime makes of the zeros.
const char* speed_note(const PruneRequest& request) {
  if (request.structure == PruneStructure::kTwoOfFour)
    return "2:4 speeds up only runtimes with kernels for it (TensorRT and cuSPARSELt on Ampere "
           "and later); elsewhere it is size only, after compression";
  if (request.structure == PruneStructure::kBlock1x4)
    return "block sparsity brings no speed without sparse kernels: size only, after compression";
  return request.share < 0.9
             ? "element sparsity below 90 %: size only, after compression; no speed"
             : "element sparsity brings speed only with sparse kernels, which ONNX Runtime and "
               "LibTorch do not have for these layers";
}

// Of the graph as it is now: what is told is what is written.
void tell_zeros(const PruneContext& context, PruneOutcome& outcome) {
  const std::vector<ElementCount> counts = count_zeros(outcome.graph);
  outcome.plan = elements_json(context.request, counts);
  outcome.summary = elements_summary(counts);
  outcome.plan_lines.clear();
  outcome.removed = 0;
  for (const ElementCount& count : counts) {
    outcome.removed += count.zeros;
    outcome.plan_lines += fmt::format("  {}: {} of {} zero\n", escape_untrusted(count.node, 80),
                                      count.zeros, count.elements);
  }
}

// Trains the dense network while its weights go; which ones is decided anew at every change.
void grow_sparsity(const PruneContext& context, PruneOutcome& outcome) {
  outcome.graph = context.dense();
  nlohmann::json changes;
  const auto set = [&](TrainableGraph& graph, double sparsity) {
    ElementMaskOptions options = mask_options(context.request);
    options.sparsity = sparsity;
    set_element_masks(graph, plan_element_masks(graph.trained(), options));
  };
  const FineTuneHooks hooks = gradual_hooks(context, context.request.share, set, changes);
  fine_tune_stage(context, hooks, outcome);
  outcome.training["sparsity"] = std::move(changes);
  tell_zeros(context, outcome);
}

}  // namespace

PruneOutcome prune_elements(const PruneContext& context) {
  const Stopwatch start;
  const Graph& dense = context.dense();
  const std::vector<ElementMask> masks = plan_element_masks(dense, mask_options(context.request));
  PruneOutcome outcome;
  outcome.graph = dense;
  apply_element_masks(outcome.graph, masks);
  tell_zeros(context, outcome);
  outcome.notes.emplace_back(speed_note(context.request));
  if (context.options.common.dry_run) {
    outcome.graph = dense;
    return outcome;
  }
  if (context.request.schedule) {
    grow_sparsity(context, outcome);
    return outcome;
  }
  record_stage(context, "removed", start.seconds(), outcome);
  repair_stage(context, {}, outcome);
  FineTuneHooks hooks;
  hooks.on_start = [&](TrainableGraph& graph, int64_t, int64_t) {
    set_element_masks(graph, masks);
  };
  fine_tune_stage(context, hooks, outcome);
  tell_zeros(context, outcome);
  return outcome;
}

}  // namespace lathe

#include "commands/quantize/search_weights.h"

#include <fmt/format.h>

#include <set>
#include <string>

#include "commands/quantize/weight_rows.h"
#include "quantize/plan/without_nodes.h"
#include "quantize/weights/round_stored_weights.h"

namespace lathe {
namespace {

// What the plan does to the one node.
WeightStoragePlan plan_alone(const NodeAlone& alone, const WeightStoragePlan& plan) {
  WeightStoragePlan one;
  const NodeId inside = alone.graph.node_ids().back();  // behind the Identities before it
  for (const StoredWeight& weight : plan.weights)
    for (const auto& [id, input] : weight.readers) {
      if (id != alone.node) continue;
      StoredWeight own = weight;
      own.value = alone.graph.node(inside).inputs.at(input);
      own.readers = {{inside, input}};
      one.weights.push_back(std::move(own));
    }
  for (const auto& [place, body] : plan.bodies)
    if (place.first == alone.node) one.bodies.emplace(std::pair(inside, place.second), body);
  return one;
}

}  // namespace

std::string weight_coverage(const WeightStoragePlan& plan, int64_t bits) {
  std::set<std::string> left;
  for (const PlanException& exception : plan.exceptions) left.insert(exception.node);
  const int64_t stored = stored_nodes(plan);
  return fmt::format("{} of {} nodes with int{} weights", stored,
                     stored + static_cast<int64_t>(left.size()), bits);
}

LayerSearch search_weights(const Graph& reference, const Graph& rounded,
                           const WeightStoragePlan& plan, int64_t bits) {
  const auto quantize = [rounded, plan](NodeAlone& alone) {
    NodeAlone stored = node_alone(rounded, alone.node);
    StoredNoise noise;
    store_integer_weights(stored.graph, plan_alone(stored, plan), noise);
    alone = std::move(stored);
  };
  LayerSearch search = search_alone(reference, planned_nodes(plan), quantize);
  search.make = [reference, rounded, plan, bits](const std::set<NodeId>& left) {
    const WeightStoragePlan fewer = without_nodes(rounded, plan, left, kGivenBack);
    PartlyQuantized made;
    made.graph = rounded;
    restore_float_layers(made.graph, reference, left);
    made.plan = {{"weights", weight_rows(made.graph, fewer)},
                 {"exceptions", exception_rows(fewer.exceptions)}};
    StoredNoise noise;
    add_rounding_noise(reference, made.graph, fewer, noise);
    store_integer_weights(made.graph, fewer, noise);
    drop_leftovers(made.graph);
    made.coverage = weight_coverage(fewer, bits);
    made.exceptions = fewer.exceptions;
    made.rows = {{"weights", weight_sqnr_text(noise)}};
    return made;
  };
  return search;
}

}  // namespace lathe

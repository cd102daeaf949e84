#include "prune/unit_masks.h"

#include <cmath>

#include "ops/op_row.h"
#include "prune/channel_check.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::Cell;

// A cell over five steps of two items whose states start at zero; its last state is an output.
Graph cell_graph(const Cell& cell, bool both) {
  test::Net net;
  const int64_t d = both ? 2 : 1;
  const int64_t hidden = 8;
  Attributes attributes;
  attributes.set("hidden_size", hidden);
  if (both) attributes.set("direction", std::string("bidirectional"));
  const ValueId x = net.input(Shape{5, 2, 3});
  const std::vector<ValueId> outputs = net.ops(
      cell.kind,
      {x, net.weight({d, cell.gates * hidden, 3}), net.weight({d, cell.gates * hidden, hidden}),
       net.weight({d, 2 * cell.gates * hidden})},
      2, attributes);
  return net.finish({outputs[0], outputs[1]});
}

}  // namespace

TEST_CASE("silenced units of LSTM, GRU and RNN give exactly zero, in both directions") {
  for (const Cell cell : {Cell{OpKind::kLSTM, 4}, Cell{OpKind::kGRU, 3}, Cell{OpKind::kRNN, 1}})
    for (const bool both : {false, true}) {
      Graph graph = cell_graph(cell, both);
      const auto all = [](NodeId) { return true; };
      const std::vector<UnitMask> masks = plan_unit_masks(graph, 0.5, all);
      REQUIRE(masks.size() == 1);
      const auto directions = static_cast<size_t>(both ? 2 : 1);
      REQUIRE(masks[0].removed.size() == directions);
      CHECK(apply_unit_masks(graph, masks) == static_cast<int>(4 * directions));
      const Tensor input = Tensor::of<float>({5, 2, 3}, std::vector<float>(30, 0.7f));
      const std::vector<double> y =
          Interpreter(graph).run_tensors({input})[0].to_double();  // [5, directions, 2, 8]
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t direction = i / 16 % directions;
        const auto unit = static_cast<int32_t>(i % 8);
        const auto& removed = masks[0].removed[direction];
        const bool silent = std::find(removed.begin(), removed.end(), unit) != removed.end();
        CHECK((y[i] == 0.0) == silent);
      }
      CHECK(plan_unit_masks(graph, 0.5, all)[0].removed == masks[0].removed);
    }
}

TEST_CASE("one unit stays, and what is not selected is left whole") {
  const Graph graph = cell_graph({OpKind::kGRU, 3}, false);
  CHECK(plan_unit_masks(graph, 1.0, [](NodeId) { return true; })[0].removed[0].size() == 7);
  CHECK(plan_unit_masks(graph, 0.5, [](NodeId) { return false; }).empty());
}

}  // namespace lathe

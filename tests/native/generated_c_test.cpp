// Random graphs as C, built by the host's compiler and by boards', beside the interpreter.
#include "emulation/emulated_engine.h"
#include "generated_c.h"
#include "ir/error.h"
#include "lower/lower_graph.h"
#include "names/engines.h"
#include "random_graph.h"

namespace lathe {
namespace {

using namespace test;

struct Counts {
  int run = 0;
  int refused = 0;
  std::map<std::string, int> why;
};

Counts check_flavour(GraphFlavour flavour, uint64_t count, double largest, double share) {
  Counts counts;
  for (uint64_t seed = 0; seed < count; ++seed) {
    CAPTURE(seed);
    const test::RandomGraph built = test::RandomGraphBuilder(seed, flavour).build();
    std::vector<Shape> shapes;
    for (const Tensor& input : built.inputs) shapes.push_back(input.shape());
    const Graph graph = test::with_shapes(built.graph, shapes);
    try {
      LowerOptions options;
      options.compact = true;
      const LoweredGraph lowered = lower_graph(graph, options);
      const C99Options named{"net", "net.h", "0", 8};
      const C99Code code = emit_c99(graph, lowered.plan, named);
      const BuiltC c(host_c_compiler(), code, named, graph);
      const Interpreter interpreter(graph);
      for (const std::vector<Tensor>* inputs : {&built.inputs, &built.other_inputs}) {
        std::vector<RuntimeValue> values;
        for (const Tensor& input : *inputs) values.push_back(to_runtime(input));
        const std::vector<at::Tensor> found = c.run(tensors_of(*inputs));
        const std::vector<RuntimeValue> wanted = interpreter.run(values);
        for (size_t i = 0; i < found.size(); ++i) {
          const test::Difference difference = apart(found[i], wanted[i].tensor);
          CHECK(difference.largest <= largest);
          CHECK(difference.share <= share);
        }
      }
      ++counts.run;
    } catch (const Error& error) {
      // Not every step has C yet; nothing else may be wrong.
      CHECK(error.id().starts_with("c99."));
      CHECK(error.id() != "c99.build");
      ++counts.refused;
      ++counts.why[error.text().message];
    }
  }
  return counts;
}

TEST_CASE("random quantized graphs as C give what the interpreter gives") {
  if (host_c_compiler().empty()) {
    MESSAGE("skipped: no C compiler");
    return;
  }
  const Counts counts = check_flavour(GraphFlavour::kQuantized, is_slow() ? 400 : 40, 0.35, 0.6);
  MESSAGE(counts.run, " run, ", counts.refused, " refused");
  for (const auto& [why, n] : counts.why) MESSAGE(n, " ", why);
  CHECK(counts.run >= 10);
}

// What the host's compiler makes of the code, and what a board's does.
void check_board(const Board& board, uint64_t count) {
  int run = 0;
  for (uint64_t seed = 0; seed < count; ++seed) {
    CAPTURE(board.engine);
    CAPTURE(seed);
    const test::RandomGraph built =
        test::RandomGraphBuilder(seed, GraphFlavour::kQuantized).build();
    std::vector<Shape> shapes;
    for (const Tensor& input : built.inputs) shapes.push_back(input.shape());
    const Graph graph = test::with_shapes(built.graph, shapes);
    try {
      const C99Options named{"net", "net.h", "0", 8};
      const BuiltC host(host_c_compiler(), emit_c99(graph, named), named, graph);
      EmulatedEngine emulated(board, graph,
                              [](const Graph& fixed, const std::vector<Shape>&) { return fixed; });
      for (const std::vector<Tensor>* inputs : {&built.inputs, &built.other_inputs}) {
        std::vector<RuntimeValue> values;
        for (const Tensor& input : *inputs) values.push_back(to_runtime(input));
        const std::vector<at::Tensor> wanted = host.run(tensors_of(*inputs));
        const std::vector<RuntimeValue> found = emulated.run(values);
        for (size_t i = 0; i < found.size(); ++i) {
          // expf and the like are each library's own.
          const bool is_float = at::isFloatingType(wanted[i].scalar_type());
          CHECK(apart(found[i].tensor, wanted[i]).largest <= (is_float ? 1e-6 : 0));
        }
      }
      ++run;
    } catch (const Error& error) {
      if (error.id() == "emulation.program") {
        MESSAGE("skipped ", board.engine, ": ", error.text().hint);
        return;
      }
      INFO(error.text().message);
      CHECK(error.id().starts_with("c99."));
    }
  }
  CHECK(run >= static_cast<int>(count / 4));
}

TEST_CASE("random quantized graphs give the same bytes on boards and on the host") {
  if (host_c_compiler().empty()) return;
  for (const Board& board : boards())
    if (is_slow() || board.engine == kEmulatedM4 || board.engine == kEmulatedM55)
      check_board(board, is_slow() ? 100 : 10);
}

TEST_CASE("random float graphs as C give what the interpreter gives") {
  if (host_c_compiler().empty()) return;
  const Counts counts = check_flavour(GraphFlavour::kFloat, is_slow() ? 400 : 40, 1e-3, 0);
  MESSAGE(counts.run, " run, ", counts.refused, " refused");
  for (const auto& [why, n] : counts.why) MESSAGE(n, " ", why);
  CHECK(counts.run >= 5);
}

}  // namespace
}  // namespace lathe

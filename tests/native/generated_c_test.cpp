// Random graphs and recurrent layers as C, built by the host's compiler, beside the interpreter.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <tuple>

#include "c99/built_c.h"
#include "c99/c99.h"
#include "emulation/emulated_engine.h"
#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "ir/seeded_random.h"
#include "lower/lower_graph.h"
#include "names/engines.h"
#include "onnx/text_form.h"
#include "native_run.h"
#include "random_graph.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::GraphFlavour;

std::vector<at::Tensor> tensors_of(const std::vector<Tensor>& values) {
  std::vector<at::Tensor> tensors;
  for (const Tensor& value : values) tensors.push_back(to_runtime(value).tensor);
  return tensors;
}

// The share of elements that differ by more than a thousandth of the largest, and the largest
// difference.
test::Difference apart(const at::Tensor& found, const at::Tensor& wanted) {
  if (wanted.numel() == 0) return {};
  const at::Tensor a = wanted.to(at::kDouble);
  const double most = a.abs().max().item<double>();
  if (!std::isfinite(most)) return {};
  const at::Tensor error = (found.to(at::kDouble) - a).abs() / std::max(most, 1e-2);
  return {error.max().item<double>(), (error > 1e-3).to(at::kDouble).mean().item<double>()};
}

bool is_slow() { return std::getenv("LATHE_SLOW") != nullptr; }

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

Tensor noise(SeededRandom& random, const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& x : values) x = static_cast<float>(0.4 * random.normal());
  return Tensor::of<float>(shape, values);
}

TEST_CASE("recurrent layers as C, both directions, with states and all results") {
  if (host_c_compiler().empty()) return;
  for (const OpKind kind : {OpKind::kLSTM, OpKind::kGRU, OpKind::kRNN})
    for (const int64_t directions : {1, 2})
      for (const bool before_reset : {false, true}) {
        CAPTURE(op_name(kind));
        CAPTURE(directions);
        SeededRandom random(static_cast<uint64_t>(directions), static_cast<uint64_t>(kind));
        constexpr int64_t kTime = 5;
        constexpr int64_t kBatch = 2;
        constexpr int64_t kInputs = 7;
        constexpr int64_t kHidden = 6;
        const int64_t rows =
            kHidden * (kind == OpKind::kLSTM ? 4 : kind == OpKind::kGRU ? 3 : 1);
        Graph graph;
        const std::vector<Tensor> inputs{noise(random, {kTime, kBatch, kInputs}),
                                         noise(random, {directions, kBatch, kHidden})};
        const auto port = [&](const char* name, const Tensor& tensor) {
          return graph.add_input(name, tensor_type(DType::kFloat32, dims_of(tensor.shape())));
        };
        const ValueId x = port("x", inputs[0]);
        const ValueId h = port("h", inputs[1]);
        Node node;
        node.kind = kind;
        node.name = "layer";
        node.inputs = {x, graph.add_constant("w", noise(random, {directions, rows, kInputs})),
                       graph.add_constant("r", noise(random, {directions, rows, kHidden})),
                       graph.add_constant("b", noise(random, {directions, 2 * rows})), ValueId{},
                       h};
        node.attributes.set("hidden_size", kHidden);
        node.attributes.set("direction",
                            std::string(directions == 2 ? "bidirectional" : "reverse"));
        if (kind == OpKind::kGRU && before_reset)
          node.attributes.set("linear_before_reset", int64_t{1});
        const size_t results = kind == OpKind::kLSTM ? 3 : 2;
        for (size_t i = 0; i < results; ++i)
          node.outputs.push_back(graph.add_value("y" + std::to_string(i), {}));
        const std::vector<ValueId> outputs = node.outputs;
        graph.add_node(std::move(node));
        graph.set_outputs(outputs);
        infer_shapes(graph);
        LowerOptions options;
        options.compact = true;
        const C99Options named{"net", "net.h", "0", 8};
        const C99Code code = emit_c99(graph, lower_graph(graph, options).plan, named);
        const std::vector<at::Tensor> found =
            BuiltC(host_c_compiler(), code, named, graph).run(tensors_of(inputs));
        std::vector<RuntimeValue> values;
        for (const Tensor& input : inputs) values.push_back(to_runtime(input));
        const std::vector<RuntimeValue> wanted = Interpreter(graph).run(values);
        for (size_t i = 0; i < results; ++i)
          CHECK(apart(found[i], wanted[i].tensor).largest < 1e-5);
      }
}

// The graph of a text with one input x, as C beside the interpreter.
void check_c_of(const std::string& body, double tolerance) {
  CAPTURE(body);
  Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
  infer_shapes(graph);
  const C99Options named{"net", "net.h", "0", 8};
  const BuiltC built(host_c_compiler(), emit_c99(graph, named), named, graph);
  SeededRandom random(7, 7);
  std::vector<Tensor> inputs;
  std::vector<RuntimeValue> values;
  for (const ValueId id : graph.inputs()) {
    const Shape shape = *static_shape(*graph.value(id).type.dims);
    if (graph.value(id).type.dtype == DType::kInt32) {
      std::vector<int32_t> places(static_cast<size_t>(element_count(shape)));
      for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int32_t>(i % 5) - 2;
      inputs.push_back(Tensor::of<int32_t>(shape, places));
    } else {
      inputs.push_back(noise(random, shape));
    }
    values.push_back(to_runtime(inputs.back()));
  }
  const std::vector<at::Tensor> found = built.run(tensors_of(inputs));
  const std::vector<RuntimeValue> wanted = Interpreter(graph).run(values);
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(apart(found[i], wanted[i].tensor).largest <= tolerance);
}

std::string floats(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(0.01 * (i * 37 % 101) - 0.5);
  return "{" + text + "}";
}

TEST_CASE("transposed convolutions as C") {
  if (host_c_compiler().empty()) return;
  for (const auto& [attributes, weights, x, y] :
       {std::tuple("strides = [2, 2], pads = [1, 0, 1, 0], output_padding = [1, 1]",
                   "4, 3, 3, 3", "1, 4, 5, 6", "1, 3, 10, 14"),
        {"strides = [1, 3], dilations = [2, 1], group = 2", "4, 3, 2, 3", "2, 4, 3, 2",
         "2, 6, 5, 6"},
        {"group = 4, strides = [2, 2]", "4, 1, 2, 2", "1, 4, 4, 4", "1, 4, 8, 8"}}) {
    int count = 1;
    for (const char c : std::string(weights))
      if (c >= '0' && c <= '9') count *= c - '0';
    check_c_of(fmt::format("g (float[{2}] x) => (float[{3}] y)\n<float[{1}] w = {4}>\n{{\n"
                           "  y = ConvTranspose<{0}>(x, w)\n}}",
                           attributes, weights, x, y, floats(count)),
               1e-5);
  }
  check_c_of("g (float[1, 2, 7] x) => (float[1, 3, 15] y)\n<float[2, 3, 3] w = " + floats(18) +
                 ", float[3] b = {0.5, 0, -1}>\n{\n"
                 "  t = ConvTranspose<strides = [2]>(x, w, b)\n  y = Relu(t)\n}",
             1e-5);
}

// Weights of 8 bits with a scale a row stay bytes; states are numbers of 16 bits beside them.
TEST_CASE("recurrent layers with weights of bytes as C") {
  if (host_c_compiler().empty()) return;
  constexpr int kHidden = 5;
  constexpr int kInputs = 7;
  for (const auto& [op, gates, attributes, directions] :
       {std::tuple("LSTM", 4, "", 1), {"LSTM", 4, ", direction = \"bidirectional\"", 2},
        {"GRU", 3, "", 1}, {"GRU", 3, ", linear_before_reset = 1", 1},
        {"RNN", 1, ", direction = \"reverse\"", 1}}) {
    const int rows = gates * kHidden;
    const auto scales = [&](double most) {
      std::string text;
      for (int i = 0; i < rows; ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(most * (1 + i % 7) / 7);
      return "{" + text + "}";
    };
    const auto filled = [&](int columns) {
      std::string text;
      for (int i = 0; i < directions * rows * columns; ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(i * 61 % 255 - 127);
      return "{" + text + "}";
    };
    const std::string body = fmt::format(
        "g (float[6, 2, {1}] x) => (float[6, {5}, 2, {2}] y)\n"
        "<int8[{5}, {3}, {1}] w = {6}, int8[{5}, {3}, {2}] r = {7}, float[{3}] ws = {8}, "
        "float[{3}] rs = {9}, float[{5}, {10}] b = {11}>\n{{\n"
        "  v = DequantizeLinear<axis = 1>(w, ws)\n  u = DequantizeLinear<axis = 1>(r, rs)\n"
        "  y = {0}<hidden_size = {2}{4}>(x, v, u, b)\n}}",
        op, kInputs, kHidden, rows, attributes, directions, filled(kInputs), filled(kHidden),
        scales(0.01), scales(0.006), 2 * rows, floats(directions * 2 * rows));
    check_c_of(body, 2e-4);
    Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
    infer_shapes(graph);
    const C99Code code = emit_c99(graph, {"net", "net.h", "0", 8});
    // Rows of 8 numbers, an even number of them; biases; scales, which both directions share.
    const int padded = (rows + 1) / 2 * 2;
    CHECK(code.constant_bytes == directions * (padded * 16 + rows * 8) + rows * 8);
  }
}

TEST_CASE("a mean over all pixels of bytes is a pool of bytes") {
  if (host_c_compiler().empty()) return;
  const std::string pair = "float s = {0.02}, uint8 z = {120}, float t = {0.013}, uint8 v = {77}";
  for (const auto& [shape, axes, keeps, result] :
       {std::tuple("1, 3, 4, 5", "2, 3", 0, "1, 3"), {"2, 3, 4, 5", "-1, -2", 1, "2, 3, 1, 1"},
        {"1, 4, 7", "2", 0, "1, 4"}}) {
    const std::string body = fmt::format(
        "g (float[{}] x) => (uint8[{}] y)\n<{}>\n{{\n  q = QuantizeLinear(x, s, z)\n"
        "  d = DequantizeLinear(q, s, z)\n  r = ReduceMean<axes = [{}], keepdims = {}>(d)\n"
        "  y = QuantizeLinear(r, t, v)\n}}",
        shape, result, pair, axes, keeps);
    check_c_of(body, 0.007);  // one step
    Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
    infer_shapes(graph);
    CHECK(emit_c99(graph, {"net", "net.h", "0", 8}).steps.back().starts_with("pool of ReduceMean"));
  }
}

std::string bytes(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::to_string(i * 37 % 201 - 100);
  return "{" + text + "}";
}

TEST_CASE("transposed convolutions of bytes are products, one for each place within a stride") {
  if (host_c_compiler().empty()) return;
  struct Case {
    const char* attributes;
    const char* weights;
    int count;
    const char* x;
    const char* y;
    int products;
  };
  // A kernel narrower than its stride leaves places that nothing reaches.
  for (const Case& each :
       {Case{"strides = [2, 2], pads = [1, 0, 1, 0], output_padding = [1, 1]", "4, 3, 3, 3", 108,
             "1, 4, 5, 6", "1, 3, 10, 14", 4},
        Case{"strides = [3, 2]", "4, 3, 2, 1", 24, "1, 4, 3, 4", "1, 3, 8, 7", 6},
        Case{"strides = [2], group = 2", "6, 2, 4", 48, "2, 6, 5", "2, 4, 12", 2},
        Case{"pads = [1, 1, 1, 1]", "3, 5, 3, 3", 135, "1, 3, 4, 4", "1, 5, 4, 4", 1}}) {
    CAPTURE(each.attributes);
    const std::string body = fmt::format(
        "g (float[{2}] n) => (uint8[{3}] q)\n<float s = {{0.02}}, uint8 z = {{120}}, float t = "
        "{{0.03}}, int8[{1}] w = {4}, float v = {{0.01}}, int8 zero = {{0}}>\n{{\n"
        "  a = QuantizeLinear(n, s, z)\n  b = DequantizeLinear(a, s, z)\n"
        "  c = DequantizeLinear(w, v, zero)\n  d = ConvTranspose<{0}>(b, c)\n"
        "  e = Relu(d)\n  q = QuantizeLinear(e, t, z)\n}}",
        each.attributes, each.weights, each.x, each.y, bytes(each.count));
    check_c_of(body, 0);
    Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
    infer_shapes(graph);
    int products = 0;
    for (const std::string& step : emit_c99(graph, {"net", "net.h", "0", 8}).steps)
      products += step.starts_with("product");
    CHECK(products == each.products);
  }
}

TEST_CASE("inputs and outputs may be called as anything in the code") {
  if (host_c_compiler().empty()) return;
  check_c_of("g (float[1, 3, 4, 4] x, float[1, 3, 4, 4] uint8_t, float[1, 3, 4, 4] EOF) => "
             "(float[1, 3, 4, 4] y, float[1, 3, 2, 2] from, float[1, 3, 4, 4] expf)\n{\n"
             "  y = Add(x, uint8_t)\n  from = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(y)\n"
             "  expf = Exp(EOF)\n}",
             1e-6);
}

// The first steps in parts give the bytes of the whole, in less memory; so do two regions.
int check_parts(const Graph& graph, const std::vector<Tensor>& inputs) {
  C99Options options{"net", "net.h", "0", 8};
  const C99Code whole = emit_c99(graph, options);
  const std::vector<at::Tensor> wanted =
      BuiltC(host_c_compiler(), whole, options, graph).run(tensors_of(inputs));
  const auto check_bytes = [&](const C99Code& code) {
    const std::vector<at::Tensor> found =
        BuiltC(host_c_compiler(), code, options, graph).run(tensors_of(inputs));
    for (size_t i = 0; i < found.size(); ++i)
      CHECK(at::equal(at::nan_to_num(found[i].to(at::kDouble)),
                      at::nan_to_num(wanted[i].to(at::kDouble))));
  };
  // Some of it in a region of its own.
  options.fast_bytes = whole.arena_bytes / 3 / 8 * 8;
  const C99Code fast = emit_c99(graph, options);
  CHECK(fast.fast_bytes <= std::max<int64_t>(8, options.fast_bytes));
  CHECK(fast.arena_bytes <= whole.arena_bytes);
  check_bytes(fast);
  options.fast_bytes = 0;
  options.most_arena_bytes = whole.arena_bytes / 8;
  const C99Code code = emit_c99(graph, options);
  if (code.parts == 1) return 0;
  CHECK(code.arena_bytes < whole.arena_bytes);
  CHECK(code.constant_bytes == whole.constant_bytes);
  check_bytes(code);
  return 1;
}

// Images through convolutions of all kinds, pools and sums, then a product of all that is left.
std::string image_network(SeededRandom& random, bool is_quantized, bool is_line) {
  const auto any = [&](int low, int high) {
    return low + static_cast<int>(random.next() % static_cast<uint64_t>(high - low + 1));
  };
  std::string constants = "float s = {0.02}, uint8 z = {120}, float v = {0.01}";
  std::string nodes;
  int count = 0;
  const auto add = [&](const std::string& op, bool is_paired) {
    const std::string name = "t" + std::to_string(count++);
    nodes += fmt::format("  {} = {}\n", name, op);
    if (!is_quantized || !is_paired) return name;
    nodes += fmt::format("  {0}q = QuantizeLinear({0}, s, z)\n  {0}d = DequantizeLinear({0}q, s, z)\n",
                         name);
    return name + "d";
  };
  int channels = any(1, 3);
  const int rows = any(12, 20);
  const int columns = is_line ? 1 : any(6, 10);
  std::string x = add("Identity(x)", true);
  const std::string head = fmt::format("g (float[1, {}, {}{}] x) => ", channels, rows,
                                       is_line ? "" : fmt::format(", {}", columns));
  std::string before;
  const auto per_axis = [&](const std::string& a, const std::string& b) {
    return is_line ? "[" + a + "]" : "[" + a + ", " + b + "]";
  };
  const int layers = any(2, 6);
  for (int i = 0; i < layers; ++i) {
    const int kind = any(0, 5);
    if (kind == 0 && i > 0) {
      x = add(fmt::format("MaxPool<kernel_shape = {}, strides = {}, pads = {}>({})",
                          per_axis("3", "2"), per_axis(any(0, 1) != 0 ? "2" : "1", "1"),
                          is_line ? "[1, 1]" : "[1, 0, 1, 0]", x),
              true);
      before.clear();
      continue;
    }
    if (kind == 1 && !before.empty()) {
      x = add(fmt::format("Add({}, {})", before, x), true);
      before.clear();
      continue;
    }
    const bool is_depthwise = kind == 2;
    const bool keeps = any(0, 1) != 0;
    const int outputs = is_depthwise || keeps ? channels : any(1, 6);
    const int size = keeps || any(0, 1) != 0 ? 3 : 1;
    const int pad = keeps ? 1 : any(0, size - 1);
    const int stride = keeps ? 1 : any(1, 2);
    const int depth = is_depthwise ? 1 : channels;
    const int taps = is_line ? size : size * size;
    std::string weight = fmt::format("w{}", i);
    std::string values;
    const int elements = outputs * depth * taps;
    for (int k = 0; k < elements; ++k)
      values += (k == 0 ? "" : ", ") +
                (is_quantized ? std::to_string(any(-100, 100)) : std::to_string(any(-9, 9) * 0.1));
    constants += fmt::format(", {}[{}, {}, {}{}] {} = {{{}}}", is_quantized ? "int8" : "float",
                             outputs, depth, size, is_line ? "" : fmt::format(", {}", size), weight,
                             values);
    if (is_quantized) {
      nodes += fmt::format("  {0}d = DequantizeLinear({0}, v)\n", weight);
      weight += "d";
    }
    const std::string was = x;
    x = add(fmt::format("Conv<pads = {}, strides = {}, group = {}>({}, {})",
                        is_line ? fmt::format("[{0}, {0}]", pad)
                                : fmt::format("[{0}, {0}, {0}, {0}]", pad),
                        per_axis(std::to_string(stride), std::to_string(any(1, stride))),
                        is_depthwise ? channels : 1, x, weight),
            any(0, 2) == 0);
    if (!x.ends_with("d") || !is_quantized) x = add(fmt::format("Relu({})", x), true);
    before = keeps ? was : "";
    channels = outputs;
  }
  x = add(fmt::format("GlobalAveragePool({})", x), true);
  nodes += fmt::format("  y = Identity({})\n", x);
  return head + fmt::format("(float[1, {}, 1{}] y)\n<{}>\n{{\n{}}}", channels,
                            is_line ? "" : ", 1", constants, nodes);
}

TEST_CASE("networks whose first steps come in parts give the same bytes as C") {
  if (host_c_compiler().empty()) return;
  int in_parts = 0;
  for (uint64_t seed = 0; seed < (is_slow() ? 200 : 40); ++seed) {
    SeededRandom random(seed, 3);
    const std::string body = image_network(random, seed % 4 != 0, seed % 3 == 0);
    CAPTURE(seed);
    CAPTURE(body);
    Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
    infer_shapes(graph);
    const Shape shape = *static_shape(*graph.value(graph.inputs()[0]).type.dims);
    in_parts += check_parts(graph, {noise(random, shape)});
  }
  MESSAGE(in_parts, " in parts");
  CHECK(in_parts >= 20);
}

TEST_CASE("normalization of each channel, gathered rows and resized bytes as C") {
  if (host_c_compiler().empty()) return;
  check_c_of("g (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y)\n"
             "<float[3] s = {1, 2, -0.5}, float[3] b = {0, 1, 0.25}>\n{\n"
             "  y = InstanceNormalization<epsilon = 0.001>(x, s, b)\n}",
             1e-5);
  check_c_of("g (float[2, 6, 3] x) => (float[2, 2, 2, 3] y)\n"
             "<int64[2, 2] i = {5, 0, -1, 2}>\n{\n  y = Gather<axis = 1>(x, i)\n}",
             0);
  check_c_of("g (int32[4] x) => (float[4, 3] y)\n<float[5, 3] w = " + floats(15) +
                 ">\n{\n  y = Gather(w, x)\n}",
             0);
  const std::string pair = "float s = {0.02}, uint8 z = {120}";
  check_c_of("g (float[1, 3, 4, 5] x) => (uint8[1, 3, 8, 15] y)\n<" + pair +
                 ", float[4] scales = {1, 1, 2, 3}>\n{\n  q = QuantizeLinear(x, s, z)\n"
                 "  d = DequantizeLinear(q, s, z)\n"
                 "  r = Resize<mode = \"linear\">(d, , scales)\n"
                 "  y = QuantizeLinear(r, s, z)\n}",
             0.007);  // one step
}

}  // namespace
}  // namespace lathe

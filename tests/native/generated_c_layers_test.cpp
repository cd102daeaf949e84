// Layers as C: what each op of a text gives.
#include <tuple>

#include "generated_c.h"
#include "ir/error.h"
#include "lower/lower_graph.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

using namespace test;

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

// Generated code whose first steps come in parts, or whose arrays lie in two regions.
#include "generated_c.h"
#include "ir/error.h"
#include "lower/lower_graph.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

using namespace test;

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
    try {
      infer_shapes(graph);
    } catch (const Error&) {
      continue;  // a window that is larger than what is left of the image
    }
    const Shape shape = *static_shape(*graph.value(graph.inputs()[0]).type.dims);
    in_parts += check_parts(graph, {noise(random, shape)});
  }
  MESSAGE(in_parts, " in parts");
  CHECK(in_parts >= 20);
}

}  // namespace
}  // namespace lathe

#include <c10/util/intrusive_ptr.h>

#include <atomic>
#include <cmath>
#include <map>
#include <thread>

#include "run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::contains;
using test::error_of;
using test::floats;
using test::graph_from;
using test::run_text;

namespace {

using Doubles = std::vector<double>;

// a, b, c, y with y = c + b: `a` dies after b, b and c only after y.
const char* kChain = R"(agraph (float[2] x) => (float[2] y)
{ a = Exp(x)  b = Neg(a)  c = Abs(b)  y = Add(c, b) })";

}  // namespace

TEST_CASE("hooks see every produced value once, producers first") {
  const Graph graph = graph_from(kChain);
  std::vector<std::string> seen;
  std::vector<std::string> timed;
  RunOptions options;
  options.on_value = [&](ValueId id, RuntimeValue& value) {
    CHECK(value.dtype == DType::kFloat32);
    seen.push_back(graph.value(id).name);
  };
  options.on_node = [&](NodeId id, int64_t duration) {
    CHECK(duration >= 0);
    timed.push_back(std::string(graph.node(id).type_name()));
  };
  const auto outputs = Interpreter(graph).run_tensors({floats({0, 1})}, options);
  CHECK(seen == std::vector<std::string>{"a", "b", "c", "y"});
  CHECK(timed == std::vector<std::string>{"Exp", "Neg", "Abs", "Add"});
  CHECK(outputs[0].to_double() == Doubles{0, 0});
}

TEST_CASE("nodes run in dependency order even when they were created in another") {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::of(2)}));
  const ValueId late = graph.add_value("late");
  const ValueId y = graph.add_op(OpKind::kNeg, {late}, "y");
  Node node;
  node.kind = OpKind::kExp;
  node.inputs = {x};
  node.outputs = {late};
  graph.add_node(node);
  graph.set_outputs({y});
  const auto outputs = Interpreter(graph).run_tensors({floats({0, 0})});
  CHECK(outputs[0].to_double() == Doubles{-1, -1});
}

TEST_CASE("a value is freed after its last use, not before") {
  const Graph graph = graph_from(kChain);
  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl>;
  std::map<std::string, Weak> held;
  std::map<std::string, std::vector<std::string>> dead_at;
  RunOptions options;
  options.on_value = [&](ValueId id, RuntimeValue& value) {
    const std::string name = graph.value(id).name;
    for (const auto& [other, weak] : held)
      if (weak.expired()) dead_at[name].push_back(other);
    held.emplace(name, Weak(value.tensor->getIntrusivePtr()));
  };
  Interpreter(graph).run_tensors({floats({0, 1})}, options);
  CHECK(dead_at["b"].empty());
  CHECK(dead_at["c"] == std::vector<std::string>{"a"});
  CHECK(dead_at["y"] == std::vector<std::string>{"a"});
  for (const auto& [name, weak] : held) {
    CAPTURE(name);
    CHECK(weak.expired());  // nothing outlives the run, as outputs were copied
  }
}

TEST_CASE("a graph output that nodes read too survives to the end") {
  const auto outputs = run_text(R"(agraph (float[2] x) => (float[2] a, float[2] y, float[2] x)
{ a = Exp(x)  y = Neg(a) })",
                                {floats({0, 0})});
  REQUIRE(outputs.size() == 3);
  CHECK(outputs[0].to_double() == Doubles{1, 1});
  CHECK(outputs[1].to_double() == Doubles{-1, -1});
  CHECK(outputs[2].to_double() == Doubles{0, 0});
}

TEST_CASE("a hook may replace a value") {
  const Graph graph = graph_from(kChain);
  RunOptions options;
  options.on_value = [&](ValueId id, RuntimeValue& value) {
    if (graph.value(id).name == "b") value.tensor = at::full({2}, 7.0f);
  };
  CHECK(Interpreter(graph).run_tensors({floats({0, 1})}, options)[0].to_double() ==
        Doubles{14, 14});
}

TEST_CASE("absent optional inputs") {
  const auto outputs = run_text(R"(agraph (float[3] x) => (float[3] y, float[3] z)
<float low = {-1}, float high = {2}> { y = Clip(x, , high)  z = Clip(x, low) })",
                                {floats({-5, 0.5f, 5})});
  CHECK(outputs[0].to_double() == Doubles{-5, 0.5, 2});
  CHECK(outputs[1].to_double() == Doubles{-1, 0.5, 5});
}

TEST_CASE("an error names the node") {
  const Graph graph = graph_from(R"(agraph (float[N,M] x) => (float[N,2] y)
<float[3,2] w = {1, 2, 3, 4, 5, 6}> { h = Relu(x)  y = MatMul(h, w) })");
  const Interpreter interpreter(graph);
  const Tensor wrong = Tensor::of<float>({1, 4}, {1, 2, 3, 4});
  const std::string error = error_of([&] { interpreter.run_tensors({wrong}); });
  CHECK(contains(error, "3 "));
  CHECK(contains(error, graph.node(graph.node_ids()[1]).name + " (MatMul)"));
  CHECK_FALSE(contains(error, "Relu"));
  CHECK(error_of([&] { interpreter.run_tensors({}); }).rfind("3 run.inputs", 0) == 0);
  // It works after a failure.
  CHECK(interpreter.run_tensors({Tensor::of<float>({1, 3}, {1, 1, 1})})[0].to_double() ==
        Doubles{9, 12});
}

TEST_CASE("ops that cannot be run are listed once, sorted, those in bodies too") {
  const char* text = R"(agraph (float[2] x, bool c) => (float[2] y)
{ a = com.example.Twist(x)  b = com.example.Bend(a)  d = com.example.Twist(b)
  y = If (c) <then_branch = t () => (float[2] p) { p = com.example.Hidden(d) },
              else_branch = e () => (float[2] q) { q = Relu(d) }> })";
  const Graph graph = graph_from(text);
  CHECK(unsupported_ops(graph) ==
        std::vector<std::string>{"com.example.Bend", "com.example.Hidden", "com.example.Twist"});
  const std::string error = error_of([&] { Interpreter unused(graph); });
  CHECK(contains(error, "3 run.unsupported_op"));
  CHECK(contains(error, "com.example.Bend, com.example.Hidden, com.example.Twist"));
  const Interpreter lenient(graph, true);
  CHECK(contains(error_of([&] {
                   lenient.run_tensors({floats({1, 2}), Tensor::scalar(true)});
                 }),
                 "Twist"));
}

TEST_CASE("float16 values are rounded after every op") {
  // In float32, (1 + 2^-11) + 2^-11 = 1 + 2^-10, which is a half; rounding each sum gives 1.
  const Tensor one = Tensor::from_bytes(DType::kFloat16, {1}, {std::byte{0x00}, std::byte{0x3c}});
  const uint16_t small = float_to_half(std::ldexp(1.0f, -11));
  const Tensor tiny = Tensor::from_bytes(
      DType::kFloat16, {1},
      {static_cast<std::byte>(small & 0xff), static_cast<std::byte>(small >> 8)});
  const auto outputs = run_text(R"(agraph (float16[1] x, float16[1] t) => (float16[1] y)
{ a = Add(x, t)  y = Add(a, t) })",
                                {one, tiny});
  CHECK(outputs[0].dtype() == DType::kFloat16);
  CHECK(outputs[0].to_double() == Doubles{1});
}

TEST_CASE("integers wrap at their own width") {
  const auto sum = run_text(
      "agraph (uint16[3] a, uint16[3] b) => (uint16[3] y, uint16[3] z) "
      "{ y = Add(a, b)  z = Sub(a, b) }",
      {Tensor::vector<uint16_t>({65535, 1, 40000}), Tensor::vector<uint16_t>({2, 2, 30000})});
  CHECK(sum[0].to_int64() == std::vector<int64_t>{1, 3, 4464});
  CHECK(sum[1].to_int64() == std::vector<int64_t>{65533, 65535, 10000});
  const auto product = run_text(
      "agraph (uint32[2] a, uint32[2] b) => (uint32[2] y) { y = Mul(a, b) }",
      {Tensor::vector<uint32_t>({0xffffffffu, 0x80000001u}), Tensor::vector<uint32_t>({2, 2})});
  CHECK(product[0].to_int64() == std::vector<int64_t>{0xfffffffe, 2});
  const auto bytes =
      run_text("agraph (int8[2] a, int8[2] b) => (int8[2] y) { y = Add(a, b) }",
               {Tensor::vector<int8_t>({127, -128}), Tensor::vector<int8_t>({1, -1})});
  CHECK(bytes[0].to_int64() == std::vector<int64_t>{-128, 127});
  const auto small = run_text(R"(agraph (int32[5] x) => (int32[5] y, int32[5] z)
{ a = Cast<to = 22>(x)  y = Cast<to = 6>(a)  b = Cast<to = 21>(x)  z = Cast<to = 6>(b) })",
                              {Tensor::vector<int32_t>({7, 8, 9, -9, 31})});
  CHECK(small[0].to_int64() == std::vector<int64_t>{7, -8, -7, 7, -1});
  CHECK(small[1].to_int64() == std::vector<int64_t>{7, 8, 9, 7, 15});
}

TEST_CASE("integer weights are dequantized once: no step, right numbers") {
  const Graph graph = graph_from(R"(agraph (float[1,2] x) => (float[1,2] y)
<int8[2,2] q = {1, -2, 3, 4}, float[2] s = {0.5, 2.0}, int8[2] z = {0, 1}>
{ w = DequantizeLinear<axis = 1>(q, s, z)  y = MatMul(x, w) })");
  std::vector<std::string> seen;
  RunOptions options;
  options.on_value = [&](ValueId id, RuntimeValue&) { seen.push_back(graph.value(id).name); };
  const auto outputs =
      Interpreter(graph).run_tensors({Tensor::of<float>({1, 2}, {1, 10})}, options);
  CHECK(seen == std::vector<std::string>{"y"});
  // w = {0.5, -6; 1.5, 6}
  CHECK(outputs[0].to_double() == Doubles{15.5, 54});

  const auto direct = run_text(R"(agraph (float[1] x) => (float[2] w)
<int8[2] q = {4, -4}, float s = {0.25}> { w = DequantizeLinear(q, s) })",
                               {floats({0})});
  CHECK(direct[0].to_double() == Doubles{1, -1});
}

TEST_CASE("check is called before every node, and what it throws keeps its exit code") {
  const Graph graph = graph_from(R"(agraph (float[2] x, bool c) => (float[2] y)
{ a = Exp(x)
  y = If (c) <then_branch = t () => (float[2] p) { o = Neg(a)  p = Neg(o) },
              else_branch = e () => (float[2] q) { q = Relu(a) }> })");
  const Interpreter interpreter(graph);
  int calls = 0;
  RunOptions options;
  options.check = [&] { ++calls; };
  interpreter.run_tensors({floats({1, 2}), Tensor::scalar(true)}, options);
  CHECK(calls == 4);
  options.check = [&] {
    if (++calls == 8) throw Error(ExitCode::kInterrupted, "interrupted", {"interrupted", {}, {}});
  };
  calls = 4;
  CHECK(contains(error_of([&] {
                   interpreter.run_tensors({floats({1, 2}), Tensor::scalar(true)}, options);
                 }),
                 "130 interrupted"));
}

TEST_CASE("one interpreter serves several threads") {
  const Interpreter interpreter(graph_from(kChain));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const float value = static_cast<float>(t * 50 + i) / 100;
        const auto outputs = interpreter.run_tensors({floats({value, -value})});
        if (outputs[0].to_double() != Doubles{0, 0}) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("constants and inputs are the same after a run") {
  const Graph graph = graph_from(R"(agraph (float[2] x) => (float[2] y)
<float[2] k = {-1, 2}> { a = Relu(k)  b = Identity(k)  c = Add(b, a)  d = Relu(x)  y = Add(c, d) })");
  const Interpreter interpreter(graph);
  const Tensor input = floats({-3, 3});
  for (int i = 0; i < 3; ++i)
    CHECK(interpreter.run_tensors({input})[0].to_double() == Doubles{-1, 7});
  CHECK(input.to_double() == Doubles{-3, 3});
  CHECK(graph.constant(graph.find_value("k"))->to_double() == Doubles{-1, 2});
}

}  // namespace lathe

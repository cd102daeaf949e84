#include "run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::contains;
using test::error_of;
using test::floats;
using test::run_text;

namespace {

using Doubles = std::vector<double>;

// v += x for `n` trips or while i < stop; every new v is collected.
const char* kLoop = R"(agraph (int64 n, bool go, float[2] v0, float[2] x, int64 stop)
  => (float[2] last, float[T,2] all)
{ last, all = Loop (n, go, v0) <body = b (int64 i, bool c, float[2] v)
    => (bool c2, float[2] v2, float[2] s)
    <int64 one = {1}>
    { next = Add(i, one)  c2 = Less(next, stop)  v2 = Add(v, x)  s = Identity(v2) }> })";

// The text syntax cannot leave a first input out: `unused` stands for it.
Graph without_count(const std::string& text) {
  Graph graph = test::graph_from(text);
  for (const NodeId id : graph.node_ids())
    if (graph.node(id).kind == OpKind::kLoop) graph.replace_input(id, 0, ValueId{});
  return graph;
}

std::vector<Tensor> loop(int64_t trips, bool go, int64_t stop) {
  return run_text(kLoop, {Tensor::scalar(trips), Tensor::scalar(go), floats({1, 2}),
                          floats({10, 20}), Tensor::scalar(stop)});
}

}  // namespace

TEST_CASE("If runs one branch and reads outer values") {
  const char* text = R"(agraph (bool c, float[2] x) => (float[2] y)
{ a = Add(x, x)
  y = If (c) <then_branch = t () => (float[2] p) { p = Add(a, x) },
              else_branch = e () => (float[2] q) { q = Neg(a) }> })";
  CHECK(run_text(text, {Tensor::scalar(true), floats({1, 2})})[0].to_double() == Doubles{3, 6});
  CHECK(run_text(text, {Tensor::scalar(false), floats({1, 2})})[0].to_double() == Doubles{-2, -4});
}

TEST_CASE("captures reach through two levels") {
  const char* text = R"(agraph (bool c, bool d, float[2] x) => (float[2] y)
{ a = Neg(x)
  y = If (c) <then_branch = t () => (float[2] p) {
        m = Add(a, a)
        p = If (d) <then_branch = tt () => (float[2] r) { r = Add(m, x) },
                    else_branch = te () => (float[2] s) { s = Sub(a, m) }> },
      else_branch = e () => (float[2] q) { q = Identity(a) }> })";
  const auto run = [&](bool c, bool d) {
    return run_text(text, {Tensor::scalar(c), Tensor::scalar(d), floats({1, -3})})[0].to_double();
  };
  CHECK(run(true, true) == Doubles{-1, 3});
  CHECK(run(true, false) == Doubles{1, -3});
  CHECK(run(false, true) == Doubles{-1, 3});
}

TEST_CASE("Loop: trips, condition, carried and scanned values") {
  const auto three = loop(3, true, 100);
  CHECK(three[0].to_double() == Doubles{31, 62});
  CHECK(three[1].shape() == Shape{3, 2});
  CHECK(three[1].to_double() == Doubles{11, 22, 21, 42, 31, 62});
  const auto stopped = loop(100, true, 2);  // the condition ends it after the second trip
  CHECK(stopped[0].to_double() == Doubles{21, 42});
  CHECK(stopped[1].shape() == Shape{2, 2});
}

TEST_CASE("Loop of zero trips keeps its state and scans nothing") {
  for (const auto& outputs : {loop(0, true, 100), loop(5, false, 100), loop(-1, true, 100)}) {
    CHECK(outputs[0].to_double() == Doubles{1, 2});
    CHECK(outputs[1].shape() == Shape{0, 2});
    CHECK(outputs[1].dtype() == DType::kFloat32);
  }
}

TEST_CASE("Loop without a count ends by its condition") {
  const char* text = R"(agraph (int64 unused, bool go, int64 v0, int64 stop) => (int64 last)
{ last = Loop (unused, go, v0) <body = b (int64 i, bool c, int64 v) => (bool c2, int64 v2)
    { v2 = Add(v, v)  c2 = Less(v2, stop) }> })";
  const auto outputs = Interpreter(without_count(text))
                           .run_tensors({Tensor::scalar<int64_t>(1), Tensor::scalar(true),
                                         Tensor::scalar<int64_t>(3), Tensor::scalar<int64_t>(50)});
  CHECK(outputs[0].to_int64() == std::vector<int64_t>{96});
}

TEST_CASE("an endless loop is ended by check") {
  const char* text = R"(agraph (int64 unused, bool go, int64 v0) => (int64 last)
{ last = Loop (unused, go, v0) <body = b (int64 i, bool c, int64 v) => (bool c2, int64 v2)
    { v2 = Identity(v)  c2 = Identity(c) }> })";
  int left = 1000;
  RunOptions options;
  options.check = [&] {
    if (--left == 0) throw over_limit("limit.time", "too long");
  };
  CHECK(contains(error_of([&] {
                   Interpreter(without_count(text))
                       .run_tensors({Tensor::scalar<int64_t>(1), Tensor::scalar(true),
                                     Tensor::scalar<int64_t>(3)},
                                    options);
                 }),
                 "8 limit.time"));
}

TEST_CASE("Scan: running sums, forwards and backwards") {
  const auto text = [](const std::string& attributes, const std::string& rows) {
    return "agraph (float[2] s0, float[" + rows + R"(,2] x) => (float[2] last, float[T,2] all)
{ last, all = Scan (s0, x) <num_scan_inputs = 1)" +
           attributes +
           R"(, body = b (float[2] s, float[2] row) => (float[2] s2, float[2] o)
    { s2 = Add(s, row)  o = Identity(s2) }> })";
  };
  const Tensor start = floats({100, 200});
  const Tensor rows = Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  const auto forward = run_text(text("", "3"), {start, rows});
  CHECK(forward[0].to_double() == Doubles{109, 212});
  CHECK(forward[1].to_double() == Doubles{101, 202, 104, 206, 109, 212});
  const auto backward = run_text(
      text(", scan_input_directions = [1], scan_output_directions = [1]", "3"), {start, rows});
  CHECK(backward[0].to_double() == Doubles{109, 212});
  CHECK(backward[1].to_double() == Doubles{109, 212, 108, 210, 105, 206});
  const auto none = run_text(text("", "0"), {start, Tensor::of<float>({0, 2}, {})});
  CHECK(none[0].to_double() == Doubles{100, 200});
  CHECK(none[1].shape() == Shape{0, 2});
}

TEST_CASE("sequences are made, read, changed and joined") {
  const auto outputs =
      run_text(R"(agraph (float[2] x, float[2] z) => (float[4] y, float[2] first, int64 n)
<int64 minus = {-1}, int64 zero = {0}>
{ s = SequenceConstruct(x, z)  t = SequenceInsert(s, x, zero)  u = SequenceErase(t, minus)
  y = ConcatFromSequence<axis = 0>(u)  first = SequenceAt(s, minus)  n = SequenceLength(t) })",
               {floats({1, 2}), floats({3, 4})});
  CHECK(outputs[0].to_double() == Doubles{1, 2, 1, 2});
  CHECK(outputs[1].to_double() == Doubles{3, 4});
  CHECK(outputs[2].to_int64() == std::vector<int64_t>{3});
  const std::string error = error_of([] {
    run_text(R"(agraph (float[2] x) => (float[2] y) <int64 two = {2}>
{ s = SequenceConstruct(x)  y = SequenceAt(s, two) })",
             {floats({1, 2})});
  });
  CHECK(contains(error, "3 run.sequence_index"));
  CHECK(contains(error, "SequenceAt"));
}

TEST_CASE("a condition of two elements and a body that does not fit are refused") {
  CHECK(contains(error_of([] {
                   run_text(R"(agraph (bool[N] c, float[2] x) => (float[2] y)
{ y = If (c) <then_branch = t () => (float[2] p) { p = Neg(x) },
              else_branch = e () => (float[2] q) { q = Abs(x) }> })",
                            {Tensor::vector<bool>({true, false}), floats({1, 2})});
                 }),
                 "3 run.condition"));
}

}  // namespace lathe

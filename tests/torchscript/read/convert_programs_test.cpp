// Control flow, in-place writes, lists, numbers and state: LibTorch is the reference.

#include <doctest/doctest.h>

#include "torchscript/read/program_case.h"

namespace lathe {
namespace {

Tensor of_int(int64_t number) { return Tensor::scalar<int64_t>(number); }
Tensor of_bool(bool flag) { return Tensor::scalar<bool>(flag); }
Tensor floats(const Shape& shape, unsigned seed = 1) { return random_floats(shape, seed); }

ConvertOptions shaped(const std::string& name, Dims dims) {
  ConvertOptions options;
  options.input_shapes[name] = std::move(dims);
  return options;
}

ConvertOptions x_of(const Shape& shape) { return shaped("x", dims_of(shape)); }

}  // namespace

TEST_CASE("writes in place reach everybody who shares the memory") {
  Program program{R"(
def forward(self, x):
    y = x.clone()
    y[:, 1:3] = x[:, 0:2] * 2
    y[0] += 1
    y[:, -1] = 7.0
    z = y[1]
    z.mul_(3)
    v = y.view(2, 6)
    v[0].zero_()
    t = y.transpose(0, 1)
    t[0] = 5.0
    return y, z, v, t)"};
  program.options = x_of({3, 4});
  CHECK(program_difference(program, {{floats({3, 4})}}).text == "");
}

TEST_CASE("a tensor that may or may not share written memory is refused") {
  Program program{R"(
def forward(self, x):
    y = x.reshape(4, 3)
    y.add_(1)
    return x + 1)"};
  program.options = x_of({3, 4});
  CHECK(program_refusal(program).find("may share memory") != std::string::npos);
}

TEST_CASE("lists, dicts and strings are followed") {
  Program program{R"(
def forward(self, x):
    d = {'a': x + 1}
    d['b'] = x * 2
    l = [1, 2, 3]
    l.append(x.size(0))
    l.pop(0)
    l[0] += 5
    parts = [d['a'], d['b'], x]
    parts = parts[::-1]
    return torch.cat(parts, 0) * len(l), l[0], l[-1], 'b' in d)"};
  program.options = x_of({3});
  const Difference found = program_difference(program, {{floats({3})}});
  CHECK(found.text == "");
  CHECK(count_nodes(found.converted.model.graph, OpKind::kIf) == 0);
}

TEST_CASE("numbers that only a run knows keep Python's arithmetic") {
  Program program{R"(
def forward(self, x, n: int):
    return x * (n // 3) + n % 3, x * ((-n) // 3) + (-n) % 4, x * (n / 4), n > 3 and n % 3 == 1)"};
  program.options = x_of({2});
  CHECK(
      program_difference(
          program, {{floats({2}), of_int(7)}, {floats({2}), of_int(10)}, {floats({2}), of_int(4)}})
          .text == "");
}

TEST_CASE("a branch that data decides becomes an If, with everything it changes") {
  Program program{R"(
def forward(self, x):
    y = x * 2
    k = 4
    if bool(x.sum() > 0):
        y.add_(10)
        z = x + 1
        k = 3
    else:
        z = x - 1
    return y, z, k)"};
  program.options = x_of({3});
  const Difference found = program_difference(
      program, {{Tensor::vector<float>({1, 2, 3})}, {Tensor::vector<float>({-1, -2, -3})}});
  CHECK(found.text == "");
  CHECK(count_nodes(found.converted.model.graph, OpKind::kIf) == 1);
}

TEST_CASE("a known condition leaves no If") {
  Program program{R"(
def forward(self, x):
    if x.size(0) > 3:
        return x[:3]
    return x + 1)"};
  program.options = x_of({5, 2});
  const Difference found = program_difference(program, {{floats({5, 2})}});
  CHECK(found.text == "");
  CHECK(count_nodes(found.converted.model.graph, OpKind::kIf) == 0);
  program.options = shaped("x", {Dim::named("N"), Dim::of(2)});
  const Difference dynamic = program_difference(program, {{floats({5, 2})}, {floats({2, 2})}});
  CHECK(dynamic.text == "");
  CHECK(count_nodes(dynamic.converted.model.graph, OpKind::kIf) == 1);
}

TEST_CASE("early returns, and branches that raise are noted") {
  Program program{R"(
def forward(self, x, n: int):
    if n == 0:
        return x
    elif n == 1:
        return x * 2
    assert n <= 10, "too many"
    return x * n)"};
  program.options = x_of({2});
  const Difference found = program_difference(
      program, {{floats({2}), of_int(0)}, {floats({2}), of_int(1)}, {floats({2}), of_int(4)}});
  CHECK(found.text == "");
  REQUIRE(!found.converted.notes.empty());
  CHECK(found.converted.notes[0].find("never reached") != std::string::npos);
}

TEST_CASE("known loops are unrolled, others become a Loop") {
  Program fixed{R"(
def forward(self, x):
    h = torch.zeros([4])
    outs = [x[0]]
    for i in range(x.size(0)):
        h = torch.tanh(h * 0.5 + x[i])
        outs.append(h)
    return torch.stack(outs), h)"};
  fixed.options = x_of({5, 4});
  const Difference unrolled = program_difference(fixed, {{floats({5, 4})}});
  CHECK(unrolled.text == "");
  CHECK(count_nodes(unrolled.converted.model.graph, OpKind::kLoop) == 0);
  Program open{R"(
def forward(self, x, n: int):
    h = torch.zeros([4])
    out = torch.zeros([5, 4])
    k = 0
    for i in range(n):
        h = h * 0.5 + x[i]
        out[i] = h
        k += i * 2
    return h, k, out)"};
  open.options = x_of({5, 4});
  const Difference looped = program_difference(
      open,
      {{floats({5, 4}), of_int(3)}, {floats({5, 4}), of_int(0)}, {floats({5, 4}), of_int(5)}});
  CHECK(looped.text == "");
  CHECK(count_nodes(looped.converted.model.graph, OpKind::kLoop) == 1);
}

TEST_CASE("a while loop on data") {
  Program program{R"(
def forward(self, x):
    n = 0
    while bool(x.sum() < 100.0) and n < 50:
        x = x * 1.5 + 1
        n += 1
    return x, n)"};
  program.options = x_of({3});
  CHECK(program_difference(program, {{floats({3})}, {Tensor::vector<float>({90, 90, 90})}}).text ==
        "");
}

TEST_CASE("endless known loops and growing lists are stopped") {
  Program endless{R"(
def forward(self, x):
    n = 0
    while n >= 0:
        n += 1
    return x + n)"};
  endless.options = x_of({3});
  CHECK(program_refusal(endless).find("4096") != std::string::npos);
  Program deep{R"(
def forward(self, x):
    n = 0
    for i in range(4000):
        for j in range(4000):
            for k in range(4000):
                n += k
    return x + n)"};
  deep.options = x_of({3});
  CHECK(program_refusal(deep).find("steps") != std::string::npos);
  Program doubling{R"(
def forward(self, x):
    l = [1]
    for i in range(100):
        l.extend(l)
    return x + len(l))"};
  doubling.options = x_of({3});
  CHECK(program_refusal(doubling).find("more than") != std::string::npos);
  Program growing{R"(
def forward(self, x, n: int):
    o = [x]
    for i in range(n):
        o.append(x)
    return torch.stack(o))"};
  growing.options = x_of({3});
  CHECK(program_refusal(growing).find("a list changes") != std::string::npos);
}

TEST_CASE("attributes that the code writes are carried") {
  Program program{R"(
def forward(self, x):
    if self.first:
        self.h = x * 3
        self.first = False
    else:
        self.h = self.h * 0.9 + x
    self.n += 1
    self.b[:, :-1] = self.b[:, 1:].clone()
    self.b[:, -1] = x[0]
    return self.h * self.n, self.b.sum(1))",
                  {"first:bool=1", "h:1x4", "n:int=0", "b:4x3"}};
  program.options = x_of({1, 4});
  const Difference found = program_difference(
      program,
      {{floats({1, 4}, 1)}, {floats({1, 4}, 2)}, {floats({1, 4}, 3)}, {floats({1, 4}, 4)}});
  CHECK(found.text == "");
  CHECK(found.converted.carry.at("h_next") == "h");
  CHECK(found.converted.carry.size() == 4);
  CHECK(!found.converted.first_step);
}

TEST_CASE("a position that turns around in a buffer") {
  Program program{R"(
def forward(self, x):
    self.b[self.i] = x
    self.i = (self.i + 1) % 3
    return self.b.mean(0))",
                  {"b:3x4", "i:int=0"}};
  program.options = x_of({4});
  std::vector<Step> steps;
  for (unsigned i = 0; i < 5; ++i) steps.push_back({floats({4}, i)});
  CHECK(program_difference(program, steps).text == "");
}

TEST_CASE("state that is reset inside a branch") {
  Program program{R"(
def forward(self, x, reset: bool):
    if reset:
        self.h.zero_()
        self.n = 0
    self.h.add_(x)
    self.n += 1
    return self.h / self.n)",
                  {"h:2", "n:int=0"}};
  program.options = x_of({2});
  std::vector<Step> steps;
  for (unsigned i = 0; i < 4; ++i) steps.push_back({floats({2}, i), of_bool(i == 2)});
  CHECK(program_difference(program, steps).text == "");
}

TEST_CASE("state that starts empty is taken as steady and says what must hold") {
  const std::string code = R"(
def forward(self, x):
    h = self.h
    if h is None:
        h = torch.zeros_like(x) + START
    h = h * 0.5 + x
    self.h = h
    return h)";
  for (const bool holds : {true, false}) {
    std::string filled = code;
    filled.replace(filled.find("START"), 5, holds ? "0" : "1");
    Program program{filled, {"h:Tensor?"}};
    program.options = x_of({1, 4});
    const Difference found =
        program_difference(program, {{floats({1, 4}, 1)}, {floats({1, 4}, 2)}});
    REQUIRE(found.converted.first_step);
    CHECK((found.text == "") == holds);
    CHECK((found.first_step == "") == holds);
    CHECK(found.converted.notes.back().find("zeros") != std::string::npos);
  }
}

TEST_CASE("what cannot be told or done is said with its place") {
  Program program{"def forward(self, x):\n    return torch.fft_rfft(x)"};
  program.options = x_of({8});
  const std::string refused = program_refusal(program);
  CHECK(refused.find("aten::fft_rfft") != std::string::npos);
  program.options = {};
  CHECK(program_refusal(program).find("--input-shape x=") != std::string::npos);
  program.options = shaped("y", {Dim::of(2)});
  CHECK(program_refusal(program).find("no input 'y'") != std::string::npos);
}

}  // namespace lathe

#include "run/compare.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::contains;
using test::error_of;
using test::floats;
using test::graph_from;

namespace {

SampleSource source_of(std::vector<std::vector<Tensor>> samples) {
  SampleSource source;
  source.count = samples.size();
  source.sample = [samples = std::move(samples)](size_t i) { return samples[i]; };
  return source;
}

CompareResult compare(const std::string& a, const std::string& b, const SampleSource& source,
                      CompareOptions options = {}) {
  return compare_graphs(Interpreter(graph_from(a)), Interpreter(graph_from(b)), source, options);
}

const char* kTwice = "agraph (float[2] x) => (float[2] y) { h = Add(x, x)  y = Neg(h) }";
const char* kShifted = R"(agraph (float[2] x) => (float[2] y)
<float[2] k = {1, 0}> { g = Add(x, x)  h = Add(g, k)  y = Neg(h) })";

}  // namespace

TEST_CASE("error figures by hand, summed over samples") {
  // a = -2x over both samples: -2 -4 | -6 -8; b = a + (-1, 0) each.
  const CompareResult result =
      compare(kTwice, kShifted, source_of({{floats({1, 2})}, {floats({3, 4})}}));
  CHECK(result.samples == 2);
  REQUIRE(result.outputs.size() == 1);
  const ErrorSums& sums = result.outputs[0].sums;
  CHECK(sums.signal == 4 + 16 + 36 + 64);
  CHECK(sums.other == 9 + 16 + 49 + 64);
  CHECK(sums.product == 6 + 16 + 42 + 64);
  CHECK(sums.noise == 2);
  CHECK(sums.count == 4);
  CHECK(sums.max_abs == 8);
  CHECK(sums.max_abs_error == 1);
  CHECK(sums.sqnr_db() == doctest::Approx(10 * std::log10(120.0 / 2)));
  CHECK(sums.cosine() == doctest::Approx(128 / std::sqrt(120.0 * 138.0)));
  CHECK(sums.relative_max_error() == 0.125);
  CHECK(result.outputs[0].value == "y");
  CHECK(result.outputs[0].node_type == "Neg");
  // Layers of equal name only: h and y; g is the candidate's own.
  REQUIRE(result.layers.size() == 2);
  std::set<std::string> names{result.layers[0].value, result.layers[1].value};
  CHECK(names == std::set<std::string>{"h", "y"});
}

TEST_CASE("equal graphs have no error; zeros have a meaning") {
  const CompareResult same = compare(kTwice, kTwice, source_of({{floats({1, 2})}}));
  CHECK(same.outputs[0].sums.sqnr_db() == INFINITY);
  CHECK(same.outputs[0].sums.cosine() == doctest::Approx(1));
  CHECK(same.outputs[0].sums.relative_max_error() == 0);
  const ErrorSums zero = error_sums(at::zeros({3}), at::zeros({3}));
  CHECK(zero.sqnr_db() == INFINITY);
  CHECK(zero.cosine() == 1);
  const ErrorSums lost = error_sums(at::zeros({3}), at::ones({3}));
  CHECK(lost.sqnr_db() == -INFINITY);
  CHECK(lost.cosine() == 0);
  CHECK(lost.relative_max_error() == INFINITY);
  CHECK_THROWS_AS(error_sums(at::zeros({3}), at::zeros({2})), Error);
  // Large integers are compared in double.
  const ErrorSums wide = error_sums(at::full({1}, int64_t{16777217}, at::kLong),
                                    at::full({1}, int64_t{16777216}, at::kLong));
  CHECK(wide.noise == 1);
}

TEST_CASE("NaN in one model only is a total loss, in both it is not") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor a = at::tensor(std::vector<float>{1, nan, INFINITY, -INFINITY});
  CHECK(error_sums(a, a).unequal_non_finite == 0);
  CHECK(error_sums(a, a).sqnr_db() == INFINITY);
  const at::Tensor b = at::tensor(std::vector<float>{1, 2, INFINITY, INFINITY});
  CHECK(error_sums(a, b).unequal_non_finite == 2);
  CHECK(error_sums(a, b).sqnr_db() == -INFINITY);
  const CompareResult result = compare("agraph (float[2] x) => (float[2] y) { y = Abs(x) }",
                                       "agraph (float[2] x) => (float[2] y) { y = Sqrt(x) }",
                                       source_of({{floats({1, -1})}}));
  CHECK(result.outputs[0].sums.unequal_non_finite == 1);
  CHECK(result.outputs[0].sums.sqnr_db() == -INFINITY);
}

TEST_CASE("the worst layer comes first") {
  const CompareResult result = compare(
      "agraph (float[2] x) => (float[2] y) { a = Abs(x)  b = Exp(a)  y = Neg(x) }",
      R"(agraph (float[2] x) => (float[2] y) <float[2] k = {100, 100}, float[2] t = {0.001, 0}>
{ c = Abs(x)  a = Add(c, t)  d = Exp(a)  b = Add(d, k)  y = Neg(x) })",
      source_of({{floats({1, 2})}}));
  REQUIRE(result.layers.size() == 3);
  CHECK(result.layers[0].value == "b");
  CHECK(result.layers[1].value == "a");
  CHECK(result.layers[2].value == "y");
}

TEST_CASE("inputs and outputs are matched by name, else by position") {
  const char* reference =
      "agraph (float[2] x, float[2] z) => (float[2] s, float[2] d) "
      "{ s = Add(x, z)  d = Sub(x, z) }";
  const auto samples = source_of({{floats({5, 7}), floats({1, 2})}});
  const CompareResult swapped =
      compare(reference,
              "agraph (float[2] z, float[2] x) => (float[2] d, float[2] s) "
              "{ s = Add(x, z)  d = Sub(x, z) }",
              samples);
  REQUIRE(swapped.outputs.size() == 2);
  for (const ValueError& output : swapped.outputs) CHECK(output.sums.noise == 0);
  const CompareResult renamed =
      compare(reference,
              "agraph (float[2] p, float[2] q) => (float[2] u, float[2] v) "
              "{ u = Add(p, q)  v = Sub(p, q) }",
              samples);
  for (const ValueError& output : renamed.outputs) CHECK(output.sums.noise == 0);
  CHECK(contains(error_of([&] {
                   compare(reference, "agraph (float[2] p) => (float[2] u) { u = Neg(p) }",
                           samples);
                 }),
                 "3 compare.interface"));
}

TEST_CASE("metrics of both models; those against the reference have no value before") {
  CompareOptions options;
  options.metrics = {Metric::kTop1, Metric::kAgreement};
  options.labels = [](size_t sample) { return std::vector<int64_t>{static_cast<int64_t>(sample)}; };
  const CompareResult result =
      compare("agraph (float[1,2] x) => (float[1,2] y) { y = Identity(x) }",
              "agraph (float[1,2] x) => (float[1,2] y) { y = Neg(x) }",
              source_of({{Tensor::of<float>({1, 2}, {2, 1})}, {Tensor::of<float>({1, 2}, {3, 1})}}),
              options);
  REQUIRE(result.metrics.size() == 2);
  CHECK(result.metrics[0].before == 0.5);
  CHECK(result.metrics[0].after == 0.5);
  CHECK_FALSE(result.metrics[1].before.has_value());
  CHECK(result.metrics[1].after == 0.0);
  CHECK(result.metrics[1].items == 2);
}

TEST_CASE("comparison and samples do not depend on the number of threads") {
  std::vector<std::vector<Tensor>> samples;
  for (int i = 0; i < 23; ++i)
    samples.push_back({floats({0.1f * static_cast<float>(i), 1.0f / static_cast<float>(i + 1)})});
  const SampleSource source = source_of(samples);
  std::vector<double> noises;
  for (const int threads : {1, 2, 5}) {
    CompareOptions options;
    options.run.threads = threads;
    const CompareResult result = compare(kTwice, kShifted, source, options);
    noises.push_back(result.outputs[0].sums.product);

    const Interpreter interpreter(graph_from(kTwice));
    std::mutex mutex;
    std::multiset<size_t> visited;
    std::vector<double> first(samples.size());
    std::vector<size_t> progress;
    SampleRunOptions run;
    run.threads = threads;
    run.progress = [&](size_t done) { progress.push_back(done); };
    for_each_sample(interpreter.graph(), source, run,
                    [&](size_t sample, size_t worker, const std::vector<RuntimeValue>& inputs) {
                      auto outputs = interpreter.run(inputs);
                      const std::lock_guard lock(mutex);
                      CHECK(worker < static_cast<size_t>(threads));
                      visited.insert(sample);
                      first[sample] = (*outputs[0].tensor)[0].item<double>();
                      return outputs;
                    });
    CHECK(visited.size() == samples.size());
    CHECK(std::set<size_t>(visited.begin(), visited.end()).size() == samples.size());
    for (size_t i = 0; i < samples.size(); ++i)
      CHECK(first[i] == doctest::Approx(-0.2 * static_cast<double>(i)));
    CHECK(progress.size() == samples.size());
    CHECK(std::is_sorted(progress.begin(), progress.end()));
  }
  CHECK(noises[0] == noises[1]);
  CHECK(noises[0] == noises[2]);
}

TEST_CASE("of several failures the first sample's is told") {
  const Interpreter interpreter(graph_from(kTwice));
  const SampleSource source = source_of(std::vector<std::vector<Tensor>>(12, {floats({1, 2})}));
  for (const int threads : {1, 5}) {
    SampleRunOptions run;
    run.threads = threads;
    const std::string error = error_of([&] {
      for_each_sample(interpreter.graph(), source, run,
                      [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
                        if (sample == 2) {  // fails later in time, earlier in order
                          std::this_thread::sleep_for(std::chrono::milliseconds(60));
                          throw bad_input("test.failed", "slow");
                        }
                        if (sample == 4) throw bad_input("test.failed", "fast");
                        return interpreter.run(inputs);
                      });
    });
    CAPTURE(threads);
    CHECK(contains(error, "3 test.failed"));
    CHECK(contains(error, "sample 2"));
    CHECK(contains(error, "slow"));
  }
}

TEST_CASE("a source that fails names the sample itself: it may be a part of the data") {
  const Interpreter interpreter(graph_from(kTwice));
  SampleSource source = source_of({{floats({1, 2})}, {floats({1, 2})}});
  source.sample = [](size_t i) -> std::vector<Tensor> {
    if (i == 1) throw bad_input("data.broken", "broken", "sample 7");
    return {floats({1, 2})};
  };
  CHECK(contains(error_of([&] {
                   for_each_sample(interpreter.graph(), source, {},
                                   [&](size_t, size_t, const std::vector<RuntimeValue>& inputs) {
                                     return interpreter.run(inputs);
                                   });
                 }),
                 "3 data.broken: sample 7"));
}

TEST_CASE("carried state: the given start, then each sample's output") {
  const Interpreter interpreter(
      graph_from(R"(agraph (float[1] x, float[1] state) => (float[1] y, float[1] next)
{ next = Add(x, state)  y = Neg(next) })"));
  SampleSource source;
  source.count = 5;
  source.sample = [](size_t i) {
    return std::vector<Tensor>{floats({static_cast<float>(i + 1)}), floats({0})};
  };
  source.carry = {{"next", "state"}};
  for (const int threads : {1, 5}) {
    std::vector<double> seen;
    SampleRunOptions run;
    run.threads = threads;
    for_each_sample(interpreter.graph(), source, run,
                    [&](size_t sample, size_t worker, const std::vector<RuntimeValue>& inputs) {
                      CHECK(sample == seen.size());
                      CHECK(worker == 0);
                      auto outputs = interpreter.run(inputs);
                      seen.push_back(outputs[0].tensor->item<double>());
                      return outputs;
                    });
    CHECK(seen == std::vector<double>{-1, -3, -6, -10, -15});
  }
  source.carry = {{"nowhere", "state"}};
  CHECK(contains(error_of([&] {
                   for_each_sample(interpreter.graph(), source, {},
                                   [&](size_t, size_t, const std::vector<RuntimeValue>& inputs) {
                                     return interpreter.run(inputs);
                                   });
                 }),
                 "3 data.carry"));
}

TEST_CASE("compare: the candidate goes on from its own state when asked to") {
  const char* sum =
      "agraph (float[1] x, float[1] s) => (float[1] y, float[1] n) "
      "{ n = Add(x, s)  y = Neg(n) }";
  const char* worse =
      "agraph (float[1] x, float[1] s) => (float[1] y, float[1] n) "
      "<float[1] k = {1}> { a = Add(x, s)  n = Add(a, k)  y = Neg(n) }";
  SampleSource source = source_of(
      {{floats({4}), floats({0})}, {floats({4}), floats({0})}, {floats({4}), floats({0})}});
  source.carry = {{"n", "s"}};
  CompareOptions options;
  // Each sample's own error is one.
  CHECK(compare(sum, worse, source, options).outputs[0].sums.noise == 3);
  options.own_carry = true;
  // They add up: 1, 2, 3.
  CHECK(compare(sum, worse, source, options).outputs[0].sums.noise == 1 + 4 + 9);
}

TEST_CASE("no samples: nothing is called") {
  const Interpreter interpreter(graph_from(kTwice));
  SampleRunOptions run;
  run.threads = 3;
  for_each_sample(
      interpreter.graph(), source_of({}), run,
      [&](size_t, size_t, const std::vector<RuntimeValue>&) -> std::vector<RuntimeValue> {
        FAIL("called");
        return {};
      });
}

}  // namespace lathe

#include "quantize/diagnose/local_errors.h"

#include "diagnosis_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::Measured;
using test::measured;
using test::named_network;
using test::normal_data;
using test::scaled_data;
using test::spread_depthwise;
using test::usual_rules;

TEST_CASE("local errors tell weights, activations and what arrives apart") {
  const Graph graph = named_network(R"(agraph (float[1,4,8,8] x) => (float[1,4,8,8] z)
<float[4,4,1,1] a = )" + test::values_text(16, 1, -1, 1) +
                                    R"(, float[4,4,1,1] b = )" + test::values_text(16, 2, -1, 1) +
                                    R"(>
{ @first c = Conv(x, a)  r = Clip(c, lo, hi)  @second z = Conv(r, b)
  lo = Constant<value = float {0.0}>()  hi = Constant<value = float {6.0}>() })");
  IntegerRules rules = usual_rules();
  const SampleSource data = normal_data(graph, 4);
  const Measured plain = measured(graph, rules, data);
  REQUIRE(plain.errors.size() == 2);
  const LayerError& first = plain.errors[0];
  CHECK(first.name == "first");
  CHECK(first.output_is_read);
  CHECK(!plain.errors[1].output_is_read);
  CHECK(first.input_peaks.size() == 4);
  // Independent errors add up in power.
  CHECK(first.local == doctest::Approx(first.weight + first.input).epsilon(0.25));
  CHECK(first.weight_db() > 30);
  CHECK(first.input_db() > 30);
  // The network's first layer sees float inputs in both, so it loses there what it loses alone.
  CHECK(first.network_db() == doctest::Approx(first.local_db()).epsilon(0.02));
  CHECK(plain.errors[1].network_db() < plain.errors[1].local_db());

  rules.weight_only = true;
  const Measured weights = measured(graph, rules, data);
  REQUIRE(weights.errors.size() == 2);
  CHECK(weights.errors[0].input == 0);
  CHECK(weights.errors[0].own_output == 0);
  CHECK(weights.errors[0].local == doctest::Approx(first.weight).epsilon(0.01));
  CHECK(weights.errors[0].local == weights.errors[0].weight);
}

TEST_CASE("local errors do not depend on the number of threads") {
  const Graph graph = spread_depthwise();
  const Measured m = measured(graph, usual_rules(), scaled_data(graph, 7, 8));
  SampleRunOptions three;
  three.threads = 3;
  const auto again = local_errors(m.reference, m.quantized, scaled_data(graph, 7, 8), three);
  REQUIRE(again.size() == m.errors.size());
  for (size_t i = 0; i < again.size(); ++i) {
    CHECK(again[i].local == m.errors[i].local);
    CHECK(again[i].network == m.errors[i].network);
    CHECK(again[i].by_channel.weight == m.errors[i].by_channel.weight);
  }
}

}  // namespace lathe

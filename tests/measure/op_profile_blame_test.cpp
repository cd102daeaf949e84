#include <doctest/doctest.h>

#include "tracing/op_blame.h"

namespace lathe {
namespace {

OpTime op_time(std::string name, std::string type, double ns, std::string output = {},
               std::string producer = {}) {
  OpTime out;
  out.output = output.empty() ? name + "_out" : std::move(output);
  out.name = std::move(name);
  out.type = std::move(type);
  out.producer = std::move(producer);
  out.calls = 10;
  out.median_ns = ns;
  out.total_ns = 10 * ns;
  return out;
}

OpProfile profile_of(std::vector<OpTime> ops) {
  OpProfile profile;
  profile.runs = 10;
  for (const OpTime& each : ops) profile.plain_ns += each.median_ns;
  profile.ops = std::move(ops);
  return profile;
}

const OpDelta& delta_of(const OpBlame& blame, std::string_view name) {
  for (const OpDelta& delta : blame.ops)
    if (delta.name == name) return delta;
  FAIL("no difference is told of " << name);
  return blame.ops.front();
}

TEST_CASE("inserted ops are blamed with their share of the candidate's time") {
  std::vector<OpTime> before;
  std::vector<OpTime> after;
  for (int i = 0; i < 14; ++i) {
    const std::string conv = "conv" + std::to_string(i);
    before.push_back(op_time(conv, "Conv", 100));
    after.push_back(op_time("q" + std::to_string(i), "QuantizeLinear", 45));
    after.push_back(op_time(conv, "Conv", 100));
  }
  const OpBlame blame = blame_ops(profile_of(before), profile_of(after));
  REQUIRE_FALSE(blame.sentences.empty());
  CHECK(blame.sentences[0] == "14 inserted QuantizeLinear cost 31 %");
  CHECK(blame.sentences.size() == 1);
  CHECK(blame.baseline_ns == 1400);
  CHECK(blame.candidate_ns == 2030);
  CHECK(blame.unattributed_ns == doctest::Approx(0));
  CHECK(delta_of(blame, "conv3").change == OpChange::kKept);
  CHECK(delta_of(blame, "q3").change == OpChange::kInserted);
}

TEST_CASE("what took over another op's result has fused it, and all between") {
  const OpBlame blame = blame_ops(
      profile_of({op_time("conv", "Conv", 100, "a"),
                  op_time("norm", "BatchNormalization", 30, "b", "conv"),
                  op_time("relu", "Relu", 20, "c", "norm"),
                  op_time("fc", "Gemm", 50, "d", "relu")}),
      profile_of({op_time("conv", "Conv", 100, "c"), op_time("fc", "Gemm", 50, "d", "conv")}));
  CHECK(delta_of(blame, "norm").change == OpChange::kFused);
  CHECK(delta_of(blame, "norm").into == "conv");
  CHECK(delta_of(blame, "relu").change == OpChange::kFused);
  REQUIRE(blame.sentences.size() == 2);
  CHECK(blame.sentences[0] == "1 fused BatchNormalization saves 15 %");
  CHECK(blame.sentences[1] == "1 fused Relu saves 10 %");
}

TEST_CASE("a missing op is not fused when nobody makes its result") {
  const OpBlame blame = blame_ops(
      profile_of({op_time("conv", "Conv", 100, "a"), op_time("drop", "Dropout", 100, "b", "conv")}),
      profile_of({op_time("conv", "Conv", 100, "a")}));
  CHECK(delta_of(blame, "drop").change == OpChange::kMissing);
  CHECK(blame.sentences == std::vector<std::string>{"1 Dropout no longer there saves 50 %"});
}

TEST_CASE("an op of another type under the same name or result has changed") {
  const OpBlame blame =
      blame_ops(profile_of({op_time("conv", "Conv", 100), op_time("fc", "Gemm", 100, "y"),
                            op_time("x", "Add", 1)}),
                profile_of({op_time("conv", "QLinearConv", 50),
                            op_time("fc_quant", "QGemm", 30, "y"), op_time("x", "Add", 1)}));
  const OpDelta& conv = delta_of(blame, "conv");
  CHECK(conv.change == OpChange::kChanged);
  CHECK(conv.from_type == "Conv");
  CHECK(conv.delta_ns() == -50);
  CHECK(delta_of(blame, "fc_quant").change == OpChange::kChanged);
  REQUIRE(blame.sentences.size() == 2);
  CHECK(blame.sentences[0] ==
        "1 Gemm that became QGemm takes 0.30x the time (−35 % of the baseline)");
}

TEST_CASE("renamed ops of one type are paired in order, when both have as many") {
  const OpBlame same = blame_ops(profile_of({op_time("a", "Conv", 10), op_time("b", "Conv", 20)}),
                                 profile_of({op_time("c", "Conv", 30), op_time("d", "Conv", 40)}));
  CHECK(delta_of(same, "c").change == OpChange::kKept);
  CHECK(delta_of(same, "c").baseline_ns == 10);
  CHECK(delta_of(same, "d").baseline_ns == 20);
  CHECK(same.sentences[0] == "2 Conv take 2.33x the time (+133 % of the baseline)");
  const OpBlame other = blame_ops(profile_of({op_time("a", "Conv", 10), op_time("b", "Conv", 20)}),
                                  profile_of({op_time("c", "Conv", 30)}));
  CHECK(delta_of(other, "a").change == OpChange::kMissing);
  CHECK(delta_of(other, "c").change == OpChange::kInserted);
}

TEST_CASE("small differences are no sentence, and names cannot harm a terminal") {
  const OpBlame calm =
      blame_ops(profile_of({op_time("a", "Conv", 1000), op_time("b", "Relu", 10)}),
                profile_of({op_time("a", "Conv", 1005), op_time("b", "Relu", 10)}));
  CHECK(calm.sentences.empty());
  const OpBlame hostile =
      blame_ops(profile_of({op_time("a", "Conv", 10)}),
                profile_of({op_time("a", "Conv", 10), op_time("b", "X\x1b[31m", 10)}));
  REQUIRE(hostile.sentences.size() == 1);
  CHECK(hostile.sentences[0].find('\x1b') == std::string::npos);
}

TEST_CASE("without one of the profiles there is a reason instead") {
  OpProfile silent;
  silent.reason = "the torchscript engine does not tell the times of its nodes";
  const OpBlame blame = blame_ops(profile_of({op_time("a", "Conv", 10)}), silent);
  CHECK(blame.reason == silent.reason);
  CHECK(blame.ops.empty());
}

TEST_CASE("producers that point in a circle or forwards end the search") {
  const OpBlame blame =
      blame_ops(profile_of({op_time("a", "Relu", 10, "p", "b"), op_time("b", "Relu", 10, "q", "a"),
                            op_time("c", "Conv", 10, "r")}),
                profile_of({op_time("c", "Conv", 10, "q")}));
  CHECK(delta_of(blame, "a").change == OpChange::kMissing);
  CHECK(delta_of(blame, "b").change == OpChange::kMissing);
}

}  // namespace
}  // namespace lathe

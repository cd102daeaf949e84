#include "quantize_case.h"

#include <algorithm>
#include <random>

#include "ir/verify.h"
#include "pass_check.h"
#include "run/compare.h"

#include "doctest_after_torch.h"

namespace lathe::test {
namespace {

std::string join(std::vector<std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

IntegerRules usual_rules() {
  IntegerRules rules;
  rules.ops = {OpKind::kConv,   OpKind::kConvTranspose, OpKind::kGemm,
               OpKind::kMatMul, OpKind::kAdd,           OpKind::kMul,
               OpKind::kConcat, OpKind::kAveragePool,   OpKind::kGlobalAveragePool};
  rules.moves = {OpKind::kMaxPool, OpKind::kReshape, OpKind::kFlatten, OpKind::kTranspose};
  return rules;
}

Graph network(const std::string& body) {
  return graph_of("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body);
}

std::string values_text(int64_t count, uint64_t seed, float low, float high, bool outliers) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::string text = "{";
  for (int64_t i = 0; i < count; ++i) {
    const float value = uniform(random);
    text += (i == 0 ? "" : ", ") + (outliers && i % 29 == 0 ? "100.0" : std::to_string(value));
  }
  return text + "}";
}

SampleSource normal_data(const Graph& graph, size_t count) {
  std::vector<Shape> shapes;
  for (const ValueId id : graph.inputs())
    shapes.push_back(*static_shape(*graph.value(id).type.dims));
  SampleSource source;
  source.count = count;
  source.sample = [shapes](size_t sample) {
    std::mt19937_64 random(sample + 17);
    std::normal_distribution<float> normal(0.5f, 1);
    std::vector<Tensor> tensors;
    for (const Shape& shape : shapes) {
      std::vector<float> values(static_cast<size_t>(element_count(shape)));
      for (float& value : values) value = normal(random);
      tensors.push_back(Tensor::of<float>(shape, values));
    }
    return tensors;
  };
  return source;
}

QuantizeCase quantize_case(const std::string& body, const IntegerRules& rules, bool corrected,
                           size_t samples) {
  QuantizeCase result;
  result.before = network(body);
  result.after = result.before;
  result.plan = select_nodes(result.after, rules);
  const Interpreter interpreter(result.after);
  result.statistics = calibrate(interpreter, calibration_targets(result.after, result.plan),
                                normal_data(result.after, samples), {});
  result.plan = plan_precision(result.after, rules, std::move(result.plan), result.statistics,
                               Observer::kMinMax);
  if (corrected) correct_bias(result.after, result.plan, result.statistics);
  insert_qdq(result.after, result.plan);
  verify(result.after, "insert_qdq");
  return result;
}

double sqnr_between(const Graph& before, const Graph& after, size_t index) {
  SampleSource fresh = normal_data(before, 8);
  fresh.sample = [inner = fresh.sample](size_t i) { return inner(i + 1000); };
  CompareOptions options;
  options.layers = false;
  return compare_graphs(Interpreter(before), Interpreter(after), fresh, options)
      .outputs.at(index)
      .sums.sqnr_db();
}

double noise_between(const Graph& before, const Graph& after, size_t samples) {
  CompareOptions options;
  options.layers = false;
  const ErrorSums sums =
      compare_graphs(Interpreter(before), Interpreter(after), normal_data(before, samples), options)
          .outputs[0]
          .sums;
  return sums.noise / sums.signal;
}

std::string maker(const Graph& graph, ValueId value) {
  const NodeId producer = graph.value(value).producer;
  return producer.valid() ? std::string(graph.node(producer).type_name()) : std::string();
}

NodeId maker_of(const Graph& graph, const std::string& output) {
  return graph.value(graph.find_value(output)).producer;
}

const Node& only(const Graph& graph, OpKind kind) {
  REQUIRE(count_of(graph, kind) == 1);
  for (const NodeId id : graph.node_ids())
    if (graph.node(id).kind == kind) return graph.node(id);
  throw std::logic_error("no such node");
}

std::string reason_for(const PrecisionPlan& plan, const std::string& type) {
  for (const PlanException& exception : plan.exceptions)
    if (exception.node_type == type) return exception.reason;
  return {};
}

std::string planned(const Graph& graph, const PrecisionPlan& plan) {
  std::vector<std::string> words;
  for (const NodeId id : graph.order())
    if (plan.nodes.contains(id)) words.emplace_back(graph.node(id).type_name());
  return join(words);
}

std::string planned_values(const Graph& graph, const PrecisionPlan& plan) {
  std::vector<std::string> words;
  for (const auto& [id, params] : plan.values) words.push_back(graph.value(id).name);
  std::sort(words.begin(), words.end());
  return join(words);
}

}  // namespace lathe::test

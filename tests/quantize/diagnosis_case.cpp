#include "diagnosis_case.h"

#include <random>

#include "run/compare.h"

namespace lathe::test {

Graph named_network(std::string text) {
  std::vector<std::pair<std::string, std::string>> names;  // output, node
  for (size_t at = text.find('@'); at != std::string::npos; at = text.find('@')) {
    const size_t space = text.find(' ', at);
    const size_t end = text.find(' ', space + 1);
    names.emplace_back(text.substr(space + 1, end - space - 1),
                       text.substr(at + 1, space - at - 1));
    text.erase(at, space + 1 - at);
  }
  Graph graph = network(text);
  for (const auto& [output, name] : names)
    graph.edit(graph.value(graph.find_value(output)).producer).name = name;
  return graph;
}

Measured measured(const Graph& graph, const IntegerRules& rules, const SampleSource& data,
                  Observer observer) {
  Measured result;
  result.reference = graph;
  result.plan = select_nodes(graph, rules);
  result.statistics =
      calibrate(Interpreter(graph), calibration_targets(graph, result.plan), data, {});
  result.plan = plan_precision(graph, rules, std::move(result.plan), result.statistics, observer);
  result.quantized = graph;
  insert_qdq(result.quantized, result.plan);
  result.errors = local_errors(graph, result.quantized, data, {});
  CompareOptions options;
  options.layers = false;
  result.output_db =
      compare_graphs(Interpreter(graph), Interpreter(result.quantized), data, options)
          .outputs.at(0)
          .sums.sqnr_db();
  return result;
}

std::string list_text(const std::vector<float>& values) {
  std::string text = "{";
  for (const float value : values) text += (text == "{" ? "" : ", ") + std::to_string(value);
  return text + "}";
}

SampleSource scaled_data(const Graph& graph, size_t count, float factor) {
  SampleSource source = normal_data(graph, count);
  source.sample = [inner = source.sample, factor](size_t sample) {
    std::vector<Tensor> tensors = inner(sample);
    const auto values = tensors[0].values<float>();
    std::vector<float> scaled(values.begin(), values.end());
    const size_t per_channel = scaled.size() / 8;
    for (size_t i = 0; i < scaled.size(); ++i)
      if (i / per_channel % 2 == 1) scaled[i] *= factor;
    return std::vector<Tensor>{Tensor::of<float>(tensors[0].shape(), scaled)};
  };
  return source;
}

Graph spread_depthwise() {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> depthwise;
  for (int c = 0; c < 8; ++c)
    for (int t = 0; t < 9; ++t) depthwise.push_back(normal(random) * (c % 2 == 1 ? 1 / 64.0f : 1));
  std::vector<float> pointwise;
  for (int o = 0; o < 8; ++o)
    for (int i = 0; i < 8; ++i) pointwise.push_back(normal(random) * (i % 2 == 1 ? 8.0f : 1));
  return named_network(R"(agraph (float[1,8,8,8] x) => (float[1,8,6,6] z)
<float[8,1,3,3] d = )" +
                       list_text(depthwise) + R"(, float[8,8,1,1] p = )" + list_text(pointwise) +
                       R"(>
{
  @depthwise y = Conv<group = 8, kernel_shape = [3, 3]>(x, d)
  @pointwise z = Conv(y, p)
})");
}

}  // namespace lathe::test

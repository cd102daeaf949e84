#include <doctest/doctest.h>

#include "write_fixtures.h"

namespace lathe {

TEST_CASE("text form") {
  const Model model = model_of(17, R"(g (float[N,3] x) => (float[N,2] y)
    <float[3,2] w = {1, 2, 3, 4, 5, 6.5}> { h = MatMul(x, w) y = LeakyRelu <alpha = 0.5> (h) })");
  CHECK(text_form(model.graph) ==
        "g (float[N,3] x) => (float[N,2] y) {\n"
        "  w = float[3,2] {1, 2, 3, 4, 5, 6.5}\n"
        "  [MatMul_0] h = MatMul (x, w)\n"
        "  [LeakyRelu_1] y = LeakyRelu <alpha = 0.5> (h)  # float[N,2]\n"
        "}\n");
}

TEST_CASE("long constants are cut but told apart") {
  const auto text = [](float last) {
    Graph graph;
    std::vector<float> values(9, 1);
    values.back() = last;
    graph.add_constant("w", Tensor::vector<float>(values));
    return text_form(graph);
  };
  CHECK(text(2) != text(3));
  CHECK(text(2).find("1, 1, 1, 1, 1, 1, 1, 1, ... #") != std::string::npos);
}

TEST_CASE("a syntax error is told") {
  CHECK_THROWS_AS(parse_text("<ir_version: 8, opset_import: [\"\" : 17]> g (float x) => {"), Error);
}

}  // namespace lathe

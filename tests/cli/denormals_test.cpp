// Denormal numbers: zeros in all commands, in every thread; bench keeps them unless it is told.
#include <string>
#include <vector>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {
namespace {

// y = x * factors[0] * factors[1] * …, element by element.
std::string product_model(const std::vector<float>& factors) {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  std::string from = "x";
  for (size_t i = 0; i < factors.size(); ++i) {
    const std::string number = std::to_string(i);
    add_initializer(graph, "f" + number, {factors[i]});
    const std::string to = i + 1 < factors.size() ? "v" + number : "y";
    add_node(graph, "Mul", {from, "f" + number}, {to});
    from = to;
  }
  return model.SerializeAsString();
}

struct DenormalModels {
  ScratchDirectory folder;
  // x again, where what lies between does not become zero.
  std::string there_and_back =
      folder.write("back.onnx", product_model({1e-25F, 1e-15F, 1e25F, 1e15F}));
  std::string zero = folder.write("zero.onnx", product_model({0.0F}));
};

}  // namespace

TEST_CASE("denormal numbers are zeros in every thread of a command") {
  const DenormalModels models;
  for (const char* threads : {"1", "3"}) {
    CAPTURE(threads);
    const CliResult result =
        run_lathe({"compare", models.there_and_back, models.zero, "--data", "random", "--samples",
                   "12", "--tolerance", "0", "--threads", threads});
    INFO(result.out, result.err);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("bench keeps denormal numbers unless it is to flush them") {
  const DenormalModels models;
  for (const bool flush : {false, true}) {
    CAPTURE(flush);
    const CliResult result =
        run_lathe({"bench", models.zero, "--against", models.there_and_back, "--engine",
                   "interpreter", "--metric", "mse", "--iterations", "5", "--processes", "1",
                   "--threads", "2", "--denormals", flush ? "flush" : "keep", "--json"});
    INFO(result.err);
    const double difference = report_of(result)["quality"][0]["after"];
    CHECK((difference == 0) == flush);
  }
}

}  // namespace lathe

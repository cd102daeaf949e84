// lathe compare --arithmetic: accuracy on the device, told before shipping.
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

// y = x * w for x of 1x16 and w of 16x3, weights of one sign and size in every column.
std::string saturating_model() {
  onnx::ModelProto model = empty_model();
  model.mutable_graph()->clear_input();
  model.mutable_graph()->clear_output();
  add_info(*model.mutable_graph()->add_input(), "x", {1, 16});
  add_info(*model.mutable_graph()->add_output(), "y", {1, 3});
  add_node(*model.mutable_graph(), "MatMul", {"x", "w"}, {"y"});
  onnx::TensorProto& w = add_initializer(*model.mutable_graph(), "w", {});
  w.clear_float_data();
  w.clear_dims();
  for (int i = 0; i < 48; ++i)
    w.add_float_data((i % 3 == 1 ? -1.0f : 1.0f) * (1.0f - 0.003f * static_cast<float>(i)));
  w.add_dims(16);
  w.add_dims(3);
  return model.SerializeAsString();
}

struct ArithmeticFiles {
  ScratchDirectory folder;
  std::string model = folder.write("m.onnx", saturating_model());
  std::string at(const std::string& name) const { return folder.path(name); }

  /// The model quantized for a device; its report.
  json quantized(const std::string& name, const std::string& profile) const {
    return report_of(run({"quantize", model, "--data", "random", "--samples", "64", "--profile",
                          profile, "-o", at(name), "--json"}));
  }
  CliResult run(const std::vector<std::string>& arguments, int code = 0) const {
    const CliResult result = run_lathe(arguments);
    INFO(result.out, result.err);
    CHECK(result.exit_code == code);
    return result;
  }
  std::vector<std::string> compared(const std::string& name, const std::string& arithmetic) const {
    return {"compare", model,    at(name), "--data",       "random",  "--samples",
            "64",      "--seed", "1",      "--arithmetic", arithmetic};
  }
};

double sqnr_of(const json& report) {
  return report["compare"]["outputs"][0]["sqnr_db"].get<double>();
}

}  // namespace

TEST_CASE("a file made for VNNI fails on a device without, and the x86-64 profile mends it") {
  const ArithmeticFiles files;
  const json vnni = files.quantized("vnni.onnx", "x86-64-vnni");
  CHECK_FALSE(vnni["quantize"].contains("saturation"));
  const json exact = report_of(files.run(joined(files.compared("vnni.onnx", "vnni"), {"--json"})));
  CHECK(sqnr_of(exact) > 30);
  CHECK(exact["compare"]["arithmetic"]["name"] == "vnni");

  const auto bound = joined(files.compared("vnni.onnx", "maddubs"), {"--min-sqnr", "25"});
  const json broken = report_of(files.run(joined(bound, {"--json"}), 4));
  CHECK(broken["verdict"] == "fail");
  CHECK(sqnr_of(broken) < 20);
  const json& device = broken["compare"]["arithmetic"];
  CHECK(device["saturating"] > 100);
  CHECK(device["share"].get<double>() ==
        doctest::Approx(device["saturating"].get<double>() / device["pairs"].get<double>()));
  CHECK(device["pairs"] == 64 * 3 * 8);
  REQUIRE(device["layers"].size() == 1);
  CHECK(device["layers"][0]["possible"] == true);
  CHECK(device["layers"][0]["bound"] > 32767);
  CHECK(device["exact_outputs"][0]["sqnr_db"].get<double>() == doctest::Approx(sqnr_of(exact)));
  const CliResult told = files.run(bound, 4);
  CHECK(told.out.find("sums of two products saturate") != std::string::npos);
  CHECK(told.out.find("with exact sums") != std::string::npos);
  CHECK(told.out.find("--profile x86-64") != std::string::npos);

  const json plain = files.quantized("x86.onnx", "x86-64");
  const json& rows = plain["quantize"]["saturation"];
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["reduce_range"] == true);
  CHECK(rows[0]["saturating"] > 0);
  CHECK_FALSE(rows[0]["reason"].get<std::string>().empty());
  const CliResult good =
      files.run(joined(files.compared("x86.onnx", "maddubs"), {"--min-sqnr", "25"}));
  CHECK(good.out.find("maddubs: none of") != std::string::npos);
}

TEST_CASE("the same files again: simulated sums do not depend on threads") {
  const ArithmeticFiles files;
  files.quantized("vnni.onnx", "x86-64-vnni");
  const auto run = [&](const char* threads) {
    return report_of(files.run(joined(files.compared("vnni.onnx", "maddubs"),
                                      {"--json", "--threads", threads})))["compare"];
  };
  CHECK(run("1") == run("2"));
}

TEST_CASE("esp32 gets powers of two without zero points, other files are refused for it") {
  const ArithmeticFiles files;
  files.quantized("esp.onnx", "esp32");
  const json report =
      report_of(files.run(joined(files.compared("esp.onnx", "power-of-two"), {"--json"})));
  CHECK(sqnr_of(report) > 25);
  files.quantized("vnni.onnx", "x86-64-vnni");
  check_refused(run_lathe(files.compared("vnni.onnx", "power-of-two")), 3, {"powers of two"});
  check_refused(run_lathe(files.compared("vnni.onnx", "madubs")), 2, {"--arithmetic"});
}

}  // namespace lathe

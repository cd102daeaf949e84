#include <doctest/doctest.h>

#include "calibration/data_spec.h"
#include "ir/error.h"

namespace lathe {

TEST_CASE("data spec: all keys") {
  const DataSpec spec = parse_data_spec(R"({
    "format": "images", "path": "pictures", "labels": "/l.csv", "skip": 2, "limit": 5,
    "inputs": {"*": {"color": "bgr", "resize_short": 232, "resize": [10, 20],
      "letterbox": {"size": 416, "value": 114, "align": "center"}, "center_crop": 224,
      "scale": 0.5, "mean": [1, 2, 3], "std": 2, "dtype": "float32"},
      "rate": {"value": 16000}},
    "carry": {"state": "stateN"}})",
                                        "/data/spec.json");
  CHECK(spec.format == DataFormat::kImages);
  CHECK(spec.path == "/data/pictures");
  CHECK(spec.labels == "/l.csv");
  CHECK(spec.skip == 2);
  CHECK(spec.limit == 5);
  const InputSpec& input = spec.inputs.at("*");
  CHECK(input.color == ColorOrder::kBgr);
  CHECK(*input.resize == std::array<int64_t, 2>{10, 20});
  CHECK(input.letterbox->height == 416);
  CHECK(input.letterbox->align == Align::kCenter);
  CHECK(*input.center_crop == std::array<int64_t, 2>{224, 224});
  CHECK(input.mean == std::vector<double>{1, 2, 3});
  CHECK(input.std == std::vector<double>{2});
  CHECK(input.dtype == DType::kFloat32);
  CHECK(spec.inputs.at("rate").value == 16000);
  CHECK(spec.carry == std::vector<std::pair<std::string, std::string>>{{"stateN", "state"}});
}

TEST_CASE("data spec: series and arrays") {
  const DataSpec csv =
      parse_data_spec(R"({"format": "csv", "path": "x.csv", "labels": "y", "inputs":
    {"*": {"columns": ["v", "v"], "window": 30, "stride": 2}}})",
                      "/data/spec.json");
  CHECK(csv.labels == "y");
  CHECK(csv.inputs.at("*").columns == std::vector<std::string>{"v", "v"});
  CHECK(csv.inputs.at("*").window == 30);
  CHECK(csv.inputs.at("*").stride == 2);
  const DataSpec wav = parse_data_spec(
      R"({"format": "wav", "path": "/x.wav", "inputs": {"*": {"context": 64}}})", "spec.json");
  CHECK(wav.path == "/x.wav");
  CHECK(wav.inputs.at("*").context == 64);
  const DataSpec npz = parse_data_spec(
      R"({"format": "npz", "path": "x.npz", "inputs": {"*": {"array": "a", "layout": "NHWC"}}})",
      "s");
  CHECK(npz.inputs.at("*").array == "a");
  CHECK(npz.inputs.at("*").layout == "NHWC");
  CHECK_FALSE(npz.batch);
  CHECK(parse_data_spec(R"({"format": "npy", "path": "x", "batch": true})", "s").batch);
}

TEST_CASE("data spec: faults are exit 3 and name the key") {
  const auto fault = [](const std::string& text) -> std::string {
    try {
      parse_data_spec(text, "s.json");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
      return error.what();
    }
    return "accepted";
  };
  const auto input = [&](const std::string& text) {
    return fault(R"({"format": "npz", "path": "x", "inputs": {"*": {)" + text + "}}}");
  };
  CHECK(fault(R"({"format": "tar", "path": "x"})").find("/format") != std::string::npos);
  CHECK(fault(R"({"format": "npz"})").find("path") != std::string::npos);
  CHECK(fault(R"({"format": "npz", "path": "x", "limits": 3})").find("limit") != std::string::npos);
  CHECK(fault(R"({"format": "npz", "path": "x", "batch": 1})").find("/batch") != std::string::npos);
  for (const char* format : {"csv", "wav", "images"}) {
    const std::string begin = R"({"format": ")" + std::string(format);
    CHECK(fault(begin + R"(", "path": "x", "batch": true})").find("/batch") != std::string::npos);
    CHECK(fault(begin + R"(", "path": "x", "batch": false})") == "accepted");
  }
  for (const char* change :
       {R"("scale": 2)", R"("mean": 1)", R"("layout": "NHWC")", R"("color": "bgr")"})
    CHECK(fault(R"({"format": "npz", "path": "x", "batch": true, "inputs": {"*": {)" +
                std::string(change) + "}}}")
              .find("/batch") != std::string::npos);
  CHECK(fault(R"({"format": "npz", "path": "x", "skip": -1})").find("/skip") != std::string::npos);
  CHECK(input(R"("std": [0.2, 0])").find("/inputs/*/std") != std::string::npos);
  CHECK(input(R"("layout": "HHWC")").find("/inputs/*/layout") != std::string::npos);
  CHECK(input(R"("layout": "HWCN")").find("/inputs/*/layout") != std::string::npos);
  CHECK(input(R"("layout": "")").find("/inputs/*/layout") != std::string::npos);
  CHECK(input(R"("resize": [1, 2, 3])").find("/inputs/*/resize") != std::string::npos);
  CHECK(input(R"("resize": 1000000)").find("/inputs/*/resize") != std::string::npos);
  CHECK(input(R"("letterbox": {"value": 1})").find("/inputs/*/letterbox") != std::string::npos);
  CHECK(input(R"("dtype": "string8")").find("/inputs/*/dtype") != std::string::npos);
  CHECK(input(R"("window": 3)").find("/inputs/*/window") != std::string::npos);
  CHECK(input(R"("mean": [])").find("/inputs/*/mean") != std::string::npos);
}

}  // namespace lathe

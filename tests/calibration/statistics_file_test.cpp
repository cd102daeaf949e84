#include <cmath>
#include <random>

#include "calibration/calibrate.h"
#include "error_of.h"
#include "ir/error.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

Statistics example() {
  Statistics statistics;
  statistics.samples = 3;
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  for (const std::string name : {"x", "layer/Conv_0:\"odd\"\n", "ü"}) {
    std::vector<float> values(500);
    for (float& value : values) value = normal(random) * 1e-3f;
    statistics.values[name].add(values);
  }
  statistics.values["zeros"].add(std::vector<float>{0, 0});
  statistics.values["none"];
  statistics.channel_means["x"] = {0.1, -1e-300, 12345678.9, 0};
  return statistics;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string refused(const std::string& text) {
  return error_of([&] { load_statistics(text, "s.json"); });
}

// One histogram of the values -1 and 1, and one mean.
const char* kSmall =
    R"({"channel_means":{"x":[0.5]},"samples":1,"schema":"lathe.statistics","schema_version":"1.0",)"
    R"("values":{"x":{"bins":[[1024,1],[3072,1]],"exponent":-10,"max":1.0,"min":-1.0,"non_finite":0}}})";

}  // namespace

TEST_CASE("statistics come back from their file exactly") {
  const Statistics saved = example();
  const std::string text = save_statistics(saved);
  const Statistics back = load_statistics(text, "s.json");
  CHECK(back.samples == 3);
  CHECK(back.channel_means == saved.channel_means);
  REQUIRE(back.values.size() == saved.values.size());
  for (const auto& [name, histogram] : saved.values) {
    const Histogram& other = back.values.at(name);
    if (histogram.count() > 0) CHECK((other.bins() == histogram.bins()));
    CHECK(other.count() == histogram.count());
    CHECK(other.min() == histogram.min());
    CHECK(other.max() == histogram.max());
    CHECK(other.exponent() == histogram.exponent());
  }
  CHECK(save_statistics(back) == text);
}

TEST_CASE("a statistics file written by hand") {
  const Statistics statistics = load_statistics(kSmall, "s.json");
  CHECK(statistics.values.at("x").count() == 2);
  CHECK(statistics.values.at("x").bins()[1024] == 1);
  CHECK(statistics.values.at("x").bin_start(1024) == -1);
  CHECK(statistics.channel_means.at("x") == std::vector<double>{0.5});
}

TEST_CASE("damaged statistics files end with exit 3") {
  const std::string text = kSmall;
  for (size_t length = 0; length < text.size(); length += 7) {
    CAPTURE(length);
    CHECK(refused(text.substr(0, length)).find(" 3") != std::string::npos);
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"lathe.statistics", "lathe.report"},
           {R"("samples":1)", R"("samples":"many")"},
           {R"("samples":1,)", ""},
           {R"("samples":1)", R"("samples":-1)"},
           {"[1024,1]", "[1024,-1]"},
           {"[1024,1]", "[4095,1,1]"},
           {"[1024,1]", "[4096,1]"},
           {"[1024,1]", "[-1,1]"},
           {"[1024,1]", "[]"},
           {"[1024,1]", "{}"},
           {"[1024,1]", "7"},
           {"[1024,1]", R"([1024,"1"])"},
           {"[1024,1]", "[1024,9223372036854775807]"},
           {"[[1024,1],[3072,1]]", "null"},
           {R"("exponent":-10)", R"("exponent":4000)"},
           {R"("exponent":-10)", R"("exponent":-9)"},
           {R"("exponent":-10)", R"("exponent":"x")"},
           {R"("max":1.0)", R"("max":-2.0)"},
           {R"("max":1.0)", R"("max":null)"},
           {R"("max":1.0)", R"("max":1e300)"},
           {R"("max":1.0)", R"("max":1e999)"},
           {R"("non_finite":0)", R"("non_finite":-5)"},
           {"[0.5]", "[null]"},
           {"[0.5]", "0.5"},
           {R"({"x":[0.5]})", "[]"},
           {R"("values":{"x")", R"("values":[],"more":{"x")"}}) {
    CAPTURE(to);
    const std::string damaged = replaced(text, from, to);
    CHECK(refused(damaged).find(" 3") != std::string::npos);
  }
  CHECK(refused("").find(" 3") != std::string::npos);
  CHECK(refused("[]").find(" 3") != std::string::npos);
  CHECK(refused(std::string(100000, '[')) != "");
}

TEST_CASE("channels and scales come back; files without them load") {
  Statistics saved = example();
  ChannelSums sums;
  sums.add(std::vector<float>{0.1f, -3, 1e-20f, 7}, 2, 2);
  saved.channels["x"] = sums.statistics();
  saved.scales["y"] = {0.5, 1, 3.7};
  const Statistics loaded = load_statistics(save_statistics(saved), "s.json");
  CHECK((loaded.channels == saved.channels));
  CHECK((loaded.scales == saved.scales));
  const Statistics old = load_statistics(kSmall, "s.json");
  CHECK(old.channels.empty());
  CHECK(old.scales.empty());
}

TEST_CASE("damaged channels and scales are refused") {
  Statistics saved = example();
  ChannelSums sums;
  sums.add(std::vector<float>{1, 2}, 2, 1);
  saved.channels["x"] = sums.statistics();
  saved.scales["y"] = {0.5};
  const std::string text = save_statistics(saved);
  CHECK_FALSE(refused(replaced(text, R"("max":[1.0,2.0])", R"("max":[1.0])")).empty());
  CHECK_FALSE(refused(replaced(text, R"("max":[1.0,2.0])", R"("max":[1.0,"2"])")).empty());
  for (const char* scale : {"0.0", "-1.0", "1e300", "null"})
    CHECK_FALSE(refused(replaced(text, "[0.5]", "[" + std::string(scale) + "]")).empty());
}

}  // namespace lathe

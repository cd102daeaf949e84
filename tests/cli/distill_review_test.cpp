// lathe distill: flags that would do nothing, artifacts that the device could not read.
#include "pruning.h"

namespace lathe {
namespace {

std::vector<std::string> distill_words(const PruneFiles& files,
                                       const std::vector<std::string>& more) {
  std::vector<std::string> words{"distill",          "--teacher", kGlyphs, "-o",
                                 files.at("s.onnx"), "--latency", "off",   "--force"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("distill refuses flags that would do nothing") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 16, false);
  const auto refused = [&](std::vector<std::string> words, const std::string& flag) {
    CAPTURE(flag);
    words.insert(words.end(), {"--data", data, "--epochs", "1", "--batch", "8"});
    check_refused(run_lathe(distill_words(files, words)), 2, {flag});
  };
  refused({"--quantization-aware", "--mode", "weight-only", "--observer", "mse"}, "--observer");
  refused({"--quantization-aware", "--mode", "weight-only", "--samples", "4"}, "--samples");
  refused({"--student", kGlyphs, "--samples", "4"}, "--samples");
  refused({"--student-width", "50%", "--student-init", "fresh", "--samples", "4"}, "--samples");
  refused({"--student-width", "50%", "--feature-weight", "2"}, "--feature-weight");
  refused({"--student-width", "50%", "--label-smoothing", "0.1"}, "--label-smoothing");
  check_refused(
      run_lathe(distill_words(files, {"--student-width", "50%", "--data", data, "--epochs", "0"})),
      2, {"--epochs"});
}

TEST_CASE("distill says before it trains what the device could not read") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 16, false);
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{
           {"--student-width", "50%", "--opset", "25"},
           {"--quantization-aware", "--weight-bits", "4", "--opset", "17"}}) {
    CAPTURE(way.back());
    std::vector<std::string> words = distill_words(files, way);
    // No training of so many epochs ends within the test's time.
    words.insert(words.end(), {"--data", data, "--epochs", "100000"});
    check_refused(run_lathe(words, {.timeout_s = 60}), 2, {"opset"});
  }
}

}  // namespace lathe

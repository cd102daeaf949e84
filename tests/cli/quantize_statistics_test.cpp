// lathe quantize --statistics: files that do not fit what they are used for.
#include <filesystem>

#include "pruning.h"
#include "run_lathe.h"

namespace lathe {
namespace {

constexpr int kSeed = 5;

struct Statistics {
  PruneFiles files;
  std::string data = draw_glyphs(files.folder, "train", 12, kSeed, false);

  std::string at(const std::string& name) const { return files.at(name); }
  CliResult quantize(const std::string& out, const std::vector<std::string>& more) const {
    return run_lathe(joined({"quantize", kGlyphs, "-o", at(out), "--data", data, "--effort", "fast",
                             "--statistics", at("s.json")},
                            more));
  }
};

bool says(const CliResult& result, const std::string& text) {
  return result.err.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("a damaged statistics file is called so, with what to do") {
  const Statistics run;
  REQUIRE(run.quantize("a.onnx", {}).exit_code == 0);
  const std::string whole = content_of(run.at("s.json"));
  const std::string other = "{\"schema\": \"lathe.report\"}";
  for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string(), whole + "}"}) {
    run.files.folder.write("s.json", text);
    const CliResult damaged = run.quantize("q.onnx", {});
    check_refused(damaged, 3, {"the statistics file is damaged", "s.json"});
    CHECK(says(damaged, "remove the file"));
    CHECK_FALSE(std::filesystem::exists(run.at("q.onnx")));
  }
  run.files.folder.write("s.json", other);
  check_refused(run.quantize("q.onnx", {}), 3, {"no statistics file", "s.json"});
}

TEST_CASE("statistics of other nodes are refused with the flags that differ") {
  const Statistics run;
  const CliResult taken = run.quantize("a.onnx", {"--exclude", "op:Gemm"});
  INFO(taken.err);
  REQUIRE(taken.exit_code == 0);
  const CliResult more_nodes = run.quantize("q.onnx", {});
  check_refused(more_nodes, 3, {"s.json", "--exclude was op:Gemm, is not given now"});
  CHECK(says(more_nodes, "remove the file"));
  CHECK_FALSE(std::filesystem::exists(run.at("q.onnx")));
  // Fewer nodes need fewer values.
  const CliResult fewer = run.quantize("q.onnx", {"--exclude", "op:Gemm", "--exclude", "op:Add"});
  INFO(fewer.err);
  CHECK(fewer.exit_code == 0);
}

TEST_CASE("data that were replaced are noted, copied data are not") {
  const Statistics run;
  REQUIRE(run.quantize("a.onnx", {}).exit_code == 0);
  const auto with = [&](int seed) {
    const ScratchDirectory folder;
    const std::string data = draw_glyphs(folder, "train", 12, seed, false);
    CHECK(std::filesystem::file_size(folder.path("train.npz")) ==
          std::filesystem::file_size(run.at("train.npz")));
    return run_lathe({"quantize", kGlyphs, "-o", run.at("q.onnx"), "--data", data, "--effort",
                      "fast", "--force", "--statistics", run.at("s.json")});
  };
  const CliResult same = with(kSeed);
  INFO(same.err);
  CHECK(same.exit_code == 0);
  CHECK_FALSE(says(same, "other data"));
  const CliResult other = with(kSeed + 1);
  CHECK(other.exit_code == 0);
  CHECK(says(other, "other data than --data"));
}

}  // namespace lathe

// lathe compile --target c99: files, names, verdicts, and what is refused.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "report_schema.h"
#include "run_lathe.h"
#include "text_model.h"

namespace lathe {
namespace {

struct Quantized {
  ScratchDirectory folder;
  std::string model = folder.path("q.onnx");

  Quantized() {
    REQUIRE(run_lathe({"quantize", kGlyphs, "-o", model, "--data", "random", "--samples", "8",
                       "--effort", "fast", "--profile", "cortex-m4"})
                .exit_code == 0);
  }
  CliResult compile(const std::string& name, const std::vector<std::string>& more = {}) const {
    return run_lathe(joined({"compile", model, "--target", "c99", "--profile", "cortex-m4", "-o",
                             folder.path(name), "--json"},
                            more));
  }
};

TEST_CASE("C code, its header and what it takes") {
  const Quantized q;
  const CliResult made = q.compile("glyphs.c");
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const nlohmann::json report = report_of(made);
  CHECK(schema_errors(report).empty());
  const nlohmann::json& c = report["c99"];
  CHECK(c["prefix"] == "glyphs");
  CHECK(c["arena_bytes"] >= c["arena_lower_bound_bytes"]);
  CHECK(report["fit"]["verdict"] == "fits");
  CHECK(report["fit"]["ram_bytes"].get<int64_t>() > c["arena_bytes"].get<int64_t>());
  CHECK(report["fit"]["flash_bytes"].get<int64_t>() > c["constants_bytes"].get<int64_t>());
  CHECK(report["verification"]["verified"] == true);
  const std::string header = content_of(q.folder.path("glyphs.h"));
  CHECK(header.find("void glyphs_run(void *arena, const float *image, float *logits);") !=
        std::string::npos);
  CHECK(header.find("#define GLYPHS_ARENA_BYTES " + c["arena_bytes"].dump() + "\n") !=
        std::string::npos);
  CHECK(content_of(q.folder.path("glyphs.c")).find("#include \"glyphs.h\"") != std::string::npos);
  // The same bytes again, and nothing is overwritten unasked.
  REQUIRE(q.compile("other/../glyphs2.c").exit_code != 0);
  const std::string first = content_of(q.folder.path("glyphs.c"));
  CHECK(q.compile("glyphs.c").exit_code == 2);
  CHECK(q.compile("glyphs.c", {"--force", "--threads", "1"}).exit_code == 0);
  CHECK(content_of(q.folder.path("glyphs.c")) == first);
  std::filesystem::remove(q.folder.path("glyphs.c"));
  CHECK(q.compile("glyphs.c").exit_code == 2);  // the header is there
}

TEST_CASE("biases are those of the kernels that read them") {
  const Quantized q;
  REQUIRE(q.compile("vectors.c").exit_code == 0);
  CHECK(content_of(q.folder.path("vectors.c")).find("#endif\nstatic const") != std::string::npos);
  // Without the vector unit's kernels their biases would give other sums.
  REQUIRE(q.compile("tflite.c", {"--rounding", "tflite"}).exit_code == 0);
  const std::string source = content_of(q.folder.path("tflite.c"));
  CHECK(source.find("#define TFLITE_ROUNDING") != std::string::npos);
  const size_t first_array = source.find("static const int8_t weights_");
  REQUIRE(first_array != std::string::npos);
  CHECK(source.find("__ARM_FEATURE_MVE", first_array) == std::string::npos);
}

TEST_CASE("weights in a unit of their own") {
  const Quantized q;
  const CliResult made = q.compile("net.c", {"--weights-file"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  CHECK(report_of(made)["verification"]["verified"] == true);
  const std::string source = content_of(q.folder.path("net.c"));
  const std::string weights = content_of(q.folder.path("net_weights.c"));
  CHECK(source.find("extern const int8_t net_weights_") != std::string::npos);
  CHECK(source.find("static const int8_t") == std::string::npos);
  CHECK(weights.find("WEIGHTS_ATTRIBUTE const int8_t net_weights_") != std::string::npos);
  CHECK(weights.size() > 4 * source.size());
  CHECK(q.compile("net.c", {"--weights-file"}).exit_code == 2);  // all three are there
  check_refused(run_lathe({"compile", q.model, "--target", "native", "--weights-file", "-o",
                           q.folder.path("x.lathe")}),
                2, {"--weights-file"});
}

TEST_CASE("names that C keeps for itself, and targets that take no C flags") {
  const Quantized q;
  REQUIRE(q.compile("int.c", {"--verify", "off"}).exit_code == 0);
  CHECK(content_of(q.folder.path("int.h")).find("void v_int_run(") != std::string::npos);
  check_refused(run_lathe({"compile", q.model, "--target", "onnx", "-o", q.folder.path("x.c")}), 2,
                {".c"});
  // Its header would stand before the C library's.
  check_refused(run_lathe({"compile", q.model, "--target", "c99", "-o", q.folder.path("math.c")}), 2,
                {"math.h"});
  check_refused(run_lathe({"compile", q.model, "--target", "c99", "--opset", "13", "-o",
                           q.folder.path("x.c")}),
                2, {"--opset"});
}

TEST_CASE("a prefix, and a limit on the arena that still writes the code") {
  const Quantized q;
  REQUIRE(q.compile("a.c", {"--prefix", "my_net", "--max-ram", "1MiB"}).exit_code == 0);
  CHECK(content_of(q.folder.path("a.h")).find("void my_net_run(") != std::string::npos);
  const CliResult large = run_lathe({"compile", q.model, "--target", "c99", "-o",
                                     q.folder.path("b.c"), "--max-ram", "4KiB"});
  CHECK(large.exit_code == 4);
  CHECK(large.out.find("FAIL --max-ram: the arena takes") != std::string::npos);
  CHECK(large.out.find(" of 4.00 KiB, the least that was found, most of it for ") !=
        std::string::npos);
  CHECK(std::filesystem::exists(q.folder.path("b.c")));
  const std::vector<std::string> other{"compile", q.model, "--target", "c99", "-o",
                                       q.folder.path("c.c")};
  check_refused(run_lathe(joined(other, {"--prefix", "1 net"})), 2, {"--prefix"});
  check_refused(run_lathe(joined(other, {"--max-ram", "many"})), 2, {"--max-ram"});
  check_refused(run_lathe({"compile", q.model, "-o", q.folder.path("c.onnx"), "--max-ram", "1MiB"}),
                2, {"--max-ram"});
}

TEST_CASE("a smaller arena in parts, and two regions") {
  const Quantized q;
  const CliResult whole = q.compile("whole.c");
  REQUIRE(whole.exit_code == 0);
  const int64_t bytes = report_of(whole)["c99"]["arena_bytes"];
  const CliResult parts = q.compile("parts.c", {"--max-ram", std::to_string(bytes * 3 / 4) + "B"});
  INFO(parts.err);
  REQUIRE(parts.exit_code == 0);
  const nlohmann::json c = report_of(parts)["c99"];
  CHECK(c["parts"] >= 2);
  CHECK(c["arena_bytes"] <= bytes * 3 / 4);
  CHECK(c["recomputed_macs"].get<int64_t>() > 0);
  CHECK(report_of(parts)["verification"]["verified"] == true);
  const CliResult two = q.compile("two.c", {"--fast-ram", "4KiB"});
  REQUIRE(two.exit_code == 0);
  CHECK(report_of(two)["c99"]["fast_bytes"] <= 4096);
  CHECK(report_of(two)["c99"]["fast_bytes"] > 1024);
  CHECK(report_of(two)["verification"]["verified"] == true);
  CHECK(content_of(q.folder.path("two.h")).find("void two_run(void *arena, void *fast, ") !=
        std::string::npos);
}

TEST_CASE("source for one processor") {
  const Quantized q;
  REQUIRE(q.compile("net.c").exit_code == 0);
  const std::string all = content_of(q.folder.path("net.c"));
  for (const char* core : {"generic", "m4", "m55"}) {
    CAPTURE(core);
    const CliResult made = q.compile("net.c", {"--core", core, "--force"});
    REQUIRE(made.exit_code == 0);
    CHECK(report_of(made)["verification"]["verified"] == true);
    const std::string source = content_of(q.folder.path("net.c"));
    CHECK(source.size() < all.size());
    CHECK(source.find("#ifdef HAS_MVE") == std::string::npos);
    CHECK((source.find("vmladava") != std::string::npos) == (core == std::string("m55")));
    CHECK((source.find("smlad") != std::string::npos) == (core != std::string("generic")));
  }
  CHECK(q.compile("net.c", {"--core", "m85", "--force"}).exit_code == 2);
}

TEST_CASE("files that C cannot include are refused") {
  const Quantized q;
  check_refused(run_lathe({"compile", q.model, "--target", "c99", "-o",
                           q.folder.path("a\"b.c")}),
                2, {"cannot include"});
}

TEST_CASE("constants that are no numbers, and scales that C has not, are named") {
  const ScratchDirectory folder;
  const auto refused = [&](const std::string& text, const std::vector<std::string>& named) {
    const std::string model = write_model(folder, "bad.onnx", text);
    check_refused(run_lathe({"compile", model, "--target", "c99", "--verify", "off", "--force", "-o",
                             folder.path("bad.c")}),
                  3, named);
  };
  refused("net (float[1,2] x) => (float[1,2] y)\n<float[2,2] a = {1, 1, 2, 3}, float[2,2] b = {1, 0, 1, "
          "1}>\n{ huge = Div(a, b)\n y = MatMul(x, huge) }",
          {"infinite", "huge"});
  refused("net (float[4] x) => (float[4] y)\n<float s = {0.1}, uint16 z = {7}>\n"
          "{ q = QuantizeLinear(x, s, z)\n y = DequantizeLinear(q, s, z) }",
          {"8-bit"});
  // Roots of negative numbers are no numbers: not an error of lathe's own.
  const std::string root = write_model(
      folder, "root.onnx",
      "net (int8[1,64] x) => (int8[1,64] y)\n<float s = {0.1}, int8 z = {7}>\n"
      "{ d = DequantizeLinear(x, s, z)\n r = Sqrt(d)\n y = QuantizeLinear(r, s, z) }");
  const int code =
      run_lathe({"compile", root, "--target", "c99", "-o", folder.path("root.c")}).exit_code;
  CHECK((code == 0 || code == 4));
}

TEST_CASE("what has no C code is named with its node") {
  const ScratchDirectory folder;
  const std::string model = write_model(folder, "scatter.onnx", R"(
net (float[4] x, int64[2,1] at, float[2] u) => (float[4] y) { y = ScatterND(x, at, u) })");
  check_refused(run_lathe({"compile", model, "--target", "c99", "-o", folder.path("a.c")}), 3,
                {"ScatterND"});
  const std::string open =
      write_model(folder, "open.onnx", "net (float[1,n] x) => (float[1,n] y) { y = Relu(x) }");
  check_refused(run_lathe({"compile", open, "--target", "c99", "-o", folder.path("a.c")}), 3,
                {"input x"});
  CHECK(run_lathe({"compile", open, "--target", "c99", "-o", folder.path("a.c"), "--input-shape",
                   "x=1x6"})
            .exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(folder.path("b.c")));
}

}  // namespace
}  // namespace lathe

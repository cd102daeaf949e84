// lathe quantize --max-drop and --eval-command.
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "pruning.h"
#include "report_schema.h"
#include "run_lathe.h"
#include "running_lathe.h"

namespace lathe {

namespace {

using nlohmann::json;

struct Target {
  PruneFiles files;
  std::string data = files.draw("train", 24, false);
  std::string eval = files.draw("test", 40);

  std::string at(const std::string& name) const { return files.at(name); }
  CliResult quantize(const std::string& out, const std::vector<std::string>& more) const {
    return run_lathe(joined({"quantize", kGlyphs, "-o", at(out), "--data", data,
                             "--weight-granularity", "tensor", "--effort", "fast"},
                            more));
  }
  json report(const std::string& name) const {
    const json report = json::parse(content_of(at(name)), nullptr, false);
    REQUIRE(report.is_object());
    CHECK(schema_errors(report) == "");
    return report;
  }
  bool has_temporaries() const {
    for (const std::string& name : listing(files.folder.path()))
      if (name.find(".lathe-") != std::string::npos) return true;
    return false;
  }
};

// The mean squared error of the fully quantized model, as a --max-drop.
double full_error(const Target& target) {
  const CliResult result = target.quantize(
      "full.onnx", {"--eval", target.eval, "--metric", "mse", "--report", target.at("full.json")});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return target.report("full.json").at("quality").at(0).at("after").get<double>();
}

std::string percent(double fraction) { return std::to_string(100 * fraction) + "%"; }

}  // namespace

TEST_CASE("the fewest layers go back to float until --max-drop holds") {
  const Target target;
  const double full = full_error(target);
  const std::vector<std::string> flags{"--eval",       target.eval,        "--metric",
                                       "mse",          "--max-drop",       percent(full / 3),
                                       "--statistics", target.at("s.json")};
  const CliResult result =
      target.quantize("a.onnx", joined(flags, {"--report", target.at("a.json")}));
  INFO(result.out, result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("layers in float after") != std::string::npos);
  const json report = target.report("a.json");
  const json& mixed = report.at("quantize").at("mixed_precision");
  CHECK(mixed.at("held") == true);
  const size_t left = mixed.at("left_in_float").size();
  CHECK(left >= 1);
  CHECK(left < mixed.at("candidates").get<size_t>());
  CHECK(mixed.at("evaluations").at(0).at("left_in_float") == 0);
  CHECK(report.at("quality").at(0).at("after").get<double>() <= full / 3);
  const json& gate = report.at("gates").at(0);
  CHECK(gate.at("verdict") == "pass");
  CHECK(gate.at("observed").get<double>() ==
        doctest::Approx(report.at("quality").at(0).at("drop").get<double>()));
  CHECK(gate.at("ci95").at(0).get<double>() <= gate.at("observed").get<double>());
  CHECK(gate.at("ci95").at(1).get<double>() >= gate.at("observed").get<double>());
  // Every layer that was given back is named with the reason.
  size_t named = 0;
  for (const json& row : report.at("plan").at("exceptions"))
    named += row.at("reason") == "given back to float for --max-drop" ? 1 : 0;
  CHECK(named == left);
  const json& sensitivity = report.at("quantize").at("sensitivity");
  double parts = 0;
  for (const json& row : sensitivity.at("nodes")) parts += row.at("part").get<double>();
  CHECK(parts == doctest::Approx(1.0));
  const std::string bytes = content_of(target.at("a.onnx"));

  SUBCASE("the search goes on from what FILE.search.json holds") {
    const CliResult again =
        target.quantize("b.onnx", joined(flags, {"--report", target.at("b.json")}));
    INFO(again.err);
    CHECK(again.exit_code == 0);
    CHECK((content_of(target.at("b.onnx")) == bytes));
    const json reused = target.report("b.json").at("quantize").at("mixed_precision");
    CHECK(reused.at("evaluations_reused").get<size_t>() + 1 == mixed.at("evaluations").size());
    CHECK(reused.at("evaluations") == mixed.at("evaluations"));
  }
  SUBCASE("another search does not take these results") {
    const CliResult other = target.quantize(
        "b.onnx", {"--eval", target.eval, "--metric", "mae", "--max-drop", "0.0001%",
                   "--statistics", target.at("s.json"), "--report", target.at("b.json")});
    CHECK(other.exit_code == 4);
    CHECK(target
              .report("b.json")

              .at("quantize")
              .at("mixed_precision")
              .at("evaluations_reused") == 0);
  }
  SUBCASE("a foreign file is not overwritten") {
    std::ofstream(target.at("s.json.search.json")) << "{\"mine\": 1}";
    check_refused(target.quantize("b.onnx", flags), 3, {"s.json.search.json"});
    CHECK(content_of(target.at("s.json.search.json")) == "{\"mine\": 1}");
  }
  SUBCASE("the report's recipe gives the same bytes") {
    const CliResult recipe = run_lathe(
        {"quantize", kGlyphs, "-o", target.at("b.onnx"), "--config", target.at("a.json")});
    INFO(recipe.err);
    CHECK(recipe.exit_code == 0);
    CHECK((content_of(target.at("b.onnx")) == bytes));
    std::filesystem::remove(target.at("s.json"));
    std::filesystem::remove(target.at("s.json.search.json"));
    const CliResult fresh = run_lathe({"quantize", kGlyphs, "-o", target.at("c.onnx"), "--config",
                                       target.at("a.json"), "--threads", "1"});
    CHECK(fresh.exit_code == 0);
    CHECK((content_of(target.at("c.onnx")) == bytes));
  }
}

TEST_CASE("a target out of reach: exit 4, the best is written, the layers are named") {
  const Target target;
  const CliResult result =
      target.quantize("q.onnx", {"--eval", target.eval, "--metric", "mse", "--max-drop", "0%",
                                 "--report", target.at("r.json")});
  INFO(result.out, result.err);
  CHECK(result.exit_code == 4);
  CHECK(result.out.find("FAIL --max-drop 0% missed") != std::string::npos);
  CHECK(result.out.find("out of reach") != std::string::npos);
  CHECK(result.out.find("% of the error; alone weights") != std::string::npos);
  const json report = target.report("r.json");
  CHECK(report.at("verdict") == "fail");
  CHECK(report.at("gates").at(0).at("verdict") == "fail");
  CHECK(report.at("quantize").at("mixed_precision").at("held") == false);
  CHECK(run_lathe({"inspect", target.at("q.onnx")}).exit_code == 0);
  // The best is better than all in integers.
  CHECK(report.at("quality").at(0).at("after").get<double>() < full_error(target));
}

TEST_CASE("--max-drop with labels tells the interval") {
  const Target target;
  const CliResult result = target.quantize(
      "q.onnx", {"--eval", target.eval, "--max-drop", "20%", "--report", target.at("r.json")});
  INFO(result.out, result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("--max-drop: top1 drop") != std::string::npos);
  CHECK(result.out.find("95 %") != std::string::npos);
  const json gate = target.report("r.json").at("gates").at(0);
  CHECK(gate.at("unit") == "fraction");
  CHECK(gate.at("limit") == doctest::Approx(0.2));
}

TEST_CASE("--eval-command is given the model's path, and its last number is the metric") {
  const Target target;
  const std::string log = target.at("log");
  // The float model is the file itself.
  const std::string command =
      write_script(target.files.folder, "metric",
                   "echo \"$#|$1|$2\" >> '" + log +
                       "'\ntest -s \"$2\" || exit 9\n"
                       "case \"$2\" in *glyphs.onnx) echo 'top1: 0.91, of 40';;\n"
                       "*) echo warming 1; echo 'mAP@0.5 = 0.874;';; esac") +
      " 'an argument'";
  const auto scored = [&](const std::string& more) {
    std::filesystem::remove(log);
    return target.quantize(
        "q.onnx", {"--eval-command", command + more, "--force", "--report", target.at("r.json")});
  };
  const CliResult result = scored("");
  INFO(result.out, result.err);
  CHECK(result.exit_code == 0);
  const json row = target.report("r.json").at("quality").at(0);
  CHECK(row.at("metric") == "eval_command");
  CHECK(row.at("before") == 40);
  CHECK(row.at("after") == 0.874);
  // Outside of 0..1 the drop is relative.
  CHECK(row.at("drop").get<double>() == doctest::Approx((40 - 0.874) / 40));
  const std::string calls = content_of(log);
  CHECK(calls.find("2|an argument|") == 0);
  CHECK(calls.find("/glyphs.onnx\n") != std::string::npos);
  CHECK(calls.find("/.lathe-") != std::string::npos);
  CHECK_FALSE(target.has_temporaries());
}

TEST_CASE("--max-drop by a command of the user") {
  const Target target;
  // More is better: a model of more bytes scores more, up to the float one's.
  const std::string command =
      write_script(target.files.folder, "size",
                   "size=$(wc -c < \"$1\")\nawk \"BEGIN { print 0.5 + $size / 10000000 }\"");
  const CliResult result = target.quantize(
      "q.onnx", {"--eval-command", command, "--max-drop", "0.2%", "--report", target.at("r.json")});
  INFO(result.out, result.err);
  const json report = target.report("r.json");
  const double allowed = 0.002;
  const double drop = report.at("quality").at(0).at("drop").get<double>();
  CHECK(result.exit_code == (drop <= allowed ? 0 : 4));
  CHECK(report.at("quality").at(0).at("before").get<double>() -
            report.at("quality").at(0).at("after").get<double>() ==
        doctest::Approx(drop));
  CHECK(report.at("quantize").contains("mixed_precision"));
  CHECK_FALSE(target.has_temporaries());
}

TEST_CASE("a command that fails during the search costs neither the model nor the code") {
  const Target target;
  const std::string command = write_script(
      target.files.folder, "third",
      "echo x >> '" + target.at("calls") + "'\ncount=$(wc -l < '" + target.at("calls") +
          "')\n[ $count -ge 4 ] && echo 'disk full' >&2 && exit 5\n"
          "awk \"BEGIN { print $count == 1 ? 0.9 : 0.5 + $count / 100 }\"");
  const CliResult result = target.quantize(
      "q.onnx", {"--eval-command", command, "--max-drop", "1%", "--report", target.at("r.json")});
  CHECK(result.exit_code == 3);
  CHECK(result.err.find("code 5: disk full; the best model so far was written") !=
        std::string::npos);
  CHECK(run_lathe({"inspect", target.at("q.onnx")}).exit_code == 0);
  CHECK(target.report("r.json").at("exit_code") == 3);
}

TEST_CASE("a path that a shell would read differently arrives whole") {
  const Target target;
  const std::string folder = target.at("a 'b' $(touch gone) \"c\"");
  std::filesystem::create_directory(folder);
  const CliResult result =
      run_lathe({"quantize", kGlyphs, "-o", folder + "/q.onnx", "--data", "random", "--samples",
                 "2", "--effort", "fast", "--eval-command",
                 write_script(target.files.folder, "there", "test -s \"$1\" && echo 1")});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_FALSE(std::filesystem::exists("gone"));
  CHECK(listing(folder).size() == 2);
}

TEST_CASE("a command that fails, or tells no number, is exit 3 and writes nothing") {
  const Target target;
  struct Case {
    std::string body;
    std::string said;
  };
  for (const Case& one : std::vector<Case>{
           {"echo first >&2; echo 'no such metric' >&2; exit 7", "code 7: no such metric"},
           {"echo top1 v2.0.1 none", "no number"},
           {"echo 0.5 nan", "not finite"},
           {"kill -SEGV $$", "code 139"},
           {"true", "no number"}}) {
    CAPTURE(one.body);
    const CliResult result = target.quantize(
        "q.onnx", {"--eval-command", write_script(target.files.folder, "fails", one.body)});
    check_refused(result, 3, {"--eval-command", one.said});
    CHECK_FALSE(std::filesystem::exists(target.at("q.onnx")));
    CHECK_FALSE(target.has_temporaries());
  }
  check_refused(target.quantize("q.onnx", {"--eval-command", "no-such-program-at-all"}), 3,
                {"code 127"});
}

TEST_CASE("contradictory flags of the target are usage errors") {
  const Target target;
  check_refused(target.quantize("q.onnx", {"--max-drop", "1%"}), 2, {"--eval"});
  check_refused(target.quantize("q.onnx", {"--max-drop", "5", "--eval", target.eval}), 2,
                {"--max-drop"});
  check_refused(target.quantize("q.onnx", {"--max-drop", "-1%", "--eval", target.eval}), 2,
                {"--max-drop"});
  check_refused(
      target.quantize("q.onnx", {"--max-drop", "1%", "--eval", target.eval, "--metric", "sqnr"}), 2,
      {"sqnr"});
  check_refused(target.quantize("q.onnx", {"--eval-command", "true", "--metric", "top1"}), 2,
                {"--metric"});
  CHECK_FALSE(std::filesystem::exists(target.at("q.onnx")));
}

TEST_CASE("an interrupt during the search writes the best so far and ends with 130") {
  const Target target;
  const std::string ready = target.at("ready");
  // The float model, all in integers and one more are judged; then it hangs.
  const std::string command =
      write_script(target.files.folder, "slow",
                   "echo x >> '" + target.at("calls") + "'\ncount=$(wc -l < '" +
                       target.at("calls") + "')\nif [ $count -ge 4 ]; then : > '" + ready +
                       "'; sleep 60; fi\n"
                       "awk \"BEGIN { print $count == 1 ? 0.9 : 0.5 + $count / 100 }\"");
  for (const int signal : {SIGINT, SIGTERM}) {
    CAPTURE(signal);
    std::filesystem::remove(target.at("calls"));
    std::filesystem::remove(ready);
    RunningLathe lathe({"quantize", kGlyphs, "-o", target.at("q.onnx"), "--data", target.data,
                        "--effort", "fast", "--eval-command", command, "--max-drop", "1%",
                        "--force"});
    REQUIRE(lathe.wait_for(ready));
    CHECK_FALSE(std::filesystem::exists(target.at("q.onnx")));
    lathe.send(signal);
    CHECK(lathe.finish() == 128 + signal);
    // One layer in float was better than none.
    const CliResult inspected = run_lathe({"inspect", target.at("q.onnx")});
    CHECK(inspected.exit_code == 0);
    const json manifest = json::parse(content_of(target.at("q.onnx.manifest.json")));
    CHECK(manifest.at("verified") == false);
    CHECK_FALSE(target.has_temporaries());
    std::filesystem::remove(target.at("q.onnx"));
    std::filesystem::remove(target.at("q.onnx.manifest.json"));
  }
}

TEST_CASE("statistics of another network are refused, other data are noted") {
  const Target target;
  const std::string statistics = target.at("s.json");
  REQUIRE(target.quantize("a.onnx", {"--statistics", statistics}).exit_code == 0);
  const CliResult same = target.quantize("b.onnx", {"--statistics", statistics});
  CHECK(same.exit_code == 0);
  CHECK(same.err.find("other data") == std::string::npos);
  CHECK((content_of(target.at("b.onnx")) == content_of(target.at("a.onnx"))));
  const std::string kept = content_of(statistics);

  const auto with = [&](const std::string& model, const std::string& data,
                        const std::vector<std::string>& more) {
    return run_lathe(joined({"quantize", model, "-o", target.at("q.onnx"), "--data", data,
                             "--effort", "fast", "--force", "--statistics", statistics},
                            more));
  };
  // One weight is another one.
  const std::string changed = with_element(kGlyphs, stored_weights(kGlyphs).begin()->first, 0.375f);
  const std::string other = target.files.folder.write("other.onnx", changed);
  check_refused(with(other, target.data, {}), 3, {"s.json", "another network"});
  const CliResult noted = with(kGlyphs, target.files.draw("more", 12, false), {});
  CHECK(noted.exit_code == 0);
  CHECK(noted.err.find("other data than --data") != std::string::npos);
  const CliResult fewer = with(kGlyphs, target.data, {"--samples", "5"});
  CHECK(fewer.exit_code == 0);
  CHECK(fewer.err.find("more samples than --samples") != std::string::npos);
  CHECK(content_of(statistics) == kept);
}

}  // namespace lathe

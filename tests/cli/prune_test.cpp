// lathe prune as a user meets it, on the repository's own network and pictures.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "pruning.h"
#include "report_schema.h"

namespace lathe {
namespace {

using nlohmann::json;

int64_t sum_over(const json& rows, const char* key) {
  int64_t sum = 0;
  for (const json& row : rows) sum += row.at(key).get<int64_t>();
  return sum;
}

int64_t kept_channels(const json& report) {
  return sum_over(report.at("plan").at("groups"), "kept");
}

double macs_left(const json& report) {
  return report["sizes"]["after"]["macs"].get<double>() /
         report["sizes"]["before"]["macs"].get<double>();
}

}  // namespace

TEST_CASE("prune removes half of the channels, and says what that changed") {
  const PruneFiles files;
  const json report = files.pruned(
      "p.onnx", {"--structure", "channel", "--sparsity", "50%", "--eval", files.draw("judge", 60)});
  const json& plan = report["plan"];
  CHECK(plan["structure"] == "channel");
  CHECK(plan["target"]["kind"] == "sparsity");
  CHECK(plan["target"]["share"] == 0.5);
  REQUIRE(plan["groups"].size() == 9);
  for (const json& group : plan["groups"]) {
    CAPTURE(group.dump());
    CHECK(group["kept"].get<int64_t>() + group["removed"].get<int64_t>() == group["size"]);
    CHECK(group["kept"] > 0);
    CHECK(group["description"].get<std::string>().find("channels") != std::string::npos);
    if (!group["prunable"].get<bool>()) {
      CHECK(group["removed"] == 0);
      CHECK(group["reason"].get<std::string>().find("logits") != std::string::npos);
      continue;
    }
    CHECK(group["removed"] == group["size"].get<int64_t>() / 2);
    const auto channels = group["kept_channels"].get<std::vector<int64_t>>();
    CHECK(channels.size() == group["kept"].get<size_t>());
    CHECK(std::is_sorted(channels.begin(), channels.end()));
    CHECK(std::adjacent_find(channels.begin(), channels.end()) == channels.end());
    CHECK(channels.back() < group["size"].get<int64_t>());
  }
  CHECK(plan["removed"] == sum_over(plan["groups"], "removed"));
  CHECK(plan["channels"] == 600);
  CHECK(plan["removed"] == 300);
  CHECK(plan["blocked"] == 1);

  const json& sizes = report["sizes"];
  for (const char* measure :
       {"params", "macs", "file_bytes", "compressed_bytes", "weights_bytes", "arena_bytes"}) {
    CAPTURE(measure);
    CHECK(sizes["after"][measure].get<double>() < 0.6 * sizes["before"][measure].get<double>());
  }
  CHECK(sizes["after"]["file_bytes"] == std::filesystem::file_size(files.at("p.onnx")));
  CHECK(sizes["before"]["file_bytes"] == std::filesystem::file_size(kGlyphs));
  CHECK(report["model_out"]["params"] == sizes["after"]["params"]);

  const json& stages = report["stages"];
  REQUIRE(stages.size() == 2);
  CHECK(stages[0]["stage"] == "dense");
  CHECK(stages[1]["stage"] == "removed");
  CHECK(stages[1]["metric"] == "top1");
  CHECK(stages[1]["samples"] == 60);
  CHECK(stages[0]["value"] > 0.9);
  CHECK(stages[1]["drop"].get<double>() ==
        doctest::Approx(stages[0]["value"].get<double>() - stages[1]["value"].get<double>()));
  CHECK(report["quality"][0]["after"] == stages[1]["value"]);

  // The file says of itself what the report says of it.
  const std::map<std::string, StoredWeight> weights = stored_weights(files.at("p.onnx"));
  CHECK(weights.at("/classifier/Gemm").dims == std::vector<int64_t>{36, 64});
  CHECK(weights.at("/features/features.0/features.0.0/Conv").dims[0] == 8);
  const json manifest = json::parse(content_of(files.at("p.onnx.manifest.json")));
  CHECK(manifest["verified"] == true);
  CHECK(manifest["pruned"].get<std::string>().find("300 of 600") != std::string::npos);
  const CliResult shown = run_lathe({"inspect", files.at("p.onnx"), "--json"});
  CHECK(report_of(shown)["manifest"]["matches_model"] == true);
}

TEST_CASE("prune times both networks where channels went, and only there") {
  const PruneFiles files;
  const CliResult channels = run_lathe({"prune", kGlyphs, "-o", files.at("p.onnx"), "--structure",
                                        "channel", "--sparsity", "50%", "--json"});
  REQUIRE(channels.exit_code == 0);
  const json report = report_of(channels);
  CHECK(schema_errors(report) == "");
  REQUIRE(report["latency"].size() > 0);
  for (const json& row : report["latency"]) {
    CAPTURE(row.dump());
    CHECK_FALSE(row["engine"].get<std::string>().empty());
    CHECK(row["before_ns"] > 0);
    CHECK(row["after_ns"] > 0);
    CHECK(row["speedup"] > 0);
  }
  const CliResult elements =
      run_lathe({"prune", kGlyphs, "-o", files.at("e.onnx"), "--sparsity", "50%", "--json"});
  REQUIRE(elements.exit_code == 0);
  const json masked = report_of(elements);
  CHECK_FALSE(masked.contains("latency"));
  CHECK(masked["notes"].dump().find("size only") != std::string::npos);
}

TEST_CASE("a dry run prints the groups in words and writes nothing") {
  const PruneFiles files;
  const CliResult result =
      files.prune("p.onnx", {kGlyphs, "--structure", "channel", "--sparsity", "50%", "--dry-run"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("300 of 600 channels") != std::string::npos);
  CHECK(result.out.find("features.0.0/Conv: keep 8 of 16") != std::string::npos);
  CHECK(result.out.find("through /features/features.4/Add; read by ") != std::string::npos);
  CHECK(result.out.find("keep 36 of 36 (output logits of the model)") != std::string::npos);
  CHECK(result.out.find("no model was written") != std::string::npos);
  CHECK(listing(files.folder.path()).empty());
  // The plan needs no file to write to.
  const CliResult bare = run_lathe({"prune", kGlyphs, "--structure", "2:4", "--dry-run", "--json"});
  REQUIRE(bare.exit_code == 0);
  const json report = report_of(bare);
  CHECK(schema_errors(report) == "");
  CHECK(report["plan"]["weights"].size() == 15);
}

TEST_CASE("prune gives the same bytes for any number of threads, repaired too") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 64, false);
  const std::vector<std::vector<std::string>> ways{
      {"--structure", "channel", "--sparsity", "40%", "--data", data},
      {"--structure", "channel", "--sparsity", "40%", "--data", data, "--criterion", "activation",
       "--scope", "global"},
      {"--structure", "element", "--sparsity", "60%", "--data", data}};
  for (std::vector<std::string> words : ways) {
    CAPTURE(words[1]);
    words.insert(words.end(), {"--threads", "1"});
    files.pruned("one.onnx", words);
    words.back() = "2";
    files.pruned("two.onnx", words);
    CHECK((content_of(files.at("one.onnx")) == content_of(files.at("two.onnx"))));
  }
}

TEST_CASE("repair comes closer to the dense network, and says how in every layer") {
  const PruneFiles files;
  const json report =
      files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "30%", "--data",
                              files.draw("tune", 300, false), "--eval", files.draw("judge", 100)});
  REQUIRE(report["stages"].size() == 3);
  CHECK(report["stages"][2]["stage"] == "repaired");
  CHECK(report["stages"][2]["value"].get<double>() >
        report["stages"][1]["value"].get<double>() + 0.3);
  int better = 0;
  for (const json& row : report["repair"]) {
    CHECK(row["rows"] > 0);
    if (row["error_after"] < row["error_before"]) ++better;
  }
  CHECK(better > 7);
  CHECK(report["warnings"].dump().find("prune.few_samples") != std::string::npos);
  const json plain =
      files.pruned("q.onnx", {"--structure", "channel", "--sparsity", "30%", "--repair", "off",
                              "--data", files.at("tune.json"), "--eval", files.at("judge.json")});
  CHECK(plain["stages"].size() == 2);
  CHECK(plain["stages"][1]["value"] == report["stages"][1]["value"]);
  CHECK_FALSE(plain.contains("repair"));
}

TEST_CASE("prune again at the same sparsity changes nothing, at a higher one it goes on") {
  const PruneFiles files;
  for (const char* scope : {"layer", "global"}) {
    CAPTURE(scope);
    const json first =
        files.pruned("a.onnx", {"--structure", "channel", "--sparsity", "30%", "--scope", scope});
    const int64_t left = kept_channels(first);
    const auto again = [&](const char* sparsity, const char* out) {
      const CliResult result =
          files.prune(out, {files.at("a.onnx"), "--structure", "channel", "--sparsity", sparsity,
                            "--scope", scope, "--json", "--force"});
      INFO(result.err);
      REQUIRE(result.exit_code == 0);
      return report_of(result);
    };
    const json same = again("30%", "b.onnx");
    CHECK(same["plan"]["removed"] == 0);
    CHECK(kept_channels(same) == left);
    CHECK((content_of(files.at("a.onnx")) == content_of(files.at("b.onnx"))));
    const json direct =
        files.pruned("c.onnx", {"--structure", "channel", "--sparsity", "50%", "--scope", scope});
    CHECK(kept_channels(again("50%", "d.onnx")) == kept_channels(direct));
  }
}

TEST_CASE("--round-to keeps multiples, auto those of the profile's vectors") {
  const PruneFiles files;
  const auto kept = [&](const std::string& round, const char* profile) {
    return files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "30%", "--round-to",
                                   round, "--profile", profile})["plan"]["groups"];
  };
  for (const json& group : kept("4", "x86-64-vnni")) CHECK(group["kept"].get<int>() % 4 == 0);
  for (const json& group : kept("auto", "x86-64-vnni")) {
    CAPTURE(group.dump());
    if (group["prunable"] == true && group["size"] >= 64) CHECK(group["kept"].get<int>() % 16 == 0);
  }
  // Sixteen lanes are too many for a layer of 24.
  CHECK(kept("auto", "x86-64-vnni")[1]["kept"] == 17);
  const CliResult bad = files.prune(
      "q.onnx", {kGlyphs, "--structure", "channel", "--sparsity", "30%", "--round-to", "0"});
  check_refused(bad, 2, {"--round-to"});
  check_refused(files.prune("q.onnx", {kGlyphs, "--structure", "channel", "--sparsity", "30%",
                                       "--round-to", "many"}),
                2, {"--round-to"});
}

TEST_CASE("--include and --exclude choose the nodes") {
  const PruneFiles files;
  const std::string last = "/features/features.8/features.8.0/Conv";
  const json only =
      files.pruned("a.onnx", {"--structure", "channel", "--sparsity", "50%", "--include", last});
  const json rest =
      files.pruned("b.onnx", {"--structure", "channel", "--sparsity", "50%", "--exclude", last});
  for (const json& group : only["plan"]["groups"])
    CHECK((group["removed"] > 0) == (group["group"] == last));
  CHECK(only["plan"]["removed"] == 64);
  CHECK(rest["plan"]["removed"] == 300 - 64);
  const json convolutions = files.pruned("c.onnx", {"--sparsity", "50%", "--include", "op:Conv"});
  for (const json& row : convolutions["plan"]["weights"])
    CHECK((row["zeros"].get<int64_t>() * 2 == row["elements"].get<int64_t>()) ==
          (row["node"] != "/classifier/Gemm"));
  for (const char* flag : {"--include", "--exclude"})
    for (const char* structure : {"channel", "element"})
      check_refused(files.prune("d.onnx", {kGlyphs, "--structure", structure, "--sparsity", "50%",
                                           flag, "*featurez*"}),
                    2, {"featurez", flag});
  CHECK_FALSE(std::filesystem::exists(files.at("d.onnx")));
}

TEST_CASE("a budget is met, and no more than one channel's worth below it") {
  const PruneFiles files;
  for (const char* scope : {"layer", "global"}) {
    for (const char* metric : {"macs", "params", "bytes"}) {
      CAPTURE(scope);
      CAPTURE(metric);
      const json report =
          files.pruned("p.onnx", {"--budget", std::string(metric) + "=50%", "--scope", scope});
      CHECK(report["plan"]["structure"] == "channel");
      CHECK(report["plan"]["target"]["metric"] == metric);
      const double share = report["plan"]["cost_share"];
      CHECK(share <= 0.5);
      // One more channel would cost less than three points.
      CHECK(share > 0.47);
      const std::string measure = metric == std::string("bytes") ? "weights_bytes" : metric;
      CHECK(report["sizes"]["after"][measure].get<double>() /
                report["sizes"]["before"][measure].get<double>() ==
            doctest::Approx(share).epsilon(0.02));
    }
  }
  const json all = files.pruned("all.onnx", {"--budget", "macs=100%"});
  CHECK(all["plan"]["removed"] == 0);
  CHECK(macs_left(all) == 1.0);
}

TEST_CASE("a budget out of reach ends with 4 and names what can be reached") {
  const PruneFiles files;
  const CliResult result = files.prune("p.onnx", {kGlyphs, "--budget", "macs=0.1%"});
  check_refused(result, 4, {"--budget", "0.1 %", "0.176 % is the least"});
  CHECK(listing(files.folder.path()).empty());
  const CliResult held =
      files.prune("p.onnx", {kGlyphs, "--budget", "params=30%", "--include", "*features.8.0*"});
  check_refused(held, 4, {"--budget", "30 %", "is the least"});
}

TEST_CASE("--max-drop is a gate beside a sparsity, and a search without one") {
  const PruneFiles files;
  const std::string judge = files.draw("judge", 40);
  const CliResult missed =
      files.prune("p.onnx", {kGlyphs, "--structure", "channel", "--sparsity", "50%", "--eval",
                             judge, "--max-drop", "1%", "--report", files.at("r.json")});
  CHECK(missed.exit_code == 4);
  CHECK(missed.out.find("FAIL --max-drop 1%") != std::string::npos);
  CHECK(std::filesystem::exists(files.at("p.onnx")));
  const json gate = json::parse(content_of(files.at("r.json")));
  CHECK(schema_errors(gate) == "");
  CHECK(gate["verdict"] == "fail");
  CHECK(gate["exit_code"] == 4);

  const json passed =
      files.pruned("q.onnx", {"--sparsity", "5%", "--eval", judge, "--max-drop", "50%"});
  CHECK(passed["verdict"] == "pass");

  const json found = files.pruned("s.onnx", {"--eval", judge, "--max-drop", "15%"});
  CHECK(found["plan"]["structure"] == "channel");
  CHECK(found["plan"]["target"]["kind"] == "max-drop");
  CHECK(found["plan"]["removed"] > 0);
  CHECK(found["stages"].back()["drop"] <= 0.15);
}

TEST_CASE("every criterion chooses as many channels, not the same ones") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 60);
  std::map<std::string, json> chosen;
  for (const std::string criterion :
       {"l1", "l2", "fpgm", "bn-scale", "activation", "taylor", "random"}) {
    CAPTURE(criterion);
    const json report =
        files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "50%", "--criterion",
                                criterion, "--data", data, "--repair", "off"});
    CHECK(report["plan"]["criterion"] == criterion);
    CHECK(report["plan"]["removed"] == 300);
    json& channels = chosen[criterion];
    for (const json& group : report["plan"]["groups"])
      if (group["prunable"] == true) channels.push_back(group["kept_channels"]);
    for (const auto& [other, theirs] : chosen)
      if (other != criterion) CHECK_FALSE(theirs == channels);
  }
  const json seeded = files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "50%",
                                              "--criterion", "random", "--seed", "1"});
  CHECK_FALSE(seeded["plan"]["groups"][0]["kept_channels"] == chosen["random"][0]);

  check_refused(
      files.prune("q.onnx", {kGlyphs, "--structure", "channel", "--sparsity", "50%", "--criterion",
                             "taylor", "--data", files.draw("unlabelled", 20, false)}),
      2, {"taylor", "labels"});
}

TEST_CASE("--sensitivity prunes every group by itself") {
  const PruneFiles files;
  const json report = files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "25%",
                                              "--sensitivity", "--eval", files.draw("judge", 30)});
  const json& section = report["sensitivity"];
  CHECK(section["metric"] == "top1");
  CHECK(section["rows"].size() == 8 * 3);
  for (const json& row : section["rows"]) {
    CHECK(row["kept"].get<int>() < row["size"].get<int>());
    CHECK(row["value"].get<double>() <= 1.0);
  }
}

TEST_CASE("a report's recipe repeats the pruning to the same bytes") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 80);
  const json report =
      files.pruned("a.onnx", {"--budget", "macs=60%", "--scope", "global", "--criterion", "taylor",
                              "--data", data, "--exclude", "*features.0.0*", "--seed", "3",
                              "--report", files.at("r.json")});
  CHECK(json::parse(content_of(files.at("r.json")))["recipe"] == report["recipe"]);
  files.pruned("b.onnx", {"--config", files.at("r.json")});
  CHECK((content_of(files.at("a.onnx")) == content_of(files.at("b.onnx"))));
}

TEST_CASE("prune writes its report as a page for browsers too") {
  const PruneFiles files;
  files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "25%", "--sensitivity", "--eval",
                          files.draw("judge", 20), "--html", files.at("p.html")});
  const std::string page = content_of(files.at("p.html"));
  CHECK(page.rfind("<!DOCTYPE html>", 0) == 0);
  CHECK(page.find("features.8.0/Conv") != std::string::npos);
  CHECK(page.find("</html>") != std::string::npos);
}

}  // namespace lathe

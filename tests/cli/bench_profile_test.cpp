// lathe bench --profile-ops and --trace, and what a case tells of memory and sensors.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "report_schema.h"
#include "run_lathe.h"

namespace lathe {
namespace {

using nlohmann::json;

std::vector<std::string> twenty_runs(const std::vector<std::string>& more) {
  return joined({"bench", kGlyphs, "--iterations", "20", "--warmup", "10", "--max-time", "2s",
                 "--threads", "1"},
                more);
}

json passed(const CliResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = report_of(result);
  CHECK(schema_errors(report) == "");
  return report;
}

// Node types of a model, as inspect counts them.
std::map<std::string, int64_t> types_of(const std::string& model) {
  const CliResult result = run_lathe({"inspect", model, "--json"});
  REQUIRE(result.exit_code == 0);
  return report_of(result)["model"]["ops"].get<std::map<std::string, int64_t>>();
}

std::string quantized(const ScratchDirectory& folder) {
  std::string file = folder.path("int8.onnx");
  const CliResult result =
      run_lathe({"quantize", kGlyphs, "--data", "random", "--samples", "4", "-o", file});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return file;
}

void check_profile(const json& profile) {
  REQUIRE(profile.is_object());
  CHECK(profile["overhead_ratio"] > 0);
  CHECK(profile["plain_ns"] > 0);
  CHECK(profile["runs"] >= 3);
  double shares = profile["unattributed_share"];
  for (const json& op : profile["ops"]) {
    CAPTURE(op.dump());
    CHECK(op["calls"] == profile["runs"]);
    CHECK(op["median_ns"] >= 0);
    CHECK(op["bytes"] > 0);
    const std::string kind = op["bottleneck"]["class"];
    CHECK(std::set<std::string>{"compute", "memory", "overhead", "unknown"}.contains(kind));
    shares += op["share"].get<double>();
  }
  CHECK(shares == doctest::Approx(1).epsilon(1e-6));
}

struct Span {
  double start;
  double end;
};

// Events of a thread either lie inside of each other or apart.
void check_nesting(std::vector<Span> spans) {
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.start != b.start ? a.start < b.start : a.end > b.end;
  });
  std::vector<Span> open;
  size_t crossing = 0;
  for (const Span& span : spans) {
    while (!open.empty() && open.back().end <= span.start + 1e-6) open.pop_back();
    if (!open.empty() && span.end > open.back().end + 1e-6) ++crossing;
    open.push_back(span);
  }
  CHECK(crossing == 0);
}

}  // namespace

TEST_CASE("profile: every node with its share, and what holds it back") {
  const CliResult result =
      run_lathe(twenty_runs({"--engine", "interpreter", "--profile-ops", "--json"}));
  const json report = passed(result);
  const json& profile = report["cases"][0]["profile"];
  check_profile(profile);
  CHECK(profile["omitted_ops"] == 0);
  std::map<std::string, int64_t> types;
  bool any_known = false;
  for (const json& op : profile["ops"]) {
    ++types[op["type"].get<std::string>()];
    any_known = any_known || op["bottleneck"]["efficiency"].is_number();
    if (op["type"] == "Conv") CHECK(op["flops"] == 2 * op["macs"].get<int64_t>());
  }
  CHECK(any_known);
  CHECK((types == types_of(kGlyphs)));
  CHECK(profile["types"].size() == types.size());
  for (const json& type : profile["types"])
    CHECK(type["nodes"] == types[type["type"].get<std::string>()]);
  CHECK(result.err.find("in no node") != std::string::npos);
  CHECK(result.err.find("slowest node") != std::string::npos);
  // Without the flag there is none.
  CHECK_FALSE(passed(run_lathe(twenty_runs({"--json"})))["cases"][0].contains("profile"));
}

TEST_CASE("profile: an engine that sees no nodes says so") {
  const json report =
      passed(run_lathe(twenty_runs({"--engine", "torchscript", "--profile-ops", "--json"})));
  const json& row = report["cases"][0];
  CHECK(row["profile"].is_null());
  CHECK(row["profile_reason"].get<std::string>().find("torchscript") != std::string::npos);
}

TEST_CASE("profile: what quantizing inserted is blamed") {
  const ScratchDirectory folder;
  const std::string int8 = quantized(folder);
  const CliResult result = run_lathe({"bench", int8, "--against", kGlyphs, "--iterations", "40",
                                      "--max-time", "4s", "--threads", "1", "--processes", "2",
                                      "--engine", "interpreter", "--profile-ops", "--json"});
  const json report = passed(result);
  const std::map<std::string, int64_t> types = types_of(int8);
  REQUIRE(report["cases"].size() == 2);
  check_profile(report["cases"][0]["profile"]);
  check_profile(report["cases"][1]["profile"]);
  const json& row = report["comparison"]["cases"][0];
  int64_t inserted = 0;
  for (const json& delta : row["op_deltas"]) {
    CHECK(delta["delta_ns"].get<double>() == doctest::Approx(delta["candidate_ns"].get<double>() -
                                                             delta["baseline_ns"].get<double>()));
    if (delta["change"] == "inserted" && delta["type"] == "QuantizeLinear") ++inserted;
  }
  CHECK(inserted == types.at("QuantizeLinear"));
  bool is_blamed = false;
  for (const json& blame : row["blame"])
    is_blamed = is_blamed || (blame["sentence"].get<std::string>().find("inserted ") == 2 ||
                              blame["sentence"].get<std::string>().find("inserted ") == 3);
  CHECK(is_blamed);
  CHECK(result.err.find(row["blame"][0]["sentence"].get<std::string>()) != std::string::npos);
}

TEST_CASE("profile: each case of a sweep has its own") {
  const json report = passed(run_lathe(twenty_runs({"--batch", "1,4", "--profile-ops", "--json"})));
  REQUIRE(report["cases"].size() == 2);
  for (const json& row : report["cases"]) check_profile(row["profile"]);
  // Costs are those of the batch.
  const auto bytes = [&](size_t i) {
    return report["cases"][i]["profile"]["ops"][0]["bytes"].get<int64_t>();
  };
  CHECK(bytes(1) > 2 * bytes(0));
}

TEST_CASE("a traced pass: phases, runs and nodes, nested, as lathe trace reads them") {
  const ScratchDirectory folder;
  const std::string file = folder.path("x.json");
  const CliResult result =
      run_lathe(twenty_runs({"--engine", "interpreter", "--trace", file, "--json"}));
  const json report = passed(result);
  REQUIRE(report["artifacts"].size() == 1);
  CHECK(report["artifacts"][0]["kind"] == "trace");
  CHECK(report["artifacts"][0]["bytes"] == std::filesystem::file_size(file));
  const json& facts = report["cases"][0]["trace"];
  CHECK(facts["nodes"] == true);
  CHECK(facts["overhead_ratio"] > 0);
  CHECK(facts["resident_max_bytes"] >= facts["resident_min_bytes"]);

  const json trace = json::parse(content_of(file));
  std::map<std::string, int64_t> counts;
  std::map<std::string, int64_t> nodes;
  std::vector<Span> spans;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const double start = event["ts"];
    CHECK(start >= 0);
    spans.push_back({start, start + event["dur"].get<double>()});
    ++counts[event["name"].get<std::string>()];
    if (event["cat"] == "Node") ++nodes[event["args"]["op_name"].get<std::string>()];
  }
  check_nesting(spans);
  for (const char* once : {"model_loading_uri", "session_initialization", "first inference",
                           "warm-up", "timed runs", "measure"})
    CHECK_MESSAGE(counts[once] == 1, once);
  const int64_t runs = facts["runs"];
  CHECK(counts["model_run"] == runs);
  for (const auto& [type, count] : types_of(kGlyphs)) CHECK(nodes[type] == runs * count);

  const CliResult read = run_lathe({"trace", file, "--name", "model_run", "--json"});
  INFO(read.err);
  REQUIRE(read.exit_code == 0);
  CHECK(report_of(read)["trace"]["events"] == runs);
}

TEST_CASE("a trace named .ort.json is what summarisers of ONNX Runtime's profiles add up") {
  const ScratchDirectory folder;
  const std::string file = folder.path("x.ort.json");
  passed(run_lathe(twenty_runs({"--trace", file, "--json"})));
  const json trace = json::parse(content_of(file));
  REQUIRE(trace.is_array());
  // As they do: everything before the session is ready does not count.
  bool is_ready = false;
  int64_t of_nodes = 0;
  int64_t of_runs = 0;
  for (const json& event : trace) {
    if (event["ph"] != "X") continue;
    REQUIRE(event["ts"].is_number_integer());
    REQUIRE(event["dur"].is_number_integer());
    if (event["name"] == "session_initialization") is_ready = true;
    if (!is_ready) continue;
    const std::string name = event["name"];
    if (event["cat"] == "Session" && name == "model_run") of_runs += event["dur"].get<int64_t>();
    if (event["cat"] != "Node") continue;
    CHECK(name.ends_with("_kernel_time"));
    CHECK(event["args"]["provider"] == "CPUExecutionProvider");
    CHECK(event["args"]["op_name"].is_string());
    CHECK(event["args"]["output_size"].is_string());
    of_nodes += event["dur"].get<int64_t>();
  }
  CHECK(of_nodes > 0);
  CHECK(of_nodes <= of_runs);
  CHECK(run_lathe({"trace", file}).exit_code == 0);
}

TEST_CASE("a trace of several processes is the first one's; without nodes it shows runs") {
  const ScratchDirectory folder;
  const std::string file = folder.path("x.json");
  const CliResult result = run_lathe(
      twenty_runs({"--processes", "2", "--engine", "torchscript", "--trace", file, "--json"}));
  const json report = passed(result);
  REQUIRE(report["artifacts"].size() == 1);
  CHECK(report["cases"][0]["trace"]["nodes"] == false);
  CHECK(warns(report, "trace.no_nodes"));
  CHECK(content_of(file).find("model_run") != std::string::npos);
}

TEST_CASE("a trace is refused before anything is measured") {
  const ScratchDirectory folder;
  const std::string file = folder.write("there.json", "kept");
  check_refused(run_lathe(twenty_runs({"--trace", file})), 2, {"there.json"});
  CHECK(content_of(file) == "kept");
  check_refused(run_lathe(twenty_runs({"--trace", kGlyphs, "--force"})), 2, {"glyphs.onnx"});
  check_refused(run_lathe(twenty_runs({"--trace", folder.path("none/x.json")})), 9, {"none"});
  check_refused(run_lathe(twenty_runs({"--trace", folder.path()})), 9, {});
  const std::string fresh = folder.path("x.json");
  check_refused(run_lathe(twenty_runs({"--trace", fresh, "--batch", "1,2"})), 2, {"--trace"});
  check_refused(run_lathe(twenty_runs({"--trace", fresh, "--resume", fresh + "l"})), 2,
                {"--trace"});
  check_refused(run_lathe({"bench", "--doctor", "--trace", fresh}), 2, {"--trace"});
  check_refused(run_lathe({"bench", kGlyphs, "--self-check", "--profile-ops"}), 2,
                {"--profile-ops"});
  CHECK_FALSE(std::filesystem::exists(fresh));
  // What is written then is the report of the failure.
  check_refused(run_lathe(twenty_runs({"--trace", fresh, "--report", fresh})), 2, {"x.json"});
  CHECK(json::parse(content_of(fresh))["exit_code"] == 2);
  CHECK(run_lathe(twenty_runs({"--trace", file, "--force"})).exit_code == 0);
  CHECK(json::parse(content_of(file)).contains("traceEvents"));
}

TEST_CASE("memory by four methods; sensors are figures or null with a reason") {
  const CliResult result = run_lathe(twenty_runs({"--json"}));
  const json row = passed(result)["cases"][0];
  const json& memory = row["memory"];
  CHECK(memory["alloc_peak_bytes"] > 0);
  CHECK(memory["alloc_count_per_iter"] > 0);
  CHECK_FALSE(memory["alloc_method"].get<std::string>().empty());
  CHECK(memory["rss_bytes"] > memory["alloc_peak_bytes"]);
  CHECK(memory["with_libtorch_bytes"] >= memory["rss_bytes"]);
  CHECK(memory["hwm_bytes"] < memory["rss_bytes"]);
  CHECK(result.err.find("memory: arena ") != std::string::npos);
  const json& cpu = row["cpu"];
  CHECK(cpu["user_ns"].get<int64_t>() + cpu["sys_ns"].get<int64_t>() > 0);
  CHECK(cpu["ctx_switches_vol"] >= 0);
  CHECK(cpu["ctx_switches_invol"] >= 0);
  CHECK(cpu["cpus_used"] > 0);
  for (const char* name : {"instructions", "cycles"}) {
    CHECK(cpu[name].is_null());
    CHECK_FALSE(cpu[std::string(name) + "_reason"].get<std::string>().empty());
  }
  for (const char* name : {"energy", "thermal", "frequency"})
    CHECK_MESSAGE(
        (row[name].is_object() || !row[std::string(name) + "_reason"].get<std::string>().empty()),
        name);
}

}  // namespace lathe

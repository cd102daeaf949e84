// lathe trace as a user meets it.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "run_lathe.h"

namespace lathe {
namespace {

// As lathe writes it: a run of two nodes, the second inside of a phase of another thread.
const std::string kOurs =
    R"({"displayTimeUnit":"ns","otherData":{"dropped_events":"2"},"traceEvents":[
{"cat":"__metadata","name":"thread_name","ph":"M","pid":9,"tid":1,"args":{"name":"main"}},
{"cat":"Session","name":"model_run","ph":"X","pid":9,"tid":1,"ts":100.000,"dur":100.000,"args":{}},
{"cat":"Node","name":"conv1_kernel_time","ph":"X","pid":9,"tid":1,"ts":110.000,"dur":40.500,"args":{"op_name":"Conv","provider":"CPUExecutionProvider"}},
{"cat":"Node","name":"relu1_kernel_time","ph":"X","pid":9,"tid":1,"ts":160.000,"dur":10.000,"args":{"op_name":"Relu","input_type_shape":[{"float":[1,2]}]}},
{"cat":"Session","name":"model_run","ph":"X","pid":9,"tid":1,"ts":300.000,"dur":50.000,"args":{}},
{"cat":"Node","name":"conv1_kernel_time","ph":"X","pid":9,"tid":1,"ts":310.000,"dur":20.500,"args":{"op_name":"Conv"}},
{"cat":"Counter","name":"resident memory","ph":"C","pid":9,"tid":1,"ts":320.000,"args":{"bytes":4096}},
{"cat":"Phase","name":"reading","ph":"X","pid":9,"tid":2,"ts":100.000,"dur":25.000,"args":{}},
{"cat":"Phase","name":"begin","ph":"B","pid":9,"tid":2,"ts":100.000}
]}
)";

// As ONNX Runtime writes it.
const std::string kTheirs = R"([
{"cat" : "Session","pid" :20,"tid" :20,"dur" :581,"ts" :13,"ph" : "X","name" :"model_loading_uri","args" : {}},
{"cat" : "Node","pid" :20,"tid" :20,"dur" :122,"ts" :4948,"ph" : "X","name" :"ReLU32_nchwc_kernel_time","args" : {"op_name" : "Conv","thread_scheduling_stats" : "","output_type_shape" : [{"float":[1,16,28,28]}],"output_size" : "50176","provider" : "CPUExecutionProvider"}},
{"cat" : "Session","pid" :20,"tid" :20,"dur" :160,"ts" :4940,"ph" : "X","name" :"model_run","args" : {}}
]
)";

nlohmann::json trace_of(const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"trace"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.push_back("--json");
  const CliResult result = run_lathe(all);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return report_of(result)["trace"];
}

}  // namespace

TEST_CASE("trace names the slowest stage first, its own time without what lies inside") {
  const ScratchDirectory folder;
  const std::string file = folder.write("run.json", kOurs);
  const CliResult result = run_lathe({"trace", file});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out.starts_with("run.json: 6 events in 250 us; slowest: model_run, 79 us"));
  CHECK(result.err.find("trace.dropped") != std::string::npos);
  const auto trace = trace_of({file});
  CHECK(trace["events"] == 6);
  CHECK(trace["ignored_events"] == 1);
  CHECK(trace["dropped_events"] == 2);
  CHECK(trace["duration_ns"] == 250000);
  const auto& stages = trace["stages"];
  REQUIRE(stages.size() == 4);
  CHECK(stages[0]["name"] == "model_run");
  CHECK(stages[0]["calls"] == 2);
  CHECK(stages[0]["total_ns"] == 150000.0);
  CHECK(stages[0]["self_ns"] == 79000.0);
  CHECK(stages[0]["median_ns"] == 75000.0);
  CHECK(stages[1]["name"] == "conv1");
  CHECK(stages[1]["type"] == "Conv");
  CHECK(stages[1]["self_ns"] == 61000.0);
  CHECK(stages[1]["share"].get<double>() == doctest::Approx(61.0 / 175));
  REQUIRE(trace["ops"].size() == 2);
  CHECK(trace["ops"][0]["type"] == "Conv");
  CHECK(trace["ops"][1]["total_ns"] == 10000.0);
  REQUIRE(trace["threads"].size() == 2);
  CHECK(trace["threads"][0]["name"] == "main");
  CHECK(trace["threads"][0]["busy_ns"] == 150000.0);
  CHECK(trace["threads"][0]["share"].get<double>() == doctest::Approx(0.6));
  CHECK(trace["counters"]["resident memory"]["max"] == 4096.0);
}

TEST_CASE("trace reads ONNX Runtime's profiles") {
  const ScratchDirectory folder;
  const auto trace = trace_of({folder.write("ort.json", kTheirs)});
  CHECK(trace["events"] == 3);
  CHECK(trace["stages"][1]["name"] == "ReLU32_nchwc");
  CHECK(trace["stages"][1]["type"] == "Conv");
  CHECK(trace["stages"][2]["name"] == "model_run");
  CHECK(trace["stages"][2]["self_ns"] == 38000.0);
}

TEST_CASE("trace filters by name, type, thread and time") {
  const ScratchDirectory folder;
  const std::string file = folder.write("run.json", kOurs);
  CHECK(trace_of({file, "--name", "conv*"})["stages"].size() == 1);
  const auto by_type = trace_of({file, "--name", "op:Relu"});
  CHECK(by_type["events"] == 1);
  CHECK(by_type["stages"][0]["share"].get<double>() == doctest::Approx(10.0 / 175));
  const auto by_thread = trace_of({file, "--thread", "2"});
  CHECK(by_thread["stages"].size() == 1);
  CHECK(by_thread["stages"][0]["name"] == "reading");
  const auto by_time = trace_of({file, "--from", "20us", "--to", "100us"});
  CHECK(by_time["window_ns"] == 80000);
  CHECK(by_time["events"] == 4);
  CHECK(by_time["stages"][0]["name"] == "model_run");
  CHECK(by_time["stages"][0]["total_ns"] == 80000.0);
  CHECK(by_time["stages"][1]["total_ns"] == 30500.0);
  CHECK(trace_of({file, "--top", "1"})["stages"].size() == 1);
  check_refused(run_lathe({"trace", file, "--name", "nothing*"}), 2, {"--name"});
  check_refused(run_lathe({"trace", file, "--thread", "7"}), 2, {"--thread"});
  check_refused(run_lathe({"trace", file, "--from", "2ms", "--to", "1ms"}), 2, {"--from"});
  check_refused(run_lathe({"trace", file, "--from", "20"}), 2, {"--from"});
  check_refused(run_lathe({"trace", file, "--top", "0"}), 2, {"--top"});
}

TEST_CASE("trace --html writes one page that loads nothing, and names cannot become script") {
  const ScratchDirectory folder;
  const std::string file = folder.write(
      "run.json", R"([{"name":"</script><script>alert(1)</script>","ph":"X","ts":1,"dur":2}])");
  const std::string page = folder.path("page.html");
  const CliResult result = run_lathe({"trace", file, "--html", page, "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(report_of(result)["artifacts"][0]["kind"] == "html");
  const std::string text = content_of(page);
  CHECK(text.starts_with("<!DOCTYPE html>"));
  CHECK(text.find("default-src 'none'") != std::string::npos);
  CHECK(text.find("http://") == std::string::npos);
  CHECK(text.find("https://") == std::string::npos);
  CHECK(text.find("<script>alert") == std::string::npos);
  CHECK(text.find("&lt;script&gt;alert") != std::string::npos);
  CHECK(text.find("prefers-color-scheme: dark") != std::string::npos);
  check_refused(run_lathe({"trace", file, "--html", page}), 2, {"page.html"});
  check_refused(run_lathe({"trace", file, "--html", file, "--force"}), 2, {"run.json"});
  CHECK(run_lathe({"trace", file, "--html", page, "--force"}).exit_code == 0);
}

TEST_CASE("trace refuses what is no trace, and says where") {
  const ScratchDirectory folder;
  const auto refused = [&](const std::string& text, int code, const std::string& named) {
    INFO(text.substr(0, 200));
    check_refused(run_lathe({"trace", folder.write("bad.json", text)}), code, {"bad.json", named});
  };
  refused("", 3, "syntax");
  refused("{", 3, "syntax");
  refused("[{\"ph\":\"X\",\"ts\":1,\"dur\":1}", 3, "bad.json:1");
  refused("[]", 3, "no complete event");
  refused("{}", 3, "traceEvents");
  refused("7", 3, "no trace");
  refused("[1]", 3, "an event is an object");
  refused("[[]]", 3, "an event is an object");
  refused("[{\"name\":\"a\"}]", 3, "ph");
  refused("[{\"ph\":\"X\",\"name\":\"a\",\"ts\":1}]", 3, "dur");
  refused("[{\"ph\":\"X\",\"ts\":1,\"dur\":-1}]", 3, "ends before");
  refused("[{\"ph\":\"X\",\"ts\":1e300,\"dur\":1}]", 3, "no time");
  refused("[\n{\"ph\":\"X\",\"ts\":\"1\",\"dur\":1}]", 3, "bad.json:2");
  refused("[{\"ph\":\"X\",\"ts\":1e999,\"dur\":1}]", 3, "number");
  refused("[{\"ph\":\"X\",\"ts\":1,\"ts\":2,\"dur\":1}]", 3, "twice");
  refused("[{\"ph\":7,\"ts\":1,\"dur\":1}]", 3, "no text");
  refused("{\"traceEvents\":[],\"traceEvents\":[]}", 3, "twice");
  refused(std::string("[{\"ph\":\"X\"\0]", 12), 3, "NUL");
  refused("[{\"ph\":\"X\",\"name\":\"\xff\",\"ts\":1,\"dur\":1}]", 3, "UTF-8");
  refused(std::string(100, '['), 3, "an event is an object");
  refused("{\"a\":" + std::string(100, '['), 8, "levels");
  refused("[\"" + std::string(2 << 20, 'a') + "\"]", 8, "1 MiB");
  refused("[{\"ph\":\"X\",\"ts\":" + std::string(2 << 20, '1') + "}]", 8, "1 MiB");
  refused("ONNX", 3, "syntax");
  check_refused(run_lathe({"trace", folder.path("none.json")}), 3, {"none.json"});
  check_refused(run_lathe({"trace", folder.path()}), 3, {});
  check_refused(run_lathe({"trace"}), 2, {});
}

TEST_CASE("times at both ends of the range do not overflow") {
  const ScratchDirectory folder;
  const std::string file =
      folder.write("far.json",
                   "[{\"ph\":\"X\",\"name\":\"a\",\"ts\":-3e15,\"dur\":3e15},\n"
                   "{\"ph\":\"X\",\"name\":\"b\",\"ts\":3e15,\"dur\":3e15}]");
  const auto trace = trace_of({file});
  CHECK(trace["events"] == 2);
  CHECK(trace["stages"][0]["total_ns"] == 3e18);
}

TEST_CASE("a trace of many events is read in bounded memory") {
  const ScratchDirectory folder;
  std::string text = "[";
  for (int i = 0; i < 100'000; ++i)
    text += std::string(i == 0 ? "" : ",") + "\n{\"cat\":\"Node\",\"name\":\"n" +
            std::to_string(i % 50) +
            "_kernel_time\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":" + std::to_string(i * 10) +
            ",\"dur\":7,\"args\":{\"op_name\":\"Conv\",\"pad\":\"" + std::string(200, 'x') + "\"}}";
  const std::string file = folder.write("many.json", text + "\n]\n");
  CHECK(std::filesystem::file_size(file) > (16u << 20));
  const CliResult result = run_lathe({"trace", file, "--json"});
  REQUIRE(result.exit_code == 0);
  const auto trace = report_of(result)["trace"];
  CHECK(trace["events"] == 100'000);
  CHECK(trace["stages"].size() == 20);
  CHECK(trace["ops"][0]["calls"] == 100'000);
}

}  // namespace lathe

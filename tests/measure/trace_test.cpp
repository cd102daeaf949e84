#include "tracing/trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "run/interpreter_engine.h"
#include "small_network.h"
#include "tracing/trace_memory.h"
#include "tracing/trace_nodes.h"
#include "tracing/trace_runs.h"
#include "tracing/trace_write.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using nlohmann::json;

// Every reading is 1,500 ns after the last one.
int64_t ticking() {
  thread_local int64_t now = 0;
  return now += 1500;
}

json written(const Trace& trace, TraceForm form, const TraceFacts& facts = {}) {
  std::string text;
  write_trace(trace, facts, form, [&](std::string_view piece) { text += piece; });
  return json::parse(text);
}

std::vector<json> of_phase(const json& events, const std::string& phase) {
  std::vector<json> out;
  for (const json& event : events)
    if (event["ph"] == phase) out.push_back(event);
  return out;
}

TEST_CASE("scopes nest, and the enclosing one comes first") {
  Trace trace({16, ticking});
  TraceThread& main = trace.thread("main");
  const TraceLabel outer = trace.label(kTracePhase, "outer");
  const TraceLabel inner = trace.label(kTracePhase, "inner", trace_args({{"batch", "4"}}));
  {
    const TraceScope a(main, outer);
    const TraceScope b(main, inner);
    main.ended(inner, 500);
  }
  const json file = written(trace, TraceForm::kObject, {"lathe bench", {{"model", "a\"b"}}});
  CHECK(file["displayTimeUnit"] == "ns");
  CHECK(file["otherData"]["model"] == "a\"b");
  CHECK(file["otherData"]["dropped_events"] == "0");
  const auto scopes = of_phase(file["traceEvents"], "X");
  REQUIRE(scopes.size() == 3);
  CHECK(scopes[0]["name"] == "outer");
  CHECK(scopes[0]["ts"] == 1.5);
  CHECK(scopes[0]["dur"] == 6.0);
  CHECK(scopes[1]["args"]["batch"] == "4");
  CHECK(scopes[1]["ts"] == 3.0);
  CHECK(scopes[1]["dur"] == 3.0);
  CHECK(scopes[2]["ts"] == 4.0);
  CHECK(scopes[2]["dur"] == 0.5);
  const auto names = of_phase(file["traceEvents"], "M");
  REQUIRE(names.size() == 2);
  CHECK(names[0]["args"]["name"] == "lathe bench");
  CHECK(names[1]["args"]["name"] == "main");
  CHECK(names[1]["tid"] == 1);
}

TEST_CASE("the array form has whole microseconds, and what was nested stays so") {
  Trace trace({64, ticking});
  TraceThread& main = trace.thread("main");
  const TraceLabel label = trace.label(kTraceSession, kTraceRun);
  for (int i = 0; i < 5; ++i) {
    const TraceScope a(main, label);
    const TraceScope b(main, label);
  }
  const json file = written(trace, TraceForm::kArray);
  REQUIRE(file.is_array());
  const auto scopes = of_phase(file, "X");
  REQUIRE(scopes.size() == 10);
  for (size_t i = 0; i < scopes.size(); i += 2) {
    CHECK(scopes[i]["ts"].is_number_integer());
    CHECK(scopes[i]["dur"].is_number_integer());
    const auto end = [&](size_t k) {
      return scopes[k]["ts"].get<int64_t>() + scopes[k]["dur"].get<int64_t>();
    };
    CHECK(scopes[i]["ts"] <= scopes[i + 1]["ts"]);
    CHECK(end(i) >= end(i + 1));
  }
  for (const json& event : file) CHECK(event.contains("cat"));
}

TEST_CASE("a full trace keeps the enclosing scopes and counts what it lost") {
  Trace trace({3, ticking});
  TraceThread& main = trace.thread("main");
  const TraceLabel label = trace.label(kTracePhase, "measure");
  {
    const TraceScope a(main, label);
    for (int i = 0; i < 5; ++i) main.ended(label, 10);
    const TraceScope lost(main, label);
  }
  CHECK(trace.size() == 3);
  CHECK(trace.dropped() == 4);
  const json file = written(trace, TraceForm::kObject);
  CHECK(file["otherData"]["dropped_events"] == "4");
  CHECK(of_phase(file["traceEvents"], "X")[0]["dur"] > 1.0);
  const auto notes = of_phase(file["traceEvents"], "i");
  REQUIRE(notes.size() == 1);
  CHECK(notes[0]["args"]["dropped"] == 4);
}

TEST_CASE("a scope that has not ended lasts until the trace is written") {
  Trace trace({3, ticking});
  TraceThread& main = trace.thread("main");
  main.begin(trace.label(kTracePhase, "measure"));
  const auto scopes = of_phase(written(trace, TraceForm::kObject)["traceEvents"], "X");
  REQUIRE(scopes.size() == 1);
  CHECK(scopes[0]["dur"] >= 1.5);
}

TEST_CASE("any name makes good JSON") {
  CHECK(trace_string("a\"\\\n\x01") == "\"a\\\"\\\\\\n\\u0001\"");
  CHECK(trace_string("ü€𝄞") == "\"ü€𝄞\"");
  CHECK(trace_string("\xff"
                     "a\xc3") == "\"\ufffda\ufffd\"");
  CHECK(trace_string("\xed\xa0\x80") == "\"\ufffd\ufffd\ufffd\"");
  CHECK(trace_string("\xc0\xaf") == "\"\ufffd\ufffd\"");
  for (int byte = 0; byte < 256; ++byte)
    CHECK(json::accept(trace_string(std::string(2, static_cast<char>(byte)))));
}

TEST_CASE("threads record side by side, each in its own row") {
  Trace trace;
  const TraceLabel label = trace.label(kTracePhase, "work");
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back([&trace, label, i] {
      TraceThread& row = trace.thread(fmt::format("worker {}", i));
      for (int k = 0; k < 1000; ++k) const TraceScope scope(row, label);
    });
  for (std::thread& worker : workers) worker.join();
  CHECK(trace.size() == 4000);
  const json events = written(trace, TraceForm::kObject)["traceEvents"];
  std::map<int, int> rows;
  double last = 0;
  for (const json& event : of_phase(events, "X")) {
    ++rows[event["tid"].get<int>()];
    CHECK(event["ts"].get<double>() >= last);
    last = event["ts"].get<double>();
  }
  CHECK(rows.size() == 4);
  CHECK(rows[3] == 1000);
}

TEST_CASE("node events look as ONNX Runtime writes them") {
  const Graph graph = small_network();
  InterpreterEngine engine(graph);
  engine.prepare({{small_network_input()}});
  Trace trace;
  TraceThread& main = trace.thread("main");
  REQUIRE(engine.observe(trace_nodes(trace, main, graph, engine.name())));
  engine.execute(0);
  engine.observe({});
  engine.execute(0);
  const auto nodes = of_phase(written(trace, TraceForm::kArray), "X");
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0]["cat"] == "Node");
  CHECK(nodes[0]["name"] == "fc_kernel_time");
  CHECK(nodes[1]["name"] == "act_kernel_time");
  const json& args = nodes[0]["args"];
  CHECK(args["op_name"] == "MatMul");
  CHECK(args["provider"] == "CPUExecutionProvider");
  CHECK(args["engine"] == "interpreter");
  CHECK(args["exec_plan_index"] == "0");
  CHECK(args["activation_size"] == "32");
  CHECK(args["parameter_size"] == "64");
  CHECK(args["output_size"] == "32");
  CHECK(args["input_type_shape"] == json::parse(R"([{"float":[2,4]},{"float":[4,4]}])"));
  CHECK(args["output_type_shape"] == json::parse(R"([{"float":[2,4]}])"));
}

TEST_CASE("a traced pass holds runs, their nodes and memory, and tells what it cost") {
  const Graph graph = small_network(-1);
  InterpreterEngine engine(graph);
  engine.prepare({{small_network_input(3)}});
  Trace trace;
  TraceThread& main = trace.thread("main");
  const std::vector<Shape> shapes{{3, 4}};
  const TraceRuns runs = trace_runs(engine, graph, shapes, trace, main, {5, 60'000'000'000});
  CHECK(runs.runs == 5);
  CHECK(runs.overhead_ratio > 0);
  CHECK(runs.reason.empty());
  const size_t recorded = trace.size();
  engine.execute(0);
  CHECK(trace.size() == recorded);
  const auto scopes = of_phase(written(trace, TraceForm::kObject)["traceEvents"], "X");
  REQUIRE(scopes.size() == 1 + 5 * 3);
  CHECK(scopes[0]["name"] == "measure");
  for (size_t i = 1; i < scopes.size(); i += 3) {
    CHECK(scopes[i]["name"] == kTraceRun);
    CHECK(scopes[i + 1]["args"]["output_size"] == "48");
    CHECK(scopes[i + 2]["ts"].get<double>() + scopes[i + 2]["dur"].get<double>() <=
          scopes[i]["ts"].get<double>() + scopes[i]["dur"].get<double>());
  }
  CHECK(trace_runs(engine, graph, shapes, trace, main, {100, 0}).runs == 1);
}

TEST_CASE("the file's name chooses the form") {
  CHECK(trace_form_of("a/run.ort.json") == TraceForm::kArray);
  CHECK(trace_form_of("run.json") == TraceForm::kObject);
}

TEST_CASE("memory over time is a counter") {
  const ResidentMeter meter;
  REQUIRE(meter.bytes());
  CHECK(*meter.bytes() > 1'000'000);
  Trace trace;
  TraceThread& main = trace.thread("main");
  TraceMemory memory(trace, main, 1'000'000'000);
  memory.sample();
  memory.sample();
  const auto counters = of_phase(written(trace, TraceForm::kObject)["traceEvents"], "C");
  REQUIRE(counters.size() == 1);
  CHECK(counters[0]["name"] == "resident memory");
  CHECK(counters[0]["args"]["bytes"].get<int64_t>() > 1'000'000);
}

}  // namespace
}  // namespace lathe

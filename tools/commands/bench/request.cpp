#include "commands/bench/request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <map>

#include "commands/bench/emulated.h"
#include "commands/bench/gates.h"
#include "commands/bench/remote.h"
#include "commands/bench/trace.h"
#include "comparison/baseline.h"
#include "gates/choose_case.h"
#include "gates/gate_metric.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/check_output.h"
#include "os/host.h"
#include "os/quantity.h"
#include "profiles/profile.h"
#include "report/json_text.h"
#include "report/nearest_name.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

// Enough for a figure to look at when only sizes and accuracies are gated.
constexpr int64_t kShortTiming = 2'000'000'000;
constexpr size_t kMaxCases = 4096;
constexpr double kDefaultTolerance = 0.02;
constexpr size_t kLooks = 3;

std::vector<std::string> read_engines(const std::string& list) {
  std::vector<std::string> engines;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    std::string name = list.substr(at, end - at);
    at = end + 1;
    if (std::ranges::find(kEngineChoices, name) == std::end(kEngineChoices))
      throw bad_usage("usage.engine", "there is no engine '" + escape_untrusted(name) + "'",
                      "--engine", fmt::format("{}", fmt::join(kEngineChoices, ", ")));
    if (name == kAutoEngine) name = kNativeEngine;
    if (std::find(engines.begin(), engines.end(), name) == engines.end()) engines.push_back(name);
  }
  return engines;
}

// File stems, without what has a meaning in ids and gates; numbered where two are equal.
std::vector<std::string> model_names(const std::vector<std::string>& models) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (const std::string& model : models) {
    std::string name = std::filesystem::path(model).stem().string();
    for (char& c : name)
      if (static_cast<unsigned char>(c) <= ' ' || c == ':' || c == '*' || c == '?' || c == '<' ||
          c == '>' || c == '/' || static_cast<unsigned char>(c) >= 0x7f)
        c = '_';
    name = escape_untrusted(name, 60);
    const int number = ++seen[name];
    names.push_back(number == 1 ? name : fmt::format("{}~{}", name, number));
  }
  return names;
}

// What --batch auto tries at most: what the profile allows when it speaks of batches.
int64_t largest_batch(const BenchOptions& options) {
  constexpr int64_t kLargest = 256;
  const int64_t allowed = load_profile(options.common.profile).execution.batch_max;
  return allowed > 1 ? std::min(kLargest, allowed) : kLargest;
}

std::vector<BenchCase> plan_cases(const BenchOptions& options) {
  std::vector<std::optional<int64_t>> batches{std::nullopt};
  if (options.batch == "auto") {
    batches.clear();
    for (int64_t batch = 1; batch <= largest_batch(options); batch *= 2)
      batches.emplace_back(batch);
  } else if (!options.batch.empty()) {
    batches.clear();
    for (const int64_t batch : parse_list(options.batch, "--batch", 1, 1 << 20))
      batches.emplace_back(batch);
  }
  std::vector<int64_t> threads = parse_list(options.threads, "--threads", 0, 4096);
  // 0 and the number of usable CPUs are one case, here.
  if (options.remotes.empty() &&
      std::find(threads.begin(), threads.end(), usable_cpus()) != threads.end())
    std::erase(threads, 0);
  const std::vector<std::string> engines = read_engines(options.engine);
  const std::vector<std::string> names = model_names(options.models);
  if (names.size() * batches.size() * threads.size() * engines.size() *
          std::max<size_t>(1, options.remotes.size()) >
      kMaxCases)
    throw over_limit("bench.cases", fmt::format("more than {} cases", kMaxCases), "bench");
  std::vector<std::string> remotes = options.remotes;
  if (remotes.empty()) remotes.emplace_back();
  std::vector<BenchCase> cases;
  for (size_t each = 0; each < names.size() * remotes.size(); ++each)
    for (const std::string& engine : engines)
      for (const int64_t count : threads)
        for (const std::optional<int64_t>& batch : batches) {
          const size_t model = each / remotes.size();
          const std::string& remote = remotes[each % remotes.size()];
          const std::string& name = names[model];
          std::string id = name;
          if (batch) id += fmt::format("/batch{}", *batch);
          // A board has no use for this host's processors.
          if (is_emulated(engine) && count != threads.front()) continue;
          if (!remote.empty() && count == 0)
            id += "/all-threads";
          else if (!is_emulated(engine))
            id += fmt::format("/threads{}", count > 0 ? count : usable_cpus());
          id += "/" + (remote.empty() ? engine : remote);
          cases.push_back({std::move(id), name, options.models[model], engine, batch,
                           static_cast<int>(count), remote});
        }
  return cases;
}

std::string metric_named(const std::string& text, const char* flag) {
  std::string name = text == "bytes" ? "size" : text == "latency" ? "median" : text;
  if (find_gate_metric(name) == nullptr)
    throw bad_usage("usage.metric", "there is no metric '" + escape_untrusted(text) + "'", flag,
                    fmt::format("metrics: {}", fmt::join(gate_metrics(), " ")));
  return name;
}

std::optional<Recommendation> read_recommendation(const BenchOptions& options) {
  if (options.recommend.empty() && options.minimize.empty() && options.maximize.empty())
    return std::nullopt;
  Recommendation wanted;
  for (const std::string& text : options.recommend) wanted.gates.push_back(parse_gate(text));
  for (const Gate& gate : wanted.gates)
    if (!gate.cases.empty())
      throw bad_usage("usage.recommend", "a recommendation speaks of every case", "--recommend",
                      "leave out '" + escape_untrusted(gate.cases) + ":'");
  require_against(wanted.gates, has_other_side(options));
  wanted.maximize = !options.maximize.empty();
  if (wanted.maximize)
    wanted.metric = metric_named(options.maximize, "--maximize");
  else
    wanted.metric =
        metric_named(options.minimize.empty() ? "median" : options.minimize, "--minimize");
  if (is_smaller_better(wanted.metric) == wanted.maximize)
    throw bad_usage(
        "usage.recommend",
        fmt::format("the best {} is the {}", wanted.metric,
                    wanted.maximize ? "smallest" : "largest"),
        wanted.maximize ? "--maximize" : "--minimize",
        fmt::format("--{} {}", wanted.maximize ? "minimize" : "maximize", wanted.metric));
  return wanted;
}

void read_child_spec(const std::string& text, uint64_t seed, BenchRequest& request) {
  const nlohmann::json document = parse_json_strict(text, "--case-child");
  JsonReader reader(document, "--case-child");
  for (const std::string& gate : reader.strings("gates")) request.gates.push_back(parse_gate(gate));
  request.wants_quality = reader.boolean("quality");
  const auto process = static_cast<size_t>(reader.integer("process", 0, 1'000'000));
  request.looks = static_cast<size_t>(reader.integer("looks", 1, 100));
  request.is_self_check = reader.boolean("self_check");
  request.device = reader.string("device");
  request.simulates = reader.boolean("simulate");
  request.measures_deployed = process == 0;
  const bool is_only = reader.boolean("only");
  reader.finish();
  request.is_child = true;
  request.plan = process_plan(seed, process);
  // Its memory peak is the candidate's own only when that is loaded first.
  if (is_only) request.plan.candidate_loads_first = true;
}

// 5 processes are the fewest for which a comparison's interval is not mostly ignorance of how
// processes differ; a stored baseline is compared by whole processes, of which ten are needed.
void plan_processes(const BenchOptions& options, BenchRequest& request) {
  if (request.is_child) return;
  if (!options.baseline.empty())
    request.processes = kFewestCrossRunProcesses;
  else if (!options.against.empty())
    request.processes = 5;
  if (options.processes > 0)
    request.processes = options.processes;
  else if (!options.against.empty() && options.iterations == 0)
    request.looks = kLooks;
  // Sizes and accuracies need one process.
  const bool is_timed = request.gates.empty() || gates_need_timing(request.gates) ||
                        request.recommendation || !options.tolerance.empty();
  if (!is_timed && options.processes == 0 && options.baseline.empty())
    request.processes = request.looks = 1;
}

std::optional<int64_t> read_duration(const BenchOptions& options, const BenchRequest& request) {
  if (options.duration.empty()) return std::nullopt;
  const int64_t duration = parse_nanoseconds(options.duration, "--duration");
  constexpr int64_t kLeast = 1'000'000'000;
  if (duration < kLeast)
    throw bad_usage("usage.duration", "a long run takes a second at least", "--duration",
                    "for example --duration 10m");
  const std::pair<bool, const char*> others[] = {
      {options.scenario != "single", "--scenario"},
      {!options.against.empty(), "--against"},
      {!options.baseline.empty(), "--baseline"},
      {options.iterations > 0, "--iterations"},
      {options.processes > 1, "--processes"},
      {options.self_check, "--self-check"},
      {!options.max_time.empty() && !request.is_child, "--max-time"},
      {request.cases.size() > 1, "several cases"}};
  for (const auto& [is_given, what] : others)
    if (is_given)
      throw bad_usage("usage.duration",
                      fmt::format("a long run is of one case alone, without {}", what),
                      "--duration", "leave one of them out");
  return duration;
}

std::vector<std::string> files_read(const BenchOptions& options) {
  std::vector<std::string> files = options.models;
  for (const std::string& file : {options.against, options.baseline, options.gates_file})
    if (!file.empty()) files.push_back(file);
  if (!options.data.empty() && options.data != "random") files.push_back(options.data);
  return files;
}

}  // namespace

bool same_but_batch(const BenchCase& a, const BenchCase& b) {
  return a.model == b.model && a.engine == b.engine && a.threads == b.threads &&
         a.remote == b.remote;
}

BenchRequest read_request(const BenchOptions& options) {
  BenchRequest request;
  request.cases = plan_cases(options);
  request.searches_batch = options.batch == "auto";
  request.load = read_load_plan(options);
  request.frames = read_frame_plan(options);
  if (options.child.empty()) {
    request.gates = read_gates(options);
    request.device = device_name(options);
    request.simulates = std::ranges::count(request.gates, GateBasis::kSimulated, &Gate::basis) > 0;
    request.recommendation = read_recommendation(options);
  } else {
    read_child_spec(options.child, options.common.seed, request);
  }
  plan_processes(options, request);
  if (request.cases.size() == 1) request.cases[0].id = "single";
  if (request.recommendation && request.cases.size() == 1)
    throw bad_usage("usage.recommend", "there is only one case to recommend", "--recommend",
                    "give several models, or --batch, --threads or --engine lists");
  request.tolerance = options.baseline.empty() ? kDefaultTolerance : kCrossRunTolerance;
  if (!options.tolerance.empty())
    request.tolerance = parse_fraction(options.tolerance, "--tolerance");
  request.cross_run = !options.baseline.empty();
  request.tolerance_is_gate = !options.tolerance.empty() && has_other_side(options);
  request.is_self_check = request.is_self_check || options.self_check;
  if (!options.tolerance.empty() && !has_other_side(options) && !request.is_child &&
      !request.is_self_check)
    throw bad_usage("usage.tolerance", "--tolerance bounds a slowdown against another model",
                    "--tolerance", "give --against MODEL or --baseline REPORT");
  const char* otherwise = request.cases.size() > 1 ? "10s" : "60s";
  request.duration_ns = read_duration(options, request);
  request.max_ns =
      parse_nanoseconds(options.max_time.empty() ? otherwise : options.max_time, "--max-time");
  if (request.max_ns <= 0)
    throw bad_usage("usage.max_time", "measuring needs some time", "--max-time",
                    "for example --max-time 10s");
  if (request.duration_ns) request.max_ns = *request.duration_ns;
  if (!request.duration_ns && !request.gates.empty() && !gates_need_timing(request.gates) &&
      !request.recommendation && !request.tolerance_is_gate)
    request.max_ns = std::min(request.max_ns, kShortTiming);
  refuse_times(options, request);
  refuse_remote(options, request);
  const std::vector<std::string> inputs = files_read(options);
  if (!options.common.report.empty())
    check_output(options.common.report, options.common.force, inputs);
  check_trace(options, request.cases, inputs);
  if (!options.resume.empty() &&
      std::any_of(inputs.begin(), inputs.end(),
                  [&](const std::string& file) { return same_file(file, options.resume); }))
    throw bad_usage("usage.resume", "this file is read by the benchmark", "--resume");
  return request;
}

std::string child_spec(const BenchRequest& request, size_t process, bool wants_quality) {
  nlohmann::json spec{{"gates", nlohmann::json::array()},
                      {"quality", wants_quality},
                      {"process", process},
                      {"looks", request.is_alone() ? kLooks : 1},
                      {"self_check", request.is_self_check},
                      {"device", request.device},
                      {"simulate", request.simulates},
                      {"only", request.processes == 1}};
  const auto add = [&](const std::vector<Gate>& gates) {
    for (const Gate& gate : gates) {
      if (gate.basis != GateBasis::kMeasured) continue;
      const bool is_quality = gate.metric == "accuracy" || gate.metric == "accuracy_drop";
      // A child does not know the baseline's accuracy.
      const bool is_ours = request.cross_run && gate.metric == "accuracy_drop";
      if (is_quality && !gate.source.empty()) continue;  // judged in the end, never refused
      if ((wants_quality || !is_quality) && !is_ours) spec["gates"].push_back(gate.text);
    }
  };
  add(request.gates);
  if (request.recommendation) add(request.recommendation->gates);
  return compact_json_text(spec);
}

}  // namespace lathe

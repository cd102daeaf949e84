#include "commands/bench/remote.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>

#include "heavy/make_remote_engine.h"
#include "ir/error.h"
#include "report/fields.h"
#include "report/report.h"

namespace lathe {

using nlohmann::json;

namespace {

Reading reading_of(int64_t bytes) {
  if (bytes < 0) return {std::nullopt, "the other machine does not tell"};
  return {bytes, {}};
}

}  // namespace

void refuse_remote(const BenchOptions& options, const BenchRequest& request) {
  if (options.remotes.empty()) {
    if (!options.common.runner.empty())
      throw bad_usage("usage.remote", "only another machine needs a lathe-runner", "--runner",
                      "give --remote HOST");
    return;
  }
  std::set<std::string> targets;
  for (const std::string& remote : options.remotes)
    if (!targets.insert(parse_remote(remote).text()).second)
      throw bad_usage("usage.remote", "the same host twice", escape_untrusted(remote, 100),
                      "name each once; --processes N measures it N times");
  for (const BenchCase& one : request.cases) require_native_there(one.engine);
  const std::pair<bool, const char*> local[] = {{request.load.is_load(), "--scenario"},
                                                {request.duration_ns.has_value(), "--duration"},
                                                {request.frames.has_value(), "--frames"},
                                                {options.profile_ops, "--profile-ops"},
                                                {!options.trace.empty(), "--trace"},
                                                {options.self_check, "--self-check"},
                                                {options.doctor, "--doctor"},
                                                {!options.baseline.empty(), "--baseline"},
                                                {options.denormals != "keep", "--denormals"}};
  for (const auto& [is_given, flag] : local)
    if (is_given)
      throw bad_usage("usage.remote", "not measured on another machine", flag,
                      "leave it out, or run lathe there");
}

void take_remote_facts(BenchSubject& subject) {
  const auto& remote = subject.engine_facts.remote;
  if (!remote) return;
  subject.load_ns = remote->load_ns;
  subject.compile_ns = 0;
  subject.first_inference_ns = subject.engine->own_time_ns().value_or(0);
  subject.peak = reading_of(remote->peak_bytes);
  subject.peak_method = "VmHWM of lathe-runner on the other machine";
  subject.resident = reading_of(remote->resident_bytes);
}

Clock clock_of(const BenchSubject& candidate, const BenchSubject* against) {
  if (!candidate.engine->own_time_ns()) return now_ns;
  return [&candidate, against] {
    return *candidate.engine->own_time_ns() +
           (against != nullptr ? against->engine->own_time_ns().value_or(0) : 0);
  };
}

void put_remote(json& row, const BenchSubject& subject, const std::string& remote) {
  const auto* engine = dynamic_cast<const RemoteEngine*>(subject.engine.get());
  const auto& facts = subject.engine_facts.remote;
  if (engine == nullptr || !facts) return;
  json out{{"target", escape_untrusted(remote, 100)}, {"host", to_json(engine->host())}};
  put_or_reason(out, "degrees_c",
                facts->degrees >= 0 ? std::optional(facts->degrees) : std::nullopt,
                "the machine has no such sensor, or hides it");
  if (!facts->warning.empty()) out["warning"] = facts->warning;
  row["remote"] = std::move(out);
}

std::string remote_text(const json& row) {
  const json& remote = field(row, "remote");
  if (!remote.is_object()) return {};
  const json& host = field(remote, "host");
  const auto text = [](const json& of, const char* key) {
    return escape_untrusted(text_field(of, key), 100);
  };
  std::string line =
      fmt::format("on {}: {}, {:.0f} CPUs, {}, Linux {}", text(remote, "target"),
                  text(field(host, "cpu"), "model"), number_field(host, "cpus_usable").value_or(0),
                  text(host, "arch"), text(host, "kernel"));
  if (const std::string governor = text(host, "governor"); !governor.empty())
    line += ", governor " + governor;
  if (const auto degrees = number_field(remote, "degrees_c"))
    line += fmt::format(", {:.0f} °C", *degrees);
  if (const std::string warning = text(remote, "warning"); !warning.empty())
    line += "\n  its run time says: " + warning;
  return line;
}

}  // namespace lathe

// lathe profiles: the shipped devices, one of them in full, or this host as one.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "commands.h"
#include "commands/profiles/detect_profile.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "peaks_report.h"
#include "profiles/host_profile.h"
#include "remote/remote_runner.h"
#include "report/json_text.h"

namespace lathe {
namespace {

std::string ram_text(const Profile& profile) {
  return profile.memory.ram_bytes ? bytes_text(*profile.memory.ram_bytes) : "-";
}

nlohmann::json row_json(const Profile& profile) {
  nlohmann::json row{{"name", profile.name},     {"version", profile.version},
                     {"hash", profile.hash},     {"description", profile.description},
                     {"arch", profile.cpu.arch}, {"cores", profile.cpu.cores},
                     {"int8", profile.cpu.int8}};
  put_or_reason(row, "ram_bytes", profile.memory.ram_bytes, "the profile does not bound it");
  return row;
}

int list_profiles(const ProfilesOptions& options, CommandRun& run) {
  const Console& console = run.console;
  if (!options.name.empty())
    throw bad_usage("usage.profiles", "list takes no name", escape_untrusted(options.name),
                    "lathe profiles show " + escape_untrusted(options.name));
  std::vector<std::vector<std::string>> rows{{console.bold("profile"), console.bold("cpu"),
                                              console.bold("int8"), console.bold("RAM"),
                                              console.bold("description")}};
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& name : profile_names()) {
    const Profile profile = load_profile(name);
    rows.push_back({name, fmt::format("{} x{}", profile.cpu.arch, profile.cpu.cores),
                    profile.cpu.int8, ram_text(profile), profile.description});
    list.push_back(row_json(profile));
  }
  run.report.details["profiles"] = std::move(list);
  return finish_run(run, fmt::format("{} profiles; '{}' is the default\n{}", rows.size() - 1,
                                     kDefaultProfile, table(rows)));
}

int show_profile(const ProfilesOptions& options, CommandRun& run) {
  if (options.name.empty())
    throw bad_usage("usage.profiles", "which profile?", "show",
                    fmt::format("one of: {}", fmt::join(profile_names(), ", ")));
  nlohmann::json document = profile_json(options.name);
  // Nothing but JSON, so that it can become a file of one's own.
  const std::string text = options.common.json ? "" : json_text(document);
  run.report.details["profile"] = std::move(document);
  return finish_run(run, text);
}

struct MeasuredHost {
  HostFacts host;
  MeasuredPeaks peaks;
};

MeasuredHost measure_host(const CommonOptions& common) {
  MeasuredHost measured;
  if (!common.remote.empty()) {
    RemoteRunner runner(parse_remote(common.remote), runner_finder(common.runner));
    measured.host = runner.host();
    measured.peaks = runner.peaks(common.threads);
    return measured;
  }
  measured.host = host_facts();
  PeakProbeOptions probe;
  probe.threads = common.threads > 0 ? std::min(common.threads, measured.host.cpus_usable)
                                     : measured.host.cpus_usable;
  probe.caches = measured.host.topology.caches;
  measured.peaks = measure_peaks(probe);
  return measured;
}

int detect_profile(const ProfilesOptions& options, CommandRun& run) {
  const CommonOptions& common = options.common;
  const Console& console = run.console;
  if (!options.name.empty())
    throw bad_usage("usage.profiles", "detect takes no name", escape_untrusted(options.name),
                    "lathe profiles detect -o FILE.json");
  check_files(common, {common.output}, {});
  const auto [host, peaks] = measure_host(common);
  throw_if_interrupted();
  const Profile base = nearest_profile(host);
  nlohmann::json document = detected_profile(host, peaks, base);
  // What is written must be readable again.
  nlohmann::json merged = profile_json(base.name);
  merged.merge_patch(document);
  merged.erase("extends");
  const Profile profile = read_profile(merged, "the measured host");
  const std::string text = json_text(document);
  run.report.host = host;
  run.report.details["profile"] = std::move(document);
  run.report.details["peaks"] = peaks_json(peaks);
  // Nothing but JSON, as show does.
  if (common.output.empty()) return finish_run(run, common.json ? "" : text);
  publish_artifact(run, "profile", common.output, text, common.force);
  return finish_run(run,
                    fmt::format("{}: {} on top of {}\n\n{}", console.bold(profile.name),
                                escape_untrusted(common.output), base.name, peaks_text(peaks)));
}

}  // namespace

int run_profiles(const ProfilesOptions& options, Console& console) {
  CommandRun run = begin_run("profiles", options.common, console);
  if (options.action == "detect") return detect_profile(options, run);
  if (!options.common.output.empty())
    throw bad_usage("usage.profiles", "only detect writes a file", "-o",
                    "lathe profiles show NAME > FILE.json");
  if (!options.common.remote.empty() || !options.common.runner.empty())
    throw bad_usage("usage.profiles", "only detect asks another machine", "--remote",
                    "lathe profiles detect --remote HOST");
  return options.action == "show" ? show_profile(options, run) : list_profiles(options, run);
}

}  // namespace lathe

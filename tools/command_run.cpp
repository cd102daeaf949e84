#include "command_run.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ir/error.h"
#include "model_facts.h"
#include "os/check_output.h"
#include "os/publish.h"
#include "os/sha256.h"
#include "profiles/fit.h"

namespace lathe {

CommandRun begin_run(const std::string& command, const CommonOptions& common, Console& console) {
  CommandRun run{common, console, {}, {}, {}, {}, {}};
  run.profile = load_profile(common.profile);
  if (common.require_fit && !has_memory_limits(run.profile))
    throw bad_usage("fit.no_limits", "this profile bounds neither flash nor RAM",
                    "--require-fit with --profile " + escape_untrusted(common.profile, 60),
                    "add memory/ram_bytes or memory/flash_bytes to it, or take another profile");
  run.report = start_report(command, common);
  run.report.device_profile = {{"name", run.profile.name},
                               {"version", run.profile.version},
                               {"hash", run.profile.hash},
                               {"isa", run.profile.cpu.isa}};
  return run;
}

void require_output(const CommonOptions& common, std::string_view what, std::string_view example) {
  if (common.output.empty() && !common.dry_run)
    throw bad_usage("usage.output", fmt::format("where should the {} go?", what), "-o",
                    fmt::format("add -o {}", example));
}

void check_files(const CommonOptions& common, std::vector<std::string> files,
                 const std::vector<std::string>& inputs) {
  files.push_back(common.report);
  std::erase(files, "");
  check_outputs(files, common.force, inputs);
}

void publish_artifact(CommandRun& run, const std::string& kind, const std::string& path,
                      std::string_view bytes, bool replace) {
  publish_file(path, bytes, replace);
  run.report.artifacts.push_back(
      {kind, path, sha256_hex(bytes), static_cast<int64_t>(bytes.size())});
}

void note_usage(CommandRun& run) { note_usage(run.report, run.clock.seconds()); }

nlohmann::json finished_report(CommandRun& run) {
  if (!run.report.memory) note_usage(run);
  if (run.fit_code) run.report.exit_code = worse(run.report.exit_code, *run.fit_code);
  return to_json(run.report);
}

int finish_run(CommandRun& run, const std::string& text) {
  return finish_run(run, finished_report(run), text);
}

int finish_run(CommandRun& run, const nlohmann::json& document, const std::string& text) {
  run.console.print(text + run.fit_text);
  run.console.deliver(document, run.common);
  return static_cast<int>(run.report.exit_code);
}

}  // namespace lathe

#include "heavy/bench/frames.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "console.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr double kSeconds = 60;
constexpr double kFewestFrames = 300;
constexpr double kMostFrames = 100'000;

std::string note_of(const PowerMode& mode, const MeasuredSetting& measured) {
  std::string note;
  const auto add = [&note](const std::string& text) { note += (note.empty() ? "" : "; ") + text; };
  if (mode.batch != static_cast<int64_t>(measured.batch))
    add(fmt::format("its batch is {}, measured at {} (--batch {})", mode.batch, measured.batch,
                    mode.batch));
  if (mode.threads > 0 && mode.threads != measured.threads)
    add(fmt::format("its threads are {}, measured with {} (--threads {})", mode.threads,
                    measured.threads, mode.threads * static_cast<int64_t>(measured.workers)));
  return note;
}

json ages_json(const AgeSummary& ages) {
  return {{"mean_ns", ages.mean_ns}, {"p95_ns", ages.p95_ns}, {"worst_ns", ages.worst_ns}};
}

}  // namespace

BenchFrames simulate_camera(std::span<const double> service_ns, const FramePlan& plan,
                            const Profile& profile, const MeasuredSetting& measured,
                            uint64_t seed) {
  BenchFrames result;
  result.plan = plan;
  result.executions_measured = service_ns.size();
  std::map<std::string, PowerMode> modes = profile.power_modes;
  if (modes.empty()) modes["none"] = {measured.threads, 0, static_cast<int64_t>(measured.batch)};
  for (const auto& [name, mode] : modes) {
    if (!plan.power_mode.empty() && name != plan.power_mode) continue;
    FrameOptions options;
    options.fps = plan.fps;
    options.frames =
        static_cast<size_t>(std::clamp(plan.fps * kSeconds, kFewestFrames, kMostFrames));
    options.skip = static_cast<size_t>(mode.frame_skip);
    options.batch.max_batch = measured.batch;
    if (measured.batch > 1)
      options.batch.max_delay_ns = std::llround(profile.execution.queue_delay_ms * 1e6);
    // A frame that waits for its batch is not late for that.
    options.deadline_ns = std::llround(1e9 / plan.fps * static_cast<double>(options.skip + 1)) +
                          options.batch.max_delay_ns;
    options.early_exit = plan.early_exit;
    options.threads = static_cast<size_t>(measured.threads);
    options.cores = static_cast<size_t>(std::max(measured.cores, measured.threads));
    options.seed = seed;
    for (const FrameChoice choice :
         {FrameChoice::kEvery, FrameChoice::kDropLate, FrameChoice::kLatestOnly}) {
      options.choice = choice;
      result.rows.push_back({name, choice, options.skip, measured.batch,
                             simulate_frames(service_ns, options), note_of(mode, measured)});
    }
  }
  return result;
}

json frames_json(const BenchFrames& frames) {
  json rows = json::array();
  for (const FrameRow& row : frames.rows) {
    const FrameReport& r = row.report;
    rows.push_back(
        {{"simulated", true},
         {"power_mode", escape_untrusted(row.power_mode)},
         {"policy", frame_choice_name(row.choice)},
         {"fps", frames.plan.fps},
         {"frame_skip", row.skip},
         {"batch", row.batch},
         {"early_exit",
          {{"share", frames.plan.early_exit.share}, {"cost", frames.plan.early_exit.cost}}},
         {"frames", r.frames},
         {"skipped", r.skipped},
         {"dropped", r.dropped},
         {"processed", r.processed},
         {"executions", r.executions},
         {"early_exits", r.early_exits},
         {"max_waiting", r.max_waiting},
         {"results_per_s", r.results_per_s},
         {"result_age", ages_json(r.result_age)},
         {"staleness", ages_json(r.staleness)},
         {"busy_share", r.busy_share},
         {"cpu_share", r.cpu_share},
         {"time_ns", r.time_ns},
         {"note", row.note}});
  }
  return rows;
}

std::string frames_text(const json& row) {
  const json& simulated = list_field(row, "frames");
  if (simulated.empty()) return {};
  std::vector<std::vector<std::string>> rows{{"power mode", "frames", "skip", "results/s",
                                              "dropped", "result age p95", "staleness p95", "CPU"}};
  std::set<std::string> notes;
  const auto number = [](const json& object, const char* key) {
    return number_field(object, key).value_or(0);
  };
  for (const json& each : simulated) {
    const std::string name = text_field(each, "power_mode");
    rows.push_back({name, text_field(each, "policy"),
                    fmt::format("{:.0f}", number(each, "frame_skip")),
                    fmt::format("{:.3g}", number(each, "results_per_s")),
                    fmt::format("{:.0f}", number(each, "dropped")),
                    duration_text(number(field(each, "result_age"), "p95_ns")),
                    duration_text(number(field(each, "staleness"), "p95_ns")),
                    percent_text(number(each, "cpu_share"))});
    if (const std::string note = text_field(each, "note"); !note.empty())
      notes.insert(name + ": " + note);
  }
  const json& first = simulated[0];
  std::string text = fmt::format("\n  a camera of {:g} frames/s, simulated on the measured times",
                                 number(first, "fps"));
  const json& early = field(first, "early_exit");
  if (const double share = number(early, "share"); share > 0)
    text += fmt::format("; {} leave early at {} of the cost", percent_text(share),
                        percent_text(number(early, "cost")));
  text += fmt::format("\n{}", table(rows));
  for (const std::string& note : notes) text += fmt::format("  {}\n", note);
  return text;
}

}  // namespace lathe

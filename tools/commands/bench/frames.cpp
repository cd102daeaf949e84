#include "commands/bench/frames.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "commands/bench/text_parts.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "profile_device.h"
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
  result.device = profile.name;
  result.elsewhere = why_not_timed_here(profile);
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
         {"device", escape_untrusted(frames.device)},
         {"not_timed_there", frames.elsewhere.empty() ? json() : json(frames.elsewhere)},
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
  const json& first = simulated[0];
  const auto percent = [&first](const char* path) { return cell(path, percent_text)(first); };
  std::string text = fmt::format("\n  a camera of {:g} frames/s, simulated on the measured times",
                                 number_field(first, "fps").value_or(0));
  if (number_of(at_path(first, "early_exit/share")).value_or(0) > 0)
    text += fmt::format("; {} leave early at {} of the cost", percent("early_exit/share"),
                        percent("early_exit/cost"));
  text += "\n";
  if (const std::string why = text_field(first, "not_timed_there"); !why.empty())
    text += fmt::format("  with the modes of {}, on times of this host, not of it: {}\n",
                        text_field(first, "device"), why);
  text += columns_table(
      rows_of(simulated),
      {{"power mode", cell("power_mode")},
       {"frames", cell("policy")},
       {"skip", cell("frame_skip", count_cell)},
       {"results/s",
        cell("results_per_s", [](double rate) { return fmt::format("{:.3g}", rate); })},
       {"dropped", cell("dropped", count_cell)},
       {"result age p95", cell("result_age/p95_ns", duration_text)},
       {"staleness p95", cell("staleness/p95_ns", duration_text)},
       {"CPU", cell("cpu_share", percent_text)}});
  std::set<std::string> notes;
  for (const json& each : simulated)
    if (const std::string note = text_field(each, "note"); !note.empty())
      notes.insert(text_field(each, "power_mode") + ": " + note);
  for (const std::string& note : notes) text += fmt::format("  {}\n", note);
  return text;
}

}  // namespace lathe

#include "commands/bench/run_doctor.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "command_run.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "measure/doctor.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "peaks_report.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kSelfNs = 3'000'000'000;
constexpr int64_t kThoroughPeaksNs = 1'000'000'000;

void refuse_models(const BenchOptions& options) {
  if (options.models.empty() && options.against.empty() && options.gates.empty() &&
      options.gates_file.empty() && !options.gate_profile && options.baseline.empty())
    return;
  throw bad_usage("usage.doctor", "--doctor examines the machine and takes no model and no gates",
                  "--doctor", "run it alone: lathe bench --doctor");
}

DoctorFacts examine(const Report& report, int threads, double tolerance, Console& console) {
  DoctorFacts facts = doctor_facts();
  facts.threads = threads;
  facts.build_type = report.tool.build_type;
  facts.sanitizers = report.tool.sanitizers;
  const auto before = cpu_ticks();
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  Progress& progress = console.progress();
  progress.start("comparing a kernel with itself", 0, "");
  progress.pause();
  facts.self = compare_with_itself(tolerance, kSelfNs, conduct);
  throw_if_interrupted();
  PeakProbeOptions peaks;
  peaks.threads = threads;
  peaks.budget_ns = kThoroughPeaksNs;
  peaks.caches = facts.host.topology.caches;
  facts.peaks = measure_peaks(peaks);
  progress.finish();
  throw_if_interrupted();
  const auto after = cpu_ticks();
  if (before && after) facts.steal = steal_share(*before, *after);
  return facts;
}

std::string health_text(Health health, const Console& console) {
  const std::string name(health_name(health));
  if (health == Health::kWarn) return console.bad(name);
  return health == Health::kOk ? console.good(name) : console.dim("?");
}

std::string doctor_text(const DoctorFacts& facts, const std::vector<DoctorRow>& rows,
                        double tolerance, const Console& console) {
  const auto resolvable = resolvable_change(facts);
  std::string out;
  if (!resolvable)
    out = console.bad("the noise of this machine could not be measured");
  else if (can_resolve(facts, tolerance))
    out =
        console.good(fmt::format("this machine resolves changes of {}", percent_text(*resolvable)));
  else
    out = console.bad(fmt::format("this machine cannot resolve {}; it resolves {}",
                                  percent_text(tolerance), percent_text(*resolvable)));
  out += "\n\n";
  std::vector<std::vector<std::string>> lines{
      {console.bold("what"), console.bold("verdict"), console.bold("found")}};
  for (const DoctorRow& row : rows)
    lines.push_back({row.id, health_text(row.health, console), row.fact});
  out += table(lines) + "\n" + peaks_text(*facts.peaks);
  std::string advice;
  for (const DoctorRow& row : rows)
    if (row.health == Health::kWarn && !row.advice.empty())
      advice += fmt::format("  {}: {}\n", row.id, row.advice);
  return advice.empty() ? out : out + "\n" + console.bold("what to do") + "\n" + advice;
}

json doctor_json(const DoctorFacts& facts, const std::vector<DoctorRow>& rows, double tolerance) {
  json list = json::array();
  for (const DoctorRow& row : rows)
    list.push_back({{"id", row.id},
                    {"fact", row.fact},
                    {"verdict", health_name(row.health)},
                    {"advice", row.advice}});
  json out{{"rows", std::move(list)},
           {"tolerance", tolerance},
           {"resolves_tolerance", can_resolve(facts, tolerance)}};
  const std::string reason = "fewer pairs of blocks than an interval needs fitted into the time";
  put_or_reason(out, "noise_floor", facts.self ? facts.self->noise_floor : std::nullopt, reason);
  put_or_reason(out, "resolvable_change", resolvable_change(facts), reason);
  put_or_reason(out, "peaks", facts.peaks ? std::optional(peaks_json(*facts.peaks)) : std::nullopt,
                "not measured");
  return out;
}

json noise_json(const DoctorFacts& facts) {
  json out = json::object();
  put_or_reason(out, "aa_half_width", facts.self ? facts.self->noise_floor : std::nullopt,
                "too few pairs of blocks");
  put_or_reason(out, "steal_pct", facts.steal ? std::optional(100 * *facts.steal) : std::nullopt,
                "the system does not tell");
  put_or_reason(out, "psi_cpu", facts.psi_cpu, "the kernel has no pressure stall information");
  return out;
}

}  // namespace

int run_doctor(const BenchOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  refuse_models(options);
  const double tolerance =
      parse_fraction(options.tolerance.empty() ? "2%" : options.tolerance, "--tolerance");
  check_files(common, {}, {});
  CommandRun run = begin_run("bench", common, console);
  Report& report = run.report;
  CommonOptions effective = common;
  const std::vector<int64_t> threads = parse_list(options.threads, "--threads", 0, 4096);
  effective.threads = static_cast<int>(*std::max_element(threads.begin(), threads.end()));
  const DoctorFacts facts = examine(report, use_threads(effective), tolerance, console);
  const std::vector<DoctorRow> rows = diagnose(facts, tolerance);
  report.exit_code = can_resolve(facts, tolerance) ? ExitCode::kDone : ExitCode::kInconclusive;
  report.host = facts.host;
  report.host_noise = noise_json(facts);
  report.details["doctor"] = doctor_json(facts, rows, tolerance);
  for (const DoctorRow& row : rows)
    if (row.health == Health::kWarn)
      report.warnings.push_back({"doctor." + row.id, row.fact, row.advice});
  return finish_run(run, doctor_text(facts, rows, tolerance, console));
}

}  // namespace lathe

// lathe batch: many models through chains of steps, parallel, resumable, in shards.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <exception>
#include <filesystem>
#include <thread>

#include "command_run.h"
#include "commands.h"
#include "commands/batch/job_key.h"
#include "commands/batch/jobs_file.h"
#include "commands/batch/run_job.h"
#include "commands/batch/turns.h"
#include "ir/error.h"
#include "names/targets.h"
#include "os/host.h"
#include "os/quantity.h"
#include "os/signals.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What a job with LibTorch needs at least; more jobs at once would only be ended by the limit.
constexpr int64_t kJobBytes = int64_t{1} << 30;

struct Share {
  int workers = 1;
  int threads = 1;           // of each
  int64_t memory_bytes = 0;  // of each; 0: no limit
  int64_t total_bytes = 0;
};

Share share_of(const CommonOptions& common, size_t jobs) {
  Share share;
  const HostFacts host = host_facts();
  const int threads =
      common.threads > 0 ? common.threads : std::max(1, static_cast<int>(usable_cpus()));
  share.total_bytes = common.max_memory.empty() ? host.mem_bytes.value_or(0) / 10 * 9
                                                : parse_bytes(common.max_memory, "--max-memory");
  int64_t workers = std::min<int64_t>(threads, static_cast<int64_t>(jobs));
  if (share.total_bytes > 0) workers = std::min(workers, share.total_bytes / kJobBytes);
  share.workers = static_cast<int>(std::max<int64_t>(1, workers));
  share.threads = std::max(1, threads / share.workers);
  share.memory_bytes = share.total_bytes / share.workers;
  return share;
}

// One job that never throws for its own sake: what goes wrong is its record.
json attempt(const BatchJob& job, const JobSettings& settings, const Turn& turn, bool fresh) {
  try {
    const std::string key = job_key(job, settings.directory);
    if (!fresh)
      if (json record = finished_record(job, key, settings); !record.is_null()) {
        record["resumed"] = true;
        return record;
      }
    return run_job(job, key, settings, turn);
  } catch (const Error& error) {
    if (interrupted()) throw;
    return {{"name", job.name},
            {"model", job.model},
            {"exit_code", static_cast<int>(error.code())},
            {"steps", json::array()},
            {"error", error.what()}};
  }
}

std::vector<json> run_jobs(const std::vector<BatchJob>& jobs, const JobSettings& settings,
                           const Share& share, bool fresh, Console& console) {
  std::vector<json> records(jobs.size());
  std::vector<std::exception_ptr> failures(static_cast<size_t>(share.workers));
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> done = 0;
  Turns turns;
  const Turn turn = [&](bool alone, const std::function<void()>& work) { turns.run(alone, work); };
  console.progress().start("jobs", static_cast<int64_t>(jobs.size()), "jobs");
  const auto work = [&](size_t worker) {
    try {
      for (size_t i; (i = next++) < jobs.size() && !interrupted();) {
        records[i] = attempt(jobs[i], settings, turn, fresh);
        console.progress().update(++done, jobs[i].name);
      }
    } catch (...) {
      failures[worker] = std::current_exception();
      next = jobs.size();
    }
  };
  std::vector<std::thread> workers;
  for (size_t i = 0; i < failures.size(); ++i) workers.emplace_back(work, i);
  for (std::thread& thread : workers) thread.join();
  console.progress().finish();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  throw_if_interrupted();
  // What the share of memory stopped has all of it once, by itself.
  for (size_t i = 0; i < jobs.size() && share.workers > 1; ++i)
    if (records[i]["exit_code"] == static_cast<int>(ExitCode::kLimit)) {
      JobSettings whole = settings;
      whole.memory_bytes = share.total_bytes;
      whole.threads = settings.threads * share.workers;
      records[i] = attempt(jobs[i], whole, turn, true);
      records[i]["alone"] = true;
    }
  return records;
}

std::string result_text(const json& record) {
  if (record["exit_code"] != 0) {
    const json& steps = record["steps"];
    const std::string why =
        record.value("error", steps.empty() ? "" : steps.back().value("error", ""));
    const std::string at = steps.empty() ? "" : steps.back()["command"].get<std::string>() + ": ";
    return fmt::format("exit {}  {}{}", record["exit_code"].get<int>(), at,
                       escape_untrusted(why, 80));
  }
  return record.value("resumed", false) ? "done before" : "done";
}

double seconds_of(const json& record) {
  double seconds = 0;
  for (const json& step : record["steps"]) seconds += step["duration_s"].get<double>();
  return seconds;
}

// Failures first, then the others; no more than fit on a screen.
std::string records_text(const std::vector<json>& records) {
  constexpr size_t kRows = 24;
  std::vector<std::vector<std::string>> rows{{"job", "seconds", "result"}};
  for (const bool failed : {true, false})
    for (const json& record : records)
      if ((record["exit_code"] != 0) == failed)
        rows.push_back(
            {record["name"], fmt::format("{:.1f}", seconds_of(record)), result_text(record)});
  const size_t left = rows.size() - std::min(rows.size(), kRows);
  rows.resize(rows.size() - left);
  return table(rows) + (left > 0 ? fmt::format("  and {} more\n", left) : "");
}

}  // namespace

int run_batch(const BatchOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  CommandRun run = begin_run("batch", common, console);
  if (common.output.empty())
    throw bad_usage("usage.output", "where should the artifacts go?", "-o", "add -o FOLDER");
  if (target_of_file(common.output) != nullptr)
    throw bad_usage("usage.output", "batch writes a folder, and this is the name of a model file",
                    "-o " + escape_untrusted(common.output),
                    "name a folder; compile steps of the jobs file say \"target\"");
  const JobsFile file = read_jobs(options.jobs);
  const Shard shard = parse_shard(options.shard);
  const std::vector<BatchJob> jobs = jobs_of(file, shard);
  const Share share = share_of(common, jobs.size());
  if (common.dry_run) {
    std::vector<std::vector<std::string>> rows{{"job", "model", "steps"}};
    for (const BatchJob& job : jobs) {
      std::string steps;
      for (const BatchStep& step : job.steps) steps += (steps.empty() ? "" : " ") + step.command;
      rows.push_back({job.name, escape_untrusted(fs::path(job.model).filename().string()), steps});
    }
    return finish_run(run, fmt::format("{} of {} jobs, {} at a time; nothing was run\n",
                                       jobs.size(), file.jobs.size(), share.workers) +
                               table(rows));
  }
  std::error_code failed;
  fs::create_directories(common.output, failed);
  if (failed)
    throw bad_output("output.folder", failed.message(), common.output, "choose another -o FOLDER");
  const JobSettings settings{fs::read_symlink("/proc/self/exe").string(), file.directory,
                             fs::absolute(common.output).string(), share.threads,
                             share.memory_bytes};
  const std::vector<json> records = run_jobs(jobs, settings, share, options.fresh, console);

  int finished = 0;
  int resumed = 0;
  for (const json& record : records) {
    finished += record["exit_code"] == 0 ? 1 : 0;
    resumed += record.value("resumed", false) ? 1 : 0;
  }
  const bool all = finished == static_cast<int>(jobs.size());
  const std::string name = shard.count == 1
                               ? "batch.json"
                               : fmt::format("batch.{}-of-{}.json", shard.index, shard.count);
  const std::string manifest_path = (fs::path(common.output) / name).string();
  const json manifest = {{"schema", "lathe.batch"},
                         {"schema_version", "1.0"},
                         {"lathe_version", run.report.tool.version},
                         {"shard", {{"index", shard.index}, {"count", shard.count}}},
                         {"jobs", records}};
  publish_artifact(run, "batch", manifest_path, manifest.dump(2) + "\n", true);
  run.report.details["batch"] = {{"jobs", jobs.size()},
                                 {"finished", finished},
                                 {"failed", jobs.size() - static_cast<size_t>(finished)},
                                 {"resumed", resumed},
                                 {"workers", share.workers}};
  run.report.exit_code = all ? ExitCode::kDone : ExitCode::kBatchFailed;
  return finish_run(
      run,
      (all ? console.good("all jobs done")
           : console.bad(fmt::format("{} of {} jobs failed",
                                     jobs.size() - static_cast<size_t>(finished), jobs.size()))) +
          fmt::format(": {}  ({} ran, {} were done before, {} at a time)\n", manifest_path,
                      static_cast<int>(jobs.size()) - resumed, resumed, share.workers) +
          records_text(records));
}

}  // namespace lathe

#include "commands/bench/profile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "ir/error.h"
#include "os/host.h"
#include "os/signals.h"
#include "peaks/measured_peaks.h"
#include "report/report.h"
#include "tracing/op_blame.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxOps = 2000;
constexpr int64_t kBriefPeaksNs = 400'000'000;

OpProfileOptions profile_options(int64_t max_ns, double run_ns) {
  OpProfileOptions options;
  options.max_ns = max_ns;
  // Each run is made twice. A model that takes seconds is not run twenty times.
  const double fitting = static_cast<double>(max_ns) / (2 * std::max(run_ns, 1.0));
  options.min_runs = static_cast<size_t>(std::clamp(fitting, 3.0, 10.0));
  return options;
}

OpProfile profile_of(const BenchSubject& subject, const std::optional<Timing>& timing,
                     int64_t max_ns) {
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  const double run_ns =
      timing ? timing->summary.median.value : static_cast<double>(subject.first_inference_ns);
  try {
    return profile_ops(*subject.engine, subject.graph(), subject.input_shapes,
                       profile_options(max_ns, run_ns), conduct);
  } catch (const Error& error) {
    throw error.within(subject.path);
  }
}

MachinePeaks peaks_of(int threads) {
  PeakProbeOptions options;
  options.threads = threads;
  options.budget_ns = kBriefPeaksNs;
  options.caches = cpu_topology().caches;
  const MeasuredPeaks measured = measure_peaks(options);
  MachinePeaks peaks;
  if (const ComputePeak* peak = best_peak(measured, "float32"))
    peaks.float_ops_per_s = 1e9 * peak->all_cores_gops;
  if (const ComputePeak* peak = best_peak(measured, "int8"))
    peaks.integer_ops_per_s = 1e9 * peak->all_cores_gops;
  if (const BandwidthPeak* peak = bandwidth_of(measured, "DRAM"))
    peaks.bytes_per_s = 1e9 * peak->all_cores_copy;
  return peaks;
}

json bottleneck_json(const BottleneckFacts& facts) {
  const std::string reason(facts.reason);
  json out{{"class", bottleneck_name(facts.bottleneck)}};
  put_or_reason(out, "compute_ns", facts.compute_ns, reason);
  put_or_reason(out, "memory_ns", facts.memory_ns, reason);
  put_or_reason(out, "efficiency", facts.efficiency, reason);
  if (!reason.empty()) out["reason"] = reason;
  return out;
}

// Multiply and add are two operations; beyond 63 bits it is not known.
std::optional<int64_t> flops_of(const std::optional<int64_t>& macs) {
  int64_t flops = 0;
  if (!macs || __builtin_mul_overflow(*macs, int64_t{2}, &flops)) return std::nullopt;
  return flops;
}

void put_arithmetic(json& row, const std::optional<int64_t>& macs) {
  put_or_reason(row, "macs", macs, "the op's multiplications are not known");
  put_or_reason(row, "flops", flops_of(macs), "the op's multiplications are not known");
}

json op_json(const OpTime& op, const BottleneckFacts& bottleneck) {
  json row{{"name", escape_untrusted(op.name)},
           {"type", escape_untrusted(op.type)},
           {"calls", op.calls},
           {"total_ns", op.total_ns},
           {"median_ns", op.median_ns},
           {"share", op.share},
           {"bytes", op.cost.bytes()},
           {"bottleneck", bottleneck_json(bottleneck)}};
  put_arithmetic(row, op.cost.macs);
  return row;
}

// What the nodes of one type take.
using ClassTimes = std::map<Bottleneck, double>;
struct TypeSums {
  ClassTimes classes;
  double median_ns = 0;  // of a run
};

// The class that holds the most of the type's time.
Bottleneck weightiest(const ClassTimes& times) {
  return std::max_element(times.begin(), times.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

json peaks_json_of(const MachinePeaks& peaks) {
  json out = json::object();
  const auto put = [&](const char* name, double rate) {
    put_or_reason(out, name, rate > 0 ? std::optional(rate) : std::nullopt, "not measured");
  };
  put("float_ops_per_s", peaks.float_ops_per_s);
  put("integer_ops_per_s", peaks.integer_ops_per_s);
  put("bytes_per_s", peaks.bytes_per_s);
  return out;
}

}  // namespace

void profile_case(BenchRun& run, int64_t max_ns, Console& console) {
  Progress& progress = console.progress();
  progress.start("profiling", 0, "");
  progress.pause();
  run.details.profile = profile_of(run.candidate, run.session.candidate, max_ns);
  if (run.against && !interrupted())
    run.against_details.profile = profile_of(*run.against, run.session.against, max_ns);
  const auto has_ops = [](const CaseDetails& details) {
    return details.profile && !details.profile->ops.empty();
  };
  if (!interrupted() && (has_ops(run.details) || has_ops(run.against_details)))
    run.peaks = peaks_of(run.threads);
  // Rounded products have another peak than the others, and nobody tells which ones those are.
  const auto rounds = [](const BenchSubject& subject) {
    return subject.engine_facts.bfloat16_products > 0;
  };
  if (rounds(run.candidate) || (run.against && rounds(*run.against))) run.peaks.float_ops_per_s = 0;
  progress.resume();
  progress.finish();
}

void put_profile(json& row, const OpProfile& profile, const MachinePeaks& peaks) {
  if (!profile.reason.empty()) {
    row["profile"] = nullptr;
    row["profile_reason"] = profile.reason;
    return;
  }
  json out{{"overhead_ratio", profile.overhead_ratio},
           {"plain_ns", profile.plain_ns},
           {"profiled_ns", profile.profiled_ns},
           {"unattributed_ns", profile.unattributed_ns},
           {"unattributed_share", profile.unattributed_share},
           {"runs", profile.runs},
           {"peaks", peaks_json_of(peaks)},
           {"ops", json::array()},
           {"types", json::array()}};
  std::vector<size_t> slowest = slowest_ops(profile);
  if (slowest.size() > kMaxOps) slowest.resize(kMaxOps);
  const std::set<size_t> kept(slowest.begin(), slowest.end());
  const auto runs = static_cast<double>(profile.runs);
  std::map<std::string, TypeSums> sums;
  for (size_t i = 0; i < profile.ops.size(); ++i) {
    const OpTime& op = profile.ops[i];
    const BottleneckFacts bottleneck = find_bottleneck(op.median_ns, op.cost, peaks);
    TypeSums& sum = sums[op.type];
    sum.classes[bottleneck.bottleneck] += op.total_ns;
    sum.median_ns += op.median_ns * static_cast<double>(op.calls) / runs;
    if (kept.contains(i)) out["ops"].push_back(op_json(op, bottleneck));
  }
  out["omitted_ops"] = profile.ops.size() - kept.size();
  for (const OpTypeTime& type : time_by_type(profile)) {
    json each{{"type", escape_untrusted(type.type)},
              {"nodes", type.nodes},
              {"calls", type.calls},
              {"total_ns", type.total_ns},
              {"median_ns", sums.at(type.type).median_ns},
              {"share", type.share},
              {"bytes", type.bytes},
              {"bottleneck", bottleneck_name(weightiest(sums.at(type.type).classes))}};
    put_arithmetic(each, type.macs);
    out["types"].push_back(std::move(each));
  }
  row["profile"] = std::move(out);
}

void put_blame(json& row, const OpProfile& baseline, const OpProfile& candidate) {
  const OpBlame blame = blame_ops(baseline, candidate);
  if (!blame.reason.empty()) {
    row["op_deltas"] = nullptr;
    row["op_deltas_reason"] = blame.reason;
    return;
  }
  json& ops = row["op_deltas"] = json::array();
  for (const OpDelta& delta : blame.ops) {
    if (ops.size() == kMaxOps) break;
    json& each = ops.emplace_back(json{{"change", op_change_name(delta.change)},
                                       {"name", escape_untrusted(delta.name)},
                                       {"type", escape_untrusted(delta.type)},
                                       {"baseline_ns", delta.baseline_ns},
                                       {"candidate_ns", delta.candidate_ns},
                                       {"delta_ns", delta.delta_ns()}});
    if (!delta.from_type.empty()) each["from_type"] = escape_untrusted(delta.from_type);
    if (!delta.into.empty()) each["into"] = escape_untrusted(delta.into);
  }
  row["omitted_op_deltas"] = blame.ops.size() - ops.size();
  json& types = row["op_type_deltas"] = json::array();
  for (const OpTypeDelta& delta : blame.types) {
    json& each = types.emplace_back(json{{"change", op_change_name(delta.change)},
                                         {"type", escape_untrusted(delta.type)},
                                         {"count", delta.count},
                                         {"baseline_ns", delta.baseline_ns},
                                         {"candidate_ns", delta.candidate_ns},
                                         {"delta_ns", delta.delta_ns()}});
    if (!delta.from_type.empty()) each["from_type"] = escape_untrusted(delta.from_type);
  }
  // Sentences tell of the weightiest types, in the same order.
  json& sentences = row["blame"] = json::array();
  for (size_t i = 0; i < blame.sentences.size(); ++i)
    sentences.push_back(
        {{"sentence", blame.sentences[i]}, {"delta_ns", blame.types[i].delta_ns()}});
  row["unattributed_delta_ns"] = blame.unattributed_ns;
}

}  // namespace lathe

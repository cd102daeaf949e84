#include "heavy/bench/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "heavy/bench/frames.h"
#include "heavy/bench/load_text.h"
#include "heavy/error_rows.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

bool is_interrupted(const json& report) { return !field(report, "error").is_null(); }

const json& candidate_of(const json& report) { return list_field(report, "cases").at(0); }

// The case of --against; null without.
const json& against_of(const json& report) {
  static const json nothing;
  const json& cases = list_field(report, "cases");
  return cases.size() > 1 ? cases[1] : nothing;
}

const json& compared_of(const json& report) {
  static const json nothing;
  const json& cases = list_field(field(report, "comparison"), "cases");
  return cases.empty() ? nothing : cases[0];
}

std::string metric_value(const std::string& metric, const json& row, const char* key) {
  const auto value = number_field(row, key);
  if (!value) {
    const std::string reason = text_field(row, std::string(key) + "_reason");
    return reason.starts_with("infinite") ? "equal" : "-";
  }
  if (metric == "sqnr") return decibel_text(*value);
  return metric_is_share(metric) ? fmt::format("{:.3f}", *value) : fmt::format("{:.4g}", *value);
}

// "top1 −0.3 points", "agreement 0.985", "sqnr 31.2 dB".
std::string quality_text(const json& row) {
  const std::string metric = text_field(row, "metric");
  const auto before = number_field(row, "before");
  const auto after = number_field(row, "after");
  if (!before || !after || !metric_is_share(metric))
    return metric + " " + metric_value(metric, row, "after");
  const double points = 100 * (*after - *before);
  if (std::fabs(points) < 0.005) return metric + " ±0 points";
  return fmt::format("{} {}{:.2g} points", metric, points < 0 ? "−" : "+", std::fabs(points));
}

std::string headline(const json& report, const Console& console) {
  std::vector<std::string> parts;
  const std::string gates = gates_verdict(report, console);
  if (is_interrupted(report))
    parts.push_back(console.bad("INTERRUPTED: what was measured so far"));
  else if (!gates.empty())
    parts.push_back(gates);
  const json& one = candidate_of(report);
  const json& latency = field(one, "latency");
  const std::string speed = speed_sentence(compared_of(report));
  if (!speed.empty()) {
    parts.push_back(console.bold(speed));
  } else if (const auto median = number_field(latency, "median")) {
    std::string text = "median " + duration_text(*median);
    if (const auto ci = interval_field(field(latency, "median")))
      text += fmt::format(" (CI {}–{})", duration_text(ci->first), duration_text(ci->second));
    parts.push_back(console.bold(text));
    if (const auto rate = number_field(field(one, "throughput"), "items_per_s"))
      parts.push_back(fmt::format("{:.4g} items/s", *rate));
  }
  const std::string change =
      change_text_of(field(against_of(report), "size_bytes"), field(one, "size_bytes"));
  if (change != "–") parts.push_back("size " + change);
  const json& quality = list_field(report, "quality");
  if (!quality.empty()) parts.push_back(quality_text(quality[0]));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " · ") + part;
  return text + "\n\n";
}

std::string time_cell(double ns) { return duration_text(ns); }
std::string rate_cell(double rate) { return fmt::format("{:.4g}/s", rate); }

// One row a figure: the candidate, and with --against the other and the change.
class Figures {
 public:
  explicit Figures(const json& report)
      : one_(candidate_of(report)), against_(against_of(report)), both_(!against_.is_null()) {
    const std::string name =
        escape_untrusted(text_field(field(report, "model"), "path_basename"), 32);
    if (!both_) {
      rows_ = {{"", name}};
      return;
    }
    const json& other = field(field(report, "models"), "against");
    rows_ = {{"", "against", "model", "change"},
             {"", escape_untrusted(text_field(other, "path_basename"), 32), name, ""}};
  }

  /// `compared`: whether the two columns may be compared. Times may not: the rows were measured one
  /// after the other, and the machine changes meanwhile; the headline's ratio alternates them.
  void add(const std::string& label, const std::vector<const char*>& path,
           std::string (*shown)(double), bool compared) {
    add(label, at(one_, path), at(against_, path), shown, compared);
  }
  void add(const std::string& label, const json& model, const json& against,
           std::string (*shown)(double), bool compared) {
    const auto here = number_of(model);
    const auto there = number_of(against);
    if (!here && !there) return;
    Row row{label};
    if (both_) row.push_back(there ? shown(*there) : "-");
    row.push_back(here ? shown(*here) : "-");
    if (both_) row.push_back(compared && here && there ? change_text_of(against, model) : "");
    rows_.push_back(std::move(row));
  }
  void add_text(const std::string& label, const std::string& model, const std::string& against,
                const std::string& change) {
    rows_.push_back(both_ ? Row{label, against, model, change} : Row{label, model});
  }
  const json& one() const { return one_; }
  const json& against() const { return against_; }
  std::string text() const { return table(rows_); }

 private:
  static const json& at(const json& row, const std::vector<const char*>& path) {
    const json* found = &row;
    for (const char* key : path) found = &field(*found, key);
    return *found;
  }

  const json& one_;
  const json& against_;
  bool both_;
  std::vector<Row> rows_;
};

const json& percentile_of(const json& row, double p) {
  static const json nothing;
  for (const json& each : list_field(field(row, "latency"), "percentiles"))
    if (number_field(each, "p") == p) return field(each, "value");
  return nothing;
}

std::string figures_text(const json& report) {
  Figures figures(report);
  figures.add("median", {"latency", "median"}, time_cell, false);
  for (const json& each : list_field(field(figures.one(), "latency"), "percentiles")) {
    const double p = number_field(each, "p").value_or(0);
    if (p > 0.5)
      figures.add(fmt::format("p{:g}", 100 * p), percentile_of(figures.one(), p),
                  percentile_of(figures.against(), p), time_cell, false);
  }
  figures.add("min", {"latency", "min"}, time_cell, false);
  figures.add("throughput", {"throughput", "items_per_s"}, rate_cell, false);
  figures.add("file", {"size_bytes"}, bytes_cell, true);
  figures.add("weights", {"weights_bytes"}, bytes_cell, true);
  figures.add("arena", {"memory", "arena_planned_bytes"}, bytes_cell, true);
  figures.add("peak memory", {"memory", "hwm_bytes"}, bytes_cell, true);
  for (const json& row : list_field(report, "quality")) {
    const std::string metric = text_field(row, "metric");
    const auto drop = number_field(row, "drop");
    std::string change;
    if (drop && number_field(row, "before") && metric_is_share(metric))
      change = fmt::format("{:+.2f} points", -100 * *drop);
    figures.add_text(fmt::format("{} ({:.0f})", metric, number_field(row, "samples").value_or(0)),
                     metric_value(metric, row, "after"), metric_value(metric, row, "before"),
                     change);
  }
  return figures.text();
}

bool has_integer_arithmetic(const json& model) {
  return field(model, "ops").contains("QuantizeLinear") ||
         field(model, "ops").contains("DequantizeLinear");
}

std::vector<std::string> hints(const json& report) {
  std::vector<std::string> found;
  const json& one = candidate_of(report);
  const std::string note = text_field(compared_of(report), "note");
  if (!note.empty() && !is_interrupted(report))
    found.push_back(note + "; give it more time (--max-time) or a quieter machine");
  if (const std::string hint = engine_hint(report); !hint.empty()) found.push_back(hint);
  if (field(field(field(one, "phases"), "warmup"), "converged") == false)
    found.emplace_back("warm-up did not settle: the times may still be moving");
  for (const json& each : list_field(field(one, "latency"), "percentiles"))
    if (!number_field(each, "value")) {
      found.push_back(fmt::format("p{:g} is withheld: {}",
                                  100 * number_field(each, "p").value_or(0),
                                  text_field(each, "reason")));
      break;
    }
  const json& inputs = list_field(report, "inputs");
  if (!inputs.empty() && text_field(inputs[0], "source").starts_with("random") &&
      !list_field(report, "quality").empty())
    found.emplace_back("accuracy on random inputs says little; give --data");
  if (found.size() > 3) found.resize(3);
  return found;
}

std::string time_of(const json& object, const char* key) {
  return duration_text(number_field(object, key).value_or(0));
}

std::string conduct_text(const json& report) {
  const json& one = candidate_of(report);
  const json& samples = field(one, "samples");
  const std::string threads = count_text(field(one, "threads"), "effective");
  std::string text = fmt::format("\n  {}, {} thread{}", text_field(one, "engine"), threads,
                                 threads == "1" ? "" : "s");
  if (const json& inputs = list_field(report, "inputs"); !inputs.empty())
    text +=
        fmt::format(", {} {} inputs", count_text(inputs[0], "count"),
                    text_field(inputs[0], "source").starts_with("random") ? "random" : "distinct");
  if (number_field(samples, "n").value_or(0) > 0) {
    text += fmt::format(", {} samples in {} ({})", count_text(samples, "n"),
                        time_of(samples, "time_ns"), text_field(samples, "stop_reason"));
    if (const double processes = number_field(samples, "n_processes").value_or(1); processes > 1) {
      text += fmt::format(" of {:.0f} processes", processes);
      if (const auto spread = number_field(samples, "process_spread"))
        text += fmt::format(" that differ by {}", percent_text(*spread));
    }
  }
  const json& compared = compared_of(report);
  if (const auto pairs = number_field(compared, "pairs"))
    text += fmt::format("\n  compared in {:.0f} pairs of blocks, in alternation", *pairs);
  else if (text_field(field(report, "comparison"), "mode") == "cross_run")
    text += "\n  compared with a stored run of another time";
  const json& phases = field(one, "phases");
  text += fmt::format("\n  load {}, prepare {}, first inference {}", time_of(phases, "load_ns"),
                      time_of(phases, "compile_ns"), time_of(phases, "first_inference_ns"));
  if (const json& warm = field(phases, "warmup"); warm.is_object())
    text +=
        fmt::format(", warm-up {} in {}", count_text(warm, "iterations"), time_of(warm, "time_ns"));
  if (const json& products = field(one, "bfloat16_products"); products.is_number())
    text += fmt::format("\n  {} float products rounded to bfloat16", products.get<int64_t>());
  if (const json& parts = field(one, "batch_parts"); parts.is_number())
    text += fmt::format("\n  the batch runs in {} parts, which threads take one by one",
                        parts.get<int64_t>());
  if (const json& runs = field(one, "lone_runs"); runs.is_number())
    text += fmt::format("\n  {} runs on one thread, as more had taken longer",
                        count_text(one, "lone_runs"));
  if (const json& left = field(one, "interpreted"); left.is_object()) {
    std::string ops;
    for (const auto& [op, count] : left.at("nodes").items())
      ops += fmt::format("{}{} {}", ops.empty() ? "" : ", ", count.get<int64_t>(),
                         escape_untrusted(op));
    text += fmt::format("\n  without a native kernel: {} ({:.0f} % of a run)", ops,
                        100 * left.at("share").get<double>());
  }
  return text + "\n";
}

}  // namespace

std::string bytes_cell(double bytes) { return bytes_text(std::llround(bytes)); }

std::string count_text(const json& object, const char* key) {
  return fmt::format("{:.0f}", number_field(object, key).value_or(0));
}

std::string engine_hint(const json& report) {
  if (text_field(candidate_of(report), "engine") != kInterpreterEngine) return {};
  return has_integer_arithmetic(field(report, "model"))
             ? "the interpreter is lathe's reference engine: it computes quantized models "
               "in float, so its times say nothing of an int8 runtime"
             : "the interpreter is lathe's reference engine, not the runtime that you deploy";
}

std::string gates_verdict(const json& report, const Console& console) {
  const json& gates = list_field(report, "gates");
  const auto count = [&gates](const char* verdict) {
    return std::count_if(gates.begin(), gates.end(),
                         [verdict](const json& gate) { return field(gate, "verdict") == verdict; });
  };
  const auto judged = static_cast<std::ptrdiff_t>(gates.size()) - count("skipped");
  if (judged == 0) return {};
  const char* noun = judged == 1 ? "gate" : "gates";
  if (const auto failed = count("fail"); failed > 0)
    return console.bad(fmt::format("FAIL {}/{} {} missed", failed, judged, noun));
  if (const auto undecided = count("inconclusive"); undecided > 0)
    return console.bad(fmt::format("INCONCLUSIVE {}/{} {} undecided", undecided, judged, noun));
  return console.good(fmt::format("PASS {}/{} {}", judged, judged, noun));
}

std::string gates_table(const json& report, const Console& console) {
  const json& gates = list_field(report, "gates");
  if (gates.empty()) return {};
  const bool has_cases = std::any_of(gates.begin(), gates.end(), [](const json& gate) {
    return text_field(gate, "case") != "single" && !text_field(gate, "case").empty();
  });
  std::vector<Row> rows{{"", "gate", "observed", ""}};
  if (has_cases) rows[0].insert(rows[0].begin() + 2, "case");
  for (const json& gate : gates) {
    const std::string verdict = text_field(gate, "verdict");
    std::string observed = "-";
    if (const auto value = number_field(gate, "observed")) observed = gate_value_text(gate, *value);
    if (const auto ci = interval_field(gate))
      observed += fmt::format(" ({}–{})", gate_value_text(gate, ci->first),
                              gate_value_text(gate, ci->second));
    Row row{verdict == "pass" ? console.good(verdict) : console.bad(verdict),
            text_field(gate, "id"), observed, text_field(gate, "reason")};
    if (has_cases) row.insert(row.begin() + 2, text_field(gate, "case"));
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string bench_text(const json& report, const Console& console) {
  if (is_load_row(candidate_of(report))) return load_text(report, console);
  std::string text = headline(report, console) + figures_text(report);
  text += frames_text(candidate_of(report));
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += "\n" + gates;
  text += conduct_text(report);
  for (const std::string& hint : hints(report)) text += console.dim("  hint: " + hint) + "\n";
  return text;
}

}  // namespace lathe

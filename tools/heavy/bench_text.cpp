#include "heavy/bench_text.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/gate_text.h"
#include "heavy/bench_quality.h"
#include "heavy/error_rows.h"
#include "heavy/model_data.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using Row = std::vector<std::string>;

std::string value_text(Metric metric, const std::optional<double>& value) {
  if (metric == Metric::kSqnr && value) return decibel_text(*value);
  return metric_text(metric, value);
}

// "top1 −0.3 points", "agreement 0.985", "sqnr 31.2 dB".
std::string quality_text(const MetricPair& pair) {
  const std::string name(metric_name(pair.metric));
  if (!needs_labels(pair.metric) || !pair.before || !pair.after)
    return name + " " + value_text(pair.metric, pair.after);
  const double points = 100 * (*pair.after - *pair.before);
  const char* sign = std::fabs(points) < 0.005 ? "±" : points < 0 ? "−" : "+";
  return fmt::format("{} {}{:.2g} points", name, sign,
                     std::fabs(points) < 0.005 ? 0 : std::fabs(points));
}

std::string headline(const BenchRun& run, const Console& console) {
  std::vector<std::string> parts;
  const std::string gates = gates_text(run.gates);
  if (run.interrupted)
    parts.push_back(console.bad("INTERRUPTED: what was measured so far"));
  else if (!gates.empty())
    parts.push_back(gates.starts_with("PASS") ? console.good(gates) : console.bad(gates));
  const Session& session = run.session;
  if (session.comparison) {
    parts.push_back(console.bold(speed_text(*session.comparison)));
  } else if (session.candidate) {
    const Timing& timing = *session.candidate;
    std::string median = "median " + duration_text(timing.summary.median.value);
    if (timing.summary.median.ci95)
      median += fmt::format(" (CI {}–{})", duration_text(timing.summary.median.ci95->low),
                            duration_text(timing.summary.median.ci95->high));
    parts.push_back(console.bold(median));
    parts.push_back(fmt::format("{:.4g} items/s", timing.throughput.items_per_s));
  }
  if (run.against && run.against->size_bytes && run.candidate.size_bytes)
    parts.push_back("size " + change_text(static_cast<double>(*run.against->size_bytes),
                                          static_cast<double>(*run.candidate.size_bytes)));
  if (!run.metrics.empty()) parts.push_back(quality_text(run.metrics[0]));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " · ") + part;
  return text + "\n\n";
}

// One row a figure: the candidate, and with --against the other and the change.
class Figures {
 public:
  explicit Figures(const BenchRun& run) : both_(run.against.has_value()) {
    const std::string name = escape_untrusted(run.candidate.facts.path_basename, 32);
    rows_.push_back(both_ ? Row{"", "against", "model", "change"} : Row{"", name});
    if (both_)
      rows_.push_back({"", escape_untrusted(run.against->facts.path_basename, 32), name, ""});
  }

  /// `compared`: whether the two columns may be compared. Times may not: the rows were measured one
  /// after the other, and the machine changes meanwhile; the headline's ratio alternates them.
  template <class Value, class Text>
  void add(const std::string& label, const std::optional<Value>& model,
           const std::optional<Value>& against, const Text& text, bool compared = true) {
    if (!model && !against) return;
    Row row{label};
    if (both_) row.push_back(against ? text(*against) : "-");
    row.push_back(model ? text(*model) : "-");
    if (both_)
      row.push_back(compared && model && against
                        ? change_text(static_cast<double>(*against), static_cast<double>(*model))
                        : "");
    rows_.push_back(std::move(row));
  }
  void add_text(const std::string& label, const std::string& model, const std::string& against,
                const std::string& change) {
    rows_.push_back(both_ ? Row{label, against, model, change} : Row{label, model});
  }
  bool both() const { return both_; }
  std::string text() const { return table(rows_); }

 private:
  bool both_;
  std::vector<Row> rows_;
};

std::optional<double> percentile(const std::optional<Timing>& timing, size_t index) {
  if (!timing) return std::nullopt;
  return timing->summary.percentiles.at(index).value;
}

void add_times(Figures& figures, const BenchRun& run) {
  const std::optional<Timing>& model = run.session.candidate;
  const std::optional<Timing>& against = run.session.against;
  if (!model) return;
  const auto time = [](double ns) { return duration_text(ns); };
  const auto of = [](const std::optional<Timing>& timing, auto field) {
    return timing ? std::optional<double>(field(*timing)) : std::nullopt;
  };
  const auto row = [&](const std::string& label, auto field) {
    figures.add(label, of(model, field), of(against, field), time, false);
  };
  row("median", [](const Timing& t) { return t.summary.median.value; });
  for (size_t i = 0; i < model->summary.percentiles.size(); ++i) {
    const double p = model->summary.percentiles[i].p;
    if (p > 0.5)
      figures.add(fmt::format("p{:g}", 100 * p), percentile(model, i), percentile(against, i), time,
                  false);
  }
  row("min", [](const Timing& t) { return t.summary.min; });
  figures.add(
      "throughput", of(model, [](const Timing& t) { return t.throughput.items_per_s; }),
      of(against, [](const Timing& t) { return t.throughput.items_per_s; }),
      [](double rate) { return fmt::format("{:.4g}/s", rate); }, false);
}

std::string figures_text(const BenchRun& run) {
  Figures figures(run);
  add_times(figures, run);
  const BenchSubject* against = run.against ? &*run.against : nullptr;
  const auto bytes = [&](const std::string& label, auto field) {
    using Value = std::optional<int64_t>;
    figures.add(label, Value(field(run.candidate)), against ? Value(field(*against)) : Value(),
                [](int64_t value) { return bytes_text(value); });
  };
  bytes("file", [](const BenchSubject& s) { return std::optional(s.facts.file_bytes); });
  bytes("weights", [](const BenchSubject& s) { return s.facts.weights_bytes; });
  bytes("arena", [](const BenchSubject& s) { return s.arena_bytes; });
  bytes("peak memory", [](const BenchSubject& s) { return s.peak.value; });
  for (const MetricPair& pair : run.metrics) {
    const std::optional<double> drop = quality_drop(pair);
    const bool in_points = needs_labels(pair.metric);
    std::string change;
    if (drop && in_points) change = fmt::format("{:+.2f} points", -100 * *drop);
    figures.add_text(fmt::format("{} ({})", metric_name(pair.metric), pair.items),
                     value_text(pair.metric, pair.after), value_text(pair.metric, pair.before),
                     change);
  }
  return figures.text();
}

std::string gate_rows_text(const BenchRun& run, const Console& console) {
  std::vector<Row> rows{{"", "gate", "observed", ""}};
  for (const GateResult& result : run.gates) {
    const std::string verdict(gate_verdict_name(result.verdict));
    std::string observed = result.observed ? gate_value_text(result.gate, *result.observed) : "-";
    if (result.ci95)
      observed += fmt::format(" ({}–{})", gate_value_text(result.gate, result.ci95->low),
                              gate_value_text(result.gate, result.ci95->high));
    rows.push_back(
        {result.verdict == GateVerdict::kPass ? console.good(verdict) : console.bad(verdict),
         escape_untrusted(result.gate.text), observed, result.reason});
  }
  std::string text = "\n";
  return text += table(rows);
}

bool has_integer_arithmetic(const ModelFacts& facts) {
  return facts.ops.contains("QuantizeLinear") || facts.ops.contains("DequantizeLinear");
}

std::vector<std::string> hints(const BenchRun& run) {
  std::vector<std::string> found;
  const Session& session = run.session;
  if (session.comparison && !session.comparison->note.empty() && !run.interrupted)
    found.push_back(session.comparison->note +
                    "; give it more time (--max-time) or a quieter "
                    "machine");
  if (run.candidate.engine->name() == "interpreter")
    found.emplace_back(
        has_integer_arithmetic(run.candidate.facts)
            ? "the interpreter is lathe's reference engine: it computes quantized models "
              "in float, so its times say nothing of an int8 runtime"
            : "the interpreter is lathe's reference engine, not the runtime that you "
              "deploy");
  if (session.candidate && !session.candidate->warm_up.converged)
    found.emplace_back("warm-up did not settle: the times may still be moving");
  if (session.candidate)
    for (const Percentile& percentile : session.candidate->summary.percentiles)
      if (!percentile.value) {
        found.push_back(
            fmt::format("p{:g} is withheld: {}", 100 * percentile.p, percentile.reason));
        break;
      }
  if (run.inputs.random && !run.metrics.empty())
    found.emplace_back("accuracy on random inputs says little; give --data");
  if (found.size() > 3) found.resize(3);
  return found;
}

}  // namespace

std::string bench_text(const BenchRun& run, const Console& console) {
  std::string text = headline(run, console) + figures_text(run);
  if (!run.gates.empty()) text += gate_rows_text(run, console);
  const Session& session = run.session;
  text += fmt::format("\n  {}, {} thread{}, {} {} inputs", run.candidate.engine->name(),
                      run.threads, run.threads == 1 ? "" : "s", run.inputs.pool,
                      run.inputs.random ? "random" : "distinct");
  if (session.candidate)
    text += fmt::format(", {} samples in {} ({})", session.candidate->summary.n,
                        duration_text(static_cast<double>(session.candidate->samples.time_ns)),
                        stop_reason_name(session.candidate->samples.stop_reason));
  text += fmt::format("\n  load {}, prepare {}, first inference {}",
                      duration_text(static_cast<double>(run.candidate.load_ns)),
                      duration_text(static_cast<double>(run.candidate.compile_ns)),
                      duration_text(static_cast<double>(run.candidate.first_inference_ns)));
  if (session.candidate)
    text += fmt::format(", warm-up {} in {}", session.candidate->warm_up.iterations,
                        duration_text(static_cast<double>(session.candidate->warm_up.time_ns)));
  text += "\n";
  for (const std::string& hint : hints(run)) text += console.dim("  hint: " + hint) + "\n";
  return text;
}

}  // namespace lathe

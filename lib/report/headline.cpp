#include "report/headline.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

bool is_latency(std::string_view metric) {
  return is_one_of(metric,
                   {"min", "mean", "median", "std", "max", "latency", "first_inference", "load"}) ||
         (metric.size() > 1 && metric[0] == 'p' && metric[1] >= '0' && metric[1] <= '9');
}

// What an operator that got slower explains.
bool metric_is_time(std::string_view metric) {
  return is_latency(metric) || is_one_of(metric, {"speedup", "throughput", "goodput"});
}

int rank(const json& gate) {
  const std::string verdict = text_field(gate, "verdict");
  if (verdict == "fail") return 0;
  return verdict == "inconclusive" ? 1 : 2;
}

// How far past its limit, as a share of it; a gate without a figure is beyond all others.
double excess(const json& gate) {
  const auto observed = number_field(gate, "observed");
  const auto limit = number_field(gate, "limit");
  if (!observed || !limit) return HUGE_VAL;
  return std::fabs(*observed - *limit) / std::max(std::fabs(*limit), 1e-12);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += (text.empty() ? "" : " · ") + part;
  return text;
}

std::string gates_sentence(const json& gates) {
  if (gates.empty()) return {};
  const auto count = [&gates](const char* verdict) {
    return std::count_if(gates.begin(), gates.end(),
                         [verdict](const json& gate) { return field(gate, "verdict") == verdict; });
  };
  const char* noun = gates.size() == 1 ? "gate" : "gates";
  const auto simulated = [&gates](const char* verdict) {
    const auto n = std::count_if(gates.begin(), gates.end(), [verdict](const json& gate) {
      return field(gate, "verdict") == verdict && field(gate, "simulated") == true;
    });
    return n > 0 ? fmt::format(" ({} simulated)", n) : std::string();
  };
  if (const auto n = count("fail"); n > 0)
    return fmt::format("{} of {} {} missed{}", n, gates.size(), noun, simulated("fail"));
  if (const auto n = count("inconclusive"); n > 0)
    return fmt::format("{} of {} {} undecided", n, gates.size(), noun);
  if (const auto n = count("skipped"); n > 0)
    return fmt::format("{} of {} {} skipped", n, gates.size(), noun);
  return fmt::format("{} {} passed{}", gates.size(), noun, simulated("pass"));
}

// Of the ratios: a number, {"ratio": 0.9} or {"ratio": {"value": 0.9}}.
std::optional<double> geometric_mean(const json& value) {
  const auto ratio = number_field(value, "ratio");
  return ratio ? ratio : number_of(value);
}

std::string quality_sentence(const json& row) {
  const std::string metric = text_field(row, "metric");
  const auto before = number_field(row, "before");
  const auto after = number_field(row, "after");
  if (metric.empty() || !after) return {};
  if (!metric_is_share(metric)) return fmt::format("{} {:.4g}", metric, *after);
  if (!before) return fmt::format("{} {:.4g}", metric, *after);
  const double points = 100 * (*after - *before);
  if (std::fabs(points) < 0.005) return metric + " ±0 points";
  return fmt::format("{} {}{:.2g} points", metric, points < 0 ? "−" : "+", std::fabs(points));
}

// Of prune: the row that stands for all. Measured rather than simulated, and of the engine that
// runs the pruned model fastest; null where no row has a speed-up.
const json& main_latency(const json& report) {
  static const json nothing;
  const auto key = [](const json& row) {
    return std::pair(field(row, "simulated") == true,
                     number_field(row, "after_ns").value_or(HUGE_VAL));
  };
  const json* best = nullptr;
  for (const json& row : list_field(report, "latency"))
    if (number_field(row, "speedup") && (best == nullptr || key(row) < key(*best))) best = &row;
  return best != nullptr ? *best : nothing;
}

// "1.62x faster (CI 1.55–1.7)", "1.8x faster (simulated)"; empty without a speed-up.
std::string prune_speed_sentence(const json& row) {
  const auto speedup = number_field(row, "speedup");
  if (!speedup || *speedup <= 0) return {};
  const auto ci = interval_field(row);
  std::string text = fmt::format("{:.3g}x faster", *speedup);
  if (ci && ci->first <= 1 && ci->second >= 1)
    text = fmt::format("speed undecided: {:.3g}x", *speedup);
  else if (*speedup < 1)
    text = fmt::format("{:.3g}x slower", 1 / *speedup);
  if (ci && ci->first > 0 && (*speedup >= 1 || ci->second >= 1))
    text += fmt::format(" (CI {:.3g}–{:.3g})", ci->first, ci->second);
  return text + (field(row, "simulated") == true ? " (simulated)" : "");
}

// "multiply-adds −50 % · 1.62x faster (CI 1.55–1.7)"; of a plan alone what it would remove.
std::string prune_outcome(const json& report) {
  const json& sizes = field(report, "sizes");
  const json& plan = field(report, "plan");
  std::vector<std::string> parts;
  if (const std::string change = change_text_of(field(field(sizes, "before"), "macs"),
                                                field(field(sizes, "after"), "macs"));
      change != "–" && change != "±0 %")
    parts.push_back("multiply-adds " + change);
  double elements = 0;
  double zeros = 0;
  for (const json& row : list_field(plan, "weights")) {
    elements += number_field(row, "elements").value_or(0);
    zeros += number_field(row, "zeros").value_or(0);
  }
  if (zeros > 0 && elements > 0) {
    parts.push_back(fmt::format("{}{:.3g} % of weights zero",
                                sizes.is_object() ? "" : "plan: ", 100 * zeros / elements));
    if (const std::string change = change_text_of(field(field(sizes, "before"), "compressed_bytes"),
                                                  field(field(sizes, "after"), "compressed_bytes"));
        change != "–")
      parts.push_back("compressed " + change);
  }
  if (!sizes.is_object()) {
    double channels = 0;
    double removed = 0;
    for (const json& row : list_field(plan, "groups")) {
      channels += number_field(row, "size").value_or(0);
      removed += number_field(row, "removed").value_or(0);
    }
    if (channels > 0)
      parts.push_back(fmt::format("plan: {:.0f} of {:.0f} channels go", removed, channels));
  }
  parts.push_back(prune_speed_sentence(main_latency(report)));
  return joined(parts);
}

// The quality of prune's last stage where no row of `quality` says it.
std::string stages_sentence(const json& stages) {
  if (stages.size() < 2) return {};
  return quality_sentence({{"metric", field(stages.back(), "metric")},
                           {"before", field(stages.front(), "value")},
                           {"after", field(stages.back(), "value")}});
}

// A sentence for subcommands that measure no time.
std::string outcome(const json& report) {
  const std::string command = text_field(field(report, "run"), "command");
  if (command == "quantize") return text_field(field(report, "quantize"), "coverage");
  if (command == "prune" || command == "distill") return prune_outcome(report);
  if (command != "compile") return {};
  const json& verification = field(report, "verification");
  if (!verification.is_object()) return "not verified";
  return field(verification, "verified") == true ? "verified" : "not verified";
}

// "8 cases, least median 3.27 ms (int8/batch1/threads1/torchscript)".
std::string best_case(const json& cases) {
  const json* best = nullptr;
  const auto median = [](const json& row) { return number_field(field(row, "latency"), "median"); };
  for (const json& row : cases)
    if (median(row) && (best == nullptr || *median(row) < *median(*best))) best = &row;
  std::string text = fmt::format("{} cases", cases.size());
  if (best != nullptr)
    text += fmt::format(", least median {} ({})", duration_text(*median(*best)),
                        text_field(*best, "id"));
  return text;
}

}  // namespace

std::string verdict_word(const json& report) {
  const std::string verdict = text_field(report, "verdict");
  if (verdict == "pass") return "PASS";
  if (verdict == "fail") return "FAIL";
  if (verdict == "inconclusive") return "INCONCLUSIVE";
  return verdict == "error" ? "ERROR" : "UNKNOWN";
}

std::string change_text_of(const json& before, const json& after) {
  const auto b = number_of(before);
  const auto a = number_of(after);
  if (!a || !b || *b == 0) return "–";
  const double percent = 100 * (*a / *b - 1);
  const double shown = std::fabs(percent);
  if (!std::isfinite(percent)) return "–";
  if (shown < 0.05) return "±0 %";
  return fmt::format("{}{:.{}f} %", percent < 0 ? "−" : "+", shown, shown < 10 ? 1 : 0);
}

std::string speed_sentence(const json& row) {
  const auto ratio = number_field(row, "ratio");
  if (!ratio || *ratio <= 0) return {};
  const auto ci = interval_field(field(row, "ratio"));
  const std::string verdict = text_field(row, "verdict");
  const bool slower = verdict == "regressed";
  std::string interval;
  if (ci && ci->first > 0)
    interval = slower ? fmt::format(" (CI {:.3g}–{:.3g})", ci->first, ci->second)
                      : fmt::format(" (CI {:.3g}–{:.3g})", 1 / ci->second, 1 / ci->first);
  if (slower) return fmt::format("{:.3g}x slower{}", *ratio, interval);
  const std::string speedup = fmt::format("{:.3g}x", 1 / *ratio);
  if (verdict == "improved") return fmt::format("{} faster{}", speedup, interval);
  if (verdict == "pass") return fmt::format("not slower: {}{}", speedup, interval);
  return fmt::format("speed undecided: {}{}", speedup, interval);
}

std::string report_headline(const json& report) {
  std::vector<std::string> parts;
  if (const json& error = field(report, "error"); error.is_object()) {
    const std::string where = text_field(error, "where");
    parts.push_back(where + (where.empty() ? "" : ": ") + text_field(error, "message"));
  } else {
    parts.push_back(gates_sentence(list_field(report, "gates")));
    const json& compared = list_field(field(report, "comparison"), "cases");
    const json& cases = list_field(report, "cases");
    if (compared.size() == 1) {
      parts.push_back(speed_sentence(compared[0]));
    } else if (const auto mean = geometric_mean(field(field(report, "comparison"), "geomean"));
               mean && *mean > 0) {
      parts.push_back(fmt::format("{:.3g}x {} over {} cases (geometric mean)",
                                  *mean > 1 ? *mean : 1 / *mean, *mean > 1 ? "slower" : "faster",
                                  compared.size()));
    } else if (cases.size() == 1) {
      const json& counted = field(cases[0], "emulated");
      if (const auto instructions = number_field(counted, "instructions"))
        parts.push_back(fmt::format("{:.4g} M instructions", *instructions / 1e6));
      constexpr std::pair<const char*, const char*> kSizes[] = {{"ram_bytes", "RAM"},
                                                                {"flash_bytes", "flash"}};
      for (const auto& [key, name] : kSizes)
        if (const auto bytes = number_field(counted, key))
          parts.push_back(fmt::format("{} {}", name, bytes_text(static_cast<int64_t>(*bytes))));
      if (const auto median = number_field(field(cases[0], "latency"), "median"))
        parts.push_back("median " + duration_text(*median));
      if (const auto rate = number_field(field(cases[0], "throughput"), "items_per_s"))
        parts.push_back(fmt::format("{:.4g} items/s", *rate));
    } else if (compared.empty() && cases.size() > 1) {
      parts.push_back(best_case(cases));
    }
    parts.push_back(outcome(report));
    if (const std::string change = change_text_of(field(model_before(report), "file_bytes"),
                                                  field(model_after(report), "file_bytes"));
        change != "–")
      parts.push_back("size " + change);
    if (const json& quality = list_field(report, "quality"); !quality.empty())
      parts.push_back(quality_sentence(quality[0]));
    else
      parts.push_back(stages_sentence(list_field(report, "stages")));
  }
  std::string text = joined(parts);
  if (text.empty()) text = "lathe " + text_field(field(report, "run"), "command");
  return text;
}

std::string gate_value_text(const json& gate, double value) {
  const std::string metric = text_field(gate, "metric");
  const std::string unit = text_field(gate, "unit");
  if (unit == "of_against") return percent_text(value);
  if (unit == "dB") return fmt::format("{:.1f} dB", value);
  if (unit == "J") return fmt::format("{:.4g} mJ", 1e3 * value);
  if (unit == "count") return grouped_text(value);
  if (unit == "C") return fmt::format("{:.1f} \u00b0C", value);
  const bool counts_bytes =
      unit == "bytes" || is_one_of(metric, {"size", "weights", "arena", "peak_memory"});
  if (counts_bytes && std::fabs(value) < 4e18) return bytes_text(std::llround(value));
  if (is_latency(metric)) return duration_text(value);
  if (metric == "speedup") return fmt::format("{:.3g}x", value);
  if (is_one_of(metric, {"throughput", "goodput"})) return fmt::format("{:.4g}/s", value);
  if (is_one_of(metric, {"accuracy", "coverage", "cpu", "slowdown"}))
    return fmt::format("{:.4g} %", 100 * value);
  if (metric == "accuracy_drop") return fmt::format("{:.3g} points", 100 * value);
  return fmt::format("{:.5g}", value);
}

std::string observed_text(const json& gate) {
  const auto observed = number_field(gate, "observed");
  if (!observed) return "-";
  return gate_value_text(gate, *observed) +
         (field(gate, "simulated") == true ? " (simulated)" : "");
}

std::string blame_of(const json& report, const json& id) {
  for (const json& row : list_field(field(report, "comparison"), "cases")) {
    if (!id.is_null() && field(row, "id") != id) continue;
    for (const BlameSentence& blame : blame_sentences(row))
      if (blame.delta_ns && *blame.delta_ns > 0) return blame.text;
    const json* worst = nullptr;
    double most = 0;
    for (const json& delta : list_field(row, "op_deltas"))
      if (const auto ns = number_field(delta, "delta_ns"); ns && *ns > most) {
        most = *ns;
        worst = &delta;
      }
    if (worst == nullptr) continue;
    const std::string name = text_field(*worst, "name");
    const std::string type = text_field(*worst, "type");
    const std::string what = name.empty()   ? type
                             : type.empty() ? name
                                            : fmt::format("{} ({})", name, type);
    return fmt::format("{} +{}", what, duration_text(most));
  }
  return {};
}

std::string gate_sentence(const json& report, const json& gate) {
  const std::string metric = text_field(gate, "metric");
  const auto observed = number_field(gate, "observed");
  const auto limit = number_field(gate, "limit");
  std::string text = metric;
  if (observed) {
    text += " is " + observed_text(gate);
    if (const auto ci = interval_field(gate))
      text += fmt::format(" (CI {}–{})", gate_value_text(gate, ci->first),
                          gate_value_text(gate, ci->second));
  } else {
    text += " is not known";
  }
  if (limit)
    text += fmt::format(", must be {} {}", text_field(gate, "op"), gate_value_text(gate, *limit));
  if (const std::string reason = text_field(gate, "reason"); !reason.empty()) text += ": " + reason;
  if (field(gate, "verdict") == "fail" && metric_is_time(metric))
    if (const std::string blame = blame_of(report, field(gate, "case")); !blame.empty())
      text += "; slower: " + blame;
  return text;
}

std::vector<const json*> worst_gates(const json& report) {
  std::vector<const json*> gates;
  for (const json& gate : list_field(report, "gates"))
    if (rank(gate) < 2) gates.push_back(&gate);
  std::stable_sort(gates.begin(), gates.end(), [](const json* a, const json* b) {
    return std::pair(rank(*a), -excess(*a)) < std::pair(rank(*b), -excess(*b));
  });
  return gates;
}

}  // namespace lathe

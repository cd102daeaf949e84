#include "report/openmetrics.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>
#include <vector>

#include "report/fields.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

using Labels = std::vector<std::pair<const char*, std::string>>;

struct Family {
  const char* help = "";
  const char* unit = "";
  std::vector<std::string> lines;
};

std::string label_value(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

std::string labels_text(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels)
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, label_value(value));
  return "{" + out + "}";
}

class Exposition {
 public:
  void add(const char* name, const char* unit, const char* help, const Labels& labels,
           double value) {
    const std::string text = labels_text(labels);
    if (!seen_.insert(name + text).second) return;  // a series appears once
    Family& family = families_[name];
    family.help = help;
    family.unit = unit;
    family.lines.push_back(fmt::format("{}{} {}\n", name, text, value));
  }

  std::string text() const {
    std::string out;
    for (const auto& [name, family] : families_) {
      out += fmt::format("# TYPE {} gauge\n", name);
      if (*family.unit != '\0') out += fmt::format("# UNIT {} {}\n", name, family.unit);
      out += fmt::format("# HELP {} {}\n", name, family.help);
      for (const std::string& line : family.lines) out += line;
    }
    return out;
  }

 private:
  std::map<std::string, Family> families_;
  std::set<std::string> seen_;
};

void add_measure(const Measure& measure, Exposition& out) {
  const Labels series{{"model", measure.model}, {"series", measure.series}};
  const auto with = [&series](const char* name, const std::string& value) {
    Labels labels = series;
    labels.emplace_back(name, value);
    return labels;
  };
  if (measure.name == "load" || measure.name == "first_inference") {
    out.add("lathe_start_seconds", "seconds", "Time to load and to the first answer.",
            with("kind", measure.name), measure.value / 1e9);
  } else if (measure.unit == "ns") {
    const std::string statistic = measure.name == "latency" ? "median" : measure.name;
    out.add("lathe_latency_seconds", "seconds", "Time of one inference.",
            with("statistic", statistic), measure.value / 1e9);
    if (measure.ci95) {
      out.add("lathe_latency_low_seconds", "seconds", "Lower end of the 95 % interval.",
              with("statistic", statistic), measure.ci95->first / 1e9);
      out.add("lathe_latency_high_seconds", "seconds", "Upper end of the 95 % interval.",
              with("statistic", statistic), measure.ci95->second / 1e9);
    }
  } else if (measure.unit == "bytes") {
    out.add("lathe_size_bytes", "bytes", "Bytes by kind.", with("kind", measure.name),
            measure.value);
  } else if (measure.name == "instructions") {
    out.add("lathe_instructions", "", "Of one inference on an emulated board.", series,
            measure.value);
  } else if (measure.name == "throughput" || measure.name == "goodput") {
    out.add("lathe_items_per_second", "", "Items per second.", with("kind", measure.name),
            measure.value);
  } else if (measure.name == "speedup") {
    out.add("lathe_speedup_ratio", "ratio", "Time of the baseline divided by this one's.", series,
            measure.value);
  } else if (measure.unit == "J") {
    out.add("lathe_energy_joules", "joules", "Energy of the case, or of one inference.",
            with("kind", measure.name), measure.value);
  } else if (measure.name == "cpu_share" || measure.name == "slowdown") {
    out.add("lathe_conduct_ratio", "ratio", "Share of the processors; slowdown over time.",
            with("kind", measure.name), measure.value);
  } else if (measure.name == "cpus_used") {
    out.add("lathe_cpus_used", "", "Processors that were busy on average.", series, measure.value);
  } else if (measure.unit == "celsius") {
    out.add("lathe_temperature_celsius", "celsius", "Hottest moment.", series, measure.value);
  } else {
    out.add("lathe_quality", "", "A metric of the outputs.", with("metric", measure.name),
            measure.value);
  }
}

}  // namespace

std::string to_openmetrics(const json& report) {
  Exposition out;
  for (const Measure& measure : report_measures(report)) add_measure(measure, out);
  for (const json& gate : list_field(report, "gates")) {
    const std::string verdict = text_field(gate, "verdict");
    Labels labels{{"gate", text_field(gate, "id")}, {"case", text_field(gate, "case")}};
    if (field(gate, "simulated") == true) labels.emplace_back("simulated", "true");
    if (const auto observed = number_field(gate, "observed")) {
      Labels with_unit = labels;
      with_unit.emplace_back("in", text_field(gate, "unit"));
      out.add("lathe_gate_observed", "", "What the gate judged.", with_unit, *observed);
    }
    const bool is_decided = verdict == "pass" || verdict == "fail";
    out.add("lathe_gate_undecided", "", "1: nothing decides whether the gate holds.", labels,
            is_decided ? 0 : 1);
    if (!is_decided) continue;
    out.add("lathe_gate_passed", "", "1: the gate holds.", labels, verdict == "pass" ? 1 : 0);
  }
  for (const json& row : list_field(report, "cases")) {
    const std::string verdict = text_field(field(row, "fit"), "verdict");
    if (verdict != "fits" && verdict != "does_not_fit") continue;
    out.add(
        "lathe_fits", "", "1: the model fits into the device.",
        {{"case", case_name(report, row)}, {"device", text_field(field(row, "fit"), "profile")}},
        verdict == "fits" ? 1 : 0);
  }
  const Labels info{{"version", text_field(field(report, "tool"), "version")},
                    {"command", text_field(field(report, "run"), "command")},
                    {"verdict", text_field(report, "verdict")},
                    {"host", text_field(field(report, "host"), "fingerprint")}};
  return out.text() + "# TYPE lathe_run info\n# HELP lathe_run The run that was reported.\n" +
         "lathe_run_info" + labels_text(info) + " 1\n# EOF\n";
}

}  // namespace lathe

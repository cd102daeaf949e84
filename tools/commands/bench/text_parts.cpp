#include "commands/bench/text_parts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "names/engines.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/headline.h"

namespace lathe {
namespace {

using nlohmann::json;

const json& percentile(const json& latency, std::string_view name) {
  for (const json& each : list_field(latency, "percentiles"))
    if (fmt::format("p{:g}", 100 * number_field(each, "p").value_or(0)) == name) return each;
  return field(latency, name);
}

bool says_nothing(const std::string& text) { return text.empty() || text == "-"; }

bool has_integer_arithmetic(const json& model) {
  return field(model, "ops").contains("QuantizeLinear") ||
         field(model, "ops").contains("DequantizeLinear");
}

std::string gate_sources(const json& report) {
  std::vector<std::string> seen;
  std::string text;
  for (const json& gate : list_field(report, "gates")) {
    const std::string source = text_field(gate, "source");
    if (source.empty() || std::ranges::find(seen, source) != seen.end()) continue;
    seen.push_back(source);
    text += "  targets of " + source + "\n";
  }
  return text;
}

}  // namespace

std::span<const Figure> figures() {
  static constexpr Figure kFigures[] = {
      {"median", "median", "latency/median", duration_text, false},
      {"p90", "p90", "latency/p90", duration_text, false},
      {"p95", "p95", "latency/p95", duration_text, false},
      {"p99", "p99", "latency/p99", duration_text, false},
      {"p99.9", "p99.9", "latency/p99.9", duration_text, false},
      {"min", "min", "latency/min", duration_text, false},
      {"throughput", "throughput", "throughput/items_per_s", rate_cell, false},
      {"size", "file", "size_bytes", bytes_cell, true},
      {"weights", "weights", "weights_bytes", bytes_cell, true},
      {"arena", "arena", "memory/arena_planned_bytes", bytes_cell, true},
      {"peak_memory", "peak memory", "memory/hwm_bytes", bytes_cell, true},
      {"instructions", "instructions", "emulated/instructions", grouped_text, true},
      {"ram", "RAM", "emulated/ram_bytes", bytes_cell, true},
      {"flash", "flash", "emulated/flash_bytes", bytes_cell, true},
  };
  return kFigures;
}

const json& at_path(const json& row, std::string_view path) {
  const json* at = &row;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view key = path.substr(0, end);
    at = key.starts_with('p') ? &percentile(*at, key) : &field(*at, key);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return *at;
}

Observed observed_at(const json& row, std::string_view path, const std::string& otherwise) {
  const json& found = at_path(row, path);
  Observed seen;
  seen.value = number_of(found);
  if (const auto ci95 = interval_field(found)) seen.ci95 = Interval{ci95->first, ci95->second};
  if (seen.value) return seen;
  seen.reason = text_field(found, "reason");
  if (seen.reason.empty()) seen.reason = text_of(at_path(row, std::string(path) + "_reason"));
  if (seen.reason.empty()) seen.reason = otherwise;
  return seen;
}

Cell cell(std::string_view path) {
  return [path](const json& row) { return text_of(at_path(row, path)); };
}

Cell cell(std::string_view path, std::string (*text)(double)) {
  return [path, text](const json& row) {
    const auto value = number_of(at_path(row, path));
    return value ? text(*value) : std::string("-");
  };
}

std::string columns_table(const std::vector<const json*>& rows, std::vector<Column> columns) {
  std::erase_if(columns, [&](const Column& column) {
    return column.is_optional && std::all_of(rows.begin(), rows.end(), [&](const json* row) {
             return says_nothing(column.cell(*row));
           });
  });
  std::vector<std::vector<std::string>> cells(1);
  for (const Column& column : columns) cells[0].push_back(column.title);
  for (const json* row : rows) {
    std::vector<std::string>& line = cells.emplace_back();
    for (const Column& column : columns) line.push_back(column.cell(*row));
  }
  return table(cells);
}

std::vector<const json*> rows_of(const json& list) {
  std::vector<const json*> rows;
  for (const json& row : list) rows.push_back(&row);
  return rows;
}

std::string bytes_cell(double bytes) { return bytes_text(std::llround(bytes)); }
std::string rate_cell(double rate) { return fmt::format("{:.4g}/s", rate); }
std::string count_cell(double count) { return fmt::format("{:.0f}", count); }

std::string joined(std::span<const std::string> parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text.append(text.empty() ? "" : between).append(part);
  return text;
}

std::string count_text(const json& row, std::string_view path) {
  return count_cell(number_of(at_path(row, path)).value_or(0));
}

std::string plural(const json& row, std::string_view path, const std::string& what) {
  const std::string count = count_text(row, path);
  return count + " " + what + (count == "1" ? "" : "s");
}

std::string verdict_text(const json& report, const Console& console) {
  if (!field(report, "error").is_null())
    return console.bad("INTERRUPTED: what was measured so far");
  const json& gates = list_field(report, "gates");
  const auto count = [&gates](const char* verdict) {
    return std::count_if(gates.begin(), gates.end(),
                         [verdict](const json& gate) { return field(gate, "verdict") == verdict; });
  };
  const auto judged = static_cast<std::ptrdiff_t>(gates.size()) - count("skipped");
  if (judged == 0) return {};
  const char* noun = judged == 1 ? "gate" : "gates";
  const auto simulated_of = [&gates](const char* verdict) {
    const auto simulated = std::count_if(gates.begin(), gates.end(), [&](const json& gate) {
      return field(gate, "verdict") == verdict && field(gate, "simulated") == true;
    });
    return simulated > 0 ? fmt::format(", {} of them simulated", simulated) : std::string();
  };
  if (const auto failed = count("fail"); failed > 0)
    return console.bad(
        fmt::format("FAIL {}/{} {} missed{}", failed, judged, noun, simulated_of("fail")));
  if (const auto undecided = count("inconclusive"); undecided > 0)
    return console.bad(fmt::format("INCONCLUSIVE {}/{} {} undecided", undecided, judged, noun));
  return console.good(fmt::format("PASS {}/{} {}{}", judged, judged, noun, simulated_of("pass")));
}

std::string gates_table(const json& report, const Console& console) {
  const json& gates = list_field(report, "gates");
  if (gates.empty()) return {};
  const std::string shown = columns_table(
      rows_of(gates), {{"",
                        [&](const json& gate) {
                          const std::string verdict = text_field(gate, "verdict");
                          return verdict == "pass" ? console.good(verdict) : console.bad(verdict);
                        }},
                       {"gate", cell("id")},
                       {"case",
                        [](const json& gate) {
                          const std::string id = text_field(gate, "case");
                          return id == "single" ? std::string() : id;
                        },
                        true},
                       {"observed",
                        [](const json& gate) {
                          const auto value = number_field(gate, "observed");
                          if (!value) return std::string("-");
                          const std::string text = observed_text(gate);
                          const auto ci = interval_field(gate);
                          return ci ? fmt::format("{} ({}–{})", text,
                                                  gate_value_text(gate, ci->first),
                                                  gate_value_text(gate, ci->second))
                                    : text;
                        }},
                       {"", cell("reason")}});
  return shown + gate_sources(report);
}

std::string inputs_text(const json& report) {
  const json& inputs = list_field(report, "inputs");
  if (inputs.empty()) return {};
  const bool is_random = text_field(inputs[0], "source").starts_with("random");
  return fmt::format(", {} {} inputs", count_text(inputs[0], "count"),
                     is_random ? "random" : "distinct");
}

std::string phases_text(const json& row) {
  const json& phases = field(row, "phases");
  const auto time = [&phases](const char* path) { return cell(path, duration_text)(phases); };
  std::string text = fmt::format("load {}, prepare {}, first inference {}", time("load_ns"),
                                 time("compile_ns"), time("first_inference_ns"));
  if (field(phases, "warmup").is_object())
    text += fmt::format(", warm-up {} in {}", count_text(phases, "warmup/iterations"),
                        time("warmup/time_ns"));
  return text;
}

std::vector<std::string> case_hints(const json& report, const json& row) {
  std::vector<std::string> found;
  if (at_path(row, "phases/warmup/converged") == false)
    found.emplace_back("warm-up did not settle: the times may still be moving");
  if (text_field(row, "engine") == kInterpreterEngine)
    found.emplace_back(
        has_integer_arithmetic(field(report, "model"))
            ? "the interpreter is lathe's reference engine: it computes quantized models in float, "
              "so its times say nothing of an int8 runtime"
            : "the interpreter is lathe's reference engine, not the runtime that you deploy");
  for (const json& each : list_field(field(row, "latency"), "percentiles"))
    if (!number_field(each, "value")) {
      found.push_back(fmt::format("p{:g} is withheld: {}",
                                  100 * number_field(each, "p").value_or(0),
                                  text_field(each, "reason")));
      break;
    }
  return found;
}

std::string hints_text(std::vector<std::string> hints, const Console& console) {
  constexpr size_t kMost = 3;
  if (hints.size() > kMost) hints.resize(kMost);
  std::string text;
  for (const std::string& hint : hints) text += console.dim("  hint: " + hint) + "\n";
  return text;
}

bool is_load_row(const json& row) {
  const std::string scenario = text_field(row, "scenario");
  return !scenario.empty() && scenario != "single";
}

bool is_overloaded(const json& row) {
  return text_field(row, "scenario") == "server" && at_path(row, "schedule/caught_up") == false &&
         number_of(at_path(row, "schedule/max_backlog")).value_or(0) > 0;
}

}  // namespace lathe

#include "report/markdown.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "os/quantity.h"
#include "report/headline.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxListedRows = 50;

const json& at(const json& object, const char* key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

std::string cell_of(const json& value) {
  if (value.is_null()) return "–";
  if (value.is_string()) return markdown_cell(value.get_ref<const std::string&>());
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return markdown_cell(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::string bytes_of(const json& value) {
  return value.is_number_integer() ? bytes_text(value.get<int64_t>()) : cell_of(value);
}

// A latency in nanoseconds; some are objects with the value inside.
std::string time_of(const json& value) {
  const json& number = value.is_object() ? at(value, "value") : value;
  return number.is_number() ? duration_text(number.get<double>()) : cell_of(number);
}

std::string change_of(const json& before, const json& after) {
  if (!before.is_number() || !after.is_number() || before.get<double>() == 0) return "–";
  return percent_text(after.get<double>() / before.get<double>() - 1);
}

class Table {
 public:
  Table(std::string title, std::vector<std::string> head) : title_(std::move(title)) {
    add(head);
    add(std::vector<std::string>(head.size(), "---"));
    rows_ = 0;
  }
  void add(const std::vector<std::string>& cells) {
    if (++rows_ > kMaxListedRows) return;
    for (const std::string& cell : cells) body_ += fmt::format("| {} ", cell);
    body_ += "|\n";
  }
  std::string text() const {
    if (rows_ == 0) return {};
    std::string out = fmt::format("\n### {}\n\n{}", title_, body_);
    if (rows_ > kMaxListedRows)
      out += fmt::format("\n{} more rows are in the report.\n", rows_ - kMaxListedRows);
    return out;
  }

 private:
  std::string title_;
  std::string body_;
  size_t rows_ = 0;
};

std::string model_table(const json& before, const json& after) {
  // Of several models the cases tell.
  if (after.is_null()) return {};
  Table table("Model", {"", "before", "after", "change"});
  for (const char* key : {"file_bytes", "weights_bytes"})
    table.add({key, bytes_of(at(before, key)), bytes_of(at(after, key)),
               change_of(at(before, key), at(after, key))});
  for (const char* key : {"params", "macs", "nodes"})
    table.add({key, cell_of(at(before, key)), cell_of(at(after, key)),
               change_of(at(before, key), at(after, key))});
  return table.text();
}

std::string table_of(const json& rows, const char* title, const std::vector<const char*>& keys) {
  std::vector<std::string> head(keys.begin(), keys.end());
  Table table(title, head);
  for (const json& row : rows) {
    std::vector<std::string> cells;
    for (const char* key : keys) cells.push_back(cell_of(at(row, key)));
    table.add(cells);
  }
  return table.text();
}

std::string gate_table(const json& gates) {
  Table table("Gates", {"gate", "case", "verdict", "observed", "limit", "reason"});
  for (const json& gate : gates) {
    const auto figure = [&gate](const char* key) {
      const json& value = at(gate, key);
      return value.is_number() ? gate_value_text(gate, value.get<double>()) : cell_of(value);
    };
    table.add({cell_of(at(gate, "id")), cell_of(at(gate, "case")), cell_of(at(gate, "verdict")),
               observed_text(gate), cell_of(at(gate, "op")) + " " + figure("limit"),
               cell_of(at(gate, "reason"))});
  }
  return table.text();
}

// "does not fit esp32"
std::string fit_of(const json& fit) {
  std::string verdict = cell_of(at(fit, "verdict"));
  if (at(fit, "verdict") == "does_not_fit") verdict = "does not fit";
  return verdict == "–" ? verdict : verdict + " " + cell_of(at(fit, "profile"));
}

const json& row_named(const json& report, const std::string& id) {
  static const json nothing;
  for (const json& row : at(report, "cases"))
    if (cell_of(at(row, "id")) == id) return row;
  return nothing;
}

// How latency and memory went over a long run.
std::string soak_table(const json& cases) {
  Table table("Long runs", {"case", "seconds", "slowdown", "latency a minute", "leak a run",
                            "memory a run"});
  const auto slope = [](const json& row, const char* format, double scale) {
    const json& ends = at(row, "ci95");
    if (!at(row, "value").is_number() || !ends.is_array() || ends.size() != 2)
      return std::string("–");
    return fmt::format(fmt::runtime(format), scale * at(row, "value").get<double>(),
                       scale * ends[0].get<double>(), scale * ends[1].get<double>());
  };
  for (const json& row : cases) {
    const json& soak = at(row, "soak");
    if (!soak.is_object()) continue;
    table.add({cell_of(at(row, "id")), cell_of(at(soak, "duration_s")),
               cell_of(at(soak, "slowdown")),
               slope(at(soak, "latency_per_minute"), "{:+.2f} % ({:+.2f} to {:+.2f})", 100),
               bytes_of(at(soak, "leak_bytes_per_run")),
               slope(at(soak, "bytes_per_run"), "{:+.3g} B ({:+.3g} to {:+.3g})", 1)});
  }
  return table.text();
}

// Sizes, speed, accuracy and verdict of every case side by side; columns that say nothing are left
// out.
std::string case_table(const json& report) {
  std::vector<std::string> head{"case",        "median",      "min",      "max",  "items/s",
                                "file",        "file change", "weights",  "arena", "peak memory",
                                "instructions", "RAM",        "flash",
                                "accuracy",    "drop",        "speed-up", "verdict", "fits"};
  std::vector<std::vector<std::string>> rows;
  for (const json& row : at(report, "cases")) {
    const json& latency = at(row, "latency");
    const json& quality = at(row, "quality");
    const json& counted = at(row, "emulated");
    const json& other = row_named(report, "against/" + cell_of(at(row, "id")));
    std::string accuracy = cell_of(at(quality, "value"));
    if (!at(quality, "metric").is_null()) accuracy += " " + cell_of(at(quality, "metric"));
    std::string speedup = "–";
    std::string verdict = "–";
    for (const json& compared : at(at(report, "comparison"), "cases")) {
      if (at(compared, "id") != at(row, "id")) continue;
      const json& ratio = at(at(compared, "ratio"), "value");
      if (ratio.is_number() && ratio.get<double>() > 0)
        speedup = fmt::format("{:.3g}x", 1 / ratio.get<double>());
      verdict = cell_of(at(compared, "verdict"));
    }
    rows.push_back({cell_of(at(row, "id")), time_of(at(latency, "median")),
                    time_of(at(latency, "min")), time_of(at(latency, "max")),
                    cell_of(at(at(row, "throughput"), "items_per_s")),
                    bytes_of(at(row, "size_bytes")),
                    change_of(at(other, "size_bytes"), at(row, "size_bytes")),
                    bytes_of(at(row, "weights_bytes")),
                    bytes_of(at(at(row, "memory"), "arena_planned_bytes")),
                    bytes_of(peak_bytes(row)), cell_of(at(counted, "instructions")),
                    bytes_of(at(counted, "ram_bytes")), bytes_of(at(counted, "flash_bytes")),
                    accuracy,
                    cell_of(at(quality, "drop")), speedup, verdict, fit_of(at(row, "fit"))});
  }
  for (size_t column = head.size(); column-- > 5;) {
    if (!std::ranges::all_of(rows, [&](const auto& row) { return row[column] == "–"; })) continue;
    head.erase(head.begin() + static_cast<std::ptrdiff_t>(column));
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
  Table table("Cases", head);
  for (const auto& row : rows) table.add(row);
  return table.text();
}

std::string stage_table(const json& stages) {
  Table table("Stages", {"stage", "metric", "value", "drop", "output SQNR", "samples", "time"});
  for (const json& row : stages) {
    const json& seconds = at(row, "seconds");
    const json& level = at(row, "output_sqnr_db");
    table.add({cell_of(at(row, "stage")), cell_of(at(row, "metric")), cell_of(at(row, "value")),
               cell_of(at(row, "drop")),
               level.is_number() ? fmt::format("{:.1f} dB", level.get<double>()) : cell_of(level),
               cell_of(at(row, "samples")),
               seconds.is_number() ? duration_text(1e9 * seconds.get<double>()) : "–"});
  }
  return table.text();
}

std::string size_table(const json& sizes) {
  const json& before = at(sizes, "before");
  const json& after = at(sizes, "after");
  Table table("Sizes", {"", "before", "after", "change"});
  const auto add = [&](const char* key, auto shown) {
    if (at(before, key).is_null() && at(after, key).is_null()) return;
    table.add({key, shown(at(before, key)), shown(at(after, key)),
               change_of(at(before, key), at(after, key))});
  };
  for (const char* key : {"params", "macs"}) add(key, cell_of);
  for (const char* key : {"file_bytes", "compressed_bytes", "weights_bytes", "arena_bytes"})
    add(key, bytes_of);
  return table.text();
}

std::string latency_table(const json& rows) {
  Table table("Latency", {"engine", "threads", "before", "after", "speed-up", "note"});
  for (const json& row : rows) {
    const json& speedup = at(row, "speedup");
    std::string note = cell_of(at(row, "note"));
    if (at(row, "simulated") == true) note = "simulated" + (note == "–" ? "" : "; " + note);
    table.add({cell_of(at(row, "engine")), cell_of(at(row, "threads")),
               time_of(at(row, "before_ns")), time_of(at(row, "after_ns")),
               speedup.is_number() ? fmt::format("{:.3g}x", speedup.get<double>()) : "–", note});
  }
  return table.text();
}

std::string note_list(const json& notes) {
  std::string out;
  for (const json& note : notes)
    if (note.is_string()) out += "- " + cell_of(note) + "\n";
  return out.empty() ? out : "\n### Notes\n\n" + out;
}

}  // namespace

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : escape_untrusted(text, 300)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '@') {
      out += "&#64;";
    } else {
      if (std::string_view("\\`*_[]|~!#>").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string report_markdown(const json& report) {
  const json& run = at(report, "run");
  std::string out =
      fmt::format("## {}: lathe {}\n", cell_of(at(report, "verdict")), cell_of(at(run, "command")));
  if (const json& error = at(report, "error"); !error.is_null()) {
    out += fmt::format("\n**{}** {}: {}\n", cell_of(at(error, "code")), cell_of(at(error, "where")),
                       cell_of(at(error, "message")));
    if (const json& hint = at(error, "hint"); hint.is_string() && !hint.empty() && hint != "")
      out += fmt::format("\n{}\n", cell_of(hint));
  }
  out += gate_table(at(report, "gates"));
  out +=
      table_of(at(report, "quality"), "Quality", {"metric", "before", "after", "drop", "samples"});
  // Of prune: the sizes say more.
  if (!at(report, "sizes").is_object())
    out += model_table(model_before(report), model_after(report));
  out += stage_table(at(report, "stages"));
  out += size_table(at(report, "sizes"));
  out += latency_table(at(report, "latency"));
  out += note_list(at(report, "notes"));
  out += case_table(report);
  out += soak_table(at(report, "cases"));
  out += table_of(at(report, "steps"), "Steps", {"pass", "changes", "ms"});
  out += table_of(at(report, "artifacts"), "Artifacts", {"kind", "path", "bytes", "sha256"});
  out += table_of(at(report, "warnings"), "Warnings", {"code", "message", "hint"});
  return out;
}

}  // namespace lathe

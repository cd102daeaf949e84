// What the texts of a benchmark are made of: tables whose columns are data, a report's figures as
// cells, and the phrases that several texts share.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "gates/gate.h"

namespace lathe {

/// A figure of a case's row: what gates call it, what the screen does, where it stands.
struct Figure {
  std::string_view metric;
  std::string_view label;
  std::string_view path;
  std::string (*text)(double);
  /// Whether the figures of two models may be compared. Times may not: the rows were measured one
  /// after the other, and the machine changes meanwhile; the comparison's ratio alternates them.
  bool compared;
};
/// Latencies, throughput, sizes and memory, in the order in which people see them.
std::span<const Figure> figures();

/// What stands at the keys of `path` ("memory/hwm_bytes"); "p99" below a latency is that
/// percentile. null where a key is missing.
const nlohmann::json& at_path(const nlohmann::json& row, std::string_view path);
/// The figure as gates see it; without a value the row's reason for that, else `otherwise`.
Observed observed_at(const nlohmann::json& row, std::string_view path,
                     const std::string& otherwise);

/// What one column says of a row.
using Cell = std::function<std::string(const nlohmann::json& row)>;
/// The text at `path`; the number there as `text` says it, "-" without one.
Cell cell(std::string_view path);
Cell cell(std::string_view path, std::string (*text)(double));

struct Column {
  std::string title;
  Cell cell;
  bool is_optional = false;  // left out where it says nothing ("", "-") of any row
};
std::string columns_table(const std::vector<const nlohmann::json*>& rows,
                          std::vector<Column> columns);
std::vector<const nlohmann::json*> rows_of(const nlohmann::json& list);

std::string bytes_cell(double bytes);  // "12.5 MiB"
std::string rate_cell(double rate);    // "8344/s"
std::string count_cell(double count);  // without decimals

/// The parts that are not empty, with `between` them.
std::string joined(std::span<const std::string> parts, std::string_view between = " · ");
/// The number at `path` without decimals, "0" where there is none.
std::string count_text(const nlohmann::json& row, std::string_view path);
/// "3 streams", "1 stream".
std::string plural(const nlohmann::json& row, std::string_view path, const std::string& what);

/// "INTERRUPTED: …", "PASS 3/3 gates", "FAIL 1/3 gates missed", "INCONCLUSIVE 1/3 gates undecided",
/// painted; empty without gates.
std::string verdict_text(const nlohmann::json& report, const Console& console);
/// One row a gate; empty for none.
std::string gates_table(const nlohmann::json& report, const Console& console);
/// ", 8 random inputs".
std::string inputs_text(const nlohmann::json& report);
/// "load 1 ms, prepare 2 ms, first inference 3 ms, warm-up 100 in 4 ms".
std::string phases_text(const nlohmann::json& row);
/// What is to be known of any case: the engine, a warm-up that did not settle, a percentile that is
/// withheld.
std::vector<std::string> case_hints(const nlohmann::json& report, const nlohmann::json& row);
/// At most three, one a line.
std::string hints_text(std::vector<std::string> hints, const Console& console);

/// Of a row of another scenario than single.
bool is_load_row(const nlohmann::json& row);
/// The server's queue was never empty again in the second half of its run: the rate is above
/// capacity.
bool is_overloaded(const nlohmann::json& row);

/// The texts of text.h: of one case in a load scenario, of several cases, and of a camera's frames
/// (empty without).
std::string load_text(const nlohmann::json& report, const Console& console);
std::string sweep_text(const nlohmann::json& report, const Console& console);
std::string frames_text(const nlohmann::json& row);

}  // namespace lathe

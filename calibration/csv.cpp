#include "calibration/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 18;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// std::from_chars takes no plus sign.
std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

Error not_a(std::string_view what, std::string_view cell, const std::string& where) {
  return bad_input("data.csv_number",
                   cell.empty() ? fmt::format("the cell is empty, {} is needed", what)
                                : fmt::format("\"{}\" is not {}", escape_untrusted(cell, 60), what),
                   where);
}

bool is_number(std::string_view cell) {
  try {
    parse_number(cell, {});
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

CsvReader::CsvReader(DataFile file) : file_(std::move(file)) {
  // Peeking fills the first block.
  if (peek() < 0) throw bad_input("data.csv", "the file is empty", shown_path(file_.path()));
  if (buffer_.starts_with("\xef\xbb\xbf")) at_ = 3;
  if (buffer_.starts_with("\xff\xfe") || buffer_.starts_with("\xfe\xff"))
    throw bad_input("data.csv", "the file is UTF-16", shown_path(file_.path()), "save it as UTF-8");
  if (!read_record(header_)) throw error("the header row is missing");
  for (std::string& name : header_) name = std::string(trimmed(name));
}

int CsvReader::peek() {
  if (at_ == buffer_.size()) {
    const size_t part =
        static_cast<size_t>(std::min<uint64_t>(kBlockBytes, file_.size() - offset_));
    if (part == 0) return -1;
    buffer_.resize(part);
    file_.read(offset_, std::as_writable_bytes(std::span(buffer_)));
    offset_ += part;
    at_ = 0;
  }
  return static_cast<uint8_t>(buffer_[at_]);
}

bool CsvReader::read_record(std::vector<std::string>& cells) {
  cells.clear();
  if (peek() < 0) return false;
  ++row_;
  std::string cell;
  size_t bytes = 0;
  bool quoted = false;
  bool was_quoted = false;
  for (;;) {
    const int c = peek();
    if (c < 0 && quoted) throw error("a quoted field has no end");
    if (c < 0) break;
    ++at_;
    if (++bytes > kMaxCsvLineBytes)
      throw over_limit("data.csv_line",
                       fmt::format("row {} is longer than {} bytes", row_, kMaxCsvLineBytes),
                       shown_path(file_.path()));
    if (c == 0) throw error("a NUL byte");
    if (quoted) {
      if (c != '"')
        cell += static_cast<char>(c);
      else if (peek() == '"')
        cell += '"', ++at_;
      else
        quoted = false;
    } else if (c == '"' && cell.empty() && !was_quoted) {
      quoted = was_quoted = true;
    } else if (c == ',') {
      if (cells.size() + 1 >= kMaxCsvColumns)
        throw error(fmt::format("more than {} columns", kMaxCsvColumns));
      cells.push_back(std::exchange(cell, {}));
      was_quoted = false;
    } else if (c == '\n') {
      break;
    } else if (c == '\r') {
      if (peek() != '\n' && peek() >= 0) throw error("a carriage return without a line feed");
    } else if (was_quoted) {
      throw error("text after a closing quote");
    } else {
      cell += static_cast<char>(c);
    }
  }
  cells.push_back(std::move(cell));
  return true;
}

bool CsvReader::next(std::vector<std::string>& cells) {
  while (read_record(cells)) {
    const bool blank = cells.size() == 1 && cells[0].empty();
    if (cells.size() == header_.size() && !(blank && peek() < 0)) return true;
    if (!blank)
      throw error(fmt::format("{} fields, the header has {}", cells.size(), header_.size()));
    if (peek() >= 0 && peek() != '\n' && peek() != '\r') throw error("an empty line");
  }
  return false;
}

bool CsvReader::has_column(std::string_view name) const {
  return std::find(header_.begin(), header_.end(), name) != header_.end();
}

size_t CsvReader::column(std::string_view name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found == header_.end())
    throw bad_input(
        "data.csv_column", fmt::format("there is no column {}", escape_untrusted(name, 60)),
        shown_path(file_.path()),
        "the columns are " + escape_untrusted(fmt::format("{}", fmt::join(header_, ", "))));
  if (std::find(found + 1, header_.end(), name) != header_.end())
    throw bad_input("data.csv_column",
                    fmt::format("two columns are named {}", escape_untrusted(name, 60)),
                    shown_path(file_.path()));
  return static_cast<size_t>(found - header_.begin());
}

std::string CsvReader::place(size_t column) const {
  const std::string name = column < header_.size() ? escape_untrusted(header_[column], 60) : "";
  return fmt::format("{}: row {}, column {} ({})", shown_path(file_.path()), row_, column + 1,
                     name);
}

Error CsvReader::error(std::string message) const {
  return bad_input("data.csv", std::move(message),
                   fmt::format("{}: row {}", shown_path(file_.path()), row_));
}

double parse_number(std::string_view cell, const std::string& where) {
  const std::string_view text = without_plus(trimmed(cell));
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw not_a("a finite decimal number", cell, where);
  return value;
}

int64_t parse_integer(std::string_view cell, const std::string& where) {
  const std::string_view text = without_plus(trimmed(cell));
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size())
    throw not_a("an integer", cell, where);
  return value;
}

CsvNumbers read_csv_numbers(const std::string& path, std::vector<std::string> columns,
                            std::string_view excluded) {
  CsvReader reader(DataFile::open(path));
  CsvNumbers table;
  std::vector<size_t> wanted;
  for (const std::string& name : columns) wanted.push_back(reader.column(name));
  std::vector<std::string> cells;
  while (reader.next(cells)) {
    if (table.rows == 0 && columns.empty()) {
      for (size_t i = 0; i < cells.size(); ++i)
        if (reader.header()[i] != excluded && is_number(cells[i])) wanted.push_back(i);
      if (wanted.empty()) throw bad_input("data.csv", "no column holds numbers", shown_path(path));
    }
    if (table.values.size() + wanted.size() > kMaxCsvNumbers)
      throw over_limit("data.csv_size", fmt::format("more than {} numbers", kMaxCsvNumbers),
                       shown_path(path));
    for (const size_t i : wanted) table.values.push_back(parse_number(cells[i], reader.place(i)));
    ++table.rows;
  }
  if (table.rows == 0)
    throw bad_input("data.empty", "there are no rows", shown_path(path),
                    "write rows of numbers below the header");
  for (const size_t i : wanted) table.columns.push_back(reader.header()[i]);
  return table;
}

std::vector<int64_t> read_csv_integers(const std::string& path, std::string_view column) {
  CsvReader reader(DataFile::open(path));
  const size_t index = reader.column(column);
  std::vector<int64_t> values;
  std::vector<std::string> cells;
  while (reader.next(cells)) {
    if (values.size() == kMaxCsvNumbers)
      throw over_limit("data.csv_size", fmt::format("more than {} rows", kMaxCsvNumbers),
                       shown_path(path));
    values.push_back(parse_integer(cells[index], reader.place(index)));
  }
  return values;
}

}  // namespace lathe

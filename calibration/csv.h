// Comma-separated values (RFC 4180): a header row, quoted fields, LF or CRLF, UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/data_file.h"
#include "ir/error.h"

namespace lathe {

constexpr size_t kMaxCsvLineBytes = size_t{1} << 20;
constexpr size_t kMaxCsvColumns = 10'000;
/// Numbers kept of one file.
constexpr size_t kMaxCsvNumbers = size_t{1} << 27;

/// Reads row after row through a bounded buffer. Errors (exit 3; exit 8 for a line over the limit)
/// name row and column. The header is row 1.
class CsvReader {
 public:
  explicit CsvReader(DataFile file);

  const std::vector<std::string>& header() const { return header_; }
  /// Index of a column. Throws Error (exit 3) that lists the columns when there is none.
  size_t column(std::string_view name) const;
  bool has_column(std::string_view name) const;
  /// The next row, false at the end. Refuses rows that are longer or shorter than the header;
  /// empty lines at the end are passed over.
  bool next(std::vector<std::string>& cells);
  int64_t row() const { return row_; }
  /// The place of a cell of the current row, for messages.
  std::string place(size_t column) const;

 private:
  bool read_record(std::vector<std::string>& cells);
  int peek();
  Error error(std::string message) const;

  DataFile file_;
  std::vector<std::string> header_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t offset_ = 0;
  int64_t row_ = 0;
};

/// A decimal number, the same in every locale. Throws Error (exit 3) for anything else: empty
/// cells, hexadecimal, "nan", "inf", decimal commas, numbers that overflow.
double parse_number(std::string_view cell, const std::string& where);
/// A decimal integer of 64 bits.
int64_t parse_integer(std::string_view cell, const std::string& where);

/// Columns of numbers: values[row * columns.size() + column].
struct CsvNumbers {
  std::vector<std::string> columns;
  std::vector<double> values;
  int64_t rows = 0;
};

/// The named columns, in that order; a name may repeat. No names: every column whose first value is
/// a number, except `excluded`.
CsvNumbers read_csv_numbers(const std::string& path, std::vector<std::string> columns,
                            std::string_view excluded = {});

/// One column as integers.
std::vector<int64_t> read_csv_integers(const std::string& path, std::string_view column);

}  // namespace lathe

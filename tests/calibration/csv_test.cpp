#include <doctest/doctest.h>

#include <clocale>

#include "calibration/csv.h"
#include "error_of.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

CsvNumbers numbers(const std::string& text, std::vector<std::string> columns = {}) {
  const ScratchDirectory folder;
  return read_csv_numbers(folder.write("x.csv", text), std::move(columns));
}

}  // namespace

TEST_CASE("csv: columns by name, quotes, CRLF, BOM") {
  const CsvNumbers table = numbers(
      "\xef\xbb\xbf"
      "time,\"a,b\",c\r\n\"x\"\"y\",1.5,-2e3\r\nz,+.25, 7 \r\n\r\n",
      {"c", "a,b", "c"});
  CHECK(table.rows == 2);
  CHECK(table.values == std::vector<double>{-2000, 1.5, -2000, 7, 0.25, 7});
}

TEST_CASE("csv: without names every column of numbers") {
  const CsvNumbers table = numbers("t,a,b\nx,1,2\ny,3,4");
  CHECK(table.columns == std::vector<std::string>{"a", "b"});
  CHECK(table.values == std::vector<double>{1, 2, 3, 4});
}

TEST_CASE("csv: a large file crosses buffers") {
  std::string text = "v\n";
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  const CsvNumbers table = numbers(text);
  REQUIRE(table.rows == 100'000);
  CHECK(table.values[77'777] == 77'777);
}

TEST_CASE("csv: cells that are no numbers") {
  for (const char* cell : {"", "nan", "inf", "0x10", "1e999", "1.5.2", "1 2", "--1", "+-1", "abc"})
    CHECK_MESSAGE(error_of([&] { numbers("v,w\n1,1\n" + std::string(cell) + ",2\n", {"v"}); }) ==
                      "data.csv_number 3",
                  cell);
  try {
    numbers("v,w\n1,1\n2,x\n", {"w"});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.text().where.find("row 3, column 2 (w)") != std::string::npos);
  }
}

TEST_CASE("csv: malformed files") {
  const std::string nul = std::string("v\n1") + '\0' + "\n";
  for (const std::string& text :
       {std::string("v,w\n1\n"), std::string("v\n1,2\n"), std::string("v\n\"1\n"), nul,
        std::string("v\n\"1\"2\n"), std::string("v\r1\r"), std::string("")})
    CHECK_MESSAGE(error_of([&] { numbers(text); }) == "data.csv 3", text);
  CHECK(error_of([&] { numbers("v\n"); }) == "data.empty 3");
  CHECK(error_of([&] { numbers("\xff\xfev"); }) == "data.csv 3");
  CHECK(error_of([&] { numbers("v\n1\n", {"w"}); }) == "data.csv_column 3");
  CHECK(error_of([&] { numbers("v,v\n1,2\n", {"v"}); }) == "data.csv_column 3");
  CHECK(error_of([&] { numbers("v\n" + std::string(3 << 20, '1')); }) == "data.csv_line 8");
  CHECK(error_of([&] { numbers(std::string(20'000, ',') + "\n"); }) == "data.csv 3");
}

}  // namespace lathe

#include "os/quantity.h"

#include <doctest/doctest.h>

#include <clocale>
#include <cmath>

#include "ir/error.h"

namespace lathe {
namespace {

template <class F>
std::string message_of(F&& f) {
  try {
    f();
    return "";
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    return e.what();
  }
}

using List = std::vector<int64_t>;

TEST_CASE("parse_quantity") {
  CHECK(parse_quantity("2%", "x") == Quantity{0.02, Unit::kPercent});
  CHECK(parse_quantity("64MiB", "x") == Quantity{67108864, Unit::kBytes});
  CHECK(parse_quantity("64 MB", "x") == Quantity{64e6, Unit::kBytes});
  CHECK(parse_quantity("10ms", "x") == Quantity{1e7, Unit::kNanoseconds});
  CHECK(parse_quantity("1.5e1us", "x") == Quantity{15000, Unit::kNanoseconds});
  CHECK(parse_quantity("0.5", "x") == Quantity{0.5, Unit::kNone});
  CHECK(parse_quantity("-1%", "x").value == doctest::Approx(-0.01));
  for (const char* bad : {"", "%", "x", "nan", "inf", "-inf", "1e999", "0x10", "1,5", "+1",
                          "5 bananas", "1  s", " 1", "1 ", "1e308TiB", "--1", "1%%", "\xff"})
    CHECK_MESSAGE(!message_of([&] { parse_quantity(bad, "--f"); }).empty(), bad);
}

TEST_CASE("parse_fraction refuses what could mean either") {
  CHECK(parse_fraction("50%", "--sparsity") == 0.5);
  CHECK(parse_fraction("0.5", "--sparsity") == 0.5);
  CHECK(parse_fraction("0", "--sparsity") == 0);
  CHECK(parse_fraction("1.0", "--sparsity") == 1);
  CHECK(parse_fraction("100%", "--sparsity") == 1);
  CHECK(message_of([] { parse_fraction("50", "--sparsity"); }) ==
        "--sparsity: expected a share from 0 % to 100 %, found \"50\" (write 50% or 0.5)");
  for (const char* bad : {"1", "1.5", "101%", "-1%", "5ms", "5MiB", "-0.1"})
    CHECK_MESSAGE(!message_of([&] { parse_fraction(bad, "x"); }).empty(), bad);
  CHECK(parse_fraction("-1%", "x", -1, 1) == -0.01);
}

TEST_CASE("sizes, times and plain numbers") {
  CHECK(parse_bytes("64MiB", "x") == 67108864);
  CHECK(parse_bytes("1.5KiB", "x") == 1536);
  CHECK(parse_bytes("0", "x") == 0);
  CHECK(parse_bytes("12B", "x") == 12);
  CHECK(message_of([] { parse_bytes("64", "--max-memory"); }).find("write 64MiB or 64B") !=
        std::string::npos);
  for (const char* bad : {"-1MiB", "5%", "5s", "1e10TiB"})
    CHECK_MESSAGE(!message_of([&] { parse_bytes(bad, "x"); }).empty(), bad);
  CHECK(parse_nanoseconds("10ms", "x") == 10'000'000);
  CHECK(parse_nanoseconds("2min", "x") == 120'000'000'000);
  CHECK(!message_of([] { parse_nanoseconds("10", "x"); }).empty());
  CHECK(!message_of([] { parse_nanoseconds("-1s", "x"); }).empty());
  CHECK(parse_integer("-3", "x", -5, 5) == -3);
  for (const char* bad : {"8abc", "", "1e3", "99999999999999999999", "6", "1.0", " 1", "0x1"})
    CHECK_MESSAGE(!message_of([&] { parse_integer(bad, "x", 0, 5); }).empty(), bad);
  CHECK(parse_number("1e-3", "x", 0, 1) == 0.001);
  for (const char* bad : {"nan", "inf", "1e999", "2", "0.5x"})
    CHECK_MESSAGE(!message_of([&] { parse_number(bad, "x", 0, 1); }).empty(), bad);
}

TEST_CASE("numbers do not depend on the locale") {
  const char* set = std::setlocale(LC_ALL, "de_DE.UTF-8");
  CHECK(parse_quantity("1.5ms", "x").value == 1.5e6);
  CHECK(bytes_text(1536) == "1.50 KiB");
  CHECK(grouped_text(999) == "999");
  CHECK(grouped_text(1234567.4) == "1,234,567");
  CHECK(grouped_text(-1000) == "-1,000");
  if (set) std::setlocale(LC_ALL, "C");
}

TEST_CASE("parse_list") {
  CHECK(parse_list("1,2,4", "x", 0, 100) == List{1, 2, 4});
  CHECK(parse_list("1..8", "x", 0, 100) == List{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(parse_list("1..64:x2", "x", 0, 100) == List{1, 2, 4, 8, 16, 32, 64});
  CHECK(parse_list("1..60:x2", "x", 0, 100) == List{1, 2, 4, 8, 16, 32});
  CHECK(parse_list("2..10:+4", "x", 0, 100) == List{2, 6, 10});
  CHECK(parse_list("8,1..3,2", "x", 0, 100) == List{8, 1, 2, 3});
  CHECK(parse_list("5..5", "x", 0, 100) == List{5});
  CHECK(parse_list("9223372036854775806..9223372036854775807:x2", "x", 0, INT64_MAX) ==
        List{INT64_MAX - 1});
  CHECK(parse_list("9223372036854775806..9223372036854775807", "x", 0, INT64_MAX).size() == 2);
  for (const char* bad :
       {"", ",", "1,", ",1", "1..", "..8", "8..1", "1..8:x1", "1..8:x0", "0..8:x2", "1..8:+0",
        "1..8:-1", "1..8:2", "1-8", "1 2", "1..101", "-1", "1..8:x", "1..99999999999999999999"})
    CHECK_MESSAGE(!message_of([&] { parse_list(bad, "x", 0, 100); }).empty(), bad);
  CHECK(!message_of([] { parse_list("1..1000000000000", "x", 0, INT64_MAX); }).empty());
}

TEST_CASE("texts") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(67108864) == "64.0 MiB");
  CHECK(duration_text(640) == "640 ns");
  CHECK(duration_text(1.23e6) == "1.23 ms");
  CHECK(duration_text(200e9) == "3 min 20 s");
  CHECK(duration_text(7260e9) == "2 h 1 min");
  CHECK(percent_text(0.5) == "50 %");
  CHECK(percent_text(-0.0152) == "-1.52 %");
  CHECK(percent_text(0) == "0 %");
}

}  // namespace
}  // namespace lathe

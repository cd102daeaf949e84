#include "os/zip_archive.h"

#include <doctest/doctest.h>

#include <string>

#include "ir/error.h"
#include "torchscript/read/archive_builder.h"

namespace lathe {

TEST_CASE("entries come back in order, unpacked and checked") {
  const std::string long_text(100'000, 'x');
  for (const bool zip64 : {false, true}) {
    const std::string bytes =
        zip_bytes({{"a/", ""}, {"a/stored", "abc"}, {"a/packed", long_text, true}, {"a/empty", ""}},
                  {.zip64 = zip64});
    const std::vector<ZipEntry> entries = read_zip(as_bytes(bytes), "x.zip");
    REQUIRE(entries.size() == 3);
    CHECK(entries[0].name == "a/stored");
    CHECK(zip_entry_text(entries[0], "x.zip", 3) == "abc");
    CHECK(entries[1].deflated);
    CHECK(entries[1].packed.size() < 1000);
    CHECK(zip_entry_text(entries[1], "x.zip", 100'000) == long_text);
    CHECK(zip_entry_text(entries[2], "x.zip", 0).empty());
    CHECK_THROWS_WITH(zip_entry_text(entries[1], "x.zip", 99'999),
                      "x.zip: a/packed: the entry holds 100000 bytes; at most 99999 are read");
  }
}

TEST_CASE("wrong sizes and CRCs of packed entries are found") {
  const auto message = [](const ZipMember& member) {
    const std::string bytes = zip_bytes({member});
    try {
      zip_entry_text(read_zip(as_bytes(bytes), "x.zip").at(0), "x.zip", 1 << 20);
      return std::string();
    } catch (const Error& error) {
      return error.id();
    }
  };
  CHECK(message({"a", "abcabcabc", true}).empty());
  CHECK(message({.name = "a", .data = "abcabcabc", .deflate = true, .size = 8}) == "zip.damaged");
  CHECK(message({.name = "a", .data = "abcabcabc", .deflate = true, .size = 10}) == "zip.damaged");
  CHECK(message({.name = "a", .data = "abcabcabc", .deflate = true, .crc = 1}) == "zip.crc");
  CHECK(message({.name = "a", .data = "abcabcabc", .crc = 1}) == "zip.crc");
  CHECK(message({.name = "a", .data = "no deflate", .method = 8}) == "zip.damaged");
}

TEST_CASE("an empty archive has no entries; an empty file is none") {
  const std::string bytes = zip_bytes({});
  CHECK(read_zip(as_bytes(bytes), "x.zip").empty());
  CHECK_THROWS_AS(read_zip({}, "x.zip"), Error);
}

}  // namespace lathe

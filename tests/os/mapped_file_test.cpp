#include "os/mapped_file.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>

#include "os/host.h"

namespace lathe {
namespace {

int64_t sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0}, [](int64_t sum, std::byte byte) {
    return sum + std::to_integer<int>(byte);
  });
}

}  // namespace

TEST_CASE("drop_pages: a mapped file's pages go and come back") {
  constexpr size_t kBytes = 16 << 20;
  const std::string path = "/tmp/lathe_mapped_" + std::to_string(::getpid());
  {
    std::ofstream out(path, std::ios::binary);
    for (size_t i = 0; i < kBytes; ++i) out.put(static_cast<char>(i * 7));
  }
  const MappedFile file = map_file(std::filesystem::path(path));
  std::remove(path.c_str());
  const int64_t sum = sum_of(file.bytes);
  const int64_t read = *resident_bytes().value;
  drop_pages(file.bytes.subspan(5, kBytes - 10));  // not the first and last page
  CHECK(*resident_bytes().value < read - static_cast<int64_t>(kBytes) / 2);
  CHECK(sum_of(file.bytes) == sum);
  drop_pages(file.bytes.subspan(100, 50));  // no whole page
  drop_pages({});
  CHECK(sum_of(file.bytes) == sum);
}

}  // namespace lathe

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "os/read_file.h"
#include "os/sha256.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

std::string error_id(const std::string& path, int64_t max = 1000) {
  try {
    read_file(path, max);
    return "";
  } catch (const Error& e) {
    return std::to_string(static_cast<int>(e.code())) + " " + e.id();
  }
}

TEST_CASE("sha256 test vectors of FIPS 180-4 and NIST") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 in pieces of every size equals one piece") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t piece = 1; piece < 140; ++piece) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += piece)
      hash.update(std::string_view(text).substr(at, piece));
    CHECK(hash.hex() == sha256_hex(text));
  }
  // Padding around the block's end: each length must differ and be stable against one-shot.
  for (size_t n = 50; n < 70; ++n) {
    Sha256 hash;
    for (size_t i = 0; i < n; ++i) hash.update("x");
    CHECK(hash.hex() == sha256_hex(std::string(n, 'x')));
  }
}

TEST_CASE("read_file reads regular files within the limit") {
  const ScratchDirectory scratch;
  scratch.write("a", std::string("x\0y\n", 4));
  CHECK(read_file(scratch.path("a"), 4) == std::string("x\0y\n", 4));
  CHECK(sha256_file(scratch.path("a")) == sha256_hex(std::string_view("x\0y\n", 4)));
  scratch.write("empty", "");
  CHECK(read_file(scratch.path("empty"), 0).empty());
  CHECK(error_id(scratch.path("a"), 3) == "8 file.size");
  CHECK(read_file("/proc/self/status", 1 << 20).find("VmRSS") != std::string::npos);
  CHECK(error_id("/proc/self/status", 10) == "8 file.size");
}

TEST_CASE("read_file refuses what is not a regular file, at once") {
  const ScratchDirectory scratch;
  CHECK(error_id(scratch.path("absent")) == "3 file.missing");
  CHECK(error_id(scratch.path()) == "3 file.kind");
  CHECK(error_id("/dev/zero") == "3 file.kind");
  REQUIRE(::mkfifo(scratch.path("fifo").c_str(), 0600) == 0);
  CHECK(error_id(scratch.path("fifo")) == "3 file.kind");
  REQUIRE(::symlink("loop", scratch.path("loop").c_str()) == 0);
  CHECK(error_id(scratch.path("loop")) == "3 file.open");
  CHECK(error_id(std::string("a\0b", 3)) == "3 file.name");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, scratch.path("socket").c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(error_id(scratch.path("socket")) == "3 file.open");
  ::close(socket);
}

}  // namespace
}  // namespace lathe

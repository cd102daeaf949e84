#include "calibration/data_key.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "scratch_directory.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

std::string key(const std::string& path) { return data_key(path, 0); }

}  // namespace

TEST_CASE("the same bytes have the same key anywhere and at any time") {
  const ScratchDirectory folder;
  const std::string large(1'000'000, 'x');
  for (const char* name : {"one/a.npz", "two/b.npz"}) folder.write(name, large);
  CHECK(key(folder.path("one/a.npz")) == key(folder.path("two/b.npz")));
  fs::rename(folder.path("two/b.npz"), folder.path("two/a.npz"));
  fs::last_write_time(folder.path("two/a.npz"),
                      fs::file_time_type::clock::now() - std::chrono::hours(48));
  CHECK(key(folder.path("one")) == key(folder.path("two")));
  CHECK(key(folder.path("one/")) == key(folder.path("one")));
}

TEST_CASE("bytes that were replaced by as many others change the key") {
  const ScratchDirectory folder;
  const std::string was(1'000'000, 'x');
  const std::string file = folder.write("pictures/a.jpg", was);
  const std::string spec =
      folder.write("d.json", R"({"format": "images", "path": "pictures", "inputs": {"*": {}}})");
  folder.write("pictures/deeper/b.jpg", was);
  for (const std::string& data : std::vector<std::string>{file, folder.path("pictures"), spec}) {
    CAPTURE(data);
    folder.write("pictures/a.jpg", was);
    const std::string before = key(data);
    CHECK(key(data) == before);
    for (const size_t at : {size_t{0}, size_t{65535}, was.size() - 65536, was.size() - 1}) {
      CAPTURE(at);
      std::string now = was;
      now[at] = 'y';
      folder.write("pictures/a.jpg", now);
      CHECK(key(data) != before);
    }
    folder.write("pictures/a.jpg", was + "x");
    CHECK(key(data) != before);
  }
}

TEST_CASE("names, further files and files in folders count") {
  const ScratchDirectory folder;
  folder.write("d/a.png", "1");
  const std::string one = key(folder.path("d"));
  folder.write("d/.hidden", "3");
  CHECK(key(folder.path("d")) == one);
  folder.write("d/e/b.png", "2");
  const std::string two = key(folder.path("d"));
  CHECK(two != one);
  fs::rename(folder.path("d/e/b.png"), folder.path("d/e/c.png"));
  CHECK(key(folder.path("d")) != two);
  CHECK(key(folder.path("d")) != key(folder.path("d/a.png")));
}

TEST_CASE("labels and text of a specification count") {
  const ScratchDirectory folder;
  folder.write("x.npy", "data");
  folder.write("labels.npy", "labels");
  const std::string text = R"({"format": "npy", "path": "x.npy", "labels": "labels.npy"})";
  const std::string spec = folder.write("d.json", text);
  const std::string before = key(spec);
  folder.write("labels.npy", "others");
  CHECK(key(spec) != before);
  folder.write("labels.npy", "labels");
  CHECK(key(spec) == before);
  folder.write("d.json", text + "\n");
  CHECK(key(spec) != before);
}

TEST_CASE("random data differ by their seed; what cannot be read has a key") {
  CHECK(data_key("random", 1) == data_key("random", 1));
  CHECK(data_key("random", 1) != data_key("random", 2));
  const ScratchDirectory folder;
  CHECK(key(folder.path("nothing")) != "");
  CHECK(key(folder.path("nothing.json")) != "");
  CHECK(key(folder.write("empty", "")) != key(folder.path("nothing")));
  CHECK(key("") != "");
}

TEST_CASE("of a large folder a part is read") {
  const ScratchDirectory folder;
  for (int i = 0; i < 600; ++i) folder.write("d/" + std::to_string(1000 + i), "abc");
  const std::string before = key(folder.path("d"));
  int seen = 0;
  for (int i = 0; i < 600; i += 100) {
    const std::string name = "d/" + std::to_string(1000 + i);
    folder.write(name, "abd");
    seen += key(folder.path("d")) != before ? 1 : 0;
    folder.write(name, "abc");
  }
  CHECK(seen > 0);
  CHECK(key(folder.path("d")) == before);
  folder.write("d/1001", "abcd");  // sizes count everywhere
  CHECK(key(folder.path("d")) != before);
}

}  // namespace lathe

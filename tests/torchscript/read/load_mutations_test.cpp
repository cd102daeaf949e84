// Damaged archives, opened as load_torchscript opens them, in forks of this process: it has
// LibTorch already.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "ir/error.h"
#include "os/zip_archive.h"
#include "scratch_directory.h"
#include "torchscript/child/read_in_child.h"
#include "torchscript/read/archive_builder.h"
#include "torchscript/read/load_torchscript.h"

namespace lathe {
namespace {

int run_forked(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  return lathe_torchscript_child(static_cast<int>(pointers.size()), pointers.data());
}

// Small enough that most mutations hit the code and the pickle.
ScriptFile seed_file() {
  ScriptFile file;
  file.code =
      "class Net(Module):\n"
      "  __parameters__ = [\"weight\", ]\n"
      "  __buffers__ = []\n"
      "  weight : Tensor\n"
      "  training : bool\n"
      "  def forward(self: __torch__.Net,\n"
      "    x: Tensor) -> Tensor:\n"
      "    weight = self.weight\n"
      "    y = torch.relu(torch.mul(x, weight))\n"
      "    if torch.gt(torch.dim(x), 1):\n"
      "      z = torch.sum(y, [1], True)\n"
      "    else:\n"
      "      z = torch.add(y, CONSTANTS.c0, alpha=2)\n"
      "    for i in range(3):\n"
      "      z = torch.sub(z, i)\n"
      "    return z\n";
  return file;
}

std::vector<ZipMember> seed_members() {
  std::vector<ZipMember> members = seed_file().members();
  members[3].data = "\x80\x02" + pickle_tensor({.key = "0", .storage = 4, .size = 4}) + "\x85.";
  members.push_back({"net/constants/0", seed_file().weight});
  return members;
}

// A real file, taken apart so that its CRCs can be repaired.
std::vector<ZipMember> fixture_members(const char* name) {
  std::ifstream file(std::filesystem::path(LATHE_SOURCE_DIR) / "tests/torchscript/fixtures" / name,
                     std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  std::vector<ZipMember> members;
  for (const ZipEntry& entry : read_zip(as_bytes(bytes), name))
    members.push_back({entry.name, zip_entry_text(entry, name, 1 << 20), entry.deflated});
  return members;
}

std::vector<std::vector<ZipMember>> seeds() {
  return {seed_members(), seed_members(), fixture_members("quantized_scripted.pt"),
          fixture_members("quantized_dynamic.pt")};
}

// One to four bytes anywhere, or, with repaired CRCs, inside one member.
std::string mutate(std::mt19937& random, std::vector<ZipMember> members, bool repaired) {
  const auto flip = [&](std::string& text) {
    for (unsigned i = 0; i < 1 + random() % 4 && !text.empty(); ++i) {
      char& byte = text[random() % text.size()];
      switch (random() % 4) {
        case 0: byte = static_cast<char>(byte ^ (1 << random() % 8)); break;
        case 1: byte = static_cast<char>(random()); break;
        case 2: byte = "\xff\x7f\x80"[random() % 3]; break;
        // Printable: code that still parses is more likely.
        default: byte = static_cast<char>(' ' + random() % 95); break;
      }
    }
  };
  if (repaired) {
    ZipMember& member = members[random() % members.size()];
    // Two bytes, checked at once: seldom worth a round.
    flip(member.name.ends_with("/version") && random() % 8 != 0 ? members[0].data : member.data);
    return zip_bytes(members);
  }
  std::string bytes = zip_bytes(members);
  if (random() % 8 == 0) bytes.resize(random() % bytes.size());
  flip(bytes);
  return bytes;
}

void storm(int rounds, unsigned seed) {
  const ScratchDirectory scratch;
  LoadTorchScriptOptions options;
  options.forked = run_forked;
  options.memory_bytes = int64_t{1} << 30;
  options.cpu_seconds = 10;
  std::mt19937 random(seed);
  std::map<std::string, int> verdicts;
  const auto files = seeds();
  for (const auto& members : files) {
    scratch.write("net.pt", zip_bytes(members));
    REQUIRE_NOTHROW(load_torchscript(scratch.path("net.pt"), options));
  }
  for (int round = 0; round < rounds; ++round) {
    const std::string bytes = mutate(random, files[random() % files.size()], round % 2 == 0);
    scratch.write("net.pt", bytes);
    try {
      const TorchModule module = load_torchscript(scratch.path("net.pt"), options);
      ++verdicts["loaded"];
    } catch (const Error& error) {
      const int code = static_cast<int>(error.code());
      ++verdicts[error.id()];
      CHECK_MESSAGE((code == 3 || code == 8),
                    "seed " << seed << " round " << round << ": " << error.what());
      CHECK(!error.text().message.empty());
      CHECK(error.text().where.find("net.pt") != std::string::npos);
    }
  }
  std::string text;
  for (const auto& [id, count] : verdicts) text += id + " " + std::to_string(count) + "; ";
  MESSAGE("seed " << seed << ": " << text);
  CHECK(verdicts["loaded"] < rounds * 6 / 10);
  CHECK(verdicts.size() > 5);
}

}  // namespace

TEST_CASE("T1: the parent survives 300 damaged archives") { storm(300, 11); }

TEST_CASE("T1: the parent survives 10,000 damaged archives, slow" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  storm(10'000, 23);
}

}  // namespace lathe

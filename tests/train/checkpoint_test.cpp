#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "train/checkpoint.h"

#include <doctest/doctest.h>

namespace lathe {
namespace {

namespace fs = std::filesystem;

Checkpoint sample() {
  Checkpoint checkpoint;
  checkpoint.recipe = {{"lr", "0.001"}, {"model", "abc"}};
  checkpoint.tensors["parameter/w"] = Tensor::of<float>({2, 2}, {1, -2, 3.5, 0});
  checkpoint.tensors["train/step"] = Tensor::scalar<int64_t>(7);
  checkpoint.tensors["empty"] = Tensor::of<double>({0, 3}, {});
  return checkpoint;
}

std::string refusal(const std::string& bytes) {
  try {
    parse_checkpoint(bytes, "run.checkpoint");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(error.text().where == "run.checkpoint");
    CHECK_FALSE(error.text().hint.empty());
    return error.text().message;
  }
  return {};
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("lathe_checkpoint_" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("a checkpoint comes back as it was") {
  const Checkpoint back = parse_checkpoint(checkpoint_bytes(sample()), "x");
  CHECK(back.recipe == sample().recipe);
  REQUIRE(back.tensors.size() == 3);
  for (const auto& [name, tensor] : sample().tensors)
    CHECK(back.tensors.at(name).identical(tensor));
}

TEST_CASE("a cut, damaged or foreign file is refused at every length and bit") {
  const std::string bytes = checkpoint_bytes(sample());
  for (size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(refusal(bytes.substr(0, length)).empty());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    CHECK_FALSE(refusal(flipped).empty());
  }
  CHECK(refusal("PK\3\4 an archive") == "this is no checkpoint of lathe");
  CHECK(refusal(bytes.substr(0, bytes.size() - 1)) ==
        "the checkpoint was cut short or damaged: its checksum is wrong");
  CHECK(refusal(bytes + "x") == "the checkpoint was cut short or damaged: its checksum is wrong");
}

TEST_CASE("another version is told apart from damage") {
  std::string bytes = checkpoint_bytes(sample());
  bytes[16] = 9;
  CHECK(refusal(bytes) == "the checkpoint has version 9, this lathe reads 1");
}

TEST_CASE("a run with other options is refused, naming the first difference") {
  const auto message = [](std::map<std::string, std::string> recipe) -> std::string {
    try {
      require_same_recipe(sample(), recipe, "x");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kUsage);
      return error.text().message;
    }
    return {};
  };
  CHECK(message(sample().recipe).empty());
  CHECK(message({{"lr", "0.01"}, {"model", "abc"}}) ==
        "the checkpoint is of another run: lr was 0.001, now it is 0.01");
  CHECK(message({{"lr", "0.001"}}) ==
        "the checkpoint is of another run: model was abc, now it is not given");
  CHECK(message({{"a", "b"}, {"lr", "0.001"}, {"model", "abc"}}) ==
        "the checkpoint is of another run: a was not given, now it is b");
}

TEST_CASE("a tensor of another shape or type is refused") {
  const Checkpoint checkpoint = sample();
  CHECK(checkpoint.tensor("parameter/w", DType::kFloat32, {2, 2}).numel() == 4);
  CHECK_THROWS_AS(checkpoint.tensor("parameter/w", DType::kFloat32, {4}), Error);
  CHECK_THROWS_AS(checkpoint.tensor("parameter/w", DType::kFloat64, {2, 2}), Error);
  CHECK_THROWS_AS(checkpoint.tensor("parameter/v", DType::kFloat32, {2, 2}), Error);
}

TEST_CASE("a write that fails leaves the old checkpoint") {
  const Folder folder;
  const std::string path = folder.path / "run.checkpoint";
  save_checkpoint(path, sample());
  Checkpoint next = sample();
  next.recipe["lr"] = "2";
  save_checkpoint(path, next);
  CHECK(load_checkpoint(path).recipe.at("lr") == "2");
  if (geteuid() != 0) {
    fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec);
    CHECK_THROWS_AS(save_checkpoint(path, sample()), Error);
    fs::permissions(folder.path, fs::perms::owner_all);
  }
  // What a killed writer leaves is a temporary beside the file, never the file itself.
  std::ofstream(folder.path / "run.checkpoint.tmp") << "half";
  CHECK(load_checkpoint(path).recipe.at("lr") == "2");
  CHECK_THROWS_AS(load_checkpoint(folder.path / "none"), Error);
  CHECK_THROWS_AS(load_checkpoint(folder.path), Error);
}

}  // namespace lathe

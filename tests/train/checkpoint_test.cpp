#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "scratch_directory.h"
#include "status_of_fork.h"
#include "train/checkpoint.h"
#include "train/checkpoint_lock.h"

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

std::string checkpoint_refusal(const std::string& bytes) {
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

Checkpoint numbered(int64_t step) {
  Checkpoint checkpoint = sample();
  checkpoint.tensors["train/step"] = Tensor::scalar<int64_t>(step);
  // Some pages, so that a write takes a while.
  checkpoint.tensors["weights"] = Tensor::of<float>({50000}, std::vector<float>(50000, 0.5F));
  return checkpoint;
}

int64_t step_of(const Checkpoint& checkpoint) {
  return checkpoint.tensors.at("train/step").values<int64_t>()[0];
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

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
    CHECK_FALSE(checkpoint_refusal(bytes.substr(0, length)).empty());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    CHECK_FALSE(checkpoint_refusal(flipped).empty());
  }
  CHECK(checkpoint_refusal("PK\3\4 an archive") == "this is no checkpoint of lathe");
  CHECK(checkpoint_refusal(bytes.substr(0, bytes.size() - 1)) ==
        "the checkpoint was cut short or damaged: its checksum is wrong");
  CHECK(checkpoint_refusal(bytes + "x") ==
        "the checkpoint was cut short or damaged: its checksum is wrong");
}

TEST_CASE("another version is told apart from damage") {
  std::string bytes = checkpoint_bytes(sample());
  bytes[16] = 9;
  CHECK(checkpoint_refusal(bytes) == "the checkpoint has version 9, this lathe reads 1");
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
  const ScratchDirectory folder;
  const std::string path = folder.path("run.checkpoint");
  save_checkpoint(path, sample());
  Checkpoint next = sample();
  next.recipe["lr"] = "2";
  save_checkpoint(path, next);
  CHECK(load_checkpoint(path).recipe.at("lr") == "2");
  if (geteuid() != 0) {
    fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
    CHECK_THROWS_AS(save_checkpoint(path, sample()), Error);
    fs::permissions(folder.path(), fs::perms::owner_all);
  }
  // What a killed writer leaves is a temporary beside the file, never the file itself.
  std::ofstream(folder.path("run.checkpoint.tmp")) << "half";
  CHECK(load_checkpoint(path).recipe.at("lr") == "2");
  CHECK_THROWS_AS(load_checkpoint(folder.path("none")), Error);
  CHECK_THROWS_AS(load_checkpoint(folder.path()), Error);
}

TEST_CASE("the checkpoint before the newest is kept") {
  const ScratchDirectory folder;
  const std::string path = folder.path("run.checkpoint");
  CHECK_FALSE(checkpoint_exists(path));
  for (int64_t step = 1; step <= 3; ++step) save_checkpoint(path, numbered(step));
  CHECK(files_in(folder.path()) == 2);
  CHECK(step_of(load_checkpoint(path)) == 3);
  CHECK(step_of(load_checkpoint(previous_checkpoint(path))) == 2);
  const LoadedCheckpoint newest = load_newest_checkpoint(path);
  CHECK_FALSE(newest.previous);
  CHECK(newest.why.empty());
}

TEST_CASE("the one before is taken when the newest is absent, cut or damaged") {
  const ScratchDirectory folder;
  const std::string path = folder.path("run.checkpoint");
  save_checkpoint(path, sample());
  save_checkpoint(path, numbered(8));
  save_checkpoint(path, sample());  // the small one is newest: every byte of it is tried
  const std::string whole = content(path);
  const auto expect_previous = [&](const std::string& why) {
    CAPTURE(why);
    const LoadedCheckpoint loaded = load_newest_checkpoint(path);
    CHECK(loaded.previous);
    CHECK(step_of(loaded.checkpoint) == 8);
    CHECK(loaded.why.find(why) != std::string::npos);
    CHECK(step_of(load_checkpoint(path)) == 8);
  };
  for (size_t length = 0; length < whole.size(); length += 7) {
    write(path, whole.substr(0, length));
    expect_previous("checkpoint");
  }
  for (size_t i = 0; i < whole.size(); i += 3) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    write(path, flipped);
    expect_previous("checkpoint");
  }
  fs::remove(path);
  CHECK(checkpoint_exists(path));
  expect_previous("no such file");
  // Both: the newest is what is complained about.
  write(path, "PK");
  write(previous_checkpoint(path), whole.substr(0, whole.size() / 2));
  try {
    load_newest_checkpoint(path);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(error.text().where == path);
    CHECK(error.text().message.find("no checkpoint of lathe; and of the one before: ") !=
          std::string::npos);
    CHECK(error.text().message.find("checksum") != std::string::npos);
  }
  fs::remove(previous_checkpoint(path));
  CHECK_THROWS_AS(load_newest_checkpoint(path), Error);
}

TEST_CASE("a writer killed at any moment leaves a complete checkpoint") {
  const ScratchDirectory folder;
  const std::string path = folder.path("run.checkpoint");
  save_checkpoint(path, numbered(0));
  int64_t reached = 0;
  for (int kill_number = 0; kill_number < 25; ++kill_number) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int64_t step = reached + 1;; ++step) save_checkpoint(path, numbered(step));
    }
    ::usleep(static_cast<useconds_t>(1000 + kill_number * 1371));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // A file that is there is whole: nothing falls back.
    const LoadedCheckpoint loaded = load_newest_checkpoint(path);
    CHECK_FALSE(loaded.previous);
    CHECK(step_of(loaded.checkpoint) >= reached);
    reached = step_of(loaded.checkpoint);
    if (fs::exists(previous_checkpoint(path)))
      CHECK(step_of(load_checkpoint(previous_checkpoint(path))) <= reached);
  }
  CHECK(reached > 0);
}

TEST_CASE("a full disk leaves both checkpoints and exits 9") {
  const ScratchDirectory folder;
  const std::string path = folder.path("run.checkpoint");
  save_checkpoint(path, numbered(1));
  save_checkpoint(path, numbered(2));
  const int status = status_of_fork([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    save_checkpoint(path, numbered(3));
  });
  CHECK(status == 9);
  CHECK(files_in(folder.path()) == 2);
  CHECK(step_of(load_checkpoint(path)) == 2);
  CHECK(step_of(load_checkpoint(previous_checkpoint(path))) == 1);
}

TEST_CASE("what is no file is never moved away") {
  const ScratchDirectory folder;
  const fs::path path = folder.path("run.checkpoint");
  fs::create_directories(path / "mine");
  CHECK_THROWS_AS(save_checkpoint(path, sample()), Error);
  CHECK(fs::exists(path / "mine"));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("one training at a time has a folder of checkpoints") {
  const ScratchDirectory folder;
  const auto lock_in_child = [&] {
    return status_of_fork([&] { const CheckpointLock lock(folder.path()); });
  };
  {
    const CheckpointLock lock(folder.path());
    CHECK(lock.held());
    CHECK(lock_in_child() == 2);
    try {
      const CheckpointLock second(folder.path());
      CHECK(false);
    } catch (const Error& error) {
      CHECK(error.id() == "train.folder_busy");
      CHECK(error.text().message.find("process " + std::to_string(getpid()) + " on ") !=
            std::string::npos);
    }
  }
  CHECK(lock_in_child() == 0);
  // A holder that was killed holds nothing.
  CHECK(status_of_fork([&] {
          const CheckpointLock lock(folder.path());
          ::raise(SIGKILL);
        }) == -SIGKILL);
  CHECK(lock_in_child() == 0);
  CHECK(status_of_fork([&] { const CheckpointLock lock(folder.path("none")); }) == 9);
  fs::remove(folder.path("lock"));
  write(folder.path("elsewhere"), "precious");
  fs::create_symlink(folder.path("elsewhere"), folder.path("lock"));
  CHECK(lock_in_child() == 9);
  CHECK(content(folder.path("elsewhere")) == "precious");
}

}  // namespace lathe

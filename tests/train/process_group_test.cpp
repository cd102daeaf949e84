// Real processes over Gloo: this executable starts itself once for every rank.
#include <filesystem>
#include <fstream>

#include "spawned_processes.h"

#include "run/run_text.h"
#include "run/threads.h"
#include "scratch_directory.h"
#include "shared_training.h"
#include "train/process_group.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::contains;
using test::distance;
using test::kRounding;
using test::shared_options;
using test::Spawned;
using test::train_shared;
using test::Trained;

constexpr const char* kMember = "a member of a group of processes";
constexpr int64_t kBatch = 10;  // over 4: 3, 3, 2, 2

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// What a member does is told by variables; it leaves "state", "error" and "step" in the folder.
void run_member(const std::string& folder) {
  const bool frozen = variable("LATHE_TEST_FROZEN") == "1";
  const std::string dies = variable("LATHE_TEST_DIES"), hangs = variable("LATHE_TEST_HANGS");
  const std::string checked = variable("LATHE_TEST_CHECKED");
  set_thread_count(1);
  ProcessEnvironment environment = process_environment().value();
  if (const std::string limit = variable("LATHE_TEST_TIMEOUT"); !limit.empty())
    environment.timeout = std::chrono::milliseconds(std::stoi(limit));
  if (const std::string limit = variable("LATHE_TEST_JOIN"); !limit.empty())
    environment.join_timeout = std::chrono::milliseconds(std::stoi(limit));
  const std::string rank = std::to_string(environment.rank);
  const auto file = [&](const char* name) { return folder + "/" + name + rank; };
  bool stopping = false;
  const std::string error = test::error_of([&] {
    const auto processes = join_processes(environment, [&] {
      if (stopping) throw Error(ExitCode::kTerminated, "terminated", {"terminated", {}, {}});
    });
    TrainOptions options = shared_options(kBatch, 2);
    options.processes = processes.get();
    options.checkpoint = folder + "/run";
    options.checkpoint_steps = 2;
    options.resume = variable("LATHE_TEST_RESUME") == "1";
    options.validate = [](const TrainableGraph&) { return 0.5; };
    options.on_step = [&](TrainableGraph&, int64_t steps) {
      if (steps == 7 && dies == rank) raise(SIGKILL);
      if (steps == 7 && hangs == rank) pause();
      stopping = steps == 7 && checked == rank;
    };
    const Trained trained = train_shared(frozen, options);
    Checkpoint left;
    left.tensors = trained.state;
    left.tensors["losses"] = Tensor::vector<double>(trained.losses);
    save_checkpoint(file("state"), left);
  });
  std::ofstream(file("error")) << error;
}

Trained left_by(const ScratchDirectory& folder, size_t rank) {
  Trained trained;
  trained.state = load_checkpoint(folder.path("state" + std::to_string(rank))).tensors;
  const Tensor losses = trained.state.at("losses");
  trained.losses = losses.to_double();
  trained.state.erase("losses");
  return trained;
}

TrainOptions alone_options() {
  TrainOptions options = shared_options(kBatch, 2);
  options.validate = [](const TrainableGraph&) { return 0.5; };
  return options;
}

Spawned::Variables in_folder(const ScratchDirectory& folder, bool frozen = false) {
  return {{"LATHE_TEST_MEMBER", folder.path()}, {"LATHE_TEST_FROZEN", frozen ? "1" : "0"}};
}

}  // namespace

TEST_CASE("a member of a group of processes") {
  const std::string folder = variable("LATHE_TEST_MEMBER");
  if (!folder.empty()) run_member(folder);
}

TEST_CASE("two and four processes train as one does") {
  for (const bool frozen : {false, true}) {
    const Trained alone = train_shared(frozen, alone_options());
    for (const size_t size : {2, 4}) {
      CAPTURE(frozen);
      CAPTURE(size);
      const ScratchDirectory folder;
      const Spawned group(kMember, static_cast<int64_t>(size), in_folder(folder, frozen));
      for (size_t rank = 0; rank < size; ++rank) {
        REQUIRE(group.wait(rank) == 0);
        CHECK(folder.read("error" + std::to_string(rank)) == "");
      }
      const Trained first = left_by(folder, 0);
      CHECK(distance(first.losses, alone.losses) < kRounding);
      CHECK(distance(first.state, alone.state) < kRounding);
      for (size_t rank = 1; rank < size; ++rank)
        CHECK(test::same_state(left_by(folder, rank).state, first.state));
    }
  }
}

TEST_CASE("a killed process ends the others, whose checkpoint is gone on with by any number") {
  const Trained alone = train_shared(false, alone_options());
  for (const size_t dead : {0, 2}) {
    CAPTURE(dead);
    const ScratchDirectory folder;
    auto variables = in_folder(folder);
    variables["LATHE_TEST_DIES"] = std::to_string(dead);
    {
      const Spawned group(kMember, 4, variables);
      CHECK(group.wait(dead) == -SIGKILL);
      for (size_t rank = 0; rank < 4; ++rank) {
        if (rank == dead) continue;
        REQUIRE(group.wait(rank) == 0);  // a peer that answers no longer would be waited for longer
        const std::string error = folder.read("error" + std::to_string(rank));
        CHECK(contains(error, "6 train.peer_lost"));
        CHECK(contains(error, "rank " + std::to_string(rank) + " of 4"));
      }
    }
    const Checkpoint saved = load_checkpoint(folder.path("run"));
    CHECK(saved.tensor("train/step", DType::kInt64, {}).values<int64_t>()[0] == 7);
    variables.erase("LATHE_TEST_DIES");
    variables["LATHE_TEST_RESUME"] = "1";
    const size_t size = dead == 0 ? 4 : 3;
    const Spawned group(kMember, static_cast<int64_t>(size), variables);
    for (size_t rank = 0; rank < size; ++rank) {
      REQUIRE(group.wait(rank) == 0);
      CHECK(folder.read("error" + std::to_string(rank)) == "");
    }
    const Trained resumed = left_by(folder, 1);
    CHECK(resumed.losses.size() == 3);
    CHECK(distance(resumed.state, alone.state) < kRounding);
  }
}

TEST_CASE("who waits for a process that hangs ends by its own signal or when time is up") {
  const ScratchDirectory folder;
  auto variables = in_folder(folder);
  variables["LATHE_TEST_HANGS"] = "1";
  variables["LATHE_TEST_TIMEOUT"] = "600000";
  variables["LATHE_TEST_CHECKED"] = "0";
  {
    const Spawned group(kMember, 2, variables);
    REQUIRE(group.wait(0) == 0);
    CHECK(contains(folder.read("error0"), "143 terminated"));
    CHECK_FALSE(group.wait(1, std::chrono::seconds(0)));
  }
  CHECK(load_checkpoint(folder.path("run")).tensors.contains("train/step"));
  variables.erase("LATHE_TEST_CHECKED");
  variables["LATHE_TEST_TIMEOUT"] = "1500";
  const Spawned group(kMember, 2, variables);
  REQUIRE(group.wait(0) == 0);
  CHECK(contains(folder.read("error0"), "Timed out"));
}

TEST_CASE("processes that never come are named") {
  const ScratchDirectory folder;
  auto variables = in_folder(folder);
  variables["LATHE_TEST_JOIN"] = "6000";
  const Spawned group(kMember, 4, variables);
  group.send(1, SIGKILL);
  group.send(3, SIGKILL);
  REQUIRE(group.wait(0) == 0);
  const std::string error = folder.read("error0");
  CHECK(contains(error, "6 train.join"));
  CHECK(contains(error, "2 of 4 processes did not join within 6 s (ranks 1, 3)"));
}

TEST_CASE("a port that another program uses is an error") {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(descriptor, 1) == 0);
  REQUIRE(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ProcessEnvironment environment;
  environment.size = 2;
  environment.address = "127.0.0.1";
  environment.port = ntohs(address.sin_port);
  environment.join_timeout = std::chrono::milliseconds(500);
  CHECK(contains(test::error_of([&] { join_processes(environment); }), "6 train.join"));
  close(descriptor);
}

}  // namespace lathe

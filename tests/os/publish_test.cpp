#include "os/publish.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "ir/error.h"
#include "os/check_output.h"
#include "os/signals.h"
#include "os/temporaries.h"
#include "scratch_directory.h"
#include "status_of_fork.h"

namespace lathe {
namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
    return "";
  } catch (const Error& e) {
    return std::to_string(static_cast<int>(e.code())) + " " + e.id();
  }
}

TEST_CASE("publish writes, replaces and leaves nothing else behind") {
  const ScratchDirectory scratch;
  publish_file(scratch.path("a"), "one", false);
  CHECK(scratch.read("a") == "one");
  CHECK(error_of([&] { publish_file(scratch.path("a"), "two", false); }) == "2 output.exists");
  CHECK(scratch.read("a") == "one");
  publish_file(scratch.path("a"), "two", true);
  CHECK(scratch.read("a") == "two");
  CHECK(scratch.names() == std::vector<std::string>{"a"});
  const std::string longest(255, 'n');
  publish_file(scratch.path(longest), "x", false);
  CHECK(scratch.read(longest) == "x");
}

TEST_CASE("the mode follows the umask") {
  const ScratchDirectory scratch;
  const mode_t before = ::umask(027);
  publish_file(scratch.path("a"), "", false);
  ::umask(before);
  struct stat facts {};
  REQUIRE(::stat(scratch.path("a").c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0640);
}

TEST_CASE("a file that is not published is removed") {
  const ScratchDirectory scratch;
  {
    StagedFile file(scratch.path("a"));
    file.write("half");
    CHECK(scratch.names().size() == 1);
    StagedFile moved = std::move(file);
    CHECK(scratch.names().size() == 1);
  }
  CHECK(scratch.names().empty());
}

TEST_CASE("several files: a failing rename takes the new ones back") {
  const ScratchDirectory scratch;
  scratch.write("taken", "old");
  std::vector<StagedFile> files;
  files.emplace_back(scratch.path("data")).write("data");
  files.emplace_back(scratch.path("taken")).write("new");
  CHECK(error_of([&] { publish(std::move(files), false); }) == "2 output.exists");
  CHECK(scratch.names() == std::vector<std::string>{"taken"});
  CHECK(scratch.read("taken") == "old");
}

TEST_CASE("a link is replaced, its target untouched") {
  const ScratchDirectory scratch;
  scratch.write("target", "old");
  REQUIRE(::symlink("target", scratch.path("link").c_str()) == 0);
  publish_file(scratch.path("link"), "new", true);
  CHECK(scratch.read("target") == "old");
  CHECK(scratch.read("link") == "new");
}

TEST_CASE("write errors are exit 9 and leave the old file") {
  const ScratchDirectory scratch;
  CHECK(error_of([&] { StagedFile file(scratch.path("no/such/a")); }) == "9 output.write");
  scratch.write("a", "old");
  const int status = status_of_fork([&] {
    install_signal_handlers();
    const struct rlimit limit { 1000, 1000 };
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string error =
        error_of([&] { publish_file(scratch.path("a"), std::string(5000, 'x'), true); });
    if (error != "9 output.write") ::_exit(77);
  });
  CHECK(status == 0);
  CHECK(scratch.read("a") == "old");
  CHECK(scratch.names() == std::vector<std::string>{"a"});
}

TEST_CASE("SIGKILL at any moment leaves the old or the new file, complete") {
  const ScratchDirectory scratch;
  const unsigned seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto content = [](int round) {
    return std::string(300'000, static_cast<char>('a' + round % 26));
  };
  scratch.write("a", content(25));
  int replaced = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0; i < 1000; ++i) publish_file(scratch.path("a"), content(i), true);
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    const std::string now = scratch.read("a");
    REQUIRE(now.size() == 300'000);
    REQUIRE(now.find_first_not_of(now[0]) == std::string::npos);
    replaced += now[0] != 'z';
  }
  CHECK(replaced > 0);
}

TEST_CASE("signals remove temporaries") {
  const ScratchDirectory scratch;
  const auto staged = [&](auto&& then) {
    return status_of_fork([&] {
      install_signal_handlers();
      StagedFile file(scratch.path("a"));
      file.write("half");
      then();
      ::_exit(55);
    });
  };
  SUBCASE("the first only asks") {
    CHECK(staged([] {
            ::raise(SIGINT);
            if (!interrupted()) ::_exit(56);
            try {
              throw_if_interrupted();
            } catch (const Error& e) {
              if (e.code() == ExitCode::kInterrupted) ::_exit(57);
            }
          }) == 57);
    CHECK(scratch.names().size() == 1);  // _exit without unwinding: the test's own doing
  }
  SUBCASE("the second SIGINT ends with 130") {
    CHECK(staged([] { ::raise(SIGINT), ::raise(SIGINT); }) == 130);
    CHECK(scratch.names().empty());
  }
  SUBCASE("the second SIGTERM ends with 143") {
    CHECK(staged([] { ::raise(SIGTERM), ::raise(SIGTERM); }) == 143);
    CHECK(scratch.names().empty());
  }
  SUBCASE("a command that does not listen ends after its grace time") {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(staged([] {
            set_interrupt_grace(1);
            ::raise(SIGINT);
            for (;;) ::usleep(10'000);
          }) == 130);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(800));
    CHECK(scratch.names().empty());
  }
  SUBCASE("SIGBUS ends with 3") {
    CHECK(staged([] { ::raise(SIGBUS); }) == 3);
    CHECK(scratch.names().empty());
  }
  SUBCASE("SIGPIPE and SIGXFSZ are ignored") {
    CHECK(staged([] { ::raise(SIGPIPE), ::raise(SIGXFSZ); }) == 55);
  }
  SUBCASE("the end waits while files are renamed") {
    CHECK(staged([&] {
            {
              const HoldExit hold;
              ::raise(SIGINT), ::raise(SIGINT);
              scratch.write("reached", "");
            }
            ::_exit(58);
          }) == 130);
    CHECK(scratch.names() == std::vector<std::string>{"reached"});
  }
  SUBCASE("a forked child leaves its parent's files alone") {
    StagedFile file(scratch.path("a"));
    CHECK(status_of_fork([] { remove_temporaries(); }) == 0);
    CHECK(scratch.names().size() == 1);
  }
}

TEST_CASE("check_output") {
  const ScratchDirectory scratch;
  scratch.write("in", "model");
  scratch.write("old", "x");
  const auto check = [&](const std::string& name, bool force = false) {
    return error_of([&] { check_output(scratch.path(name), force, {scratch.path("in")}); });
  };
  CHECK(check("new") == "");
  CHECK(check("old") == "2 output.exists");
  CHECK(check("old", true) == "");
  CHECK(check("in", true) == "2 output.is_input");
  CHECK(check("x/../in", true) == "2 output.is_input");
  CHECK(check("./in", true) == "2 output.is_input");
  REQUIRE(::symlink("in", scratch.path("soft").c_str()) == 0);
  REQUIRE(::link(scratch.path("in").c_str(), scratch.path("hard").c_str()) == 0);
  CHECK(check("soft", true) == "2 output.is_input");
  CHECK(check("hard", true) == "2 output.is_input");
  REQUIRE(::mkdir(scratch.path("dir").c_str(), 0700) == 0);
  CHECK(check("dir", true) == "9 output.kind");
  CHECK(check("dir/") == "9 output.kind");
  CHECK(check("missing/a") == "9 output.directory");
  CHECK(check("old/a") == "9 output.directory");
  CHECK(check(std::string(300, 'n')) == "9 output.name");
  CHECK(error_of([] { check_output("", true, {}); }) == "2 output.name");
  CHECK(error_of([] { check_output("/dev/null", true, {}); }) == "9 output.kind");
  if (::geteuid() != 0) {
    ::chmod(scratch.path("dir").c_str(), 0500);
    CHECK(check("dir/a") == "9 output.directory");
  }
  CHECK(error_of([&] {
          check_outputs({scratch.path("m"), scratch.path("dir/../m")}, false, {});
        }) == "2 output.twice");
  CHECK(same_file(scratch.path("in"), scratch.path("hard")));
  CHECK(!same_file(scratch.path("in"), scratch.path("old")));
}

TEST_CASE("an output may not be an input that does not exist yet under another spelling") {
  const ScratchDirectory scratch;
  REQUIRE(::mkdir(scratch.path("d").c_str(), 0700) == 0);
  CHECK(same_file(scratch.path("x"), scratch.path("d/../x")));
}

}  // namespace
}  // namespace lathe

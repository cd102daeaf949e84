#include "os/child_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "ir/error.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

ChildCommand shell(const std::string& script) {
  ChildCommand command;
  command.argv = {"/bin/sh", "-c", script};
  return command;
}

}  // namespace

TEST_CASE("output, error text, exit code and use of a child are told") {
  const ChildResult result = run_child(shell("echo out; echo err >&2; exit 7"));
  CHECK(result.exit_code == 7);
  CHECK(result.signal == 0);
  CHECK(result.output == "out\n");
  CHECK(result.error_output == "err\n");
  CHECK(result.max_resident_bytes > 100'000);
  CHECK(run_child(shell("kill -11 $$")).signal == SIGSEGV);
}

TEST_CASE("a child gets the environment, directory, input and descriptors it is given") {
  const ScratchDirectory scratch;
  scratch.write("in", "from a file");
  ChildCommand command = shell("pwd; echo $NAME; cat; cat <&9");
  command.environment = std::vector<std::string>{"NAME=value", "PATH=/bin:/usr/bin"};
  command.working_directory = scratch.path();
  command.input = ::open(scratch.path("in").c_str(), O_RDONLY | O_CLOEXEC);
  const int extra = ::open(scratch.path("in").c_str(), O_RDONLY | O_CLOEXEC);
  command.descriptors = {{extra, 9}};
  const ChildResult result = run_child(command);
  CHECK(result.output == scratch.path() + "\nvalue\nfrom a filefrom a file");
  ::close(command.input);
  ::close(extra);
  // Nothing else is open: 0, 1, 2 and the directory that ls reads.
  ChildCommand list = shell("ls /proc/self/fd");
  CHECK(run_child(list).output == "0\n1\n2\n3\n");
}

TEST_CASE("output can go to files") {
  const ScratchDirectory scratch;
  ChildCommand command = shell("echo out; echo err >&2");
  command.output_file = scratch.path("out");
  command.error_file = scratch.path("err");
  CHECK(run_child(command).output.empty());
  CHECK(scratch.read("out") == "out\n");
  CHECK(scratch.read("err") == "err\n");
}

TEST_CASE("a child that does not end is killed with all that it started") {
  ChildCommand command = shell("sleep 1000 & echo $!; sleep 1000");
  command.seconds = 0.3;
  const ChildResult result = run_child(command);
  CHECK(result.timed_out);
  CHECK(result.signal == SIGKILL);
  CHECK(result.wall_seconds < 20);
  const pid_t other = static_cast<pid_t>(std::stol(result.output));
  bool gone = false;
  for (int i = 0; i < 200 && !gone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    gone = ::kill(other, 0) != 0;
  }
  CHECK(gone);
}

TEST_CASE("what a child leaves running holds nobody up") {
  const ChildResult result = run_child(shell("sleep 1000 & exit 3"));
  CHECK(result.exit_code == 3);
  CHECK(result.wall_seconds < 20);
}

TEST_CASE("floods are cut") {
  ChildCommand command = shell("while :; do echo 0123456789012345678901234567890123456789; done");
  command.max_output_bytes = 100'000;
  const ChildResult result = run_child(command);
  CHECK(result.output_exceeded);
  CHECK(result.output.size() == 100'000);
  ChildCommand errors =
      shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done");
  errors.max_error_bytes = 1000;
  const ChildResult noisy = run_child(errors);
  CHECK(noisy.exit_code == 0);
  CHECK(noisy.error_output.size() == 1000);
}

TEST_CASE("limits hold in the child") {
  const ScratchDirectory scratch;
  ChildCommand command = shell("echo x > " + scratch.path("file") + "; echo $?");
  command.limits.file_bytes = 0;
  const ChildResult written = run_child(command);
  CHECK(scratch.read("file").empty());
  CHECK(written.output != "0\n");
  ChildCommand busy = shell("while :; do :; done");
  busy.limits.cpu_seconds = 1;
  busy.seconds = 60;
  const ChildResult stopped = run_child(busy);
  CHECK((stopped.signal == SIGXCPU || stopped.signal == SIGKILL));
  CHECK(!stopped.timed_out);
  CHECK(stopped.cpu_seconds > 0.5);
  ChildCommand large = shell("x=$(head -c 300000000 /dev/zero | tr '\\0' a); echo ${#x}");
  large.limits.address_space_bytes = 100'000'000;
  CHECK(run_child(large).output != "300000000\n");
}

TEST_CASE("a child that cannot be started is exit 6") {
  ChildCommand command;
  command.argv = {"/nowhere/program"};
  try {
    run_child(command);
    FAIL("it started");
  } catch (const Error& error) {
    CHECK(error.id() == "child.start");
    CHECK(static_cast<int>(error.code()) == 6);
  }
  command = shell("true");
  command.working_directory = "/nowhere";
  CHECK_THROWS_AS(run_child(command), Error);
}

TEST_CASE("a copy of this process can be the child") {
  ChildCommand command;
  int changed = 0;
  command.body = [&] {
    changed = 1;
    return ::write(STDOUT_FILENO, "copy", 4) == 4 ? 5 : 6;
  };
  const ChildResult result = run_child(command);
  CHECK(result.exit_code == 5);
  CHECK(result.output == "copy");
  CHECK(changed == 0);
}

TEST_CASE("many children at once") {
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(8);
  for (size_t i = 0; i < outputs.size(); ++i)
    threads.emplace_back(
        [&outputs, i] { outputs[i] = run_child(shell("echo " + std::to_string(i))).output; });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < outputs.size(); ++i) CHECK(outputs[i] == std::to_string(i) + "\n");
}

}  // namespace lathe

// A test's work in a process of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "ir/error.h"

namespace lathe {

/// Exit status of a fork that does `work`: 0, an Error's code, 99 for another exception; minus the
/// signal that ended it.
inline int status_of_fork(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    } catch (...) {
      ::_exit(99);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace lathe

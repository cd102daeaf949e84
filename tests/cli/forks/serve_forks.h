// How run_lathe asks for a fork of a lathe that has LibTorch loaded.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace lathe {

// Descriptors of the serving process, above those that a test has open.
constexpr int kForkRequests = 100;
constexpr int kForkReplies = 101;

/// Followed by so many bytes: working directory, files for stdout (none: closed) and stderr, and
/// the words of the command, each with a NUL behind it.
struct ForkHead {
  size_t text_bytes = 0;
  rlimit file_size{};
};

/// Twice a request: with the process when it starts, with its end when it ended.
struct ForkReply {
  pid_t process = -1;
  int status = 0;  // as wait has it
  int64_t peak_bytes = 0;
};

}  // namespace lathe

// Errors that cross the library's border. The library never prints and never exits.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace lathe {

/// Exit codes of DESIGN.md section 3, as far as an exception can carry them.
enum class ExitCode : int {
  kDone = 0,
  kInternal = 1,
  kUsage = 2,
  kBadInput = 3,
  kGateMissed = 4,
  kInconclusive = 5,
  kEnvironment = 6,
  kBatchFailed = 7,
  kLimit = 8,
  kOutput = 9,
  kInterrupted = 130,
  kTerminated = 143,
};

/// What the user is told: what is wrong, where (file, node or key) and what to do next.
struct ErrorText {
  std::string message;
  std::string where;
  std::string hint;
};

/// A failure that the user can fix. `id` is stable ("model.truncated") and goes into reports.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string id, ErrorText text);

  ExitCode code() const { return code_; }
  const std::string& id() const { return id_; }
  const ErrorText& text() const { return text_; }
  /// The same error with `where` put in front of the place that it names ("model.onnx: node
  /// Conv_3").
  Error within(std::string_view where) const;

 private:
  ExitCode code_;
  std::string id_;
  ErrorText text_;
};

/// A broken invariant of lathe itself.
class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& what) : std::logic_error(what) {}
};

/// Bad model or data: exit 3.
Error bad_input(std::string id, std::string message, std::string where = {}, std::string hint = {});
/// Bad flag, profile, config or gates file: exit 2.
Error bad_usage(std::string id, std::string message, std::string where = {}, std::string hint = {});
/// Memory, depth, size or time limit: exit 8.
Error over_limit(std::string id, std::string message, std::string where = {},
                 std::string hint = {});
/// Output could not be written: exit 9.
Error bad_output(std::string id, std::string message, std::string where = {},
                 std::string hint = {});
/// Engine, library or sensor is missing: exit 6.
Error bad_environment(std::string id, std::string message, std::string where = {},
                      std::string hint = {});

/// `text` with control characters, invalid UTF-8 and bidirectional marks escaped (`\x1b`), and cut
/// to `max_bytes`, so that names from files can be shown on a terminal or in a log.
std::string escape_untrusted(std::string_view text, size_t max_bytes = 200);

}  // namespace lathe

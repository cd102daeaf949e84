#include "commands/quantize/eval_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "heavy/model_artifact.h"
#include "ir/error.h"
#include "os/child_process.h"
#include "os/temporaries.h"

namespace lathe {
namespace {

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// The line that says most: the last one that is not empty.
std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  const size_t start = text.rfind('\n');
  return escape_untrusted(start == std::string_view::npos ? text : text.substr(start + 1), 300);
}

std::string name_beside(const std::string& output) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    random = static_cast<uint64_t>(::getpid());
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  return (folder / fmt::format(".lathe-{:016x}.onnx", random)).string();
}

// A new file, removed with this object or by a signal.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {
    slot_ = remember_temporary(path_);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
      const int problem = errno;
      forget_temporary(slot_);
      throw failed("cannot be created", problem);
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    close();
    ::unlink(path_.c_str());
    forget_temporary(slot_);
  }

  const std::string& path() const { return path_; }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw failed("cannot be written", errno);
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
  }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  Error failed(const char* what, int problem) const {
    return bad_output(
        "eval_command.file",
        fmt::format("the model for --eval-command {}: {}", what, std::strerror(problem)),
        escape_untrusted(path_));
  }

  std::string path_;
  int slot_ = -1;
  int descriptor_ = -1;
};

void write_external_data(const WrittenModel& written, TemporaryFile& file) {
  int64_t at = 0;
  for (const ExternalPiece& piece : written.external) {
    const std::vector<std::byte> gap(static_cast<size_t>(piece.offset - at));
    file.write(gap);
    file.write(piece.tensor.bytes());
    at = piece.offset + static_cast<int64_t>(piece.tensor.bytes().size());
  }
}

}  // namespace

std::optional<double> last_number(std::string_view text) {
  std::optional<double> last;
  for (size_t i = 0; i < text.size();) {
    const bool inside = i > 0 && (is_word(text[i - 1]) || text[i - 1] == '.');
    if (inside || (!is_word(text[i]) && text[i] != '-' && text[i] != '.')) {
      ++i;
      continue;
    }
    double value = 0;
    const char* first = text.data() + i;
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(first, end, value);
    const bool whole = stop == end || !is_word(*stop);
    // "1.2.3" is a version; "0.5." ends a sentence.
    const bool version = stop != end && *stop == '.' && stop + 1 != end && is_word(stop[1]);
    if (stop == first || !whole || version) {
      // The rest of the word is no number either.
      ++i;
      while (i < text.size() && (is_word(text[i]) || text[i] == '.')) ++i;
      continue;
    }
    last = problem == std::errc::result_out_of_range ? INFINITY : value;
    i = static_cast<size_t>(stop - text.data());
  }
  return last;
}

double run_eval_command(const std::string& command, const std::string& model_path) {
  ChildCommand child;
  child.argv = {"/bin/sh", "-c", command + " \"$@\"", "eval-command", model_path};
  // Its own clean-up, when lathe is interrupted.
  child.interrupt_grace_seconds = 1;
  const ChildResult result = run_child(child);
  const std::string place = "--eval-command";
  if (result.output_exceeded)
    throw bad_input("eval_command.output", "it printed more than 64 MiB", place);
  if (result.exit_code != 0) {
    const std::string said = last_line(result.error_output);
    const std::string ended = result.exit_code < 0
                                  ? fmt::format("signal {} ended it", result.signal)
                                  : fmt::format("it ended with code {}", result.exit_code);
    throw bad_input("eval_command.failed", ended + (said.empty() ? "" : ": " + said), place,
                    "try it by hand: COMMAND MODEL.onnx");
  }
  const std::optional<double> value = last_number(result.output);
  if (!value)
    throw bad_input("eval_command.number", "it printed no number", place,
                    "the last number on its standard output is the metric");
  if (!std::isfinite(*value))
    throw bad_input("eval_command.number", "its metric is not finite", place);
  return *value;
}

double score_by_command(const QuantizeOptions& options, const Profile& profile,
                        const Model& model) {
  TemporaryFile file(name_beside(options.common.output));
  const WrittenModel written = write_model_for(model, profile, options.opset, file.path());
  file.write(std::as_bytes(std::span(written.model_bytes)));
  file.close();
  std::optional<TemporaryFile> data;
  if (!written.external.empty()) {
    data.emplace(file.path() + ".data");
    write_external_data(written, *data);
    data->close();
  }
  return run_eval_command(options.eval_command, file.path());
}

}  // namespace lathe

#include "remote/remote_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "ir/error.h"
#include "os/host_lines.h"
#include "peaks/peak_lines.h"

namespace lathe {
namespace {

constexpr int64_t kMostLines = 1000;
constexpr int kMostGreetings = 200;  // lines
constexpr size_t kMostAnswerBytes = 4096;
constexpr double kShortSeconds = 60;
constexpr double kPutSeconds = 120;  // until what was sent is there
constexpr double kRunSeconds = 600;

std::string last_line(const std::string& text) {
  std::istringstream lines(text);
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();  // of ssh, for terminals
    if (!line.empty()) last = line;
  }
  return escape_untrusted(last, 300);
}

// One shell for all, whatever the login shell is: it names its system, waits for the size and the
// bytes of the runner, and runs it. What it made goes when it ends, for whatever reason.
std::string far_commands(std::string_view temporaries) {
  return fmt::format(
      "exec sh -c 'uname -sm; read -r size || exit 0; umask 077; "
      "d=$(mktemp -d \"${{TMPDIR:-{}}}/lathe.XXXXXX\") || exit 1; "
      "trap \"rm -rf \\\"\\$d\\\"\" EXIT; trap \"exit 1\" HUP INT TERM; "
      "head -c \"$size\" >\"$d/lathe-runner\" && chmod 700 \"$d/lathe-runner\" || exit 1; "
      "[ $(wc -c <\"$d/lathe-runner\") -eq \"$size\" ] || exit 1; "
      "echo ready; \"$d/lathe-runner\" --serve'",
      temporaries);
}

// The line that begins so: a shell's start files may write others before. False where none comes
// in time: `line` is the last one then, if there was any.
bool read_answer(DuplexChild& child, std::string_view begin, double seconds, std::string& line) {
  const auto start = std::chrono::steady_clock::now();
  line.clear();
  std::string next;
  for (int i = 0; i < kMostGreetings; ++i) {
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    if (waited.count() >= seconds ||
        !child.read_line(next, seconds - waited.count(), kMostAnswerBytes))
      return false;
    if (!next.empty()) line = next;
    if (next.starts_with(begin)) return true;
  }
  return false;
}

int64_t number(std::istringstream& text) {
  int64_t value = 0;
  if (!(text >> value)) throw bad_environment("remote.protocol", "lathe-runner gave no number");
  return value;
}

}  // namespace

void RemoteRunner::lost(std::string_view doing, std::string hint) const {
  const std::string why = last_line(child_->error_output());
  throw bad_environment("remote.connection",
                        fmt::format("{}: {}", doing,
                                    !why.empty()          ? why
                                    : child_->has_ended() ? "the connection ended"
                                                          : "no answer"),
                        escape_untrusted(target_.text(), 100),
                        hint.empty() ? "try: " + target_.by_hand() : hint);
}

RemoteRunner::RemoteRunner(const RemoteTarget& target, const FindRunner& find_runner)
    : target_(target) {
  child_ = std::make_unique<DuplexChild>(
      shell_command(target, far_commands(target.is_adb ? "/data/local/tmp" : "/tmp")));
  const std::string arch = arch_there();
  put(runner_bytes(find_runner, arch));
  greet(arch);
  for (const std::string& fact : request_lines("host")) read_host_line(fact, host_);
}

std::string RemoteRunner::arch_there() {
  std::string line;
  const bool is_linux = read_answer(*child_, "Linux ", kShortSeconds, line);
  if (line.empty()) lost("cannot be reached");
  std::istringstream words(line);
  std::string system, arch;
  words >> system >> arch;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (is_linux && !arch.empty() && std::ranges::all_of(arch, is_plain)) return arch;
  throw bad_environment(
      "remote.system", "lathe-runner is for Linux; the host says " + escape_untrusted(line, 100),
      escape_untrusted(target_.text(), 100),
      "if it is Linux: its shell's start files (~/.bashrc) must not write where nobody types");
}

void RemoteRunner::put(const std::string& runner) {
  std::string line;
  if (!child_->write(fmt::format("{}\n", runner.size()), kShortSeconds) ||
      !child_->write(runner, kShortSeconds) || !read_answer(*child_, "ready", kPutSeconds, line))
    lost("lathe-runner cannot be put there",
         fmt::format("its folder for temporary files (TMPDIR, else /tmp) must have {} MB free",
                     runner.size() / 1'000'000 + 1));
}

void RemoteRunner::greet(const std::string& arch) {
  std::string line;
  if (!child_->write("hello\n", kShortSeconds) ||
      (!read_answer(*child_, "ok ", kShortSeconds, line) && line.empty()))
    lost("lathe-runner does not run there",
         "its folder for temporary files (TMPDIR, else /tmp) must let programs run, and "
         "lathe-runner (--runner) must be whole and for its processor");
  std::istringstream hello(answer_of(line));
  std::string version, its_arch;
  hello >> version >> its_arch;
  if (version != LATHE_VERSION || its_arch != arch)
    throw bad_environment("remote.runner",
                          fmt::format("lathe-runner is {} for {}, lathe is {} and the host {}",
                                      escape_untrusted(version, 40), escape_untrusted(its_arch, 40),
                                      LATHE_VERSION, arch),
                          escape_untrusted(target_.text(), 100), "build both from the same source");
}

std::vector<std::string> RemoteRunner::request_lines(const std::string& line, double seconds) {
  std::istringstream count(request(line, {}, seconds));
  std::vector<std::string> lines(
      static_cast<size_t>(std::clamp<int64_t>(number(count), 0, kMostLines)));
  for (std::string& one : lines)
    if (!child_->read_line(one, kShortSeconds)) lost("lost");
  return lines;
}

MeasuredPeaks RemoteRunner::peaks(int threads) {
  MeasuredPeaks peaks;
  for (const std::string& line : request_lines(fmt::format("peaks {}", threads), kRunSeconds))
    read_peak_line(line, peaks);
  if (peaks.compute.empty() || peaks.bandwidth.empty())
    throw bad_environment("remote.protocol", "lathe-runner measured nothing",
                          escape_untrusted(target_.text(), 100));
  return peaks;
}

std::string RemoteRunner::request(const std::string& line, std::string_view payload,
                                  double seconds) {
  std::string reply;
  if (!child_->write(line + "\n", kShortSeconds) || !child_->write(payload, kShortSeconds) ||
      !child_->read_line(reply, seconds))
    lost("lost");
  return answer_of(reply);
}

std::string RemoteRunner::answer_of(const std::string& reply) const {
  if (reply.starts_with("ok")) return reply.substr(2);
  std::istringstream words(reply);
  std::string verb, text;
  int status = 0;
  words >> verb >> status;
  std::getline(words >> std::ws, text);
  if (verb != "error")
    throw bad_environment("remote.protocol",
                          "no answer of lathe-runner's: " + escape_untrusted(reply, 100),
                          escape_untrusted(target_.text(), 100));
  const auto code =
      status == 3 || status == 8 ? static_cast<ExitCode>(status) : ExitCode::kEnvironment;
  throw Error(code, "remote.run",
              {escape_untrusted(text, 300), escape_untrusted(target_.text(), 100), {}});
}

void RemoteRunner::load(std::string_view plan, int threads, int64_t batch) {
  std::istringstream reply(
      request(fmt::format("plan {} {} {}", plan.size(), threads, batch), plan, kRunSeconds));
  facts_.load_ns = number(reply);
  std::string warning;
  std::getline(reply >> std::ws, warning);
  facts_.warning = escape_untrusted(warning, 200);
}

void RemoteRunner::add_sample(std::string_view bytes) {
  request(fmt::format("sample {}", bytes.size()), bytes, kRunSeconds);
}

std::vector<int64_t> RemoteRunner::run(size_t first, int64_t count) {
  std::istringstream reply(request(fmt::format("run {} {}", first, count), {}, kRunSeconds));
  std::vector<int64_t> times;
  for (int64_t i = 0; i < count; ++i) times.push_back(number(reply));
  return times;
}

std::vector<RemoteOutput> RemoteRunner::outputs() {
  std::vector<RemoteOutput> outputs;
  for (const std::string& line : request_lines("outputs")) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    RemoteOutput output;
    const std::optional<DType> dtype = dtype_from_name(name);
    for (int64_t dim = 0; words >> dim;) output.shape.push_back(dim);
    if (!dtype || !words.eof() ||
        std::ranges::any_of(output.shape, [](int64_t d) { return d < 0; }))
      throw bad_environment("remote.protocol",
                            "lathe-runner says of an output: " + escape_untrusted(line, 100),
                            escape_untrusted(target_.text(), 100));
    output.dtype = *dtype;
    outputs.push_back(std::move(output));
  }
  return outputs;
}

std::string RemoteRunner::run_once(std::string_view inputs, size_t output_bytes) {
  std::istringstream reply(request(fmt::format("once {}", inputs.size()), inputs, kRunSeconds));
  if (number(reply) != static_cast<int64_t>(output_bytes))
    throw bad_environment("remote.protocol", "lathe-runner's outputs have another size",
                          escape_untrusted(target_.text(), 100));
  std::string bytes;
  if (!child_->read(output_bytes, kRunSeconds, bytes)) lost("lost");
  return bytes;
}

RemoteFacts RemoteRunner::facts() {
  std::istringstream reply(request("memory"));
  facts_.resident_bytes = number(reply);
  facts_.peak_bytes = number(reply);
  facts_.degrees = static_cast<double>(number(reply)) / 1000;
  return facts_;
}

}  // namespace lathe

#include "remote/remote_runner.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "ir/error.h"
#include "os/host_lines.h"
#include "os/read_file.h"
#include "peaks/peak_lines.h"

namespace lathe {
namespace {

constexpr int64_t kMostRunnerBytes = int64_t{256} << 20;
constexpr int64_t kMostLines = 1000;
constexpr int kMostGreetings = 200;  // lines
constexpr double kShortSeconds = 60;
constexpr double kRunSeconds = 600;

bool is_of(char c, std::string_view others) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

bool all_of(std::string_view text, std::string_view others) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) { return is_of(c, others); });
}

std::string program(const char* variable, const char* otherwise) {
  const char* other = std::getenv(variable);
  return other != nullptr && *other != 0 ? other : otherwise;
}

// `command` is the far shell's: nothing that a user or a host says goes into it unchecked.
std::vector<std::string> shell_command(const RemoteTarget& target, const std::string& command) {
  if (target.is_adb) {
    std::vector<std::string> argv = {program("LATHE_ADB", "adb")};
    if (!target.host.empty()) argv.insert(argv.end(), {"-s", target.host});
    // Without a terminal, which would change bytes.
    argv.insert(argv.end(), {"shell", "-T", command});
    return argv;
  }
  std::vector<std::string> argv = {program("LATHE_SSH", "ssh")};
  for (const char* option :
       {"BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=3"})
    argv.insert(argv.end(), {"-o", option});
  if (target.port > 0) argv.insert(argv.end(), {"-p", std::to_string(target.port)});
  argv.insert(argv.end(), {"--", target.host, command});
  return argv;
}

std::string words_for_ssh(const RemoteTarget& target) {
  const std::string host = escape_untrusted(target.host, 100);
  return target.port > 0 ? fmt::format("{} -p {}", host, target.port) : host;
}

std::string last_line(const std::string& text) {
  std::istringstream lines(text);
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();  // of ssh, for terminals
    if (!line.empty()) last = line;
  }
  return escape_untrusted(last, 300);
}

struct Machine {
  const char* arch;
  uint16_t elf;
};
constexpr Machine kMachines[] = {{"x86_64", EM_X86_64}, {"aarch64", EM_AARCH64}};

std::string arch_of_elf(const std::string& file) {
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return "no program";
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "no program";
  for (const Machine& machine : kMachines)
    if (machine.elf == header.e_machine) return machine.arch;
  return fmt::format("ELF machine {}", header.e_machine);
}

// The runner's program, for the far machine's architecture.
std::string runner_bytes(const FindRunner& find_runner, const std::string& arch) {
  const std::string path = find_runner(arch);
  std::string bytes = read_file(path, kMostRunnerBytes);
  if (const std::string built = arch_of_elf(bytes); built != arch)
    throw bad_environment(
        "remote.runner",
        fmt::format("it is for {}, the host is {}", built, escape_untrusted(arch, 60)),
        escape_untrusted(path), "give the host's own with --runner FILE");
  return bytes;
}

// The line that begins so: a shell's start files may write others before. False where there is
// none: `line` is the last one then, if there was any.
bool read_answer(DuplexChild& child, std::string_view begin, double seconds, std::string& line) {
  line.clear();
  std::string next;
  for (int i = 0; i < kMostGreetings && child.read_line(next, seconds); ++i) {
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

std::string RemoteTarget::text() const {
  if (is_adb) return "adb:" + host;
  return port > 0 ? fmt::format("{}:{}", host, port) : host;
}

RemoteTarget parse_remote(const std::string& text) {
  RemoteTarget target{false, text, 0};
  if (text.starts_with("adb:")) {
    target = {true, text.substr(4), 0};
    if (target.host.empty() || (all_of(target.host, ".:_-") && target.host.front() != '-'))
      return target;
    throw bad_usage("usage.remote", "not a device's serial", escape_untrusted(text, 100),
                    "adb devices lists them");
  }
  if (const size_t colon = text.rfind(':'); colon != std::string::npos) {
    target.host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, target.port);
    if (error != std::errc() || stop != end || target.port < 1 || target.port > 65535)
      target.host.clear();
  }
  if (!all_of(target.host, "@._-%") || target.host.front() == '-')
    throw bad_usage("usage.remote", "not [user@]host[:port] or adb:[serial]",
                    escape_untrusted(text, 100),
                    "settings of another kind belong into ~/.ssh/config");
  return target;
}

void RemoteRunner::lost(const DuplexChild& child, std::string_view doing) const {
  const std::string why = last_line(child.error_output());
  throw bad_environment("remote.connection",
                        fmt::format("{}: {}", doing, why.empty() ? "the connection ended" : why),
                        escape_untrusted(target_.text(), 100),
                        target_.is_adb ? "try: adb devices" : "try: ssh " + words_for_ssh(target_));
}

RemoteRunner::RemoteRunner(const RemoteTarget& target, const FindRunner& find_runner)
    : target_(target) {
  std::string line;
  std::string arch;
  {
    DuplexChild child(shell_command(target, "uname -sm"));
    child.end_input();
    if (!read_answer(child, "Linux ", kShortSeconds, line) && line.empty())
      lost(child, "cannot be reached");
    std::istringstream words(line);
    std::string system;
    words >> system >> arch;
    if (system != "Linux" || !all_of(arch, "_"))
      throw bad_environment("remote.system",
                            "lathe-runner is for Linux; the host is " + escape_untrusted(line, 100),
                            escape_untrusted(target.text(), 100));
  }
  const std::string runner = runner_bytes(find_runner, arch);
  std::string folder;
  const char* const temporaries = target.is_adb ? "/data/local/tmp" : "/tmp";
  {
    DuplexChild child(shell_command(
        target,
        std::string("umask 077; d=$(mktemp -d \"${TMPDIR:-") + temporaries +
            "}/lathe.XXXXXX\") || exit 1; "
            "if cat >\"$d/lathe-runner\" && chmod 700 \"$d/lathe-runner\"; then echo \"$d\"; "
            "else rm -rf \"$d\"; exit 1; fi"));
    child.write(runner);
    child.end_input();
    if (!read_answer(child, "/", kRunSeconds, folder) && folder.empty())
      lost(child, "lathe-runner cannot be put there");
  }
  if (!folder.starts_with('/') || !all_of(folder, "/._-"))
    throw bad_environment("remote.folder",
                          "the host's folder for temporary files has a name "
                          "that lathe does not take",
                          escape_untrusted(folder, 200));
  child_ = std::make_unique<DuplexChild>(
      shell_command(target, fmt::format("trap 'rm -rf {0}' EXIT HUP INT TERM; "
                                        "{0}/lathe-runner --serve",
                                        folder)));
  line.clear();
  if (!child_->write("hello\n") ||
      (!read_answer(*child_, "ok ", kShortSeconds, line) && line.empty()))
    lost(*child_, "lost");
  std::istringstream hello(answer_of(line));
  std::string version, its_arch;
  hello >> version >> its_arch;
  if (version != LATHE_VERSION || its_arch != arch)
    throw bad_environment("remote.runner",
                          fmt::format("lathe-runner is {} for {}, lathe is {} and the host {}",
                                      escape_untrusted(version, 40), escape_untrusted(its_arch, 40),
                                      LATHE_VERSION, arch),
                          escape_untrusted(target.text(), 100), "build both from the same source");
  for (const std::string& fact : request_lines("host")) read_host_line(fact, host_);
}

std::vector<std::string> RemoteRunner::request_lines(const std::string& line, double seconds) {
  std::istringstream count(request(line, {}, seconds));
  std::vector<std::string> lines(
      static_cast<size_t>(std::clamp<int64_t>(number(count), 0, kMostLines)));
  for (std::string& one : lines)
    if (!child_->read_line(one, kShortSeconds)) lost(*child_, "lost");
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
  if (!child_->write(line + "\n") || !child_->write(payload) || !child_->read_line(reply, seconds))
    lost(*child_, "lost");
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

std::string RemoteRunner::run_once(std::string_view inputs, size_t output_bytes) {
  std::istringstream reply(request(fmt::format("once {}", inputs.size()), inputs, kRunSeconds));
  if (number(reply) != static_cast<int64_t>(output_bytes))
    throw bad_environment("remote.protocol", "lathe-runner's outputs have another size",
                          escape_untrusted(target_.text(), 100));
  std::string bytes;
  if (!child_->read(output_bytes, kRunSeconds, bytes)) lost(*child_, "lost");
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

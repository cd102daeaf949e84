#include "remote/find_runner.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>

#include "ir/error.h"
#include "os/read_file.h"

namespace lathe {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMostRunnerBytes = int64_t{256} << 20;

struct Machine {
  const char* arch;
  uint16_t elf;
};
constexpr Machine kMachines[] = {{"x86_64", EM_X86_64}, {"aarch64", EM_AARCH64}};

std::string arch_of_elf(const std::string& file) {
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return {};
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return {};
  for (const Machine& machine : kMachines)
    if (machine.elf == header.e_machine) return machine.arch;
  return fmt::format("ELF machine {}", header.e_machine);
}

}  // namespace

FindRunner runner_finder(std::string given) {
  return [given = std::move(given)](const std::string& arch) {
    if (!given.empty()) return given;
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    const std::string name = "lathe-runner-" + arch;
    for (const fs::path& path : {here / name, here.parent_path() / "lib" / "lathe" / name,
                                 here.parent_path() / arch / "lathe-runner"})
      if (std::error_code ignored; fs::is_regular_file(path, ignored)) return path.string();
    throw bad_environment("remote.runner", "there is no lathe-runner for " + arch, name,
                          "build it (cmake --preset " + arch + "), or give --runner FILE");
  };
}

std::string runner_bytes(const FindRunner& find_runner, const std::string& arch) {
  if (std::ranges::none_of(kMachines, [&](const Machine& one) { return arch == one.arch; }))
    throw bad_environment(
        "remote.runner", "lathe-runner is for 64-bit Arm and x86; the host is " + arch, {},
        "a 64-bit system on it, or compile the model to C (--target c99) and measure that there");
  const std::string path = find_runner(arch);
  std::string bytes = read_file(path, kMostRunnerBytes);
  if (const std::string built = arch_of_elf(bytes); built != arch)
    throw bad_environment("remote.runner",
                          built.empty() ? "not an ELF program"
                                        : fmt::format("it is for {}, the host is {}", built, arch),
                          escape_untrusted(path), "give the host's own with --runner FILE");
  return bytes;
}

}  // namespace lathe

#include "torchscript/read/load_torchscript.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

#include "ir/error.h"
#include "os/child_process.h"
#include "os/read_file.h"
#include "os/zip_archive.h"
#include "torchscript/read/archive.h"
#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

// The text around the tensors, and constants that are computed while the module is frozen.
constexpr size_t kDescriptionAllowance = size_t{256} << 20;

// The file's bytes in memory that nobody can change any more: what was checked is what the child
// reads, and a file that shrinks raises no SIGBUS.
class SealedCopy {
 public:
  SealedCopy(const std::string& path, int64_t max_bytes, const std::string& where) {
    InputFile file(path);
    if (file.size() == 0) throw bad_input("torchscript.empty", "the file is empty", where);
    if (file.size() > max_bytes)
      throw over_limit("torchscript.memory",
                       fmt::format("holds {} bytes; at most {} are read", file.size(), max_bytes),
                       where, "raise --max-memory");
    descriptor_ = ::memfd_create("lathe-torchscript", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor_ < 0 || ::ftruncate(descriptor_, file.size()) != 0) throw no_copy(where);
    size_ = static_cast<size_t>(file.size());
    std::array<std::byte, 65536> block;
    size_t done = 0;
    while (done < size_) {
      const size_t got = file.read(std::span(block).first(std::min(block.size(), size_ - done)));
      if (got == 0) throw bad_input("file.shrank", "became shorter while it was read", where);
      for (size_t put = 0; put < got;) {
        const ssize_t count =
            ::pwrite(descriptor_, block.data() + put, got - put, static_cast<off_t>(done + put));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) throw no_copy(where);
        put += static_cast<size_t>(count);
      }
      done += got;
    }
    constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (::fcntl(descriptor_, F_ADD_SEALS, kSeals) != 0) throw no_copy(where);
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (address == MAP_FAILED) throw no_copy(where);
    address_ = address;
  }
  ~SealedCopy() {
    if (address_ != nullptr) ::munmap(address_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  SealedCopy(const SealedCopy&) = delete;
  SealedCopy& operator=(const SealedCopy&) = delete;

  int descriptor() const { return descriptor_; }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), size_};
  }

 private:
  static Error no_copy(const std::string& where) {
    return bad_environment("torchscript.memory",
                           fmt::format("no memory for a copy: {}", std::strerror(errno)), where);
  }

  int descriptor_ = -1;
  size_t size_ = 0;
  void* address_ = nullptr;
};

// LibTorch and the libraries below it need these; nothing else goes to the child.
std::vector<std::string> child_environment() {
  std::vector<std::string> out{"LC_ALL=C", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
                               "MKL_NUM_THREADS=1"};
  for (const char* name : {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS"})
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  return out;
}

// Tensors, numbers and flags can be inputs of a graph; so can lists and tuples of them.
bool is_input_type(const TorchType& type) {
  using TypeKind = TorchType::Kind;
  switch (type.kind) {
    case TypeKind::kTensor:
    case TypeKind::kInt:
    case TypeKind::kFloat:
    case TypeKind::kBool:
    case TypeKind::kNone: return true;
    case TypeKind::kList:
    case TypeKind::kTuple:
    case TypeKind::kOptional:
      return std::all_of(type.contained.begin(), type.contained.end(), is_input_type);
    default: return false;
  }
}

std::string_view type_text(const TorchType& type) {
  using TypeKind = TorchType::Kind;
  switch (type.kind) {
    case TypeKind::kString: return "a string";
    case TypeKind::kDevice: return "a device";
    case TypeKind::kDict: return "a dictionary";
    case TypeKind::kObject: return "an object";
    case TypeKind::kList: return "a list of something else than tensors and numbers";
    case TypeKind::kTuple: return "a tuple of something else than tensors and numbers";
    default: return "no tensor or number";
  }
}

void check_inputs(const TorchModule& module, const std::string& where) {
  for (size_t i = 1; i < module.forward.inputs.size(); ++i) {
    const TorchValue& input = module.values[static_cast<size_t>(module.forward.inputs[i])];
    if (!is_input_type(input.type))
      throw bad_input("torchscript.input",
                      fmt::format("input {} of forward is {}", escape_untrusted(input.name),
                                  type_text(input.type)),
                      where, "wrap the module in one whose forward takes tensors and numbers only");
  }
}

// What lathe wrote about the inputs, if it wrote the file; a user's --input-shape goes first.
std::vector<InputNote> input_notes_of(std::span<const std::byte> archive,
                                      const std::string& where) {
  const std::string name = fmt::format("/extra/{}", kInputNotes);
  for (const ZipEntry& entry : read_zip(archive, where))
    if (entry.name.ends_with(name) && entry.bytes <= kMaxInputNotesBytes)
      return parse_input_notes(zip_entry_text(entry, where, kMaxInputNotesBytes))
          .value_or(std::vector<InputNote>{});
  return {};
}

}  // namespace

bool is_torchscript_file(const std::filesystem::path& file) {
  InputFile in(file.string());
  std::array<std::byte, 4> head{};
  return in.read(head) == head.size() && std::memcmp(head.data(), "PK\x03\x04", 4) == 0;
}

TorchModule load_torchscript(const std::filesystem::path& file,
                             const LoadTorchScriptOptions& options) {
  const std::string where = escape_untrusted(file.native());
  const SealedCopy copy(file.string(), options.memory_bytes, where);

  const uint64_t unpacked = check_torchscript_archive(copy.bytes(), where, options.trust);

  ChildCommand command;
  command.argv = {options.program, "--torchscript-child", std::to_string(options.memory_bytes),
                  std::to_string(options.cpu_seconds)};
  if (options.forked) command.body = [&] { return options.forked(command.argv); };
  command.environment = child_environment();
  command.input = copy.descriptor();
  command.max_output_bytes = 2 * static_cast<size_t>(unpacked) + kDescriptionAllowance;
  command.limits.open_files = 256;
  command.seconds = 2 * static_cast<double>(options.cpu_seconds) + 30;
  ChildResult child = run_child(command);
  const auto stopped = [&](std::string message) {
    return over_limit("torchscript.stopped", std::move(message), where,
                      "the file is damaged, hostile, or needs higher limits");
  };
  if (child.timed_out) throw stopped("LibTorch did not finish loading it in time");
  if (child.signal == SIGXCPU)
    throw stopped(fmt::format("loading it took more than {} s", options.cpu_seconds));
  if (child.signal == SIGKILL)
    throw stopped("the process that loaded it was killed: the system ran out of memory");
  if (child.output_exceeded) throw stopped("its description is larger than the file allows");
  if (child.signal != 0)
    throw bad_input("torchscript.crash",
                    fmt::format("the file makes LibTorch crash (signal {})", child.signal), where,
                    "it is damaged, or was made by a version that LibTorch 1.13 does not know");
  // The front end found less memory than LibTorch needs.
  if (child.output.empty() && child.exit_code == static_cast<int>(ExitCode::kLimit))
    throw over_limit("torchscript.memory", "LibTorch cannot be loaded within the memory limit",
                     where, "raise --max-memory");
  if (child.output.empty())
    throw bad_environment("torchscript.child",
                          "the child process that opens TorchScript files ended without a word",
                          where, escape_untrusted(child.error_output, 400));
  TorchModule module =
      read_description(std::make_shared<const std::string>(std::move(child.output)), where);
  check_inputs(module, where);
  module.input_notes = input_notes_of(copy.bytes(), where);
  return module;
}

}  // namespace lathe

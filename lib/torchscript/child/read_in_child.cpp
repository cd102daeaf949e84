#include "torchscript/child/read_in_child.h"

#include <ATen/Parallel.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <torch/script.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "ir/error.h"
#include "torchscript/child/describe_module.h"
#include "torchscript/child/sandbox.h"
#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

class MemoryAdapter final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MemoryAdapter(std::string_view bytes) : bytes_(bytes) {}
  size_t size() const override { return bytes_.size(); }
  size_t read(uint64_t position, void* buffer, size_t count, const char*) const override {
    if (position >= bytes_.size()) return 0;
    const size_t part = std::min<size_t>(count, bytes_.size() - static_cast<size_t>(position));
    std::memcpy(buffer, bytes_.data() + position, part);
    return part;
  }

 private:
  std::string_view bytes_;
};

std::string_view map_input(int input) {
  struct stat facts {};
  if (::fstat(input, &facts) != 0 || facts.st_size <= 0)
    throw bad_environment("torchscript.child", "the child process got no file");
  const auto size = static_cast<size_t>(facts.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, input, 0);
  if (address == MAP_FAILED)
    throw bad_environment("torchscript.child", "the file cannot be mapped in the child process");
  return {static_cast<const char*>(address), size};
}

// The first line of what LibTorch says: the rest is its own C++ stack.
std::string first_lines(const char* text) {
  std::string_view all(text);
  if (const size_t end = all.find("\nException raised from"); end != all.npos)
    all = all.substr(0, end);
  // Of an error inside the interpreter: what follows two tracebacks.
  constexpr std::string_view kMark = "RuntimeError: ";
  if (const size_t mark = all.rfind(kMark); mark != all.npos && all.size() > 300)
    all = all.substr(mark + kMark.size());
  std::string out(all.substr(0, 600));
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

Error unreadable(const char* what) {
  return bad_input("torchscript.load", "LibTorch cannot load it: " + first_lines(what), {},
                   "save the module again with torch.jit.script(module).save(\"model.pt\") or "
                   "torch.jit.trace; PyTorch 1.13 to the newest write files that are read");
}

bool out_of_memory(const char* what) {
  return std::strstr(what, "can't allocate memory") != nullptr ||
         std::strstr(what, "not enough memory") != nullptr;
}

Error no_memory() {
  return over_limit("torchscript.memory", "loading it takes more memory than the limit", {},
                    "raise --max-memory if the file can be trusted");
}

TorchModule load_and_describe(std::string_view bytes) {
  const auto load = [&] {
    return torch::jit::load(std::make_shared<MemoryAdapter>(bytes), c10::Device(c10::kCPU));
  };
  try {
    torch::jit::Module module = [&] {
      try {
        return load();
      } catch (const c10::Error& error) {
        // Weights that oneDNN cannot pack, QNNPACK may.
        const std::string_view what = error.what_without_backtrace();
        if (what.find("prepack") == what.npos && what.find("ONEDNN") == what.npos &&
            what.find("onednn") == what.npos && what.find("ideep") == what.npos)
          throw;
        at::globalContext().setQEngine(at::QEngine::QNNPACK);
        return load();
      }
    }();
    return describe_module(std::move(module));
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw out_of_memory(error.what()) ? no_memory() : unreadable(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw no_memory();
  } catch (const std::exception& error) {
    throw out_of_memory(error.what()) ? no_memory() : unreadable(error.what());
  }
}

bool write_all(int output, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(output, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

int describe_torchscript(int input, int output, const ChildReadOptions& options) {
  bool sent = true;
  const WriteBytes write = [&](std::string_view bytes) { sent = sent && write_all(output, bytes); };
  try {
    const std::string_view bytes = map_input(input);
    at::set_num_threads(1);
    // A static filter on first use would ask the system for what the sandbox forbids.
    at::globalContext().qEngine();
    enter_sandbox(options.memory_bytes, options.cpu_seconds);
    write_description(load_and_describe(bytes), write);
  } catch (const Error& error) {
    write_description_error(error, write);
  }
  return sent ? 0 : 1;
}

}  // namespace lathe

int lathe_torchscript_child(int argc, char** argv) {
  lathe::ChildReadOptions options;
  const auto number = [&](int index, int64_t& value) {
    if (argc <= index) return;
    const char* end = argv[index] + std::strlen(argv[index]);
    std::from_chars(argv[index], end, value);
  };
  number(2, options.memory_bytes);
  number(3, options.cpu_seconds);
  // What the file prints must not mix with the description.
  const int output = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (output < 0 || nowhere < 0) return 1;
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  // Not through main's end: what the file left behind is not run down.
  ::_exit(lathe::describe_torchscript(STDIN_FILENO, output, options));
}

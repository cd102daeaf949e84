#include "c99/built_c.h"

#include <ATen/ATen.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "os/child_process.h"
#include "os/publish.h"
#include "os/temporaries.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr double kMostSeconds = 300;

// A folder for the build, gone with this object; what an interrupted process leaves is unlinked.
class BuildFolder {
 public:
  BuildFolder() {
    std::string name = (fs::temp_directory_path() / "lathe-c-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw bad_environment("c99.build", "no folder for temporary files can be made", name);
    path_ = name;
  }
  ~BuildFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  BuildFolder(const BuildFolder&) = delete;
  BuildFolder& operator=(const BuildFolder&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    StagedFile file(path(name));
    file.write(text);
    std::vector<StagedFile> files;
    files.push_back(std::move(file));
    publish(std::move(files), true);
    return path(name);
  }

 private:
  fs::path path_;
};

// One function for all signatures.
std::string wrapper_of(const C99Options& options, size_t inputs, size_t outputs) {
  std::string call = fmt::format("  {}_run(arena", options.prefix);
  for (size_t i = 0; i < inputs; ++i) call += fmt::format(", in[{}]", i);
  for (size_t i = 0; i < outputs; ++i) call += fmt::format(", out[{}]", i);
  return fmt::format(
      "\nvoid lathe_call(void *arena, const void *const *in, void *const *out) {{\n{});\n}}\n",
      call);
}

}  // namespace

struct BuiltC::Library {
  using Call = void (*)(void*, const void* const*, void* const*);

  ~Library() {
    if (handle != nullptr) dlclose(handle);
  }

  void* handle = nullptr;
  Call call = nullptr;
  int64_t arena_bytes = 0;
  std::vector<std::pair<Shape, DType>> outputs;
};

BuiltC::BuiltC(const std::string& compiler, const C99Code& code, const C99Options& options,
               const Graph& graph)
    : library_(std::make_unique<Library>()) {
  const BuildFolder folder;
  folder.write(options.header, code.header);
  const std::string source = folder.write(
      "network.c",
      code.source + wrapper_of(options, graph.inputs().size(), graph.outputs().size()));
  const std::string made = folder.path("network.so");
  const std::string weights =
      code.weights.empty() ? std::string() : folder.write("weights.c", code.weights);
  ChildCommand build;
  build.argv = {compiler, "-std=c99", "-O2", "-fPIC", "-shared", "-o", made, source, "-lm"};
  if (!weights.empty()) build.argv.insert(build.argv.end() - 1, weights);
  build.seconds = kMostSeconds;
  const ChildResult result = run_child(build);
  if (result.exit_code != 0)
    throw bad_environment("c99.build", escape_untrusted(result.error_output, 500), compiler,
                          "--verify off leaves the check out");
  library_->handle = dlopen(made.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_->handle != nullptr)
    library_->call = reinterpret_cast<Library::Call>(dlsym(library_->handle, "lathe_call"));
  if (library_->call == nullptr)
    throw bad_environment("c99.build", "the compiled code cannot be loaded", compiler);
  library_->arena_bytes = code.arena_bytes;
  for (const ValueId id : graph.outputs()) {
    const ValueType& type = graph.value(id).type;
    library_->outputs.emplace_back(*static_shape(*type.dims), type.dtype);
  }
}

BuiltC::~BuiltC() = default;

std::vector<at::Tensor> BuiltC::run(const std::vector<at::Tensor>& inputs) const {
  std::vector<at::Tensor> held;
  std::vector<const void*> in;
  for (const at::Tensor& input : inputs) {
    held.push_back(input.contiguous());
    in.push_back(held.back().data_ptr());
  }
  std::vector<at::Tensor> results;
  std::vector<void*> out;
  for (const auto& [shape, dtype] : library_->outputs) {
    results.push_back(at::empty(shape, at::TensorOptions().dtype(storage_type(dtype))));
    out.push_back(results.back().data_ptr());
  }
  std::vector<std::max_align_t> arena(static_cast<size_t>(library_->arena_bytes) /
                                          sizeof(std::max_align_t) +
                                      1);
  library_->call(arena.data(), in.data(), out.data());
  return results;
}

std::string host_c_compiler() {
  const char* path = std::getenv("PATH");
  const std::string folders = path == nullptr ? "" : path;
  for (const char* name : {"cc", "gcc", "clang"})
    for (size_t begin = 0; begin <= folders.size();) {
      const size_t end = std::min(folders.find(':', begin), folders.size());
      const std::string file = folders.substr(begin, end - begin) + "/" + name;
      if (end > begin && access(file.c_str(), X_OK) == 0) return file;
      begin = end + 1;
    }
  return {};
}

}  // namespace lathe

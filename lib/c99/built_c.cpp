#include "c99/built_c.h"

#include <ATen/ATen.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "os/child_process.h"
#include "os/temporary_folder.h"

namespace lathe {
namespace {

constexpr double kMostSeconds = 300;

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
  const TemporaryFolder folder;
  folder.write(options.header, code.header);
  const std::string source = folder.write(
      "network.c",
      code.source + c99_call_text(code, options.prefix, graph.inputs().size(), graph.outputs().size()));
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
  library_->arena_bytes = code.arena_bytes + code.fast_bytes;
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
  for (const char* name : {"cc", "gcc", "clang"})
    if (std::string found = find_program(name); !found.empty()) return found;
  return {};
}

}  // namespace lathe

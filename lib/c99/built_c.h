// Generated C, built by this machine's compiler and called in this process: what it computes is
// compared with the graph that it was made of.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "c99/c99.h"

namespace at {
class Tensor;
}

namespace lathe {

class BuiltC {
 public:
  /// `graph`: of fixed shapes, what the code was made of. Throws Error (exit 6) where the compiler
  /// refuses the code or what it makes cannot be loaded.
  BuiltC(const std::string& compiler, const C99Code& code, const C99Options& options,
         const Graph& graph);
  ~BuiltC();
  BuiltC(const BuiltC&) = delete;
  BuiltC& operator=(const BuiltC&) = delete;

  /// One tensor per graph input, in order, of its type; one per output.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

/// The first of cc, gcc and clang in PATH; empty: there is none.
std::string host_c_compiler();

}  // namespace lathe

// A step of oneDNN in blocks, each of which one thread computes. Some of oneDNN's implementations
// divide their sums by the number of threads, which changes their order; these blocks depend on the
// step's shape alone.
#pragma once

#include <array>
#include <dnnl.hpp>
#include <string>
#include <utility>
#include <vector>

#include "program/bound_step.h"

namespace lathe {

/// An array that blocks have different parts of.
struct BlockOperand {
  int argument = 0;  // DNNL_ARG_…
  ViewAddress address;
};

/// What computes blocks of one shape: made for one thread.
struct BlockKernel {
  dnnl::primitive primitive;
  dnnl::memory::desc scratch;
  std::vector<dnnl::memory::desc> operands;  // parts of the work's operands, in their order
  std::vector<std::pair<int, dnnl::memory>> constants;
};

struct WorkBlock {
  size_t kernel = 0;
  std::array<int64_t, 4> bytes{};  // where its parts begin in the operands
  int64_t rows = 0;                // of OutputColumns
};

/// Blocks that compute some columns of the output's rows: each in scratch memory first.
struct OutputColumns {
  size_t operand = 0;     // the output
  size_t bytes = 0;       // of a block's columns; 0: blocks write into the output themselves
  int64_t row_bytes = 0;  // from a row of the output to the next
  bool adds = false;      // to what is there
};

struct BlockedWork {
  std::vector<BlockOperand> operands;  // at most four
  std::vector<BlockKernel> kernels;
  std::vector<WorkBlock> blocks;  // independent of each other
  OutputColumns columns;
  int64_t macs = 0;
  std::string implementation;
};

/// Multiplications that are worth a block, and blocks that keep most numbers of threads busy.
constexpr int64_t kBlockMacs = 1 << 22;
constexpr int64_t kMostBlocks = 16;
/// Of convolutions that copy nothing: their blocks may be smaller.
constexpr int64_t kDirectBlockMacs = 1 << 20;
constexpr int64_t kMostDirectBlocks = 48;

/// Whether oneDNN's implementation of this name is a GEMM.
bool is_gemm(std::string_view implementation);

/// Whether the order of sums depends on the number of threads in oneDNN's implementation of this
/// name: GEMM and, of convolutions, those by way of brgemm whose kernels have more than one
/// element.
bool sums_by_threads(std::string_view implementation);

/// The same of a product rows x depth x columns. `turned`: its first factor lies column by column.
bool sums_by_threads(std::string_view implementation, int64_t rows, int64_t depth, bool turned);

class OnednnBlocks : public BoundStep {
 public:
  OnednnBlocks(BlockedWork work, int threads);

  /// Where the operand lies from now on, instead of at its address.
  void set_operand(size_t index, std::byte* bytes) { given_[index] = bytes; }

  void run(const ProgramMemory& memory) override;
  std::string_view implementation() const override { return work_.implementation; }
  size_t scratch_bytes() const override { return scratch_of_one_ * workers_.size(); }
  void set_scratch(std::byte* bytes) override;

 private:
  /// What a thread runs blocks with.
  struct Worker {
    dnnl::stream stream;
    std::vector<std::vector<dnnl::memory>> memories;  // of each kernel
    std::vector<std::vector<dnnl_exec_arg_t>> arguments;
    std::byte* columns = nullptr;
  };
  static void add_argument(Worker& worker, size_t kernel, int argument,
                           const dnnl::memory::desc& desc, void* data);
  void run_block(Worker& worker, const WorkBlock& block,
                 const std::array<std::byte*, 4>& from) const;

  BlockedWork work_;
  std::vector<Worker> workers_;
  std::array<std::byte*, 4> given_{};
  size_t scratch_of_one_ = 0;  // the columns at its end
  size_t columns_bytes_ = 0;
};

}  // namespace lathe

// A step of oneDNN in blocks, each of which one thread computes. oneDNN's GEMM divides its work by
// the number of threads, and the order of its sums changes with that; these blocks depend on the
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
};

struct BlockedWork {
  std::vector<BlockOperand> operands;  // at most four
  std::vector<BlockKernel> kernels;
  std::vector<WorkBlock> blocks;  // independent of each other
  int64_t macs = 0;
  std::string implementation;
};

/// Multiplications that are worth a block, and blocks that keep most numbers of threads busy.
constexpr int64_t kBlockMacs = 1 << 22;
constexpr int64_t kMostBlocks = 16;

/// Whether oneDNN's implementation of this name is a GEMM.
bool is_gemm(std::string_view implementation);

std::unique_ptr<BoundStep> run_in_blocks(BlockedWork work, int threads);

}  // namespace lathe

#include "onednn/onednn_blocks.h"

#include <algorithm>
#include <cstring>

#include "onednn/onednn_api.h"
#include "onednn/onednn_step.h"
#include "program/openmp_threads.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

size_t whole_lines(size_t bytes) {
  constexpr size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

void copy_rows(std::byte* to, int64_t to_row, const std::byte* from, int64_t from_row, int64_t rows,
               size_t bytes) {
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(to + row * to_row, from + row * from_row, bytes);
}

}  // namespace

bool is_gemm(std::string_view implementation) {
  return implementation.starts_with("gemm") ||
         implementation.find(":gemm") != std::string_view::npos;
}

bool sums_by_threads(std::string_view implementation) {
  const auto has = [&](std::string_view part) { return implementation.find(part) != part.npos; };
  // "brgconv" in oneDNN 2, "brg_conv_fwd", "brg_deconv", "brgconv_strided" in 3.
  const bool brgemm =
      has("brgconv:") || has("brgconv_strided") || has("brg_conv_") || has("matmul+brg");
  return is_gemm(implementation) || brgemm;
}

bool sums_by_threads(std::string_view implementation, int64_t rows, int64_t depth, bool turned) {
  return sums_by_threads(implementation) ||
         (implementation.starts_with("brg") && may_divide_depth(rows, depth, turned));
}

OnednnBlocks::OnednnBlocks(BlockedWork work, int threads)
    : work_(std::move(work)), workers_(static_cast<size_t>(threads)) {
  for (const BlockKernel& kernel : work_.kernels)
    scratch_of_one_ = std::max(scratch_of_one_, whole_lines(kernel.scratch.get_size()));
  for (const WorkBlock& block : work_.blocks)
    columns_bytes_ = std::max(columns_bytes_,
                              whole_lines(static_cast<size_t>(block.rows) * work_.columns.bytes));
  scratch_of_one_ += columns_bytes_;
  for (Worker& worker : workers_) {
    worker.stream = dnnl::stream(onednn_engine());
    worker.memories.resize(work_.kernels.size());
    worker.arguments.resize(work_.kernels.size());
    for (size_t i = 0; i < work_.kernels.size(); ++i) {
      const BlockKernel& kernel = work_.kernels[i];
      for (size_t k = 0; k < work_.operands.size(); ++k)
        add_argument(worker, i, work_.operands[k].argument, kernel.operands[k], nullptr);
      for (const auto& [argument, memory] : kernel.constants)
        worker.arguments[i].push_back({argument, memory.get()});
    }
  }
}

void OnednnBlocks::run(const ProgramMemory& memory) {
  std::array<std::byte*, 4> from = given_;
  for (size_t i = 0; i < work_.operands.size(); ++i)
    if (from[i] == nullptr) from[i] = work_.operands[i].address.in(memory);
  // What multiplying so much is worth in memory that is touched.
  constexpr int64_t kMacsOfAByte = 8;
  parallel_for(static_cast<int>(workers_.size()), static_cast<int64_t>(work_.blocks.size()),
               work_.macs / kMacsOfAByte, [&](int thread, int64_t begin, int64_t end) {
                 const OpenMpThreads alone(1);
                 Worker& worker = workers_[static_cast<size_t>(thread)];
                 for (int64_t i = begin; i < end; ++i)
                   run_block(worker, work_.blocks[static_cast<size_t>(i)], from);
               });
}

void OnednnBlocks::set_scratch(std::byte* bytes) {
  if (scratch_of_one_ == 0) return;
  for (Worker& worker : workers_) {
    for (size_t i = 0; i < work_.kernels.size(); ++i)
      add_argument(worker, i, DNNL_ARG_SCRATCHPAD, work_.kernels[i].scratch, bytes);
    bytes += scratch_of_one_;
    worker.columns = bytes - columns_bytes_;
  }
}

void OnednnBlocks::add_argument(Worker& worker, size_t kernel, int argument,
                                const dnnl::memory::desc& desc, void* data) {
  worker.memories[kernel].emplace_back(desc, onednn_engine(), data);
  worker.arguments[kernel].push_back({argument, worker.memories[kernel].back().get()});
}

void OnednnBlocks::run_block(Worker& worker, const WorkBlock& block,
                             const std::array<std::byte*, 4>& from) const {
  const std::vector<dnnl_exec_arg_t>& arguments = worker.arguments[block.kernel];
  for (size_t i = 0; i < work_.operands.size(); ++i)
    dnnl_memory_set_data_handle(arguments[i].memory, from[i] + block.bytes[i]);
  const OutputColumns& columns = work_.columns;
  const auto width = static_cast<int64_t>(columns.bytes);
  std::byte* const place = from[columns.operand] + block.bytes[columns.operand];
  if (width > 0) {
    if (columns.adds)
      copy_rows(worker.columns, width, place, columns.row_bytes, block.rows, columns.bytes);
    dnnl_memory_set_data_handle(arguments[columns.operand].memory, worker.columns);
  }
  dnnl_primitive_execute(work_.kernels[block.kernel].primitive.get(), worker.stream.get(),
                         static_cast<int>(arguments.size()), arguments.data());
  if (width > 0)
    copy_rows(place, columns.row_bytes, worker.columns, width, block.rows, columns.bytes);
}

}  // namespace lathe

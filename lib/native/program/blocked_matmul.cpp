#include "program/blocked_matmul.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "program/onednn_step.h"
#include "program/openmp_threads.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

using dnnl::memory;

constexpr size_t kOperands = 4;
constexpr std::array<int, kOperands> kArguments{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST,
                                                DNNL_ARG_BIAS};
constexpr int64_t kFloatBytes = sizeof(float);

int64_t divided_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

/// The last two dimensions of an array, and what lies before them.
struct Matrices {
  Shape outer;  // as long as the output's
  std::vector<int64_t> outer_strides;
  int64_t row_stride = 0;
  int64_t column_stride = 0;

  Matrices(const PlanView& view, size_t rank) {
    const size_t missing = rank - view.shape.size();
    for (size_t i = 0; i + 2 < rank; ++i) {
      outer.push_back(i < missing ? 1 : view.shape[i - missing]);
      outer_strides.push_back(i < missing ? 0 : view.strides[i - missing]);
    }
    const size_t last = view.shape.size() - 1;
    column_stride = view.strides[last];
    if (last > 0) row_stride = view.strides[last - 1];
  }

  /// Where the matrix lies that goes with the output's `index`-th.
  int64_t offset(int64_t index, const Shape& output) const {
    int64_t offset = 0;
    for (size_t i = output.size(); i-- > 0;) {
      if (outer[i] > 1) offset += index % output[i] * outer_strides[i];
      index /= output[i];
    }
    return offset;
  }

  memory::desc block(int64_t rows, int64_t columns) const {
    // The stride of a single row or column is free, but oneDNN wants one stride of 1 and the other
    // no less than what it passes over.
    int64_t down = row_stride;
    int64_t along = column_stride;
    if (rows == 1) down = along == 1 ? std::max(down, columns) : 1;
    if (columns == 1 && down != 1) along = 1;
    return {{rows, columns}, memory::data_type::f32, {down, along}};
  }
};

/// A primitive for blocks of one size.
struct BlockProduct {
  std::array<memory::desc, kOperands> operands;
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul primitive;
};

struct Block {
  size_t product = 0;
  std::array<int64_t, kOperands> bytes{};  // from the operands' first elements
};

/// What a thread runs blocks with.
struct Worker {
  dnnl::stream stream;
  std::vector<std::vector<memory>> memories;  // of each product
  std::vector<std::vector<dnnl_exec_arg_t>> arguments;
};

class BlockedMatMul : public BoundStep {
 public:
  BlockedMatMul(const FloatMatMulStep& step, const dnnl::primitive_attr& attributes,
                const BindContext& context)
      : threads_(context.threads),
        addresses_{context.address(step.a), context.address(step.b), context.address(step.output),
                   step.bias.valid() ? context.address(step.bias) : ViewAddress{}} {
    const PlanView& a_view = context.view(step.a);
    const PlanView& b_view = context.view(step.b);
    const PlanView& to = context.view(step.output);
    const size_t rank = std::max({a_view.shape.size(), b_view.shape.size(), to.shape.size()});
    const Matrices a(a_view, rank);
    const Matrices b(b_view, rank);
    const Matrices c(to, rank);
    const int64_t rows = to.shape.size() > 1 ? to.shape[to.shape.size() - 2] : 1;
    const int64_t columns = to.shape.back();
    const int64_t depth = a_view.shape.back();
    const int64_t outer = element_count(c.outer);
    const ProductBlocks size = product_blocks(outer, rows, depth, columns);
    macs_ = outer * rows * columns * depth;

    std::map<std::pair<int64_t, int64_t>, size_t> known;
    for (int64_t index = 0; index < outer; ++index) {
      for (int64_t row = 0; row < rows; row += size.rows) {
        for (int64_t column = 0; column < columns; column += size.columns) {
          const int64_t m = std::min(size.rows, rows - row);
          const int64_t n = std::min(size.columns, columns - column);
          const auto [found, is_new] = known.try_emplace({m, n}, products_.size());
          if (is_new)
            add_product({a.block(m, depth), b.block(depth, n), c.block(m, n),
                         memory::desc({1, n}, memory::data_type::f32, memory::dims{n, 1})},
                        attributes, context);
          blocks_.push_back(
              {found->second,
               {(a.offset(index, c.outer) + row * a.row_stride) * kFloatBytes,
                (b.offset(index, c.outer) + column * b.column_stride) * kFloatBytes,
                (c.offset(index, c.outer) + row * c.row_stride + column * c.column_stride) *
                    kFloatBytes,
                column * kFloatBytes}});
        }
      }
    }
    for (int i = 0; i < threads_; ++i) add_worker();
  }

  void run(const ProgramMemory& memory) override {
    std::array<std::byte*, kOperands> from{};
    for (size_t i = 0; i < operands(); ++i) from[i] = addresses_[i].in(memory);
    // What a product of so much work is worth in memory that is touched.
    constexpr int64_t kMacsOfAByte = 8;
    parallel_for(threads_, static_cast<int64_t>(blocks_.size()), macs_ / kMacsOfAByte,
                 [&](int thread, int64_t begin, int64_t end) {
                   const OpenMpThreads alone(1);
                   Worker& worker = workers_[static_cast<size_t>(thread)];
                   for (int64_t i = begin; i < end; ++i)
                     run_block(worker, blocks_[static_cast<size_t>(i)], from);
                 });
  }

  std::string_view implementation() const override { return implementation_; }
  size_t scratch_bytes() const override { return scratch_of_one_ * workers_.size(); }

  void set_scratch(std::byte* bytes) override {
    if (scratch_of_one_ == 0) return;
    for (Worker& worker : workers_) {
      for (size_t i = 0; i < products_.size(); ++i)
        add_argument(worker, i, DNNL_ARG_SCRATCHPAD, products_[i].desc.scratchpad_desc(), bytes);
      bytes += scratch_of_one_;
    }
  }

 private:
  size_t operands() const { return addresses_[kOperands - 1].valid() ? kOperands : kOperands - 1; }

  void add_product(const std::array<memory::desc, kOperands>& operands,
                   const dnnl::primitive_attr& attributes, const BindContext& context) {
    const auto& [a, b, c, bias] = operands;
    const auto desc = addresses_[kOperands - 1].valid() ? dnnl::matmul::desc(a, b, bias, c)
                                                        : dnnl::matmul::desc(a, b, c);
    dnnl::matmul::primitive_desc chosen(desc, attributes, onednn_engine());
    if (!select_implementation(chosen, context.implementation))
      chosen = dnnl::matmul::primitive_desc(desc, attributes, onednn_engine());
    if (products_.empty()) implementation_ = chosen.impl_info_str();
    constexpr size_t kLine = 64;
    const size_t scratch = chosen.scratchpad_desc().get_size();
    scratch_of_one_ = std::max(scratch_of_one_, (scratch + kLine - 1) / kLine * kLine);
    products_.push_back({operands, chosen, dnnl::matmul(chosen)});
  }

  void add_worker() {
    Worker& worker = workers_.emplace_back();
    worker.stream = dnnl::stream(onednn_engine());
    worker.memories.resize(products_.size());
    worker.arguments.resize(products_.size());
    for (size_t i = 0; i < products_.size(); ++i)
      for (size_t k = 0; k < operands(); ++k)
        add_argument(worker, i, kArguments[k], products_[i].operands[k], nullptr);
  }

  static void add_argument(Worker& worker, size_t product, int argument, const memory::desc& desc,
                           void* data) {
    worker.memories[product].emplace_back(desc, onednn_engine(), data);
    worker.arguments[product].push_back({argument, worker.memories[product].back().get()});
  }

  void run_block(Worker& worker, const Block& block,
                 const std::array<std::byte*, kOperands>& from) const {
    const std::vector<dnnl_exec_arg_t>& arguments = worker.arguments[block.product];
    for (size_t i = 0; i < operands(); ++i)
      dnnl_memory_set_data_handle(arguments[i].memory, from[i] + block.bytes[i]);
    dnnl_primitive_execute(products_[block.product].primitive.get(), worker.stream.get(),
                           static_cast<int>(arguments.size()), arguments.data());
  }

  int threads_;
  std::array<ViewAddress, kOperands> addresses_;
  int64_t macs_ = 0;
  std::vector<BlockProduct> products_;
  std::vector<Block> blocks_;
  std::vector<Worker> workers_;
  std::string implementation_;
  size_t scratch_of_one_ = 0;
};

/// The size of the parts when `size` is cut into at most `count` of them.
int64_t part_size(int64_t size, int64_t count) {
  constexpr int64_t kTile = 64;
  return std::min(size, divided_up(divided_up(size, count), kTile) * kTile);
}

}  // namespace

ProductBlocks product_blocks(int64_t outer, int64_t rows, int64_t depth, int64_t columns) {
  // GEMM copies its factors, those that blocks share for each of them: a block is worth that.
  constexpr int64_t kBlockMacs = 1 << 22;
  constexpr int64_t kMostBlocks = 16;
  const int64_t macs = outer * rows * depth * columns;
  const int64_t wanted = std::clamp<int64_t>(macs / kBlockMacs, 1, kMostBlocks);
  ProductBlocks blocks{rows, columns};
  int64_t& longer = rows > columns ? blocks.rows : blocks.columns;
  constexpr int64_t kLeastSide = 192;
  if (const int64_t count = std::min(wanted / outer, longer / kLeastSide); count > 1)
    longer = part_size(longer, count);
  return blocks;
}

bool is_gemm(std::string_view implementation) { return implementation.starts_with("gemm"); }

std::unique_ptr<BoundStep> bind_blocked_matmul(const FloatMatMulStep& step,
                                               const dnnl::primitive_attr& attributes,
                                               const BindContext& context) {
  // Primitives run with as many threads as they were made with.
  const OpenMpThreads alone(1);
  return std::make_unique<BlockedMatMul>(step, attributes, context);
}

}  // namespace lathe

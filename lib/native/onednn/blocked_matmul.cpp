#include "onednn/blocked_matmul.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "onednn/onednn_api.h"
#include "onednn/onednn_blocks.h"
#include "onednn/onednn_step.h"
#include "program/openmp_threads.h"

namespace lathe {
namespace {

using dnnl::memory;

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

BlockKernel product_kernel(const std::vector<memory::desc>& operands,
                           const dnnl::primitive_attr& attributes, const BindContext& context,
                           std::string& implementation) {
  const bool biased = operands.size() == 4;
  using Product = OnednnOperation<dnnl::matmul>;
  const Product product = biased ? Product(operands[0], operands[1], operands[3], operands[2])
                                 : Product(operands[0], operands[1], operands[2]);
  auto chosen = product.first(onednn_engine(), attributes);
  if (!select_implementation(chosen, context.implementation))
    chosen = product.first(onednn_engine(), attributes);
  if (implementation.empty()) implementation = chosen.impl_info_str();
  return {make_primitive(chosen), chosen.scratchpad_desc(), operands, {}};
}

/// The size of the parts when `size` is cut into at most `count` of them.
int64_t part_size(int64_t size, int64_t count) {
  constexpr int64_t kTile = 64;
  return std::min(size, divided_up(divided_up(size, count), kTile) * kTile);
}

}  // namespace

ProductBlocks product_blocks(int64_t outer, int64_t rows, int64_t depth, int64_t columns) {
  // GEMM copies its factors, those that blocks share for each of them: a block is worth that.
  const int64_t macs = outer * rows * depth * columns;
  const int64_t wanted = std::clamp<int64_t>(macs / kBlockMacs, 1, kMostBlocks);
  ProductBlocks blocks{rows, columns};
  int64_t& longer = rows > columns ? blocks.rows : blocks.columns;
  constexpr int64_t kLeastSide = 192;
  if (const int64_t count = std::min(wanted / outer, longer / kLeastSide); count > 1)
    longer = part_size(longer, count);
  return blocks;
}

std::unique_ptr<BoundStep> bind_blocked_matmul(const FloatMatMulStep& step,
                                               const dnnl::primitive_attr& attributes,
                                               const BindContext& context) {
  // Primitives run with as many threads as they were made with.
  const OpenMpThreads alone(1);
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

  BlockedWork work;
  work.macs = outer * rows * columns * depth;
  work.operands = {{DNNL_ARG_SRC, context.address(step.a)},
                   {DNNL_ARG_WEIGHTS, context.address(step.b)},
                   {DNNL_ARG_DST, context.address(step.output)}};
  if (step.bias.valid()) work.operands.push_back({DNNL_ARG_BIAS, context.address(step.bias)});
  std::map<std::pair<int64_t, int64_t>, size_t> kernel_of;
  for (int64_t index = 0; index < outer; ++index) {
    for (int64_t row = 0; row < rows; row += size.rows) {
      for (int64_t column = 0; column < columns; column += size.columns) {
        const int64_t m = std::min(size.rows, rows - row);
        const int64_t n = std::min(size.columns, columns - column);
        const auto [kernel, is_new] = kernel_of.try_emplace({m, n}, work.kernels.size());
        if (is_new) {
          std::vector<memory::desc> operands{a.block(m, depth), b.block(depth, n), c.block(m, n)};
          if (step.bias.valid())
            operands.push_back({{1, n}, memory::data_type::f32, memory::dims{n, 1}});
          work.kernels.push_back(
              product_kernel(operands, attributes, context, work.implementation));
        }
        work.blocks.push_back(
            {kernel->second,
             {(a.offset(index, c.outer) + row * a.row_stride) * kFloatBytes,
              (b.offset(index, c.outer) + column * b.column_stride) * kFloatBytes,
              (c.offset(index, c.outer) + row * c.row_stride + column * c.column_stride) *
                  kFloatBytes,
              column * kFloatBytes}});
      }
    }
  }
  return std::make_unique<OnednnBlocks>(std::move(work), context.threads);
}

}  // namespace lathe

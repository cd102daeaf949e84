#include "prune/element_masks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "ir/error.h"
#include "prune/prunable_weights.h"

namespace lathe {
namespace {

// Elements that stay or go together: `length` of them from `first`, as far apart as input channels
// of the weight are. There may be as many as weights, so it is small.
struct Block {
  double magnitude = 0;
  int64_t first = 0;
  int32_t weight = 0;
  int32_t length = 1;
};

bool weaker(const Block& a, const Block& b) {
  return std::tie(a.magnitude, a.weight, a.first) < std::tie(b.magnitude, b.weight, b.first);
}

struct AxisWalk {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
};

AxisWalk walk_along(const Shape& shape, int64_t axis) {
  AxisWalk walk;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    int64_t& part = i < axis ? walk.outer : i == axis ? walk.length : walk.inner;
    part *= shape[static_cast<size_t>(i)];
  }
  return walk;
}

// Calls visit(first, length, stride) for runs of up to four along the axis.
template <class Visit>
void for_each_run(const AxisWalk& walk, Visit visit) {
  for (int64_t outer = 0; outer < walk.outer; ++outer)
    for (int64_t inner = 0; inner < walk.inner; ++inner)
      for (int64_t at = 0; at < walk.length; at += 4)
        visit((outer * walk.length + at) * walk.inner + inner,
              std::min(walk.length - at, int64_t{4}), walk.inner);
}

// `stay`: so many of them are not cleared at any sparsity.
void clear_weakest(std::vector<Block>& blocks, double sparsity, int64_t stay,
                   const std::vector<int64_t>& strides, std::vector<ElementMask>& masks) {
  const auto count = static_cast<int64_t>(blocks.size());
  const int64_t cleared =
      std::max<int64_t>(0, std::min(count - kept_count(sparsity, count), count - stay));
  if (cleared < count)
    std::nth_element(blocks.begin(), blocks.begin() + cleared, blocks.end(), weaker);
  for (int64_t i = 0; i < cleared; ++i) {
    const Block& block = blocks[static_cast<size_t>(i)];
    const auto weight = static_cast<size_t>(block.weight);
    for (int32_t k = 0; k < block.length; ++k)
      masks[weight].keep[static_cast<size_t>(block.first + k * strides[weight])] = 0;
  }
}

void clear_two_of_four(const std::vector<double>& values, const AxisWalk& walk,
                       std::vector<uint8_t>& keep) {
  for_each_run(walk, [&](int64_t first, int64_t length, int64_t stride) {
    for (int64_t cleared = 0; cleared < length - 2; ++cleared) {
      int64_t weakest = -1;
      for (int64_t k = 0; k < length; ++k) {
        const int64_t at = first + k * stride;
        if (keep[static_cast<size_t>(at)] != 0 &&
            (weakest < 0 || std::fabs(values[static_cast<size_t>(at)]) <
                                std::fabs(values[static_cast<size_t>(weakest)])))
          weakest = at;
      }
      keep[static_cast<size_t>(weakest)] = 0;
    }
  });
}

void add_blocks(const std::vector<double>& values, const AxisWalk& walk, ElementPattern pattern,
                int32_t weight, std::vector<Block>& blocks) {
  if (pattern == ElementPattern::kUnstructured) {
    for (size_t i = 0; i < values.size(); ++i)
      blocks.push_back({std::fabs(values[i]), static_cast<int64_t>(i), weight, 1});
    return;
  }
  for_each_run(walk, [&](int64_t first, int64_t length, int64_t stride) {
    double sum = 0;
    for (int64_t k = 0; k < length; ++k)
      sum += std::fabs(values[static_cast<size_t>(first + k * stride)]);
    blocks.push_back(
        {sum / static_cast<double>(length), first, weight, static_cast<int32_t>(length)});
  });
}

}  // namespace

int64_t kept_count(double sparsity, int64_t n) {
  if (!(sparsity >= 0 && sparsity <= 1))
    throw bad_usage("prune.sparsity", fmt::format("sparsity {} is not within 0..1", sparsity),
                    "--sparsity", "a share of what is removed, such as 50%");
  const double exact = (1 - sparsity) * static_cast<double>(n);
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(exact - 1e-9 * std::max(1.0, exact))),
                             0, n);
}

std::vector<ElementMask> plan_element_masks(const Graph& graph, const ElementMaskOptions& options) {
  kept_count(options.sparsity, 1);
  const std::vector<PrunableWeight> weights = prunable_weights(graph, options.selected);
  if (weights.empty())
    throw bad_input("prune.nothing", "there is no weight that can be pruned", {},
                    "weights are constants that Conv, Gemm, MatMul and recurrent nodes read");
  std::vector<ElementMask> masks;
  std::vector<int64_t> strides;
  std::vector<Block> blocks;
  int64_t protected_blocks = 0;
  for (const PrunableWeight& weight : weights) {
    const std::vector<double> values = finite_weights(graph, weight.constant);
    const AxisWalk walk = walk_along(graph.constant(weight.constant)->shape(), weight.input_axis);
    masks.push_back({weight.constant, std::vector<uint8_t>(values.size(), 1)});
    strides.push_back(walk.inner);
    if (options.pattern == ElementPattern::kTwoOfFour) {
      clear_two_of_four(values, walk, masks.back().keep);
      continue;
    }
    const auto index = static_cast<int32_t>(masks.size() - 1);
    const auto first = static_cast<std::ptrdiff_t>(blocks.size());
    add_blocks(values, walk, options.pattern, index, blocks);
    // Never a layer to zero.
    if (blocks.size() > static_cast<size_t>(first))
      std::max_element(blocks.begin() + first, blocks.end(), weaker)->magnitude = INFINITY;
    ++protected_blocks;
    if (options.scope == PruneScope::kGlobal) continue;
    clear_weakest(blocks, options.sparsity, 1, strides, masks);
    blocks.clear();
  }
  clear_weakest(blocks, options.sparsity, protected_blocks, strides, masks);
  return masks;
}

int apply_element_masks(Graph& graph, const std::vector<ElementMask>& masks) {
  int changes = 0;
  for (const ElementMask& mask : masks) {
    const Tensor& old = *graph.constant(mask.constant);
    if (static_cast<int64_t>(mask.keep.size()) != old.numel())
      throw InternalError("a mask does not fit its constant");
    // Zero bits are zero in every floating-point type.
    const auto size = static_cast<size_t>(dtype_bits(old.dtype()) / 8);
    std::vector<std::byte> bytes(old.bytes().begin(), old.bytes().end());
    const std::vector<std::byte> zero(size, std::byte{0});
    bool changed = false;
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      if (mask.keep[i] != 0 || std::memcmp(&bytes[i * size], zero.data(), size) == 0) continue;
      std::memcpy(&bytes[i * size], zero.data(), size);
      changed = true;
    }
    if (!changed) continue;
    const Shape shape = old.shape();
    graph.set_constant(mask.constant, Tensor::from_bytes(old.dtype(), shape, std::move(bytes)));
    ++changes;
  }
  return changes;
}

std::vector<ElementCount> count_zeros(const Graph& graph) {
  std::vector<ElementCount> counts;
  for (const PrunableWeight& weight : prunable_weights(graph)) {
    const std::vector<double> values = graph.constant(weight.constant)->to_double();
    counts.push_back({graph.node(weight.node).name, graph.value(weight.constant).name,
                      static_cast<int64_t>(values.size()),
                      static_cast<int64_t>(std::count(values.begin(), values.end(), 0.0))});
  }
  return counts;
}

}  // namespace lathe

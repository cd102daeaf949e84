#include "lower/plan_builder.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "ir/error.h"

namespace lathe {
namespace {

// Products read the channels of a pixel in fours, the last pixel's, too.
constexpr int64_t kSlackBytes = 8;

int64_t element_size(DType dtype) { return dtype_bits(dtype) / 8; }

}  // namespace

std::vector<int64_t> channels_last_order(size_t rank) {
  std::vector<int64_t> order = plain_order(rank);
  if (rank > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}

std::vector<int64_t> plain_order(size_t rank) {
  std::vector<int64_t> order(rank);
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

std::vector<int64_t> memory_order(const PlanView& view) {
  std::vector<int64_t> order = plain_order(view.shape.size());
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return view.strides[static_cast<size_t>(a)] > view.strides[static_cast<size_t>(b)];
  });
  return order;
}

int32_t PlanBuilder::add_block(PlanBlock block) {
  plan_.blocks.push_back(block);
  return static_cast<int32_t>(plan_.blocks.size() - 1);
}

ViewId PlanBuilder::add_view(PlanView view) {
  plan_.views.push_back(std::move(view));
  return {static_cast<int32_t>(plan_.views.size() - 1)};
}

ViewId PlanBuilder::add_array(std::string name, DType dtype, Shape shape,
                              const std::vector<int64_t>& order) {
  PlanView view{std::move(name), -1, dtype, shape, dense_strides(shape, order)};
  const int64_t bytes = element_count(shape) * element_size(dtype);
  const int64_t slack = slack_ && element_size(dtype) == 1 ? kSlackBytes : 0;
  view.block = add_block({BlockPlace::kArena, bytes + slack, 0});
  return add_view(std::move(view));
}

ViewId PlanBuilder::add_dense(std::string name, DType dtype, Shape shape) {
  const std::vector<int64_t> order = plain_order(shape.size());
  return add_array(std::move(name), dtype, std::move(shape), order);
}

ViewId PlanBuilder::add_external(std::string name, BlockPlace place, int64_t index, DType dtype,
                                 Shape shape) {
  PlanView view{std::move(name), -1, dtype, shape, dense_strides(shape)};
  view.block = add_block({place, element_count(shape) * element_size(dtype), index});
  return add_view(std::move(view));
}

ViewId PlanBuilder::add_constant(std::string name, const Tensor& tensor) {
  const auto bytes = tensor.bytes();
  const size_t hash = std::hash<std::string_view>{}(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::vector<std::byte>& all = plan_.constants.own();
  const auto [first, last] = constants_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    const PlanView& other = view(it->second);
    const PlanBlock& block = block_of(it->second);
    if (other.dtype == tensor.dtype() && other.shape == tensor.shape() &&
        std::equal(bytes.begin(), bytes.end(), all.begin() + block.offset))
      return it->second;
  }
  all.resize(block_aligned(all.size()));
  PlanView view{std::move(name), -1, tensor.dtype(), tensor.shape(), dense_strides(tensor.shape())};
  view.block = add_block({BlockPlace::kConstant, static_cast<int64_t>(bytes.size()),
                          static_cast<int64_t>(all.size())});
  all.insert(all.end(), bytes.begin(), bytes.end());
  const ViewId id = add_view(std::move(view));
  constants_.emplace(hash, id);
  return id;
}

ViewId PlanBuilder::add_constant(std::string name, const std::vector<float>& values) {
  return add_constant(std::move(name), Tensor::vector(values));
}

ViewId PlanBuilder::transposed(ViewId id, const std::vector<int64_t>& permutation) {
  PlanView turned = view(id);
  for (size_t i = 0; i < permutation.size(); ++i) {
    const auto from = static_cast<size_t>(permutation[i]);
    turned.shape[i] = view(id).shape[from];
    turned.strides[i] = view(id).strides[from];
  }
  return add_view(std::move(turned));
}

ViewId PlanBuilder::sliced(ViewId id, size_t axis, int64_t start, int64_t step, int64_t count) {
  PlanView part = view(id);
  part.offset += start * part.strides[axis];
  part.shape[axis] = count;
  part.strides[axis] *= step;
  return add_view(std::move(part));
}

ViewId PlanBuilder::expanded(ViewId id, const Shape& shape) {
  PlanView wide = view(id);
  const size_t added = shape.size() - wide.shape.size();
  std::vector<int64_t> strides(shape.size(), 0);
  for (size_t i = 0; i < wide.shape.size(); ++i)
    if (wide.shape[i] == shape[i + added]) strides[i + added] = wide.strides[i];
  wide.shape = shape;
  wide.strides = std::move(strides);
  return add_view(std::move(wide));
}

// Dimensions of old and new shape are gathered into groups of equal products; inside a group the
// old dimensions must lie in memory as one.
ViewId PlanBuilder::reshaped(ViewId id, const Shape& shape) {
  const PlanView& old = view(id);
  if (element_count(old.shape) != element_count(shape)) return {};
  if (old.shape == shape) return id;
  PlanView changed = old;
  changed.shape = shape;
  if (element_count(shape) == 0 || is_dense(old)) {
    changed.strides = dense_strides(shape);
    return add_view(std::move(changed));
  }
  changed.strides.assign(shape.size(), 0);
  size_t i = 0;
  size_t j = 0;
  while (i < old.shape.size() || j < shape.size()) {
    int64_t from = 1;
    int64_t to = 1;
    const size_t i0 = i;
    const size_t j0 = j;
    do {
      if (from <= to && i < old.shape.size())
        from *= old.shape[i++];
      else if (j < shape.size())
        to *= shape[j++];
      else
        return {};
    } while (from != to || (i == i0 && j == j0));
    // Ones at the end of either shape join the last group.
    while (j < shape.size() && shape[j] == 1) ++j;
    while (i < old.shape.size() && old.shape[i] == 1) ++i;
    int64_t inner = -1;  // stride of the group's innermost dimension that is no 1
    int64_t expected = 0;
    for (size_t k = i; k-- > i0;) {
      if (old.shape[k] == 1) continue;
      if (inner < 0) {
        inner = old.strides[k];
        if (inner < 0) return {};
        expected = inner;
      }
      if (old.strides[k] != expected) return {};
      expected *= old.shape[k];
    }
    int64_t stride = std::max<int64_t>(inner, 0);
    if (inner < 0) stride = 1;
    for (size_t k = j; k-- > j0;) {
      changed.strides[k] = stride;
      stride *= shape[k];
    }
  }
  return add_view(std::move(changed));
}

ViewId PlanBuilder::quantized_as(ViewId id, const ScaleZeroPoint& params) {
  const ViewId other = add_view(view(id));
  set_params(other, params);
  return other;
}

void PlanBuilder::set_params(ViewId id, const ScaleZeroPoint& params) {
  edit(id).scale = params.scale;
  edit(id).zero_point = params.zero_point;
}

void PlanBuilder::add_step(std::vector<std::string> nodes, int32_t node, StepKind kind) {
  plan_.steps.push_back({std::move(nodes), node, std::move(kind)});
}

}  // namespace lathe

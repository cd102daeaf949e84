// Ops that give elements another shape or order without selecting among them.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

// The size that makes the product of `to` (position `hole` left out) equal to that of `from`.
// Symbols that stand on both sides cancel. `copied[i]`: to[i] is from[i], whatever it is.
Dim missing_size(Dims from, Dims to, size_t hole, const std::vector<bool>& copied) {
  to[hole] = Dim::of(1);
  for (size_t i = 0; i < to.size(); ++i) {
    if (!copied[i] || from[i].size == 0) continue;
    from[i] = Dim::of(1);
    to[i] = Dim::of(1);
  }
  for (Dim& wanted : to) {
    if (wanted.known() || wanted.symbol.empty()) continue;
    const auto twin = std::find(from.begin(), from.end(), wanted);
    if (twin == from.end()) continue;
    *twin = Dim::of(1);
    wanted = Dim::of(1);
  }
  const Dim rest = product(to);
  if (!rest.known() || rest.size == 0) return {};
  const Dim all = product(from);
  if (all.known()) {
    if (all.size % rest.size != 0)
      throw bad_node(
          fmt::format("{} elements cannot be arranged in rows of {}", all.size, rest.size));
    return Dim::of(all.size / rest.size);
  }
  // One symbol is left beside numbers: it survives when the numbers cancel too.
  const Dim* symbol = nullptr;
  int64_t numbers = 1;
  for (const Dim& dim : from) {
    if (dim.known()) {
      if (__builtin_mul_overflow(numbers, dim.size, &numbers)) return {};
    } else if (symbol != nullptr) {
      return {};
    } else {
      symbol = &dim;
    }
  }
  return symbol != nullptr && numbers == rest.size ? *symbol : Dim{};
}

}  // namespace

void reshape(InferCall& call) {
  const auto wanted = call.elements(1);
  if (!wanted) return;
  const Dims* x = call.dims(0);
  const bool allow_zero = call.node.attributes.int_or("allowzero", 0) != 0;
  Dims out(wanted->size());
  std::vector<bool> copied(out.size());
  size_t holes = 0;
  size_t unknowns = 0;
  size_t hole = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const Element& element = (*wanted)[i];
    if (element.number == -1) {
      ++holes;
      hole = i;
    } else if (element.number && *element.number < -1) {
      throw bad_node(fmt::format("shape element {} is {}", i, *element.number));
    } else if (element.number == 0 && !allow_zero) {
      if (x == nullptr) continue;
      if (i >= x->size())
        throw bad_node(fmt::format("shape element {} copies an axis that the input lacks", i));
      out[i] = (*x)[i];
      copied[i] = true;
    } else {
      out[i] = dim_of(element);
      if (!element.number && element.symbol.empty()) {
        ++unknowns;
        if (holes == 0) hole = i;
      }
    }
  }
  if (holes > 1) throw bad_node("the shape holds -1 more than once");
  if (x != nullptr && holes + unknowns == 1) out[hole] = missing_size(*x, out, hole, copied);
  if (x != nullptr && holes + unknowns == 0) {
    const Dim before = product(*x);
    const Dim after = product(out);
    if (before.known() && after.known() && before.size != after.size)
      throw bad_node(fmt::format("{} cannot be reshaped to {}", dims_text(*x), dims_text(out)));
  }
  call.set_dims(0, std::move(out));
}

void transpose(InferCall& call) {
  const Dims* x = call.dims(0);
  const auto perm = call.node.attributes.ints_or("perm", {});
  if (x == nullptr) return perm.empty() ? void() : call.set_dims(0, Dims(perm.size()));
  Dims out(x->rbegin(), x->rend());
  if (!perm.empty()) {
    if (perm.size() != x->size())
      throw bad_node(
          fmt::format("attribute 'perm' has {} axes for rank {}", perm.size(), x->size()));
    std::vector<bool> seen(x->size());
    for (size_t i = 0; i < perm.size(); ++i) {
      const auto axis = static_cast<size_t>(call.normal_axis(perm[i], x->size()));
      if (seen[axis]) throw bad_node(fmt::format("attribute 'perm' names axis {} twice", axis));
      seen[axis] = true;
      out[i] = (*x)[axis];
    }
  }
  call.set_dims(0, std::move(out));
}

void flatten(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return call.set_dims(0, Dims(2));
  const auto rank = static_cast<int64_t>(x->size());
  int64_t axis = call.node.attributes.int_or("axis", 1);
  if (axis < -rank || axis > rank)
    throw bad_node(fmt::format("axis {} is out of range for rank {}", axis, rank));
  if (axis < 0) axis += rank;
  const std::span<const Dim> all(*x);
  const auto split = static_cast<size_t>(axis);
  call.set_dims(0, {product(all.first(split)), product(all.subspan(split))});
}

void squeeze(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  std::vector<bool> dropped(x->size());
  if (call.has(1)) {
    const auto axes = call.constant_ints(1);
    if (!axes) return;
    for (const int64_t axis : *axes) {
      const auto i = static_cast<size_t>(call.normal_axis(axis, x->size()));
      if ((*x)[i].known() && (*x)[i].size != 1)
        throw bad_node(fmt::format("axis {} has size {}, not 1", axis, (*x)[i].size));
      dropped[i] = true;
    }
  } else {
    for (size_t i = 0; i < x->size(); ++i) {
      if (!(*x)[i].known()) return;
      dropped[i] = (*x)[i].size == 1;
    }
  }
  Dims out;
  for (size_t i = 0; i < x->size(); ++i)
    if (!dropped[i]) out.push_back((*x)[i]);
  call.set_dims(0, std::move(out));
}

void unsqueeze(InferCall& call) {
  const Dims* x = call.dims(0);
  const auto axes = call.constant_ints(1);
  if (x == nullptr || !axes) return;
  const size_t rank = x->size() + axes->size();
  if (rank > static_cast<size_t>(kMaxRank)) return;
  std::vector<bool> inserted(rank);
  for (const int64_t axis : *axes) {
    const auto i = static_cast<size_t>(call.normal_axis(axis, rank));
    if (inserted[i]) throw bad_node(fmt::format("axis {} is inserted twice", axis));
    inserted[i] = true;
  }
  Dims out;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) out.push_back(inserted[i] ? Dim::of(1) : (*x)[next++]);
  call.set_dims(0, std::move(out));
}

void expand(InferCall& call) {
  const Dims* x = call.dims(0);
  const auto wanted = call.elements(1);
  if (x == nullptr || !wanted) return;
  Dims shape;
  for (const Element& element : *wanted) shape.push_back(dim_of(element));
  call.set_dims(0, broadcast_dims(*x, shape));
}

void tile(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto repeats = call.elements(1);
  if (!repeats) return call.set_dims(0, Dims(x->size()));
  if (repeats->size() != x->size())
    throw bad_node(fmt::format("{} repeats for rank {}", repeats->size(), x->size()));
  Dims out;
  for (size_t i = 0; i < x->size(); ++i) {
    if ((*repeats)[i].number.value_or(0) < 0) throw bad_node("a repeat is negative");
    out.push_back(multiply((*x)[i], dim_of((*repeats)[i])));
  }
  call.set_dims(0, std::move(out));
}

void depth_to_space(InferCall& call) {
  const Dims* x = call.dims(0);
  const int64_t block = call.node.attributes.required_int("blocksize");
  if (block < 1 || block > std::numeric_limits<int32_t>::max())
    throw bad_node(fmt::format("blocksize {}", block));
  if (x == nullptr) return call.set_dims(0, Dims(4));
  if (x->size() != 4) throw bad_node("the input must have rank 4");
  call.set_dims(0, {(*x)[0], divide((*x)[1], block * block, "axis 1"),
                    multiply((*x)[2], Dim::of(block)), multiply((*x)[3], Dim::of(block))});
}

void space_to_depth(InferCall& call) {
  const Dims* x = call.dims(0);
  const int64_t block = call.node.attributes.required_int("blocksize");
  if (block < 1 || block > std::numeric_limits<int32_t>::max())
    throw bad_node(fmt::format("blocksize {}", block));
  if (x == nullptr) return call.set_dims(0, Dims(4));
  if (x->size() != 4) throw bad_node("the input must have rank 4");
  call.set_dims(0, {(*x)[0], multiply((*x)[1], Dim::of(block * block)),
                    divide((*x)[2], block, "axis 2"), divide((*x)[3], block, "axis 3")});
}

void shape(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return call.set_dims(0, Dims(1));
  const auto rank = static_cast<int64_t>(x->size());
  const auto clamped = [rank](int64_t at) {
    return std::clamp(at < 0 ? at + rank : at, int64_t{0}, rank);
  };
  const int64_t start = clamped(call.node.attributes.int_or("start", 0));
  const int64_t end = clamped(call.node.attributes.int_or("end", rank));
  call.set_dims(0, {Dim::of(std::max<int64_t>(0, end - start))});
}

void identity(InferCall& call) {
  const ValueId input = call.node.input(0);
  if (input.valid() && !call.outputs.empty()) call.outputs[0] = call.graph.value(input).type;
}

}  // namespace lathe::shape_rule

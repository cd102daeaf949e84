// Ops that join, cut, repeat, pad and select along axes.
#include <fmt/format.h>

#include <algorithm>

#include "prune/channel_flow.h"
#include "prune/size_readers.h"
#include "prune/slice_range.h"

namespace lathe::flow {
namespace {

// Of an axis that is filled rather than produced.
constexpr int64_t kMostCopies = 65536;

Positions part_of(FlowCall& call, const Positions& positions, int64_t begin, int64_t count) {
  return call.make({positions->begin() + begin, positions->begin() + begin + count});
}

}  // namespace

void concat(FlowCall& call) {
  const int64_t rank = call.out_rank();
  const auto joined = from_front(call.node.attributes.int_or("axis", 0), rank);
  if (!joined) return;
  const size_t parts = call.node.inputs.size();
  for (size_t i = 0; i < parts; ++i)
    if (call.rank(i) != rank) return;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (axis == *joined) continue;
    std::vector<InputAxis> axes;
    for (size_t i = 0; i < parts; ++i) axes.push_back({i, axis});
    call.give(axis, call.meet(axes));
  }
  bool any = false;
  int64_t total = 0;
  for (size_t i = 0; i < parts; ++i) {
    const int64_t size = call.size(i, *joined);
    if (size < 0 || size > static_cast<int64_t>(kMaxPositions)) return;
    total += size;
    any = any || call.look(i, *joined);
  }
  if (!any || total > static_cast<int64_t>(kMaxPositions)) return;
  std::vector<Atom> atoms;
  for (size_t i = 0; i < parts; ++i) {
    const Positions part = call.take(i, *joined);
    if (part)
      atoms.insert(atoms.end(), part->begin(), part->end());
    else
      atoms.insert(atoms.end(), static_cast<size_t>(call.size(i, *joined)), kNoAtom);
  }
  call.give(*joined, call.make(std::move(atoms)));
}

void split(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const auto cut = from_front(call.node.attributes.int_or("axis", 0), rank);
  if (!cut) return;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (axis == *cut) continue;
    const Positions positions = call.take(0, axis);
    for (size_t i = 0; i < call.node.outputs.size(); ++i) call.give(axis, positions, i);
  }
  const Positions whole = call.look(0, *cut);
  if (!whole) return;
  std::vector<int64_t> sizes;
  int64_t sum = 0;
  for (size_t i = 0; i < call.node.outputs.size(); ++i) {
    const Dims* out = call.out_dims(i);
    if (out == nullptr || static_cast<int64_t>(out->size()) != rank) return;
    sizes.push_back((*out)[static_cast<size_t>(*cut)].size);
    if (sizes.back() < 0 || sizes.back() > static_cast<int64_t>(whole->size()) - sum) return;
    sum += sizes.back();
  }
  if (sum != static_cast<int64_t>(whole->size())) return;
  call.take(0, *cut);
  int64_t begin = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    call.give(*cut, part_of(call, whole, begin, sizes[i]), i);
    begin += sizes[i];
  }
}

void slice(FlowCall& call) {
  const auto ranges = slice_ranges(call.graph, call.node);
  if (!ranges) return;
  for (int64_t axis = 0; axis < call.rank(0); ++axis) {
    const auto range = ranges->find(axis);
    const Positions whole = call.look(0, axis);
    if (range == ranges->end() || range->second.is_whole()) {
      call.pass(0, axis, axis);
    } else if (whole && range->second.step == 1 && range->second.known() &&
               range->second.end <= static_cast<int64_t>(whole->size())) {
      call.take(0, axis);
      call.give(axis,
                part_of(call, whole, range->second.begin, range->second.end - range->second.begin));
    }
  }
}

void gather(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const int64_t index_rank = call.rank(1);
  const auto picked = from_front(call.node.attributes.int_or("axis", 0), rank);
  if (!picked || index_rank < 0) return;
  const bool table = call.constant(0) != nullptr;
  if (table && call.constant(1) != nullptr) return;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (axis == *picked) continue;
    const int64_t to = axis < *picked ? axis : axis + index_rank - 1;
    // An embedding: a row of the table is a position's vector.
    const Positions positions = table ? call.produce(call.size(0, axis)) : call.take(0, axis);
    if (table) call.use(0, axis, ChannelRole::kProduces, positions);
    call.give(to, positions);
  }
  for (int64_t axis = 0; axis < index_rank; ++axis) call.pass(1, axis, *picked + axis);
  const Positions whole = call.look(0, *picked);
  const auto indices = call.ints(1);
  if (!whole || !indices || index_rank > 1) return;
  call.take(0, *picked);
  std::vector<Atom> selected;
  for (const int64_t index : *indices) {
    const auto at = from_front(index, static_cast<int64_t>(whole->size()));
    if (!at) return call.block(whole, call.label() + " does not fit");
    selected.push_back((*whole)[static_cast<size_t>(*at)]);
  }
  if (index_rank == 0)
    call.atoms().block(selected, call.label() + " takes it alone");
  else
    call.give(*picked, call.make(std::move(selected)));
}

// Channels that are padded on are channels too: a shortcut that gains zeros.
void pad(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const auto pads = call.ints(1);
  if (!pads || rank < 0) return;
  std::vector<int64_t> axes;
  if (call.has(3)) {
    const auto given = call.ints(3);
    if (!given) return;
    axes = *given;
  } else {
    for (int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  }
  if (pads->size() != 2 * axes.size()) return;
  std::vector<std::pair<int64_t, int64_t>> amounts(static_cast<size_t>(rank));
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = from_front(axes[i], rank);
    if (!axis) return;
    amounts[static_cast<size_t>(*axis)] = {(*pads)[i], (*pads)[i + axes.size()]};
  }
  const bool constant = call.node.attributes.string_or("mode", "constant") == "constant";
  for (int64_t axis = 0; axis < rank; ++axis) {
    const auto [before, after] = amounts[static_cast<size_t>(axis)];
    if (before == 0 && after == 0) {
      call.pass(0, axis, axis);
      continue;
    }
    const Positions inside = call.look(0, axis);
    if (!inside || !constant || before < 0 || after < 0 ||
        before > static_cast<int64_t>(kMaxPositions) || after > static_cast<int64_t>(kMaxPositions))
      continue;
    std::vector<Atom> atoms;
    const Positions front = call.fresh(before);
    const Positions back = call.fresh(after);
    if ((before > 0 && !front) || (after > 0 && !back)) continue;
    if (front) atoms.insert(atoms.end(), front->begin(), front->end());
    atoms.insert(atoms.end(), inside->begin(), inside->end());
    if (back) atoms.insert(atoms.end(), back->begin(), back->end());
    call.take(0, axis);
    call.give(axis, call.make(std::move(atoms)));
  }
}

// Zeros of a computed batch, mostly: they go with the channels that they meet.
void constant_of_shape(FlowCall& call) {
  for (int64_t axis = 0; axis < call.out_rank(); ++axis) {
    const auto element = size_element(call.graph, call.node.input(0), static_cast<size_t>(axis));
    if (element && element->value > 1 && element->value <= kMostCopies)
      call.give(axis, call.fresh(element->value));
  }
}

void expand(FlowCall& call) {
  const int64_t rank = call.out_rank();
  const int64_t before = rank - call.rank(0);
  const Dims* target = call.dims(1);
  if (call.rank(0) < 0 || before < 0 || target == nullptr || target->size() != 1 ||
      !target->front().known())
    return;
  const int64_t offset = rank - target->front().size;
  for (int64_t axis = 0; axis < rank; ++axis) {
    const int64_t inside = axis - before;
    std::optional<int64_t> wanted;
    if (axis < offset) {
      wanted = 1;
    } else if (const auto element = size_element(call.graph, call.node.input(1),
                                                 static_cast<size_t>(axis - offset))) {
      wanted = element->value;
    }
    if (!wanted) continue;
    const int64_t size = inside >= 0 ? call.size(0, inside) : 1;
    const bool kept = *wanted == 1 || size == *wanted;
    if (call.constant(0) != nullptr && kept && size > 1 && size <= kMostCopies) {
      const Positions columns = call.fresh(size);
      call.use(0, inside, ChannelRole::kScales, columns);
      call.give(axis, columns);
    } else if (inside >= 0 && kept) {
      call.pass(0, inside, axis);
    } else if (*wanted > 1 && !call.look(0, inside)) {
      // As many copies as the channels that they will meet.
      if (*wanted <= kMostCopies) call.give(axis, call.fresh(*wanted));
    }
  }
}

void tile(FlowCall& call) {
  const auto repeats = call.ints(1);
  if (!repeats || static_cast<int64_t>(repeats->size()) != call.rank(0)) return;
  for (int64_t axis = 0; axis < call.rank(0); ++axis) {
    const int64_t count = (*repeats)[static_cast<size_t>(axis)];
    const Positions once = call.look(0, axis);
    if (!once || count < 1 || count > static_cast<int64_t>(kMaxPositions / once->size())) continue;
    call.take(0, axis);
    if (count == 1) {
      call.give(axis, once);
      continue;
    }
    std::vector<Atom> atoms;
    for (int64_t i = 0; i < count; ++i) atoms.insert(atoms.end(), once->begin(), once->end());
    call.give(axis, call.make(std::move(atoms)));
  }
}

// Only axes that keep every position where it is.
void resize(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const auto& attributes = call.node.attributes;
  if (rank < 0 ||
      attributes.string_or("coordinate_transformation_mode", "") == "tf_crop_and_resize" ||
      attributes.string_or("keep_aspect_ratio_policy", "stretch") != "stretch")
    return;
  std::vector<int64_t> axes = attributes.ints_or("axes", {});
  if (!attributes.has("axes"))
    for (int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  std::vector<bool> stays(static_cast<size_t>(rank), true);
  const auto sizes = call.has(3) ? call.ints(3) : std::nullopt;
  const Tensor* scales = call.has(3) ? nullptr : call.constant(2);
  if (!sizes && scales == nullptr) {
    // Computed sizes could not be fixed on resized axes.
    for (const int64_t axis : axes)
      if (const auto at = from_front(axis, rank)) stays[static_cast<size_t>(*at)] = false;
  }
  const auto factors = scales != nullptr ? scales->to_double() : std::vector<double>{};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = from_front(axes[i], rank);
    if (!axis) return;
    const auto at = static_cast<size_t>(*axis);
    if (sizes) stays[at] = i < sizes->size() && (*sizes)[i] == call.size(0, *axis);
    if (scales != nullptr) stays[at] = i < factors.size() && factors[i] == 1;
  }
  for (int64_t axis = 0; axis < rank; ++axis)
    if (stays[static_cast<size_t>(axis)]) call.pass(0, axis, axis);
}

// A size that is read may be used as a number; only readers that leave channel axes out are fine.
void shape(FlowCall& call) {
  const int64_t rank = call.rank(0);
  if (rank < 0) return;
  const auto reads = read_sizes(call.graph, call.node, rank);
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!reads[static_cast<size_t>(axis)]) call.take(0, axis);
}

}  // namespace lathe::flow

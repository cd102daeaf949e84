// Ops that give elements another shape or order. Where axes merge, the atoms of one are repeated;
// where an axis is cut, one part carries the channels and what lies on the others is united.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "prune/axis_segments.h"
#include "prune/channel_flow.h"

namespace lathe::flow {
namespace {

int64_t product(std::span<const Dim> dims) {
  int64_t size = 1;
  for (const Dim& dim : dims) size *= dim.size;
  return size;
}

// The atoms of the segment's elements; nullptr when no axis carries any.
Positions merged(FlowCall& call, const Dims& from, const AxisSegment& segment) {
  std::optional<size_t> carrier;
  for (size_t axis = segment.from_begin; axis < segment.from_end; ++axis) {
    if (!call.look(0, static_cast<int64_t>(axis))) continue;
    if (carrier) return nullptr;
    carrier = axis;
  }
  if (!carrier) return nullptr;
  const Positions positions = call.look(0, static_cast<int64_t>(*carrier));
  if (segment.size > static_cast<int64_t>(kMaxPositions)) return nullptr;
  call.take(0, static_cast<int64_t>(*carrier));
  if (static_cast<size_t>(segment.size) == positions->size()) return positions;
  const std::span<const Dim> dims(from);
  const int64_t outer = product(dims.subspan(segment.from_begin, *carrier - segment.from_begin));
  const int64_t inner = product(dims.subspan(*carrier + 1, segment.from_end - *carrier - 1));
  std::vector<Atom> atoms;
  atoms.reserve(static_cast<size_t>(segment.size));
  for (int64_t o = 0; o < outer; ++o)
    for (const Atom atom : *positions) atoms.insert(atoms.end(), static_cast<size_t>(inner), atom);
  return call.make(std::move(atoms));
}

struct Carrier {
  size_t axis = 0;
  size_t size = 1;
  size_t inner = 1;
  size_t index(size_t element) const { return element / inner % size; }
};

// Elements whose atom is not that of the first element on the same position.
size_t unions(const ChannelAtoms& classes, const std::vector<Atom>& atoms, const Carrier& carrier) {
  std::vector<Atom> first(carrier.size, kNoAtom);
  size_t count = 0;
  for (size_t i = 0; i < atoms.size(); ++i) {
    Atom& kept = first[carrier.index(i)];
    const Atom root = atoms[i] == kNoAtom ? kNoAtom : classes.find(atoms[i]);
    if (kept == kNoAtom)
      kept = root;
    else if (kept != root)
      ++count;
  }
  return count;
}

void cut(FlowCall& call, const Dims& to, const AxisSegment& segment, const Positions& atoms) {
  std::vector<Carrier> carriers;
  size_t inner = 1;
  for (size_t axis = segment.to_end; axis-- > segment.to_begin;) {
    const auto size = static_cast<size_t>(to[axis].size);
    if (size > 1) carriers.insert(carriers.begin(), Carrier{axis, size, inner});
    inner *= size;
  }
  if (carriers.empty()) {
    if (segment.to_begin == segment.to_end)
      return call.block(atoms, fmt::format("{} drops its axis", call.label()));
    return call.give(static_cast<int64_t>(segment.to_begin), atoms);
  }
  size_t chosen = 0;
  if (carriers.size() > 1) {
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < carriers.size(); ++i) {
      const size_t count = unions(call.atoms(), *atoms, carriers[i]);
      if (count >= least) continue;
      least = count;
      chosen = i;
    }
    chosen = static_cast<size_t>(
        call.carried(static_cast<int>(carriers.size()), static_cast<int>(chosen), atoms));
  }
  const Carrier& carrier = carriers[chosen];
  std::vector<Atom> kept(carrier.size, kNoAtom);
  std::vector<bool> seen(carrier.size);
  for (size_t i = 0; i < atoms->size(); ++i) {
    const size_t at = carrier.index(i);
    if (seen[at]) {
      call.unite(kept[at], (*atoms)[i]);
    } else {
      kept[at] = (*atoms)[i];
      seen[at] = true;
    }
  }
  call.give(static_cast<int64_t>(carrier.axis), call.make(std::move(kept)));
}

// Elements of a block of DepthToSpace or SpaceToDepth; nullopt for sizes that nobody uses.
std::optional<size_t> block_area(const FlowCall& call) {
  const int64_t side = call.node.attributes.int_or("blocksize", 0);
  if (side < 1 || side > 4096) return std::nullopt;
  return static_cast<size_t>(side * side);
}

}  // namespace

void reshape(FlowCall& call) {
  const Dims* from = call.dims(0);
  const Dims* to = call.out_dims();
  if (from == nullptr || to == nullptr) return;
  if (call.node.kind == OpKind::kReshape && call.constant(1) == nullptr &&
      !reshape_target(*from, *to, call.node.attributes.int_or("allowzero", 0) == 0))
    return;
  if (call.node.kind == OpKind::kSqueeze && call.has(1) && call.constant(1) == nullptr) return;
  for (const AxisSegment& segment : axis_segments(*from, *to)) {
    if (segment.size < 0) {
      // One axis that stays as it is, whatever its size.
      if (segment.from_end - segment.from_begin == 1 && segment.to_end - segment.to_begin == 1 &&
          (*from)[segment.from_begin] == (*to)[segment.to_begin])
        call.pass(0, static_cast<int64_t>(segment.from_begin),
                  static_cast<int64_t>(segment.to_begin));
      continue;
    }
    if (const Positions atoms = merged(call, *from, segment)) cut(call, *to, segment, atoms);
  }
}

void transpose(FlowCall& call) {
  const int64_t rank = call.rank(0);
  const auto perm = call.node.attributes.ints_or("perm", {});
  if (!perm.empty() && static_cast<int64_t>(perm.size()) != rank) return;
  for (int64_t to = 0; to < rank; ++to) {
    int64_t from = perm.empty() ? rank - 1 - to : perm[static_cast<size_t>(to)];
    if (from < 0) from += rank;
    call.pass(0, from, to);
  }
}

void depth_to_space(FlowCall& call) {
  const auto area = block_area(call);
  if (!area || call.rank(0) != 4) return;
  call.pass(0, 0, 0);
  const Positions in = call.take(0, 1);
  if (!in) return;
  if (in->size() % *area != 0) return call.block(in, call.label() + " does not fit");
  const size_t channels = in->size() / *area;
  const bool depth_first = call.node.attributes.string_or("mode", "DCR") != "CRD";
  std::vector<Atom> out;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t b = 0; b < *area; ++b) {
      const Atom atom = (*in)[depth_first ? b * channels + c : c * *area + b];
      if (b == 0)
        out.push_back(atom);
      else
        call.unite(out.back(), atom);
    }
  }
  call.give(1, call.make(std::move(out)));
}

void space_to_depth(FlowCall& call) {
  const auto area = block_area(call);
  if (!area || call.rank(0) != 4) return;
  call.pass(0, 0, 0);
  const Positions in = call.look(0, 1);
  if (!in || in->size() > kMaxPositions / *area) return;
  call.take(0, 1);
  std::vector<Atom> out;
  for (size_t b = 0; b < *area; ++b) out.insert(out.end(), in->begin(), in->end());
  call.give(1, call.make(std::move(out)));
}

}  // namespace lathe::flow

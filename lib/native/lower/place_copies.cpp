// Copies that need not be: what is copied into another array lies there from the start.
#include <algorithm>
#include <optional>

#include "lower/improve_plan.h"
#include "lower/move_view.h"
#include "lower/step_users.h"
#include "plan/view_overlap.h"

namespace lathe {
namespace {

struct Copy {
  size_t step;
  PlanView from;
  PlanView to;
};

size_t block_of(const PlanView& view) { return static_cast<size_t>(view.block); }

/// Takes arrays with any strides at any address.
bool takes_any_place(const StepKind& kind) {
  return std::holds_alternative<ElementwiseProgramStep>(kind) ||
         std::holds_alternative<CopyStep>(kind) || std::holds_alternative<ConvertStep>(kind);
}

bool same_strides(const PlanView& a, const PlanView& b) {
  if (a.shape != b.shape) return false;
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

/// Other steps write apart from what the copy writes.
bool destination_is_open(const NativePlan& plan, const BlockUse& use, const Copy& copy) {
  for (const size_t writer : use.writers)
    for (const ViewId id : views_of(plan.steps[writer]).writes)
      if (writer != copy.step && may_share_bytes(view_of(plan, id), copy.to)) return false;
  return true;
}

/// Nobody but `except` reads those elements of the destination before the copy.
bool is_unread_before(const NativePlan& plan, const BlockUse& use, const Copy& copy,
                      const PlanView& elements, size_t except) {
  for (const size_t reader : use.readers)
    for (const ViewId id : views_of(plan.steps[reader]).reads)
      if (reader < copy.step && reader != except && may_share_bytes(view_of(plan, id), elements))
        return false;
  return true;
}

/// Neighbours stay neighbours: what is computed element by element is slow otherwise.
bool keeps_neighbours(const PlanView& from, const PlanView& to) {
  for (size_t i = 0; i < from.shape.size(); ++i)
    if (from.shape[i] > 1 && from.strides[i] == 1 && to.strides[i] != 1) return false;
  return true;
}

/// The only step that writes the source writes to the destination instead.
bool write_there(NativePlan& plan, const std::vector<BlockUse>& uses, const Copy& copy) {
  const BlockUse& source = uses[block_of(copy.from)];
  if (source.writers.size() != 1 || source.readers.size() != 1) return false;
  const size_t writer = source.writers.front();
  StepKind& kind = plan.steps[writer].kind;
  if (writer >= copy.step || !takes_any_place(kind)) return false;
  const StepViews views = views_of(plan.steps[writer]);
  const PlanView written = view_of(plan, views.writes.front());
  if (written.offset != copy.from.offset || !same_strides(written, copy.from) ||
      (std::holds_alternative<ElementwiseProgramStep>(kind) &&
       !keeps_neighbours(copy.from, copy.to)))
    return false;
  PlanView moved = written;
  moved.block = copy.to.block;
  moved.offset = copy.to.offset;
  moved.strides = copy.to.strides;
  if (!is_unread_before(plan, uses[block_of(copy.to)], copy, moved, writer)) return false;
  for (const ViewId id : views.reads)
    if (may_share_bytes(view_of(plan, id), moved)) return false;
  plan.views[static_cast<size_t>(views.writes.front().index)] = moved;
  return true;
}

/// May `reader` still see what lay in `seen` when `writer` has written `over` it?
bool is_read_before(const NativePlan& plan, size_t reader, const PlanView& seen, size_t writer,
                    const PlanView& over) {
  if (!may_share_bytes(seen, over) || reader < writer) return true;
  return reader == writer && same_elements(seen, over) &&
         std::holds_alternative<ElementwiseProgramStep>(plan.steps[reader].kind);
}

/// How the source's array moves so that its elements are where the copy puts them.
std::optional<ArrayMove> move_of(const Copy& copy) {
  ArrayMove move;
  for (size_t i = 0; i < copy.from.shape.size(); ++i)
    if (copy.from.shape[i] > 1) {
      if (copy.from.strides[i] <= 0) return std::nullopt;
      move.digits.push_back({copy.from.strides[i], copy.to.strides[i]});
    }
  if (move.digits.empty()) move.digits.push_back({1, 1});
  std::sort(move.digits.begin(), move.digits.end(),
            [](const auto& a, const auto& b) { return a.period > b.period; });
  PlanView moved = copy.from;
  if (!move_view(moved, move)) return std::nullopt;
  move.start = copy.to.offset - moved.offset;
  return same_strides(moved, copy.to) ? std::optional(move) : std::nullopt;
}

/// The source's block becomes a part of the destination's, with all that it holds.
bool move_there(NativePlan& plan, const std::vector<BlockUse>& uses, const Copy& copy) {
  std::optional<ArrayMove> move = move_of(copy);
  if (!move || !keeps_neighbours(copy.from, copy.to)) return false;
  const size_t block = block_of(copy.from);
  const BlockUse& source = uses[block];
  const BlockUse& target = uses[block_of(copy.to)];
  const int64_t size = dtype_bits(copy.to.dtype) / 8;
  const auto touches_any_place = [&](size_t step) {
    return step == copy.step || takes_any_place(plan.steps[step].kind);
  };
  if (source.writers.empty() || source.writers.back() > copy.step ||
      !std::all_of(source.writers.begin(), source.writers.end(), touches_any_place) ||
      !std::all_of(source.readers.begin(), source.readers.end(), touches_any_place))
    return false;
  std::vector<PlanView> moved = plan.views;
  for (PlanView& view : moved) {
    if (block_of(view) != block) continue;
    if (dtype_bits(view.dtype) / 8 != size || !move_view(view, *move)) return false;
    view.block = copy.to.block;
    const ByteSpan span = byte_span(view);
    if (span.begin < 0 || span.end > plan.blocks[block_of(copy.to)].bytes) return false;
  }
  if (!keeps_apart(*move)) return false;
  const auto moved_view = [&](ViewId id) { return moved[static_cast<size_t>(id.index)]; };
  const auto of_source = [&](ViewId id) { return block_of(view_of(plan, id)) == block; };
  for (const size_t writer : source.writers)
    for (const ViewId id : views_of(plan.steps[writer]).writes)
      if (of_source(id) && !is_unread_before(plan, target, copy, moved_view(id), plan.steps.size()))
        return false;
  for (const size_t other : target.writers) {
    if (other == copy.step) continue;
    for (const ViewId written : views_of(plan.steps[other]).writes) {
      if (block_of(view_of(plan, written)) != block_of(copy.to)) continue;
      for (const size_t writer : source.writers)
        for (const ViewId id : views_of(plan.steps[writer]).writes)
          if (of_source(id) && writer >= other &&
              may_share_bytes(moved_view(id), view_of(plan, written)))
            return false;
      for (const size_t reader : source.readers)
        for (const ViewId id : views_of(plan.steps[reader]).reads)
          if (of_source(id) && reader != copy.step &&
              !is_read_before(plan, reader, moved_view(id), other, view_of(plan, written)))
            return false;
    }
  }
  plan.views = std::move(moved);
  return true;
}

}  // namespace

int place_copies(NativePlan& plan) {
  int changes = 0;
  std::vector<BlockUse> uses = block_uses(plan);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* step = std::get_if<CopyStep>(&plan.steps[i].kind);
    if (step == nullptr) continue;
    const Copy copy{i, view_of(plan, step->input), view_of(plan, step->output)};
    const BlockPlace place = plan.blocks[block_of(copy.to)].place;
    if (plan.blocks[block_of(copy.from)].place != BlockPlace::kArena ||
        copy.from.block == copy.to.block || copy.from.shape != copy.to.shape ||
        element_count(copy.from.shape) == 0 ||
        (place != BlockPlace::kArena && place != BlockPlace::kOutput) ||
        !destination_is_open(plan, uses[block_of(copy.to)], copy) ||
        (!write_there(plan, uses, copy) && !move_there(plan, uses, copy)))
      continue;
    plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(i--));
    uses = block_uses(plan);
    ++changes;
  }
  return changes;
}

}  // namespace lathe

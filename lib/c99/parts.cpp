#include "c99/parts.h"

#include <algorithm>
#include <functional>
#include <map>

namespace lathe {
namespace {

constexpr size_t kRowAxis = 2;  // of N x C x spatial axes

struct Rows {
  int64_t begin = 0, end = 0;
};

// Along the rows: what output row o reads is o * stride - pad + tap * dilation.
struct RowWindow {
  int64_t kernel = 1, stride = 1, dilation = 1, pad = 0;
};

enum class ImageUse : uint8_t {
  kWindow,  // read through the step's window
  kSame,    // read where the output is written
  kOutput,
};

RowWindow row_window(const PlanWindow& w, bool is_line) {
  if (is_line) return {w.kernel_width, w.stride_width, w.dilation_width, w.pad_left};
  return {w.kernel_height, w.stride_height, w.dilation_height, w.pad_top};
}

void set_pad(PlanWindow& w, bool is_line, int64_t pad) { (is_line ? w.pad_left : w.pad_top) = pad; }

struct RowStep {
  RowWindow window;
  std::function<void(int64_t pad)> set_pad;  // of the step's window
};

// What is computed row by row; `use` is called with each array of rows, the output last. nullopt:
// another kind of step.
std::optional<RowStep> row_step(const NativePlan& plan, StepKind& kind,
                                const std::function<void(ViewId&, ImageUse)>& use) {
  const auto windowed = [&](auto& s) {
    const bool is_line = view_of(plan, s.output).shape.size() == 3;
    use(s.input, ImageUse::kWindow);
    use(s.output, ImageUse::kOutput);
    return RowStep{row_window(s.window, is_line),
                   [&s, is_line](int64_t pad) { set_pad(s.window, is_line, pad); }};
  };
  const auto plain = [&](auto& s) {
    use(s.input, ImageUse::kSame);
    use(s.output, ImageUse::kOutput);
    return RowStep{};
  };
  if (auto* s = std::get_if<ProductStep>(&kind)) {
    if (s->axis != ChannelAxis::kSecond) return std::nullopt;
    if (s->epilogue.residual.valid()) use(s->epilogue.residual, ImageUse::kSame);
    return windowed(*s);
  }
  if (auto* s = std::get_if<DepthwiseStep>(&kind)) {
    if (s->epilogue.residual.valid()) use(s->epilogue.residual, ImageUse::kSame);
    return windowed(*s);
  }
  if (auto* s = std::get_if<PoolStep>(&kind)) {
    // Padding that counts would count at seams, too.
    if (s->include_padding || s->is_global) return std::nullopt;
    return windowed(*s);
  }
  if (auto* s = std::get_if<FloatConvStep>(&kind)) {
    if (s->transposed || s->strides.size() > 2) return std::nullopt;
    if (s->tail.sum.valid()) use(s->tail.sum, ImageUse::kSame);
    use(s->input, ImageUse::kWindow);
    use(s->output, ImageUse::kOutput);
    return RowStep{{view_of(plan, s->weights).shape[2], s->strides[0], s->dilations[0],
                    s->pads_begin[0]},
                   [s](int64_t pad) { s->pads_begin[0] = pad; }};
  }
  if (auto* s = std::get_if<ElementwiseProgramStep>(&kind)) {
    for (ViewId& input : s->inputs) use(input, ImageUse::kSame);
    use(s->output, ImageUse::kOutput);
    return RowStep{};
  }
  if (auto* s = std::get_if<LookupStep>(&kind)) return plain(*s);
  if (auto* s = std::get_if<ConvertStep>(&kind)) return plain(*s);
  if (auto* s = std::get_if<CopyStep>(&kind)) return plain(*s);
  return std::nullopt;
}

int64_t rows_of(const PlanView& view) { return view.shape[kRowAxis]; }

// Rows of one image that lie one behind the other.
bool is_in_rows(const PlanView& view) {
  if (view.shape.size() < 3 || view.shape.size() > 4 || view.shape[0] != 1) return false;
  int64_t reach = view.offset;
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (i != kRowAxis && view.shape[i] > 1) reach += (view.shape[i] - 1) * view.strides[i];
  return reach < view.strides[kRowAxis];
}

class Divider {
 public:
  Divider(const NativePlan& plan, const Parts& parts) : plan_(plan), parts_(parts), made_(plan) {}

  std::optional<NativePlan> run() {
    if (!look_at_blocks()) return std::nullopt;
    made_.steps.clear();
    for (int64_t part = 0; part < parts_.count; ++part) add_part(part);
    made_.steps.insert(made_.steps.end(),
                       plan_.steps.begin() + static_cast<std::ptrdiff_t>(parts_.steps),
                       plan_.steps.end());
    return std::move(made_);
  }

 private:
  struct Block {
    int64_t rows = 0;
    int64_t row = 0;       // elements
    int64_t bytes = 0;     // of an element
    bool is_kept = false;  // read later, or the caller's
  };

  bool is_arena(int32_t block) const {
    return plan_.blocks[static_cast<size_t>(block)].place == BlockPlace::kArena;
  }
  bool is_constant(int32_t block) const {
    return plan_.blocks[static_cast<size_t>(block)].place == BlockPlace::kConstant;
  }

  // An array that the first steps write: all its views are alike.
  bool note_block(const PlanView& view) {
    const auto [at, is_new] = blocks_.try_emplace(view.block);
    Block& block = at->second;
    if (!is_in_rows(view)) return false;
    if (is_new) block = {rows_of(view), view.strides[kRowAxis], element_bytes(view), false};
    return block.rows == rows_of(view) && block.row == view.strides[kRowAxis] &&
           block.bytes == element_bytes(view);
  }

  bool look_at_blocks() {
    for (size_t i = 0; i < parts_.steps; ++i) {
      StepKind kind = plan_.steps[i].kind;
      bool comes_apart = true;
      const auto step = row_step(plan_, kind, [&](const ViewId& id, ImageUse use) {
        const PlanView& view = view_of(plan_, id);
        const bool is_read_apart = use != ImageUse::kOutput && !is_arena(view.block);
        if (view.shape.size() < 3 || view.shape[0] != 1)
          comes_apart = false;
        else if (!is_read_apart)
          comes_apart = comes_apart && note_block(view);
      });
      if (!step || !comes_apart) return false;
    }
    // The rest of the plan keeps what it reads; nothing else of it may be written here.
    for (size_t i = parts_.steps; i < plan_.steps.size(); ++i) {
      const StepViews views = views_of(plan_.steps[i]);
      for (const std::vector<ViewId>* ids : {&views.reads, &views.writes})
        for (const ViewId id : *ids)
          if (const auto at = blocks_.find(view_of(plan_, id).block); at != blocks_.end()) {
            if (ids == &views.writes) return false;
            at->second.is_kept = true;
          }
    }
    bool any = false;
    for (auto& [id, block] : blocks_) {
      block.is_kept = block.is_kept || !is_arena(id);
      if (block.is_kept && block.rows < parts_.count) return false;
      any = any || block.is_kept;
    }
    return any;
  }

  Rows share_of(const Block& block, int64_t part) const {
    return {part * block.rows / parts_.count, (part + 1) * block.rows / parts_.count};
  }

  // Rows of an input that those of the output take.
  static Rows read_by(const RowWindow& w, const Rows& out, int64_t size) {
    return {std::clamp<int64_t>(out.begin * w.stride - w.pad, 0, size - 1),
            std::clamp<int64_t>((out.end - 1) * w.stride - w.pad + (w.kernel - 1) * w.dilation + 1,
                                1, size)};
  }

  static void widen(std::map<int32_t, Rows>& needed, int32_t block, const Rows& rows) {
    const auto [at, is_new] = needed.try_emplace(block, rows);
    if (is_new) return;
    at->second.begin = std::min(at->second.begin, rows.begin);
    at->second.end = std::max(at->second.end, rows.end);
  }

  // By block, what this part makes of it.
  std::map<int32_t, Rows> needed_by(int64_t part) const {
    std::map<int32_t, Rows> needed;
    for (const auto& [id, block] : blocks_)
      if (block.is_kept) needed[id] = share_of(block, part);
    for (size_t i = parts_.steps; i-- > 0;) {
      StepKind kind = plan_.steps[i].kind;
      std::vector<std::pair<ViewId, ImageUse>> uses;
      const auto step = row_step(plan_, kind, [&](const ViewId& id, ImageUse use) {
        uses.emplace_back(id, use);
      });
      const int32_t output = view_of(plan_, uses.back().first).block;
      const auto made = needed.find(output);
      if (made == needed.end()) continue;  // nobody reads it
      const Rows rows = made->second;
      for (const auto& [id, use] : uses) {
        const PlanView& view = view_of(plan_, id);
        if (use == ImageUse::kOutput || !blocks_.contains(view.block)) continue;
        widen(needed, view.block,
              use == ImageUse::kSame ? rows : read_by(step->window, rows, rows_of(view)));
      }
    }
    return needed;
  }

  // The block's rows of this part: a block of its own, but for what is kept.
  int32_t part_block(int32_t id, const Rows& rows, std::map<int32_t, int32_t>& own) {
    const Block& block = blocks_.at(id);
    if (block.is_kept) return id;
    const auto [at, is_new] = own.try_emplace(id, static_cast<int32_t>(made_.blocks.size()));
    if (is_new)
      made_.blocks.push_back(
          {BlockPlace::kArena, (rows.end - rows.begin) * block.row * block.bytes, 0});
    return at->second;
  }

  void add_part(int64_t part) {
    const std::map<int32_t, Rows> needed = needed_by(part);
    std::map<int32_t, int32_t> own;
    for (size_t i = 0; i < parts_.steps; ++i) {
      PlanStep step = plan_.steps[i];
      std::vector<std::pair<ViewId*, ImageUse>> uses;
      const auto rows_step = row_step(plan_, step.kind, [&](ViewId& id, ImageUse use) {
        uses.emplace_back(&id, use);
      });
      const auto made = needed.find(view_of(plan_, *uses.back().first).block);
      if (made == needed.end()) continue;
      const Rows rows = made->second;
      for (const auto& [id, use] : uses) {
        PlanView view = view_of(plan_, *id);
        Rows read = rows;
        if (use == ImageUse::kWindow) {
          const RowWindow& w = rows_step->window;
          read = read_by(w, rows, rows_of(view));
          if (rows_step->set_pad) rows_step->set_pad(read.begin + w.pad - rows.begin * w.stride);
        }
        int64_t first = 0;  // row of the block where this part's begin
        if (blocks_.contains(view.block)) {
          const int32_t block = view.block;
          view.block = part_block(block, needed.at(block), own);
          if (view.block != block) first = needed.at(block).begin;
        }
        view.offset += (read.begin - first) * view.strides[kRowAxis];
        view.shape[kRowAxis] = read.end - read.begin;
        id->index = static_cast<int32_t>(made_.views.size());
        made_.views.push_back(std::move(view));
      }
      made_.steps.push_back(std::move(step));
    }
  }

  const NativePlan& plan_;
  const Parts parts_;
  NativePlan made_;
  std::map<int32_t, Block> blocks_;  // that the first steps write
};

}  // namespace

std::optional<NativePlan> in_parts(const NativePlan& plan, const Parts& parts) {
  return Divider(plan, parts).run();
}

int64_t plan_macs(const NativePlan& plan) {
  int64_t macs = 0;
  const auto add = [&](const auto& step) {
    const Shape& weights = view_of(plan, step.weights).shape;  // the first axis: output channels
    macs += element_count(view_of(plan, step.output).shape) * element_count(weights) /
            std::max<int64_t>(1, weights[0]);
  };
  for (const PlanStep& step : plan.steps) {
    if (const auto* s = std::get_if<ProductStep>(&step.kind)) add(*s);
    if (const auto* s = std::get_if<DepthwiseStep>(&step.kind)) add(*s);
    if (const auto* s = std::get_if<FloatConvStep>(&step.kind)) add(*s);
  }
  return macs;
}

}  // namespace lathe

// Tensors that share memory: what is written in place to one is seen by the others.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/error.h"
#include "torchscript/read/executor.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

constexpr std::array<std::string_view, 27> kViews = {
    "aten::select",           "aten::slice",     "aten::narrow",       "aten::unsqueeze",
    "aten::squeeze",          "aten::view",      "aten::view_as",      "aten::permute",
    "aten::transpose",        "aten::t",         "aten::detach",       "aten::alias",
    "aten::expand",           "aten::expand_as", "aten::chunk",        "aten::split",
    "aten::split_with_sizes", "aten::unbind",    "aten::tensor_split", "aten::movedim",
    "aten::swapaxes",         "aten::swapdims",  "aten::numpy_T",      "aten::unfold",
    "aten::diagonal",         "aten::unflatten", "aten::unsafe_chunk"};
constexpr std::array<std::string_view, 5> kMaybeViews = {
    "aten::reshape", "aten::contiguous", "aten::flatten", "aten::reshape_as", "aten::ravel"};

constexpr int64_t kEnd = INT64_MAX;

ValueId as_vector(AtenCall& call, ValueId number) {
  return call.emit(OpKind::kReshape, {number, call.ints_value({1})});
}

ValueId sliced(AtenCall& call, ValueId from, ValueId start, ValueId end, size_t axis) {
  return call.emit(OpKind::kSlice,
                   {from, as_vector(call, start), as_vector(call, end),
                    call.ints_value({static_cast<int64_t>(axis)}), call.ints_value({1})});
}

// `base` with its elements from `start` (never negative, at most the size) on replaced by
// `content`, which has the rank of `base`.
ValueId replaced(AtenCall& call, ValueId base, ValueId content, ValueId start, size_t axis) {
  const ValueId size = call.size_value(base, axis);
  const ValueId length = call.size_value(content, axis);
  const Element first = call.builder.element(start);
  const Element whole = call.builder.element(size);
  const Element part = call.builder.element(length);
  if (first.number == 0 && whole.number && whole == part) return content;
  const ValueId end = call.emit(OpKind::kAdd, {start, length});
  std::vector<ValueId> parts;
  if (first.number != 0) parts.push_back(sliced(call, base, call.int_value(0), start, axis));
  parts.push_back(content);
  if (!(first.number && whole.number && part.number &&
        *first.number + *part.number == *whole.number))
    parts.push_back(sliced(call, base, end, call.int_value(kEnd), axis));
  Attributes attributes;
  attributes.set("axis", static_cast<int64_t>(axis));
  return call.emit(OpKind::kConcat, std::move(parts), std::move(attributes));
}

// An index or start as TorchScript means it: negative ones count from the end, and a start is
// brought into the range.
ValueId counted_from_front(AtenCall& call, const AbstractValue& index, ValueId base, size_t axis) {
  const AbstractValue size = call.size_number(base, axis);
  if (index.is_known_number() && size.is_known_number()) {
    const int64_t place = index.integer < 0 ? index.integer + size.integer : index.integer;
    return call.int_value(std::clamp<int64_t>(place, 0, size.integer));
  }
  const ValueId given = index.cell ? call.builder.use(*index.cell) : call.int_value(index.integer);
  const ValueId whole = size.cell ? call.builder.use(*size.cell) : call.int_value(size.integer);
  const ValueId zero = call.int_value(0);
  const ValueId negative = call.emit(OpKind::kLess, {given, zero});
  const ValueId added = call.emit(OpKind::kAdd, {given, whole});
  const ValueId place = call.emit(OpKind::kWhere, {negative, added, given});
  return call.emit(OpKind::kMin, {call.emit(OpKind::kMax, {place, zero}), whole});
}

ValueId inverse_permuted(AtenCall& call, ValueId content, const std::vector<int64_t>& order) {
  std::vector<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    inverse[call.normal_axis(order[i], order.size())] = static_cast<int64_t>(i);
  Attributes attributes;
  attributes.set("perm", inverse);
  return call.emit(OpKind::kTranspose, {content}, std::move(attributes));
}

// What `base` holds after `content` was written to the view that `call` describes.
ValueId written_through(AtenCall& call, ValueId base, ValueId content) {
  const std::string_view kind = call.node.kind;
  const size_t rank = call.rank_of(base);
  if (kind == "aten::detach" || kind == "aten::alias") return content;
  if (kind == "aten::select") {
    const size_t axis = call.axis(1, rank);
    const ValueId wide =
        call.emit(OpKind::kUnsqueeze, {content, call.ints_value({static_cast<int64_t>(axis)})});
    return replaced(call, base, wide, counted_from_front(call, call.arg(2), base, axis), axis);
  }
  if (kind == "aten::slice" || kind == "aten::narrow") {
    const size_t axis = call.axis(1, rank);
    if (kind == "aten::slice" && call.int_or(4, 1) != 1)
      call.refuse("writing in place to every other element of a tensor");
    const AbstractValue start = call.is_none(2) ? AbstractValue::of_int(0) : call.arg(2);
    return replaced(call, base, content, counted_from_front(call, start, base, axis), axis);
  }
  if (kind == "aten::unsqueeze" || kind == "aten::squeeze" || kind == "aten::view" ||
      kind == "aten::view_as" || kind == "aten::unflatten")
    return call.emit(OpKind::kReshape, {content, call.emit(OpKind::kShape, {base})});
  if (kind == "aten::permute") return inverse_permuted(call, content, call.ints(1));
  if (kind == "aten::transpose" || kind == "aten::t") {
    std::vector<int64_t> order(rank);
    for (size_t i = 0; i < rank; ++i) order[i] = static_cast<int64_t>(i);
    if (kind == "aten::t" && rank == 2) std::swap(order[0], order[1]);
    if (kind == "aten::transpose") std::swap(order[call.axis(1, rank)], order[call.axis(2, rank)]);
    return inverse_permuted(call, content, order);
  }
  call.refuse("writing in place to this kind of view");
}

}  // namespace

Sharing sharing_of(std::string_view kind) {
  if (std::ranges::find(kViews, kind) != kViews.end()) return Sharing::kYes;
  if (std::ranges::find(kMaybeViews, kind) != kMaybeViews.end()) return Sharing::kMaybe;
  return Sharing::kNo;
}

void Executor::attach_view(const TorchNode& node, const std::vector<AbstractValue>& inputs,
                           size_t output, const AbstractValue& made) {
  if (!inputs[0].is(Kind::kTensor)) return;
  if (made.items) {
    // Parts of a tensor: writing to one and reading the whole is refused.
    for (const AbstractValue& item : made.items->items) {
      if (!item.cell || item.cell == inputs[0].cell) continue;
      item.cell->view = std::make_shared<TensorView>(
          TensorView{inputs[0].cell, inputs[0].cell->version, false, &node, inputs, output});
    }
    return;
  }
  if (!made.is(Kind::kTensor) || made.cell == inputs[0].cell || made.cell->view) return;
  made.cell->view = std::make_shared<TensorView>(TensorView{inputs[0].cell, inputs[0].cell->version,
                                                            sharing_of(node.kind) == Sharing::kYes,
                                                            &node, inputs, output});
}

void Executor::refresh(const AbstractValue& read, const TorchNode& reader) {
  if (read.items)
    for (const AbstractValue& item : read.items->items) {
      spend(reader);
      refresh(item, reader);
    }
  if (!read.cell) return;
  const std::shared_ptr<TensorCell>& cell = read.cell;
  if (!cell->unsure_since.empty())
    refuse(reader,
           fmt::format("reads a tensor that may share memory with one written in place at {}",
                       cell->unsure_since));
  if (!cell->view) return;
  const TensorView view = *cell->view;
  AbstractValue base;
  base.kind = Kind::kTensor;
  base.cell = view.base;
  if (view.base->version == view.base_version && !view.base->view &&
      view.base->unsure_since.empty())
    return;
  refresh(base, reader);
  if (view.base->version == view.base_version) return;
  if (!view.certain || view.node == nullptr || view.base->reshaped > view.base_version)
    refuse(reader, "reads a tensor that may share memory with one written in place");
  const ConvertAten convert =
      find_aten_op(sharing_of(view.node->kind) == Sharing::kNo
                       ? view.node->kind.substr(0, view.node->kind.size() - 1)
                       : view.node->kind);
  AtenCall again = call(*view.node, view.inputs);
  const std::vector<AbstractValue> made = convert(again);
  journal.record(cell);
  const TensorCell& content = *made.at(view.output).cell;
  cell->constant = content.constant;
  cell->scope = content.scope;
  cell->value = content.value;
  ++cell->version;
  cell->view = std::make_shared<TensorView>(view);
  cell->view->base_version = view.base->version;
}

void Executor::write(const AbstractValue& target, ValueId content, const TorchNode& node) {
  const std::shared_ptr<TensorCell> cell = target.cell;
  refresh(target, node);
  AtenCall op = call(node, {target});
  content = op.cast(content, op.dtype(0));
  const std::optional<Dims> before = builder.type(op.tensor(0)).dims;
  const std::optional<Dims> after = builder.type(content).dims;
  if (before && after && before->size() != after->size())
    refuse(node, "the value written in place has another shape");
  journal.record(cell);
  if (cell->view) {
    const TensorView view = *cell->view;
    AbstractValue base;
    base.kind = Kind::kTensor;
    base.cell = view.base;
    if (view.certain && view.node != nullptr) {
      refresh(base, node);
      AtenCall through = call(*view.node, view.inputs);
      const ValueId whole = written_through(through, builder.use(*view.base), content);
      write(base, whole, node);
      cell->view = std::make_shared<TensorView>(view);
      cell->view->base_version = view.base->version;
    } else {
      // From here on the two are separate: reading or writing the base is refused.
      cell->view = nullptr;
      const std::string place = escape_untrusted(node.source.empty() ? node.kind : node.source);
      for (std::shared_ptr<TensorCell> at = view.base; at;
           at = at->view ? at->view->base : nullptr) {
        journal.record(at);
        ++at->version;
        at->unsure_since = place;
      }
    }
  }
  cell->constant.reset();
  cell->scope = builder.scope();
  cell->value = content;
  ++cell->version;
}

}  // namespace lathe

// Lists, tuples, dicts and strings, which are known while the code is executed: only the tensors
// and numbers in them may be left to a run.

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "torchscript/read/executor.h"
#include "torchscript/read/scalar_math.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// Lists that double themselves in a loop must not fill the memory.
constexpr size_t kMaxElements = 1'000'000;

// A list op gets the executor too: it may change the list in place.
struct StructureCall {
  Executor& executor;
  const TorchNode& node;
  Results& inputs;

  AtenCall op() const { return executor.call(node, inputs); }
  [[noreturn]] void refuse(const std::string& message) const { executor.refuse(node, message); }
  const AbstractValue& arg(size_t i) const {
    if (i >= inputs.size()) refuse("has too few arguments");
    return inputs[i];
  }
  Results& items(size_t i) const {
    if (!arg(i).items) refuse("its argument is no list, tuple or dict");
    return arg(i).items->items;
  }
  Results& changed(size_t i) const {
    items(i);
    executor.journal.record(inputs[i].items);
    return inputs[i].items->items;
  }
  int64_t index(size_t i, size_t size) const {
    const int64_t given = op().int_of(i);
    const auto count = static_cast<int64_t>(size);
    if (given < -count || given >= count)
      refuse(fmt::format("index {} of {} elements", given, size));
    return given < 0 ? given + count : given;
  }
  // Position of the key of a dict, -1 when it is not there.
  int64_t find_key(const Results& pairs, const AbstractValue& key) const {
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
      const auto equal = known_equal(pairs[i], key);
      if (!equal) refuse("a key that only a run can tell");
      if (*equal) return static_cast<int64_t>(i);
    }
    return -1;
  }
};

Results same_items(const StructureCall& call, Kind kind) {
  return {AbstractValue::of_items(kind, call.inputs)};
}
Results tuple_construct(StructureCall& call) { return same_items(call, Kind::kTuple); }
Results list_construct(StructureCall& call) { return same_items(call, Kind::kList); }
Results dict_construct(StructureCall& call) { return same_items(call, Kind::kDict); }

Results unpack(StructureCall& call) {
  if (call.items(0).size() != call.node.outputs.size())
    call.refuse(fmt::format("{} elements where {} are unpacked", call.items(0).size(),
                            call.node.outputs.size()));
  return call.items(0);
}

Results get_item(StructureCall& call) {
  const AbstractValue& from = call.arg(0);
  if (from.is(Kind::kString)) {
    const int64_t at = call.index(1, from.text.size());
    return {AbstractValue::of_string(from.text.substr(static_cast<size_t>(at), 1))};
  }
  if (from.is(Kind::kDict)) {
    const int64_t at = call.find_key(call.items(0), call.arg(1));
    if (at < 0) call.refuse("the key is not in the dict");
    return {call.items(0)[static_cast<size_t>(at) + 1]};
  }
  return {call.items(0)[static_cast<size_t>(call.index(1, call.items(0).size()))]};
}

Results set_item(StructureCall& call) {
  if (call.arg(0).is(Kind::kDict)) {
    const int64_t at = call.find_key(call.items(0), call.arg(1));
    Results& pairs = call.changed(0);
    if (at >= 0) {
      pairs[static_cast<size_t>(at) + 1] = call.arg(2);
    } else {
      pairs.push_back(call.arg(1));
      pairs.push_back(call.arg(2));
    }
    return {call.arg(0)};
  }
  const int64_t at = call.index(1, call.items(0).size());
  call.changed(0)[static_cast<size_t>(at)] = call.arg(2);
  return {call.arg(0)};
}

Results append(StructureCall& call) {
  call.changed(0).push_back(call.arg(1));
  return {call.arg(0)};
}

Results insert(StructureCall& call) {
  Results& list = call.changed(0);
  const auto count = static_cast<int64_t>(list.size());
  int64_t at = call.op().int_of(1);
  at = std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
  list.insert(list.begin() + at, call.arg(2));
  return {call.arg(0)};
}

Results pop(StructureCall& call) {
  Results& list = call.changed(0);
  if (call.arg(0).is(Kind::kDict)) {
    const int64_t at = call.find_key(list, call.arg(1));
    if (at < 0) call.refuse("the key is not in the dict");
    AbstractValue held = list[static_cast<size_t>(at) + 1];
    list.erase(list.begin() + at, list.begin() + at + 2);
    return {std::move(held)};
  }
  const int64_t at =
      call.inputs.size() > 1 ? call.index(1, list.size()) : static_cast<int64_t>(list.size()) - 1;
  if (at < 0) call.refuse("pops from an empty list");
  AbstractValue held = list[static_cast<size_t>(at)];
  list.erase(list.begin() + at);
  return {std::move(held)};
}

Results clear(StructureCall& call) {
  call.changed(0).clear();
  return {call.arg(0)};
}

Results extend(StructureCall& call) {
  const Results more = call.items(1);
  Results& list = call.changed(0);
  list.insert(list.end(), more.begin(), more.end());
  return {call.arg(0)};
}

Results reverse(StructureCall& call) {
  std::ranges::reverse(call.changed(0));
  return {call.arg(0)};
}

Results copy_list(StructureCall& call) {
  if (call.arg(0).is(Kind::kString)) {
    Results letters;
    for (const char letter : call.arg(0).text)
      letters.push_back(AbstractValue::of_string(std::string(1, letter)));
    return {AbstractValue::of_items(Kind::kList, std::move(letters))};
  }
  return {AbstractValue::of_items(call.arg(0).is(Kind::kDict) ? Kind::kDict : Kind::kList,
                                  call.items(0))};
}

Results dict_parts(StructureCall& call) {
  const Results& pairs = call.items(0);
  Results parts;
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    if (call.node.kind == "aten::keys")
      parts.push_back(pairs[i]);
    else if (call.node.kind == "aten::values")
      parts.push_back(pairs[i + 1]);
    else
      parts.push_back(AbstractValue::of_items(Kind::kTuple, {pairs[i], pairs[i + 1]}));
  }
  return {AbstractValue::of_items(Kind::kList, std::move(parts))};
}

Results dict_get(StructureCall& call) {
  const int64_t at = call.find_key(call.items(0), call.arg(1));
  if (at >= 0) return {call.items(0)[static_cast<size_t>(at) + 1]};
  return {call.inputs.size() > 2 ? call.arg(2) : AbstractValue::none()};
}

// Is the element in the list: an Or over the elements that only a run can compare.
Results contains(StructureCall& call) {
  if (call.arg(0).is(Kind::kString))
    return {AbstractValue::of_bool(call.arg(0).text.find(call.arg(1).text) != std::string::npos)};
  const bool dict = call.arg(0).is(Kind::kDict);
  const Results& items = call.items(0);
  AbstractValue found = AbstractValue::of_bool(false);
  AtenCall op = call.op();
  for (size_t i = 0; i < items.size(); i += dict ? 2 : 1)
    found = either(op, found, equal_values(op, items[i], call.arg(1)));
  return {std::move(found)};
}

Results length(StructureCall& call) {
  if (call.arg(0).is(Kind::kString))
    return {AbstractValue::of_int(static_cast<int64_t>(call.arg(0).text.size()))};
  const auto count = static_cast<int64_t>(call.items(0).size());
  return {AbstractValue::of_int(call.arg(0).is(Kind::kDict) ? count / 2 : count)};
}

// Python's list[start:end:step]; strings too.
Results slice_list(StructureCall& call) {
  const AtenCall op = call.op();
  const bool text = call.arg(0).is(Kind::kString);
  const auto count = static_cast<int64_t>(text ? call.arg(0).text.size() : call.items(0).size());
  const int64_t step = op.int_or(3, 1);
  if (step == 0) call.refuse("a slice with step 0");
  // Backwards the places go from count - 1 to -1, which stands before the first.
  const int64_t first = step > 0 ? 0 : -1;
  const auto place = [&](size_t i, int64_t otherwise) {
    if (op.is_none(i)) return otherwise;
    const int64_t given = op.int_of(i);
    return std::clamp<int64_t>(given < 0 ? given + count : given, first, count + first);
  };
  const int64_t end = place(2, step > 0 ? count : -1);
  const int64_t stride = std::clamp<int64_t>(step, -count - 1, count + 1);
  Results items;
  std::string letters;
  for (int64_t i = place(1, step > 0 ? 0 : count - 1); step > 0 ? i < end : i > end; i += stride) {
    if (text)
      letters += call.arg(0).text[static_cast<size_t>(i)];
    else
      items.push_back(call.items(0)[static_cast<size_t>(i)]);
  }
  if (text) return {AbstractValue::of_string(std::move(letters))};
  return {AbstractValue::of_items(call.arg(0).is(Kind::kTuple) ? Kind::kTuple : Kind::kList,
                                  std::move(items))};
}

Results joined_lists(StructureCall& call) {
  if (call.arg(0).is(Kind::kString))
    return {AbstractValue::of_string(call.arg(0).text + call.arg(1).text)};
  Results items = call.items(0);
  const Results& more = call.items(1);
  items.insert(items.end(), more.begin(), more.end());
  return {AbstractValue::of_items(call.arg(0).kind, std::move(items))};
}

Results repeated_list(StructureCall& call) {
  const size_t which = call.arg(0).items ? 0 : 1;
  const int64_t times = std::max<int64_t>(call.op().int_of(1 - which), 0);
  const Results& list = call.items(which);
  if (!list.empty() && times > static_cast<int64_t>(kMaxElements / list.size()))
    throw over_limit("torchscript.list", "a list of more than a million elements");
  Results items;
  for (int64_t i = 0; i < times; ++i) items.insert(items.end(), list.begin(), list.end());
  return {AbstractValue::of_items(Kind::kList, std::move(items))};
}

Results compare_lists(StructureCall& call) {
  AtenCall op = call.op();
  AbstractValue equal = equal_values(op, call.arg(0), call.arg(1));
  if (call.node.kind == "aten::ne") equal = negated(op, equal);
  return {std::move(equal)};
}

Results is_same(StructureCall& call) {
  const AbstractValue& a = call.arg(0);
  const AbstractValue& b = call.arg(1);
  const bool none = a.is(Kind::kNone) || b.is(Kind::kNone);
  bool same =
      a.kind == b.kind && (none || (a.cell && a.cell == b.cell) || (a.items && a.items == b.items));
  if (!none && !a.cell && !a.items) same = known_equal(a, b) == true;
  return {AbstractValue::of_bool(same == (call.node.kind == "aten::__is__"))};
}

// Only messages are formatted: what a run decides is written as "?".
Results format(StructureCall& call) {
  if (call.node.kind == "aten::str") return {AbstractValue::of_string(text_of(call.arg(0)))};
  const std::string& pattern = call.arg(0).text;
  std::string text;
  size_t next = 1;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 2, "{}") == 0 && next < call.inputs.size()) {
      text += text_of(call.inputs[next++]);
      ++i;
    } else {
      text += pattern[i];
    }
  }
  return {AbstractValue::of_string(std::move(text))};
}

Results first_argument(StructureCall& call) { return {call.arg(0)}; }

// unchecked_cast and _unwrap_optional do not change the value; a None here is a bug of the code.
Results unwrapped(StructureCall& call) {
  if (call.node.kind == "aten::_unwrap_optional" && call.arg(0).is(Kind::kNone))
    throw CodeRaises{"Unwrapping null optional", call.node.source};
  return {call.arg(0)};
}

Results nothing(StructureCall&) { return {}; }

Results uninitialized(StructureCall&) {
  AbstractValue made;
  made.kind = Kind::kUninitialized;
  return {made};
}

Results sorted_list(StructureCall& call) {
  Results items = call.items(0);
  const AtenCall op = call.op();
  const bool descending = call.inputs.size() > 1 && op.bool_of(1);
  for (const AbstractValue& item : items)
    if (!item.is_known_number()) call.refuse("sorts what only a run can tell");
  std::ranges::stable_sort(items, [&](const AbstractValue& a, const AbstractValue& b) {
    return descending ? b.number() < a.number() : a.number() < b.number();
  });
  if (call.node.kind == "aten::sort") {
    call.changed(0) = items;
    return {call.arg(0)};
  }
  return {AbstractValue::of_items(Kind::kList, std::move(items))};
}

// min, max, sum, any, all of a list of numbers.
Results reduced_list(StructureCall& call) {
  const Results& items = call.items(0);
  AtenCall op = call.op();
  const std::string_view kind = call.node.kind;
  if (items.empty()) {
    if (kind == "aten::sum") return {AbstractValue::of_int(0)};
    if (kind == "aten::any" || kind == "aten::all")
      return {AbstractValue::of_bool(kind == "aten::all")};
    call.refuse("of an empty list");
  }
  AbstractValue total = items[0];
  for (size_t i = 1; i < items.size(); ++i) {
    if (kind == "aten::any")
      total = either(op, total, items[i]);
    else if (kind == "aten::all")
      total = both(op, total, items[i]);
    else if (kind == "aten::sum")
      total = number_binary(op, NumberOp::kAdd, total, items[i]);
    else
      total =
          number_binary(op, kind == "prim::min" ? NumberOp::kMin : NumberOp::kMax, total, items[i]);
  }
  return {std::move(total)};
}

using Convert = Results (*)(StructureCall&);
struct Row {
  std::string_view kind;
  Convert convert;
  // kAny, or only when the first argument is such a structure.
  enum class When : uint8_t { kAny, kItems, kItemsOrString, kSecondItems } when = When::kAny;
};

constexpr auto kItems = Row::When::kItems;
constexpr auto kText = Row::When::kItemsOrString;

constexpr Row kStructureRows[] = {
    {"prim::TupleConstruct", tuple_construct},
    {"prim::ListConstruct", list_construct},
    {"prim::DictConstruct", dict_construct},
    {"prim::TupleUnpack", unpack},
    {"prim::ListUnpack", unpack},
    {"prim::TupleIndex", get_item},
    {"prim::TupleSlice", slice_list},
    {"prim::DictIndex", get_item},
    {"prim::StringIndex", get_item},
    {"prim::Uninitialized", uninitialized},
    {"prim::unchecked_cast", unwrapped},
    {"prim::unchecked_unwrap_optional", unwrapped},
    {"aten::_unwrap_optional", unwrapped},
    {"prim::profile", first_argument},
    {"prim::profile_ivalue", first_argument},
    {"prim::Print", nothing},
    {"aten::warn", nothing},
    {"aten::__is__", is_same},
    {"aten::__isnot__", is_same},
    {"aten::format", format},
    {"aten::str", format},
    {"aten::__getitem__", get_item, kText},
    {"aten::_set_item", set_item, kItems},
    {"aten::append", append, kItems},
    {"aten::insert", insert, kItems},
    {"aten::pop", pop, kItems},
    {"aten::Delete", pop, kItems},
    {"aten::clear", clear, kItems},
    {"aten::extend", extend, kItems},
    {"aten::reverse", reverse, kItems},
    {"aten::list", copy_list, kText},
    {"aten::copy", copy_list, kItems},
    {"aten::dict", copy_list, kItems},
    {"aten::keys", dict_parts, kItems},
    {"aten::values", dict_parts, kItems},
    {"aten::items", dict_parts, kItems},
    {"aten::get", dict_get, kItems},
    {"aten::__contains__", contains, kText},
    {"aten::len", length, kText},
    {"aten::slice", slice_list, kText},
    {"aten::add", joined_lists, kText},
    {"aten::mul", repeated_list, kItems},
    {"aten::mul", repeated_list, Row::When::kSecondItems},
    {"aten::eq", compare_lists, kText},
    {"aten::ne", compare_lists, kText},
    {"aten::sort", sorted_list, kItems},
    {"aten::sorted", sorted_list, kItems},
    {"prim::min", reduced_list, kItems},
    {"prim::max", reduced_list, kItems},
    {"aten::sum", reduced_list, kItems},
    {"aten::any", reduced_list, kItems},
    {"aten::all", reduced_list, kItems},
};

bool applies(const Row& row, const Results& inputs) {
  const bool items = !inputs.empty() && inputs[0].items != nullptr;
  switch (row.when) {
    case Row::When::kAny: return true;
    case Row::When::kItems: return items;
    case Row::When::kItemsOrString:
      return items || (!inputs.empty() && inputs[0].is(Kind::kString));
    case Row::When::kSecondItems: return inputs.size() > 1 && inputs[1].items != nullptr;
  }
  return false;
}

}  // namespace

std::optional<Results> run_structure_op(Executor& executor, const TorchNode& node,
                                        Results& inputs) {
  StructureCall call{executor, node, inputs};
  for (const Row& row : kStructureRows) {
    if (row.kind != node.kind || !applies(row, inputs)) continue;
    Results made = row.convert(call);
    for (const Results* values : {&made, &inputs})
      for (const AbstractValue& value : *values)
        if (value.text.size() > kMaxElements ||
            (value.items && value.items->items.size() > kMaxElements))
          throw over_limit("torchscript.list", "a list or string of more than a million elements",
                           escape_untrusted(node.source, 400));
    return made;
  }
  return std::nullopt;
}

}  // namespace lathe

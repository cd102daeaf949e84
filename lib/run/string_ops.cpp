#include "run/string_ops.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "ops/op_row.h"
#include "run/node_call.h"
#include "run/string_numbers.h"

namespace lathe {
namespace {

using Values = std::vector<RuntimeValue>;
using Inputs = std::span<const RuntimeValue>;
using Strings = std::vector<std::string>;

constexpr auto kHeldBytes = static_cast<int64_t>(sizeof(std::string));

bool is_strings(const RuntimeValue& value) { return value.kind == RuntimeValue::Kind::kStrings; }

const Tensor& strings_at(Inputs inputs, size_t i) {
  if (i >= inputs.size() || !is_strings(inputs[i]))
    throw bad_input("run.not_strings", fmt::format("input {} must be a string tensor", i));
  return inputs[i].strings;
}

Error too_much() {
  return over_limit("limit.memory", fmt::format("the strings of one result need more than {} bytes",
                                                kMaxStringBytes));
}

// The strings of a result, counted while they are made.
class Collected {
 public:
  void add(std::string text) {
    bytes_ += kHeldBytes + static_cast<int64_t>(text.size());
    if (bytes_ > kMaxStringBytes) throw too_much();
    strings_.push_back(std::move(text));
  }
  RuntimeValue take(Shape shape) {
    return to_runtime(Tensor::from_strings(std::move(shape), std::move(strings_)));
  }

 private:
  int64_t bytes_ = 0;
  Strings strings_;
};

// Positions of the elements in the tensor's shape, counted from `start`: what ATen moves about in
// place of strings.
at::Tensor positions(const Tensor& strings, int64_t start = 0) {
  return at::arange(start, start + strings.numel(), at::kLong).reshape(strings.shape());
}

// A broadcast view can have any number of elements.
at::Tensor laid_out(const at::Tensor& places) {
  if (places.numel() > kMaxStringBytes / kHeldBytes) throw too_much();
  return places.to(at::kLong).contiguous();
}

std::vector<at::Tensor> broadcast(const Tensor& a, const Tensor& b) {
  std::vector<at::Tensor> both = at::broadcast_tensors({positions(a), positions(b)});
  for (at::Tensor& places : both) places = laid_out(places);
  return both;
}

std::string in_case(std::string text, bool upper) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool latin = i > 0 && static_cast<unsigned char>(text[i - 1]) == 0xC3;
    const int small = byte | 0x20;
    const bool letter =
        latin ? small >= 0xA0 && small <= 0xBE && small != 0xB7 : small >= 'a' && small <= 'z';
    if (letter) text[i] = static_cast<char>(upper ? small & ~0x20 : small);
  }
  return text;
}

Values string_normalizer(const Node& node, Inputs inputs) {
  const Tensor& x = strings_at(inputs, 0);
  const std::string action = node.attributes.string_or("case_change_action", "NONE");
  if (action != "NONE" && action != "LOWER" && action != "UPPER")
    throw bad_input("node.attribute", "case_change_action must be LOWER, UPPER or NONE");
  const bool two_dims = x.rank() == 2 && x.shape()[0] == 1;
  if (x.rank() != 1 && !two_dims)
    throw bad_input("run.shape", fmt::format("StringNormalizer needs a shape of C or 1xC, not {}",
                                             shape_text(x.shape())));
  const bool exact = node.attributes.int_or("is_case_sensitive", 0) != 0;
  const auto key = [&](const std::string& text) { return exact ? text : in_case(text, false); };
  Strings stopwords = node.attributes.strings_or("stopwords", {});
  for (std::string& word : stopwords) word = key(word);
  std::sort(stopwords.begin(), stopwords.end());
  Collected kept;
  int64_t count = 0;
  const auto keep = [&](std::string text) {
    kept.add(std::move(text));
    ++count;
  };
  for (const std::string& text : x.strings())
    if (!std::binary_search(stopwords.begin(), stopwords.end(), key(text)))
      keep(action == "NONE" ? text : in_case(text, action == "UPPER"));
  if (count == 0) keep("");
  return {kept.take(two_dims ? Shape{1, count} : Shape{count})};
}

Values string_concat(const Node&, Inputs inputs) {
  const Tensor& a = strings_at(inputs, 0);
  const Tensor& b = strings_at(inputs, 1);
  const std::vector<at::Tensor> places = broadcast(a, b);
  Collected joined;
  for (int64_t i = 0; i < places[0].numel(); ++i)
    joined.add(a.strings()[static_cast<size_t>(places[0].data_ptr<int64_t>()[i])] +
               b.strings()[static_cast<size_t>(places[1].data_ptr<int64_t>()[i])]);
  return {joined.take(places[0].sizes().vec())};
}

// As Python's str.split: without a delimiter runs of white space separate, and empty parts do not
// exist; the last part of a limited split keeps the white space behind it.
Strings split(std::string_view text, std::string_view delimiter, int64_t limit) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const bool words = delimiter.empty();
  const auto skip_spaces = [&] {
    if (words) text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  };
  Strings parts;
  skip_spaces();
  if (words && text.empty()) return parts;
  for (int64_t splits = 0; limit < 0 || splits < limit; ++splits) {
    const size_t end = words ? text.find_first_of(kSpaces) : text.find(delimiter);
    if (end == text.npos) break;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end + (words ? 1 : delimiter.size()));
    skip_spaces();
    if (words && text.empty()) return parts;
  }
  parts.emplace_back(text);
  return parts;
}

Values string_split(const Node& node, Inputs inputs) {
  const Tensor& x = strings_at(inputs, 0);
  const std::string delimiter = node.attributes.string_or("delimiter", "");
  const int64_t limit = node.attributes.int_or("maxsplit", -1);
  at::Tensor lengths = at::empty(x.shape(), at::kLong);
  size_t longest = 0;
  std::vector<Strings> rows;
  for (const std::string& text : x.strings()) {
    rows.push_back(split(text, delimiter, limit));
    lengths.data_ptr<int64_t>()[rows.size() - 1] = static_cast<int64_t>(rows.back().size());
    longest = std::max(longest, rows.back().size());
  }
  Collected parts;
  for (Strings& row : rows) {
    for (size_t i = 0; i < longest; ++i) parts.add(i < row.size() ? std::move(row[i]) : "");
  }
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(longest));
  return {parts.take(std::move(shape)), {std::move(lengths), DType::kInt64}};
}

Values equal(const Node&, Inputs inputs) {
  const Tensor& a = strings_at(inputs, 0);
  const Tensor& b = strings_at(inputs, 1);
  const std::vector<at::Tensor> places = broadcast(a, b);
  at::Tensor same = at::empty(places[0].sizes(), at::kBool);
  for (int64_t i = 0; i < same.numel(); ++i)
    same.data_ptr<bool>()[i] = a.strings()[static_cast<size_t>(places[0].data_ptr<int64_t>()[i])] ==
                               b.strings()[static_cast<size_t>(places[1].data_ptr<int64_t>()[i])];
  return {{std::move(same), DType::kBool}};
}

Values cast(const Node& node, Inputs inputs) {
  std::vector<DType> dtypes;
  for (const RuntimeValue& input : inputs) dtypes.push_back(input.dtype);
  const DType target = op_row(node.kind).type(node, dtypes, 0);
  const bool given = is_strings(inputs[0]);
  if (target == DType::kString) {
    if (!given && !inputs[0].is_tensor())
      throw bad_input("run.not_a_tensor", "a tensor is needed here");
    return {given ? inputs[0] : numbers_to_strings(inputs[0])};
  }
  Values numbers{inputs.begin(), inputs.end()};
  numbers[0] = strings_to_numbers(strings_at(inputs, 0), target);
  return call_op(node, numbers);
}

struct MoveRow {
  OpKind kind;
  size_t first, last;  // the inputs whose elements are moved
};

constexpr MoveRow kMoves[] = {
    {OpKind::kCompress, 0, 0},  {OpKind::kConcat, 0, SIZE_MAX}, {OpKind::kExpand, 0, 0},
    {OpKind::kFlatten, 0, 0},   {OpKind::kGather, 0, 0},        {OpKind::kGatherElements, 0, 0},
    {OpKind::kGatherND, 0, 0},  {OpKind::kReshape, 0, 0},       {OpKind::kShape, 0, 0},
    {OpKind::kSize, 0, 0},      {OpKind::kSlice, 0, 0},         {OpKind::kSplit, 0, 0},
    {OpKind::kSqueeze, 0, 0},   {OpKind::kTile, 0, 0},          {OpKind::kTranspose, 0, 0},
    {OpKind::kUnsqueeze, 0, 0}, {OpKind::kWhere, 1, 2},
};

// Runs the op on the elements' positions, then looks the strings up.
Values move_elements(const Node& node, Inputs inputs, const MoveRow& row) {
  Values moved(inputs.begin(), inputs.end());
  std::vector<const std::string*> pool;
  for (size_t i = row.first; i <= row.last && i < inputs.size(); ++i) {
    const Tensor& strings = strings_at(inputs, i);
    moved[i] = {positions(strings, static_cast<int64_t>(pool.size())), DType::kInt64};
    for (const std::string& text : strings.strings()) pool.push_back(&text);
  }
  Values results = call_op(node, moved);
  if (node.kind == OpKind::kShape || node.kind == OpKind::kSize) return results;
  for (RuntimeValue& result : results) {
    if (!result.is_tensor()) continue;
    const at::Tensor places = laid_out(result.tensor);
    Collected found;
    for (int64_t i = 0; i < places.numel(); ++i)
      found.add(*pool.at(static_cast<size_t>(places.data_ptr<int64_t>()[i])));
    result = found.take(places.sizes().vec());
  }
  return results;
}

}  // namespace

bool is_string_op(OpKind kind) {
  return kind == OpKind::kStringNormalizer || kind == OpKind::kStringConcat ||
         kind == OpKind::kStringSplit;
}

std::optional<Values> call_string_op(const Node& node, Inputs inputs) {
  switch (node.kind) {
    case OpKind::kStringNormalizer: return string_normalizer(node, inputs);
    case OpKind::kStringConcat: return string_concat(node, inputs);
    case OpKind::kStringSplit: return string_split(node, inputs);
    case OpKind::kCast:
      if (node.attributes.int_or("to", 0) == static_cast<int64_t>(DType::kString))
        return cast(node, inputs);
      break;
    default: break;
  }
  if (std::none_of(inputs.begin(), inputs.end(), is_strings)) return std::nullopt;
  switch (node.kind) {
    case OpKind::kCast:
    case OpKind::kCastLike: return cast(node, inputs);
    case OpKind::kEqual: return equal(node, inputs);
    default: break;
  }
  for (const MoveRow& row : kMoves)
    if (row.kind == node.kind) return move_elements(node, inputs, row);
  return std::nullopt;
}

}  // namespace lathe

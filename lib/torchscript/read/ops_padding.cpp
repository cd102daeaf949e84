// pad and its kin, im2col and col2im.
#include <limits>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

// PyTorch's pads: before and after the last axis, then the one before it, … As numbers by axis.
struct Pads {
  std::vector<AbstractValue> before, after;
};

Pads read_pads(AtenCall& call, size_t argument, size_t rank) {
  const auto items = call.items(argument);
  call.require(items.size() % 2 == 0 && items.size() / 2 <= rank,
               "pads must come in pairs, one per dimension at most");
  Pads pads{std::vector<AbstractValue>(rank, AbstractValue::of_int(0)),
            std::vector<AbstractValue>(rank, AbstractValue::of_int(0))};
  for (size_t i = 0; i < items.size() / 2; ++i) {
    pads.before[rank - 1 - i] = items[2 * i];
    pads.after[rank - 1 - i] = items[2 * i + 1];
  }
  return pads;
}

ValueId padded(AtenCall& call, const Pads& pads, const std::string& mode, ValueId fill = {}) {
  std::vector<AbstractValue> all = pads.before;
  all.insert(all.end(), pads.after.begin(), pads.after.end());
  std::vector<ValueId> operands = {call.tensor(0), sizes_vector(call, all)};
  if (fill.valid()) operands.push_back(fill);
  return call.emit(OpKind::kPad, std::move(operands), attributes_of({{"mode", mode}}));
}

// Written out with Slice and Concat: ONNX wraps only from opset 19 on.
ValueId wrapped(AtenCall& call, const Pads& pads) {
  ValueId x = call.tensor(0);
  constexpr int64_t kToEnd = std::numeric_limits<int64_t>::max();
  for (size_t axis = 0; axis < pads.before.size(); ++axis) {
    call.require(pads.before[axis].is_known_number() && pads.after[axis].is_known_number(),
                 "circular pads must be known before a run");
    const int64_t before = pads.before[axis].integer;
    const int64_t after = pads.after[axis].integer;
    call.require(before >= 0 && after >= 0, "negative circular pads");
    const auto along = static_cast<int64_t>(axis);
    std::vector<ValueId> parts;
    if (before > 0) parts.push_back(slice(call, x, along, -before, kToEnd));
    parts.push_back(x);
    if (after > 0) parts.push_back(slice(call, x, along, 0, after));
    x = concat(call, std::move(parts), along);
  }
  return x;
}

// (self, pad, mode, value)
Results pad(AtenCall& call) {
  const std::string mode = call.is_none(2) ? "constant" : call.string_of(2);
  const Pads pads = read_pads(call, 1, call.rank(0));
  const DType dtype = call.dtype(0);
  if (mode == "constant")
    return call.one(padded(call, pads, "constant",
                           call.is_none(3) ? call.number_value(0, dtype) : call.scalar(3, dtype)));
  if (mode == "reflect") return call.one(padded(call, pads, "reflect"));
  if (mode == "replicate") return call.one(padded(call, pads, "edge"));
  call.require(mode == "circular", "unknown mode");
  return call.one(wrapped(call, pads));
}

// (self, pad, value)
Results constant_pad(AtenCall& call) {
  const DType dtype = call.dtype(0);
  return call.one(padded(call, read_pads(call, 1, call.rank(0)), "constant",
                         call.is_none(2) ? call.number_value(0, dtype) : call.scalar(2, dtype)));
}

Results reflection_pad(AtenCall& call) {
  return call.one(padded(call, read_pads(call, 1, call.rank(0)), "reflect"));
}

Results replication_pad(AtenCall& call) {
  return call.one(padded(call, read_pads(call, 1, call.rank(0)), "edge"));
}

// (self, kernel_size, dilation, padding, stride): as a convolution that copies
Results im2col(AtenCall& call) {
  const size_t rank = call.rank(0);
  call.require(rank == 3 || rank == 4, "an image [N, C, H, W] or [C, H, W] is needed");
  const ValueId x = rank == 3 ? unsqueeze(call, call.tensor(0), {0}) : call.tensor(0);
  const auto channels = known_size(call, x, 1);
  if (!channels) call.refuse("the number of channels is not known");
  const std::vector<int64_t> kernel = call.ints_of_size(1, 2);
  const std::vector<int64_t> pads = call.ints_of_size(3, 2);
  const int64_t taps = element_count(kernel);
  constexpr int64_t kMostElements = int64_t{1} << 24;
  call.require(
      taps >= 1 && taps < 4096 && *channels >= 1 && *channels <= kMostElements / (taps * taps),
      "a kernel or number of channels out of range");
  std::vector<float> weight(static_cast<size_t>(*channels * taps * taps), 0);
  for (int64_t i = 0; i < *channels * taps; ++i)
    weight[static_cast<size_t>(i * taps + i % taps)] = 1;
  const ValueId copies = call.cast(
      call.constant_value(Tensor::of({*channels * taps, 1, kernel[0], kernel[1]}, weight)),
      call.dtype_of(x));
  const ValueId columns =
      call.emit(OpKind::kConv, {x, copies},
                attributes_of({{"kernel_shape", kernel},
                               {"dilations", call.ints_of_size(2, 2)},
                               {"pads", std::vector<int64_t>{pads[0], pads[1], pads[0], pads[1]}},
                               {"strides", call.ints_of_size(4, 2)},
                               {"group", *channels}}));
  const ValueId y = reshape(call, columns, {0, *channels * taps, -1});
  return call.one(rank == 3 ? squeeze(call, y, {0}) : y);
}

// (self, output_size, kernel_size, dilation, padding, stride)
Results col2im(AtenCall& call) {
  const size_t rank = call.rank(0);
  call.require(rank == 2 || rank == 3, "columns [N, C * taps, L] are needed");
  const ValueId x = rank == 2 ? unsqueeze(call, call.tensor(0), {0}) : call.tensor(0);
  const std::vector<int64_t> pads = call.ints_of_size(4, 2);
  const ValueId y = call.emit(
      OpKind::kCol2Im, {x, call.shape_vector(1), call.ints_value(call.ints_of_size(2, 2))},
      attributes_of({{"dilations", call.ints_of_size(3, 2)},
                     {"pads", std::vector<int64_t>{pads[0], pads[1], pads[0], pads[1]}},
                     {"strides", call.ints_of_size(5, 2)}}));
  return call.one(rank == 2 ? squeeze(call, y, {0}) : y);
}

constexpr AtenRow kPaddingOps[] = {
    {"pad", pad},
    {"constant_pad_nd", constant_pad},
    {"reflection_pad1d reflection_pad2d reflection_pad3d", reflection_pad},
    {"replication_pad1d replication_pad2d replication_pad3d", replication_pad},
    {"im2col", im2col},
    {"col2im", col2im},
};

}  // namespace

std::span<const AtenRow> padding_aten_ops() { return kPaddingOps; }

}  // namespace lathe

#include "kernels/elementwise.h"

#include <algorithm>
#include <cstring>

#include "ir/error.h"
#include "kernels/elementwise_block.h"
#include "kernels/quantize_run.h"
#include "kernels/tile_copy.h"

namespace lathe {
namespace {

constexpr int kMaxSlots = 16;
constexpr int64_t kByteTile = 4096;  // elements of a tile of two uint8 arrays

// Tiles of whole rows where a row is short, so that blocks are nearly full.
TiledNest tiled_in_blocks(const Nest& nest, int64_t block) {
  const int64_t columns = std::max<int64_t>(nest.sizes[nest.rank - 1], 1);
  return tiled_nest(nest, block / columns, std::min(columns, block));
}

// The elements of a tile are neighbours in this array.
bool is_packed(const TiledNest& tiled, int array, const Tile& tile) {
  return (tiled.column_stride(array) == 1 || tile.columns == 1) &&
         (tiled.row_stride(array) == tile.columns || tile.rows == 1);
}

// Consecutive tiles often read the same elements of an array with such a stride.
bool is_broadcast(const TiledNest& tiled, int array) {
  for (int d = 0; d < tiled.nest.rank; ++d)
    if (tiled.nest.sizes[d] > 1 && tiled.nest.strides[array][d] == 0) return true;
  return false;
}

TileStrides strides_of(const TiledNest& tiled, int array) {
  return {tiled.row_stride(array), tiled.column_stride(array)};
}

struct Slots {
  std::vector<int> free;
  int used = 0;

  int take() {
    if (free.empty()) free.push_back(used++);
    if (used > kMaxSlots) throw InternalError("elementwise: too many numbers at a time");
    const int slot = free.back();
    free.pop_back();
    return slot;
  }
};

// Registers become slots, which are used again behind the last use of what they hold.
void assign_slots(Elementwise& program, const std::vector<ElementwiseOp>& ops) {
  const int inputs = static_cast<int>(program.inputs.size());
  const int registers = inputs + static_cast<int>(ops.size());
  std::vector<int> last_use(static_cast<size_t>(registers), -1);
  const auto for_each_operand = [&](size_t i, auto&& body) {
    const int16_t operands[] = {ops[i].a, ops[i].b, ops[i].c};
    for (int k = 0; k < operands_of(ops[i].kind); ++k) {
      if (operands[k] < 0 || operands[k] >= inputs + static_cast<int>(i))
        throw InternalError("elementwise: a register that does not exist yet");
      body(static_cast<size_t>(operands[k]));
    }
  };
  for (size_t i = 0; i < ops.size(); ++i)
    for_each_operand(i, [&](size_t r) { last_use[r] = static_cast<int>(i); });
  last_use.back() = static_cast<int>(ops.size());
  Slots slots;
  std::vector<int> slot_of(static_cast<size_t>(registers), 0);
  for (int i = 0; i < inputs; ++i) {
    slot_of[static_cast<size_t>(i)] = slots.take();
    if (is_broadcast(program.tiled, 1 + i)) last_use[static_cast<size_t>(i)] = registers;
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    ElementwiseStep step{ops[i], 0};
    int16_t* const operands[] = {&step.op.a, &step.op.b, &step.op.c};
    // Operands that the kind does not have are read with the others, and not used.
    for (int k = 0; k < 3; ++k)
      *operands[k] = k < operands_of(ops[i].kind)
                         ? static_cast<int16_t>(slot_of[static_cast<size_t>(*operands[k])])
                         : int16_t{0};
    for_each_operand(i, [&](size_t r) {
      if (last_use[r] != static_cast<int>(i)) return;
      slots.free.push_back(slot_of[r]);
      last_use[r] = -1;  // an operation may name it twice
    });
    const int to = slots.take();
    slot_of[static_cast<size_t>(inputs) + i] = to;
    step.to = static_cast<int16_t>(to);
    program.steps.push_back(step);
  }
  program.result = slot_of.back();
}

// A sum, difference or product of two uint8 arrays to uint8, with Relu behind it or not.
bool fold_byte_binary(Elementwise& program, const std::vector<ElementwiseOp>& ops) {
  const auto is_byte = [](const ElementwiseArray& array) {
    return array.type == ElementType::kUInt8;
  };
  if (program.inputs.size() != 2 || !is_byte(program.output) ||
      !std::all_of(program.inputs.begin(), program.inputs.end(), is_byte))
    return false;
  if (ops.empty() || ops.size() > 2) return false;
  const bool has_relu = ops.size() == 2;
  if (has_relu && (ops[1].kind != ElementwiseKind::kRelu || ops[1].a != 2)) return false;
  const ElementwiseOp& op = ops[0];
  const bool swapped = op.a == 1 && op.b == 0 && op.kind != ElementwiseKind::kSub;
  if (!swapped && (op.a != 0 || op.b != 1)) return false;
  const ElementwiseArray& a = program.inputs[0];
  const ElementwiseArray& b = program.inputs[1];
  const double scale = static_cast<double>(program.output.scale);
  const double scale_a = static_cast<double>(a.scale) / scale;
  const double scale_b = static_cast<double>(b.scale) / scale;
  const double zero = program.output.zero_point;
  ByteBinary& binary = program.byte_binary;
  switch (op.kind) {
    case ElementwiseKind::kMul:
      binary.multiply = true;
      binary.factor_a = static_cast<float>(scale_a * static_cast<double>(b.scale));
      binary.term = static_cast<float>(zero);
      binary.zero_a = a.zero_point;
      binary.zero_b = b.zero_point;
      break;
    case ElementwiseKind::kAdd:
    case ElementwiseKind::kSub: {
      const double sign = op.kind == ElementwiseKind::kSub ? -1 : 1;
      binary.factor_a = static_cast<float>(scale_a);
      binary.factor_b = static_cast<float>(sign * scale_b);
      binary.term =
          static_cast<float>(zero - a.zero_point * scale_a - sign * b.zero_point * scale_b);
      break;
    }
    default: return false;
  }
  if (has_relu) binary.low = static_cast<uint8_t>(std::clamp(program.output.zero_point, 0, 255));
  return true;
}

// Operations on one array of bytes whose result is float32: computed here for all that a byte can
// be.
void fold_byte_function(Elementwise& program, const Nest& nest) {
  const bool is_byte =
      program.inputs.size() == 1 && (program.inputs[0].type == ElementType::kUInt8 ||
                                     program.inputs[0].type == ElementType::kInt8);
  if (!is_byte || program.output.type != ElementType::kFloat32 || program.steps.empty() ||
      program.tiled.column_stride(0) != 1 || program.tiled.column_stride(1) != 1)
    return;
  uint8_t bytes[256];
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  float results[256];
  Elementwise all = program;
  all.tiled = tiled_in_blocks(make_nest({256}, {{1}, {1}}), kElementwiseBlock);
  const void* inputs[] = {bytes};
  run_elementwise(all, inputs, results, 0, elementwise_count(all));
  program.byte_function = make_float_table(results);
  program.tiled = tiled_in_blocks(nest, kByteTile);
}

void run_byte_function(const Elementwise& program, const void* input, void* output, int64_t begin,
                       int64_t end) {
  const TiledNest& tiled = program.tiled;
  for_each_tile(tiled, begin, end, [&](const Tile& tile) {
    const uint8_t* from = static_cast<const uint8_t*>(input) + tile.offsets[1];
    float* to = static_cast<float*>(output) + tile.offsets[0];
    if (is_packed(tiled, 0, tile) && is_packed(tiled, 1, tile))
      return look_up_floats(*program.byte_function, from, to, tile.rows * tile.columns);
    for (int64_t row = 0; row < tile.rows; ++row)
      look_up_floats(*program.byte_function, from + row * tiled.row_stride(1),
                     to + row * tiled.row_stride(0), tile.columns);
  });
}

// Two uint8 arrays: tiles that are not packed go through buffers; one that stays the same is
// gathered once.
void run_bytes(const Elementwise& program, const void* const* inputs, void* output, int64_t begin,
               int64_t end) {
  alignas(64) uint8_t gathered[2][kByteTile];
  alignas(64) uint8_t result[kByteTile];
  int64_t held_offset[2] = {-1, -1};
  int64_t held_count[2] = {-1, -1};
  const TiledNest& tiled = program.tiled;
  for_each_tile(tiled, begin, end, [&](const Tile& tile) {
    const int64_t count = tile.rows * tile.columns;
    const uint8_t* read[2];
    for (int i = 0; i < 2; ++i) {
      read[i] = static_cast<const uint8_t*>(inputs[i]) + tile.offsets[1 + i];
      if (is_packed(tiled, 1 + i, tile)) continue;
      if (held_count[i] != count || held_offset[i] != tile.offsets[1 + i])
        copy_tile(read[i], strides_of(tiled, 1 + i), gathered[i], {tile.columns, 1}, tile.rows,
                  tile.columns, 1);
      held_count[i] = count;
      held_offset[i] = tile.offsets[1 + i];
      read[i] = gathered[i];
    }
    uint8_t* to = static_cast<uint8_t*>(output) + tile.offsets[0];
    const bool packed = is_packed(tiled, 0, tile);
    run_byte_binary(program.byte_binary, read[0], read[1], packed ? to : result, count);
    if (!packed)
      copy_tile(result, {tile.columns, 1}, to, strides_of(tiled, 0), tile.rows, tile.columns, 1);
  });
}

void load_numbers(const ElementwiseArray& array, const void* from, float* to, int64_t count) {
  if (array.type == ElementType::kFloat32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  } else if (array.type == ElementType::kBool) {
    const uint8_t* truths = static_cast<const uint8_t*>(from);
    for (int64_t i = 0; i < count; ++i) to[i] = truths[i] != 0 ? 1.0f : 0.0f;
  } else {
    dequantize_run(from, array.type, to, count, {&array.scale, &array.zero_point, 0});
  }
}

void store_numbers(const ElementwiseArray& array, const float* from, void* to, int64_t count) {
  if (array.type == ElementType::kFloat32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  } else if (array.type == ElementType::kBool) {
    uint8_t* truths = static_cast<uint8_t*>(to);
    for (int64_t i = 0; i < count; ++i) truths[i] = from[i] != 0.0f ? 1 : 0;
  } else {
    quantize_run(from, to, array.type, count, {&array.scale, &array.zero_point, 0});
  }
}

struct BlockMemory {
  alignas(64) float slots[kMaxSlots][kElementwiseBlock];
  alignas(64) char gathered[kElementwiseBlock * sizeof(float)];
  const float* numbers[kMaxSlots];  // what each slot means at present
  int64_t held_offset[kMaxElementwiseInputs];
  int64_t held_count[kMaxElementwiseInputs];
};

void load_input(const Elementwise& program, int input, const void* from, const Tile& tile,
                BlockMemory& memory) {
  const ElementwiseArray& array = program.inputs[static_cast<size_t>(input)];
  const TiledNest& tiled = program.tiled;
  const int size = static_cast<int>(element_bytes(array.type));
  const int64_t count = tile.rows * tile.columns;
  const int64_t offset = tile.offsets[1 + input];
  const void* first = static_cast<const char*>(from) + offset * size;
  const bool packed = is_packed(tiled, 1 + input, tile);
  const bool in_place = packed && array.type == ElementType::kFloat32;
  if (in_place) {
    memory.numbers[input] = static_cast<const float*>(first);
    memory.held_count[input] = -1;
    return;
  }
  memory.numbers[input] = memory.slots[input];
  if (memory.held_count[input] == count && memory.held_offset[input] == offset) return;
  if (!packed) {
    copy_tile(first, strides_of(tiled, 1 + input), memory.gathered, {tile.columns, 1}, tile.rows,
              tile.columns, size);
    first = memory.gathered;
  }
  load_numbers(array, first, memory.slots[input], count);
  const bool stays = is_broadcast(tiled, 1 + input);
  memory.held_count[input] = stays ? count : -1;
  memory.held_offset[input] = offset;
}

void run_tile(const Elementwise& program, const void* const* inputs, void* output, const Tile& tile,
              BlockMemory& memory) {
  const int64_t count = tile.rows * tile.columns;
  for (int i = 0; i < static_cast<int>(program.inputs.size()); ++i)
    load_input(program, i, inputs[i], tile, memory);
  const int size = static_cast<int>(element_bytes(program.output.type));
  char* to = static_cast<char*>(output) + tile.offsets[0] * size;
  const bool packed = is_packed(program.tiled, 0, tile);
  const bool in_place = packed && program.output.type == ElementType::kFloat32;
  for (const ElementwiseStep& step : program.steps) {
    const bool is_last = &step == &program.steps.back();
    float* result = is_last && in_place ? reinterpret_cast<float*>(to) : memory.slots[step.to];
    run_elementwise_block(step.op, memory.numbers[step.op.a], memory.numbers[step.op.b],
                          memory.numbers[step.op.c], result, count);
    memory.numbers[step.to] = result;
  }
  const float* result = memory.numbers[program.result];
  if (in_place) {
    if (program.steps.empty()) std::memmove(to, result, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  store_numbers(program.output, result, packed ? to : memory.gathered, count);
  if (!packed)
    copy_tile(memory.gathered, {tile.columns, 1}, to, strides_of(program.tiled, 0), tile.rows,
              tile.columns, size);
}

}  // namespace

int operands_of(ElementwiseKind kind) {
  using enum ElementwiseKind;
  if (kind == kConstant) return 0;
  if (kind == kWhere) return 3;
  return kind >= kAdd && kind <= kEqual ? 2 : 1;
}

Elementwise prepare_elementwise(const std::vector<int64_t>& shape,
                                const std::vector<ElementwiseArray>& inputs,
                                const std::vector<ElementwiseOp>& ops,
                                const ElementwiseArray& output) {
  if (inputs.size() > kMaxElementwiseInputs || inputs.size() + ops.size() == 0 ||
      output.type == ElementType::kInt32)
    throw InternalError("elementwise: inputs or output");
  std::vector<Strides> strides = {output.strides};
  for (const ElementwiseArray& input : inputs) strides.push_back(input.strides);
  const Nest nest = make_nest(shape, strides);
  Elementwise program;
  program.inputs = inputs;
  program.output = output;
  program.tiled = tiled_in_blocks(nest, kElementwiseBlock);
  program.is_byte_binary = fold_byte_binary(program, ops);
  if (program.is_byte_binary) {
    program.tiled = tiled_in_blocks(nest, kByteTile);
  } else {
    assign_slots(program, ops);
    fold_byte_function(program, nest);
  }
  return program;
}

int64_t elementwise_count(const Elementwise& program) { return program.tiled.tiles; }

void run_elementwise(const Elementwise& program, const void* const* inputs, void* output,
                     int64_t begin, int64_t end) {
  if (program.is_byte_binary) return run_bytes(program, inputs, output, begin, end);
  if (program.byte_function) return run_byte_function(program, inputs[0], output, begin, end);
  BlockMemory memory;
  std::fill_n(memory.held_count, kMaxElementwiseInputs, -1);
  for (int i = 0; i < kMaxSlots; ++i) memory.numbers[i] = memory.slots[i];
  for_each_tile(program.tiled, begin, end,
                [&](const Tile& tile) { run_tile(program, inputs, output, tile, memory); });
}

}  // namespace lathe

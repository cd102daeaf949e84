#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/enumerator_name.h"
#include "ir/op_kind.h"
#include "kernel_check.h"
#include "kernels/elementwise.h"

namespace lathe {
namespace {

using enum ElementwiseKind;

double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double exact_clip(double x, double least, double greatest) {
  return std::min(std::max(x, least), greatest);
}

double exact(const ElementwiseOp& op, double a, double b, double c) {
  const double p = static_cast<double>(op.p);
  const double q = static_cast<double>(op.q);
  switch (op.kind) {
    case kConstant: return p;
    case kAdd: return a + b;
    case kSub: return a - b;
    case kMul: return a * b;
    case kDiv: return a / b;
    case kMin: return std::min(a, b);
    case kMax: return std::max(a, b);
    case kPow: return std::pow(a, b);
    case kPRelu: return a >= 0 ? a : a * b;
    case kLess: return a < b;
    case kGreater: return a > b;
    case kEqual: return a == b;
    case kWhere: return a != 0 ? b : c;
    case kNeg: return -a;
    case kAbs: return std::abs(a);
    case kSqrt: return std::sqrt(a);
    case kExp: return std::exp(a);
    case kLog: return std::log(a);
    case kReciprocal: return 1 / a;
    case kFloor: return std::floor(a);
    case kCeil: return std::ceil(a);
    case kRound: return std::nearbyint(a);
    case kSign: return (a > 0) - (a < 0);
    case kRelu: return std::max(a, 0.0);
    case kClip: return exact_clip(a, p, q);
    case kLeakyRelu: return a >= 0 ? a : p * a;
    case kElu: return a >= 0 ? a : p * std::expm1(a);
    case kCelu: return a >= 0 ? a : p * std::expm1(a / p);
    case kSelu: return q * (a >= 0 ? a : p * std::expm1(a));
    case kHardSigmoid: return exact_clip(p * a + q, 0, 1);
    case kHardSwish: return a * exact_clip(a / 6 + 0.5, 0, 1);
    case kSigmoid: return exact_sigmoid(a);
    case kSilu: return a * exact_sigmoid(a);
    case kTanh: return std::tanh(a);
    case kGelu: return a / 2 * std::erfc(-a / std::sqrt(2.0));
    case kGeluTanh: return a * exact_sigmoid(2 * std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a));
    case kErf: return std::erf(a);
    case kSoftplus: return a > 0 ? a + std::log1p(std::exp(-a)) : std::log1p(std::exp(a));
    case kMish:
      return a * std::tanh(a > 0 ? a + std::log1p(std::exp(-a)) : std::log1p(std::exp(a)));
    case kSoftsign: return a / (1 + std::abs(a));
    case kSin: return std::sin(a);
    case kCos: return std::cos(a);
    case kThresholdedRelu: return a > p ? a : 0;
  }
  return 0;
}

bool is_close(double got, double expected) {
  if (std::isnan(expected)) return std::isnan(got);
  if (got == expected) return true;
  // Beyond the greatest float there is only infinity.
  if (std::abs(expected) > 3.4028235e38) return std::isinf(got) && (got > 0) == (expected > 0);
  const double error = std::abs(got - expected);
  return error <= 1e-6 || error <= 2e-6 * std::abs(expected);
}

ElementwiseArray array_of(ElementType type, Strides strides, float scale = 1, int32_t zero = 0) {
  return {type, scale, zero, std::move(strides)};
}

void run_all(const Elementwise& program, const std::vector<const void*>& inputs, void* output) {
  run_elementwise(program, inputs.data(), output, 0, elementwise_count(program));
}

std::vector<float> one_kind(const ElementwiseOp& op, const std::vector<float>& a,
                            const std::vector<float>& b, const std::vector<float>& c) {
  const int64_t count = static_cast<int64_t>(a.size());
  const ElementwiseArray array = array_of(ElementType::kFloat32, {1});
  const Elementwise program = prepare_elementwise({count}, {array, array, array}, {op}, array);
  std::vector<float> output(a.size());
  run_all(program, {a.data(), b.data(), c.data()}, output.data());
  return output;
}

ElementwiseOp op_of(int kind) {
  ElementwiseOp op;
  op.kind = static_cast<ElementwiseKind>(kind);
  op.a = 0;
  op.b = 1;
  op.c = 2;
  op.p = op.kind == kSelu ? 1.6732632f : op.kind == kClip ? -1.25f : 0.2f;
  op.q = op.kind == kSelu ? 1.050701f : op.kind == kClip ? 3.5f : 0.5f;
  return op;
}

bool is_positive_only(ElementwiseKind kind) {
  return kind == kPow || kind == kLog || kind == kSqrt;
}

float random_operand(SeededRandom& random, ElementwiseKind kind) {
  double x = random.normal();
  switch (random.next() % 4) {
    case 0: x *= 0.01; break;
    case 1: x *= 20; break;
    case 2: x = std::nearbyint(x) + (random.next() % 2 ? 0.5 : 0); break;
    default: break;
  }
  return static_cast<float>(is_positive_only(kind) ? std::abs(x) : x);
}

}  // namespace

TEST_CASE("every kind is as exact as promised") {
  constexpr uint64_t kSeed = 51;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  for (int kind = 0; kind < kElementwiseKinds; ++kind) {
    const ElementwiseOp op = op_of(kind);
    std::vector<float> a;
    std::vector<float> b;
    std::vector<float> c;
    for (int i = 0; i < 20011; ++i) {
      a.push_back(random_operand(random, op.kind));
      b.push_back(random.next() % 8 == 0 ? a.back() : random_operand(random, op.kind));
      c.push_back(random_operand(random, op.kind));
      if (op.kind == kWhere && random.next() % 2) a.back() = 0;
    }
    const std::vector<float> got = one_kind(op, a, b, c);
    for (size_t i = 0; i < a.size(); ++i) {
      const double expected = exact(op, static_cast<double>(a[i]), static_cast<double>(b[i]),
                                    static_cast<double>(c[i]));
      if (is_close(static_cast<double>(got[i]), expected)) continue;
      INFO("kind " << kind << " a " << a[i] << " b " << b[i] << " c " << c[i]);
      CHECK(static_cast<double>(got[i]) == expected);
      break;
    }
  }
}

TEST_CASE("functions of one number over all magnitudes") {
  for (int kind = static_cast<int>(kNeg); kind < kElementwiseKinds; ++kind) {
    const ElementwiseOp op = op_of(kind);
    std::vector<float> a;
    // Every exponent and sign; the step is odd, so that the last bits change as well.
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 99991) {
      const uint32_t low = static_cast<uint32_t>(bits);
      float x = 0;
      std::memcpy(&x, &low, sizeof(x));
      if (!std::isfinite(x)) continue;
      if (op.kind == kReciprocal && std::abs(x) < 1.2e-38f) continue;
      a.push_back(x);
    }
    for (const float x : {0.0f, -0.0f, 88.7f, 88.8f, -87.4f, -103.9f, 4194303.5f, 8388607.5f,
                          0.49999997f, -0.5f, 2.5f})
      a.push_back(x);
    const std::vector<float> got = one_kind(op, a, a, a);
    for (size_t i = 0; i < a.size(); ++i) {
      const double expected = exact(op, static_cast<double>(a[i]), 0, 0);
      if (is_close(static_cast<double>(got[i]), expected)) continue;
      INFO("kind " << kind << " a " << a[i]);
      CHECK(static_cast<double>(got[i]) == expected);
      break;
    }
  }
}

TEST_CASE("lowering finds every kind by an op's name") {
  for (const std::string_view name : enumerator_names<ElementwiseKind, kElementwiseKinds>()) {
    CAPTURE(name);
    CHECK((op_kind("", name) || name == "Silu" || name == "GeluTanh"));
  }
}

TEST_CASE("NaN and infinity come out as they should") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> nan(3, kNaN);
  const std::vector<float> ones(3, 1);
  for (int kind = static_cast<int>(kAdd); kind < kElementwiseKinds; ++kind) {
    const ElementwiseOp op = op_of(kind);
    if (op.kind == kLess || op.kind == kGreater || op.kind == kEqual || op.kind == kWhere) continue;
    INFO("kind " << kind);
    CHECK(std::isnan(one_kind(op, nan, ones, ones)[1]));
    if (kind <= static_cast<int>(kMax)) CHECK(std::isnan(one_kind(op, ones, nan, ones)[1]));
  }
  const std::vector<float> ends = {kInfinity, -kInfinity};
  const auto of = [&](ElementwiseKind kind) {
    return one_kind(op_of(static_cast<int>(kind)), ends, ends, ends);
  };
  CHECK(of(kExp) == std::vector<float>{kInfinity, 0});
  CHECK(of(kTanh) == std::vector<float>{1, -1});
  CHECK(of(kErf) == std::vector<float>{1, -1});
  CHECK(of(kSigmoid) == std::vector<float>{1, 0});
  CHECK(of(kSoftplus) == std::vector<float>{kInfinity, 0});
  CHECK(of(kGelu) == std::vector<float>{kInfinity, 0});
  CHECK(of(kFloor) == ends);
  CHECK(of(kRound) == ends);
  CHECK(of(kLog)[0] == kInfinity);
  CHECK(std::isnan(of(kLog)[1]));
}

TEST_CASE("programs over random layouts, types and broadcasts") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 5);
    const std::vector<int64_t> shape = random_shape(random, 5, 6000);
    const ElementType types[] = {ElementType::kFloat32, ElementType::kUInt8, ElementType::kInt8,
                                 ElementType::kInt32, ElementType::kBool};
    const int inputs = static_cast<int>(random_between(random, 1, 4));
    std::vector<ElementwiseArray> arrays;
    std::vector<std::vector<uint8_t>> bytes;
    for (int i = 0; i < inputs; ++i) {
      Layout layout =
          layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2));
      for (int64_t& stride : layout.strides)
        if (random.next() % 3 == 0) stride = 0;
      const ElementType type = types[random.next() % 5];
      arrays.push_back(array_of(type, layout.strides, 0.05f, 7));
      if (type == ElementType::kFloat32 || type == ElementType::kBool) arrays.back().zero_point = 0;
      std::vector<uint8_t> data(static_cast<size_t>(layout.count * element_bytes(type)));
      for (int64_t k = 0; k < layout.count; ++k) {
        if (type == ElementType::kFloat32) {
          const float x = static_cast<float>(random.normal());
          std::memcpy(data.data() + k * 4, &x, 4);
        } else if (type == ElementType::kInt32) {
          const int32_t x = static_cast<int32_t>(random_between(random, -100, 100));
          std::memcpy(data.data() + k * 4, &x, 4);
        } else {
          data[static_cast<size_t>(k)] =
              static_cast<uint8_t>(type == ElementType::kBool ? random.next() % 2 : random.next());
        }
      }
      bytes.push_back(data);
    }
    std::vector<ElementwiseOp> ops;
    const ElementwiseKind kinds[] = {kAdd, kSub, kMul, kMax, kRelu, kSigmoid, kConstant, kWhere};
    for (int i = 0, count = static_cast<int>(random_between(random, inputs > 1 ? 1 : 0, 6));
         i < count; ++i) {
      ElementwiseOp op;
      op.kind = kinds[random.next() % 8];
      op.a = static_cast<int16_t>(random.next() % static_cast<uint64_t>(inputs + i));
      op.b = static_cast<int16_t>(random.next() % static_cast<uint64_t>(inputs + i));
      op.c = static_cast<int16_t>(random.next() % static_cast<uint64_t>(inputs + i));
      op.p = 0.75f;
      ops.push_back(op);
    }
    const Layout to =
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2));
    const ElementType output_type =
        std::vector<ElementType>{ElementType::kFloat32, ElementType::kUInt8, ElementType::kInt8,
                                 ElementType::kBool}[random.next() % 4];
    const ElementwiseArray output = array_of(output_type, to.strides, 0.02f, 3);
    const Elementwise program = prepare_elementwise(shape, arrays, ops, output);
    const int64_t size = element_bytes(output_type);
    Guarded<uint8_t> memory(to.count * size);
    std::vector<uint8_t> written = memory.values();
    std::vector<const void*> addresses;
    for (const auto& data : bytes) addresses.push_back(data.data());
    check_every_division(random, elementwise_count(program), memory,
                         [&](int64_t begin, int64_t end) {
                           run_elementwise(program, addresses.data(), memory.data(), begin, end);
                         });
    const std::vector<uint8_t> got = memory.values();
    int64_t wrong = 0;
    for_each_index(shape, [&](const std::vector<int64_t>& index) {
      std::vector<double> registers;
      for (size_t i = 0; i < arrays.size(); ++i) {
        const int64_t at = offset_of(index, arrays[i].strides);
        const uint8_t* byte = bytes[i].data() + at * element_bytes(arrays[i].type);
        double q = *byte;
        if (arrays[i].type == ElementType::kFloat32) {
          float x = 0;
          std::memcpy(&x, byte, 4);
          q = static_cast<double>(x);
        } else if (arrays[i].type == ElementType::kInt32) {
          int32_t x = 0;
          std::memcpy(&x, byte, 4);
          q = x;
        } else if (arrays[i].type == ElementType::kInt8) {
          q = static_cast<int8_t>(*byte);
        }
        const bool quantized =
            arrays[i].type != ElementType::kFloat32 && arrays[i].type != ElementType::kBool;
        registers.push_back(quantized ? (q - 7) * static_cast<double>(arrays[i].scale) : q);
      }
      for (const ElementwiseOp& op : ops)
        registers.push_back(exact(op, registers[static_cast<size_t>(op.a)],
                                  registers[static_cast<size_t>(op.b)],
                                  registers[static_cast<size_t>(op.c)]));
      const double y = registers.back();
      const int64_t at = offset_of(index, to.strides) * size;
      if (output_type == ElementType::kFloat32) {
        float x = 0;
        std::memcpy(&x, got.data() + at, 4);
        wrong += !(std::abs(static_cast<double>(x) - y) <= 1e-5 * std::max(1.0, std::abs(y)));
      } else if (output_type == ElementType::kBool) {
        wrong += std::abs(y) > 1e-5 && got[static_cast<size_t>(at)] != 1;
      } else {
        const bool is_signed = output_type == ElementType::kInt8;
        const double step = exact_clip(y / static_cast<double>(0.02f) + 3, is_signed ? -128 : 0,
                                       is_signed ? 127 : 255);
        const uint8_t byte = got[static_cast<size_t>(at)];
        const double q = is_signed ? static_cast<double>(static_cast<int8_t>(byte)) : byte;
        wrong += std::abs(q - step) > 0.501;
      }
      for (int64_t k = 0; k < size; ++k)
        written[static_cast<size_t>(at + k)] = got[static_cast<size_t>(at + k)];
    });
    CHECK(wrong == 0);
    CHECK(got == written);  // the gaps are as they were
  }
}

TEST_CASE("quantized results equal ONNX's formula") {
  constexpr uint64_t kSeed = 53;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  constexpr int64_t kCount = 3000;
  std::vector<uint8_t> a(kCount);
  std::vector<int8_t> b(kCount);
  for (uint8_t& x : a) x = static_cast<uint8_t>(random.next());
  for (int8_t& x : b) x = static_cast<int8_t>(random.next());
  const Elementwise program = prepare_elementwise(
      {kCount},
      {array_of(ElementType::kUInt8, {1}, 0.02f, 120), array_of(ElementType::kInt8, {1}, 0.3f, -5)},
      {{kMul, 0, 1, 0, 0, 0}}, array_of(ElementType::kUInt8, {1}, 0.17f, 90));
  std::vector<uint8_t> got(kCount);
  run_all(program, {a.data(), b.data()}, got.data());
  for (size_t i = 0; i < kCount; ++i) {
    const float y =
        (static_cast<float>(a[i] - 120) * 0.02f) * (static_cast<float>(b[i] + 5) * 0.3f);
    const float q = std::nearbyint(y / 0.17f) + 90;
    REQUIRE(int{got[i]} == static_cast<int>(std::min(std::max(q, 0.0f), 255.0f)));
  }
}

TEST_CASE("two uint8 arrays to uint8: sums, differences and products, Relu, broadcasts") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 6);
    const std::vector<int64_t> shape = {random_between(random, 1, 3), random_between(random, 1, 90),
                                        random_between(random, 1, 90)};
    const Layout from = layout_of(shape, {0, 1, 2}, random_between(random, 0, 1));
    const Layout to = layout_of(shape, {0, 1, 2}, random_between(random, 0, 1));
    Strides other = from.strides;
    for (int64_t& stride : other)
      if (random.next() % 3 == 0) stride = 0;
    std::vector<uint8_t> a(static_cast<size_t>(from.count));
    std::vector<uint8_t> b(static_cast<size_t>(from.count));
    for (uint8_t& x : a) x = static_cast<uint8_t>(random.next());
    for (uint8_t& x : b) x = static_cast<uint8_t>(random.next());
    const float scale_a = 0.01f + 0.001f * static_cast<float>(random.next() % 50);
    const float scale_b = 0.01f + 0.001f * static_cast<float>(random.next() % 50);
    const float scale = 0.02f + 0.001f * static_cast<float>(random.next() % 50);
    const int32_t zero_a = static_cast<int32_t>(random.next() % 256);
    const int32_t zero_b = static_cast<int32_t>(random.next() % 256);
    const int32_t zero = static_cast<int32_t>(random.next() % 256);
    const ElementwiseKind kind = std::vector{kAdd, kSub, kMul}[random.next() % 3];
    const bool swapped = kind != kSub && random.next() % 2 == 0;
    const bool has_relu = random.next() % 2 == 0;
    std::vector<ElementwiseOp> ops = {{kind, int16_t{swapped}, int16_t{!swapped}, 0, 0, 0}};
    if (has_relu) ops.push_back({kRelu, 2, 0, 0, 0, 0});
    const Elementwise program =
        prepare_elementwise(shape,
                            {array_of(ElementType::kUInt8, from.strides, scale_a, zero_a),
                             array_of(ElementType::kUInt8, other, scale_b, zero_b)},
                            ops, array_of(ElementType::kUInt8, to.strides, scale, zero));
    CHECK(program.is_byte_binary);
    Guarded<uint8_t> output(to.count);
    std::vector<uint8_t> written = output.values();
    const void* const inputs[] = {a.data(), b.data()};
    check_every_division(random, elementwise_count(program), output,
                         [&](int64_t begin, int64_t end) {
                           run_elementwise(program, inputs, output.data(), begin, end);
                         });
    const std::vector<uint8_t> got = output.values();
    double worst = 0;
    for_each_index(shape, [&](const std::vector<int64_t>& index) {
      const double x = (a[static_cast<size_t>(offset_of(index, from.strides))] - zero_a) *
                       static_cast<double>(scale_a);
      const double y =
          (b[static_cast<size_t>(offset_of(index, other))] - zero_b) * static_cast<double>(scale_b);
      double result = kind == kAdd ? x + y : kind == kSub ? x - y : x * y;
      if (has_relu) result = std::max(result, 0.0);
      const size_t at = static_cast<size_t>(offset_of(index, to.strides));
      const double step = exact_clip(result / static_cast<double>(scale) + zero, 0, 255);
      worst = worse(worst, std::abs(got[at] - step));
      written[at] = got[at];
    });
    CHECK(worst <= 0.501);
    CHECK(got == written);
  }
}

TEST_CASE("functions of one byte have the bits that they have of its number") {
  constexpr int64_t kRows = 7;
  constexpr int64_t kColumns = 85;
  constexpr int64_t kPitch = 90;
  const std::vector<ElementwiseOp> ops = {{ElementwiseKind::kSigmoid, 0},
                                          {ElementwiseKind::kMul, 0, 1}};
  for (const ElementType type : {ElementType::kUInt8, ElementType::kInt8}) {
    std::vector<uint8_t> bytes(kRows * kPitch);
    std::vector<float> numbers(bytes.size());
    ElementwiseArray from{type, 0.07f, 3, {kPitch, 1}};
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<uint8_t>(i * 7);
      const int q = type == ElementType::kInt8 ? static_cast<int8_t>(bytes[i]) : bytes[i];
      numbers[i] = static_cast<float>(q - from.zero_point) * from.scale;
    }
    // Rows without a gap, with one, and columns that lie apart, which have no table.
    for (const Strides& strides : {Strides{kColumns, 1}, Strides{kPitch, 1}, Strides{1, kRows}}) {
      const ElementwiseArray to{ElementType::kFloat32, 1, 0, strides};
      const auto looked_up = prepare_elementwise({kRows, kColumns}, {from}, ops, to);
      CHECK((looked_up.byte_function != nullptr) == (strides[1] == 1));
      const ElementwiseArray real{ElementType::kFloat32, 1, 0, {kPitch, 1}};
      const auto computed = prepare_elementwise({kRows, kColumns}, {real}, ops, to);
      Guarded<float> found(kRows * kPitch);
      Guarded<float> wanted(kRows * kPitch);
      const void* inputs[] = {bytes.data()};
      run_elementwise(looked_up, inputs, found.data(), 0, elementwise_count(looked_up));
      inputs[0] = numbers.data();
      run_elementwise(computed, inputs, wanted.data(), 0, elementwise_count(computed));
      CHECK(found.bytes() == wanted.bytes());
      CHECK(found.intact());
    }
  }
}

TEST_CASE("an input's memory may take the output") {
  std::vector<float> a(2000);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i) - 1000;
  const float two = 2;
  const Elementwise program = prepare_elementwise(
      {2000}, {array_of(ElementType::kFloat32, {1}), array_of(ElementType::kFloat32, {0})},
      {{kMul, 0, 1, 0, 0, 0}, {kRelu, 2, 0, 0, 0, 0}, {kSub, 3, 0, 0, 0, 0}},
      array_of(ElementType::kFloat32, {1}));
  run_all(program, {a.data(), &two}, a.data());
  for (size_t i = 0; i < a.size(); ++i) {
    const float x = static_cast<float>(i) - 1000;
    REQUIRE(a[i] == (x > 0 ? 2 * x : 0) - x);
  }
}

TEST_CASE("impossible programs are refused") {
  const ElementwiseArray array = array_of(ElementType::kFloat32, {1});
  CHECK_THROWS(prepare_elementwise({4}, {array}, {{kAdd, 0, 1, 0, 0, 0}}, array));
  CHECK_THROWS(prepare_elementwise({4}, {array}, {{kNeg, -1, 0, 0, 0, 0}}, array));
  CHECK_THROWS(prepare_elementwise({4}, std::vector<ElementwiseArray>(9, array), {}, array));
  CHECK_THROWS(prepare_elementwise({4}, {array}, {}, array_of(ElementType::kInt32, {1})));
  std::vector<ElementwiseOp> ops;
  for (int16_t i = 0; i < 20; ++i) ops.push_back({kNeg, 0, 0, 0, 0, 0});
  for (int16_t i = 0; i < 20; ++i) ops.push_back({kAdd, static_cast<int16_t>(i + 1), 0, 0, 0, 0});
  CHECK_THROWS(prepare_elementwise({4}, {array}, ops, array));
}

}  // namespace lathe

#include "evaluate/cast.h"

#include "evaluate/evaluate.h"
#include "ir/error.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

constexpr double kTwo63 = 0x1p63, kTwo64 = 0x1p64;

at::Tensor to_small_float(const at::Tensor& x, DType to, const CastRule& rule) {
  const at::Tensor source = x.to(at::kFloat).contiguous();
  at::Tensor out = at::empty_like(source);
  const float* from = source.data_ptr<float>();
  float* values = out.data_ptr<float>();
  for (int64_t i = 0; i < source.numel(); ++i)
    values[i] =
        decode_small_float(to, encode_small_float(to, from[i], rule.saturate, rule.rounding));
  return out;
}

at::Tensor from_uint64(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kDouble);
  return at::where(x.lt(0), wide + kTwo64, wide);
}

at::Tensor float_to_uint64(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kDouble);
  return at::where(wide.ge(kTwo63), wide - kTwo64, wide).to(at::kLong);
}

CastRule rule_of(const EvaluateCall& call) {
  const std::string rounding = call.attributes().string_or("round_mode", "up");
  call.require(rounding == "up" || rounding == "down" || rounding == "nearest",
               "round_mode must be up, down or nearest");
  return {call.attributes().int_or("saturate", 1) != 0, rounding == "up" ? PowerRounding::kUp
                                                        : rounding == "down"
                                                            ? PowerRounding::kDown
                                                            : PowerRounding::kNearest};
}

Outputs cast(const EvaluateCall& call) {
  const int64_t to = call.attributes().required_int("to");
  call.require(to > 0 && to < kDTypeCount, "attribute to is no element type");
  return {cast_values(call.input(0), call.dtype(0), static_cast<DType>(to), rule_of(call))};
}

Outputs cast_like(const EvaluateCall& call) {
  call.require(call.dtype(1) != DType::kUndefined, "the type to cast to is unknown");
  return {cast_values(call.input(0), call.dtype(0), call.dtype(1), rule_of(call))};
}

// Elements of a packed or 8-bit type, one code per element.
std::vector<uint8_t> codes_of(const Tensor& constant) {
  const int bits = dtype_bits(constant.dtype());
  const int per_byte = 8 / bits;
  std::vector<uint8_t> out(static_cast<size_t>(constant.numel()));
  for (size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned>(constant.bytes()[i / static_cast<size_t>(per_byte)]);
    const unsigned shift = static_cast<unsigned>(bits) * static_cast<unsigned>(i % per_byte);
    out[i] = static_cast<uint8_t>(byte >> shift & ((1u << bits) - 1));
  }
  return out;
}

}  // namespace

at::Tensor cast_values(const at::Tensor& x, DType from, DType to, const CastRule& rule) {
  const at::ScalarType type = compute_type(to);
  if (to == DType::kBool) return x.ne(0);
  const bool real = at::isFloatingType(x.scalar_type());
  if (is_small_float(to))
    return to_small_float(from == DType::kUInt64 ? from_uint64(x) : x, to, rule);
  if (is_integer(to)) {
    if (!real) return x.to(type);
    if (to == DType::kUInt64) return float_to_uint64(x);
    // Through int64: a float outside of a narrow type's range then wraps; C leaves it undefined.
    return x.to(at::kLong).to(type);
  }
  return (from == DType::kUInt64 ? from_uint64(x) : x).to(type);
}

at::Tensor constant_values(const Tensor& constant) {
  const DType dtype = constant.dtype();
  const at::ScalarType type = compute_type(dtype);
  at::Tensor out = at::empty(constant.shape(), type);
  if (is_small_float(dtype)) {
    const std::vector<uint8_t> codes = codes_of(constant);
    float* values = out.data_ptr<float>();
    for (size_t i = 0; i < codes.size(); ++i) values[i] = decode_small_float(dtype, codes[i]);
    return out;
  }
  if (dtype == DType::kComplex64 || dtype == DType::kComplex128)
    throw bad_input("evaluate.type", "complex constants are not supported here");
  if (is_floating(dtype)) {
    const std::vector<double> values = constant.to_double();
    return at::tensor(values, at::kDouble).reshape(constant.shape()).to(type);
  }
  const std::vector<int64_t> values = constant.to_int64();
  return at::tensor(values, at::kLong).reshape(constant.shape()).to(type);
}

std::span<const EvaluateRow> cast_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kCast, cast},
      {OpKind::kCastLike, cast_like},
  };
  return rows;
}

}  // namespace lathe

#include "run/string_numbers.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

template <class T>
std::string real_text(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
  return fmt::format("{}", value);
}

template <class T, class Text>
std::vector<std::string> texts_of(const at::Tensor& tensor, Text text) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < tensor.numel(); ++i) texts.push_back(text(tensor.data_ptr<T>()[i]));
  return texts;
}

Error no_number(std::string_view text) {
  return bad_input("run.string_number",
                   fmt::format("'{}' is no number of the wanted type", escape_untrusted(text, 40)));
}

// What from_chars lacks: a plus sign in front.
std::string_view without_plus(std::string_view text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return plus ? text.substr(1) : text;
}

template <class T>
std::errc read_whole(std::string_view text, T& value) {
  const char* last = text.data() + text.size();
  const auto [end, code] = std::from_chars(text.data(), last, value);
  return end == last ? code : std::errc::invalid_argument;
}

template <class T>
T parse_real(std::string_view text) {
  const std::string_view digits = without_plus(text);
  T value = 0;
  std::errc code = read_whole(digits, value);
  if (code == std::errc::result_out_of_range) {
    // Overflow and underflow have the same code; the wider type tells them apart.
    long double wide = 0;
    code = read_whole(digits, wide);
    const T nearest = std::fabs(wide) > 1 ? std::numeric_limits<T>::infinity() : T{0};
    value = std::copysign(nearest, wide < 0 ? T{-1} : T{1});
  }
  if (code != std::errc{}) throw no_number(text);
  return value;
}

template <class T>
T parse_integer(std::string_view text) {
  T value = 0;
  const std::errc code = read_whole(without_plus(text), value);
  if (code == std::errc{}) return value;
  const double real =
      code == std::errc::invalid_argument ? std::trunc(parse_real<double>(text)) : std::nan("");
  const double least = std::is_signed_v<T> ? -0x1p63 : 0;
  const double past = std::is_signed_v<T> ? 0x1p63 : 0x1p64;
  if (!(real >= least && real < past)) throw no_number(text);
  return static_cast<T>(real);
}

template <class Stored, class Parse>
RuntimeValue parsed(const Tensor& strings, at::ScalarType storage, DType dtype, Parse parse) {
  at::Tensor numbers = at::empty(strings.shape(), storage);
  auto* out = numbers.data_ptr<Stored>();
  for (const std::string& text : strings.strings()) *out++ = static_cast<Stored>(parse(text));
  return {std::move(numbers), dtype};
}

}  // namespace

RuntimeValue numbers_to_strings(const RuntimeValue& numbers) {
  const at::Tensor values = numbers.tensor->contiguous();
  std::vector<std::string> texts;
  if (values.is_complex()) {
    throw bad_input("run.string_number", "complex numbers have no text form");
  } else if (numbers.dtype == DType::kFloat64) {
    texts = texts_of<double>(values, real_text<double>);
  } else if (values.is_floating_point()) {
    texts = texts_of<float>(values.to(at::kFloat), real_text<float>);
  } else {
    const bool unsigned_64 = numbers.dtype == DType::kUInt64;
    texts = texts_of<int64_t>(values.to(at::kLong), [&](int64_t value) {
      return unsigned_64 ? std::to_string(static_cast<uint64_t>(value)) : std::to_string(value);
    });
  }
  return to_runtime(Tensor::from_strings(values.sizes().vec(), std::move(texts)));
}

RuntimeValue strings_to_numbers(const Tensor& strings, DType target) {
  if (target == DType::kUInt64)
    return parsed<int64_t>(strings, at::kLong, target, parse_integer<uint64_t>);
  if (is_integer(target))
    return parsed<int64_t>(strings, at::kLong, DType::kInt64, parse_integer<int64_t>);
  if (target == DType::kFloat32)
    return parsed<float>(strings, at::kFloat, target, parse_real<float>);
  return parsed<double>(strings, at::kDouble, DType::kFloat64, parse_real<double>);
}

}  // namespace lathe

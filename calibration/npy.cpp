#include "calibration/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <optional>

#include "ir/error.h"

namespace lathe {
namespace {

Error malformed_npy(const std::string& where, std::string what) {
  return bad_input("data.npy", std::move(what), where);
}

// The dictionary of a header, read from left to right.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) throw error(fmt::format("'{}' expected", c));
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  std::string_view quoted() {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"'))
      throw error("a string expected");
    const size_t start = at_ + 1;
    const size_t end = text_.find(text_[at_], start);
    if (end == std::string_view::npos) throw error("a string without an end");
    at_ = end + 1;
    return text_.substr(start, end - start);
  }
  bool boolean() {
    skip_blanks();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    throw error("True or False expected");
  }
  int64_t integer() {
    skip_blanks();
    const size_t start = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value))
        throw error("a dimension overflows");
    if (at_ == start) throw error("a dimension must be an integer of 0 or more");
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // written by Python 2
    return value;
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      if (shape.size() == kMaxRank) throw error(fmt::format("more than {} dimensions", kMaxRank));
      shape.push_back(integer());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }
  Error error(std::string what) const {
    return malformed_npy(where_, fmt::format("npy header, byte {}: {}", at_, what));
  }

 private:
  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

struct Code {
  std::string_view code;
  DType dtype;
};
constexpr Code kCodes[] = {
    {"b1", DType::kBool},    {"?", DType::kBool},     {"i1", DType::kInt8},
    {"u1", DType::kUInt8},   {"i2", DType::kInt16},   {"u2", DType::kUInt16},
    {"i4", DType::kInt32},   {"u4", DType::kUInt32},  {"i8", DType::kInt64},
    {"u8", DType::kUInt64},  {"f2", DType::kFloat16}, {"f4", DType::kFloat32},
    {"f8", DType::kFloat64},
};

void set_dtype(NpyHeader& header, std::string_view descr, const std::string& where) {
  std::string_view code = descr;
  char order = '|';
  if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
    order = code[0];
    code.remove_prefix(1);
  }
  for (const Code& known : kCodes)
    if (code == known.code) {
      header.dtype = known.dtype;
      header.big_endian = order == '>';
      return;
    }
  throw bad_input("data.npy_dtype",
                  fmt::format("arrays of type '{}' are not read", escape_untrusted(descr, 40)),
                  where, "save booleans, integers or floats");
}

// Column-major bytes to row-major ones.
Tensor from_fortran(const Tensor& stored, const Shape& shape) {
  const size_t width = static_cast<size_t>(dtype_bits(stored.dtype()) / 8);
  std::vector<std::byte> out(stored.bytes().size());
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t axis = 1; axis < shape.size(); ++axis)
    stride[axis] = stride[axis - 1] * shape[axis - 1];
  std::vector<int64_t> index(shape.size(), 0);
  int64_t from = 0;
  for (int64_t to = 0; to < stored.numel(); ++to) {
    std::memcpy(out.data() + static_cast<size_t>(to) * width,
                stored.bytes().data() + static_cast<size_t>(from) * width, width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += stride[axis];
      if (++index[axis] < shape[axis]) break;
      from -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return Tensor::from_bytes(stored.dtype(), shape, std::move(out));
}

template <class T>
Tensor narrow(const Tensor& tensor) {
  std::vector<T> values;
  for (const int64_t value : tensor.to_int64()) values.push_back(static_cast<T>(value));
  return Tensor::of<T>(tensor.shape(), values);
}

// The same values in a type that numpy has.
Tensor numpy_tensor(const Tensor& tensor) {
  const DType dtype = tensor.dtype();
  if (dtype == DType::kBFloat16) {
    std::vector<float> values;
    for (const double value : tensor.to_double()) values.push_back(static_cast<float>(value));
    return Tensor::of<float>(tensor.shape(), values);
  }
  if (is_integer(dtype) && dtype_bits(dtype) < 8)
    return is_signed_integer(dtype) ? narrow<int8_t>(tensor) : narrow<uint8_t>(tensor);
  for (const Code& known : kCodes)
    if (known.dtype == dtype) return tensor;
  const auto count = static_cast<int64_t>(tensor.bytes().size());
  const std::vector<std::byte> raw(tensor.bytes().begin(), tensor.bytes().end());
  // Packed or complex elements no longer match the shape one to one.
  return Tensor::from_bytes(DType::kUInt8, count == tensor.numel() ? tensor.shape() : Shape{count},
                            raw);
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80    ? 1
                          : lead >= 0xf0 ? 4
                          : lead >= 0xe0 ? 3
                          : lead >= 0xc0 ? 2
                                         : 0;
    if (length == 0 || lead >= 0xf5 || i + length > text.size()) {
      out += U'\xfffd';
      ++i;
      continue;
    }
    uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k)
      point = point << 6 | (static_cast<uint8_t>(text[i + k]) & 0x3fu);
    out += point > 0x10ffff ? U'\xfffd' : static_cast<char32_t>(point);
    i += length;
  }
  return out;
}

std::string with_header(const std::string& descr, const Shape& shape) {
  std::string tuple;
  for (const int64_t dim : shape) tuple += fmt::format("{}{}", tuple.empty() ? "" : ", ", dim);
  if (shape.size() == 1) tuple += ',';
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, tuple);
  // Padded so that the data starts at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

std::string unicode_npy(const Tensor& tensor) {
  std::vector<std::u32string> texts;
  size_t width = 1;
  for (const std::string& text : tensor.strings()) {
    texts.push_back(code_points(text));
    width = std::max(width, texts.back().size());
  }
  std::string out = with_header(fmt::format("<U{}", width), tensor.shape());
  for (std::u32string& text : texts) {
    text.resize(width, U'\0');
    out.append(reinterpret_cast<const char*>(text.data()), width * 4);
  }
  return out;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  HeaderParser parser(text, where);
  std::optional<std::string_view> descr;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
  parser.expect('{');
  while (!parser.take('}')) {
    const std::string_view key = parser.quoted();
    parser.expect(':');
    auto once = [&](bool seen) {
      if (seen) throw parser.error(fmt::format("the key '{}' twice", escape_untrusted(key, 40)));
    };
    if (key == "descr") {
      once(descr.has_value());
      descr = parser.quoted();
    } else if (key == "fortran_order") {
      once(fortran.has_value());
      fortran = parser.boolean();
    } else if (key == "shape") {
      once(shape.has_value());
      shape = parser.tuple();
    } else {
      throw parser.error(fmt::format("unknown key '{}'", escape_untrusted(key, 40)));
    }
    if (!parser.take(',')) {
      parser.expect('}');
      break;
    }
  }
  if (!parser.at_end()) throw parser.error("text after the dictionary");
  if (!descr || !fortran || !shape) throw parser.error("descr, fortran_order or shape is missing");
  NpyHeader header;
  set_dtype(header, *descr, where);
  header.fortran_order = *fortran;
  header.shape = std::move(*shape);
  return header;
}

Array open_npy(ReadBytes read, uint64_t size, std::string where) {
  std::byte start[12] = {};
  const auto number = [&](size_t i) { return std::to_integer<uint64_t>(start[i]); };
  if (size < 10) throw malformed_npy(where, "this is no npy file: it is too short");
  read(0, std::span(start, std::min<size_t>(12, size)));
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) throw malformed_npy(where, "this is no npy file");
  const uint64_t version = number(6);
  if (version < 1 || version > 3)
    throw malformed_npy(where, fmt::format("npy version {} is not known", version));
  const uint64_t prefix = version == 1 ? 10 : 12;
  uint64_t length = number(8) | number(9) << 8;
  if (version > 1) length |= number(10) << 16 | number(11) << 24;
  if (length > kMaxNpyHeaderBytes)
    throw malformed_npy(where, fmt::format("the npy header claims {} bytes, the limit is {}",
                                           length, kMaxNpyHeaderBytes));
  if (prefix + length > size) throw malformed_npy(where, "the file ends inside the npy header");
  std::string text(static_cast<size_t>(length), '\0');
  read(prefix, std::as_writable_bytes(std::span(text)));
  NpyHeader header = parse_npy_header(text, where);

  const auto wanted = static_cast<uint64_t>(dtype_bytes(header.dtype, element_count(header.shape)));
  const uint64_t payload = size - prefix - length;
  if (wanted != payload)
    throw malformed_npy(
        where, fmt::format("{} elements of {} need {} bytes, the file holds {}",
                           shape_text(header.shape), dtype_name(header.dtype), wanted, payload));
  Array array;
  array.where = std::move(where);
  array.dtype = header.dtype;
  array.shape = header.shape;
  array.big_endian = header.big_endian;
  array.offset = prefix + length;
  array.read = std::move(read);
  if (header.fortran_order && header.shape.size() > 1)
    return array_of(from_fortran(read_array(array), header.shape), array.where);
  return array;
}

std::string npy_bytes(const Tensor& tensor) {
  if (tensor.dtype() == DType::kString) return unicode_npy(tensor);
  const Tensor plain = numpy_tensor(tensor);
  std::string descr;
  for (const Code& known : kCodes)
    if (known.dtype == plain.dtype() && descr.empty())
      descr = (dtype_bits(plain.dtype()) > 8 ? "<" : "|") + std::string(known.code);
  std::string out = with_header(descr, plain.shape());
  out.append(reinterpret_cast<const char*>(plain.bytes().data()), plain.bytes().size());
  return out;
}

}  // namespace lathe

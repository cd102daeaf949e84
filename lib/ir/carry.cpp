#include "ir/carry.h"

#include <charconv>
#include <optional>

namespace lathe {
namespace {

constexpr std::string_view kCarry = "lathe.carry.";
constexpr std::string_view kInitial = "lathe.initial.";
constexpr std::string_view kDigits = "0123456789abcdef";

std::string tensor_text(const Tensor& tensor) {
  std::string text(dtype_name(tensor.dtype()));
  text += ' ';
  for (size_t i = 0; i < tensor.shape().size(); ++i)
    text += (i == 0 ? "" : "x") + std::to_string(tensor.shape()[i]);
  text += ' ';
  for (const std::byte byte : tensor.bytes()) {
    text += kDigits[std::to_integer<size_t>(byte >> 4)];
    text += kDigits[std::to_integer<size_t>(byte & std::byte{15})];
  }
  return text;
}

std::optional<Shape> parse_shape(std::string_view text) {
  Shape shape;
  while (!text.empty()) {
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0 || size > static_cast<int64_t>(kMaxInitialBytes) ||
        shape.size() == 8)
      return std::nullopt;
    shape.push_back(size);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.empty() && (text[0] != 'x' || text.size() == 1)) return std::nullopt;
    if (!text.empty()) text.remove_prefix(1);
  }
  return shape;
}

std::optional<std::vector<std::byte>> parse_bytes(std::string_view text) {
  std::vector<std::byte> bytes;
  if (text.size() % 2 != 0 || text.size() > 2 * kMaxInitialBytes) return std::nullopt;
  for (size_t i = 0; i < text.size(); i += 2) {
    const size_t high = kDigits.find(text[i]);
    const size_t low = kDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}

std::optional<Tensor> parse_tensor(std::string_view text) {
  const size_t first = text.find(' ');
  const size_t second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto dtype = dtype_from_name(text.substr(0, first));
  const auto shape = parse_shape(text.substr(first + 1, second - first - 1));
  auto bytes = parse_bytes(text.substr(second + 1));
  if (!dtype || *dtype == DType::kString || !shape || !bytes) return std::nullopt;
  int64_t elements = 1;
  for (const int64_t size : *shape) {
    // No empty tensor hides a product that overflows: sizes are bounded, and so is their number.
    if (elements > static_cast<int64_t>(kMaxInitialBytes)) return std::nullopt;
    elements *= size;
  }
  if (elements > static_cast<int64_t>(kMaxInitialBytes) ||
      dtype_bytes(*dtype, elements) != static_cast<int64_t>(bytes->size()))
    return std::nullopt;
  return Tensor::from_bytes(*dtype, *shape, std::move(*bytes));
}

}  // namespace

bool fits_type(const Tensor& tensor, const ValueType& type) {
  if (tensor.dtype() != type.dtype) return false;
  if (!type.dims) return true;
  if (type.dims->size() != tensor.shape().size()) return false;
  for (size_t i = 0; i < type.dims->size(); ++i)
    if ((*type.dims)[i].known() && (*type.dims)[i].size != tensor.shape()[i]) return false;
  return true;
}

Carry carry_of(const Model& model) {
  Carry carry;
  for (const auto& [key, output] : model.metadata) {
    if (!key.starts_with(kCarry)) continue;
    const std::string input = key.substr(kCarry.size());
    const ValueId from = model.graph.find_value(output);
    const ValueId to = model.graph.find_value(input);
    if (from.valid() && to.valid() && model.graph.is_output(from) && model.graph.is_input(to))
      carry.emplace_back(output, input);
  }
  return carry;
}

void set_carry(Model& model, const Carry& carry) {
  for (const auto& [output, input] : carry) model.metadata[std::string(kCarry) + input] = output;
}

std::map<std::string, Tensor> initial_state_of(const Model& model) {
  std::map<std::string, Tensor> state;
  for (const auto& [key, text] : model.metadata) {
    if (!key.starts_with(kInitial)) continue;
    const std::string input = key.substr(kInitial.size());
    const ValueId id = model.graph.find_value(input);
    const auto tensor = parse_tensor(text);
    if (id.valid() && model.graph.is_input(id) && tensor &&
        fits_type(*tensor, model.graph.value(id).type))
      state.emplace(input, *tensor);
  }
  return state;
}

bool set_initial_state(Model& model, const std::string& input, const Tensor& tensor) {
  if (tensor.dtype() == DType::kString || tensor.bytes().size() > kMaxInitialBytes) return false;
  model.metadata[std::string(kInitial) + input] = tensor_text(tensor);
  return true;
}

}  // namespace lathe

#include <bit>
#include <cstring>
#include <map>
#include <tuple>

#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

static_assert(std::endian::native == std::endian::little, "the message is little-endian");

class Writer {
 public:
  explicit Writer(const WriteBytes& write) : write_(write) {}
  ~Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  template <class T>
  void number(T value) {
    static_assert(sizeof(T) == 1 || sizeof(T) == 4 || sizeof(T) == 8);
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    raw({bytes, sizeof(T)});
  }
  void count(size_t value) { number(static_cast<uint32_t>(value)); }
  void flag(bool value) { number(static_cast<uint8_t>(value)); }
  void text(std::string_view value) {
    count(value.size());
    raw(value);
  }
  template <class T>
  void numbers(const std::vector<T>& values) {
    count(values.size());
    for (const T value : values) number(value);
  }
  void raw(std::string_view bytes) {
    buffer_.append(bytes);
    total_ += bytes.size();
    if (buffer_.size() >= (size_t{1} << 16)) flush();
  }
  void align() { raw(std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", (16 - total_ % 16) % 16)); }
  void flush() {
    if (!buffer_.empty()) write_(buffer_);
    buffer_.clear();
  }

  void type(const TorchType& value) {
    number(static_cast<uint8_t>(value.kind));
    text(value.name);
    count(value.contained.size());
    for (const TorchType& inner : value.contained) type(inner);
  }
  void plain(const Tensor& value) {
    const auto key = std::make_tuple(value.bytes().data(), value.dtype(), value.shape());
    const auto [place, fresh] = known_.emplace(key, static_cast<uint32_t>(known_.size()));
    number(place->second);
    if (!fresh) return;
    number(static_cast<uint8_t>(value.dtype()));
    numbers(value.shape());
    number(static_cast<uint64_t>(value.bytes().size()));
    align();
    raw({reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size()});
  }
  void tensor(const TorchTensor& value) {
    plain(value.tensor);
    flag(value.quantized);
    numbers(value.scales);
    numbers(value.zero_points);
    number(value.axis);
  }
  void packed(const TorchPackedParams& value) {
    flag(value.linear);
    flag(value.dynamic);
    flag(value.transposed);
    tensor(value.weight);
    flag(value.bias.has_value());
    if (value.bias) tensor(*value.bias);
    for (const auto* list : {&value.stride, &value.padding, &value.output_padding, &value.dilation})
      numbers(*list);
    number(value.groups);
  }
  void constant(const TorchConstant& value) {
    number(static_cast<uint8_t>(value.kind));
    number(value.integer);
    number(value.real);
    text(value.text);
    count(value.items.size());
    for (const TorchConstant& item : value.items) constant(item);
    flag(value.tensor.has_value());
    if (value.tensor) tensor(*value.tensor);
    flag(value.packed.has_value());
    if (value.packed) packed(*value.packed);
  }
  void block(const TorchBlock& value) {
    numbers(value.inputs);
    count(value.nodes.size());
    for (const TorchNode& inner : value.nodes) node(inner);
    numbers(value.outputs);
  }
  void node(const TorchNode& value) {
    text(value.kind);
    text(value.overload);
    numbers(value.inputs);
    numbers(value.outputs);
    count(value.blocks.size());
    for (const TorchBlock& inner : value.blocks) block(inner);
    flag(value.constant.has_value());
    if (value.constant) constant(*value.constant);
    text(value.attribute);
    text(value.source);
  }

 private:
  const WriteBytes& write_;
  std::string buffer_;
  uint64_t total_ = 0;
  std::map<std::tuple<const std::byte*, DType, Shape>, uint32_t> known_;
};

}  // namespace

void write_description(const TorchModule& module, const WriteBytes& write) {
  Writer out(write);
  out.raw("LTS1");
  out.number(uint8_t{1});
  out.text(module.class_name);
  out.flag(module.was_training);
  out.count(module.other_methods.size());
  for (const std::string& name : module.other_methods) out.text(name);
  out.count(module.values.size());
  for (const TorchValue& value : module.values) {
    out.text(value.name);
    out.type(value.type);
  }
  out.block(module.forward);
  out.count(module.attributes.size());
  for (const TorchAttribute& attribute : module.attributes) {
    out.text(attribute.path);
    out.type(attribute.type);
    out.constant(attribute.value);
  }
  out.flush();
}

void write_description_error(const Error& error, const WriteBytes& write) {
  Writer out(write);
  out.raw("LTS1");
  out.number(uint8_t{0});
  out.number(static_cast<int32_t>(error.code()));
  for (const std::string* part :
       {&error.id(), &error.text().message, &error.text().where, &error.text().hint})
    out.text(*part);
  out.flush();
}

}  // namespace lathe

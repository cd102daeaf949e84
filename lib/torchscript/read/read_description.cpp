#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 20;
// Types, values, nodes and constants: each takes more memory here than in the message.
constexpr int64_t kMaxParts = 1'000'000;

Error broken(std::string_view what) {
  return over_limit(
      "torchscript.child_message",
      fmt::format("the isolated reader gave a description that breaks its rules: {}", what), {},
      "the file may be made to attack its reader");
}

class Reader {
 public:
  explicit Reader(const std::shared_ptr<const std::string>& message)
      : message_(message), left_(*message) {}

  std::string_view raw(size_t bytes) {
    if (bytes > left_.size()) throw broken("it ends early");
    const std::string_view out = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return out;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, raw(sizeof(T)).data(), sizeof(T));
    return value;
  }
  bool flag() {
    const auto value = number<uint8_t>();
    if (value > 1) throw broken("a flag is neither 0 nor 1");
    return value == 1;
  }
  // A count of things that take at least `least` bytes each, so that it bounds what is allocated.
  size_t count(size_t least) {
    const auto value = number<uint32_t>();
    if (value > left_.size() / least) throw broken("a count is larger than the message");
    return value;
  }
  std::string text() {
    const size_t bytes = count(1);
    if (bytes > kMaxTextBytes) throw broken("a text is too long");
    return std::string(raw(bytes));
  }
  template <class T>
  std::vector<T> numbers() {
    std::vector<T> out(count(sizeof(T)));
    for (T& value : out) value = number<T>();
    return out;
  }
  template <class E>
  E kind(E last) {
    const auto value = number<uint8_t>();
    if (value > static_cast<uint8_t>(last)) throw broken("an unknown kind");
    return static_cast<E>(value);
  }
  bool at_end() const { return left_.empty(); }

  TorchType type(int depth) {
    check(depth);
    TorchType out;
    out.kind = kind(TorchType::Kind::kOther);
    out.name = text();
    const size_t inner = count(9);
    const bool fits = out.kind == TorchType::Kind::kList || out.kind == TorchType::Kind::kOptional
                          ? inner == 1
                      : out.kind == TorchType::Kind::kDict  ? inner == 2
                      : out.kind == TorchType::Kind::kTuple ? true
                                                            : inner == 0;
    if (!fits) throw broken("a type holds the wrong number of types");
    for (size_t i = 0; i < inner; ++i) out.contained.push_back(type(depth + 1));
    return out;
  }

  Tensor plain() {
    const auto index = number<uint32_t>();
    if (index < tensors_.size()) return tensors_[index];
    if (index != tensors_.size()) throw broken("a tensor number is skipped");
    const auto dtype = static_cast<DType>(number<uint8_t>());
    if (static_cast<int>(dtype) >= kDTypeCount || dtype_bits(dtype) < 8)
      throw broken("an element type that TorchScript lacks");
    const auto shape = numbers<int64_t>();
    if (shape.size() > static_cast<size_t>(kMaxRank)) throw broken("a tensor's rank");
    const auto bytes = number<uint64_t>();
    const size_t at = message_->size() - left_.size();
    raw((16 - at % 16) % 16);
    if (bytes > left_.size() ||
        static_cast<uint64_t>(dtype_bytes(dtype, element_count(shape))) != bytes)
      throw broken("a tensor's bytes do not fit its shape");
    const std::string_view content = raw(static_cast<size_t>(bytes));
    tensors_.push_back(
        Tensor::from_owner(dtype, shape, message_,
                           {reinterpret_cast<const std::byte*>(content.data()), content.size()}));
    return tensors_.back();
  }

  TorchTensor tensor() {
    TorchTensor out;
    out.tensor = plain();
    out.quantized = flag();
    out.scales = numbers<double>();
    out.zero_points = numbers<int64_t>();
    out.axis = number<int64_t>();
    if (out.axis < -1 || out.axis >= std::max<int64_t>(1, out.tensor.rank()))
      throw broken("a quantization axis");
    const size_t pairs = !out.quantized ? 0
                         : out.axis < 0 ? 1
                                        : static_cast<size_t>(axis_size(out));
    if (out.scales.size() != pairs || out.zero_points.size() != pairs)
      throw broken("a tensor's quantization parameters");
    return out;
  }

  TorchPackedParams packed() {
    TorchPackedParams out;
    out.linear = flag();
    out.dynamic = flag();
    out.transposed = flag();
    out.weight = tensor();
    if (flag()) out.bias = tensor();
    for (auto* list : {&out.stride, &out.padding, &out.output_padding, &out.dilation})
      *list = numbers<int64_t>();
    out.groups = number<int64_t>();
    const auto rank = static_cast<size_t>(out.weight.tensor.rank());
    if (rank < 2 || (out.linear && rank != 2)) throw broken("the rank of packed weights");
    for (const auto* list : {&out.stride, &out.padding, &out.dilation})
      if (list->size() != (out.linear ? 0 : rank - 2)) throw broken("packed parameters");
    return out;
  }

  TorchConstant constant(int depth) {
    check(depth);
    using ConstantKind = TorchConstant::Kind;
    TorchConstant out;
    out.kind = kind(ConstantKind::kObject);
    out.integer = number<int64_t>();
    out.real = number<double>();
    out.text = text();
    const size_t items = count(31);
    const bool holds = out.kind == ConstantKind::kList || out.kind == ConstantKind::kTuple ||
                       out.kind == ConstantKind::kDict;
    if ((items > 0 && !holds) || (out.kind == ConstantKind::kDict && items % 2 != 0))
      throw broken("a constant's items");
    for (size_t i = 0; i < items; ++i) out.items.push_back(constant(depth + 1));
    if (flag()) out.tensor = tensor();
    if (flag()) out.packed = packed();
    if (out.tensor.has_value() != (out.kind == ConstantKind::kTensor) ||
        out.packed.has_value() != (out.kind == ConstantKind::kPacked))
      throw broken("a constant's kind");
    return out;
  }

  // `defined` says which values exist at this point: what an inner block defines ends with it.
  TorchBlock block(int depth, std::vector<bool>& defined) {
    check(depth);
    std::vector<TorchValueId> local;
    const auto define = [&](TorchValueId id) {
      if (id < 0 || static_cast<size_t>(id) >= defined.size()) throw broken("a value number");
      if (defined[static_cast<size_t>(id)]) throw broken("a value is defined twice");
      defined[static_cast<size_t>(id)] = true;
      local.push_back(id);
    };
    const auto use = [&](TorchValueId id) {
      if (id < 0 || static_cast<size_t>(id) >= defined.size() || !defined[static_cast<size_t>(id)])
        throw broken("a value is used before it is defined");
    };
    TorchBlock out;
    out.inputs = numbers<TorchValueId>();
    for (const TorchValueId id : out.inputs) define(id);
    const size_t nodes = count(26);
    for (size_t i = 0; i < nodes; ++i) {
      check(depth);
      TorchNode node;
      node.kind = text();
      node.overload = text();
      node.inputs = numbers<TorchValueId>();
      for (const TorchValueId id : node.inputs) use(id);
      node.outputs = numbers<TorchValueId>();
      const size_t blocks = count(12);
      for (size_t b = 0; b < blocks; ++b) node.blocks.push_back(block(depth + 1, defined));
      if (flag()) node.constant = constant(0);
      node.attribute = text();
      node.source = text();
      for (const TorchValueId id : node.outputs) define(id);
      check_form(node);
      out.nodes.push_back(std::move(node));
    }
    out.outputs = numbers<TorchValueId>();
    for (const TorchValueId id : out.outputs) use(id);
    for (const TorchValueId id : local) defined[static_cast<size_t>(id)] = false;
    return out;
  }

 private:
  void check(int depth) {
    if (--parts_left_ < 0) throw broken("it has too many parts");
    if (depth > kMaxDescriptionDepth) throw broken("it is nested too deeply");
  }
  static int64_t axis_size(const TorchTensor& tensor) {
    return tensor.tensor.rank() == 0 ? 1 : tensor.tensor.shape()[static_cast<size_t>(tensor.axis)];
  }
  static void check_form(const TorchNode& node) {
    const auto bad = [&] { return broken("the form of " + escape_untrusted(node.kind)); };
    if (node.kind == "prim::Constant") {
      if (!node.constant || node.outputs.size() != 1 || !node.inputs.empty()) throw bad();
    } else if (node.constant) {
      throw bad();
    }
    if (node.kind == "prim::GetAttr" && (node.inputs.size() != 1 || node.outputs.size() != 1))
      throw bad();
    if (node.kind == "prim::SetAttr" && (node.inputs.size() != 2 || !node.outputs.empty()))
      throw bad();
    if (node.kind == "prim::If") {
      if (node.inputs.size() != 1 || node.blocks.size() != 2) throw bad();
      for (const TorchBlock& block : node.blocks)
        if (!block.inputs.empty() || block.outputs.size() != node.outputs.size()) throw bad();
    } else if (node.kind == "prim::Loop") {
      // Trip count, condition, carried values; counter, carried values; condition, carried values.
      if (node.blocks.size() != 1 || node.inputs.size() != node.outputs.size() + 2 ||
          node.blocks[0].inputs.size() != node.outputs.size() + 1 ||
          node.blocks[0].outputs.size() != node.outputs.size() + 1)
        throw bad();
    }
  }

  const std::shared_ptr<const std::string>& message_;
  std::string_view left_;
  int64_t parts_left_ = kMaxParts;
  std::vector<Tensor> tensors_;
};

[[noreturn]] void throw_error(Reader& reader, std::string_view where) {
  const auto code = static_cast<ExitCode>(reader.number<int32_t>());
  std::string id = reader.text();
  ErrorText text;
  for (std::string* part : {&text.message, &text.where, &text.hint})
    *part = escape_untrusted(reader.text(), 2000);
  const bool known_code =
      code == ExitCode::kBadInput || code == ExitCode::kLimit || code == ExitCode::kEnvironment;
  const bool plain_id = id.starts_with("torchscript.") && id.size() < 60 &&
                        std::all_of(id.begin(), id.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || c == '_' || c == '.';
                        });
  if (!known_code || !plain_id) throw broken("an error of unknown kind").within(where);
  throw Error(code, std::move(id), std::move(text)).within(where);
}

TorchModule read_module(Reader& reader) {
  TorchModule module;
  module.class_name = reader.text();
  module.was_training = reader.flag();
  const size_t methods = reader.count(4);
  for (size_t i = 0; i < methods; ++i) module.other_methods.push_back(reader.text());
  const size_t values = reader.count(13);
  for (size_t i = 0; i < values; ++i) {
    TorchValue value;
    value.name = reader.text();
    value.type = reader.type(0);
    module.values.push_back(std::move(value));
  }
  std::vector<bool> defined(values, false);
  module.forward = reader.block(0, defined);
  if (module.forward.inputs.empty() ||
      module.values[static_cast<size_t>(module.forward.inputs[0])].type.kind !=
          TorchType::Kind::kObject)
    throw broken("the first input is not the module");
  const size_t attributes = reader.count(44);
  for (size_t i = 0; i < attributes; ++i) {
    TorchAttribute attribute;
    attribute.path = reader.text();
    attribute.type = reader.type(0);
    attribute.value = reader.constant(0);
    module.attributes.push_back(std::move(attribute));
  }
  return module;
}

}  // namespace

TorchModule read_description(const std::shared_ptr<const std::string>& message,
                             std::string_view where) {
  Reader reader(message);
  try {
    if (reader.raw(4) != "LTS1") throw broken("its first bytes");
    if (!reader.flag()) throw_error(reader, where);
    TorchModule module = read_module(reader);
    if (!reader.at_end()) throw broken("bytes after its end");
    return module;
  } catch (const Error& error) {
    if (error.text().where.starts_with(where)) throw;
    throw error.within(where);
  }
}

}  // namespace lathe

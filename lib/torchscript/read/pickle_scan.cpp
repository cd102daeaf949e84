#include "torchscript/read/pickle_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "ir/error.h"
#include "ir/tensor.h"

namespace lathe {
namespace {

// 72 bytes each.
constexpr size_t kMaxItems = 2'000'000;

// What the reader must know about a value; the rest of the pickle is only counted.
struct Item {
  enum class Kind : uint8_t { kOther, kInt, kString, kTuple, kGlobal, kMark, kStorage };
  Kind kind = Kind::kOther;
  int64_t integer = 0;          // kInt; kStorage: its elements
  std::string_view text;        // kString, kGlobal: the name
  std::string_view module;      // kGlobal
  std::vector<uint32_t> parts;  // kTuple
};
using Id = uint32_t;

struct StorageType {
  std::string_view name;
  int bytes;
};

constexpr std::array<StorageType, 17> kStorageTypes{{{"FloatStorage", 4},
                                                     {"DoubleStorage", 8},
                                                     {"HalfStorage", 2},
                                                     {"BFloat16Storage", 2},
                                                     {"ByteStorage", 1},
                                                     {"CharStorage", 1},
                                                     {"ShortStorage", 2},
                                                     {"IntStorage", 4},
                                                     {"LongStorage", 8},
                                                     {"BoolStorage", 1},
                                                     {"QInt8Storage", 1},
                                                     {"QUInt8Storage", 1},
                                                     {"QInt32Storage", 4},
                                                     {"QUInt4x2Storage", 1},
                                                     {"QUInt2x4Storage", 1},
                                                     {"ComplexFloatStorage", 8},
                                                     {"ComplexDoubleStorage", 16}}};

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::optional<int> storage_element(std::string_view name) {
  for (const StorageType& type : kStorageTypes)
    if (type.name == name) return type.bytes;
  return std::nullopt;
}

bool is_tensor_builder(const Item& item) {
  return item.kind == Item::Kind::kGlobal && item.module == "torch._utils" &&
         item.text.starts_with("_rebuild_");
}

class Scanner {
 public:
  Scanner(std::string_view pickle, const PickleContext& context, const std::string& where)
      : pickle_(pickle), context_(context), where_(where) {}

  void scan() {
    if (byte() != 0x80 || byte() != 2) throw damaged("does not start with protocol 2");
    while (!step()) {
    }
    if (at_ != pickle_.size()) throw damaged("goes on after its end");
    if (stack_.size() != 1) throw damaged("leaves values behind");
  }

 private:
  Error damaged(std::string_view what) const {
    return bad_input("torchscript.pickle", fmt::format("the pickle {} (offset {})", what, at_),
                     where_, "the file is damaged or was not written by torch.jit.save");
  }
  Error bad_storage(std::string_view what) const {
    return bad_input("torchscript.storage", fmt::format("{} (offset {})", what, at_), where_);
  }

  std::string_view take(size_t count) {
    if (count > pickle_.size() - at_) throw damaged("ends early");
    const std::string_view out = pickle_.substr(at_, count);
    at_ += count;
    return out;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view line() {
    const size_t end = pickle_.find('\n', at_);
    if (end == pickle_.npos || end - at_ > 4096) throw damaged("has a name without end");
    const std::string_view out = pickle_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }

  void push(Item item) {
    if (items_.size() >= kMaxItems)
      throw over_limit("torchscript.pickle_size",
                       fmt::format("the pickle has more than {} values", kMaxItems), where_);
    items_.push_back(std::move(item));
    stack_.push_back(static_cast<Id>(items_.size() - 1));
  }
  void push_int(int64_t value) { push({Item::Kind::kInt, value, {}, {}, {}}); }
  const Item& top(size_t below = 0) const {
    if (below >= stack_.size()) throw damaged("takes from an empty stack");
    return items_[stack_[stack_.size() - 1 - below]];
  }
  Id pop() {
    if (top().kind == Item::Kind::kMark) throw damaged("takes more values than it marked");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  std::vector<Id> pop_to_mark() {
    size_t begin = stack_.size();
    while (begin > 0 && items_[stack_[begin - 1]].kind != Item::Kind::kMark) --begin;
    if (begin == 0) throw damaged("lacks a mark");
    std::vector<Id> out(stack_.begin() + static_cast<ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin - 1);
    return out;
  }
  void push_tuple(size_t count) {
    std::vector<Id> parts(count);
    for (size_t i = count; i-- > 0;) parts[i] = pop();
    push({Item::Kind::kTuple, 0, {}, {}, std::move(parts)});
  }
  void remember(uint32_t slot) {
    if (top().kind == Item::Kind::kMark) throw damaged("remembers a mark");
    // The writer numbers in order: slots far away would only cost memory.
    memo_[slot] = stack_.back();
  }
  void recall(uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) throw damaged("recalls what it never remembered");
    stack_.push_back(found->second);
    if (stack_.size() > kMaxItems) throw damaged("has too many values");
  }

  // Returns true at the end.
  bool step() {
    switch (byte()) {
      case '.': return true;
      case '(': push({Item::Kind::kMark, 0, {}, {}, {}}); break;
      case ')': push({Item::Kind::kTuple, 0, {}, {}, {}}); break;
      case ']':
      case '}':
      case 'N':
      case 0x88:
      case 0x89: push({}); break;
      case 'q': remember(byte()); break;
      case 'r': remember(number<uint32_t>()); break;
      case 'h': recall(byte()); break;
      case 'j': recall(number<uint32_t>()); break;
      case 'K': push_int(byte()); break;
      case 'M': push_int(number<uint16_t>()); break;
      case 'J': push_int(number<int32_t>()); break;
      case 0x8a: long_integer(); break;
      case 'G':
        take(8);
        push({});
        break;
      case 'X': {
        const auto length = number<uint32_t>();
        push({Item::Kind::kString, 0, take(length), {}, {}});
        break;
      }
      case 'c': {
        const std::string_view module = line();
        const std::string_view name = line();
        check_global(module, name);
        push({Item::Kind::kGlobal, 0, name, module, {}});
        break;
      }
      case 't': {
        std::vector<Id> parts = pop_to_mark();
        push({Item::Kind::kTuple, 0, {}, {}, std::move(parts)});
        break;
      }
      case 0x85: push_tuple(1); break;
      case 0x86: push_tuple(2); break;
      case 0x87: push_tuple(3); break;
      case 'a':
        pop();
        need_target();
        break;
      case 'e':
        pop_to_mark();
        need_target();
        break;
      case 's':
        pop();
        pop();
        need_target();
        break;
      case 'u':
        if (pop_to_mark().size() % 2 != 0) throw damaged("sets a key without a value");
        need_target();
        break;
      case 'b':
        pop();
        need_target();
        break;
      case 'R': reduce(); break;
      case 0x81:
        pop();
        pop();
        push({});
        break;
      case 'Q': storage(); break;
      case '0': pop(); break;
      default: throw damaged("uses an opcode that TorchScript does not write");
    }
    return false;
  }

  void need_target() const {
    if (top().kind == Item::Kind::kMark) throw damaged("fills nothing");
  }

  void long_integer() {
    const uint8_t length = byte();
    if (length > 8) throw damaged("has an integer of more than 64 bits");
    const std::string_view bytes = take(length);
    uint64_t value = 0;
    for (size_t i = 0; i < length; ++i)
      value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    // Two's complement of that many bytes.
    if (length > 0 && length < 8 && (bytes[length - 1] & 0x80) != 0)
      value |= ~uint64_t{0} << (8 * length);
    push_int(static_cast<int64_t>(value));
  }

  void check_global(std::string_view module, std::string_view name) const {
    if (module == "torch._utils" &&
        is_one_of(name, {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_qtensor"}))
      return;
    if (module == "collections" && name == "OrderedDict") return;
    if (module == "torch.jit._pickle" &&
        is_one_of(name, {"build_intlist", "build_tensorlist", "build_doublelist", "build_boollist",
                         "build_tensor_from_id", "restore_type_tag"}))
      return;
    if (module == "torch" && (storage_element(name) ||
                              is_one_of(name, {"device", "per_tensor_affine", "per_channel_affine",
                                               "per_tensor_symmetric", "per_channel_symmetric"})))
      return;
    if (module == "torch._utils" && name.starts_with("_rebuild_sparse"))
      throw bad_input("torchscript.layout", "holds a sparse tensor, which is not read", where_,
                      "convert it with to_dense() before saving the module");
    const std::string shown = escape_untrusted(fmt::format("{}.{}", module, name));
    if (module.find("__backends__") != module.npos || module.find("LoweredModule") != module.npos ||
        name.find("LoweredModule") != name.npos)
      throw bad_input("torchscript.delegate",
                      "parts of the module were compiled for a device's backend: " + shown, where_,
                      "export the module before it is lowered (to_backend)");
    if (module == "__torch__.torch.classes.quantized") {
      if (is_one_of(name,
                    {"LinearPackedParamsBase", "Conv2dPackedParamsBase", "Conv3dPackedParamsBase"}))
        return;
      throw bad_input("torchscript.class", "weights packed as " + shown + " are not read", where_,
                      "export the float module instead");
    }
    if (module.starts_with("__torch__.torch.classes."))
      throw bad_input("torchscript.class", "objects of the class " + shown + " are not read",
                      where_,
                      module.find("xnnpack") != module.npos || module.find("vulkan") != module.npos
                          ? "export the module before optimize_for_mobile"
                          : "export a module of tensors and plain values");
    if (module == "__torch__" || module.starts_with("__torch__.")) {
      if (context_.has_class(std::string(module), std::string(name))) return;
      throw bad_input("torchscript.pickle", "the archive has no code for the class " + shown,
                      where_);
    }
    throw bad_input("torchscript.global",
                    "refers to " + shown + ", which is no part of TorchScript", where_,
                    "a pickle can run any program: lathe never loads such files");
  }

  void storage() {
    const Item id = items_[pop()];
    if (id.kind != Item::Kind::kTuple || id.parts.size() < 5)
      throw damaged("names a record that is no storage");
    const Item &kind = items_[id.parts[0]], &type = items_[id.parts[1]], &key = items_[id.parts[2]],
               &count = items_[id.parts[4]];
    if (kind.kind != Item::Kind::kString || kind.text != "storage" ||
        type.kind != Item::Kind::kGlobal || key.kind != Item::Kind::kString ||
        count.kind != Item::Kind::kInt)
      throw damaged("names a record that is no storage");
    const std::optional<int> element = storage_element(type.text);
    if (!element) throw damaged("has a storage of unknown type");
    if (count.integer < 0) throw bad_storage("a storage has a negative size");
    const std::optional<uint64_t> bytes = context_.storage_bytes(std::string(key.text));
    if (!bytes && count.integer > 0)
      throw bad_storage(
          fmt::format("the archive has no record for storage {}", escape_untrusted(key.text)));
    if (static_cast<unsigned __int128>(count.integer) * static_cast<unsigned>(*element) >
        bytes.value_or(0))
      throw bad_storage(fmt::format("storage {} says {} elements of {} bytes, its record holds {}",
                                    escape_untrusted(key.text), count.integer, *element,
                                    bytes.value_or(0)));
    push({Item::Kind::kStorage, count.integer, {}, {}, {}});
  }

  void reduce() {
    const Item arguments = items_[pop()];
    const Item& callee = items_[pop()];
    if (callee.kind != Item::Kind::kGlobal) throw damaged("calls what is no function");
    if (arguments.kind != Item::Kind::kTuple) throw damaged("calls without a tuple of arguments");
    if (is_tensor_builder(callee)) check_tensor(arguments.parts);
    push({});
  }

  void check_tensor(const std::vector<Id>& arguments) const {
    if (arguments.size() < 4) throw damaged("builds a tensor from too few values");
    const Item &storage = items_[arguments[0]], &offset = items_[arguments[1]],
               &sizes = items_[arguments[2]], &strides = items_[arguments[3]];
    if (storage.kind != Item::Kind::kStorage || offset.kind != Item::Kind::kInt ||
        sizes.kind != Item::Kind::kTuple || strides.kind != Item::Kind::kTuple)
      throw damaged("builds a tensor from something else than a storage");
    const size_t rank = sizes.parts.size();
    if (rank != strides.parts.size() || rank > static_cast<size_t>(kMaxRank))
      throw bad_storage("a tensor's sizes and strides do not fit each other");
    if (offset.integer < 0) throw bad_storage("a tensor begins before its storage");
    // The last element that is reached; elements counted besides, because a stride of 0 lets a
    // few bytes stand for a tensor of any size.
    using Wide = unsigned __int128;
    Wide last = static_cast<uint64_t>(offset.integer), elements = 1;
    constexpr Wide kMost = Wide{1} << 62;
    for (size_t i = 0; i < rank; ++i) {
      const Item &size = items_[sizes.parts[i]], &stride = items_[strides.parts[i]];
      if (size.kind != Item::Kind::kInt || stride.kind != Item::Kind::kInt)
        throw damaged("builds a tensor from sizes that are no integers");
      if (size.integer < 0 || stride.integer < 0)
        throw bad_storage("a tensor has a negative size or stride");
      elements *= static_cast<uint64_t>(size.integer);
      if (size.integer > 0)
        last += static_cast<Wide>(size.integer - 1) * static_cast<uint64_t>(stride.integer);
      if (elements > kMost || last > kMost) throw bad_storage("a tensor is larger than memory");
    }
    if (elements > 0 && last >= static_cast<uint64_t>(storage.integer))
      throw bad_storage(fmt::format("a tensor reaches element {} of a storage of {}",
                                    static_cast<uint64_t>(last), storage.integer));
  }

  std::string_view pickle_;
  const PickleContext& context_;
  const std::string& where_;
  size_t at_ = 0;
  std::vector<Item> items_;
  std::vector<Id> stack_;
  std::unordered_map<uint32_t, Id> memo_;
};

}  // namespace

void scan_pickle(std::string_view pickle, const PickleContext& context, const std::string& where) {
  Scanner(pickle, context, where).scan();
}

std::vector<std::string> pickle_globals(std::string_view pickle) {
  std::vector<std::string> out;
  const auto is_name = [](std::string_view text) {
    return !text.empty() && text.size() <= 200 && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '_' || c == '.';
    });
  };
  size_t at = 0;
  while (out.size() < 20 && (at = pickle.find('c', at)) != pickle.npos) {
    ++at;
    const std::string_view rest = pickle.substr(at, 500);
    const size_t first = rest.find('\n');
    if (first == rest.npos || !is_name(rest.substr(0, first))) continue;
    const size_t second = rest.find('\n', first + 1);
    if (second == rest.npos || !is_name(rest.substr(first + 1, second - first - 1))) continue;
    std::string name(rest.substr(0, first));
    name += '.';
    name += rest.substr(first + 1, second - first - 1);
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
    at += second + 1;
  }
  return out;
}

}  // namespace lathe

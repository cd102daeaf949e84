// Zip archives and TorchScript files made by hand, so that every field can be made wrong.
#pragma once

#include <zlib.h>

#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lathe {

/// What is said of a file.
struct Verdict {
  std::string id = "accepted";
  int code = 0;
  std::string text;
};

struct ZipMember {
  std::string name;
  std::string data;  // unpacked
  bool deflate = false;
  // What the headers say instead of the truth.
  std::optional<std::string> local_name = {};
  std::optional<uint32_t> crc = {}, size = {}, local_crc = {}, local_size = {}, offset = {};
  std::optional<uint16_t> flags = {}, local_flags = {}, method = {};
};

struct ZipLayout {
  std::string before = {}, between = {}, after = {};  // bytes that belong to no entry
  std::optional<uint16_t> count = {};
  std::optional<uint32_t> directory_offset = {};
  bool zip64 = false;
  std::optional<uint64_t> count64 = {};
};

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

inline std::string deflated(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline uint32_t crc_of(const std::string& data) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

inline std::string zip_bytes(const std::vector<ZipMember>& members, const ZipLayout& layout = {}) {
  std::string out = layout.before, directory;
  for (const ZipMember& member : members) {
    const std::string packed = member.deflate ? deflated(member.data) : member.data;
    const uint32_t crc = member.crc.value_or(crc_of(member.data));
    const auto size = member.size.value_or(static_cast<uint32_t>(member.data.size()));
    const auto packed_size = member.deflate ? static_cast<uint32_t>(packed.size()) : size;
    const uint16_t method = member.method.value_or(member.deflate ? 8 : 0);
    const uint16_t flags = member.flags.value_or(0);
    const std::string local_name = member.local_name.value_or(member.name);
    const auto offset = member.offset.value_or(static_cast<uint32_t>(out.size()));
    put<uint32_t>(out, 0x04034b50);
    put<uint16_t>(out, 20);
    put<uint16_t>(out, member.local_flags.value_or(flags));
    put<uint16_t>(out, method);
    put<uint32_t>(out, 0);
    put<uint32_t>(out, member.local_crc.value_or(crc));
    put<uint32_t>(out, packed_size);
    put<uint32_t>(out, member.local_size.value_or(size));
    put<uint16_t>(out, static_cast<uint16_t>(local_name.size()));
    put<uint16_t>(out, 0);
    out += local_name + packed + layout.between;
    put<uint32_t>(directory, 0x02014b50);
    put<uint32_t>(directory, 20 | 20 << 16);
    put<uint16_t>(directory, flags);
    put<uint16_t>(directory, method);
    put<uint32_t>(directory, 0);
    put<uint32_t>(directory, crc);
    put<uint32_t>(directory, packed_size);
    put<uint32_t>(directory, size);
    put<uint16_t>(directory, static_cast<uint16_t>(member.name.size()));
    directory.append(12, '\0');
    put<uint32_t>(directory, offset);
    directory += member.name;
  }
  const auto at = static_cast<uint32_t>(out.size());
  out += directory;
  const auto count = static_cast<uint16_t>(members.size());
  if (layout.zip64) {
    const uint64_t record = out.size();
    put<uint32_t>(out, 0x06064b50);
    put<uint64_t>(out, 44);
    out.append(12, '\0');
    put<uint64_t>(out, layout.count64.value_or(count));
    put<uint64_t>(out, layout.count64.value_or(count));
    put<uint64_t>(out, directory.size());
    put<uint64_t>(out, at);
    put<uint32_t>(out, 0x07064b50);
    put<uint32_t>(out, 0);
    put<uint64_t>(out, record);
    put<uint32_t>(out, 1);
  }
  put<uint32_t>(out, 0x06054b50);
  put<uint32_t>(out, 0);
  put<uint16_t>(out, layout.count.value_or(count));
  put<uint16_t>(out, layout.count.value_or(count));
  put<uint32_t>(out, static_cast<uint32_t>(directory.size()));
  put<uint32_t>(out, layout.directory_offset.value_or(at));
  put<uint16_t>(out, 0);
  return out + layout.after;
}

inline std::string pickle_text(const std::string& text) {
  std::string out = "X";
  put<uint32_t>(out, static_cast<uint32_t>(text.size()));
  return out + text;
}

/// A float tensor: `storage` elements in record `key`, seen from `offset` with one size and stride.
struct PickledTensor {
  std::string key = "0";
  int32_t storage = 4, offset = 0, size = 4, stride = 1;
  std::string type = "FloatStorage";
};

inline std::string pickle_int(int32_t value) {
  std::string out = "J";
  put(out, value);
  return out;
}

inline std::string pickle_tensor(const PickledTensor& tensor) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickle_text("storage") + "ctorch\n" +
         tensor.type + "\n" + pickle_text(tensor.key) + pickle_text("cpu") +
         pickle_int(tensor.storage) + "tQ" + pickle_int(tensor.offset) + pickle_int(tensor.size) +
         "\x85" + pickle_int(tensor.stride) + "\x85\x89" + "ccollections\nOrderedDict\n)RtR";
}

/// An object of class __torch__.Net whose attributes are given as (name, pickled value).
inline std::string pickle_net(const std::vector<std::pair<std::string, std::string>>& attributes) {
  std::string out =
      "\x80\x02"
      "c__torch__\nNet\n)\x81}(";
  for (const auto& [name, value] : attributes) out += pickle_text(name) + value;
  return out + "ub.";
}

/// What torch.jit.save writes for one class Net, with `weight` of four floats.
struct ScriptFile {
  std::string code =
      "class Net(Module):\n"
      "  __parameters__ = [\"weight\", ]\n"
      "  __buffers__ = []\n"
      "  weight : Tensor\n"
      "  training : bool\n"
      "  def forward(self: __torch__.Net,\n"
      "    x: Tensor) -> Tensor:\n"
      "    weight = self.weight\n"
      "    return torch.mul(x, weight)\n";
  std::string data = pickle_net({{"weight", pickle_tensor({})}, {"training", "\x89"}});
  std::string weight = std::string("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40", 16);
  std::string version = "3\n";

  std::vector<ZipMember> members() const {
    return {{"net/data.pkl", data},
            {"net/code/__torch__.py", code, true},
            {"net/data/0", weight},
            {"net/constants.pkl", "\x80\x02)."},
            {"net/version", version}};
  }
  std::string bytes() const { return zip_bytes(members()); }
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace lathe

#include "os/zip_archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kDescriptor = 0x08074b50;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint16_t kEncrypted = 1 << 0 | 1 << 6 | 1 << 13, kSizesFollow = 1 << 3;
constexpr size_t kMaxNameBytes = 4096;

using Bytes = std::span<const std::byte>;

template <class T>
T load(Bytes bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Reads fields in order; running over the end is the archive's fault.
class Fields {
 public:
  Fields(Bytes bytes, std::string_view where) : bytes_(bytes), where_(where) {}
  template <class T>
  T next() {
    return load<T>(take(sizeof(T)), 0);
  }
  Bytes take(uint64_t count) {
    if (count > bytes_.size())
      throw bad_input("zip.damaged", "a header of the archive ends early", std::string(where_));
    const Bytes out = bytes_.first(static_cast<size_t>(count));
    bytes_ = bytes_.subspan(static_cast<size_t>(count));
    return out;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  Bytes bytes_;
  std::string_view where_;
};

struct Directory {
  uint64_t entries = 0, bytes = 0, offset = 0;
  uint64_t end = 0;  // where the end records begin
};

Directory find_directory(Bytes archive, std::string_view where) {
  const auto broken = [&](const char* id, std::string what) {
    return bad_input(id, std::move(what), std::string(where), "copy or download the file again");
  };
  const size_t size = archive.size();
  if (size < kEndBytes || load<uint32_t>(archive, size - kEndBytes) != kEnd) {
    const std::string_view text(reinterpret_cast<const char*>(archive.data()), size);
    const size_t last = text.rfind("PK\x05\x06");
    if (last == text.npos)
      throw broken("zip.truncated", "the archive has no directory at its end: it was cut");
    throw broken("zip.extra_bytes", fmt::format("there are {} bytes after the archive's end",
                                                size - std::min(size, last + kEndBytes)));
  }
  Fields end(archive.subspan(size - kEndBytes + 4), where);
  const auto disk = end.next<uint16_t>(), directory_disk = end.next<uint16_t>();
  const auto here = end.next<uint16_t>(), total = end.next<uint16_t>();
  const auto bytes = end.next<uint32_t>(), offset = end.next<uint32_t>();
  if (end.next<uint16_t>() != 0)
    throw broken("zip.extra_bytes", "the archive's end carries a comment");
  Directory out{total, bytes, offset, size - kEndBytes};
  bool one_disk = disk == 0 && directory_disk == 0 && here == total;
  const bool has64 = size >= kEndBytes + kLocator64Bytes + kEnd64Bytes &&
                     load<uint32_t>(archive, size - kEndBytes - kLocator64Bytes) == kLocator64;
  if (has64) {
    const size_t locator_at = size - kEndBytes - kLocator64Bytes;
    Fields locator(archive.subspan(locator_at + 4), where);
    const auto record_disk = locator.next<uint32_t>();
    const auto record_at = locator.next<uint64_t>();
    const auto disks = locator.next<uint32_t>();
    if (record_at != locator_at - kEnd64Bytes || load<uint32_t>(archive, record_at) != kEnd64)
      throw broken("zip.headers_differ", "the zip64 end record is not where the archive says");
    Fields record(archive.subspan(record_at + 4, kEnd64Bytes - 4), where);
    if (record.next<uint64_t>() != kEnd64Bytes - 12)
      throw broken("zip.headers_differ", "the zip64 end record has another size than it says");
    record.take(4);  // versions
    const auto disk64 = record.next<uint32_t>(), directory_disk64 = record.next<uint32_t>();
    const auto here64 = record.next<uint64_t>(), total64 = record.next<uint64_t>();
    const auto bytes64 = record.next<uint64_t>(), offset64 = record.next<uint64_t>();
    // A value that fits must be the same in both records; all ones stands for "see zip64".
    const auto differs = [](uint64_t narrow, uint64_t wide, uint64_t ones) {
      return narrow != ones && narrow != wide;
    };
    if (differs(total, total64, 0xffff) || differs(bytes, bytes64, 0xffffffff) ||
        differs(offset, offset64, 0xffffffff))
      throw broken("zip.headers_differ", "the archive's two end records disagree");
    one_disk = one_disk && record_disk == 0 && disks <= 1 && disk64 == 0 && directory_disk64 == 0 &&
               here64 == total64;
    out = {total64, bytes64, offset64, record_at};
  }
  if (!one_disk) throw broken("zip.damaged", "the archive is a part of several disks");
  if (out.entries > static_cast<uint64_t>(kMaxZipEntries))
    throw over_limit(
        "zip.entries",
        fmt::format("the archive has {} entries, the limit is {}", out.entries, kMaxZipEntries),
        std::string(where));
  if (out.offset > out.end || out.bytes != out.end - out.offset)
    throw broken("zip.headers_differ", "the archive's directory is not where its end says");
  return out;
}

void check_name(std::string_view name, const std::string& where) {
  const auto bad = [&](const char* why) {
    return bad_input("zip.name", fmt::format("an entry's name {}", why), where);
  };
  if (name.empty() || name.size() > kMaxNameBytes) throw bad("is empty or too long");
  if (name.find('\0') != name.npos || name.find('\\') != name.npos)
    throw bad("holds a NUL byte or a backslash");
  if (name.front() == '/' || (name.size() > 1 && name[1] == ':')) throw bad("is an absolute path");
  if (name.back() == '/') name.remove_suffix(1);
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") throw bad("leaves the archive's directory");
    begin = end + 1;
  }
}

struct Sizes {
  uint64_t bytes = 0, packed = 0, offset = 0;
};

// The zip64 extra field holds, in this order, those of the three that are all ones in the header.
void widen(Bytes extra, Sizes& sizes, bool has_offset, const std::string& where) {
  Fields fields(extra, where);
  bool seen = false;
  while (!fields.empty()) {
    const auto id = fields.next<uint16_t>();
    const auto length = fields.next<uint16_t>();
    Fields body(fields.take(length), where);
    if (id != 1) continue;
    if (seen) throw bad_input("zip.headers_differ", "an entry has two zip64 fields", where);
    seen = true;
    if (sizes.bytes == 0xffffffff) sizes.bytes = body.next<uint64_t>();
    if (sizes.packed == 0xffffffff) sizes.packed = body.next<uint64_t>();
    if (has_offset && sizes.offset == 0xffffffff) sizes.offset = body.next<uint64_t>();
  }
}

struct Placed {
  uint64_t begin = 0, end = 0;  // local header to last packed byte
  uint16_t flags = 0;
  std::string name;
};

std::string place(std::string_view where, std::string_view name) {
  return fmt::format("{}: {}", where, escape_untrusted(name));
}

// Checks the local header against the directory's and finds the entry's bytes.
Placed place_entry(Bytes archive, uint64_t directory_at, uint16_t flags, uint16_t method,
                   const Sizes& sizes, ZipEntry& entry, std::string_view where) {
  const std::string at = place(where, entry.name);
  const auto differ = [&](const char* what) {
    return bad_input(
        "zip.headers_differ",
        fmt::format("the directory and the entry's own header disagree about {}", what), at);
  };
  if (sizes.offset > directory_at) throw differ("its place");
  const Bytes before = archive.first(static_cast<size_t>(directory_at));
  const Bytes rest = before.subspan(static_cast<size_t>(sizes.offset));
  Fields local(rest, at);
  if (local.next<uint32_t>() != kLocal) throw differ("its place");
  local.take(2);
  if (local.next<uint16_t>() != flags) throw differ("its flags");
  if (local.next<uint16_t>() != method) throw differ("its compression");
  local.take(4);
  const auto crc = local.next<uint32_t>();
  Sizes own;
  own.packed = local.next<uint32_t>();
  own.bytes = local.next<uint32_t>();
  const auto name_bytes = local.next<uint16_t>(), extra_bytes = local.next<uint16_t>();
  const Bytes name = local.take(name_bytes);
  if (std::string_view(reinterpret_cast<const char*>(name.data()), name.size()) != entry.name)
    throw differ("its name");
  const Bytes extra = local.take(extra_bytes);
  if (own.bytes == 0xffffffff || own.packed == 0xffffffff) widen(extra, own, false, at);
  // With sizes that follow the data, the header may leave these out.
  const bool left_out =
      (flags & kSizesFollow) != 0 && crc == 0 && own.packed == 0 && own.bytes == 0;
  if (!left_out && (crc != entry.crc || own.packed != sizes.packed || own.bytes != sizes.bytes))
    throw differ("its size or CRC");
  const uint64_t header = 30 + uint64_t{name_bytes} + extra_bytes;
  if (sizes.packed > rest.size() - header) throw differ("its size");
  entry.packed = rest.subspan(static_cast<size_t>(header), static_cast<size_t>(sizes.packed));
  return {sizes.offset, sizes.offset + header + sizes.packed, flags, entry.name};
}

// Bytes between entries: nothing, or the sizes that follow an entry's data.
bool is_descriptor(Bytes gap, const Placed& placed) {
  if ((placed.flags & kSizesFollow) == 0) return gap.empty();
  if (gap.size() == 12 || gap.size() == 20) return true;
  return (gap.size() == 16 || gap.size() == 24) && load<uint32_t>(gap, 0) == kDescriptor;
}

void check_places(Bytes archive, uint64_t directory_at, std::vector<Placed>& placed,
                  std::string_view where) {
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  if (!placed.empty() && placed.front().begin != 0)
    throw bad_input("zip.extra_bytes", "there are bytes before the archive's first entry",
                    std::string(where));
  for (size_t i = 0; i < placed.size(); ++i) {
    const uint64_t next = i + 1 < placed.size() ? placed[i + 1].begin : directory_at;
    if (placed[i].end > next)
      throw bad_input("zip.overlap", "entries of the archive overlap",
                      place(where, placed[i].name));
    if (!is_descriptor(archive.subspan(placed[i].end, next - placed[i].end), placed[i]))
      throw bad_input(
          "zip.extra_bytes",
          fmt::format("{} bytes after this entry belong to nothing", next - placed[i].end),
          place(where, placed[i].name));
  }
}

}  // namespace

std::vector<ZipEntry> read_zip(Bytes archive, std::string_view where) {
  const Directory directory = find_directory(archive, where);
  Fields fields(
      archive.subspan(static_cast<size_t>(directory.offset), static_cast<size_t>(directory.bytes)),
      where);
  std::vector<ZipEntry> entries;
  std::vector<Placed> placed;
  std::set<std::string> names;
  uint64_t packed = 0, unpacked = 0;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (fields.next<uint32_t>() != kCentral)
      throw bad_input("zip.damaged", "the archive's directory is damaged", std::string(where));
    fields.take(4);  // versions
    const auto flags = fields.next<uint16_t>(), method = fields.next<uint16_t>();
    fields.take(4);  // time
    ZipEntry entry;
    entry.crc = fields.next<uint32_t>();
    Sizes sizes;
    sizes.packed = fields.next<uint32_t>();
    sizes.bytes = fields.next<uint32_t>();
    const auto name_bytes = fields.next<uint16_t>(), extra_bytes = fields.next<uint16_t>(),
               comment_bytes = fields.next<uint16_t>(), disk = fields.next<uint16_t>();
    fields.take(6);  // attributes
    sizes.offset = fields.next<uint32_t>();
    const Bytes name = fields.take(name_bytes);
    entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    const std::string at = place(where, entry.name);
    widen(fields.take(extra_bytes), sizes, true, at);
    fields.take(comment_bytes);
    check_name(entry.name, at);
    if (disk != 0) throw bad_input("zip.damaged", "the entry lies on another disk", at);
    if ((flags & kEncrypted) != 0) throw bad_input("zip.encrypted", "the entry is encrypted", at);
    if (method != 0 && method != Z_DEFLATED)
      throw bad_input("zip.method", fmt::format("compression method {} is not read", method), at);
    entry.deflated = method == Z_DEFLATED;
    entry.bytes = sizes.bytes;
    if (!entry.deflated && sizes.bytes != sizes.packed)
      throw bad_input("zip.headers_differ", "a stored entry has two different sizes", at);
    if (!names.insert(entry.name).second)
      throw bad_input("zip.duplicate", "two entries have this name", at);
    placed.push_back(place_entry(archive, directory.offset, flags, method, sizes, entry, where));
    if (__builtin_add_overflow(packed, sizes.packed, &packed) ||
        __builtin_add_overflow(unpacked, sizes.bytes, &unpacked) ||
        (unpacked > kZipFreeBytes && unpacked / kMaxZipRatio > packed))
      throw over_limit(
          "zip.ratio",
          fmt::format("the archive unpacks to more than {} times its size", kMaxZipRatio), at);
    if (entry.name.back() != '/') {
      entries.push_back(std::move(entry));
    } else if (sizes.bytes != 0) {
      throw bad_input("zip.name", "a directory has contents", at);
    }
  }
  if (!fields.empty())
    throw bad_input("zip.headers_differ", "the archive's directory has more bytes than entries",
                    std::string(where));
  check_places(archive, directory.offset, placed, where);
  return entries;
}

void visit_zip_entry(const ZipEntry& entry, std::string_view where,
                     const std::function<void(Bytes)>& visit) {
  const std::string at = place(where, entry.name);
  uLong crc = ::crc32(0, nullptr, 0);
  uint64_t total = 0;
  const auto pass = [&](Bytes part) {
    total += part.size();
    if (total > entry.bytes)
      throw bad_input("zip.damaged", "the entry is longer than the archive says", at);
    crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
    visit(part);
  };
  if (!entry.deflated) {
    pass(entry.packed);
  } else {
    z_stream stream{};
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK)
      throw over_limit("zip.memory", "no memory to unpack the entry", at);
    const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, ::inflateEnd);
    std::array<std::byte, 65536> block;
    Bytes left = entry.packed;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
      if (stream.avail_in == 0 && !left.empty()) {
        const Bytes part = left.first(std::min<size_t>(left.size(), size_t{1} << 30));
        left = left.subspan(part.size());
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(part.data()));
        stream.avail_in = static_cast<uInt>(part.size());
      }
      stream.next_out = reinterpret_cast<Bytef*>(block.data());
      stream.avail_out = static_cast<uInt>(block.size());
      state = ::inflate(&stream, Z_NO_FLUSH);
      if (state != Z_OK && state != Z_STREAM_END)
        throw bad_input("zip.damaged", "the entry's compressed bytes are damaged", at);
      pass(Bytes(block).first(block.size() - stream.avail_out));
    }
    if (stream.avail_in != 0 || !left.empty())
      throw bad_input("zip.damaged", "the entry has bytes after its end", at);
  }
  if (total != entry.bytes)
    throw bad_input("zip.damaged", "the entry is shorter than the archive says", at);
  if (crc != entry.crc)
    throw bad_input(
        "zip.crc",
        fmt::format("the entry's bytes are damaged: CRC {:08x} instead of {:08x}", crc, entry.crc),
        at, "copy or download the file again");
}

std::string zip_entry_text(const ZipEntry& entry, std::string_view where, uint64_t max_bytes) {
  if (entry.bytes > max_bytes)
    throw over_limit(
        "zip.entry_size",
        fmt::format("the entry holds {} bytes; at most {} are read", entry.bytes, max_bytes),
        place(where, entry.name));
  std::string out;
  visit_zip_entry(entry, where, [&](Bytes part) {
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return out;
}

}  // namespace lathe

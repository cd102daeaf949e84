// Zip archives from strangers (PKWARE APPNOTE 6.3.9): the central directory is walked here and held
// against the local headers, so that every reader sees the same members; nothing is unpacked before
// the limits are checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

constexpr int64_t kMaxZipEntries = 10'000;
/// An archive may unpack to this much, or to kMaxZipRatio times its packed size if that is more.
constexpr uint64_t kZipFreeBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxZipRatio = 100;

struct ZipEntry {
  std::string name;
  bool deflated = false;
  uint64_t bytes = 0;  // unpacked
  uint32_t crc = 0;
  std::span<const std::byte> packed;  // in the archive
};

/// The entries in the order of the central directory; directories ("a/") are left out. Throws
/// Error:
/// - exit 3 for damage and for everything that readers understand differently: headers that
///   disagree, overlapping or repeated entries, names that leave the directory ("..", absolute,
///   drive, backslash), bytes that belong to no entry, encryption, other compression, several
///   disks;
/// - exit 8 for more than kMaxZipEntries entries or more than kMaxZipRatio expansion.
/// Ids: zip.damaged zip.truncated zip.headers_differ zip.overlap zip.duplicate zip.name
/// zip.extra_bytes zip.encrypted zip.method zip.entries zip.ratio.
std::vector<ZipEntry> read_zip(std::span<const std::byte> archive, std::string_view where);

/// The entry's bytes, in pieces. Throws Error (exit 3, "zip.damaged" or "zip.crc") when they are
/// not exactly as many as the directory says or their CRC-32 differs.
void visit_zip_entry(const ZipEntry& entry, std::string_view where,
                     const std::function<void(std::span<const std::byte>)>& visit);

/// The whole entry. More than `max_bytes`: Error with exit 8 ("zip.entry_size").
std::string zip_entry_text(const ZipEntry& entry, std::string_view where, uint64_t max_bytes);

}  // namespace lathe

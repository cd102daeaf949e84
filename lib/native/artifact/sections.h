// The container of a .lathe file: sections with checksums.
//
//   0   8  "\x89LATHE\r\n"
//   8   4  version of the format
//  12   4  number of sections
//  16   8  bytes of the file
//  24   8  checksum of bytes 0..23 and of the table
//  32      the table: for each section kind (4), 0 (4), checksum (8), offset (8), bytes (8)
//          the sections in this order, each aligned, zeros between them, nothing behind
//
// All numbers are little-endian; checksums are those of checksum.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// The first bytes of a file.
constexpr std::string_view kPlanMagic = "\x89LATHE\r\n";
constexpr uint32_t kPlanFormatVersion = 4;

enum class SectionKind : uint32_t {
  kMetadata = 1,
  kSteps = 2,           // the plan's fields (plan_fields.h), but for the numbers of the batch
  kNumbers = 3,         // these, for batch 1
  kBatchTwo = 4,        // and for batch 2, where the batch is free
  kFallback = 5,        // ONNX files
  kConstants = 6,       // on a page's border, as all that follow
  kFirstOptional = 64,  // from here on: readers skip what they do not know
  kPackedTable = 64,    // which packed weights there are (packed_section.h)
  kPacked = 65,         // their bytes
};

struct Section {
  SectionKind kind{};
  std::string_view bytes;
};

/// Sections by ascending kind.
std::string join_sections(const std::vector<Section>& sections);

/// Checks everything that is not inside a section, and all checksums. Throws Error: exit 3
/// ("plan.format", "plan.truncated", "plan.checksum"), exit 6 ("plan.version").
std::map<SectionKind, std::span<const std::byte>> split_sections(std::span<const std::byte> file);

}  // namespace lathe

#include "artifact/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "artifact/checksum.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t sections;
  uint64_t bytes;
  uint64_t checksum;
};
static_assert(sizeof(Header) == 32 && sizeof(Header::magic) == kPlanMagic.size());

struct Entry {
  uint32_t kind;
  uint32_t zero;
  uint64_t checksum;
  uint64_t offset;
  uint64_t bytes;
};
static_assert(sizeof(Entry) == 32);

constexpr uint32_t kMostSections = 64;

uint64_t aligned(uint64_t offset, uint32_t kind) {
  const uint64_t alignment = kind >= static_cast<uint32_t>(SectionKind::kConstants) ? 4096 : 8;
  return (offset + alignment - 1) / alignment * alignment;
}

/// Of the header but for its checksum, and of the table.
uint64_t header_checksum(const Header& header, const std::vector<Entry>& table) {
  std::vector<std::byte> bytes(offsetof(Header, checksum) + table.size() * sizeof(Entry));
  std::memcpy(bytes.data(), &header, offsetof(Header, checksum));
  if (!table.empty())
    std::memcpy(bytes.data() + offsetof(Header, checksum), table.data(),
                table.size() * sizeof(Entry));
  return checksum(bytes);
}

Error damaged(std::string id, std::string message) {
  return bad_input(std::move(id), std::move(message), {}, "compile the model again");
}

Header read_header(std::span<const std::byte> file) {
  Header header;
  if (file.size() < sizeof header ||
      std::memcmp(file.data(), kPlanMagic.data(), kPlanMagic.size()) != 0)
    throw bad_input("plan.format", "this is no plan of lathe", {},
                    "lathe compile --target native writes plans");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.version != kPlanFormatVersion)
    throw bad_environment("plan.version",
                          fmt::format("the plan has format {}, this lathe reads format {}",
                                      header.version, kPlanFormatVersion),
                          {}, "compile the model again with this version");
  if (header.bytes != file.size())
    throw damaged("plan.truncated", fmt::format("the plan has {} bytes, of which {} are there",
                                                header.bytes, file.size()));
  return header;
}

std::vector<Entry> read_table(std::span<const std::byte> file, const Header& header) {
  if (header.sections > kMostSections ||
      header.sections * sizeof(Entry) > file.size() - sizeof(Header))
    throw damaged("plan.truncated", "the plan's table of sections is not whole");
  std::vector<Entry> table(header.sections);
  if (!table.empty())
    std::memcpy(table.data(), file.data() + sizeof(Header), table.size() * sizeof(Entry));
  if (header_checksum(header, table) != header.checksum)
    throw damaged("plan.checksum", "the plan's header is damaged");
  return table;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

std::string join_sections(const std::vector<Section>& sections) {
  Header header{};
  std::memcpy(header.magic, kPlanMagic.data(), sizeof header.magic);
  header.version = kPlanFormatVersion;
  header.sections = static_cast<uint32_t>(sections.size());
  std::vector<Entry> table;
  uint64_t end = sizeof header + sections.size() * sizeof(Entry);
  for (const Section& section : sections) {
    const auto kind = static_cast<uint32_t>(section.kind);
    const uint64_t offset = aligned(end, kind);
    table.push_back(
        {kind, 0, checksum(std::as_bytes(std::span(section.bytes))), offset, section.bytes.size()});
    end = offset + section.bytes.size();
  }
  header.bytes = end;
  header.checksum = header_checksum(header, table);
  std::string file(end, '\0');
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + sizeof header, table.data(), table.size() * sizeof(Entry));
  for (size_t i = 0; i < sections.size(); ++i)
    sections[i].bytes.copy(file.data() + table[i].offset, sections[i].bytes.size());
  return file;
}

std::map<SectionKind, std::span<const std::byte>> split_sections(std::span<const std::byte> file) {
  const Header header = read_header(file);
  std::map<SectionKind, std::span<const std::byte>> sections;
  uint64_t end = sizeof header + header.sections * sizeof(Entry);
  uint32_t before = 0;
  for (const Entry& entry : read_table(file, header)) {
    const uint64_t offset = aligned(end, entry.kind);
    if (entry.kind <= before || entry.zero != 0 || entry.offset != offset || offset > file.size() ||
        entry.bytes > file.size() - offset || !all_zero(file.subspan(end, offset - end)))
      throw damaged("plan.truncated", "the plan's sections are not where they should be");
    const std::span<const std::byte> bytes = file.subspan(offset, entry.bytes);
    if (checksum(bytes) != entry.checksum)
      throw damaged("plan.checksum", fmt::format("section {} of the plan is damaged", entry.kind));
    sections.emplace(static_cast<SectionKind>(entry.kind), bytes);
    before = entry.kind;
    end = offset + entry.bytes;
  }
  if (end != file.size())
    throw damaged("plan.truncated", "something stands behind the plan's sections");
  return sections;
}

}  // namespace lathe

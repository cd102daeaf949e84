#include "artifact/packed_section.h"

#include <utility>
#include <vector>

#include "artifact/plan_archive.h"
#include "artifact/plan_fields.h"
#include "ir/error.h"

namespace lathe {

/// Where an array lies in the section.
struct PackedEntry {
  PackedKey key;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

void fields(auto& a, Is<PackedEntry> auto& s) {
  a(s.key.constant, s.key.part, s.key.layout, s.offset, s.bytes);
}

PackedSection write_packed_section(const std::string& packing_key,
                                   const std::map<PackedKey, PackedArray>& arrays) {
  PackedSection section;
  std::vector<PackedEntry> entries;
  for (const auto& [key, array] : arrays) {
    constexpr size_t kAlignment = PackedWeights::kAlignment;
    section.bytes.resize((section.bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
    entries.push_back({key, section.bytes.size(), array.bytes.size()});
    section.bytes.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  }
  PlanWriter writer;
  writer(packing_key, entries);
  section.table = std::move(writer.bytes);
  return section;
}

std::map<PackedKey, PackedArray> read_packed_section(std::span<const std::byte> table,
                                                     std::span<const std::byte> bytes,
                                                     const std::shared_ptr<const void>& keeper,
                                                     std::string& packing_key) {
  std::vector<PackedEntry> entries;
  PlanReader reader(table);
  reader(packing_key, entries);
  reader.end();
  std::map<PackedKey, PackedArray> arrays;
  for (PackedEntry& entry : entries) {
    if (entry.offset % PackedWeights::kAlignment != 0 || entry.offset > bytes.size() ||
        entry.bytes > bytes.size() - entry.offset)
      throw bad_input("plan.invalid", "packed weights lie outside of their section", {},
                      "the plan is damaged, or no lathe made it");
    arrays.insert_or_assign(std::move(entry.key),
                            PackedArray{bytes.subspan(entry.offset, entry.bytes), keeper});
  }
  return arrays;
}

}  // namespace lathe

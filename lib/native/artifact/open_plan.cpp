#include "artifact/open_plan.h"

#include <cstring>

#include "artifact/sections.h"
#include "ir/error.h"
#include "os/mapped_file.h"
#include "os/read_file.h"

namespace lathe {

bool is_plan_file(const std::string& path) {
  InputFile in(path);
  std::byte head[kPlanMagic.size()] = {};
  return in.read(head) == kPlanMagic.size() &&
         std::memcmp(head, kPlanMagic.data(), kPlanMagic.size()) == 0;
}

PlanFile open_plan_file(const std::string& path) {
  const MappedFile file = map_file(std::filesystem::path(path));
  try {
    PlanFile plan = read_plan_file(file.bytes, file.owner);
    plan.plan.constants.on_give_back(drop_pages);
    plan.plan.constants.give_back();  // the checksum has read them
    return plan;
  } catch (const Error& error) {
    throw error.within(escape_untrusted(path));
  }
}

}  // namespace lathe

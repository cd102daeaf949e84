#include "artifact/open_plan.h"

#include <cstring>

#include "artifact/sections.h"
#include "os/read_file.h"

namespace lathe {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 40;

}  // namespace

bool is_plan_file(const std::string& path) {
  InputFile in(path);
  std::byte head[kPlanMagic.size()] = {};
  return in.read(head) == kPlanMagic.size() &&
         std::memcmp(head, kPlanMagic.data(), kPlanMagic.size()) == 0;
}

PlanFile open_plan_file(const std::string& path) {
  const std::string bytes = read_file(path, kMaxFileBytes);
  try {
    return read_plan_file({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  } catch (const Error& error) {
    throw error.within(path);
  }
}

}  // namespace lathe

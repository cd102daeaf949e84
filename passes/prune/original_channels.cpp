#include "prune/original_channels.h"

#include <nlohmann/json.hpp>

namespace lathe {
namespace {

constexpr const char* kKey = "lathe.prune.channels";
constexpr size_t kMaxBytes = size_t{1} << 22;
constexpr int64_t kMaxChannels = int64_t{1} << 31;

}  // namespace

std::map<std::string, int64_t> original_channels(const Model& model) {
  const auto found = model.metadata.find(kKey);
  if (found == model.metadata.end() || found->second.size() > kMaxBytes) return {};
  const nlohmann::json sizes = nlohmann::json::parse(found->second, nullptr, false);
  std::map<std::string, int64_t> original;
  if (!sizes.is_object()) return {};
  for (const auto& [group, size] : sizes.items())
    if (size.is_number_integer() && size > 0 && size < kMaxChannels)
      original[group] = size.get<int64_t>();
  return original;
}

std::map<std::string, std::string> original_channels_metadata(const Model& model,
                                                              const PrunePlan& plan) {
  std::map<std::string, int64_t> original = original_channels(model);
  for (const GroupPlan& group : plan.groups)
    if (static_cast<int32_t>(group.kept.size()) < group.size)
      original.try_emplace(group.name, group.size);
  if (original.empty() || plan.removed == 0) return {};
  nlohmann::json sizes = nlohmann::json::object();
  for (const auto& [group, size] : original) sizes[group] = size;
  return {{kKey, sizes.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)}};
}

}  // namespace lathe

// How many channels a pruned model's groups had at first: kept in its metadata, so that 30 % of a
// model that was pruned by 30 % is nothing more.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/model.h"
#include "prune/prune_plan.h"

namespace lathe {

/// By group; empty for a model that was never pruned or whose metadata are broken.
std::map<std::string, int64_t> original_channels(const Model& model);

/// Entries to add to the model's metadata after `plan`: empty when nothing is removed.
std::map<std::string, std::string> original_channels_metadata(const Model& model,
                                                              const PrunePlan& plan);

}  // namespace lathe

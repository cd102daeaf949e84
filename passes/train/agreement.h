// What processes that train together must know of each other.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "ir/error.h"
#include "train/optimizer.h"
#include "train/processes.h"

namespace lathe {

/// Rank 0's text, in all.
std::string text_of_first(Processes& processes, const std::string& own);

/// The same error in all: of those that any process brings the one with the least `order` (from 0),
/// of the lowest rank; nothing when no process brings one.
std::optional<Error> first_error(Processes& processes, const std::optional<Error>& own,
                                 int64_t order = 0);

/// Throws Error (exit 2) in all, naming the first key that a process has another value for than
/// rank 0.
void require_same(Processes& processes, const std::map<std::string, std::string>& recipe);

/// Every gradient becomes its sum over all processes, in buckets of 25 MB (10^6 bytes) that hold
/// the parameters in order; none counts as 0, and who has none anywhere keeps none.
void sum_gradients(const Parameters& parameters, Processes& processes);

}  // namespace lathe

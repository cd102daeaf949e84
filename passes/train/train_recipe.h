// What makes one training run different from another.
#pragma once

#include <map>
#include <string>

#include "train/train.h"

namespace lathe {

/// TrainOptions::recipe and every option that changes the result, with the number of samples: key
/// to value. Not how the work is divided, into processes or parts of a batch.
std::map<std::string, std::string> full_recipe(const TrainOptions& options, size_t samples);

/// Throws Error (exit 2) for options that make no sense, alone or together.
void check_train_options(const TrainOptions& options);

}  // namespace lathe

// TrainingOptions as train() takes them, and what must be the same for a resume.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "commands/training/fine_tune.h"

namespace lathe {

/// Of the hexadecimal digits of a hash so many are kept.
constexpr size_t kHashDigits = 16;

/// Epochs, batch, optimizer and learning rate. Throws Error (exit 2) for values out of range.
TrainOptions train_options(const TrainingOptions& options, size_t samples, uint64_t seed);

/// Hashes of models and data, and every option that changes the result but is not in TrainOptions.
std::map<std::string, std::string> training_recipe(const FineTuneTask& task);

/// DIR/training.checkpoint; DIR is created. Empty without --checkpoint. Throws Error (exit 2) when
/// there is a checkpoint and neither --resume nor `replace`, and for --resume without --checkpoint;
/// exit 9 when the folder cannot be made.
std::string checkpoint_file(const TrainingOptions& options, bool replace);

}  // namespace lathe

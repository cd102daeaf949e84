// A training run on disk: a file and the one before it, written atomically, refused when a single
// bit is wrong.
#pragma once

#include <map>
#include <string>

#include "ir/tensor.h"

namespace lathe {

struct Checkpoint {
  /// What the run was started with (model, data, optimizer, seed, …): key to value.
  std::map<std::string, std::string> recipe;
  std::map<std::string, Tensor> tensors;

  /// Throws Error (exit 2, naming what is missing) unless there is one of this dtype and shape.
  const Tensor& tensor(const std::string& name, DType dtype, const Shape& shape) const;
};

/// The file's bytes: magic, recipe, tensors, SHA-256 over all of it. Little-endian.
std::string checkpoint_bytes(const Checkpoint& checkpoint);
/// Throws Error (exit 2) for a file that is no checkpoint, was cut or damaged, or is of another
/// version. `name` is the file, for the message.
Checkpoint parse_checkpoint(const std::string& bytes, const std::string& name);

/// Where save_checkpoint() keeps what was at `path` before: `path` + ".previous".
std::string previous_checkpoint(const std::string& path);

/// Replaces `path` atomically and keeps its former content as previous_checkpoint(): at every
/// moment `path` or its previous is complete and on the disk, also when the process is killed.
/// Throws Error (exit 9); then both are as they were, or the new one is at `path` already.
void save_checkpoint(const std::string& path, const Checkpoint& checkpoint);

struct LoadedCheckpoint {
  Checkpoint checkpoint;
  bool previous = false;  // of previous_checkpoint(), since the newest cannot be used
  std::string why;        // what is wrong with the newest ("no such file")
};

/// The newest that is whole. Throws Error (exit 2) for the newest when neither is.
LoadedCheckpoint load_newest_checkpoint(const std::string& path);
/// The same without saying which.
Checkpoint load_checkpoint(const std::string& path);
/// Whether there is something to resume from, whole or not.
bool checkpoint_exists(const std::string& path);

/// Throws Error (exit 2) that names the first key in which the run of `checkpoint` differs.
void require_same_recipe(const Checkpoint& checkpoint,
                         const std::map<std::string, std::string>& recipe, const std::string& name);

}  // namespace lathe

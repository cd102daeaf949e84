// A training run on disk: one file, written atomically, refused when a single bit is wrong.
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

/// Replaces `path` atomically: until the new file is complete and on the disk, the old one stays.
/// Throws Error (exit 9).
void save_checkpoint(const std::string& path, const Checkpoint& checkpoint);
/// Throws Error (exit 2).
Checkpoint load_checkpoint(const std::string& path);

/// Throws Error (exit 2) that names the first key in which the run of `checkpoint` differs.
void require_same_recipe(const Checkpoint& checkpoint,
                         const std::map<std::string, std::string>& recipe, const std::string& name);

}  // namespace lathe

// The pickles inside a TorchScript archive, walked without being executed: only the opcodes that
// TorchScript's writer uses, only the names that its reader knows, and tensors that lie inside
// their storages. (torch/csrc/jit/serialization/pickler.h, unpickler.cpp; Python's pickletools.)
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

struct PickleContext {
  /// Is there code for this class ("__torch__.model", "Net") in the archive?
  std::function<bool(const std::string& module, const std::string& name)> has_class;
  /// Bytes of a storage by its key; nullopt when the archive has no such record.
  std::function<std::optional<uint64_t>(const std::string& key)> storage_bytes;
};

/// Throws Error that names `where` and, for damage, the offset: exit 3 with id
/// torchscript.pickle (damage, foreign opcodes), torchscript.global (a name that is no part of
/// TorchScript), torchscript.class (a compiled class that lathe does not know),
/// torchscript.delegate (parts compiled for a backend), torchscript.layout (sparse) or
/// torchscript.storage (a tensor outside its
/// storage, negative sizes or strides); exit 8 with id torchscript.pickle_size.
void scan_pickle(std::string_view pickle, const PickleContext& context, const std::string& where);

/// The names ("os.system") that an arbitrary pickle refers to, at most 20 of them, as far as it can
/// be read; for messages about files that are not TorchScript.
std::vector<std::string> pickle_globals(std::string_view pickle);

}  // namespace lathe

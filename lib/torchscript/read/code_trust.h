// Code that runs while LibTorch loads an archive: the __setstate__ methods of its classes, and all
// that they call. Packing quantized weights needs some; anything more needs the user's trust.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace lathe {

struct LoadTimeCode {
  std::string place;   // "code/__torch__/model.py:12"
  std::string reason;  // "calls torch.zeros"
};

/// The first thing found that does more than take apart the state, assign attributes, compare,
/// raise, pack quantized weights and call functions of the archive that do no more: other ops,
/// loops, unknown functions, and text that is not plain TorchScript. nullopt: nothing found.
/// `files` are the archive's .py files by name. Reads tokens, not syntax, and gives no benefit of
/// doubt.
std::optional<LoadTimeCode> find_load_time_code(const std::map<std::string, std::string>& files);

}  // namespace lathe

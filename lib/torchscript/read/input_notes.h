// What lathe writes into its own TorchScript files about the inputs: the format itself keeps no
// shapes. An extra file of the archive, one line an input: "float N,3,224,224", sizes or symbols.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Name of the extra file.
constexpr std::string_view kInputNotes = "lathe.inputs";
constexpr size_t kMaxInputNotesBytes = 64 << 10;

struct InputNote {
  DType dtype = DType::kFloat32;
  Dims dims;
};

/// Symbols become names of letters, digits and underscores; unnamed unknown sizes become "?".
std::string input_notes_text(const std::vector<InputNote>& inputs);
/// nullopt for anything that input_notes_text() does not write.
std::optional<std::vector<InputNote>> parse_input_notes(std::string_view text);

}  // namespace lathe

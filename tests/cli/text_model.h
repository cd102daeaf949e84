// Small models of ONNX text.
#pragma once

#include <string>

#include "onnx/text_form.h"
#include "onnx/write_model.h"
#include "scratch_directory.h"

namespace lathe {

/// Values from -0.5 to 0.5 for an initializer of a text: "{-0.5, -0.13, ...}".
inline std::string numbers(int count, int seed = 0) {
  std::string text = "{";
  for (int i = 0; i < count; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(0.01 * ((i * 37 + seed) % 101) - 0.5);
  return text + "}";
}

/// Writes the model of a text without its head (IR 8, opset 17). Returns the path.
inline std::string write_model(const ScratchDirectory& folder, const std::string& name,
                               const std::string& body) {
  const std::string text = "<ir_version: 8, opset_import: [\"\" : 17]>\n" + body;
  return folder.write(name, write_onnx(parse_text(text)).model_bytes);
}

}  // namespace lathe

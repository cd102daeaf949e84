// ONNX files of any opset from 1 to the newest -> Model in the internal form.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "ir/model.h"
#include "onnx/read_options.h"

namespace lathe {

/// The newest versions of onnx.proto that the reader knows (onnx 1.21).
constexpr int64_t kNewestReadableOpset = 26;
constexpr int64_t kNewestReadableIrVersion = 13;

/// Reads a model file, which may be hostile: no more memory than the options allow, no file outside
/// the model's directory. External data stays mapped. Of an operator set that is imported more than
/// once the last version counts, and Model::notes says so. Every Error names the file. Throws
/// Error: exit 3 for anything that is no valid ONNX model (what it is instead is named), exit 8
/// beyond a limit or from 2 GiB on.
Model load_onnx(const std::filesystem::path& file, const ReadOptions& options = {});

/// The same from memory; external data is looked for beneath `directory`, refused when it is empty.
/// `bytes` are no longer needed afterwards.
Model read_onnx(std::span<const std::byte> bytes, const std::filesystem::path& directory,
                const ReadOptions& options = {});

}  // namespace lathe

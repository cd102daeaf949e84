// TensorFlow Lite files (version 3 of the format) -> Model.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "ir/model.h"
#include "onnx/read_options.h"

namespace lathe {

/// By its first bytes; false, too, for what cannot be opened.
bool is_tflite_file(const std::filesystem::path& file);

/// Reads the file's first graph, which may be hostile: all offsets, indices, sizes and quantization
/// parameters are checked. Inputs and outputs keep names, order of dimensions (images: N, H, W, C)
/// and types; between them images are N, C, H, W, as ONNX has them, and quantized tensors are
/// integers behind QuantizeLinear and before DequantizeLinear. Custom code and operators without
/// ONNX form are refused. Every Error names the file. Throws Error: exit 3 for anything that is no
/// valid model, naming the operator; exit 8 beyond a limit.
Model load_tflite(const std::filesystem::path& file, const ReadOptions& options = {});

/// The same from memory, which is no longer needed afterwards.
Model read_tflite(std::span<const std::byte> bytes, const ReadOptions& options = {});

}  // namespace lathe

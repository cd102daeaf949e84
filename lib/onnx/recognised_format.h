// Files that are no ONNX model.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace lathe {

/// What the first bytes say about a file that is no ONNX model ("a gzip file"); empty when unknown.
std::string_view recognised_format(std::span<const std::byte> bytes);

}  // namespace lathe

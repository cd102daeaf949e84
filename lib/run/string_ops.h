// Ops on string tensors: https://onnx.ai/onnx/operators/ (StringNormalizer, StringConcat,
// StringSplit, Equal, Cast, CastLike) and the ops that only move elements about.
//
// Case: a-z and, as two bytes of UTF-8, the Latin-1 letters U+00E0..U+00FE (without the division
// sign) have a capital; every other character stays as it is, whatever the node's locale says.
// White space: the six characters of ASCII.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

/// Memory that the strings of one result may take.
constexpr int64_t kMaxStringBytes = int64_t{1} << 30;

/// Ops that exist for strings only.
bool is_string_op(OpKind kind);

/// nullopt when the node neither reads nor makes strings, or is no op on them. Throws Error: exit 3
/// for invalid attributes, shapes and texts that are no number, exit 8 past kMaxStringBytes.
std::optional<std::vector<RuntimeValue>> call_string_op(const Node& node,
                                                        std::span<const RuntimeValue> inputs);

}  // namespace lathe

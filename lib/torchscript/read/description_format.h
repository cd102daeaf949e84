// How the isolated reader tells what it found: a length-prefixed binary form of TorchModule, or of
// an error. Little-endian; integers of 4 and 8 bytes; strings and lists as count and content; every
// different tensor once, its bytes aligned to 16. The reader of it trusts nothing.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ir/error.h"
#include "torchscript/read/module_description.h"

namespace lathe {

/// Blocks inside blocks, types inside types, constants inside constants.
constexpr int kMaxDescriptionDepth = 64;

/// Takes pieces of the message in order.
using WriteBytes = std::function<void(std::string_view)>;

void write_description(const TorchModule& module, const WriteBytes& write);
void write_description_error(const Error& error, const WriteBytes& write);

/// The module that the message describes, its tensors referring to the message. An error in it is
/// thrown as Error with `where` put in front of its place; a message that breaks a rule (bounds,
/// counts, depth, value numbers, order of definition, bytes of tensors) as Error with exit 8,
/// id "torchscript.child_message".
TorchModule read_description(const std::shared_ptr<const std::string>& message,
                             std::string_view where);

}  // namespace lathe

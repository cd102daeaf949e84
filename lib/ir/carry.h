// State that a model takes and gives back: which output is the next step's input.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/model.h"

namespace lathe {

/// (output name, input name), in the order of the inputs' names.
using Carry = std::vector<std::pair<std::string, std::string>>;

/// What the model's metadata say ("lathe.carry.<input>": output); pairs that name no input or
/// output of the graph are passed over.
Carry carry_of(const Model& model);
void set_carry(Model& model, const Carry& carry);

/// A first state of more bytes than this is not kept in the metadata.
constexpr size_t kMaxInitialBytes = 64 << 10;

/// The tensor has the element type and all known sizes of `type`.
bool fits_type(const Tensor& tensor, const ValueType& type);

/// What carried inputs start from, by input name, where it is not zeros
/// ("lathe.initial.<input>": "int64 2x3 0a00…", little endian). Entries that do not fit the input's
/// type and known sizes, or cannot be read, are passed over.
std::map<std::string, Tensor> initial_state_of(const Model& model);
/// Returns false, and changes nothing, for a tensor that is too large or holds strings.
bool set_initial_state(Model& model, const std::string& input, const Tensor& tensor);

}  // namespace lathe

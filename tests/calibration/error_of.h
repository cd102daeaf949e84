#pragma once

#include <string>

#include "ir/error.h"

namespace lathe {

/// The id of the Error that `call` throws, with its exit code: "data.npy 3"; "" without error.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.id() + " " + std::to_string(static_cast<int>(error.code()));
  }
  return {};
}

}  // namespace lathe

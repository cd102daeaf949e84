// What stands behind the handles of the C API, and how exceptions become its statuses.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "api/lathe.h"
#include "api/loaded_plan.h"
#include "ir/error.h"

struct lathe_plan {
  explicit lathe_plan(lathe::LoadedPlan held) : loaded(std::move(held)) {}
  lathe::LoadedPlan loaded;
  std::string error;
};

namespace lathe {

inline void keep(std::string& text, const char* what) noexcept {
  try {
    text = what;
  } catch (...) {
    text.clear();
  }
}

/// Runs `body`; what it throws becomes a status and a text.
template <class Body>
lathe_status guarded(std::string& text, const Body& body) noexcept {
  try {
    text.clear();
    body();
    return LATHE_OK;
  } catch (const Error& error) {
    keep(text, error.what());
    switch (error.code()) {
      case ExitCode::kUsage: return LATHE_USAGE;
      case ExitCode::kEnvironment: return LATHE_ENVIRONMENT;
      case ExitCode::kLimit: return LATHE_LIMIT;
      default: return LATHE_BAD_INPUT;
    }
  } catch (const std::bad_alloc&) {
    keep(text, "there is not enough memory");
    return LATHE_LIMIT;
  } catch (const std::exception& error) {
    keep(text, error.what());
    return LATHE_INTERNAL;
  } catch (...) {
    keep(text, "an unknown error");
    return LATHE_INTERNAL;
  }
}

}  // namespace lathe

#include "kernels/cast.h"

#include "ir/error.h"

namespace lathe {
namespace {

template <class From, class To>
void cast_all(const void* from, void* to, int64_t count) {
  const auto* source = static_cast<const From*>(from);
  auto* target = static_cast<To*>(to);
  for (int64_t i = 0; i < count; ++i) target[i] = static_cast<To>(source[i]);
}

/// A file's bool may be any byte: read as one, and only zero is false.
template <class From>
void cast_to_bool(const void* from, void* to, int64_t count) {
  const auto* source = static_cast<const From*>(from);
  auto* target = static_cast<uint8_t*>(to);
  for (int64_t i = 0; i < count; ++i) target[i] = source[i] != 0 ? 1 : 0;
}

using Cast = void (*)(const void*, void*, int64_t);

template <class From>
Cast cast_from(DType to) {
  switch (to) {
    case DType::kBool: return cast_to_bool<From>;
    case DType::kInt32: return cast_all<From, int32_t>;
    case DType::kInt64: return cast_all<From, int64_t>;
    case DType::kFloat32: return cast_all<From, float>;
    default: return nullptr;
  }
}

Cast find_cast(DType from, DType to) {
  switch (from) {
    case DType::kBool:
    case DType::kUInt8: return cast_from<uint8_t>(to);
    case DType::kInt8: return cast_from<int8_t>(to);
    case DType::kInt32: return cast_from<int32_t>(to);
    case DType::kInt64: return cast_from<int64_t>(to);
    default: return nullptr;
  }
}

}  // namespace

bool can_cast(DType from, DType to) { return find_cast(from, to) != nullptr; }

void run_cast(DType from_type, const void* from, DType to_type, void* to, int64_t count) {
  const Cast cast = find_cast(from_type, to_type);
  if (cast == nullptr) throw InternalError("cast: pair of types");
  cast(from, to, count);
}

}  // namespace lathe

#include "api/checked_arrays.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {

void check_arrays(const std::vector<LoadedPort>& ports, int64_t rows, const void* const* data,
                  const size_t* bytes, size_t count, std::string_view what) {
  if (count != ports.size())
    throw bad_input("api.count",
                    fmt::format("{} {}s are given, the plan has {}", count, what, ports.size()));
  if (count > 0 && (data == nullptr || bytes == nullptr))
    throw bad_usage("api.null", fmt::format("null pointers for the {}s", what));
  for (size_t i = 0; i < count; ++i) {
    const auto where = [&] {
      return fmt::format("{} {} ({})", what, i, escape_untrusted(ports[i].name));
    };
    const size_t needed = ports[i].info.bytes * static_cast<size_t>(rows);
    if (bytes[i] != needed)
      throw bad_input(
          "api.bytes",
          fmt::format("{} bytes are given, {}{} {} are {} bytes", bytes[i],
                      rows == 1 ? "" : fmt::format("{} times ", rows), shape_text(ports[i].shape),
                      dtype_name(static_cast<DType>(ports[i].info.dtype)), needed),
          where());
    if (needed > 0 && data[i] == nullptr) throw bad_usage("api.null", "a null pointer", where());
    if (reinterpret_cast<uintptr_t>(data[i]) % ports[i].element_bytes != 0)
      throw bad_input("api.alignment", "the address is not aligned to its elements", where());
  }
}

}  // namespace lathe

#include "ir/shape_hint.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {

std::string input_shape_hint(const Value& input) {
  const Dims dims = input.type.dims.value_or(
      Dims{Dim::of(1), Dim::of(3), Dim::named("height"), Dim::named("width")});
  std::string sizes;
  for (size_t i = 0; i < dims.size(); ++i) {
    // Pixels of images; steps of sequences.
    const int64_t likely = i == 0 ? 1 : dims.size() == 4 ? 224 : 64;
    sizes += fmt::format("{}{}", i == 0 ? "" : "x", dims[i].known() ? dims[i].size : likely);
  }
  return fmt::format("fix it: --input-shape {}={}", escape_untrusted(input.name, 60), sizes);
}

}  // namespace lathe

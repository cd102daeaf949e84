#include <fmt/format.h>

#include "program/program.h"

namespace lathe {

std::string packing_key(const ProgramOptions& options) {
  return fmt::format("packing {}, kernels {}, {}{}", kPackingVersion, static_cast<int>(options.isa),
                     onednn_build(), options.onednn_products ? ", integer products" : "");
}

}  // namespace lathe

#include <array>

#include "torchscript/read/ops_forms.h"

namespace lathe {

ConvertAten find_aten_op(std::string_view kind) {
  const std::array families = {
      activation_aten_ops(), arithmetic_aten_ops(),    attention_aten_ops(), convolution_aten_ops(),
      creation_aten_ops(),   elementwise_aten_ops(),   generate_aten_ops(),  indexing_aten_ops(),
      matrix_aten_ops(),     normalization_aten_ops(), number_aten_ops(),    padding_aten_ops(),
      parts_aten_ops(),      pooling_aten_ops(),       quantized_aten_ops(), recurrent_aten_ops(),
      reduction_aten_ops(),  resize_aten_ops(),        shape_aten_ops(),     signal_aten_ops()};
  for (const std::span<const AtenRow> family : families)
    for (const AtenRow& row : family)
      if (row.kind == kind) return row.convert;
  return nullptr;
}

}  // namespace lathe

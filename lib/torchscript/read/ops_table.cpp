#include <map>
#include <sstream>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using AtenOps = std::map<std::string, ConvertAten, std::less<>>;

// Where two families list a kind, the first one's conversion counts.
AtenOps all_aten_ops() {
  AtenOps ops;
  for (const std::span<const AtenRow> family :
       {activation_aten_ops(),    arithmetic_aten_ops(), attention_aten_ops(),
        convolution_aten_ops(),   creation_aten_ops(),   elementwise_aten_ops(),
        generate_aten_ops(),      indexing_aten_ops(),   matrix_aten_ops(),
        normalization_aten_ops(), number_aten_ops(),     padding_aten_ops(),
        parts_aten_ops(),         pooling_aten_ops(),    quantized_aten_ops(),
        recurrent_aten_ops(),     reduction_aten_ops(),  resize_aten_ops(),
        shape_aten_ops(),         signal_aten_ops()})
    for (const AtenRow& row : family) {
      std::istringstream kinds{std::string(row.kinds)};
      for (std::string kind; kinds >> kind;)
        ops.emplace(kind.find("::") == std::string::npos ? "aten::" + kind : kind, row.convert);
    }
  return ops;
}

}  // namespace

ConvertAten find_aten_op(std::string_view kind) {
  static const AtenOps ops = all_aten_ops();
  const auto found = ops.find(kind);
  return found != ops.end() ? found->second : nullptr;
}

}  // namespace lathe

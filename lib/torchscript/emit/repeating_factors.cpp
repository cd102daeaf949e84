#include "torchscript/emit/repeating_factors.h"

#include <cmath>

namespace lathe {

std::optional<std::vector<double>> repeating_factors(const Graph& graph, const Node& node) {
  const Attributes& attributes = node.attributes;
  const std::optional<Dims>& dims = graph.value(node.input(0)).type.dims;
  if (attributes.string_or("mode", "nearest") != "nearest" || attributes.has("axes") || !dims ||
      dims->size() != 4)
    return std::nullopt;
  std::vector<double> factors;
  const Tensor* scales = graph.constant(node.input(2));
  const Tensor* sizes = graph.constant(node.input(3));
  if (scales != nullptr && scales->numel() == 4) {
    factors = scales->to_double();
  } else if (sizes != nullptr && sizes->numel() == 4 &&
             attributes.string_or("keep_aspect_ratio_policy", "stretch") == "stretch") {
    const std::vector<int64_t> wanted = sizes->to_int64();
    for (size_t i = 0; i < 4; ++i) {
      if (!(*dims)[i].known() || (*dims)[i].size == 0) return std::nullopt;
      factors.push_back(static_cast<double>(wanted[i]) / static_cast<double>((*dims)[i].size));
    }
  }
  if (factors.size() != 4 || factors[0] != 1 || factors[1] != 1) return std::nullopt;
  const std::string from = attributes.string_or("coordinate_transformation_mode", "half_pixel");
  const std::string nearest = attributes.string_or("nearest_mode", "round_prefer_floor");
  for (const size_t i : {size_t{2}, size_t{3}}) {
    const double factor = factors[i];
    if (factor < 1 || factor > 1024 || factor != std::floor(factor)) return std::nullopt;
    // Centres of equal shares never lie half way between two elements, so any rounding will do.
    const bool repeats = (from == "asymmetric" && nearest == "floor") ||
                         (from == "asymmetric" && nearest == "round_prefer_floor" && factor <= 2) ||
                         (from == "half_pixel" && nearest.starts_with("round"));
    if (!repeats && factor != 1) return std::nullopt;
  }
  return std::vector<double>{factors[2], factors[3]};
}

}  // namespace lathe

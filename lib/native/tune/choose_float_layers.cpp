#include "tune/choose_float_layers.h"

#include <algorithm>

#include "tune/paired_times.h"

namespace lathe {

std::set<std::string> choose_float_layers(std::vector<FloatLayer> layers,
                                          const IsFaster& is_faster) {
  const double kept = 1 - WinRule{}.least_gain;
  std::erase_if(layers, [&](const FloatLayer& layer) {
    return static_cast<double>(layer.float_ns) > kept * static_cast<double>(layer.integer_ns);
  });
  std::stable_sort(layers.begin(), layers.end(), [](const FloatLayer& a, const FloatLayer& b) {
    return a.integer_ns - a.float_ns > b.integer_ns - b.float_ns;
  });
  std::set<std::string> chosen;
  if (layers.empty()) return chosen;
  std::set<std::string> all;
  for (const FloatLayer& layer : layers) all.insert(layer.node);
  if (layers.size() > 1 && is_faster(chosen, all)) {
    chosen = all;
    for (size_t i = layers.size(); i-- > 0 && chosen.size() > 1;) {
      std::set<std::string> fewer = chosen;
      fewer.erase(layers[i].node);
      if (is_faster(chosen, fewer)) chosen = std::move(fewer);
    }
    return chosen;
  }
  for (const FloatLayer& layer : layers) {
    std::set<std::string> more = chosen;
    more.insert(layer.node);
    if (is_faster(chosen, more)) chosen = std::move(more);
  }
  return chosen;
}

}  // namespace lathe

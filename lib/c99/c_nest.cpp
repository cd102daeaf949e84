#include "c99/c_nest.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace lathe {

std::string c_nest(const Shape& shape, const std::vector<std::vector<int64_t>>& strides,
                   const NestBody& body) {
  struct Loop {
    int64_t count;
    std::vector<int64_t> steps;
  };
  std::vector<size_t> order;
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] != 1) order.push_back(d);
  std::ranges::stable_sort(order, std::greater(), [&](size_t d) { return strides[0][d]; });
  std::vector<Loop> loops;
  for (const size_t d : order) {
    Loop loop{shape[d], {}};
    for (const std::vector<int64_t>& array : strides) loop.steps.push_back(array[d]);
    bool joins = !loops.empty();
    for (size_t a = 0; joins && a < strides.size(); ++a)
      joins = loops.back().steps[a] == loop.steps[a] * loop.count;
    if (joins) {
      loops.back().count *= loop.count;
      loops.back().steps = std::move(loop.steps);
    } else {
      loops.push_back(std::move(loop));
    }
  }
  std::vector<std::string> indices(strides.size());
  std::string text = "  {\n";
  std::string indent = "    ";
  for (size_t i = 0; i < loops.size(); ++i)
    text += fmt::format("{}int32_t i{};\n", indent, i);
  for (size_t i = 0; i < loops.size(); ++i) {
    text += fmt::format("{0}for (i{1} = 0; i{1} < {2}; ++i{1})\n", indent, i, loops[i].count);
    indent += "  ";
    for (size_t a = 0; a < strides.size(); ++a) {
      const int64_t step = loops[i].steps[a];
      if (step == 0) continue;
      indices[a] += (indices[a].empty() ? "" : " + ") + fmt::format("i{}", i) +
                    (step == 1 ? "" : fmt::format(" * {}", step));
    }
  }
  for (std::string& index : indices)
    if (index.empty()) index = "0";
  return text + indent + body(indices) + "  }\n";
}

}  // namespace lathe

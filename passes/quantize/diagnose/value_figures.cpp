#include "quantize/diagnose/value_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/error.h"
#include "quantize/diagnose/local_errors.h"

namespace lathe {
namespace {

constexpr double kBulkPercent = 99.9;
constexpr size_t kMostExcluded = 4;

// Part of a bin [start, start + width) inside [low, high].
double inside(double start, double width, double low, double high) {
  return std::max(0.0, std::min(start + width, high) - std::max(start, low)) / width;
}

}  // namespace

double ValueFigures::sqnr_db() const { return ratio_db(mean_square, error); }

IntegerGrid grid_of(const QuantParams& params) {
  IntegerGrid grid;
  grid.qmin = static_cast<int32_t>(integer_min(params.dtype));
  grid.qmax = static_cast<int32_t>(integer_max(params.dtype));
  grid.symmetric = is_signed_integer(params.dtype) && params.zero_points.at(0) == 0;
  return grid;
}

ValueFigures value_figures(const Histogram& histogram, const QuantParams& params,
                           const Response& response) {
  ValueFigures figures;
  figures.step = params.scales.at(0);
  if (histogram.count() == 0) return figures;
  const IntegerGrid grid = grid_of(params);
  const double low = (grid.qmin - params.zero_points.at(0)) * figures.step;
  const double high = (grid.qmax - params.zero_points.at(0)) * figures.step;
  const double width = histogram.bin_width();
  const auto& bins = histogram.bins();
  const auto seen = [&response](double value) { return response ? response(value) : value; };
  double clipped = 0;
  double clipped_noise = 0;
  double squeezed = 0;
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] == 0) continue;
    const auto count = static_cast<double>(bins[i]);
    const double start = histogram.bin_start(static_cast<int>(i));
    const double center = start + width / 2;
    figures.mean_square += count * seen(center) * seen(center);
    squeezed +=
        count * (inside(start, width, 0, figures.step) + inside(start, width, 1 - figures.step, 1));
    // Half a step beyond the ends is rounding still.
    if (center >= low - figures.step / 2 && center <= high + figures.step / 2) continue;
    const double off = seen(center) - seen(std::clamp(center, low, high));
    clipped += count;
    clipped_noise += count * off * off;
  }
  const auto all = static_cast<double>(histogram.count());
  figures.mean_square /= all;
  figures.error = quantization_error(histogram, {low, high}, grid, response);
  figures.clipped_share = clipped / all;
  figures.clipped_noise =
      figures.error > 0 ? std::min(1.0, clipped_noise / (all * figures.error)) : 0;
  if (histogram.min() >= 0 && histogram.max() <= 1) figures.squeezed = squeezed / all;
  const Range bulk = percentile_range(histogram, kBulkPercent);
  const double bulk_width = std::max(bulk.max - bulk.min, width);
  figures.bulk_steps = bulk_width / figures.step;
  const double whole = static_cast<double>(histogram.max()) - histogram.min();
  figures.reach = std::max(1.0, whole / bulk_width);
  return figures;
}

std::string exclude_flag(std::string_view node) {
  std::string quoted;
  for (const char c : escape_untrusted(node, 4096)) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return fmt::format("--exclude '{}'", quoted);
}

std::string exclude_value_flags(const Graph& graph, const PrecisionPlan& plan, ValueId value) {
  std::set<NodeId> nodes;
  std::vector<ValueId> open{before_moves(graph, value)};
  std::set<ValueId> seen(open.begin(), open.end());
  for (const auto& [id, role] : plan.nodes)
    if (role != QuantRole::kMove && fused_output(graph, id) == open[0]) nodes.insert(id);
  while (!open.empty()) {
    const ValueId at = open.back();
    open.pop_back();
    for (const NodeId user : graph.value(at).users) {
      const auto found = plan.nodes.find(user);
      if (found == plan.nodes.end()) continue;
      if (found->second != QuantRole::kMove) {
        nodes.insert(user);
        continue;
      }
      for (const ValueId output : graph.node(user).outputs)
        if (output.valid() && seen.insert(output).second) open.push_back(output);
    }
  }
  if (nodes.size() > kMostExcluded) return {};
  std::string flags;
  for (const NodeId id : nodes) {
    if (!flags.empty()) flags += ' ';
    flags += exclude_flag(graph.node(id).name);
  }
  return flags;
}

}  // namespace lathe

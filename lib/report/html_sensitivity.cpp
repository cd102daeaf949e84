// Of prune: how much each group by itself can be pruned.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kCurves = 6;
constexpr size_t kSeenCurves = 12;
constexpr size_t kMaxColumns = 12;

struct GroupCurve {
  std::string group;
  std::string size;                // html
  std::map<double, double> value;  // by sparsity
  double loss = 0;                 // mean over the sparsities; above 0: worse than dense
};

struct Scan {
  std::string metric;
  std::optional<double> dense;
  std::vector<GroupCurve> curves;  // the most sensitive first
  double loss_of(double value) const {
    const double worse = dense.value_or(0) - value;
    return metric_grows_with_quality(metric) ? worse : -worse;
  }
};

Scan read_scan(const json& sensitivity) {
  Scan scan{text_field(sensitivity, "metric"), number_field(sensitivity, "dense"), {}};
  std::map<std::string, size_t> index;
  for (const json& row : list_field(sensitivity, "rows")) {
    const auto sparsity = number_field(row, "sparsity");
    const auto value = number_field(row, "value");
    if (!sparsity || !value) continue;
    const std::string group = text_field(row, "group");
    const auto [at, is_new] = index.emplace(group, scan.curves.size());
    if (is_new) scan.curves.push_back({group, shown_number(row, "size"), {}, 0});
    scan.curves[at->second].value[*sparsity] = *value;
  }
  for (GroupCurve& curve : scan.curves) {
    for (const auto& [sparsity, value] : curve.value) curve.loss += scan.loss_of(value);
    curve.loss /= static_cast<double>(curve.value.size());
  }
  std::stable_sort(scan.curves.begin(), scan.curves.end(),
                   [](const GroupCurve& a, const GroupCurve& b) { return a.loss > b.loss; });
  return scan;
}

std::string curves_figure(const Scan& scan) {
  const bool share = metric_is_share(scan.metric);
  Plot plot;
  plot.title = scan.curves.size() > kCurves ? "The most sensitive groups" : "Sensitivity by group";
  plot.x = {"channels of this one group that are gone", false, percent_tick, {}};
  plot.y = {scan.metric, false, share ? percent_tick : plain_tick, {}};
  if (scan.dense) {
    plot.rules = {*scan.dense};
    plot.description = fmt::format("Dense: {}. ", metric_text(scan.metric, *scan.dense));
  }
  for (const GroupCurve& curve : scan.curves) {
    if (plot.series.size() == kCurves) break;
    PlotSeries series{curve.group, {}, PlotMark::kLineAndDots};
    if (scan.dense && curve.value.begin()->first > 0) series.points.emplace_back(0, *scan.dense);
    series.points.insert(series.points.end(), curve.value.begin(), curve.value.end());
    const auto& [most, left] = *curve.value.rbegin();
    plot.description += fmt::format("{}: {} with {} gone. ", curve.group,
                                    metric_text(scan.metric, left), percent_tick(most));
    plot.series.push_back(std::move(series));
  }
  return svg_plot(plot);
}

// The deeper the colour, the more of the metric is lost; readable on light and on dark.
std::string heat_cell(const Scan& scan, double value, double worst) {
  const std::string text = metric_is_share(scan.metric) ? fmt::format("{:.1f} %", 100 * value)
                                                        : metric_text(scan.metric, value);
  const double share = worst > 0 ? std::clamp(scan.loss_of(value) / worst, 0.0, 1.0) : 0;
  if (share < 0.02) return text;
  return fmt::format(
      "<span style=\"background:rgba(208,112,32,{:.2f});padding:2px 0 2px 6px\">{}</span>",
      0.45 * share, text);
}

std::string heat_tables(const Scan& scan) {
  std::set<double> columns;
  double worst = 0;
  for (const GroupCurve& curve : scan.curves)
    for (const auto& [sparsity, value] : curve.value) {
      columns.insert(sparsity);
      worst = std::max(worst, scan.loss_of(value));
    }
  const size_t all_columns = columns.size();
  while (columns.size() > kMaxColumns) columns.erase(std::prev(columns.end()));
  HtmlTable table{fmt::format("{} when so much of the group is gone, the most sensitive first",
                              scan.metric.empty() ? "Metric" : scan.metric),
                  {"group", "size"},
                  "wn",
                  {}};
  for (const double sparsity : columns) {
    table.head.push_back(percent_tick(sparsity));
    table.align += 'n';
  }
  for (const GroupCurve& curve : scan.curves) {
    std::vector<std::string> cells{html_name(curve.group, 36), curve.size};
    for (const double sparsity : columns) {
      const auto at = curve.value.find(sparsity);
      cells.push_back(at == curve.value.end() ? "–" : heat_cell(scan, at->second, worst));
    }
    table.rows.push_back(std::move(cells));
  }
  std::string html;
  if (table.rows.size() > kSeenCurves + 3) {
    HtmlTable rest = table;
    rest.rows.erase(rest.rows.begin(),
                    rest.rows.begin() + static_cast<std::ptrdiff_t>(kSeenCurves));
    table.rows.resize(kSeenCurves);
    html =
        html_table(table) +
        html_details(fmt::format("{} less sensitive groups", rest.rows.size()), html_table(rest));
  } else {
    html = html_table(table);
  }
  if (all_columns > kMaxColumns)
    html += html_note(
        fmt::format("{} more sparsities are in the JSON report.", all_columns - kMaxColumns));
  return html;
}

}  // namespace

std::string html_sensitivity(const json& report) {
  const Scan scan = read_scan(field(report, "sensitivity"));
  if (scan.curves.empty()) return {};
  std::string html = "<div class=\"figures\">" + curves_figure(scan) + "</div>\n";
  html += heat_tables(scan);
  html += html_note(
      "One group at a time, everything else whole, nothing repaired. The dotted line is the dense "
      "model.");
  return html_section("sensitivity", "Sensitivity", html);
}

}  // namespace lathe

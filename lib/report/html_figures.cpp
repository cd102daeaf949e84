// Pictures of the bench page: distribution of latency, ratios block by block, curves of a sweep.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxCurves = 6;

std::string time_tick(double value) { return duration_text(value); }
std::string ratio_tick(double value) { return fmt::format("{:.3g}x", value); }

std::string bytes_tick(double value) { return bytes_text(std::llround(value)); }

AxisText quality_tick(const std::string& metric) {
  return metric_is_share(metric) ? percent_tick : plain_tick;
}

// Powers of two, about five of them.
std::vector<double> byte_ticks(double low, double high) {
  const double first = std::floor(std::log2(low));
  const double step = std::max(1.0, std::ceil((std::log2(high) - first) / 5));
  std::vector<double> ticks;
  for (double power = first; power <= std::log2(high) + step; power += step)
    ticks.push_back(std::exp2(power));
  return ticks;
}

struct Bin {
  double low = 0;
  double high = 0;
  double count = 0;
};

// samples.histogram.bins: objects {low, high, count} or arrays [low, high, count], nanoseconds.
std::vector<Bin> bins_of(const json& row) {
  std::vector<Bin> bins;
  for (const json& bin : list_field(field(field(row, "samples"), "histogram"), "bins")) {
    const bool list = bin.is_array() && bin.size() == 3;
    const auto low = list ? number_of(bin[0]) : number_field(bin, "low");
    const auto high = list ? number_of(bin[1]) : number_field(bin, "high");
    const auto count = list ? number_of(bin[2]) : number_field(bin, "count");
    if (low && high && count && *count >= 0 && *high >= *low) bins.push_back({*low, *high, *count});
  }
  return bins;
}

// Share of the samples that took no longer: a point at the end of each bin.
std::vector<std::pair<double, double>> cumulative(const std::vector<Bin>& bins) {
  double total = 0;
  for (const Bin& bin : bins) total += bin.count;
  std::vector<std::pair<double, double>> points;
  if (total <= 0) return points;
  double sum = 0;
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    if (points.empty()) points.emplace_back(bin.low, 0);
    sum += bin.count;
    points.emplace_back(bin.high, sum / total);
  }
  return points;
}

std::vector<const json*> rows_of(const json& report) {
  std::vector<const json*> rows;
  for (const json& row : list_field(report, "cases")) rows.push_back(&row);
  return rows;
}

// Labels of the cases that were compared, and of no others.
std::map<std::string, std::string> compared_labels(const json& report) {
  std::set<std::string> ids;
  for (const json& row : list_field(field(report, "comparison"), "cases"))
    ids.insert(text_field(row, "id"));
  std::vector<const json*> rows = rows_of(report);
  std::erase_if(rows, [&ids](const json* row) { return !ids.contains(text_field(*row, "id")); });
  return case_labels(report, rows);
}

std::string label_of(const std::map<std::string, std::string>& labels, const json& row) {
  const auto at = labels.find(text_field(row, "id"));
  return at == labels.end() ? text_field(row, "id") : at->second;
}

std::string distribution(const json& report) {
  const auto labels = case_labels(report, rows_of(report));
  Plot plot;
  plot.title = "Distribution of latency";
  plot.x = {"time of one inference", true, time_tick, {}};
  plot.y = {"share that was no slower", false, percent_tick, {}};
  plot.y_from_zero = true;
  for (const json& row : list_field(report, "cases")) {
    if (plot.series.size() == kMaxCurves) break;
    auto points = cumulative(bins_of(row));
    if (points.empty()) continue;
    const std::string name = label_of(labels, row);
    if (const auto median = number_field(field(row, "latency"), "median"))
      plot.description += fmt::format("{}: median {}. ", name, duration_text(*median));
    plot.series.push_back({name, std::move(points), PlotMark::kLine});
  }
  return svg_plot(plot);
}

std::string spread(const json& report) {
  const auto labels = case_labels(report, rows_of(report));
  RangePlot plot;
  plot.title = "Latency: minimum to maximum, middle half thick, median as a dot";
  plot.x = {"time of one inference", true, time_tick, {}};
  for (const json& row : list_field(report, "cases")) {
    const json& latency = field(row, "latency");
    const auto median = number_field(latency, "median");
    const auto low = number_field(latency, "min");
    const auto high = number_field(latency, "max");
    if (!median || !low || !high) continue;
    const double half = number_field(latency, "iqr").value_or(0) / 2;
    plot.rows.push_back({label_of(labels, row),
                         *low,
                         *high,
                         {std::max(*low, *median - half), std::min(*high, *median + half)},
                         *median,
                         duration_text(*median)});
    plot.description +=
        fmt::format("{}: {} to {}, median {}. ", label_of(labels, row), duration_text(*low),
                    duration_text(*high), duration_text(*median));
  }
  return svg_ranges(plot);
}

// Blocks of several processes one after the other; a cut where the next begins.
std::string blocks(const json& row, const std::string& label) {
  Plot plot;
  plot.title = "Ratio of each pair of blocks" + (label.empty() ? "" : ", " + label);
  plot.x = {"pair of blocks", false, plain_tick, {}};
  plot.y = {"model / baseline", true, ratio_tick, {}};
  plot.rules = {1};
  PlotSeries dots{"", {}, PlotMark::kDots};
  double index = 0;
  const auto add = [&](const json& value) {
    if (const auto ratio = number_of(value)) dots.points.emplace_back(++index, *ratio);
  };
  const json& ratios = list_field(row, "block_ratios");
  for (const json& one : ratios) {
    if (!one.is_array()) {
      add(one);
      continue;
    }
    if (index > 0) plot.cuts.push_back(index + 0.5);
    for (const json& inner : one) add(inner);
  }
  if (const auto ci = interval_field(field(row, "ratio")); ci && ci->first > 0)
    plot.bands.push_back(*ci);
  if (dots.points.size() < 3) return {};
  const double step = std::max(1.0, std::floor(index / 6));
  const double round = std::pow(10, std::floor(std::log10(step)));
  for (double tick = std::ceil(step / round) * round; tick <= index;
       tick += std::ceil(step / round) * round)
    plot.x.ticks.push_back(tick);
  plot.description = fmt::format(
      "{} pairs; the shaded band is the interval of the ratio, below 1 "
      "the model is faster than the baseline",
      dots.points.size());
  plot.series = {std::move(dots)};
  return svg_plot(plot);
}

std::string forest(const json& report) {
  const auto labels = compared_labels(report);
  RangePlot plot;
  plot.title = "Time against the baseline, with its interval";
  plot.description = "Left of 1 is faster. Shaded: changes too small to count. ";
  plot.x = {"model / baseline", true, ratio_tick, {}};
  plot.rules = {1};
  double delta = 0;
  for (const json& row : list_field(field(report, "comparison"), "cases")) {
    const auto ratio = number_field(row, "ratio");
    const auto ci = interval_field(field(row, "ratio"));
    if (!ratio || !ci) continue;
    delta = std::max(delta, number_field(row, "effective_delta").value_or(0));
    plot.rows.push_back({label_of(labels, row),
                         ci->first,
                         ci->second,
                         {*ratio, *ratio},
                         *ratio,
                         fmt::format("{:.3g}x, {}", *ratio, text_field(row, "verdict"))});
    plot.description += fmt::format("{}: {:.3g} ({:.3g} to {:.3g}). ", label_of(labels, row),
                                    *ratio, ci->first, ci->second);
  }
  if (delta > 0 && delta < 1) plot.bands.emplace_back(1 - delta, 1 + delta);
  return svg_ranges(plot);
}

struct SweepCurve {
  std::string name;
  std::map<double, std::pair<double, double>> points;  // x -> latency, items per second
};

double effective_threads(const json& row) {
  return number_field(field(row, "threads"), "effective").value_or(1);
}

// One curve for each way to run that stays the same along x.
std::vector<SweepCurve> curves_of(const json& report, bool over_batch) {
  std::map<std::string, SweepCurve> curves;
  std::set<std::string> models;
  std::set<std::string> engines;
  std::set<double> others;
  for (const json& row : list_field(report, "cases")) {
    models.insert(case_model(report, row));
    engines.insert(text_field(row, "engine"));
    others.insert(over_batch ? effective_threads(row) : number_field(row, "batch").value_or(1));
  }
  for (const json& row : list_field(report, "cases")) {
    const auto median = number_field(field(row, "latency"), "median");
    const auto rate = number_field(field(row, "throughput"), "items_per_s");
    const double batch = number_field(row, "batch").value_or(1);
    if (!median || !rate) continue;
    const double x = over_batch ? batch : effective_threads(row);
    const double other = over_batch ? effective_threads(row) : batch;
    std::string name = models.size() > 1 ? case_model(report, row) : "";
    const auto add = [&name](const std::string& text) {
      name += (name.empty() ? "" : ", ") + text;
    };
    if (engines.size() > 1) add(text_field(row, "engine"));
    if (others.size() > 1)
      add(over_batch ? fmt::format("{:g} {}", other, other == 1 ? "thread" : "threads")
                     : fmt::format("batch {:g}", other));
    if (text_field(row, "scenario") != "single" && !text_field(row, "scenario").empty())
      add(text_field(row, "scenario"));
    curves[name].name = name;
    curves[name].points[x] = {*median, *rate};
  }
  std::vector<SweepCurve> out;
  for (auto& [name, curve] : curves)
    if (curve.points.size() > 1 && out.size() < kMaxCurves) out.push_back(std::move(curve));
  return out;
}

std::string sweep(const json& report, bool over_batch) {
  const std::vector<SweepCurve> curves = curves_of(report, over_batch);
  const char* axis = over_batch ? "batch" : "threads";
  std::set<double> measured;
  for (const SweepCurve& curve : curves)
    for (const auto& [x, y] : curve.points) measured.insert(x);
  std::vector<double> ticks(measured.begin(), measured.end());
  if (ticks.size() > 8) ticks.clear();
  Plot time{fmt::format("Latency by {}", axis),
            {},
            {axis, true, plain_tick, ticks},
            {"median", true, time_tick, {}},
            {},
            {},
            {},
            {},
            false};
  Plot rate{fmt::format("Throughput by {}", axis),
            {},
            {axis, true, plain_tick, ticks},
            {"items per second", false, plain_tick, {}},
            {},
            {},
            {},
            {},
            true};
  for (const SweepCurve& curve : curves) {
    PlotSeries times{curve.name, {}, PlotMark::kLineAndDots};
    PlotSeries rates = times;
    for (const auto& [x, y] : curve.points) {
      times.points.emplace_back(x, y.first);
      rates.points.emplace_back(x, y.second);
      time.description +=
          fmt::format("{} at {} {:g}: {}. ", curve.name, axis, x, duration_text(y.first));
      rate.description += fmt::format("{} at {} {:g}: {:.4g}. ", curve.name, axis, x, y.second);
    }
    time.series.push_back(std::move(times));
    rate.series.push_back(std::move(rates));
  }
  return svg_plot(time) + svg_plot(rate);
}

// What one chooses between: speed against size or quality, the Pareto front as a line.
std::string choice(const json& report, bool by_size) {
  std::map<std::string, PlotSeries> series;
  PlotSeries front{"Pareto front", {}, PlotMark::kLineAndDots};
  std::set<double> values;
  std::string metric;
  for (const json& row : list_field(report, "cases")) {
    const auto median = number_field(field(row, "latency"), "median");
    const json& quality = field(row, "quality");
    const auto x = by_size ? number_field(row, "size_bytes") : number_of(quality);
    if (!median || !x || (by_size && *x <= 0)) continue;
    const std::string name = case_model(report, row);
    values.insert(*x);
    metric = text_field(quality, "metric");
    series[name].name = name;
    series[name].mark = PlotMark::kDots;
    series[name].points.emplace_back(*x, *median);
    if (field(field(row, "pareto"), "latency_bytes_quality") == true)
      front.points.emplace_back(*x, *median);
  }
  if (values.size() < 2) return {};
  Plot plot;
  plot.title = by_size ? "Size and speed" : "Quality and speed";
  plot.x = {
      by_size ? "file size" : metric, by_size, by_size ? bytes_tick : quality_tick(metric), {}};
  if (by_size) plot.x.ticks = byte_ticks(*values.begin(), *values.rbegin());
  plot.y = {"median", true, time_tick, {}};
  for (auto& [name, one] : series) {
    for (const auto& [x, y] : one.points)
      plot.description += fmt::format("{} {}: {}. ", name, plot.x.text(x), duration_text(y));
    if (plot.series.size() < kMaxCurves - 1) plot.series.push_back(std::move(one));
  }
  std::sort(front.points.begin(), front.points.end());
  if (!front.points.empty()) plot.series.push_back(std::move(front));
  return svg_plot(plot);
}

}  // namespace

std::string html_figures(const json& report) {
  const json& cases = list_field(report, "cases");
  if (cases.empty()) return {};
  std::string html = distribution(report);
  const std::string curves = sweep(report, true) + sweep(report, false) +
                             (cases.size() > 2 ? choice(report, true) + choice(report, false) : "");
  if (html.empty() && (curves.empty() || cases.size() <= 6)) html = spread(report);
  html += forest(report);
  size_t shown = 0;
  const auto labels = compared_labels(report);
  for (const json& row : list_field(field(report, "comparison"), "cases"))
    if (shown < 4)
      if (const std::string figure = blocks(row, labels.size() > 1 ? label_of(labels, row) : "");
          !figure.empty()) {
        html += figure;
        ++shown;
      }
  html += curves;
  if (html.empty()) return {};
  return html_section("figures", "Figures", "<div class=\"figures\">" + html + "</div>");
}

}  // namespace lathe

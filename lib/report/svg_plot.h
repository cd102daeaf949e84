// Plots as inline SVG, coloured by classes of html_style(). Sizes are chosen so that the labels
// stay readable when a phone shows the picture 330 pixels wide.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lathe {

using AxisText = std::string (*)(double value);

/// Four digits: "0.125", "1.2e+06".
std::string plain_tick(double value);
/// Of a share, three digits: "12.5 %".
std::string percent_tick(double value);

struct PlotAxis {
  std::string label;
  bool logarithmic = false;   // values are more than zero
  AxisText text = nullptr;    // of a tick
  std::vector<double> ticks;  // exactly these; empty: round values
};

enum class PlotMark { kLine, kSteps, kDots, kLineAndDots };

struct PlotSeries {
  std::string name;  // empty: not in the legend
  std::vector<std::pair<double, double>> points;
  PlotMark mark = PlotMark::kLine;
};

struct Plot {
  std::string title;        // what is seen; also the picture's accessible name
  std::string description;  // the same in words and figures, for those who do not see it
  PlotAxis x;
  PlotAxis y;
  std::vector<PlotSeries> series;                // at most 6 colours
  std::vector<double> rules;                     // horizontal lines
  std::vector<std::pair<double, double>> bands;  // horizontal, shaded
  std::vector<double> cuts;                      // vertical lines
  bool y_from_zero = false;
};

/// A figure with its caption; empty when no series has a point that can be shown.
std::string svg_plot(const Plot& plot);

struct RangeRow {
  std::string name;
  double low = 0;                   // thin line from here
  double high = 0;                  // to here
  std::pair<double, double> inner;  // thick line
  double mark = 0;                  // dot
  std::string text;                 // the figures in words
};

struct RangePlot {
  std::string title;
  std::string description;
  PlotAxis x;
  std::vector<RangeRow> rows;  // at most 24 are shown
  std::vector<double> rules;   // vertical lines
  std::vector<std::pair<double, double>> bands;
};

/// Rows of ranges on one axis: intervals of ratios, spread of latencies.
std::string svg_ranges(const RangePlot& plot);

/// Round values within [low, high], at most about `count`.
std::vector<double> axis_ticks(double low, double high, bool logarithmic, size_t count);

}  // namespace lathe

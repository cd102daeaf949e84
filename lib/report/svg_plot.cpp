#include "report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/html_text.h"

namespace lathe {
namespace {

constexpr double kWidth = 420;
constexpr double kLeft = 58;
constexpr double kRight = 408;
constexpr double kTop = 10;
constexpr double kBottom = 206;
constexpr size_t kMaxRanges = 24;
constexpr size_t kMaxPoints = 4000;

// Values to pixels.
class Scale {
 public:
  Scale(double low, double high, bool logarithmic, double from, double to)
      : low_(low), high_(high), logarithmic_(logarithmic), from_(from), to_(to) {}
  double operator()(double value) const {
    const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                      : (value - low_) / (high_ - low_);
    return from_ + std::clamp(share, -0.1, 1.1) * (to_ - from_);
  }

 private:
  double low_;
  double high_;
  bool logarithmic_;
  double from_;
  double to_;
};

class Extent {
 public:
  explicit Extent(bool logarithmic) : logarithmic_(logarithmic) {}
  bool takes(double value) const { return std::isfinite(value) && (!logarithmic_ || value > 0); }
  void add(double value) {
    if (!takes(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  // Room at both ends; a single value gets an axis, too.
  void widen(double share) {
    if (logarithmic_) {
      const double factor = std::max(std::pow(high / low, share), low == high ? 1.5 : 1.0);
      low /= factor;
      high *= factor;
    } else {
      double room = (high - low) * share;
      if (room <= 0) room = low == 0 ? 1 : std::fabs(low) / 4;
      low -= room;
      high += room;
    }
  }

  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

 private:
  bool logarithmic_;
};

std::string label(const PlotAxis& axis, double value) {
  return html_escape(axis.text != nullptr ? axis.text(value) : fmt::format("{:g}", value));
}

std::vector<double> ticks_of(const PlotAxis& axis, const Extent& extent, size_t count) {
  if (axis.ticks.empty()) return axis_ticks(extent.low, extent.high, axis.logarithmic, count);
  std::vector<double> ticks;
  for (const double tick : axis.ticks)
    if (tick >= extent.low && tick <= extent.high) ticks.push_back(tick);
  return ticks;
}

std::string path_of(const PlotSeries& series, const Scale& x, const Scale& y) {
  std::string out;
  double last = 0;
  for (const auto& [px, py] : series.points) {
    const double sx = x(px);
    const double sy = y(py);
    if (series.mark == PlotMark::kSteps && !out.empty())
      out += fmt::format("L{:.1f} {:.1f}", sx, last);
    out += fmt::format("{}{:.1f} {:.1f}", out.empty() ? 'M' : 'L', sx, sy);
    last = sy;
  }
  return out;
}

std::string begin_figure(const std::string& title, const std::string& description, double height) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1} {2}\" role=\"img\" "
      "aria-label=\"{0}\"><title>{0}</title><desc>{3}</desc>\n",
      html_escape(title), kWidth, height, html_escape(description));
}

// Below the axis, centred; moved inwards where the picture ends.
std::string x_label(double x, double y, const std::string& html) {
  const double half = 3.3 * static_cast<double>(html.size());
  const char* anchor = "middle";
  if (x + half > kWidth - 1) {
    anchor = "end";
    x = kWidth - 1;
  } else if (x - half < 1) {
    anchor = "start";
    x = 1;
  }
  return fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     html);
}

std::string x_ticks(const PlotAxis& axis, const Extent& extent, const Scale& x, double top,
                    double bottom) {
  std::string out;
  for (const double tick : ticks_of(axis, extent, 5))
    out += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>",
                       x(tick), top, bottom) +
           x_label(x(tick), bottom + 15, label(axis, tick));
  return out + fmt::format(
                   "<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>"
                   "<text x=\"{3}\" y=\"{4}\" text-anchor=\"middle\">{5}</text>\n",
                   x(extent.low), kRight, bottom, (x(extent.low) + kRight) / 2, bottom + 31,
                   html_escape(axis.label));
}

// Two names in a row, one when they are long; returns the height.
double legend(const std::vector<PlotSeries>& series, double top, std::string& out) {
  constexpr size_t kHalfRow = 26;
  size_t shown = 0;
  size_t columns = 2;
  for (const PlotSeries& one : series)
    if (shortened(one.name, kHalfRow) != one.name) columns = 1;
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].name.empty() || series[i].points.empty()) continue;
    const double x = shown % columns == 0 ? 12 : 216;
    const double y = top + 17 * static_cast<double>(shown / columns);
    ++shown;
    if (series[i].mark == PlotMark::kDots)
      out +=
          fmt::format("<circle class=\"f{}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", i % 6, x + 11, y - 4);
    else
      out += fmt::format("<line class=\"line k{0}\" x1=\"{1}\" x2=\"{2}\" y1=\"{3}\" y2=\"{3}\"/>",
                         i % 6, x, x + 22, y - 4);
    out += fmt::format("<text class=\"s\" x=\"{}\" y=\"{}\">{}</text>\n", x + 28, y,
                       html_escape(shortened(series[i].name, columns == 1 ? 56 : kHalfRow)));
  }
  return 17 * static_cast<double>((shown + columns - 1) / columns);
}

}  // namespace

std::string plain_tick(double value) { return fmt::format("{:.4g}", value); }

std::string percent_tick(double value) { return fmt::format("{:.3g} %", 100 * value); }

std::vector<double> axis_ticks(double low, double high, bool logarithmic, size_t count) {
  std::vector<double> ticks;
  if (!std::isfinite(low) || !std::isfinite(high) || low >= high || count == 0) return ticks;
  if (logarithmic && low > 0 && high / low > 5) {
    const double decades = std::log10(high / low);
    const bool halves = 3 * decades <= static_cast<double>(count) + 2;
    const double every = std::ceil(decades / static_cast<double>(count));
    for (double exponent = std::floor(std::log10(low)); exponent <= std::log10(high);
         exponent += every)
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double tick = digit * std::pow(10, exponent);
        if (tick >= low && tick <= high && (digit == 1.0 || halves)) ticks.push_back(tick);
      }
    return ticks;
  }
  const double rough = (high - low) / static_cast<double>(count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= rough * 0.999) {
      step = digit * power;
      break;
    }
  const double first = std::ceil(low / step - 1e-9);
  for (double n = first; n * step <= high + step * 1e-9 && ticks.size() < 2 * count + 2; ++n)
    ticks.push_back(n == 0 ? 0 : n * step);
  return ticks;
}

std::string svg_plot(const Plot& plot) {
  Extent xs(plot.x.logarithmic);
  Extent ys(plot.y.logarithmic);
  std::vector<PlotSeries> series = plot.series;
  for (PlotSeries& one : series) {
    std::erase_if(one.points,
                  [&](const auto& p) { return !xs.takes(p.first) || !ys.takes(p.second); });
    if (one.points.size() > kMaxPoints) one.points.resize(kMaxPoints);
    for (const auto& [x, y] : one.points) {
      xs.add(x);
      ys.add(y);
    }
  }
  if (xs.empty()) return {};
  for (const double rule : plot.rules) ys.add(rule);
  for (const auto& [low, high] : plot.bands) {
    ys.add(low);
    ys.add(high);
  }
  xs.widen(0.03);
  if (plot.y_from_zero) {
    ys.low = 0;
    ys.high = ys.high > 0 ? ys.high * 1.06 : 1;
  } else {
    ys.widen(0.06);
  }
  const Scale x(xs.low, xs.high, plot.x.logarithmic, kLeft, kRight);
  const Scale y(ys.low, ys.high, plot.y.logarithmic, kBottom, kTop);
  std::string body;
  for (const auto& [low, high] : plot.bands)
    body +=
        fmt::format("<rect class=\"band\" x=\"{}\" y=\"{:.1f}\" width=\"{}\" height=\"{:.1f}\"/>\n",
                    kLeft, y(high), kRight - kLeft, std::max(y(low) - y(high), 1.0));
  body += x_ticks(plot.x, xs, x, kTop, kBottom);
  for (const double tick : ticks_of(plot.y, ys, 7))
    body += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kRight, y(tick), kLeft - 6, y(tick) + 4, label(plot.y, tick));
  for (const double cut : plot.cuts)
    body +=
        fmt::format("<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>\n",
                    x(cut), kTop, kBottom);
  for (const double rule : plot.rules)
    body +=
        fmt::format("<line class=\"rule\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                    kLeft, kRight, y(rule));
  for (size_t i = 0; i < series.size(); ++i) {
    const PlotSeries& one = series[i];
    if (one.mark != PlotMark::kDots && one.points.size() > 1)
      body += fmt::format("<path class=\"line k{}\" d=\"{}\"/>\n", i % 6, path_of(one, x, y));
    if (one.mark == PlotMark::kDots || one.mark == PlotMark::kLineAndDots || one.points.size() == 1)
      for (const auto& [px, py] : one.points)
        body += fmt::format("<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", i % 6,
                            x(px), y(py), one.points.size() > 100 ? 1.6 : 3);
  }
  double height = kBottom + 38;
  std::string names;
  height += legend(series, height + 14, names);
  if (!names.empty()) height += 6;
  std::string title = plot.y.label.empty() ? plot.title : plot.title + " · " + plot.y.label;
  return begin_figure(title, plot.description, height) + body + names + "</svg></figure>\n";
}

std::string svg_ranges(const RangePlot& plot) {
  Extent xs(plot.x.logarithmic);
  std::vector<RangeRow> rows;
  for (const RangeRow& row : plot.rows)
    if (rows.size() < kMaxRanges && xs.takes(row.low) && xs.takes(row.high) && xs.takes(row.mark) &&
        xs.takes(row.inner.first) && xs.takes(row.inner.second))
      rows.push_back(row);
  for (const RangeRow& row : rows)
    for (const double value : {row.low, row.high, row.inner.first, row.inner.second, row.mark})
      xs.add(value);
  if (xs.empty()) return {};
  for (const double rule : plot.rules) xs.add(rule);
  for (const auto& [low, high] : plot.bands) {
    xs.add(low);
    xs.add(high);
  }
  xs.widen(0.05);
  constexpr double kRow = 42;
  const double bottom = kTop + kRow * static_cast<double>(rows.size());
  const Scale x(xs.low, xs.high, plot.x.logarithmic, 14, kRight);
  std::string body;
  for (const auto& [low, high] : plot.bands)
    body +=
        fmt::format("<rect class=\"band\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/>\n",
                    x(low), kTop, std::max(x(high) - x(low), 1.0), bottom - kTop);
  body += x_ticks(plot.x, xs, x, kTop, bottom);
  for (const double rule : plot.rules)
    body +=
        fmt::format("<line class=\"rule\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>\n",
                    x(rule), kTop, bottom);
  for (size_t i = 0; i < rows.size(); ++i) {
    const RangeRow& row = rows[i];
    const double y = kTop + kRow * static_cast<double>(i) + 29;
    body += fmt::format(
        "<text class=\"s\" x=\"14\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" "
        "text-anchor=\"end\">{}</text>\n",
        y - 13, html_escape(shortened(row.name, 30)), kRight, y - 13,
        html_escape(shortened(row.text, 36)));
    body += fmt::format(
        "<line class=\"k{0} solid thin\" x1=\"{1:.1f}\" x2=\"{2:.1f}\" y1=\"{3}\" y2=\"{3}\"/>"
        "<line class=\"k{0} solid thick\" x1=\"{4:.1f}\" x2=\"{5:.1f}\" y1=\"{3}\" y2=\"{3}\" "
        "stroke-opacity=\".55\"/><circle class=\"f{0}\" cx=\"{6:.1f}\" cy=\"{3}\" r=\"4.5\"/>\n",
        i % 2, x(row.low), x(row.high), y, x(row.inner.first), x(row.inner.second), x(row.mark));
  }
  return begin_figure(plot.title, plot.description, bottom + 38) + body + "</svg></figure>\n";
}

}  // namespace lathe

// Of quantize: the histogram of each integer value with the range that was chosen for it.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kPictures = 60;
constexpr size_t kMaxBars = 64;
constexpr double kBarsWidth = 160;
constexpr double kBarsHeight = 56;

struct Bars {
  double from = 0;
  double width = 0;
  std::vector<double> counts;
  double to() const { return from + width * static_cast<double>(counts.size()); }
};

Bars bars_of(const json& row) {
  const json& histogram = field(row, "histogram");
  Bars bars{number_field(histogram, "from").value_or(0),
            number_field(histogram, "width").value_or(0),
            {}};
  for (const json& count : list_field(histogram, "counts")) {
    if (bars.counts.size() == kMaxBars) break;
    bars.counts.push_back(std::max(0.0, number_of(count).value_or(0)));
  }
  if (!(bars.width > 0)) bars.counts.clear();
  return bars;
}

// Bars as one path: those that the range reaches, or the others.
std::string bars_path(const Bars& bars, double low, double high, bool held,
                      const std::function<double(double)>& x) {
  const double most = std::log1p(*std::max_element(bars.counts.begin(), bars.counts.end()));
  std::string path;
  for (size_t i = 0; i < bars.counts.size(); ++i) {
    if (bars.counts[i] <= 0) continue;
    const double left = bars.from + bars.width * static_cast<double>(i);
    if ((left + bars.width >= low && left <= high) != held) continue;
    const double tall = std::max(1.0, (kBarsHeight - 4) * std::log1p(bars.counts[i]) / most);
    const double a = x(left);
    path += fmt::format("M{:.1f} {}h{:.1f}v{:.1f}h-{:.1f}z", a, kBarsHeight,
                        std::max(0.8, x(left + bars.width) - a), -tall,
                        std::max(0.8, x(left + bars.width) - a));
  }
  return path;
}

std::string picture(const json& row) {
  const Bars bars = bars_of(row);
  const auto low = number_field(row, "min");
  const auto high = number_field(row, "max");
  if (bars.counts.empty() || !low || !high || !(*low < *high)) return {};
  const double left = std::min(bars.from, *low);
  const double right = std::max(bars.to(), *high);
  const auto x = [left, right](double value) {
    return kBarsWidth * (value - left) / (right - left);
  };
  const std::string name = text_field(row, "value");
  const std::string words = fmt::format(
      "{}: seen {} to {}, integers reach from {} to {}", name, shown_number(row, "seen_min"),
      shown_number(row, "seen_max"), fmt::format("{:.3g}", *low), fmt::format("{:.3g}", *high));
  std::string out = fmt::format(
      "<figure><svg viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"{2}\"><title>{2}</title>"
      "<rect class=\"band\" x=\"{3:.1f}\" y=\"0\" width=\"{4:.1f}\" height=\"{1}\"/>",
      kBarsWidth, kBarsHeight, html_escape(words), x(*low), x(*high) - x(*low));
  // Half a step beyond the ends is rounding still.
  const double half = number_field(row, "step").value_or(0) / 2;
  for (const bool held : {true, false})
    if (const std::string path = bars_path(bars, *low - half, *high + half, held, x); !path.empty())
      out += fmt::format("<path class=\"{}\" d=\"{}\"/>", held ? "f0" : "f1", path);
  for (const double end : {*low, *high})
    out += fmt::format("<line class=\"rule\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1}\"/>",
                       std::clamp(x(end), 0.5, kBarsWidth - 0.5), kBarsHeight);
  out += "</svg><figcaption>" + html_name(name, 26) + "<span>";
  const auto db = number_field(row, "sqnr_db");
  const std::string observer = text_field(row, "observer");
  out += html_escape(fmt::format("{:.3g} to {:.3g}{}{}", *low, *high,
                                 observer.empty() ? "" : ", " + observer,
                                 db ? fmt::format(", {:.0f} dB", *db) : ""));
  return out + "</span></figcaption></figure>\n";
}

std::string share_text(const json& row) {
  const auto share = number_field(row, "clipped_share");
  if (!share) return "–";
  return *share == 0 ? "0" : fmt::format("{:.2g} %", 100 * *share);
}

}  // namespace

std::string html_ranges(const json& report) {
  std::vector<const json*> rows;
  for (const json& row : list_field(field(report, "quantize"), "values")) rows.push_back(&row);
  if (rows.empty()) return {};
  const auto level = [](const json* row) { return number_field(*row, "sqnr_db").value_or(1e9); };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const json* a, const json* b) { return level(a) < level(b); });
  const bool behind = std::any_of(rows.begin(), rows.end(), [](const json* row) {
    return field(*row, "behind_reader") == true;
  });
  std::string pictures;
  for (size_t i = 0; i < std::min(rows.size(), kPictures); ++i) pictures += picture(*rows[i]);
  HtmlTable table{"Ranges",
                  {"value", "made by", "observer", "seen", "integers reach", "clipped", "SQNR"},
                  "wlllnnn",
                  {}};
  for (const json* row : rows) {
    const auto db = number_field(*row, "sqnr_db");
    table.rows.push_back(
        {html_name(text_field(*row, "value"), 44), html_escape(text_field(*row, "node_type")),
         html_escape(text_field(*row, "observer")),
         fmt::format("{:.3g} to {:.3g}", number_field(*row, "seen_min").value_or(0),
                     number_field(*row, "seen_max").value_or(0)),
         fmt::format("{:.3g} to {:.3g}", number_field(*row, "min").value_or(0),
                     number_field(*row, "max").value_or(0)),
         share_text(*row), db ? fmt::format("{:.1f} dB", *db) : "–"});
  }
  std::string html;
  if (!pictures.empty())
    html +=
        "<div style=\"display:grid;gap:14px;grid-template-columns:repeat(auto-fill,"
        "minmax(140px,1fr))\">\n" +
        pictures + "</div>\n" +
        html_note(fmt::format(
            "{}The shaded part is what the integers reach; bars are counts "
            "on a logarithmic scale, in the second colour where values are "
            "clipped.",
            rows.size() > kPictures
                ? fmt::format("The {} values with the least SQNR of {}. ", kPictures, rows.size())
                : ""));
  if (behind)
    html += html_note(
        "Of values that only a Sigmoid or the like reads, the SQNR is behind it: what it makes "
        "flat "
        "may be clipped.");
  html += html_details(fmt::format("All {} values", rows.size()), html_table(table));
  return html_section("ranges", "Ranges of the integer values", html);
}

}  // namespace lathe

// Of quantize: the worst layers with their causes, and what weights and activations cost in each.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kSeenLayers = 12;
constexpr size_t kSeenGathered = 3;

std::string layer_name(const json& row) {
  std::string out = html_name(text_field(row, "node"), 44);
  if (const std::string type = text_field(row, "node_type"); !type.empty())
    out += " <span class=\"note\">" + html_escape(type) + "</span>";
  return out;
}

std::string decibels(const json& row, const char* key) {
  if (const auto value = number_field(row, key)) return fmt::format("{:.1f} dB", *value);
  const std::string reason = text_field(row, std::string(key) + "_reason");
  return reason.empty() ? "–" : "<span title=\"" + html_escape(reason) + "\">–</span>";
}

// The first rows, the others folded away.
std::string folded_table(HtmlTable table, size_t seen, const char* what) {
  if (table.rows.size() <= seen + 3) return html_table(table);
  HtmlTable rest = table;
  rest.rows.erase(rest.rows.begin(), rest.rows.begin() + static_cast<std::ptrdiff_t>(seen));
  table.rows.resize(seen);
  return html_table(table) +
         html_details(fmt::format("{} {}", rest.rows.size(), what), html_table(rest));
}

std::string diagnosis_section(const json& quantize) {
  const json& rows = list_field(quantize, "diagnosis");
  if (rows.empty()) {
    if (list_field(quantize, "layers").empty()) return {};
    return html_section("diagnosis", "Worst layers",
                        "<p>Every layer keeps 20 dB by itself and 15 dB in the whole network: "
                        "there is nothing to fix in single layers.</p>\n");
  }
  std::string html;
  if (const std::string hint = text_field(quantize, "hint"); !hint.empty())
    html += "<p>Try <code>" + html_escape(hint) + "</code></p>\n";
  HtmlTable table{"Signal to quantization noise: short bars are bad",
                  {"layer", "", "in the network", "by itself", "cause", "what helps"},
                  "wlnnww",
                  {},
                  true,
                  true};
  size_t seen = 0;  // what arrives at the others says little more
  size_t gathered = 0;
  for (const json& row : rows) {
    gathered += text_field(row, "culprit").empty() ? 0 : 1;
    seen += gathered <= kSeenGathered ? 1 : 0;
    const std::string flag = text_field(row, "flag");
    table.rows.push_back({layer_name(row),
                          html_bar(std::max(0.0, number_field(row, "sqnr_db").value_or(60)) / 60),
                          decibels(row, "sqnr_db"), decibels(row, "local_sqnr_db"),
                          "<b>" + html_escape(text_field(row, "cause")) +
                              "</b>: " + html_escape(text_field(row, "text")),
                          flag.empty() ? "–" : "<code>" + html_escape(flag) + "</code>"});
  }
  return html_section("diagnosis", "Worst layers",
                      html + folded_table(std::move(table), std::min(seen, kSeenLayers), "more"));
}

// Noise over signal in power, from decibels; 0 where nothing is lost.
double noise_share(const json& row, const char* key) {
  const auto decibel = number_field(row, key);
  return decibel ? std::pow(10, -*decibel / 10) : 0;
}

std::string layers_figure(const json& layers) {
  Plot plot;
  plot.title = "Loss along the network";
  plot.x = {"layer, in the order of the network", false, nullptr, {}};
  plot.y = {"SQNR in dB", false, nullptr, {}};
  PlotSeries weights{"weights alone", {}, PlotMark::kDots};
  PlotSeries inputs{"activations alone", {}, PlotMark::kDots};
  PlotSeries network{"in the whole network", {}, PlotMark::kLine};
  double index = 0;
  std::optional<double> least;
  for (const json& row : layers) {
    ++index;
    if (const auto db = number_field(row, "weight_sqnr_db"))
      weights.points.emplace_back(index, *db);
    if (const auto db = number_field(row, "input_sqnr_db")) inputs.points.emplace_back(index, *db);
    const auto db = number_field(row, "sqnr_db");
    if (!db) continue;
    network.points.emplace_back(index, *db);
    least = std::min(least.value_or(*db), *db);
  }
  plot.description = fmt::format("{} layers; the least in the whole network is {}.", layers.size(),
                                 least ? fmt::format("{:.1f} dB", *least) : "not known");
  plot.series = {weights, inputs, network};
  return svg_plot(plot);
}

// Length: the error's size in the signal's; blue for weights, the second colour for activations.
std::string stacked_bar(double weights, double inputs, double most) {
  const double both = weights + inputs;
  if (both <= 0 || most <= 0) return "";
  const double length = 100 * std::sqrt(both / most);
  std::string out = "<span class=\"track\" style=\"display:flex\">";
  for (const auto& [kind, part] : {std::pair("bar", weights), std::pair("bar b1", inputs)})
    if (part > 0.005 * both)  // a bar is two pixels wide at least
      out += fmt::format("<span class=\"{}\" style=\"width:{:.2f}%;border-radius:0\"></span>", kind,
                         length * part / both);
  return out + "</span>";
}

std::string noise_section(const json& quantize) {
  const json& layers = list_field(quantize, "layers");
  if (layers.empty()) return {};
  struct Row {
    const json* layer;
    double weights;
    double inputs;
  };
  std::vector<Row> rows;
  double most = 0;
  for (const json& layer : layers) {
    rows.push_back(
        {&layer, noise_share(layer, "weight_sqnr_db"), noise_share(layer, "input_sqnr_db")});
    most = std::max(most, rows.back().weights + rows.back().inputs);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.weights + a.inputs > b.weights + b.inputs;
  });
  HtmlTable table{"Each layer with the float network's inputs, the worst first",
                  {"layer", "error", "", "weights alone", "activations alone", "both"},
                  "wnlnnn",
                  {}};
  for (const auto& [layer, weights, inputs] : rows)
    table.rows.push_back({layer_name(*layer),
                          fmt::format("{:.2g} %", 100 * std::sqrt(weights + inputs)),
                          stacked_bar(weights, inputs, most), decibels(*layer, "weight_sqnr_db"),
                          decibels(*layer, "input_sqnr_db"), decibels(*layer, "local_sqnr_db")});
  return html_section(
      "noise", "Weights and activations",
      "<div class=\"figures\">" + layers_figure(layers) + "</div>\n" +
          folded_table(std::move(table), kSeenLayers, "better layers") +
          html_note("Bars: size of the error in that of the layer's output (square roots of mean "
                    "squares); the first part is from rounded weights, the second from rounded "
                    "activations."));
}

}  // namespace

std::string html_quantize(const json& report) {
  const json& quantize = field(report, "quantize");
  return diagnosis_section(quantize) + noise_section(quantize) + html_ranges(report);
}

}  // namespace lathe

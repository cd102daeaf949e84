// How a network was trained: loss and metric by epoch, sparsity by step.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "os/quantity.h"
#include "report/fields.h"
#include "report/html_sections.h"
#include "report/html_text.h"
#include "report/measures.h"
#include "report/svg_plot.h"

namespace lathe {
namespace {

using nlohmann::json;

using Points = std::vector<std::pair<double, double>>;

constexpr size_t kShownPoints = 400;

std::string count_tick(double value) { return fmt::format("{:.0f}", value); }

// First, last and evenly spread ones between.
Points thinned(const Points& points) {
  if (points.size() <= kShownPoints) return points;
  Points out;
  for (size_t i = 0; i < kShownPoints; ++i)
    out.push_back(points[i * (points.size() - 1) / (kShownPoints - 1)]);
  return out;
}

// By epoch, counted from 1.
Points by_epoch(const json& epochs, const char* key) {
  Points points;
  double epoch = 0;
  for (const json& row : epochs) {
    ++epoch;
    if (const auto value = number_field(row, key)) points.emplace_back(epoch, *value);
  }
  return points;
}

// The last stage that has one is what was trained for; the first is the teacher.
std::string metric_name(const json& report) {
  const json& stages = list_field(report, "stages");
  for (auto row = stages.rbegin(); row != stages.rend(); ++row)
    if (const std::string metric = text_field(*row, "metric"); !metric.empty()) return metric;
  return "metric";
}

std::optional<double> teacher_value(const json& report) {
  const json& stages = list_field(report, "stages");
  return stages.empty() ? std::nullopt : number_field(stages.front(), "value");
}

// Pruning is taught by the dense model, distillation by another one.
std::string teacher_name(const json& report) {
  return text_field(field(report, "run"), "command") == "distill" ? "the teacher"
                                                                  : "the dense model";
}

std::string first_and_last(const Points& points, AxisText text) {
  if (points.empty()) return {};
  return fmt::format("From {} at {:.0f} to {} at {:.0f}.", text(points.front().second),
                     points.front().first, text(points.back().second), points.back().first);
}

// Whole numbers, at most seven of them.
std::vector<double> epoch_ticks(const Points& points) {
  std::vector<double> ticks;
  if (points.empty()) return ticks;
  const double last = points.back().first;
  for (const double tick : axis_ticks(0.5, last + 0.5, false, 6))
    if (tick >= 1 && tick == static_cast<double>(static_cast<int64_t>(tick))) ticks.push_back(tick);
  if (ticks.empty()) ticks.push_back(points.front().first);
  return ticks;
}

std::string loss_figure(const json& epochs) {
  const Points points = by_epoch(epochs, "loss");
  Plot plot;
  plot.title = "Loss by epoch";
  plot.description = first_and_last(points, plain_tick);
  plot.x = {"epoch", false, count_tick, epoch_ticks(points)};
  plot.y = {"", false, plain_tick, {}};
  plot.series = {{"", thinned(points), PlotMark::kLineAndDots}};
  return svg_plot(plot);
}

std::string metric_figure(const json& report, const json& epochs, std::optional<double> best) {
  const Points points = by_epoch(epochs, "metric");
  const std::string metric = metric_name(report);
  const AxisText text = metric_is_share(metric) ? percent_tick : plain_tick;
  Plot plot;
  plot.title = metric + " by epoch";
  plot.description = first_and_last(points, text);
  plot.x = {"epoch", false, count_tick, epoch_ticks(points)};
  plot.y = {"", false, text, {}};
  plot.series = {{"", thinned(points), PlotMark::kLineAndDots}};
  if (const auto value = teacher_value(report)) {
    plot.rules = {*value};
    plot.description += " Dotted, " + teacher_name(report) + ": " + text(*value) + ".";
    plot.title += ", dotted: " + teacher_name(report);
  }
  if (best) plot.cuts = {*best};
  return svg_plot(plot);
}

std::string sparsity_figure(const json& training) {
  Points points;
  for (const json& row : list_field(training, "sparsity")) {
    const auto step = number_field(row, "step");
    const auto sparsity = number_field(row, "sparsity");
    if (step && sparsity) points.emplace_back(*step, *sparsity);
  }
  Plot plot;
  plot.title = "Sparsity while training";
  plot.description = first_and_last(points, percent_tick);
  plot.x = {"step", false, count_tick, {}};
  plot.y = {"", false, percent_tick, {}};
  plot.series = {{"", thinned(points), PlotMark::kSteps}};
  plot.y_from_zero = true;
  return svg_plot(plot);
}

std::string epochs_table(const json& report, const json& epochs) {
  const std::string metric = metric_name(report);
  const bool measured = !by_epoch(epochs, "metric").empty();
  HtmlTable table{"Epochs", {"epoch", "loss", "learning rate"}, "nnnn", {}, false};
  if (measured) table.head.push_back(metric);
  size_t epoch = 0;
  for (const json& row : epochs) {
    const auto loss = number_field(row, "loss");
    const auto value = number_field(row, "metric");
    const auto rate = number_field(row, "learning_rate");
    table.rows.push_back({std::to_string(++epoch), loss ? fmt::format("{:.5g}", *loss) : "–",
                          rate ? fmt::format("{:.3g}", *rate) : "–"});
    if (measured) table.rows.back().push_back(value ? metric_text(metric, *value) : "–");
  }
  return table.rows.empty() ? "" : html_details("All epochs", html_table(table));
}

}  // namespace

std::string html_training(const json& report) {
  const json& training = field(report, "training");
  if (!training.is_object()) return {};
  const json& epochs = list_field(training, "epochs");
  auto best = number_field(training, "best_epoch");
  if (best) ++*best;
  std::string note;
  const auto say = [&note](const std::string& text) { note += (note.empty() ? "" : ", ") + text; };
  if (!epochs.empty()) say(fmt::format("{} epochs", epochs.size()));
  const bool teacher = field(training, "teacher") == true;
  const bool labels = field(training, "labels") == true;
  if (teacher || labels)
    say(!labels   ? "taught by " + teacher_name(report) + ", without labels"
        : teacher ? "taught by " + teacher_name(report) + " and labels"
                  : "from labels");
  if (const auto seconds = number_field(training, "seconds")) say(duration_text(1e9 * *seconds));
  if (const auto rate = number_field(training, "samples_per_s"))
    say(fmt::format("{:.4g} samples/s", *rate));
  if (best) say(fmt::format("the best epoch is {:.0f} (the upright line)", *best));
  const std::string figures =
      loss_figure(epochs) + metric_figure(report, epochs, best) + sparsity_figure(training);
  std::string html = figures.empty() ? "" : "<div class=\"figures\">" + figures + "</div>\n";
  if (!note.empty()) html += html_note(note + ".");
  return html_section("training", "Training", html + epochs_table(report, epochs));
}

}  // namespace lathe

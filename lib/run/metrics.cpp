#include "run/metrics.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 7> kNames{"top1", "top5",      "mse", "mae",
                                                 "miou", "agreement", "sqnr"};

// [batch, classes, …] in float; a lone vector is one item.
at::Tensor scores_of(const at::Tensor& output) {
  at::Tensor scores = output.to(at::kFloat);
  while (scores.dim() > 2 && scores.size(-1) == 1) scores = scores.squeeze(-1);
  if (scores.dim() < 2) scores = scores.reshape({1, -1});
  return scores.contiguous();
}

void check_labels(std::span<const int64_t> labels, int64_t wanted, int64_t classes) {
  if (static_cast<int64_t>(labels.size()) != wanted)
    throw bad_input("data.labels",
                    fmt::format("{} labels for {} outputs of the model", labels.size(), wanted));
  for (const int64_t label : labels)
    if (label < 0 || label >= classes)
      throw bad_input("data.labels",
                      fmt::format("label {} lies outside the model's {} classes", label, classes));
}

// Items whose label is among the k highest scores; the lower class wins a tie.
int64_t hits(const at::Tensor& scores, std::span<const int64_t> labels, int64_t k) {
  const int64_t classes = scores.size(1);
  const float* data = scores.data_ptr<float>();
  int64_t count = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const float* row = data + static_cast<int64_t>(i) * classes;
    const float own = row[labels[i]];
    if (std::isnan(own)) continue;  // no rank at all, however few classes there are
    int64_t better = 0;
    for (int64_t c = 0; c < classes; ++c)
      better += row[c] > own || (row[c] == own && c < labels[i]) ? 1 : 0;
    count += better < k ? 1 : 0;
  }
  return count;
}

double squared_sum(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble);
  return (wide * wide).sum().item<double>();
}

}  // namespace

std::string_view metric_name(Metric metric) { return kNames[static_cast<size_t>(metric)]; }

std::optional<Metric> metric_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Metric>(i);
  return std::nullopt;
}

bool is_higher_better(Metric metric) { return metric != Metric::kMse && metric != Metric::kMae; }

bool needs_labels(Metric metric) {
  return metric == Metric::kTop1 || metric == Metric::kTop5 || metric == Metric::kMiou;
}

double metric_drop(Metric metric, double before, double after) {
  const double worse = is_higher_better(metric) ? before - after : after - before;
  const bool absolute = needs_labels(metric) || metric == Metric::kAgreement;
  if (absolute || before == 0) return worse;
  return worse / std::fabs(before);
}

MetricCollector::MetricCollector(Metric metric, size_t samples)
    : metric_(metric), parts_(samples) {}

void MetricCollector::add(size_t sample, const at::Tensor& output, std::span<const int64_t> labels,
                          const at::Tensor& reference) {
  Part& part = parts_.at(sample);
  const at::Tensor scores = scores_of(output);
  switch (metric_) {
    case Metric::kTop1:
    case Metric::kTop5: {
      if (scores.dim() != 2)
        throw bad_input("metric.shape", "top1 and top5 need an output of shape [batch, classes]");
      check_labels(labels, scores.size(0), scores.size(1));
      part.numerator = static_cast<double>(hits(scores, labels, metric_ == Metric::kTop1 ? 1 : 5));
      part.denominator = static_cast<double>(labels.size());
      return;
    }
    case Metric::kMiou: {
      const int64_t classes = scores.size(1);
      const at::Tensor predicted = scores.argmax(1).contiguous().reshape({-1});
      check_labels(labels, predicted.numel(), classes);
      part.intersections.assign(static_cast<size_t>(classes), 0);
      part.unions.assign(static_cast<size_t>(classes), 0);
      const int64_t* found = predicted.data_ptr<int64_t>();
      for (size_t i = 0; i < labels.size(); ++i) {
        const auto wanted = static_cast<size_t>(labels[i]);
        const auto got = static_cast<size_t>(found[i]);
        ++part.unions[wanted];
        if (wanted == got)
          ++part.intersections[wanted];
        else
          ++part.unions[got];
      }
      part.denominator = static_cast<double>(labels.size());
      return;
    }
    case Metric::kAgreement: {
      const at::Tensor wanted = scores_of(reference).argmax(1);
      part.numerator = scores.argmax(1).eq(wanted).sum().item<double>();
      part.denominator = static_cast<double>(wanted.numel());
      return;
    }
    default: break;
  }
  if (!reference.defined() || reference.numel() != output.numel())
    throw bad_input("metric.shape", "the outputs that are compared differ in shape");
  const at::Tensor difference =
      output.to(at::kDouble) - reference.to(at::kDouble).reshape(output.sizes());
  if (metric_ == Metric::kMae)
    part.numerator = difference.abs().sum().item<double>();
  else
    part.numerator = squared_sum(difference);
  part.denominator =
      metric_ == Metric::kSqnr ? squared_sum(reference) : static_cast<double>(output.numel());
}

std::optional<double> MetricCollector::value() const {
  double numerator = 0;
  double denominator = 0;
  std::vector<int64_t> intersections;
  std::vector<int64_t> unions;
  for (const Part& part : parts_) {
    numerator += part.numerator;
    denominator += part.denominator;
    intersections.resize(std::max(intersections.size(), part.intersections.size()));
    unions.resize(std::max(unions.size(), part.unions.size()));
    for (size_t c = 0; c < part.unions.size(); ++c) {
      intersections[c] += part.intersections[c];
      unions[c] += part.unions[c];
    }
  }
  if (denominator == 0) return std::nullopt;
  if (metric_ == Metric::kSqnr)
    return numerator == 0 ? INFINITY : 10 * std::log10(denominator / numerator);
  if (metric_ != Metric::kMiou) return numerator / denominator;
  double sum = 0;
  int64_t present = 0;
  for (size_t c = 0; c < unions.size(); ++c) {
    if (unions[c] == 0) continue;
    sum += static_cast<double>(intersections[c]) / static_cast<double>(unions[c]);
    ++present;
  }
  return sum / static_cast<double>(present);
}

int64_t MetricCollector::items() const {
  double items = 0;
  for (const Part& part : parts_) items += part.denominator;
  return metric_ == Metric::kSqnr ? static_cast<int64_t>(parts_.size())
                                  : static_cast<int64_t>(items);
}

}  // namespace lathe

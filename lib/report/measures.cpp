#include "report/measures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>

#include "report/fields.h"

namespace lathe {
namespace {

using nlohmann::json;

const json& model_with_hash(const json& report, const json& hash) {
  static const json nothing;
  for (const char* role : {"model", "model_out"})
    if (field(field(report, role), "sha256") == hash) return field(report, role);
  if (const json& models = field(report, "models"); models.is_object())
    for (const json& model : models)
      if (field(model, "sha256") == hash) return model;
  return nothing;
}

// "p95" of 0.95 and of 95.
std::string percentile_name(double p) { return fmt::format("p{:g}", p <= 1 ? 100 * p : p); }

class Collector {
 public:
  Collector(std::string series, std::string model)
      : series_(std::move(series)), model_(std::move(model)) {}

  void add(const char* name, const char* unit, const json& value, bool bigger_is_better = false) {
    if (const auto number = number_of(value))
      out_.push_back(
          {series_, model_, name, unit, *number, interval_field(value), bigger_is_better});
  }
  void add(Measure measure) {
    measure.series = series_;
    measure.model = model_;
    out_.push_back(std::move(measure));
  }
  void move_to(std::vector<Measure>& all) {
    for (Measure& measure : out_) all.push_back(std::move(measure));
  }

 private:
  std::string series_;
  std::string model_;
  std::vector<Measure> out_;
};

void add_case(const json& report, const json& row, std::vector<Measure>& all) {
  Collector out(case_name(report, row), case_model(report, row));
  const json& latency = field(row, "latency");
  out.add("latency", "ns", field(latency, "median"));
  for (const json& percentile : list_field(latency, "percentiles")) {
    const auto p = number_field(percentile, "p");
    if (!p || *p == 0.5) continue;
    out.add(percentile_name(*p).c_str(), "ns", percentile);
  }
  if (const auto rate = number_field(field(row, "throughput"), "items_per_s"))
    out.add(
        {{}, {}, "throughput", "items/s", *rate, interval_field(field(row, "throughput")), true});
  out.add("goodput", "items/s", field(field(row, "schedule"), "goodput_qps"), true);
  out.add("arena", "bytes", field(field(row, "memory"), "arena_planned_bytes"));
  out.add("peak_memory", "bytes", peak_bytes(row));
  out.add("energy", "J", field(field(row, "energy"), "joules"));
  out.add("energy_per_inference", "J", field(field(row, "energy"), "joules_per_inference"));
  out.add("cpu_share", "ratio", field(field(row, "cpu"), "share"));
  out.add("cpus_used", "cpus", field(field(row, "cpu"), "cpus_used"));
  out.add("temperature_max", "celsius", field(field(row, "thermal"), "max_c"));
  const json& start = start_costs(row);
  out.add("load", "ns", field(start, "load_ns"));
  out.add("first_inference", "ns", field(start, "first_inference_ns"));
  out.add("flash", "bytes", field(device_memory(row), "flash_bytes"));
  out.add("ram", "bytes", field(device_memory(row), "ram_bytes"));
  out.add("instructions", "count", field(field(row, "emulated"), "instructions"));
  out.add("slowdown", "ratio", field(field(row, "soak"), "slowdown"));
  out.add("leak_per_run", "bytes", field(field(row, "soak"), "leak_bytes_per_run"));
  out.move_to(all);
}

void add_speedup(const json& report, const json& row, std::vector<Measure>& all) {
  const json& ratio = field(row, "ratio");
  const auto value = number_of(ratio);
  if (!value || *value <= 0) return;
  Measure measure{{}, {}, "speedup", "ratio", 1 / *value, std::nullopt, true};
  if (const auto ci = interval_field(ratio); ci && ci->first > 0)
    measure.ci95 = {1 / ci->second, 1 / ci->first};
  Collector out(case_name(report, row), case_model(report, row));
  out.add(std::move(measure));
  out.move_to(all);
}

// The native engine was measured beside LibTorch alone: no application that links it pays that.
bool is_elsewhere(const json& row) {
  return text_field(row, "engine") == "native" && field(row, "deployed").is_null() &&
         !text_field(row, "deployed_reason").empty();
}

// "mobilenet" of "mobilenet.onnx".
std::string stem(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

}  // namespace

const json& start_costs(const json& row) {
  static const json nothing;
  if (field(row, "deployed").is_object()) return field(row, "deployed");
  return is_elsewhere(row) ? nothing : field(row, "phases");
}

const json& device_memory(const json& row) {
  const json& counted = field(row, "emulated");
  return counted.is_object() ? counted : field(row, "fit");
}

const json& peak_bytes(const json& row) {
  static const json nothing;
  return is_elsewhere(row) ? nothing : field(field(row, "memory"), "hwm_bytes");
}

bool metric_grows_with_quality(const std::string& metric) {
  return metric != "mse" && metric != "mae";
}

bool metric_is_share(const std::string& metric) {
  return metric == "top1" || metric == "top5" || metric == "miou" || metric == "agreement";
}

const json& model_before(const json& report) {
  static const json nothing;
  if (const json& against = field(field(report, "models"), "against"); against.is_object())
    return against;
  return field(report, "model_out").is_object() ? field(report, "model") : nothing;
}

const json& model_after(const json& report) {
  for (const char* role : {"model_out", "model"})
    if (const json& model = field(report, role); model.is_object()) return model;
  // A sweep over one model.
  static const json nothing;
  const json* only = nullptr;
  if (const json& models = field(report, "models"); models.is_object())
    for (const auto& [role, model] : models.items()) {
      if (role == "against") continue;
      if (only != nullptr) return nothing;
      only = &model;
    }
  return only != nullptr ? *only : nothing;
}

std::string case_model(const json& report, const json& row) {
  const json& hash = field(row, "model_sha256");
  const json& model = hash.is_string() ? model_with_hash(report, hash) : model_after(report);
  const std::string name = text_field(model, "path_basename");
  return name.empty() ? "model" : name;
}

std::string case_name(const json& report, const json& row) {
  const std::string id = text_field(row, "id");
  const std::string model = case_model(report, row);
  if (id.empty()) return model;
  // Ids of sweeps begin with the model's name.
  return id.find(model) != std::string::npos || id.starts_with(stem(model) + "/")
             ? id
             : model + "/" + id;
}

std::vector<BlameSentence> blame_sentences(const json& row) {
  std::vector<BlameSentence> sentences;
  for (const json& blame : list_field(row, "blame"))
    if (std::string text = text_field(blame, "sentence"); !text.empty())
      sentences.push_back({std::move(text), number_field(blame, "delta_ns")});
  return sentences;
}

std::vector<Measure> report_measures(const json& report) {
  std::vector<Measure> all;
  for (const json& row : list_field(report, "cases")) add_case(report, row, all);
  for (const json& row : list_field(field(report, "comparison"), "cases"))
    add_speedup(report, row, all);
  std::vector<const json*> models{&model_before(report), &model_after(report)};
  if (const json& others = field(report, "models"); others.is_object())
    for (const json& model : others) models.push_back(&model);
  std::set<std::string> named;
  for (const json* model : models) {
    if (!model->is_object() || !named.insert(text_field(*model, "path_basename")).second) continue;
    const std::string name = text_field(*model, "path_basename");
    Collector out(name, name);
    out.add("file_size", "bytes", field(*model, "file_bytes"));
    out.add("weights_size", "bytes", field(*model, "weights_bytes"));
    out.move_to(all);
  }
  const std::string after = text_field(model_after(report), "path_basename");
  for (const json& row : list_field(report, "quality")) {
    const std::string metric = text_field(row, "metric");
    Collector out(after, after);
    out.add(metric.c_str(),
            metric == "sqnr"          ? "dB"
            : metric_is_share(metric) ? "ratio"
                                      : "",
            field(row, "after"), metric_grows_with_quality(metric));
    out.move_to(all);
  }
  return all;
}

}  // namespace lathe

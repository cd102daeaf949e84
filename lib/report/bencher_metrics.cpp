#include "report/bencher_metrics.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "report/json_text.h"
#include "report/measures.h"

namespace lathe {

using nlohmann::json;

std::string to_bencher_metrics(const json& report) {
  json out = json::object();
  for (const Measure& measure : report_measures(report)) {
    std::string name = measure.name;
    std::replace(name.begin(), name.end(), '_', '-');
    json row{{"value", measure.value}};
    if (measure.ci95) {
      row["lower_value"] = measure.ci95->first;
      row["upper_value"] = measure.ci95->second;
    }
    out[measure.series][name] = std::move(row);
  }
  return json_text(out);
}

}  // namespace lathe

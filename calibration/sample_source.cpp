#include "calibration/sample_source.h"

namespace lathe {

SampleSource sample_source(const DataSet& data) {
  return {data.size(), [&data](size_t i) { return data.sample(i); }, data.carry()};
}

std::function<std::vector<int64_t>(size_t)> label_source(const DataSet& data) {
  if (!data.has_labels()) return {};
  return [&data](size_t i) { return data.class_labels(i); };
}

}  // namespace lathe

#include "commands/quantize/quantize_job.h"

#include <limits>

#include "heavy/model_data.h"

namespace lathe {
namespace {

constexpr int64_t kUsualSamples = 256;
constexpr int64_t kRandomSamples = 16;

}  // namespace

DataSet job_data(const QuantizeJob& job, const std::string& data, int64_t samples) {
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  auto it = job.opened.find(data);
  if (it == job.opened.end())
    it = job.opened
             .emplace(data, open_data_for(data, job.model, kAll, job.options.common, job.console))
             .first;
  if (samples > 0) return it->second.first(samples);
  return data == "random" ? it->second.first(kRandomSamples) : it->second;
}

int64_t calibration_samples(const std::optional<int64_t>& samples, const std::string& data) {
  return samples.value_or(data == "random" ? kRandomSamples : kUsualSamples);
}

}  // namespace lathe

#include "commands/quantize/judge_calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "heavy/model_data.h"
#include "os/signals.h"

namespace lathe {
namespace {

constexpr const char* kCode = "quantize.calibration_data";

// Zeros of both signs are one value.
bool is_constant(const Tensor& tensor) {
  if (tensor.dtype() == DType::kFloat32) {
    const auto values = tensor.values<float>();
    return !values.empty() && std::all_of(values.begin(), values.end(),
                                          [&](float value) { return value == values[0]; });
  }
  const auto bytes = tensor.bytes();
  const auto count = static_cast<size_t>(std::max<int64_t>(tensor.numel(), 0));
  if (count == 0 || bytes.size() % count != 0 || bytes.size() < count) return false;
  const size_t size = bytes.size() / count;
  return std::memcmp(bytes.data(), bytes.data() + size, bytes.size() - size) == 0;
}

bool is_same(const Tensor& a, const Tensor& b) {
  if (a.dtype() != DType::kFloat32 || b.dtype() != DType::kFloat32) return a.identical(b);
  const auto x = a.values<float>();
  const auto y = b.values<float>();
  return a.shape() == b.shape() && std::equal(x.begin(), x.end(), y.begin(), y.end());
}

int64_t elements_of(const std::vector<Tensor>& sample) {
  int64_t most = 0;
  for (const Tensor& tensor : sample) most = std::max(most, tensor.numel());
  return most;
}

std::string value_text(const std::vector<Tensor>& sample) {
  if (sample.size() != 1 || sample[0].dtype() != DType::kFloat32) return {};
  return fmt::format(" ({:.6g})", sample[0].values<float>()[0] + 0.0F);
}

// Pictures, as far as the rank tells, that a network of any batch takes all at once.
std::optional<int64_t> fed_at_once(const Graph& graph, const std::vector<Tensor>& sample) {
  for (size_t i = 0; i < sample.size(); ++i) {
    const auto& dims = graph.value(graph.inputs()[i]).type.dims;
    if (dims && dims->size() >= 4 && !(*dims)[0].known() && sample[i].shape()[0] > 1)
      return sample[i].shape()[0];
  }
  return std::nullopt;
}

}  // namespace

bool all_alike(const SampleSource& source) {
  if (source.count < 2) return true;
  const std::vector<Tensor> first = source.sample(0);
  for (size_t i = 1; i < source.count; ++i) {
    throw_if_interrupted();
    const std::vector<Tensor> next = source.sample(i);
    if (!std::equal(next.begin(), next.end(), first.begin(), first.end(), is_same)) return false;
  }
  return true;
}

void judge_calibration(const QuantizeJob& job, const std::string& mode) {
  const QuantizeOptions& options = job.options;
  const bool rounds = mode == "weight-only" && options.effort != "fast";
  if (mode != "static" && mode != "float16" && !rounds) return;
  if (options.data.empty() || options.data == "random") return;
  const DataSet data =
      job_data(job, options.data,
               mode == "float16" ? options.samples.value_or(kFloat16Samples)
                                 : calibration_samples(options.samples, options.data));
  const std::vector<Tensor> first = data.sample(0);
  if (elements_of(first) < 2) return;
  const bool constant = std::all_of(first.begin(), first.end(), is_constant);
  const bool single = data.size() == 1;
  if ((constant || !single) && all_alike(sample_source(data))) {
    if (constant)
      job.console.warn(kCode,
                       "the calibration data hold one value throughout" + value_text(first) +
                           ": what is measured on them fits nothing else",
                       "check the file, and scale, mean and std of its data spec");
    else
      job.console.warn(kCode,
                       fmt::format("all {} samples of the calibration data are the same: what "
                                   "is measured on them fits nothing else",
                                   data.size()),
                       "give samples that differ, about 100");
    return;
  }
  if (mode != "static" || !single) return;
  if (const auto items = fed_at_once(job.model.graph, first))
    job.console.warn(kCode,
                     fmt::format("the calibration data are one feed of {} items, not {} samples: "
                                 "it takes their memory at once, and no sample is left to judge by",
                                 *items, *items),
                     "leave \"batch\" out of the data spec, or the leading dimension of 1 out of "
                     "the array: then each item is a sample");
  else
    job.console.warn(kCode,
                     "there is one sample only to calibrate with: others may leave its ranges",
                     options.samples == 1 ? "leave --samples out, or ask for about 100"
                                          : "give about 100 samples");
}

}  // namespace lathe

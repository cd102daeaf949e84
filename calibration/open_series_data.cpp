// Series cut into windows: CSV rows and WAVE samples.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "calibration/csv.h"
#include "calibration/open_data.h"
#include "calibration/preprocess.h"
#include "calibration/wav.h"

namespace lathe {
namespace {

constexpr int64_t kMaxWindowNumbers = int64_t{1} << 26;

// Windows of `window` in `length`, each `stride` after the one before.
int64_t window_count(int64_t length, int64_t window, int64_t stride, std::string_view unit,
                     const std::string& where) {
  if (window > length)
    throw bad_input("data.window", fmt::format("a window of {} {} from {}", window, unit, length),
                    where, "\"window\" in a data spec sets it");
  return (length - window) / stride + 1;
}

void check_window(int64_t window, int64_t width, const std::string& where) {
  int64_t numbers = 0;
  if (__builtin_mul_overflow(window, width, &numbers) || numbers > kMaxWindowNumbers)
    throw over_limit("data.window", fmt::format("a window of {} x {} numbers", window, width),
                     where);
}

int64_t csv_window(const InputRequest& request, size_t columns) {
  if (request.spec.window) return *request.spec.window;
  const Dims& dims = request.input.dims;
  if (dims.size() == 3 && dims[1].known()) return dims[1].size;
  if (dims.size() == 2 && columns == 1 && dims[1].known()) return dims[1].size;
  return 1;
}

int64_t wav_window(const InputRequest& request, const std::string& where) {
  if (request.spec.window) return *request.spec.window;
  const Dims& dims = request.input.dims;
  if (!dims.empty() && dims.back().known() && dims.back().size > request.spec.context)
    return dims.back().size - request.spec.context;
  throw bad_input("data.window",
                  fmt::format("the length of a window is not known from the input {} ({})",
                              escape_untrusted(request.input.name),
                              escape_untrusted(dims_text(request.input.dims))),
                  where, "\"window\" in a data spec sets it");
}

}  // namespace

OpenedData open_csv_data(const OpenRequest& request) {
  const std::string& path = request.spec.path;
  const std::string where = shown_path(path);
  std::string label = request.spec.labels;
  if (label.empty() && request.plain && CsvReader(DataFile::open(path)).has_column("label"))
    label = "label";
  OpenedData data;
  data.count = std::numeric_limits<int64_t>::max();
  int64_t label_window = 0;
  int64_t label_stride = 1;
  for (const InputRequest& wanted : request.inputs) {
    auto table =
        std::make_shared<const CsvNumbers>(read_csv_numbers(path, wanted.spec.columns, label));
    const auto width = static_cast<int64_t>(table->columns.size());
    const int64_t window = csv_window(wanted, table->columns.size());
    const int64_t stride = wanted.spec.stride.value_or(1);
    check_window(window, width, where);
    data.count = std::min(data.count, window_count(table->rows, window, stride, "rows", where));
    label_window = window;
    label_stride = stride;
    data.inputs.push_back([=](int64_t sample) {
      const auto first = table->values.begin() + sample * stride * width;
      const Tensor rows =
          Tensor::of<double>({window, width}, std::vector<double>(first, first + window * width));
      return preprocess_values(rows, wanted.spec, wanted.input,
                               fmt::format("{}: window {}", where, sample));
    });
  }
  data.name = [=](int64_t sample) {
    return fmt::format("rows {}..{}", sample * label_stride + 2,
                       sample * label_stride + label_window + 1);
  };
  if (label.empty()) return data;
  auto labels = std::make_shared<const std::vector<int64_t>>(read_csv_integers(path, label));
  // A window has the label of its last row.
  data.label = [=](int64_t sample) {
    return Tensor::scalar<int64_t>(
        (*labels)[static_cast<size_t>(sample * label_stride + label_window - 1)]);
  };
  return data;
}

OpenedData open_wav_data(const OpenRequest& request) {
  const Wav wav = open_wav(request.spec.path);
  if (!request.spec.labels.empty())
    throw bad_input("data.labels", "WAVE data have no labels", wav.where);
  OpenedData data;
  data.count = std::numeric_limits<int64_t>::max();
  int64_t step = 1;
  for (const InputRequest& wanted : request.inputs) {
    const int64_t window = wav_window(wanted, wav.where);
    const int64_t stride = wanted.spec.stride.value_or(window);
    const int64_t context = wanted.spec.context;
    check_window(window + context, 1, wav.where);
    check_rounding(DType::kFloat32, wanted, wav.where);
    data.count =
        std::min(data.count, window_count(wav.samples, window, stride, "samples", wav.where));
    step = stride;
    data.inputs.push_back([=](int64_t sample) {
      const std::vector<double> values = read_wav(wav, sample * stride - context, context + window);
      return preprocess_values(Tensor::vector<double>(values), wanted.spec, wanted.input,
                               fmt::format("{}: window {}", wav.where, sample));
    });
  }
  data.name = [=, rate = wav.sample_rate](int64_t sample) {
    return fmt::format("{:.3f} s", static_cast<double>(sample * step) / static_cast<double>(rate));
  };
  return data;
}

}  // namespace lathe

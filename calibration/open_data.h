// One function a data format: from a spec to functions that read single samples.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "calibration/data_spec.h"
#include "calibration/model_input.h"

namespace lathe {

using ReadSample = std::function<Tensor(int64_t sample)>;

/// An opened data set before skip and limit. The functions may be called from several threads.
struct OpenedData {
  int64_t count = 0;
  std::vector<ReadSample> inputs;  // one a request, in its order
  ReadSample label;                // empty without labels
  std::function<std::string(int64_t sample)> name;
  std::vector<std::string> warnings;
};

/// A model input that data are wanted for, and how to make it.
struct InputRequest {
  ModelInput input;
  InputSpec spec;
};

struct OpenRequest {
  DataSpec spec;
  /// No spec file: labels are found by their usual names.
  bool plain = false;
  bool follow_links = false;
  std::vector<InputRequest> inputs;
};

/// npz, npy and idx.
OpenedData open_array_data(const OpenRequest& request);
OpenedData open_csv_data(const OpenRequest& request);
OpenedData open_wav_data(const OpenRequest& request);
OpenedData open_image_data(const OpenRequest& request);

/// Floating values are not rounded to integers unless the spec says so: Error (exit 3).
void check_rounding(DType from, const InputRequest& request, const std::string& where);
/// Throws Error (exit 3) that names both numbers.
void check_label_count(int64_t labels, int64_t samples, const std::string& where);

}  // namespace lathe

// Data sets: what `--data` and `--eval` name (DESIGN.md section 4). Samples are decoded on demand;
// memory does not grow with their number, except for compressed arrays and CSV numbers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "calibration/model_input.h"

namespace lathe {

/// What an array is that has the full shape of an input with a free batch, where no spec says so.
enum class FreeBatch : uint8_t { kOneFeed, kRows };

struct DataOptions {
  uint64_t seed = 0;  // of `random`
  int64_t limit = 0;  // at most so many samples; 0: all
  int64_t random_samples = 16;
  FreeBatch free_batch = FreeBatch::kOneFeed;
  bool follow_links = false;      // symbolic links in folders of pictures
  bool allow_non_finite = false;  // else NaN and infinity in data are an error
  /// (output, input) that the model itself carries, where the data do not say.
  std::vector<std::pair<std::string, std::string>> carry;
  /// What carried inputs start from, by name, where it is not zeros.
  std::map<std::string, Tensor> initial;
};

/// Cheap to copy. All members may be called from several threads at once.
class DataSet {
 public:
  struct State;
  explicit DataSet(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  /// At least 1.
  size_t size() const;
  /// The first `count` samples, as with DataOptions::limit; shares what was opened.
  DataSet first(int64_t count) const;
  /// One tensor per model input, in the model's order, with dtype and shape as the model wants
  /// them, batch axis included (1, except for arrays of the inputs' full shape). Carried inputs are
  /// their first state: feeding them back is the caller's. Throws Error (exit 3, 8) that names file
  /// and sample.
  std::vector<Tensor> sample(size_t index) const;

  bool has_labels() const;
  /// As stored: a scalar for a class, more axes for masks or targets. Undefined without labels.
  Tensor label(size_t index) const;
  /// The label's integers, one an item of the batch (or pixel). Throws Error (exit 3) for
  /// fractions and, in labels of one number, for negative classes.
  std::vector<int64_t> class_labels(size_t index) const;

  /// "0003.jpg", "sample 3", "rows 12..41": for messages and reports.
  std::string sample_name(size_t index) const;
  /// Output name -> input name: that output is the next sample's input.
  const std::vector<std::pair<std::string, std::string>>& carry() const;
  /// What the user should know (not errors).
  const std::vector<std::string>& warnings() const;

 private:
  std::shared_ptr<const State> state_;
};

/// `data`: "random", a spec (.json), or a path of data: .npz, .npy, idx (also gzip), .csv, .wav, a
/// folder of pictures or one picture; without a known extension the first bytes decide. The first
/// sample is decoded, so that data that do not fit the model fail here. Throws Error: exit 3 for
/// bad data, exit 8 over limits.
DataSet open_data_set(const std::string& data, const std::vector<ModelInput>& inputs,
                      const DataOptions& options = {});

}  // namespace lathe

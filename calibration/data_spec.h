// The JSON that describes a data set (DESIGN.md section 4).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calibration/pixels.h"
#include "ir/dtype.h"

namespace lathe {

enum class DataFormat : uint8_t { kNpz, kNpy, kIdx, kCsv, kWav, kImages };

struct Letterbox {
  int64_t height = 0;
  int64_t width = 0;
  double value = 0;
  Align align = Align::kCorner;
};

/// How one model input is made of the data. Absent members leave the data as they are.
struct InputSpec {
  std::optional<std::string> array;   // npz member
  std::optional<std::string> layout;  // of the source: letters of N, H, W, C
  std::optional<ColorOrder> color;    // wanted order of channels; the source is RGB or grey
  std::optional<int64_t> resize_short;
  std::optional<std::array<int64_t, 2>> resize;  // height, width
  std::optional<Letterbox> letterbox;
  std::optional<std::array<int64_t, 2>> center_crop;  // height, width
  double scale = 1;
  std::vector<double> mean;  // empty, one, or one a channel
  std::vector<double> std;
  std::optional<DType> dtype;        // must be the model's
  std::vector<std::string> columns;  // csv; may repeat
  std::optional<int64_t> window;     // rows (csv) or samples (wav)
  std::optional<int64_t> stride;
  int64_t context = 0;          // wav: samples kept from before the window
  std::optional<double> value;  // a constant instead of data

  bool has_arithmetic() const { return scale != 1 || !mean.empty() || !std.empty(); }
  bool has_geometry() const { return resize_short || resize || letterbox || center_crop; }
};

struct DataSpec {
  DataFormat format = DataFormat::kNpz;
  std::string path;    // as it is opened: joined to the spec's folder
  std::string labels;  // array name or column as written, or a file joined to the folder; may be ""
  /// Arrays: whole, and so one feed, where they have an input's full shape; else row by row.
  bool batch = false;
  int64_t skip = 0;
  std::optional<int64_t> limit;
  std::map<std::string, InputSpec> inputs;
  /// Output name -> input name.
  std::vector<std::pair<std::string, std::string>> carry;
};

/// Throws Error (exit 3, exit 8 over the limits of JSON) with file and JSON pointer.
DataSpec parse_data_spec(std::string_view text, const std::string& spec_path);
DataSpec load_data_spec(const std::string& spec_path);

}  // namespace lathe

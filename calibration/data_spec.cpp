#include "calibration/data_spec.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "calibration/data_file.h"
#include "ir/error.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

constexpr int64_t kMaxSide = 65'536;
constexpr int64_t kMaxCount = int64_t{1} << 40;
constexpr double kMaxNumber = 9007199254740992.0;  // 2^53: exact integers

const std::vector<std::string> kFormats = {"npz", "npy", "idx", "csv", "wav", "images"};
const std::vector<std::string> kColors = {"rgb", "bgr", "gray"};

// 224, or [height, width].
std::optional<std::array<int64_t, 2>> sides(JsonReader& reader, std::string_view key) {
  if (!reader.has(key)) return std::nullopt;
  if (!reader.value(key).is_array()) {
    const int64_t side = reader.integer(key, 1, kMaxSide);
    return std::array<int64_t, 2>{side, side};
  }
  const std::vector<int64_t> both = reader.integers(key, 1, kMaxSide);
  if (both.size() != 2) throw reader.error(key, "one side, or height and width, are needed");
  return std::array<int64_t, 2>{both[0], both[1]};
}

// One number or a list of them.
std::vector<double> numbers(JsonReader& reader, std::string_view key) {
  if (!reader.has(key)) return {};
  if (!reader.value(key).is_array()) return {reader.number(key, -kMaxNumber, kMaxNumber)};
  std::vector<double> values = reader.numbers(key, -kMaxNumber, kMaxNumber);
  if (values.empty()) throw reader.error(key, "the list is empty");
  return values;
}

std::string layout(JsonReader& reader) {
  std::string text = reader.string("layout");
  std::string sorted = text;
  std::sort(sorted.begin(), sorted.end());
  const bool unique = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  const bool known = text.find_first_not_of("NHWC") == std::string::npos;
  if (!unique || !known || text.find('H') == std::string::npos ||
      text.find('W') == std::string::npos ||
      (text.find('N') != std::string::npos && text[0] != 'N'))
    throw reader.error("layout", fmt::format("{} is no layout", escape_untrusted(text, 40)),
                       "for example NHWC, NCHW, NHW, HWC");
  return text;
}

// A key that the format ignores would be a silent mistake.
void check_keys(const JsonReader& reader, DataFormat format) {
  const bool series = format == DataFormat::kCsv || format == DataFormat::kWav;
  const auto only = [&](bool allowed, const std::vector<std::string_view>& keys) {
    for (const std::string_view key : keys)
      if (!allowed && reader.has(key))
        throw reader.error(key, fmt::format("the format {} has no use for this key",
                                            kFormats[static_cast<size_t>(format)]));
  };
  only(format == DataFormat::kNpz, {"array"});
  only(format == DataFormat::kCsv, {"columns"});
  only(format == DataFormat::kWav, {"context"});
  only(series, {"window", "stride"});
  only(!series && format != DataFormat::kImages, {"layout"});
  only(!series, {"color", "resize_short", "resize", "letterbox", "center_crop"});
}

InputSpec read_input(JsonReader reader, DataFormat format) {
  check_keys(reader, format);
  InputSpec input;
  input.array = reader.string_if("array");
  if (reader.has("layout")) input.layout = layout(reader);
  if (reader.has("color")) {
    const std::string name = reader.choice("color", kColors);
    input.color =
        static_cast<ColorOrder>(std::find(kColors.begin(), kColors.end(), name) - kColors.begin());
  }
  input.resize_short = reader.integer_if("resize_short", 1, kMaxSide);
  input.resize = sides(reader, "resize");
  if (std::optional<JsonReader> box = reader.object_if("letterbox")) {
    const auto size = sides(*box, "size");
    if (!size) throw box->error("size", "the size is missing");
    input.letterbox = Letterbox{
        (*size)[0], (*size)[1], box->number_or("value", -kMaxNumber, kMaxNumber, 0),
        box->choice_or("align", {"corner", "center"}, "corner") == "center" ? Align::kCenter
                                                                            : Align::kCorner};
    box->finish();
  }
  input.center_crop = sides(reader, "center_crop");
  input.scale = reader.number_or("scale", -kMaxNumber, kMaxNumber, 1);
  input.mean = numbers(reader, "mean");
  input.std = numbers(reader, "std");
  if (std::count(input.std.begin(), input.std.end(), 0.0) > 0)
    throw reader.error("std", "values are divided by std, so it cannot be 0");
  if (const auto name = reader.string_if("dtype")) {
    input.dtype = dtype_from_name(*name);
    if (!input.dtype)
      throw reader.error("dtype", escape_untrusted(*name, 40) + " is no type",
                         "float32, float16, uint8, int64, …");
  }
  input.columns = reader.strings_or("columns", {});
  input.window = reader.integer_if("window", 1, int64_t{1} << 32);
  input.stride = reader.integer_if("stride", 1, int64_t{1} << 32);
  input.context = reader.integer_or("context", 0, int64_t{1} << 32, 0);
  input.value = reader.number_if("value", -kMaxNumber, kMaxNumber);
  reader.finish();
  return input;
}

// Arrays that are one feed are fed as they are.
void check_batch(const DataSpec& spec, const JsonReader& reader) {
  const DataFormat format = spec.format;
  if (format != DataFormat::kNpz && format != DataFormat::kNpy && format != DataFormat::kIdx)
    throw reader.error("batch", fmt::format("the format {} has no use for this key",
                                            kFormats[static_cast<size_t>(format)]));
  for (const auto& [name, input] : spec.inputs)
    if (input.layout || input.color || input.has_geometry() || input.has_arithmetic())
      throw reader.error("batch",
                         fmt::format("arrays of \"batch\" are fed as they are, and the input {} "
                                     "would change them",
                                     escape_untrusted(name, 60)),
                         "leave \"batch\" out, and the samples are the arrays' rows");
}

std::string joined(const std::string& spec_path, const std::string& path) {
  const size_t slash = spec_path.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return spec_path.substr(0, slash + 1) + path;
}

}  // namespace

DataSpec parse_data_spec(std::string_view text, const std::string& spec_path) {
  const std::string file = shown_path(spec_path);
  const nlohmann::json document = parse_json_strict(text, file, ExitCode::kBadInput);
  JsonReader reader(document, file, {}, ExitCode::kBadInput);
  DataSpec spec;
  const std::string format = reader.choice("format", kFormats);
  spec.format = static_cast<DataFormat>(std::find(kFormats.begin(), kFormats.end(), format) -
                                        kFormats.begin());
  spec.path = joined(spec_path, reader.string("path"));
  spec.labels = reader.string_or("labels", "");
  const bool labels_in_data = spec.format == DataFormat::kNpz || spec.format == DataFormat::kCsv;
  if (!spec.labels.empty() && !labels_in_data) spec.labels = joined(spec_path, spec.labels);
  spec.skip = reader.integer_or("skip", 0, kMaxCount, 0);
  spec.limit = reader.integer_if("limit", 1, kMaxCount);
  if (std::optional<JsonReader> inputs = reader.object_if("inputs"))
    for (const std::string& name : inputs->keys())
      spec.inputs.emplace(name, read_input(inputs->object(name), spec.format));
  spec.batch = reader.boolean_or("batch", false);
  if (spec.batch) check_batch(spec, reader);
  if (std::optional<JsonReader> carry = reader.object_if("carry"))
    for (const std::string& input : carry->keys())
      spec.carry.emplace_back(carry->string(input), input);
  reader.finish();
  return spec;
}

DataSpec load_data_spec(const std::string& spec_path) {
  return parse_data_spec(DataFile::open(spec_path).read_all(kMaxJsonBytes), spec_path);
}

}  // namespace lathe

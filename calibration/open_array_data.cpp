#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>

#include "calibration/idx.h"
#include "calibration/npy.h"
#include "calibration/npz.h"
#include "calibration/open_data.h"
#include "calibration/preprocess.h"
#include "ir/error.h"

namespace lathe {
namespace {

// How the rows of an array become feeds.
enum class Use {
  kOneFeed,   // the array is the only feed, used as it is
  kFeeds,     // each row is a feed with its batch axis
  kRows,      // each row is a feed without its batch axis
  kPictures,  // each row is a picture
  kPicture,   // the array is one picture
  kValues,    // each row is values to be fitted
};

struct ChosenUse {
  Use use;
  std::optional<std::string> layout;
};

ChosenUse choose_use(const Array& array, const InputRequest& request, bool batch) {
  const InputSpec& spec = request.spec;
  const Dims& dims = request.input.dims;
  const Shape rest(array.shape.empty() ? array.shape.end() : array.shape.begin() + 1,
                   array.shape.end());
  const bool picture_wanted = spec.layout || spec.color || spec.has_geometry();
  if (!picture_wanted) {
    const bool open_batch = !dims.empty() && !dims[0].known();
    const bool unit_batch = !dims.empty() && dims[0].known() && dims[0].size == 1;
    const bool rows_fit = array.shape.size() == dims.size() && !dims.empty() &&
                          fits(rest, Dims(dims.begin() + 1, dims.end()));
    // Without arithmetic there is nothing that asks which axis the channels are.
    const bool as_is = !spec.has_arithmetic();
    if (as_is && fits(array.shape, dims) && (batch || !open_batch || array.shape[0] == 1))
      return {Use::kOneFeed, {}};
    if (as_is && !array.shape.empty() && fits(rest, dims)) return {Use::kFeeds, {}};
    if (rows_fit && (unit_batch || (!batch && open_batch))) {
      if (as_is) return {Use::kRows, {}};
      const auto target = picture_target(dims);
      if (dims.size() == 4)
        return {Use::kPictures, target->layout == PictureTarget::Layout::kHwc ? "HWC" : "CHW"};
      return {Use::kValues, {}};
    }
  }
  const bool takes_pictures = dims.size() == 4 || picture_wanted ||
                              (dims.size() > 1 && rest.size() == 2 && array.dtype == DType::kUInt8);
  if (spec.layout && spec.layout->at(0) != 'N' && spec.layout->size() == array.shape.size())
    return {Use::kPicture, spec.layout};
  if (picture_wanted || (takes_pictures && is_picture(rest, spec.layout)))
    return {Use::kPictures, spec.layout};
  return {Use::kValues, {}};
}

std::string row_place(const Array& array, int64_t row) {
  return fmt::format("{}: sample {}", array.where, row);
}

struct InputReader {
  ReadSample read;
  std::optional<int64_t> count;  // nullopt: one feed
  int64_t batch = 1;             // of one feed
};

InputReader make_reader(const Array& array, InputRequest request, bool batch) {
  const ChosenUse chosen = choose_use(array, request, batch);
  if (chosen.layout) request.spec.layout = chosen.layout;
  check_rounding(array.dtype, request, array.where);
  if (array.shape.empty() && chosen.use != Use::kOneFeed)
    check_fits(array.shape, request.input, array.where);
  switch (chosen.use) {
    case Use::kOneFeed: {
      const Tensor feed = convert_dtype(read_array(array), request.input.dtype, array.where);
      return {[feed](int64_t) { return feed; }, std::nullopt,
              feed.rank() > 0 ? feed.shape()[0] : 1};
    }
    case Use::kFeeds:
    case Use::kRows:
      return {[array, request, add_batch = chosen.use == Use::kRows](int64_t row) {
                const Tensor feed =
                    convert_dtype(read_row(array, row), request.input.dtype, row_place(array, row));
                if (!add_batch) return feed;
                Shape shape = feed.shape();
                shape.insert(shape.begin(), 1);
                return feed.reshaped(shape);
              },
              array.rows()};
    case Use::kPicture: {
      const Tensor feed =
          preprocess_picture(read_array(array), request.spec, request.input, array.where);
      return {[feed](int64_t) { return feed; }, std::nullopt};
    }
    case Use::kPictures:
      return {[array, request](int64_t row) {
                return preprocess_picture(read_row(array, row), request.spec, request.input,
                                          row_place(array, row));
              },
              array.rows()};
    case Use::kValues: break;
  }
  return {[array, request](int64_t row) {
            return preprocess_values(read_row(array, row), request.spec, request.input,
                                     row_place(array, row));
          },
          array.rows()};
}

std::string names_of(const std::vector<NamedArray>& arrays) {
  std::vector<std::string_view> names;
  for (const NamedArray& array : arrays) names.push_back(array.name);
  return escape_untrusted(fmt::format("{}", fmt::join(names, ", ")));
}

const NamedArray* find_array(const std::vector<NamedArray>& arrays, std::string_view name) {
  for (const NamedArray& array : arrays)
    if (array.name == name) return &array;
  return nullptr;
}

struct Arrays {
  std::vector<NamedArray> all;
  std::optional<Array> labels;
  std::string label_name;  // in the npz
};

// t10k-images-idx3-ubyte.gz -> t10k-labels-idx1-ubyte.gz, when that file is there.
std::string sibling_labels(const std::string& images) {
  const size_t slash = images.rfind('/') + 1;
  const size_t at = images.find("images-idx3", slash);
  if (at == std::string::npos) return {};
  std::string labels = images;
  labels.replace(at, 11, "labels-idx1");
  struct stat status {};
  return ::stat(labels.c_str(), &status) == 0 ? labels : std::string();
}

Array open_labels_file(const std::string& path) {
  if (path.ends_with(".npy")) {
    const DataFile file = DataFile::open(path);
    return open_npy(file.reader(), file.size(), shown_path(path));
  }
  return open_idx(path);
}

Arrays open_arrays(const OpenRequest& request) {
  const DataSpec& spec = request.spec;
  Arrays arrays;
  if (spec.format == DataFormat::kNpz) {
    arrays.all = open_npz(spec.path);
    std::vector<std::string> candidates;
    if (!spec.labels.empty())
      candidates = {spec.labels};
    else if (request.plain)
      candidates = {"labels", "label"};
    for (const std::string& name : candidates) {
      const bool is_input =
          std::any_of(request.inputs.begin(), request.inputs.end(),
                      [&](const InputRequest& r) { return r.input.name == name; });
      const NamedArray* found = find_array(arrays.all, name);
      if (!spec.labels.empty() && found == nullptr)
        throw bad_input("data.labels", fmt::format("there is no array {}", escape_untrusted(name)),
                        shown_path(spec.path), "the arrays are " + names_of(arrays.all));
      if (found == nullptr || (is_input && request.plain) || arrays.labels) continue;
      arrays.labels = found->array;
      arrays.label_name = name;
    }
    return arrays;
  }
  if (spec.format == DataFormat::kNpy) {
    const DataFile file = DataFile::open(spec.path);
    arrays.all.push_back({"", open_npy(file.reader(), file.size(), shown_path(spec.path))});
  } else {
    arrays.all.push_back({"", open_idx(spec.path)});
  }
  const std::string labels = spec.labels.empty() && spec.format == DataFormat::kIdx
                                 ? sibling_labels(spec.path)
                                 : spec.labels;
  if (!labels.empty()) arrays.labels = open_labels_file(labels);
  return arrays;
}

const Array& array_for(const Arrays& arrays, const InputRequest& request, size_t input_count,
                       const std::string& where) {
  if (request.spec.array || find_array(arrays.all, request.input.name) != nullptr) {
    const std::string& name = request.spec.array ? *request.spec.array : request.input.name;
    if (const NamedArray* found = find_array(arrays.all, name)) return found->array;
    throw bad_input("data.array", fmt::format("there is no array {}", escape_untrusted(name)),
                    where, "the arrays are " + names_of(arrays.all));
  }
  const NamedArray* only = nullptr;
  for (const NamedArray& array : arrays.all) {
    if (arrays.labels && array.name == arrays.label_name && arrays.all.size() > 1) continue;
    if (only != nullptr || input_count != 1)
      throw bad_input(
          "data.array",
          fmt::format("no array has the name of the model's input {}",
                      escape_untrusted(request.input.name)),
          where, "name it with \"array\" in a data spec; the arrays are " + names_of(arrays.all));
    only = &array;
  }
  if (only == nullptr) throw bad_input("data.array", "there is no array besides the labels", where);
  return only->array;
}

}  // namespace

void check_rounding(DType from, const InputRequest& request, const std::string& where) {
  const DType to = request.input.dtype;
  if (is_floating(from) && !is_floating(to) && !request.spec.has_arithmetic() &&
      !request.spec.dtype)
    throw bad_input("data.dtype",
                    fmt::format("the data are {}, the model's input {} wants {}", dtype_name(from),
                                escape_untrusted(request.input.name), dtype_name(to)),
                    where, "\"dtype\" in a data spec rounds them");
}

void check_label_count(int64_t labels, int64_t samples, const std::string& where) {
  if (labels != samples)
    throw bad_input("data.labels", fmt::format("{} labels for {} samples", labels, samples), where);
}

OpenedData open_array_data(const OpenRequest& request) {
  const std::string where = shown_path(request.spec.path);
  const Arrays arrays = open_arrays(request);
  OpenedData data;
  std::optional<int64_t> count;
  int64_t batch = 0;
  for (const InputRequest& wanted : request.inputs) {
    const Array& array = array_for(arrays, wanted, request.inputs.size(), where);
    InputReader reader = make_reader(array, wanted, request.spec.batch);
    if (reader.count && count && *reader.count != *count)
      throw bad_input("data.count",
                      fmt::format("{} samples for the input {}, {} for the ones before",
                                  *reader.count, escape_untrusted(wanted.input.name), *count),
                      array.where, "\"batch\": true in a data spec makes one feed of arrays");
    // One feed beside many is the same for all of them.
    if (reader.count) count = reader.count;
    batch = std::max(batch, reader.batch);
    data.inputs.push_back(std::move(reader.read));
    if (request.plain && array.dtype == DType::kUInt8 && is_floating(wanted.input.dtype))
      data.warnings.push_back("uint8 values are fed as 0..255; a data spec can scale them");
  }
  if (batch == 0)
    throw bad_input("data.empty", "the data set is empty", where,
                    "its first dimension is 0: give at least one sample");
  data.count = count.value_or(1);
  data.name = [](int64_t sample) { return fmt::format("sample {}", sample); };
  if (!arrays.labels) return data;
  const Array labels = *arrays.labels;
  if (labels.shape.empty())
    throw bad_input("data.labels", "the labels are one number", labels.where);
  if (!count && labels.rows() != 1) {
    check_label_count(labels.rows(), batch, labels.where);
    data.label = [all = read_array(labels)](int64_t) { return all; };
    return data;
  }
  check_label_count(labels.rows(), data.count, labels.where);
  data.label = [labels](int64_t row) { return read_row(labels, row); };
  return data;
}

}  // namespace lathe

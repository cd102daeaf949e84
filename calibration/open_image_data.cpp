#include <fmt/format.h>
#include <sys/stat.h>

#include "calibration/csv.h"
#include "calibration/image_folder.h"
#include "calibration/open_data.h"
#include "calibration/preprocess.h"

namespace lathe {
namespace {

bool is_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// labels.csv in a folder that is given without a spec.
std::string default_labels(const std::string& folder) {
  const std::string path = folder + "/labels.csv";
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const CsvReader reader(DataFile::open(path));
  return reader.has_column("file") && reader.has_column("label") ? path : std::string();
}

ImageList list_of(const OpenRequest& request) {
  const std::string& path = request.spec.path;
  if (!is_folder(path)) {
    static_cast<void>(DataFile::open(path));
    const size_t slash = path.rfind('/');
    ImageList one;
    one.folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    one.files = {slash == std::string::npos ? path : path.substr(slash + 1)};
    one.follow_links = true;  // the user named this very file
    return one;
  }
  const std::string labels =
      request.spec.labels.empty() && request.plain ? default_labels(path) : request.spec.labels;
  if (!labels.empty()) return read_image_labels(labels, path, request.follow_links);
  return list_images(path, request.follow_links);
}

// Without a spec pictures are brought to the model's size: square ones by their short side and the
// middle, as classifiers are evaluated; others by resizing.
InputSpec fitted(InputSpec spec, const ModelInput& input, bool plain) {
  const auto target = picture_target(input.dims);
  if (!target) return spec;
  if (!spec.color) spec.color = target->channels == 1 ? ColorOrder::kGray : ColorOrder::kRgb;
  if (!plain || !target->height || !target->width) return spec;
  if (*target->height == *target->width) {
    spec.resize_short = *target->height;
    spec.center_crop = {{*target->height, *target->width}};
  } else {
    spec.resize = {{*target->height, *target->width}};
  }
  return spec;
}

}  // namespace

OpenedData open_image_data(const OpenRequest& request) {
  auto list = std::make_shared<const ImageList>(list_of(request));
  OpenedData data;
  data.count = static_cast<int64_t>(list->files.size());
  for (const InputRequest& wanted : request.inputs) {
    const InputSpec spec = fitted(wanted.spec, wanted.input, request.plain);
    data.inputs.push_back([list, spec, input = wanted.input](int64_t sample) {
      const auto index = static_cast<size_t>(sample);
      return preprocess_picture(load_image(*list, index), spec, input,
                                shown_path(list->folder + "/" + list->files[index]));
    });
  }
  data.name = [list](int64_t sample) {
    return escape_untrusted(list->files[static_cast<size_t>(sample)]);
  };
  if (!list->labels.empty())
    data.label = [list](int64_t sample) {
      return Tensor::scalar<int64_t>(list->labels[static_cast<size_t>(sample)]);
    };
  if (list->skipped_links > 0)
    data.warnings.push_back(fmt::format(
        "{} symbolic links were passed over; --follow-links reads them", list->skipped_links));
  if (request.plain)
    data.warnings.push_back(
        "pictures are resized to the model's input and fed as 0..255; a data spec "
        "can say scale, mean and std");
  return data;
}

}  // namespace lathe

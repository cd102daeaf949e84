#include "calibration/image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "calibration/csv.h"
#include "calibration/data_file.h"
#include "calibration/image_file.h"
#include "ir/error.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

bool has_image_extension(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return false;
  std::string extension = name.substr(dot + 1);
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension == "jpg" || extension == "jpeg" || extension == "png";
}

void collect(ImageList& list, const std::string& prefix, int depth) {
  const std::string folder = prefix.empty() ? list.folder : list.folder + "/" + prefix;
  if (depth > kMaxFolderDepth)
    throw over_limit("data.folder_depth", fmt::format("folders deeper than {}", kMaxFolderDepth),
                     shown_path(folder));
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name.starts_with('.')) continue;
    const std::string relative = prefix.empty() ? name : prefix + "/" + name;
    std::error_code ignored;
    const fs::file_status status = entries->symlink_status(ignored);
    if (fs::is_directory(status)) {
      collect(list, relative, depth + 1);
    } else if (has_image_extension(name)) {
      if (fs::is_symlink(status) && !list.follow_links)
        ++list.skipped_links;
      else if (fs::is_regular_file(status) || fs::is_symlink(status))
        list.files.push_back(relative);
      if (list.files.size() > kMaxImageFiles)
        throw over_limit("data.folder_size", fmt::format("more than {} pictures", kMaxImageFiles),
                         shown_path(list.folder));
    }
  }
  if (error)
    throw bad_input("data.folder", "cannot list the folder: " + error.message(),
                    shown_path(folder));
}

}  // namespace

ImageList list_images(const std::string& folder, bool follow_links) {
  ImageList list;
  list.folder = folder;
  list.follow_links = follow_links;
  collect(list, "", 0);
  std::sort(list.files.begin(), list.files.end());
  if (list.files.empty())
    throw bad_input(
        "data.empty", "the folder holds no .jpg, .jpeg or .png files", shown_path(folder),
        list.skipped_links > 0 ? "it holds symbolic links: --follow-links reads them"
                               : "name the folder that the pictures are in, or one beneath it");
  return list;
}

ImageList read_image_labels(const std::string& csv, const std::string& folder, bool follow_links) {
  CsvReader reader(DataFile::open(csv));
  ImageList list;
  list.folder = folder;
  list.follow_links = follow_links;
  const size_t file = reader.column("file");
  const size_t label = reader.column("label");
  std::vector<std::string> cells;
  while (reader.next(cells)) {
    if (list.files.size() == kMaxImageFiles)
      throw over_limit("data.folder_size", fmt::format("more than {} pictures", kMaxImageFiles),
                       shown_path(csv));
    list.files.push_back(cells[file]);
    list.labels.push_back(parse_integer(cells[label], reader.place(label)));
  }
  if (list.files.empty())
    throw bad_input("data.empty", "there are no rows", shown_path(csv),
                    "write one row \"file,label\" for each picture");
  return list;
}

Pixels<uint8_t> load_image(const ImageList& list, size_t index) {
  const DataFile file = DataFile::open_beneath(list.folder, list.files[index], list.follow_links);
  return decode_image(file.read_all(kMaxImageFileBytes), shown_path(file.path()));
}

}  // namespace lathe

#include "train/augmentations.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr const char* kFlag = "--augment";

std::vector<size_t> picture_inputs(const Graph& graph) {
  std::vector<size_t> found;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const ValueType& type = graph.value(graph.inputs()[i]).type;
    if (!type.dims || type.dims->size() != 4 || !is_floating(type.dtype)) continue;
    const Dim& channels = (*type.dims)[1];
    if (channels.size == 1 || channels.size == 3 || channels.size == 4) found.push_back(i);
  }
  return found;
}

std::vector<std::string_view> names_of(std::string_view text) {
  std::vector<std::string_view> names;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    if (name != "flip" && name != "crop" && name != "jitter")
      throw bad_usage("usage.augment",
                      fmt::format("'{}' is no augmentation", escape_untrusted(name)), kFlag,
                      "give a list of flip, crop and jitter");
    names.push_back(name);
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  }
  return names;
}

void refuse_labelled_pixels(std::string_view name, const DataSet& data) {
  if (!data.has_labels() || data.label(0).numel() <= 1) return;
  throw bad_usage("usage.augment", fmt::format("{} would move pixels away from their labels", name),
                  kFlag, "with a label a pixel only jitter can be used");
}

// An eighth of the height; too small a picture has none to give.
int64_t crop_border(const Tensor& picture) {
  const int64_t height = picture.shape().at(2), width = picture.shape().at(3);
  return std::min(std::max<int64_t>(1, height / 8), std::min(height, width) - 1);
}

}  // namespace

void check_augmentations(const std::string& text) { names_of(text); }

std::vector<Augment> augmentations(const std::string& text, const Graph& graph, const DataSet& data,
                                   uint64_t seed) {
  std::vector<Augment> changes;
  const std::vector<std::string_view> names = names_of(text);
  if (names.empty()) return changes;
  const std::vector<size_t> inputs = picture_inputs(graph);
  if (inputs.empty())
    throw bad_usage("usage.augment", "the model takes no pictures [N, C, H, W]", kFlag,
                    "leave --augment out for this model");
  for (const std::string_view name : names) {
    if (name != "jitter") refuse_labelled_pixels(name, data);
    for (const size_t input : inputs) {
      if (name == "flip") changes.push_back(flip_images(seed, input));
      if (name == "crop")
        changes.push_back(crop_images(seed, crop_border(data.sample(0).at(input)), {}, input));
      if (name == "jitter") changes.push_back(jitter_images(seed, 0.2, 0.2, input));
    }
  }
  return changes;
}

}  // namespace lathe

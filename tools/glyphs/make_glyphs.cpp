// lathe-glyphs: draws labelled images for the quickstart and for scripts/train_glyphs.py.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "calibration/npz.h"
#include "glyph_strokes.h"
#include "ir/error.h"
#include "os/publish.h"
#include "render_glyph.h"

namespace lathe {
namespace {

struct MakeGlyphsOptions {
  uint64_t count = 1000;
  uint64_t seed = 0;
  std::filesystem::path output;
  bool force = false;
};

std::string glyphs_npz(const MakeGlyphsOptions& options) {
  std::vector<uint8_t> images;
  std::vector<int64_t> labels;
  images.reserve(options.count * kGlyphSide * kGlyphSide);
  labels.reserve(options.count);
  for (uint64_t i = 0; i < options.count; ++i) {
    const size_t label = glyph_label(options.seed, i);
    const std::vector<uint8_t> image = render_glyph(label, options.seed, i, Distortion{});
    images.insert(images.end(), image.begin(), image.end());
    labels.push_back(static_cast<int64_t>(label));
  }
  const int64_t side = static_cast<int64_t>(kGlyphSide);
  const int64_t count = static_cast<int64_t>(options.count);
  return npz_bytes({{"images", Tensor::of<uint8_t>({count, side, side}, images)},
                    {"labels", Tensor::of<int64_t>({count}, labels)}});
}

// How lathe is to read the file: the preprocessing that the network was trained with.
std::string glyphs_specification(const std::string& file_name) {
  return "{\n  \"format\": \"npz\",\n  \"path\": \"" + file_name +
         "\",\n  \"labels\": \"labels\",\n  \"inputs\": {\n    \"*\": {\n"
         "      \"array\": \"images\",\n      \"scale\": 0.00392156862745098,\n"
         "      \"mean\": [0.25],\n      \"std\": [0.25]\n    }\n  }\n}\n";
}

void make_glyphs(const MakeGlyphsOptions& options) {
  const std::string name = options.output.filename().string();
  // The name goes into JSON as it is.
  if (name.find_first_of("\"\\") != std::string::npos || name != escape_untrusted(name) ||
      options.output.extension() != ".npz") {
    throw bad_usage("glyphs.output", "a plain file name ending in .npz is needed",
                    escape_untrusted(name));
  }
  std::filesystem::path specification = options.output;
  specification.replace_extension(".json");
  std::vector<StagedFile> files;
  files.emplace_back(options.output.string()).write(glyphs_npz(options));
  files.emplace_back(specification.string()).write(glyphs_specification(name));
  publish(std::move(files), options.force);
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  CLI::App app(
      "Draws digits and capital letters as 28x28 gray images with labels.\n"
      "Writes FILE.npz and FILE.json, the specification for lathe's --data.",
      "lathe-glyphs");
  lathe::MakeGlyphsOptions options;
  app.add_option("--count", options.count, "number of images")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "names the set; the same seed gives the same bytes")
      ->capture_default_str();
  app.add_option("-o,--output", options.output, "FILE.npz")->required();
  app.add_flag("--force", options.force, "replace existing files");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(lathe::ExitCode::kUsage);
  }
  try {
    lathe::make_glyphs(options);
  } catch (const lathe::Error& error) {
    std::fprintf(stderr, "lathe-glyphs: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lathe-glyphs: %s\n", error.what());
    return static_cast<int>(lathe::ExitCode::kInternal);
  }
  return 0;
}

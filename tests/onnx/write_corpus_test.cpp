// Every model at hand: read, written at its own opset and at the newest, read again.
#include <doctest/doctest.h>
#include <onnx/checker.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "write_fixtures.h"

namespace lathe {

namespace fs = std::filesystem;

namespace {

const fs::path kDebianData = "/usr/share/libonnx-testdata/data";

/// ONNX's node cases are looked for where the package installs them, or as the environment says.
std::vector<fs::path> model_files() {
  std::vector<fs::path> roots{fs::path(LATHE_SHARED_DIR) / "models", kDebianData};
  if (const char* cases = std::getenv("LATHE_ONNX_NODE_CASES")) roots.emplace_back(cases);
  std::vector<fs::path> files;
  for (const fs::path& root : roots) {
    if (!fs::is_directory(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root))
      if (entry.path().extension() == ".onnx") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// libonnx 1.12 knows opset 17 of the default domain and 3 of ai.onnx.ml.
bool checker_knows(const WrittenModel& written, const Model& model) {
  const auto it = model.other_opsets.find("ai.onnx.ml");
  return written.opset <= 17 && written.ir_version <= 8 &&
         (it == model.other_opsets.end() || it->second <= 3);
}

void store(const char* directory, const fs::path& file, std::string_view suffix,
           const WrittenModel& written) {
  const std::string name = file.parent_path().filename().string() + "_" + file.stem().string();
  std::ofstream out(fs::path(directory) / (name + std::string(suffix)), std::ios::binary);
  out << written.model_bytes;
}

}  // namespace

TEST_CASE("models survive writing and reading") {
  // Directory to keep what was written, for a look with other tools.
  const char* kept = std::getenv("LATHE_KEEP_WRITTEN");
  int checked = 0, unreadable = 0;
  for (const fs::path& file : model_files()) {
    CAPTURE(file.string());
    Model model;
    try {
      model = load_onnx(file);
    } catch (const Error& error) {
      // What the reader refuses is its tests' business.
      ++unreadable;
      MESSAGE("not read: " << file.string() << ": " << std::string(error.what()));
      continue;
    }
    try {
      const std::string text = text_form(model.graph);
      const WrittenModel written = write_onnx(model);
      const Model again = reread(written);
      verify(again.graph, "reading again");
      // Raised models come back in a form that names nothing differently.
      const bool same = text_form(again.graph) == text;
      CHECK(same);
      CHECK(again.opset == written.opset);
      CHECK(write_onnx(again).opset == written.opset);
      if (written.opset != std::max<int64_t>(model.opset, 7))
        MESSAGE("raised from " << model.opset << " to " << written.opset << " by "
                               << opset_need(model.graph).node);
      if (checker_knows(written, model)) {
        try {
          onnx::checker::check_model(proto_of(written));
        } catch (const std::exception& error) {
          FAIL_CHECK("checker: " << std::string(error.what()));
        }
      }
      // Old forms stay at their opset; experimental ops become others at the newest.
      bool old_form = false, experimental = false;
      for (const NodeId id : model.graph.node_ids()) {
        const Node& node = model.graph.node(id);
        old_form =
            old_form || (node.kind == OpKind::kOpaque && op_kind("", node.opaque_type).has_value());
        experimental = experimental || node.kind == OpKind::kAffine || node.kind == OpKind::kCrop ||
                       node.kind == OpKind::kImageScaler;
      }
      if (!old_form) {
        WriteOptions newest;
        newest.opset = kNewestWrittenOpset;
        const WrittenModel raised = write_onnx(model, newest);
        const bool same_newest = experimental || text_form(reread(raised).graph) == text;
        CHECK(same_newest);
        if (kept != nullptr) store(kept, file, "_newest.onnx", raised);
      }
      if (kept != nullptr) store(kept, file, "_own.onnx", written);
      ++checked;
    } catch (const std::exception& error) {
      FAIL_CHECK("threw: " << std::string(error.what()));
    }
  }
  MESSAGE(checked << " models written, " << unreadable << " not read");
  CHECK(checked > 0);
}

}  // namespace lathe

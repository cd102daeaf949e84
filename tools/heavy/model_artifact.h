// A model's files: .onnx, external data when it is too large for one, and the manifest.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "command_run.h"
#include "fit_report.h"
#include "ir/model.h"
#include "names/targets.h"
#include "onnx/write_model.h"

namespace lathe {

/// What a command with -o will write for `target`: model and manifest, nothing with --dry-run.
/// Throws Error (exit 2) for an output whose name says that it is another target's.
std::vector<std::string> planned_files(const CommonOptions& common,
                                       const Target& target = target_of(TargetKind::kOnnx));

/// The bytes for `model` under the profile's limits; `opset_limit` is --opset. `external_data`:
/// constants of 1 KiB and more go beside the model (otherwise only when it must be).
WrittenModel write_model_for(const Model& model, const Profile& profile,
                             const std::optional<int64_t>& opset_limit, const std::string& output,
                             bool external_data = false);

/// The model as a reader of those bytes sees it (without external data files: the model itself).
Model read_back(const WrittenModel& written, const Model& model);

/// A file that belongs to a model's.
struct SideFile {
  std::string kind;  // as reports name it: "header"
  std::string path;
  std::string bytes;
};

/// Publishes side files, data file, model and manifest together as `output` (`replace`: over older
/// ones) and lists them in the report. The manifest gets "artifacts": name, sha256 and bytes of all
/// but itself.
void publish_model(const WrittenModel& written, const nlohmann::json& manifest,
                   const std::string& output, bool replace, Report& report,
                   const std::vector<SideFile>& beside = {});

/// The header of a C source file: "net.h" of "net.c".
std::string header_of(const std::string& source);
/// Its weights where they are a unit of their own: "net_weights.c".
std::string weights_of(const std::string& source);

/// The report's model_out: what `model` is as it was written, and whether that fits into the
/// profile's device; `file` of what is no ONNX file.
void note_output(CommandRun& run, Model model, const WrittenModel& written,
                 std::optional<FitFile> file = std::nullopt);

/// "43 %": what is left of a size.
std::string size_left_text(int64_t before, int64_t after);

}  // namespace lathe

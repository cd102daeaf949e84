#include "heavy/model_artifact.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "ir/error.h"
#include "model_facts.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "os/publish.h"
#include "os/sha256.h"

namespace lathe {

std::vector<std::string> planned_files(const CommonOptions& common, const Target& target) {
  check_output_name(common.output, target);
  if (common.output.empty() || common.dry_run) return {};
  std::vector<std::string> files{common.output, common.output + ".manifest.json"};
  if (target.kind == TargetKind::kC99) files.push_back(header_of(common.output));
  return files;
}

std::string weights_of(const std::string& source) {
  const std::filesystem::path path(source);
  return path.parent_path() / (path.stem().string() + "_weights.c");
}

std::string header_of(const std::string& source) {
  return std::filesystem::path(source).replace_extension(".h").string();
}

WrittenModel write_model_for(const Model& model, const Profile& profile,
                             const std::optional<int64_t>& opset_limit, const std::string& output,
                             bool external_data) {
  if (opset_limit && *opset_limit > profile.runtime.max_opset)
    throw bad_usage(
        "opset.profile",
        fmt::format("profile {} reads opsets up to {}", profile.name, profile.runtime.max_opset),
        fmt::format("--opset {}", *opset_limit),
        "take that opset, or a --profile of a newer runtime");
  WriteOptions options;
  options.max_opset = std::min(kNewestWrittenOpset, profile.runtime.max_opset);
  if (opset_limit) options.max_opset = std::min(options.max_opset, *opset_limit);
  options.max_ir = profile.runtime.max_ir;
  options.external_data = external_data;
  options.data_file = std::filesystem::path(output).filename().string() + ".data";
  return write_onnx(model, options);
}

Model read_back(const WrittenModel& written, const Model& model) {
  if (!written.external.empty()) return model;
  Model read = read_onnx(std::as_bytes(std::span(written.model_bytes)), {});
  infer_shapes(read.graph);
  return read;
}

void publish_model(const WrittenModel& written, const nlohmann::json& manifest,
                   const std::string& output, bool replace, Report& report,
                   const std::vector<SideFile>& beside) {
  std::vector<StagedFile> files;
  nlohmann::json artifacts = nlohmann::json::array();
  const auto list = [&](const std::string& kind, const std::string& path, const std::string& hash,
                        int64_t bytes) {
    report.artifacts.push_back({kind, path, hash, bytes});
    artifacts.push_back({{"kind", kind},
                         {"file", std::filesystem::path(path).filename().string()},
                         {"sha256", hash},
                         {"bytes", bytes}});
  };
  if (!written.external.empty()) {
    StagedFile data(output + ".data");
    int64_t at = 0;
    for (const ExternalPiece& piece : written.external) {
      data.write(std::string(static_cast<size_t>(piece.offset - at), '\0'));
      data.write(piece.tensor.bytes());
      at = piece.offset + static_cast<int64_t>(piece.tensor.bytes().size());
    }
    const std::string hash = sha256_file(data.temporary());
    list("external_data", data.path(), hash, written.external_bytes);
    files.push_back(std::move(data));
  }
  for (const SideFile& side : beside) {
    StagedFile file(side.path);
    file.write(side.bytes);
    list(side.kind, side.path, sha256_hex(side.bytes), static_cast<int64_t>(side.bytes.size()));
    files.push_back(std::move(file));
  }
  const std::string model_hash = sha256_hex(written.model_bytes);
  list("model", output, model_hash, static_cast<int64_t>(written.model_bytes.size()));
  nlohmann::json complete = manifest;
  complete["artifacts"] = artifacts;
  const std::string text = complete.dump(2) + "\n";
  StagedFile manifest_file(output + ".manifest.json");
  manifest_file.write(text);
  files.push_back(std::move(manifest_file));
  StagedFile model(output);
  model.write(written.model_bytes);
  files.push_back(std::move(model));
  publish(std::move(files), replace);
  list("manifest", output + ".manifest.json", sha256_hex(text), static_cast<int64_t>(text.size()));
}

void note_output(CommandRun& run, Model model, const WrittenModel& written,
                 std::optional<FitFile> file) {
  model.opset = written.opset;
  model.ir_version = written.ir_version;
  run.report.model_out = model_facts(run.common.output, model);
  run.report.model_out->parent_sha256 = run.report.model->sha256;
  if (!file) {
    file.emplace();
    file->opset = written.opset;
    file->ir = written.ir_version;
  }
  const Fit fit = note_fit(run, model.graph, *file);
  run.fit_text = "\n" + fit_sentence(fit, run.profile, run.console) + "\n";
}

std::string size_left_text(int64_t before, int64_t after) {
  return fmt::format("{:.0f} %", 100.0 * static_cast<double>(after) / static_cast<double>(before));
}

}  // namespace lathe

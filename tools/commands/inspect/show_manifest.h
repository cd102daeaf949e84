// The manifest beside a model, as inspect shows it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lathe {

/// PATH.manifest.json, when it is there and one of ours.
struct Manifest {
  nlohmann::json document;
  /// The model is the file that the manifest was written for; nullopt: the manifest has no hash.
  std::optional<bool> matches;
  std::string problem;  // why the file beside the model is no manifest; empty: it is one
};

/// `sha256`: of the model. nullopt when there is no such file. Never throws for what the file
/// holds: a bad manifest does not hide its model.
std::optional<Manifest> manifest_beside(const std::string& path, const std::string& sha256);

/// The report's section "manifest".
nlohmann::json manifest_section(const Manifest& manifest);

/// Rows {"manifest", "…"} for a table.
std::vector<std::vector<std::string>> manifest_rows(const Manifest& manifest);

}  // namespace lathe

#include "commands/inspect/show_manifest.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "ir/error.h"
#include "os/read_file.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

// A member of a kind, whatever a hostile file has put there.
std::string text_of(const json& object, const char* key, size_t most = 80) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end() || !it->is_string()) return {};
  return escape_untrusted(it->get_ref<const std::string&>(), most);
}

std::optional<bool> matches_model(const json& document, const std::string& sha256) {
  const auto it = document.find("artifacts");
  if (it == document.end() || !it->is_array()) return {};
  for (const json& artifact : *it)
    if (text_of(artifact, "kind") == "model") return text_of(artifact, "sha256") == sha256;
  return {};
}

std::optional<bool> is_verified(const json& document) {
  const auto it = document.find("verified");
  if (it == document.end() || !it->is_boolean()) return {};
  return it->get<bool>();
}

std::string recipe_text(const json& document) {
  const auto it = document.find("recipe");
  if (it == document.end() || !it->is_object() || it->empty()) return "defaults";
  std::string text;
  for (const auto& [key, value] : it->items())
    text += fmt::format(
        "{}{}={}", text.empty() ? "" : " ", escape_untrusted(key, 40),
        escape_untrusted(value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', true),
                         60));
  return text;
}

}  // namespace

std::optional<Manifest> manifest_beside(const std::string& path, const std::string& sha256) {
  const std::string file = path + ".manifest.json";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return {};
  Manifest manifest;
  try {
    manifest.document = parse_json_strict(read_file(file, static_cast<int64_t>(kMaxJsonBytes)),
                                          file, ExitCode::kBadInput);
    if (text_of(manifest.document, "schema") != "lathe.manifest")
      throw bad_input("manifest.schema", "the schema is not lathe.manifest");
    manifest.matches = matches_model(manifest.document, sha256);
  } catch (const Error& error) {
    manifest.document = json::object();
    manifest.problem = error.text().message;
  }
  return manifest;
}

json manifest_section(const Manifest& manifest) {
  if (!manifest.problem.empty()) return {{"problem", escape_untrusted(manifest.problem)}};
  json section = manifest.document;
  if (manifest.matches)
    section["matches_model"] = *manifest.matches;
  else
    section["matches_model"] = nullptr;
  return section;
}

std::vector<std::vector<std::string>> manifest_rows(const Manifest& manifest) {
  if (!manifest.problem.empty())
    return {{"manifest", "not readable: " + escape_untrusted(manifest.problem)}};
  const json& document = manifest.document;
  const auto verified = is_verified(document);
  // What another file was verified for says nothing about this one.
  std::string state = !verified   ? "nothing said of verification"
                      : *verified ? "verified"
                                  : "not verified";
  if (!manifest.matches)
    state += "; it names no hash of the model";
  else if (!*manifest.matches)
    state = "of another file: the model's sha256 does not match";
  const std::string command = text_of(document, "command");
  return {
      {"manifest", state},
      {"made by", fmt::format("lathe {}{}{}", text_of(document, "lathe_version", 20),
                              command.empty() ? "" : " " + command, ": " + recipe_text(document))},
      {"source sha256", text_of(document, "source_sha256")}};
}

}  // namespace lathe

#include "commands/quantize/search_file.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ir/error.h"
#include "os/publish.h"
#include "os/read_file.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "lathe.search";
constexpr int64_t kMaxSearchBytes = int64_t{16} << 20;

Error foreign(const std::string& file) {
  return bad_input("search.schema", "this is no search file of lathe, or it is damaged",
                   escape_untrusted(file), "remove it, or choose another --statistics FILE");
}

}  // namespace

std::string search_file_of(const std::string& statistics) {
  return statistics.empty() ? std::string() : statistics + ".search.json";
}

std::vector<JudgedNodes> load_search(const std::string& file, const std::string& key,
                                     const Graph& graph) {
  if (file.empty() || !std::filesystem::exists(file)) return {};
  try {
    const json root = parse_json_strict(read_file(file, kMaxSearchBytes), file);
    if (root.at("schema") != kSchema) throw foreign(file);
    if (root.at("key") != key) return {};
    std::vector<JudgedNodes> judged;
    for (const json& row : root.at("evaluations")) {
      JudgedNodes one;
      one.drop = row.at("drop").get<double>();
      for (const json& name : row.at("left_in_float"))
        one.left_in_float.insert(graph.find_node(name.get<std::string>()));
      // A name that is gone belongs to no network of this key.
      if (!one.left_in_float.empty() && !one.left_in_float.begin()->valid()) throw foreign(file);
      judged.push_back(std::move(one));
    }
    return judged;
  } catch (const json::exception&) {
    throw foreign(file);
  } catch (const Error& error) {
    if (error.code() == ExitCode::kUsage) throw foreign(file);
    throw;
  }
}

void save_search(const std::string& file, const std::string& key, const Graph& graph,
                 const std::vector<JudgedNodes>& judged) {
  if (file.empty()) return;
  json rows = json::array();
  for (const JudgedNodes& one : judged) {
    json names = json::array();
    for (const NodeId id : one.left_in_float) names.push_back(graph.node(id).name);
    rows.push_back({{"drop", one.drop}, {"left_in_float", std::move(names)}});
  }
  const json root = {{"schema", kSchema}, {"key", key}, {"evaluations", std::move(rows)}};
  publish_file(file, root.dump() + "\n", true);
}

}  // namespace lathe

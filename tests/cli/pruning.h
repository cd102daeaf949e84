// What tests of lathe prune share: labelled pictures, runs of the command, weights of its results.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "onnx/read_fixtures.h"
#include "run_lathe.h"

namespace lathe {

/// Draws pictures for that network, as the quickstart does. Returns the specification for --data.
std::string draw_glyphs(const ScratchDirectory& folder, const std::string& name, int count,
                        int seed, bool labels = true);

/// A folder for one test's files.
struct PruneFiles {
  ScratchDirectory folder;
  std::string at(const std::string& name) const { return folder.path(name); }
  std::string draw(const std::string& name, int count, bool labels = true) const {
    return draw_glyphs(folder, name, count, static_cast<int>(name.size()), labels);
  }
  /// Without latencies, which take seconds; `more` begins with the model's path.
  CliResult prune(const std::string& out, std::vector<std::string> more) const;
  /// Of the network above; has to succeed, and its report to follow the schema.
  nlohmann::json pruned(const std::string& out, std::vector<std::string> more) const;
};

/// A weight of a convolution or a matrix product as it is in the file, by the name of its node.
struct StoredWeight {
  std::vector<int64_t> dims;
  std::vector<float> values;
  int64_t zeros() const;
};
std::map<std::string, StoredWeight> stored_weights(const std::string& path);

std::vector<float> floats_of(const onnx::TensorProto& tensor);

/// The model at `path` with one element of the node's weight replaced.
std::string with_element(const std::string& path, const std::string& node, float value);

}  // namespace lathe

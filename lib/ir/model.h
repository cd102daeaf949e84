// A graph with what an ONNX file says around it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct Model {
  Graph graph;
  int64_t ir_version = 8;
  /// Opset of the default domain that the file asked for; the graph itself is in the internal form.
  int64_t opset = 17;
  /// Versions of the other domains ("com.microsoft" -> 1).
  std::map<std::string, int64_t> other_opsets;
  std::string producer_name;
  std::string producer_version;
  std::string domain;
  int64_t model_version = 0;
  std::string doc;
  std::map<std::string, std::string> metadata;
  /// What the reader made of a file that says two things: for the user.
  std::vector<std::string> notes;
};

}  // namespace lathe

// GraphProto -> Graph, subgraphs with their captures included. No opset is known here: nodes carry
// the attributes of the file.
#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "onnx/read_tensor.h"

namespace lathe {

/// Which local function a node calls: domain ("" for ai.onnx), name and overload.
struct FunctionKey {
  std::string domain;
  std::string name;
  std::string overload;
  auto operator<=>(const FunctionKey&) const = default;
};
using Functions = std::map<FunctionKey, const onnx::FunctionProto*>;

FunctionKey key_of(const onnx::FunctionProto& function);
FunctionKey key_of(const onnx::NodeProto& node);
/// "ai.onnx" -> "".
std::string plain_domain(const std::string& domain);

/// State of one reading.
struct GraphReading {
  TensorSource source;
  int max_depth = 32;
  const Functions& functions;
  /// Calls of local functions, in the graphs as opaque nodes of kCallDomain: the node's type is the
  /// index into this list.
  std::vector<onnx::NodeProto> calls;
};

/// No domain of a file: it holds a control character, which names of operators may not.
inline constexpr std::string_view kCallDomain =
    "\x01"
    "call";

/// Takes the graph out of `proto`. Constant nodes and initializers (dense and sparse) become
/// constants; an initializer that is also an input (IR 3) is no input. Names of `absent` are known
/// but stand for no value (a function's inputs that a call leaves out). `depth` is the number of
/// graphs around this one.
/// Throws Error: exit 3 for a value that nothing produces, a name that is produced twice or hides a
/// visible outer one, an attribute twice or of an unsupported type; exit 8 for depth and lengths.
Graph read_graph(onnx::GraphProto& proto, GraphReading& reading, int depth = 0,
                 const std::set<std::string>& absent = {});

}  // namespace lathe

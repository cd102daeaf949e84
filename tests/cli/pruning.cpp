#include "pruning.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "report_schema.h"
#include "running_lathe.h"

namespace lathe {
namespace {

onnx::ModelProto parsed(const std::string& path) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(content_of(path)));
  return model;
}

bool has_weight(const onnx::NodeProto& node) {
  const std::string& type = node.op_type();
  return type == "Conv" || type == "ConvTranspose" || type == "Gemm" || type == "MatMul";
}

}  // namespace

std::string draw_glyphs(const ScratchDirectory& folder, const std::string& name, int count,
                        int seed, bool labels) {
  const std::string path = folder.path(name + ".npz");
  RunningLathe drawing(
      {"--count", std::to_string(count), "--seed", std::to_string(seed), "-o", path},
      LATHE_BINARY "-glyphs");
  REQUIRE(drawing.finish(600) == 0);
  const std::string spec = folder.path(name + ".json");
  if (!labels) {
    nlohmann::json fields = nlohmann::json::parse(content_of(spec));
    fields.erase("labels");
    std::ofstream(spec) << fields.dump();
  }
  return spec;
}

CliResult PruneFiles::prune(const std::string& out, std::vector<std::string> more) const {
  more.insert(more.begin(), "prune");
  more.insert(more.end(), {"-o", at(out), "--latency", "off"});
  return run_lathe(more);
}

nlohmann::json PruneFiles::pruned(const std::string& out, std::vector<std::string> more) const {
  more.insert(more.begin(), kGlyphs);
  more.insert(more.end(), {"--json", "--force"});
  const CliResult result = prune(out, more);
  INFO("stderr: ", result.err, " stdout: ", result.out);
  REQUIRE(result.exit_code == 0);
  nlohmann::json report = report_of(result);
  CHECK(schema_errors(report) == "");
  return report;
}

std::vector<float> floats_of(const onnx::TensorProto& tensor) {
  if (tensor.raw_data().empty()) return {tensor.float_data().begin(), tensor.float_data().end()};
  std::vector<float> values(tensor.raw_data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
  return values;
}

int64_t StoredWeight::zeros() const { return std::count(values.begin(), values.end(), 0.0f); }

std::map<std::string, StoredWeight> stored_weights(const std::string& path) {
  const onnx::ModelProto model = parsed(path);
  std::map<std::string, const onnx::TensorProto*> constants;
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    constants[tensor.name()] = &tensor;
  std::map<std::string, StoredWeight> weights;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (!has_weight(node)) continue;
    const onnx::TensorProto& tensor = *constants.at(node.input(1));
    StoredWeight& weight = weights[node.name()];
    weight.dims.assign(tensor.dims().begin(), tensor.dims().end());
    weight.values = floats_of(tensor);
  }
  return weights;
}

std::string with_element(const std::string& path, const std::string& node, float value) {
  onnx::ModelProto model = parsed(path);
  std::string name;
  for (const onnx::NodeProto& candidate : model.graph().node())
    if (candidate.name() == node) name = candidate.input(1);
  for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
    if (tensor.name() != name) continue;
    std::vector<float> values = floats_of(tensor);
    values.at(3) = value;
    tensor.clear_float_data();
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
    return model.SerializeAsString();
  }
  throw std::runtime_error("no weight of " + node);
}

}  // namespace lathe

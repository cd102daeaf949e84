#include "heavy/distill/student_writer.h"

#include <nlohmann/json.hpp>

#include "heavy/model_artifact.h"

namespace lathe {

StudentWriter::StudentWriter(const DistillOptions& options, const Profile& profile,
                             const Model& model, bool replace)
    : options_(options), profile_(profile), model_(model), common_(options.common) {
  common_.force = replace;
}

WrittenModel StudentWriter::bytes(const Graph& graph) const {
  Model model = model_;
  model.graph = graph;
  return write_model_for(model, profile_, options_.opset, common_.output);
}

void StudentWriter::publish(const WrittenModel& written, const nlohmann::json& manifest,
                            Report& report) {
  report.artifacts.clear();
  publish_model(written, manifest, common_, report);
  // From now on the file there is ours.
  common_.force = true;
}

}  // namespace lathe

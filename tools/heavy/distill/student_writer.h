// Writes the student, while it is trained and at the end: whatever ends the process, the best one
// so far is there.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "ir/model.h"
#include "onnx/write_model.h"
#include "options.h"
#include "profiles/profile.h"
#include "report/report.h"

namespace lathe {

class StudentWriter {
 public:
  /// References outlive the writer. `model`: what surrounds the graph. `replace`: what is at the
  /// output already.
  StudentWriter(const DistillOptions& options, const Profile& profile, const Model& model,
                bool replace);

  /// The bytes of `graph` under the profile's limits.
  WrittenModel bytes(const Graph& graph) const;
  /// Replaces the output, with a manifest that has `manifest`, and lists the files in `report`. The
  /// first call obeys `replace`. Throws Error (exit 9).
  void publish(const WrittenModel& written, const nlohmann::json& manifest, Report& report);

 private:
  const DistillOptions& options_;
  const Profile& profile_;
  const Model& model_;
  CommonOptions common_;
};

}  // namespace lathe

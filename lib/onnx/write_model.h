// Model -> ONNX bytes, the same for the same model on every run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/model.h"
#include "onnx/lower_opset.h"

namespace lathe {

struct WriteOptions {
  /// Opset of the default domain; the model's own when absent. Raised as far as a node needs.
  std::optional<int64_t> opset;
  int64_t max_opset = kNewestWrittenOpset;
  int64_t max_ir = 13;
  /// Keep constants of 1 KiB and more in a file beside the model. Done without being asked when
  /// the model would come near 2 GiB, which no ONNX file may exceed.
  bool external_data = false;
  /// Name of that file, without a directory.
  std::string data_file;
};

/// One piece of the data file; what lies between pieces is zero.
struct ExternalPiece {
  int64_t offset = 0;  // a multiple of 64, of 4096 for a piece of 1 MiB and more
  Tensor tensor;       // shares the model's bytes
};

struct WrittenModel {
  std::string model_bytes;
  std::vector<ExternalPiece> external;  // ascending; empty: no data file
  int64_t external_bytes = 0;           // size of the data file
  int64_t opset = 0;
  int64_t ir_version = 0;
};

/// Nodes in graph.order(), constants in value order, attributes by name, types of all values that
/// are known. Takes about the size of the constants in memory, once. Throws Error: exit 2 when the
/// opset or IR version that is needed exceeds the options; exit 3 when the model holds nodes of an
/// old form that only its own opset can express; exit 8 when it is too big for one file and
/// `data_file` is empty.
WrittenModel write_onnx(const Model& model, const WriteOptions& options = {});

/// The IR version that came with an opset, at least 4 (initializers need not be inputs).
int64_t ir_version_of(int64_t opset);

}  // namespace lathe

// External tensor data: the one place that opens a file whose name stands inside a model.
// onnx.ai/onnx/repo-docs/ExternalData.html; rules of CVE-2024-27318, CVE-2026-27489, -34445,
// -34446.
#pragma once

#include <onnx/onnx_pb.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ir/tensor.h"
#include "onnx/read_options.h"
#include "os/mapped_file.h"

namespace lathe {

/// The files that one model's tensors lie in; each is opened once, checked and mapped.
class ExternalFiles {
 public:
  /// An empty directory refuses all external data. `model` is never accepted as its own data file.
  ExternalFiles(std::filesystem::path directory, const ReadOptions& options,
                std::optional<FileIdentity> model = std::nullopt);

  /// The tensor's bytes. `proto.external_data` gives location (relative, beneath the directory),
  /// offset and length in decimal digits. Throws Error (exit 3) that names file and tensor when the
  /// location leaves the directory, the file is missing, no regular file or too short, or the
  /// length is not what dtype and shape need. Bytes that lie unaligned are copied and charged.
  Tensor tensor(const onnx::TensorProto& proto, DType dtype, const Shape& shape,
                MemoryBudget& budget);

 private:
  const MappedFile& open(const std::string& location, const std::string& where);

  std::filesystem::path directory_;
  bool follow_links_;
  bool refuse_hard_links_;
  std::optional<FileIdentity> model_;
  std::map<std::string, MappedFile> files_;
};

}  // namespace lathe

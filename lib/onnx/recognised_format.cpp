#include "onnx/recognised_format.h"

#include <algorithm>
#include <array>

namespace lathe {
namespace {

struct Magic {
  size_t offset;
  std::string_view bytes;
  std::string_view kind;
};

constexpr std::array<Magic, 18> kMagic{{
    {0, "\x1f\x8b", "a gzip file"},
    {0, "BZh", "a bzip2 file"},
    {0,
     "\xfd"
     "7zXZ",
     "an xz file"},
    {0, "\x28\xb5\x2f\xfd", "a zstd file"},
    {0, "7z\xbc\xaf", "a 7z archive"},
    {0,
     "\x7f"
     "ELF",
     "an ELF program or library"},
    {0, "\xff\xd8\xff", "a JPEG picture"},
    {0, "\x89PNG", "a PNG picture"},
    {0, "\x93NUMPY", "a NumPy array"},
    {0, "\x89HDF", "an HDF5 file (Keras?)"},
    {0, "GGUF", "a GGUF file"},
    {0, "%PDF", "a PDF document"},
    {4, "TFL3", "a TensorFlow Lite model"},
    {4, "ORTM", "an ONNX Runtime (.ort) model"},
    {257, "ustar", "a tar archive"},
    {0, "\x80\x02", "a Python pickle (an old PyTorch checkpoint?)"},
    {0, "\x80\x04", "a Python pickle"},
    {0, "version https://git-lfs", "a Git LFS pointer, not the file itself"},
}};

bool is_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

}  // namespace

std::string_view recognised_format(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "empty";
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 512));
  if (head.starts_with("PK\x03\x04")) {
    // TorchScript and eager checkpoints are both zip files that start with a pickle.
    if (head.find("data.pkl") != head.npos || head.find("/constants") != head.npos ||
        head.find("/code/") != head.npos || head.find("/version") != head.npos)
      return "a TorchScript archive or PyTorch checkpoint";
    return head.find(".npy") != head.npos ? "a NumPy .npz archive" : "a zip archive";
  }
  for (const Magic& magic : kMagic)
    if (head.size() >= magic.offset && head.substr(magic.offset).starts_with(magic.bytes))
      return magic.kind;
  if (head.starts_with("<") && is_text(head)) return "an HTML or XML page";
  return is_text(head) ? "text" : "";
}

}  // namespace lathe

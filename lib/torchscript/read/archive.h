// A TorchScript archive before LibTorch sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lathe {

/// The newest file format version that LibTorch 1.13 reads (caffe2/serialize/versions.h).
constexpr int64_t kMaxTorchScriptVersion = 10;

/// Checks the zip rules (os/zip_archive.h), what kind of file it is, every entry's CRC, the pickles
/// (pickle_scan.h) and, unless `trust`, the code that runs while it is loaded (code_trust.h).
/// Throws Error whose place begins with `where`; ids besides those of the named headers, all exit
/// 3: torchscript.not_archive (something else than a zip archive), torchscript.not_module (an eager
/// checkpoint, a state dictionary, an exported program, …: said which), torchscript.mobile (only
/// bytecode), torchscript.old_format, torchscript.version (newer than LibTorch reads),
/// torchscript.byte_order, torchscript.needs_trust. Returns the bytes of all entries, unpacked.
uint64_t check_torchscript_archive(std::span<const std::byte> archive, std::string_view where,
                                   bool trust);

}  // namespace lathe

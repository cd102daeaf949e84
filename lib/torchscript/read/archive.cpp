#include "torchscript/read/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ir/error.h"
#include "os/zip_archive.h"
#include "torchscript/read/code_trust.h"
#include "torchscript/read/pickle_scan.h"

namespace lathe {
namespace {

constexpr uint64_t kMaxPickleBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxCodeBytes = uint64_t{64} << 20;
constexpr const char* kExport =
    "save it as TorchScript: torch.jit.trace(model.eval(), example).save(\"model.pt\") or "
    "torch.jit.script(model).save(\"model.pt\")";

Error not_module(std::string what, std::string_view where, std::string hint = kExport) {
  return bad_input("torchscript.not_module", std::move(what), std::string(where), std::move(hint));
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Before anything is parsed: files with the wrong name.
void check_is_zip(std::span<const std::byte> archive, std::string_view where) {
  const std::string_view head = as_text(archive.first(std::min<size_t>(archive.size(), 512)));
  if (head.starts_with("PK\x03\x04")) return;
  const auto refuse = [&](std::string what, std::string hint) {
    return bad_input("torchscript.not_archive", std::move(what), std::string(where),
                     std::move(hint));
  };
  if (head.empty()) throw refuse("the file is empty", {});
  if (head.starts_with("\x80\x02") || head.starts_with("\x80\x03") || head.starts_with("\x80\x04"))
    throw refuse("is a Python pickle: a checkpoint in PyTorch's old format, not TorchScript",
                 kExport);
  if (head.size() > 262 && head.substr(257).starts_with("ustar"))
    throw refuse("is a tar archive: a checkpoint in PyTorch's oldest format, not TorchScript",
                 kExport);
  if (head.starts_with("PK\x05\x06")) throw refuse("is a zip archive without entries", {});
  // ONNX: the first field is ir_version, a small number, then the producer or the opsets.
  if (head.size() > 2 && head[0] == '\x08' && head[1] > 0 && head[1] < 32)
    throw refuse("looks like an ONNX model, not like TorchScript", "name it .onnx");
  throw refuse("is no TorchScript archive (a zip file)", kExport);
}

// Names below the archive's one top folder.
using Entries = std::map<std::string, const ZipEntry*, std::less<>>;

Entries below_root(const std::vector<ZipEntry>& entries, std::string_view where) {
  if (entries.empty()) throw not_module("is a zip archive without files", where);
  const std::string& first = entries.front().name;
  const std::string root = first.substr(0, first.find('/') + 1);
  Entries out;
  bool one_root = !root.empty();
  for (const ZipEntry& entry : entries) {
    one_root = one_root && entry.name.starts_with(root);
    out.emplace(one_root ? entry.name.substr(root.size()) : entry.name, &entry);
  }
  if (one_root) return out;
  const auto has = [&](std::string_view name) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const ZipEntry& entry) { return entry.name.ends_with(name); });
  };
  if (has("serialized_exported_program.json"))
    throw not_module("is an exported program (torch.export), not TorchScript", where);
  if (has(".npy")) throw not_module("is a NumPy .npz archive, not TorchScript", where, {});
  if (has(".weights.h5")) throw not_module("is a Keras model, not TorchScript", where, {});
  throw not_module("is a zip archive with several top folders, not TorchScript", where);
}

bool has_below(const Entries& entries, const std::string& folder) {
  const auto found = entries.lower_bound(folder);
  return found != entries.end() && found->first.starts_with(folder);
}

void check_kind(const Entries& entries, std::string_view where) {
  if (entries.contains("archive_format") || has_below(entries, "models/") ||
      entries.contains("serialized_exported_program.json"))
    throw not_module("is an exported program (torch.export, .pt2), not TorchScript", where);
  if (entries.contains(".data/extern_modules"))
    throw not_module("is a torch.package archive, not TorchScript", where);
  if (entries.contains("model.json"))
    throw bad_input("torchscript.old_format",
                    "was written by PyTorch before 1.4, whose format is not read",
                    std::string(where), "load and save it with a newer PyTorch first");
  const bool has_code = has_below(entries, "code/");
  const auto data = entries.find("data.pkl");
  if (has_code && data != entries.end() && entries.contains("constants.pkl")) return;
  if (entries.contains("bytecode.pkl"))
    throw bad_input("torchscript.mobile",
                    "is a file for PyTorch Mobile that holds bytecode, but no code to read",
                    std::string(where),
                    "take the module before _save_for_lite_interpreter and save it with .save()");
  if (data == entries.end())
    throw not_module("is a zip archive without TorchScript's files", where);
  const std::vector<std::string> names =
      pickle_globals(zip_entry_text(*data->second, where, kMaxPickleBytes));
  std::string other;
  for (const std::string& name : names)
    if (!name.starts_with("torch.") && !name.starts_with("torch._utils") &&
        !name.starts_with("collections.") && other.empty())
      other = name;
  throw not_module(other.empty()
                       ? std::string("is a state dictionary or checkpoint (weights without code), "
                                     "not TorchScript")
                       : "is an eager checkpoint that needs Python's " + escape_untrusted(other) +
                             ", not TorchScript",
                   where);
}

void check_version(const Entries& entries, std::string_view where) {
  // Files of format version 6 and later may keep it under the other name (inline_container.cc).
  auto version = entries.find(".data/version");
  if (version == entries.end()) version = entries.find("version");
  if (version == entries.end())
    throw bad_input("torchscript.version", "the archive does not say its format version",
                    std::string(where), "it is no file of torch.jit.save");
  std::string text = zip_entry_text(*version->second, where, 64);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < 1)
    throw bad_input("torchscript.version",
                    "the archive's format version is no number: " + escape_untrusted(text),
                    std::string(where));
  if (number > kMaxTorchScriptVersion)
    throw bad_input("torchscript.version",
                    fmt::format("has format version {}; LibTorch 1.13 reads up to {}", number,
                                kMaxTorchScriptVersion),
                    std::string(where), "save it with an older PyTorch");
  const auto order = entries.find("byteorder");
  if (order != entries.end() && zip_entry_text(*order->second, where, 64) != "little")
    throw bad_input("torchscript.byte_order", "its tensors are not little-endian",
                    std::string(where), "save it on a little-endian machine");
}

void check_pickles(const Entries& entries, std::string_view where) {
  const auto has_class = [&](const std::string& module, const std::string& name) {
    if (name.empty() || name.find_first_of("./") != name.npos) return false;
    std::string path = "code/" + module + ".py";
    std::replace(path.begin() + 5, path.end() - 3, '.', '/');
    return entries.contains(path);
  };
  for (const auto& [name, entry] : entries) {
    const bool debug = name.ends_with(".debug_pkl");
    if (!debug && (!name.ends_with(".pkl") || name.find('/') != name.npos)) continue;
    // For PyTorch Mobile; LibTorch does not read them beside code.
    if (name == "bytecode.pkl" || name == "metadata.pkl" || name == "mobile_debug_handles.pkl")
      continue;
    const std::string stem = debug ? std::string() : name.substr(0, name.size() - 4);
    const auto storage_bytes = [&](const std::string& key) -> std::optional<uint64_t> {
      const auto record = entries.find(stem + "/" + key);
      if (record == entries.end()) return std::nullopt;
      return record->second->bytes;
    };
    scan_pickle(zip_entry_text(*entry, where, kMaxPickleBytes), {has_class, storage_bytes},
                fmt::format("{}: {}", where, escape_untrusted(name)));
  }
}

void check_code(const Entries& entries, std::string_view where) {
  std::map<std::string, std::string> files;
  uint64_t total = 0;
  for (const auto& [name, entry] : entries) {
    if (!name.starts_with("code/") || !name.ends_with(".py")) continue;
    total += entry->bytes;
    if (total > kMaxCodeBytes)
      throw over_limit("zip.entry_size", "the archive's code is longer than 64 MiB",
                       std::string(where));
    files.emplace(name, zip_entry_text(*entry, where, kMaxCodeBytes));
  }
  if (const auto found = find_load_time_code(files))
    throw bad_input(
        "torchscript.needs_trust", "runs code while it is loaded: " + found->reason,
        fmt::format("{}: {}", where, escape_untrusted(found->place)),
        "--trust opens it, in a locked-in process (bench --engine torchscript: in lathe's own)");
}

}  // namespace

uint64_t check_torchscript_archive(std::span<const std::byte> archive, std::string_view where,
                                   bool trust) {
  check_is_zip(archive, where);
  const std::vector<ZipEntry> zip = read_zip(archive, where);
  const Entries entries = below_root(zip, where);
  check_kind(entries, where);
  check_version(entries, where);
  uint64_t total = 0;
  for (const ZipEntry& entry : zip) {
    visit_zip_entry(entry, where, [](std::span<const std::byte>) {});
    total += entry.bytes;
  }
  check_pickles(entries, where);
  if (!trust) check_code(entries, where);
  return total;
}

}  // namespace lathe

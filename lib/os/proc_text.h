// Small readers of what /proc and /sys say. Absent or unreadable is nullopt, never an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// At most 1 MiB of a pseudo-file, without trailing white space.
std::optional<std::string> small_file(const std::string& path);

/// The value of the first line "name : value" or "name: value" ("model name", "Cpus_allowed").
std::optional<std::string> text_field(std::string_view text, std::string_view name);

/// A line "VmHWM:   123 kB", in bytes.
std::optional<int64_t> kib_field(std::string_view text, std::string_view name);

/// Split at white space.
std::vector<std::string> words_of(std::string_view text);

}  // namespace lathe

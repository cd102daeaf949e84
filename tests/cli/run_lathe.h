// Runs the built lathe as a user would, and keeps what it said.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scratch_directory.h"

namespace lathe {

/// The repository's own network, 8 groups of 16 to 144 channels and a classifier.
inline const std::string kGlyphs = LATHE_SOURCE_DIR "/scripts/glyphs.onnx";

/// What lathe may take at its peak for files that are broken or hostile.
constexpr int64_t kBoundedBytes = int64_t{700} << 20;

struct CliResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
  bool timed_out = false;
  std::string out;
  std::string err;
  int64_t peak_bytes = 0;  // resident; at least this process's own when it started lathe
};

struct CliOptions {
  std::string stdout_path;  // "": captured; "-": closed; else opened for writing
  std::string directory;    // working directory; "": this one
  int timeout_s = 600;  // of a machine that is busy with other things
};

CliResult run_lathe(const std::vector<std::string>& arguments, const CliOptions& options = {});

/// Names of everything below a directory, sorted.
std::vector<std::string> listing(const std::string& directory);
std::string content_of(const std::string& path);

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more);

/// An executable of the shell, for --eval-command. Returns its path.
std::string write_script(const ScratchDirectory& folder, const std::string& name,
                         const std::string& body);

/// The command ended by itself with `code`, said why in one line that holds every text of `named`
/// (at most one line of hint behind it), and printed no result.
void check_refused(const CliResult& result, int code, const std::vector<std::string>& named);

/// The only thing on stdout is a report; returned.
nlohmann::json report_of(const CliResult& result);

/// Whether the report holds a warning with this code.
bool warns(const nlohmann::json& report, const std::string& code);

}  // namespace lathe

// Checks of an output path before the work starts, so that hours of work are not lost at its end.
#pragma once

#include <string>
#include <vector>

namespace lathe {

/// The directory that `path` is in, "." for a name alone.
std::string directory_of(const std::string& path);

/// Two paths name one existing file (same inode: symbolic and hard links, `.` and `..` included),
/// or would name one (equal after resolving their directories).
bool same_file(const std::string& a, const std::string& b);

/// Throws Error:
/// exit 2: `path` is empty or holds a NUL, is the same file as one of `inputs` (also with `force`),
///         or exists and `force` is false;
/// exit 9: it is a directory or device, its name is too long, its directory is missing or not
///         writable.
void check_output(const std::string& path, bool force, const std::vector<std::string>& inputs);

/// check_output for each, and exit 2 when two outputs are the same file.
void check_outputs(const std::vector<std::string>& paths, bool force,
                   const std::vector<std::string>& inputs);

}  // namespace lathe

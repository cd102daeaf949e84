// Where --remote points, and the system's program that talks with it.
#pragma once

#include <string>
#include <vector>

namespace lathe {

/// [user@]host[:port], the host an IPv6 address in brackets perhaps, or adb:[serial]
struct RemoteTarget {
  bool is_adb = false;
  std::string host;  // with its user, as ssh takes it; of adb: the serial, empty for the only one
  int port = 0;      // 0: ssh's choice

  std::string text() const;
  /// What a user would type to see why it does not answer.
  std::string by_hand() const;
};

/// Throws Error (exit 2) for anything else.
RemoteTarget parse_remote(const std::string& text);

/// ssh or adb with a command for the far shell; LATHE_SSH and LATHE_ADB name other programs.
std::vector<std::string> shell_command(const RemoteTarget& target, const std::string& command);

}  // namespace lathe

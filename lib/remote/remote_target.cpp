#include "remote/remote_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "ir/error.h"

namespace lathe {
namespace {

bool all_of(std::string_view text, std::string_view others) {
  const auto is_one = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  };
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, is_one);
}

std::string program(const char* variable, const char* otherwise) {
  const char* other = std::getenv(variable);
  return other != nullptr && *other != 0 ? other : otherwise;
}

int port_of(std::string_view text) {
  int port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && stop == text.data() + text.size() && port <= 65535 ? port : 0;
}

RemoteTarget adb_target(const std::string& text) {
  RemoteTarget target{true, text.substr(4), 0};
  if (target.host.empty() || all_of(target.host, ".:_-")) return target;
  throw bad_usage("usage.remote", "not a device's serial", escape_untrusted(text, 100),
                  "adb devices lists them");
}

}  // namespace

std::string RemoteTarget::text() const {
  if (is_adb) return "adb:" + host;
  if (port == 0) return host;
  const size_t at = host.rfind('@') + 1;  // 0 without
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return is_ipv6 ? fmt::format("{}[{}]:{}", host.substr(0, at), host.substr(at), port)
                 : fmt::format("{}:{}", host, port);
}

std::string RemoteTarget::by_hand() const {
  if (is_adb) return "adb devices";
  return port > 0 ? fmt::format("ssh {} -p {}", host, port) : "ssh " + host;
}

RemoteTarget parse_remote(const std::string& text) {
  if (text.starts_with("adb:")) return adb_target(text);
  const auto refused = [&] {
    return bad_usage("usage.remote", "not [user@]host[:port] or adb:[serial]",
                     escape_untrusted(text, 100),
                     text == "adb" ? "adb: with its colon is a phone"
                                   : "settings of another kind belong into ~/.ssh/config");
  };
  const size_t at = text.find('@');
  std::string user = at == std::string::npos ? "" : text.substr(0, at);
  std::string host = at == std::string::npos ? text : text.substr(at + 1);
  RemoteTarget target;
  const bool is_ipv6 = host.starts_with('[');
  const size_t bracket = is_ipv6 ? host.find(']') : 0;
  if (bracket == std::string::npos) throw refused();
  if (const size_t colon = host.find(':', bracket); colon != std::string::npos) {
    target.port = port_of(std::string_view(host).substr(colon + 1));
    if (target.port < 1) throw refused();
    host.resize(colon);
  }
  if (is_ipv6) {
    if (!host.ends_with(']')) throw refused();
    host = host.substr(1, host.size() - 2);
  }
  if (!all_of(host, is_ipv6 ? ":.%" : "._-") || text == "adb" ||
      (at != std::string::npos && !all_of(user, "._-")))
    throw refused();
  target.host = at == std::string::npos ? host : user + "@" + host;
  return target;
}

std::vector<std::string> shell_command(const RemoteTarget& target, const std::string& command) {
  if (target.is_adb) {
    std::vector<std::string> argv = {program("LATHE_ADB", "adb")};
    if (!target.host.empty()) argv.insert(argv.end(), {"-s", target.host});
    // Without a terminal, which would change bytes.
    argv.insert(argv.end(), {"shell", "-T", command});
    return argv;
  }
  std::vector<std::string> argv = {program("LATHE_SSH", "ssh")};
  for (const char* option :
       {"BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=3"})
    argv.insert(argv.end(), {"-o", option});
  if (target.port > 0) argv.insert(argv.end(), {"-p", std::to_string(target.port)});
  argv.insert(argv.end(), {"--", target.host, command});
  return argv;
}

}  // namespace lathe

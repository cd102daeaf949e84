// lathe-runner on another machine, over the system's ssh: copied there, talked with, and removed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/duplex_child.h"
#include "os/host.h"
#include "run/engine.h"

namespace lathe {

/// [user@]host[:port]
struct RemoteTarget {
  std::string host;  // with its user
  int port = 0;      // 0: ssh's choice

  std::string text() const;
};

/// Throws Error (exit 2) for anything else.
RemoteTarget parse_remote(const std::string& text);

/// The file of a static lathe-runner for `arch` (as uname -m names it). Throws Error (exit 6) where
/// there is none.
using FindRunner = std::function<std::string(const std::string& arch)>;

/// One process there, in a folder of its own that goes with it, whatever ends the connection.
/// LATHE_SSH names another program than ssh (as GIT_SSH does for git). Host keys and passwords are
/// ssh's affair: it is told to ask for nothing, and its message is passed on. All functions throw
/// Error: 6 for a connection that cannot be made, is lost or keeps silent, and for a runner of
/// another version or architecture; what the runner refuses, with its own code.
class RemoteRunner {
 public:
  RemoteRunner(const RemoteTarget& target, const FindRunner& find_runner);

  const HostFacts& host() const { return host_; }
  /// The plan's bytes.
  void load(std::string_view plan, int threads, int64_t batch);
  /// The bytes of all inputs in turn.
  void add_sample(std::string_view bytes);
  /// So many runs of the samples in turn, from number `first` on: the time of each in ns.
  std::vector<int64_t> run(size_t first, int64_t count);
  /// All outputs in turn, so many bytes, for all inputs in turn.
  std::string run_once(std::string_view inputs, size_t output_bytes);
  /// Of the plan that was loaded last, and of the process as it is now.
  RemoteFacts facts();

 private:
  std::string request(const std::string& line, std::string_view payload = {}, double seconds = 60);
  [[noreturn]] void lost(const DuplexChild& child, std::string_view doing) const;

  RemoteTarget target_;
  std::unique_ptr<DuplexChild> child_;
  HostFacts host_;
  RemoteFacts facts_;
};

}  // namespace lathe

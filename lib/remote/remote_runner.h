// lathe-runner on another machine, over the system's ssh or adb: copied there, talked with, and
// removed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/tensor.h"
#include "os/duplex_child.h"
#include "os/host.h"
#include "peaks/measured_peaks.h"
#include "remote/find_runner.h"
#include "remote/remote_facts.h"
#include "remote/remote_target.h"

namespace lathe {

struct RemoteOutput {
  DType dtype = DType::kUndefined;
  Shape shape;
};

/// One process there, in a folder of its own that goes with it, whatever ends the connection.
/// Host keys and passwords are ssh's affair: it is told to ask for nothing, and its message is
/// passed on. All functions throw Error: 6 for a connection that cannot be made, is lost or keeps
/// silent, and for a runner of another version or architecture; what the runner refuses, with its
/// own code.
class RemoteRunner {
 public:
  RemoteRunner(const RemoteTarget& target, const FindRunner& find_runner);

  const HostFacts& host() const { return host_; }
  /// What its cores and its memory deliver, measured there; 0 threads: all that it may use.
  MeasuredPeaks peaks(int threads);
  /// The plan's bytes.
  void load(std::string_view plan, int threads, int64_t batch);
  /// The bytes of all inputs in turn.
  void add_sample(std::string_view bytes);
  /// So many runs of the samples in turn, from number `first` on: the time of each in ns.
  std::vector<int64_t> run(size_t first, int64_t count);
  /// Of the plan that was loaded last, at its batch.
  std::vector<RemoteOutput> outputs();
  /// All outputs in turn, so many bytes, for all inputs in turn.
  std::string run_once(std::string_view inputs, size_t output_bytes);
  /// Of the plan that was loaded last, and of the process as it is now.
  RemoteFacts facts();

 private:
  std::string request(const std::string& line, std::string_view payload = {}, double seconds = 60);
  std::string answer_of(const std::string& reply) const;
  std::vector<std::string> request_lines(const std::string& line, double seconds = 60);
  std::string arch_there();
  void put(const std::string& runner);
  void greet(const std::string& arch);
  [[noreturn]] void lost(std::string_view doing, std::string hint = {}) const;

  RemoteTarget target_;
  std::unique_ptr<DuplexChild> child_;
  HostFacts host_;
  RemoteFacts facts_;
};

}  // namespace lathe

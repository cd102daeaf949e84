// LibTorch's ProcessGroupGloo, also where Gloo's own headers are missing, as beside Debian's
// libtorch-dev.
#pragma once

#if __has_include(<gloo/context.h>)

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#else

#include <torch/csrc/api/include/torch/version.h>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// The declaration below has the layout of that version.
static_assert(TORCH_VERSION_MAJOR == 1 && TORCH_VERSION_MINOR == 13,
              "this LibTorch needs the headers of Gloo (libgloo-dev)");

namespace gloo {
class Context;
namespace rendezvous {
class Store;
}
namespace transport {
class Device;
}
}  // namespace gloo

namespace c10d {

/// ProcessGroupGloo.hpp without what names Gloo's types in full. LibTorch holds the table of
/// virtual functions; all members are there for the size of an object.
class TORCH_API ProcessGroupGloo : public ProcessGroup {
 public:
  struct TORCH_API Options : public ProcessGroup::Options {
    explicit Options(std::chrono::milliseconds timeout = kProcessGroupDefaultTimeout);
    std::vector<std::shared_ptr< ::gloo::transport::Device> > devices;
    int threads;
  };

  static std::shared_ptr< ::gloo::transport::Device> createDeviceForInterface(
      const std::string& interface);
  static std::shared_ptr< ::gloo::transport::Device> createDeviceForHostname(
      const std::string& hostname);

  explicit ProcessGroupGloo(const c10::intrusive_ptr<Store>& store, int rank, int size,
                            c10::intrusive_ptr<Options> options);
  ~ProcessGroupGloo() override;

  c10::intrusive_ptr<Work> broadcast(std::vector<at::Tensor>& tensors,
                                     const BroadcastOptions& options = {}) override;
  c10::intrusive_ptr<Work> allreduce(std::vector<at::Tensor>& tensors,
                                     const AllreduceOptions& options = {}) override;

 protected:
  std::unique_ptr< ::gloo::rendezvous::Store> store_;
  const c10::intrusive_ptr<Options> options_;
  std::vector<std::shared_ptr< ::gloo::Context> > contexts_;
  std::vector<std::thread> threads_;
  bool stop_;
  uint32_t collectiveCounter_;
  std::deque<c10::intrusive_ptr<Work> > workQueue_;
  std::vector<c10::intrusive_ptr<Work> > workInProgress_;
  std::mutex workMutex_;
  std::condition_variable workProduceCV_;
  std::condition_variable workConsumeCV_;
};

}  // namespace c10d

#endif

#include "train/process_group.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <future>
#include <thread>

#include "evaluate/torch_api.h"
#include "ir/error.h"
#include "train/gloo_group.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;
using Store = c10::intrusive_ptr<c10d::Store>;

constexpr std::chrono::milliseconds kPollJoin{20};
constexpr std::chrono::milliseconds kPollWork{200};
constexpr std::chrono::seconds kJoinGrace{5};  // for an error that says more

/// First line of what LibTorch says; the rest is a backtrace.
std::string reason(const std::exception& failure) {
  const std::string_view text = failure.what();
  return escape_untrusted(text.substr(0, text.find('\n')));
}

Error cannot_join(const ProcessEnvironment& environment, std::string what, std::string hint) {
  return bad_environment(
      "train.join", std::move(what),
      fmt::format("rank {} of {}, store at {}:{}", environment.rank, environment.size,
                  escape_untrusted(environment.address), environment.port),
      std::move(hint));
}

// -- meeting -------------------------------------------------------------------------------------

Store open_store(const ProcessEnvironment& environment) {
  c10d::TCPStoreOptions options;
  options.port = environment.port;
  options.isServer = environment.rank == 0 && !environment.store_served;
  options.waitWorkers = false;  // wait_for_all() names those that are missing
  options.timeout = environment.join_timeout;
  leave_out_libuv(options);
  try {
    const Store store = c10::make_intrusive<c10d::TCPStore>(environment.address, options);
    return c10::make_intrusive<c10d::PrefixStore>("lathe/" + environment.attempt, store);
  } catch (const std::exception& failure) {
    throw cannot_join(environment, "the store could not be opened: " + reason(failure),
                      options.isServer ? "another program may use the port: set MASTER_PORT"
                                       : "start all processes at about the same time; MASTER_ADDR "
                                         "must name the host of rank 0");
  }
}

std::string joined_key(int64_t rank) { return fmt::format("joined/{}", rank); }

void wait_for_all(const ProcessEnvironment& environment, const Store& store) {
  const auto deadline = Clock::now() + environment.join_timeout;
  int64_t next = 0;  // all before have joined
  while (true) {
    while (next < environment.size && store->check({joined_key(next)})) ++next;
    if (next == environment.size) return;
    if (Clock::now() > deadline) break;
    std::this_thread::sleep_for(kPollJoin);
  }
  std::string missing;
  int64_t count = 0;
  for (int64_t rank = next; rank < environment.size; ++rank) {
    if (store->check({joined_key(rank)})) continue;
    if (++count <= 8) missing += fmt::format("{}{}", count == 1 ? "" : ", ", rank);
  }
  if (count > 8) missing += ", …";
  throw cannot_join(environment,
                    fmt::format("{} of {} processes did not join within {} s (ranks {})", count,
                                environment.size, environment.join_timeout.count() / 1000, missing),
                    "start one process for every rank (srun, torchrun), on hosts that reach each "
                    "other");
}

void meet(const ProcessEnvironment& environment, const Store& store) {
  try {
    if (store->add(joined_key(environment.rank), 1) != 1)
      throw cannot_join(environment, fmt::format("two processes have rank {}", environment.rank),
                        "every process needs a rank of its own, and every run a port of its own");
    wait_for_all(environment, store);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& failure) {
    throw cannot_join(environment, "the store was lost: " + reason(failure),
                      "see what ended the process of rank 0");
  }
}

/// Address of this machine on the network where `address` is; empty when that cannot be told.
/// Nothing is sent.
std::string own_address(const std::string& address, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int descriptor = socket(each->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST] = {};
    const bool known = connect(descriptor, each->ai_addr, each->ai_addrlen) == 0 &&
                       getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
                       getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text,
                                   nullptr, 0, NI_NUMERICHOST) == 0;
    close(descriptor);
    if (known) return text;
  }
  return {};
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> connect_all(const ProcessEnvironment& environment,
                                                       const Store& store) {
  try {
    const auto options = c10::make_intrusive<c10d::ProcessGroupGloo::Options>(environment.timeout);
    options->threads = 1;  // one call after the other
    const std::string own = own_address(environment.address, environment.port);
    options->devices.push_back(
        environment.network.empty()
            ? c10d::ProcessGroupGloo::createDeviceForHostname(own.empty() ? "127.0.0.1" : own)
            : c10d::ProcessGroupGloo::createDeviceForInterface(environment.network));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(environment.rank),
                                                       static_cast<int>(environment.size), options);
  } catch (const std::exception& failure) {
    throw cannot_join(environment, "the processes could not be connected: " + reason(failure),
                      "name the network between the hosts in GLOO_SOCKET_IFNAME");
  }
}

struct Connection {
  Store store;  // served by rank 0 as long as it lives
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

Connection connect(const ProcessEnvironment& environment) {
  const Store store = open_store(environment);
  meet(environment, store);
  return {store, connect_all(environment, store)};
}

/// In a thread of its own: what serves the port may be no store and never answer.
std::future<Connection> start_connecting(const ProcessEnvironment& environment) {
  std::packaged_task<Connection()> task([environment] { return connect(environment); });
  std::future<Connection> connection = task.get_future();
  std::thread(std::move(task)).detach();
  return connection;
}

// -- working together ----------------------------------------------------------------------------

class GlooProcesses final : public Processes {
 public:
  GlooProcesses(const ProcessEnvironment& environment, Connection connection,
                std::function<void()> check)
      : rank_(environment.rank),
        size_(environment.size),
        check_(std::move(check)),
        store_(std::move(connection.store)),
        group_(std::move(connection.group)) {}

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }

  void sum(at::Tensor& tensor) override {
    run(tensor, [&](std::vector<at::Tensor>& tensors) { return group_->allreduce(tensors); });
  }

  void take_from_first(at::Tensor& tensor) override {
    run(tensor, [&](std::vector<at::Tensor>& tensors) { return group_->broadcast(tensors); });
  }

 private:
  template <class Start>
  void run(const at::Tensor& tensor, Start start) {
    if (!tensor.is_contiguous()) throw InternalError("processes share contiguous tensors");
    if (!group_) throw lost("the connection was given up before");
    if (tensor.numel() == 0) return;
    std::vector<at::Tensor> tensors = {tensor.detach()};
    try {
      const c10::intrusive_ptr<c10d::Work> work = start(tensors);
      while (!done(*work)) {
        if (check_) check_or_leave();
      }
    } catch (const Error&) {
      throw;
    } catch (const std::exception& failure) {
      // Closes the connections: those who wait for this process notice.
      group_.reset();
      throw lost(reason(failure));
    }
  }

  /// Throws what the work ended with; false when it takes longer.
  static bool done(c10d::Work& work) {
    try {
      work.wait(kPollWork);
      return true;
    } catch (const std::exception&) {
      if (!work.isCompleted()) return false;
      if (work.exception()) throw;
      return true;
    }
  }

  void check_or_leave() {
    try {
      check_();
    } catch (...) {
      // Its thread still waits for another process, perhaps for minutes; the end of this one closes
      // the connections.
      group_.release();
      throw;
    }
  }

  Error lost(std::string why) const {
    return bad_environment(
        "train.peer_lost", "another process of the training is gone: " + std::move(why),
        fmt::format("rank {} of {}", rank_, size_),
        "see what ended the others first; then start all again with --resume, which goes on after "
        "the last complete step of the checkpoint");
  }

  int64_t rank_;
  int64_t size_;
  std::function<void()> check_;
  Store store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::unique_ptr<Processes> join_processes(const ProcessEnvironment& environment,
                                          std::function<void()> check) {
  const auto deadline = Clock::now() + environment.join_timeout + kJoinGrace;
  std::future<Connection> connection = start_connecting(environment);
  while (connection.wait_for(kPollWork) != std::future_status::ready) {
    if (check) check();
    if (Clock::now() > deadline)
      throw cannot_join(environment, "nothing answers as it should",
                        "another program may use the port, or a firewall drops what is sent");
  }
  return std::make_unique<GlooProcesses>(environment, connection.get(), std::move(check));
}

}  // namespace lathe

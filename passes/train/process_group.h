// Processes that find each other through a TCP store and speak Gloo, both LibTorch's c10d.
#pragma once

#include <functional>
#include <memory>

#include "train/process_environment.h"
#include "train/processes.h"

namespace lathe {

/// Waits until all have joined. Throws Error (exit 6, "train.join", the missing ranks named) when
/// that takes longer than the environment's join_timeout.
///
/// When another process ends, whoever waits for it gets "train.peer_lost" at once; when it hangs,
/// after the environment's timeout. From then on nothing is said to the others either, so that they
/// notice as well. `check` is called a few times a second while this one waits, throws to stop
/// (os/signals.h), and makes all later calls fail.
std::unique_ptr<Processes> join_processes(const ProcessEnvironment& environment,
                                          std::function<void()> check = {});

}  // namespace lathe

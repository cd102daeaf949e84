// What `lathe bench` executes. Engines run a prepared model and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/tensor.h"
#include "remote/remote_facts.h"
#include "run/node_observer.h"
#include "run/runtime_value.h"

namespace lathe {

/// What an emulated board counts, at each of the prepared samples the same program.
struct EmulatedFacts {
  std::string board, processor;
  std::string arch;                // as profiles name it
  std::string compiler, emulator;  // with their versions
  int64_t instructions = 0;        // of the sample that takes most
  int64_t least_instructions = 0;
  std::vector<std::pair<std::string, int64_t>> steps;  // of the first sample
  int64_t stack_bytes = 0;
  int64_t arena_touched_bytes = 0;
  int64_t flash_code_bytes = 0;
  int64_t flash_constant_bytes = 0;
  int64_t flash_library_bytes = 0;  // of the C library, what the network makes a program link
  int64_t input_bytes = 0;          // of the caller
  int64_t output_bytes = 0;

  int64_t ram_bytes(int64_t arena_bytes) const { return arena_bytes + stack_bytes; }
  int64_t flash_bytes() const {
    return flash_code_bytes + flash_constant_bytes + flash_library_bytes;
  }
};

/// What an engine made of its model.
struct EngineFacts {
  /// Memory for the values between the nodes, and the least that any plan needs; absent where the
  /// engine does not plan it.
  std::optional<int64_t> arena_bytes;
  std::optional<int64_t> arena_lower_bound;
  /// Nodes that the engine leaves to the interpreter, by op type, and their share of one run's
  /// time.
  std::map<std::string, int64_t> interpreted;
  double interpreted_share = 0;
  /// Float products whose factors are rounded to bfloat16.
  int64_t bfloat16_products = 0;
  /// How many parts a batch is executed in; 1: it is not divided.
  int64_t batch_parts = 1;
  std::optional<EmulatedFacts> emulated;
  std::optional<RemoteFacts> remote;
};

class Engine {
 public:
  virtual ~Engine() = default;

  /// As in reports and --engine.
  virtual std::string_view name() const = 0;

  /// The inputs that executions cycle through, converted beforehand: at least one sample of one
  /// tensor per graph input, in the graph's order. Shares the tensors' bytes.
  virtual void prepare(const std::vector<std::vector<Tensor>>& samples) = 0;

  /// Runs sample number `iteration` modulo their count; the outputs are dropped. Throws Error
  /// (exit 3) when the model cannot be computed on it, exit 8 when memory runs out.
  virtual void execute(size_t iteration) = 0;

  /// What the engine computes for one sample, for accuracies: one value per graph input, one per
  /// graph output (a trusted TorchScript file: what its forward returns). Errors as execute.
  virtual std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) = 0;

  /// Of the first prepared sample; may execute it to see how long its parts take.
  virtual EngineFacts facts() { return {}; }

  /// Executions so far that one thread computed, as more had taken longer.
  virtual int64_t lone_runs() const { return 0; }

  /// What executions took so far by the clock of the machine that computes; nullopt: of this one,
  /// whose clock is as good.
  virtual std::optional<int64_t> own_time_ns() const { return std::nullopt; }

  /// From now on executions tell `observer` of every node of the graph that the engine was made
  /// from; an empty one ends that. False, and nothing changes, where the engine does not see nodes.
  virtual bool observe(NodeObserver observer) { return !observer; }
};

}  // namespace lathe

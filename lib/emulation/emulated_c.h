// Generated C on an emulated board: what it computes, what it takes.
//
// QEMU gives each instruction the same time (-icount), which a clock of the board shows: the counts
// are exact, the same on every host. They are no cycles: flash, caches and pipelines are not
// emulated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "c99/c99.h"
#include "emulation/boards.h"
#include "ir/graph.h"
#include "os/temporary_folder.h"

namespace lathe {

/// Bytes of flash; the library's are those that the network makes a program link.
struct FlashUse {
  int64_t code = 0;
  int64_t constants = 0;
  int64_t library = 0;
};

struct StepCount {
  std::string step;  // its kind and nodes
  int64_t instructions = 0;
};

struct EmulatedRun {
  std::vector<std::byte> outputs;      // of all samples, one behind the other
  std::vector<int64_t> instructions;   // one a sample
  int64_t stack_bytes = 0;             // at most 64 KiB are seen
  int64_t arena_touched_bytes = 0;     // of the arena, the highest byte that was written
};

class EmulatedC {
 public:
  /// `graph`: of fixed shapes, as `specialized` makes it; `code`: its rounding, most_arena_bytes and
  /// fast_bytes count. Compiles with -O2. Throws Error: exit 3 as emit_c99 does, or for what does not
  /// fit into the board's memory; exit 4 for an arena that takes more than asked; exit 6 where the
  /// programs are not there or do not work.
  EmulatedC(const Board& board, const Graph& graph, const C99Options& code);

  /// `inputs`: of all samples, each of input_bytes with its arrays at input_offsets. Throws Error:
  /// exit 6 when the emulator
  /// fails or does not count, exit 8 after ten minutes or where the count would not fit; exit 1 when
  /// the code wrote beyond its arena.
  EmulatedRun run(const std::vector<std::byte>& inputs) const;
  /// Of one sample, in a program of its own that tells steps apart, without what that takes.
  std::vector<StepCount> steps_of(const std::vector<std::byte>& sample) const;

  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t arena_lower_bound() const { return arena_lower_bound_; }
  const FlashUse& flash() const { return flash_; }
  const std::string& compiler_version() const { return compiler_version_; }
  const std::string& emulator_version() const { return emulator_version_; }
  /// Where each input or output lies in the bytes of a sample, and how many those are.
  const std::vector<int64_t>& input_offsets() const { return input_offsets_; }
  const std::vector<int64_t>& output_offsets() const { return output_offsets_; }
  int64_t input_bytes() const { return input_bytes_; }
  int64_t output_bytes() const { return output_bytes_; }

 private:
  std::string compile(const std::string& unit) const;
  void link(const std::string& network, const std::string& program) const;
  void measure_flash();
  std::vector<uint32_t> counts_of(const std::string& program,
                                  const std::vector<std::byte>& inputs) const;

  const Board& board_;
  TemporaryFolder folder_;
  std::string compiler_, emulator_;
  std::string compiler_version_, emulator_version_;
  std::vector<int64_t> input_offsets_, output_offsets_;
  int64_t input_bytes_ = 0, output_bytes_ = 0;
  std::vector<std::string> steps_;
  int64_t arena_bytes_ = 0, arena_lower_bound_ = 0;
  FlashUse flash_;
};

}  // namespace lathe

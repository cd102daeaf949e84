// Boards with a microcontroller, as QEMU emulates them: generated C is built for them and run there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lathe {

struct BoardRegion {
  int64_t origin = 0;
  int64_t bytes = 0;
};

struct Board {
  std::string_view engine;  // names/engines.h
  std::string_view processor;
  std::string_view arch;  // as profiles name it: CpuProfile::arch
  std::string_view machine;
  std::string_view emulator;  // programs, found in PATH
  std::string_view compiler;
  std::string_view size_tool;
  std::string_view packages;  // of Debian, where these programs are in
  std::vector<std::string_view> flags;           // of the compiler
  std::vector<std::string_view> emulator_flags;  // besides the machine
  std::string_view core;     // names/code_cores.h
  std::string_view counter;  // which clock guest/counter.h reads
  /// Each instruction takes 2^shift ns of emulated time, in which the counter ticks so often.
  int shift = 0;
  double ticks_per_instruction = 1;
  bool is_riscv = false;
  BoardRegion vectors, flash, ram;
};

std::span<const Board> boards();
/// By the engine's name; nullptr: none.
const Board* find_board(std::string_view engine);

}  // namespace lathe

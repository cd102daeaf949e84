#include "emulation/boards.h"

#include "names/engines.h"

namespace lathe {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// Arm's MPS2 boards have 4 MiB of each; a timer at 25 MHz.
Board mps2(std::string_view engine, std::string_view processor, std::string_view core,
           std::string_view arch, std::string_view machine, std::vector<std::string_view> flags) {
  Board board;
  board.engine = engine;
  board.processor = processor;
  board.core = core;
  board.arch = arch;
  board.machine = machine;
  board.emulator = "qemu-system-arm";
  board.compiler = "arm-none-eabi-gcc";
  board.size_tool = "arm-none-eabi-size";
  board.packages = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm";
  board.flags = std::move(flags);
  board.flags.emplace_back("-mthumb");
  // Newer newlibs' mathematics wants a system to tell errors to.
  board.flags.emplace_back("--specs=nosys.specs");
  board.counter = "COUNTER_CMSDK";
  board.shift = 6;
  board.ticks_per_instruction = 64.0 / 40;
  board.vectors = {0, 64};
  board.flash = {64, 4 * kMiB - 64};
  board.ram = {0x20000000, 4 * kMiB};
  return board;
}

std::vector<Board> make_boards() {
  std::vector<Board> made{
      // A Cortex-M3 runs what is built for the M0.
      mps2(kEmulatedM0, "Cortex-M0", "m0", "armv6-m", "mps2-an385", {"-mcpu=cortex-m0"}),
      mps2(kEmulatedM4, "Cortex-M4", "m4", "armv7e-m", "mps2-an386",
           {"-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"}),
      mps2(kEmulatedM7, "Cortex-M7", "m4", "armv7e-m", "mps2-an500",
           {"-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"}),
      mps2(kEmulatedM55, "Cortex-M55", "m55", "armv8.1-m", "mps3-an547",
           {"-mcpu=cortex-m55", "-mfloat-abi=hard"})};
  // Its system counter runs at 32 MHz; the memory is the board's DDR.
  Board& m55 = made.back();
  m55.counter = "COUNTER_SSE";
  m55.ticks_per_instruction = 64 * 32e6 / 1e9;
  m55.flash = {0x70000000, 64 * kMiB};
  m55.ram = {0x74000000, 64 * kMiB};
  Board rv32;
  rv32.engine = kEmulatedRv32;
  rv32.processor = "RV32IMAC";
  rv32.core = "rv32";
  rv32.arch = "riscv32";
  rv32.machine = "virt";
  rv32.emulator = "qemu-system-riscv32";
  rv32.compiler = "riscv64-unknown-elf-gcc";
  rv32.size_tool = "riscv64-unknown-elf-size";
  rv32.packages = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc";
  rv32.flags = {"-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"};
  rv32.emulator_flags = {"-bios", "none"};
  rv32.counter = "COUNTER_INSTRET";
  rv32.is_riscv = true;
  rv32.vectors = {0x80000000, 64};
  rv32.flash = {0x80000040, 32 * kMiB};
  rv32.ram = {0x84000000, 32 * kMiB};
  made.push_back(std::move(rv32));
  return made;
}

}  // namespace

std::span<const Board> boards() {
  static const std::vector<Board> kBoards = make_boards();
  return kBoards;
}

const Board* find_board(std::string_view engine) {
  for (const Board& board : boards())
    if (board.engine == engine) return &board;
  return nullptr;
}

}  // namespace lathe

#include "emulation/emulated_c.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "c99/c99.h"
#include "c99/for_core.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "os/child_process.h"
#include "os/quantity.h"
#include "os/read_file.h"

namespace lathe {

// Embedded by the build.
std::string_view emulation_measure_text();
std::string_view emulation_counter_text();
std::string_view emulation_startup_text();
std::string_view emulation_startup_cortex_m_text();
std::string_view emulation_startup_riscv_text();
std::string_view emulation_board_text();

namespace {

constexpr double kMostSeconds = 600;
// More than any kernel takes on a processor without a hardware multiplier's help.
constexpr double kInstructionsPerMac = 16;
constexpr uint32_t kEndOfSamples = 0xffffffff;

std::string program_of(const Board& board, std::string_view name) {
  std::string found = find_program(name);
  if (found.empty())
    throw bad_environment("emulation.program", fmt::format("{} is not there", name),
                          fmt::format("--engine {}", board.engine),
                          fmt::format("apt-get install {}", board.packages));
  return found;
}

ChildResult run_in(const TemporaryFolder& folder, std::vector<std::string> argv) {
  ChildCommand command;
  command.argv = std::move(argv);
  command.working_directory = folder.path();
  // A compiler that is killed leaves what it has there.
  std::vector<std::string>& environment = command.environment.emplace();
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("TMPDIR=")) environment.emplace_back(*entry);
  environment.push_back("TMPDIR=" + folder.path());
  command.seconds = kMostSeconds;
  return run_child(command);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Offsets of values one behind the other; the last one is the size. Their shapes are known: there is
// code for them.
std::vector<int64_t> offsets_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<int64_t> offsets{0};
  for (const ValueId id : values) {
    const ValueType& type = graph.value(id).type;
    const int64_t bytes =
        element_count(*static_shape(*type.dims)) * dtype_bits(type.dtype) / 8;
    offsets.push_back(offsets.back() + (bytes + 7) / 8 * 8);
  }
  return offsets;
}

}  // namespace

EmulatedC::EmulatedC(const Board& board, const Graph& graph, const C99Options& wanted)
    : board_(board) {
  compiler_ = program_of(board, board.compiler);
  emulator_ = program_of(board, board.emulator);
  compiler_version_ = first_line(run_in(folder_, {compiler_, "--version"}).output);
  emulator_version_ = first_line(run_in(folder_, {emulator_, "--version"}).output);
  const double most_macs = 0x1p32 / board.ticks_per_instruction / kInstructionsPerMac;
  if (const MacCount macs = count_macs(graph); static_cast<double>(macs.macs) > most_macs)
    throw over_limit("emulation.macs",
                     fmt::format("the board's counter is for networks of at most {:.0f} million "
                                 "multiply-accumulates; this one has {:.0f}",
                                 most_macs / 1e6, static_cast<double>(macs.macs) / 1e6),
                     fmt::format("--engine {}", board.engine),
                     "give it a smaller input (--input-shape); compile --target c99 has no limit");
  C99Options options{.prefix = "net", .header = "net.h", .source_sha256 = "", .alignment = 8};
  options.rounding = wanted.rounding;
  options.most_arena_bytes = wanted.most_arena_bytes;
  options.fast_bytes = wanted.fast_bytes;
  const C99Code code = emit_c99(graph, options);
  options.tells_steps = true;
  if (code.arena_bytes > wanted.most_arena_bytes)
    throw Error(ExitCode::kGateMissed, "emulation.max_ram",
                {fmt::format("the arena takes {} of {}, most of it for {}",
                             bytes_text(code.arena_bytes), bytes_text(wanted.most_arena_bytes),
                             code.peak),
                 "--max-ram", "this is the least that was found"});
  arena_bytes_ = code.arena_bytes + code.fast_bytes;
  arena_lower_bound_ = code.arena_lower_bound;
  steps_ = code.steps;
  const std::vector<int64_t> inputs = offsets_of(graph, graph.inputs());
  const std::vector<int64_t> outputs = offsets_of(graph, graph.outputs());
  input_bytes_ = inputs.back();
  output_bytes_ = outputs.back();
  input_offsets_.assign(inputs.begin(), inputs.end() - 1);
  output_offsets_.assign(outputs.begin(), outputs.end() - 1);

  folder_.write("net.h", code.header);
  const auto write_source = [&](const char* name, const std::string& source) {
    folder_.write(name, for_core(source, find_core(board.core), options.rounding));
  };
  write_source("net.c", code.source);
  write_source("steps.c", emit_c99(graph, options).source);
  folder_.write("network.h",
                fmt::format("enum {{ ARENA_BYTES = {}, INPUTS = {}, INPUT_BYTES = {}, "
                            "OUTPUTS = {}, OUTPUT_BYTES = {}, STEPS = {} }};\n"
                            "static const uint32_t input_offsets[] = {{{}}};\n"
                            "static const uint32_t output_offsets[] = {{{}}};\n",
                            arena_bytes_, input_offsets_.size(), input_bytes_,
                            output_offsets_.size(), output_bytes_, steps_.size(),
                            fmt::join(inputs, ", "), fmt::join(outputs, ", ")));
  folder_.write("call.c", "#include \"net.h\"\n" + c99_call_text(code, "net", input_offsets_.size(),
                                                                output_offsets_.size()));
  folder_.write("measure.c", emulation_measure_text());
  folder_.write("counter.h", emulation_counter_text());
  folder_.write("startup.h", emulation_startup_text());
  folder_.write("startup.c", board.is_riscv ? emulation_startup_riscv_text()
                                            : emulation_startup_cortex_m_text());
  folder_.write("board.ld", emulation_board_text());
  for (const char* unit : {"startup", "measure", "call"}) compile(unit);
  link(compile("net"), "net.elf");
  measure_flash();
}

std::string EmulatedC::compile(const std::string& unit) const {
  std::vector<std::string> argv{compiler_, "-std=c99", "-O2",
                                fmt::format("-D{}", board_.counter)};
  argv.insert(argv.end(), board_.flags.begin(), board_.flags.end());
  const std::string object = unit + ".o";
  argv.insert(argv.end(), {"-c", unit + ".c", "-o", object});
  const ChildResult result = run_in(folder_, argv);
  if (result.exit_code != 0)
    throw bad_environment("emulation.compile", escape_untrusted(result.error_output, 500),
                          compiler_);
  return object;
}

void EmulatedC::link(const std::string& network, const std::string& program) const {
  std::vector<std::string> argv{compiler_, "-nostartfiles", "-T", "board.ld", "-o", program};
  argv.insert(argv.end(), board_.flags.begin(), board_.flags.end());
  const auto place = [&](const char* name, const BoardRegion& region) {
    argv.push_back(fmt::format("-Wl,--defsym={}_origin={:#x}", name, region.origin));
    argv.push_back(fmt::format("-Wl,--defsym={}_length={:#x}", name, region.bytes));
  };
  place("vectors", board_.vectors);
  place("flash", board_.flash);
  place("ram", board_.ram);
  argv.insert(argv.end(), {"startup.o", "measure.o", "call.o", network, "-lm"});
  const ChildResult result = run_in(folder_, argv);
  if (result.exit_code == 0) return;
  if (result.error_output.find("overflowed by") != std::string::npos)
    throw bad_input("emulation.size",
                    fmt::format("the network does not fit into the board: {:.0f} MiB of flash, "
                                "{:.0f} MiB of RAM",
                                static_cast<double>(board_.flash.bytes) / 0x1p20,
                                static_cast<double>(board_.ram.bytes) / 0x1p20),
                    fmt::format("--engine {}", board_.engine), "quantize or prune it first");
  throw bad_environment("emulation.link", escape_untrusted(result.error_output, 500), compiler_);
}

void EmulatedC::measure_flash() {
  const ChildResult result =
      run_in(folder_, {program_of(board_, board_.size_tool), "-A", "net.o", "call.o", "measure.o",
                       "startup.o", "net.elf"});
  // "FILE  :", then "SECTION BYTES ADDRESS" lines.
  int64_t harness = 0;
  int64_t all = 0;
  std::string file;
  for (size_t at = 0; at < result.output.size();) {
    const size_t end = std::min(result.output.find('\n', at), result.output.size());
    const std::string line = result.output.substr(at, end - at);
    at = end + 1;
    char name[128];
    long long bytes = 0;
    if (line.find(" :") != std::string::npos) file = line.substr(0, line.find(' '));
    if (std::sscanf(line.c_str(), "%127s %lld", name, &bytes) != 2) continue;
    const std::string_view section = name;
    const bool is_code = section.starts_with(".text");
    const bool is_constant = section.starts_with(".rodata") || section.starts_with(".srodata") ||
                             section.starts_with(".data") || section.starts_with(".sdata") ||
                             section.starts_with(".ARM.exidx");
    if (!is_code && !is_constant) continue;
    if (file == "net.elf")
      all += bytes;
    else if (file == "net.o")
      (is_code ? flash_.code : flash_.constants) += bytes;
    else
      harness += bytes;
  }
  flash_.library = std::max<int64_t>(0, all - harness - flash_.code - flash_.constants);
}

std::vector<uint32_t> EmulatedC::counts_of(const std::string& program,
                                           const std::vector<std::byte>& inputs) const {
  folder_.write("inputs", {reinterpret_cast<const char*>(inputs.data()), inputs.size()});
  folder_.write("counts", "");
  std::vector<std::string> argv{emulator_, "-M", std::string(board_.machine)};
  argv.insert(argv.end(), board_.emulator_flags.begin(), board_.emulator_flags.end());
  argv.insert(argv.end(),
              {"-nographic", "-nic", "none", "-icount", fmt::format("shift={}", board_.shift),
               "-semihosting-config", "enable=on,target=native", "-kernel", program});
  const ChildResult result = run_in(folder_, argv);
  if (result.timed_out)
    throw over_limit("emulation.time", "the emulator took more than ten minutes", emulator_);
  const std::string bytes = read_file(folder_.path("counts"), int64_t{1} << 30);
  std::vector<uint32_t> counts(bytes.size() / sizeof(uint32_t));
  std::memcpy(counts.data(), bytes.data(), counts.size() * sizeof(uint32_t));
  const size_t samples = inputs.size() / static_cast<size_t>(input_bytes_);
  if (result.exit_code != 0 || counts.size() != 8 + samples + steps_.size() ||
      counts[4 + samples] != kEndOfSamples)
    throw bad_environment("emulation.run",
                          fmt::format("the program did not end by itself: {}",
                                      escape_untrusted(result.error_output + result.output, 300)),
                          emulator_);
  // The loop of guest/counter.h takes two instructions a round.
  const double ticks = (static_cast<double>(counts[2]) - counts[1]) / 2000;
  if (std::fabs(ticks / board_.ticks_per_instruction - 1) > 0.005)
    throw bad_environment("emulation.count",
                          fmt::format("this emulator gives an instruction {:.3f} ticks of the "
                                      "board's clock, not {:.3f}",
                                      ticks, board_.ticks_per_instruction),
                          emulator_version_);
  if (counts[7 + samples] != 0)
    throw InternalError("c99: the code wrote beyond its arena");
  return counts;
}

EmulatedRun EmulatedC::run(const std::vector<std::byte>& inputs) const {
  const std::vector<uint32_t> counts = counts_of("net.elf", inputs);
  const size_t samples = inputs.size() / static_cast<size_t>(input_bytes_);
  EmulatedRun run;
  for (size_t i = 0; i < samples; ++i)
    run.instructions.push_back(
        std::llround((counts[4 + i] - counts[0]) / board_.ticks_per_instruction));
  run.stack_bytes = counts[5 + samples];
  run.arena_touched_bytes = counts[6 + samples];
  const std::string outputs = read_file(folder_.path("outputs"), int64_t{1} << 32);
  if (outputs.size() != samples * static_cast<size_t>(output_bytes_))
    throw bad_environment("emulation.run", "the outputs are not there", emulator_);
  const auto* first = reinterpret_cast<const std::byte*>(outputs.data());
  run.outputs.assign(first, first + outputs.size());
  return run;
}

std::vector<StepCount> EmulatedC::steps_of(const std::vector<std::byte>& sample) const {
  link(compile("steps"), "steps.elf");
  const std::vector<uint32_t> counts = counts_of("steps.elf", sample);
  const size_t samples = sample.size() / static_cast<size_t>(input_bytes_);
  std::vector<StepCount> steps;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const double ticks = static_cast<double>(counts[8 + samples + i]) - counts[3];
    steps.push_back(
        {steps_[i], std::max<int64_t>(0, std::llround(ticks / board_.ticks_per_instruction))});
  }
  return steps;
}

}  // namespace lathe

// lathe: the front end. It parses flags, opens the heavy library only when a command needs it, and
// turns errors into messages and exit codes.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <string_view>

#include "commands.h"
#include "console.h"
#include "flags/command_line.h"
#include "heavy.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/signals.h"

namespace lathe {
namespace {

// One row a subcommand: its name, its common flags, the files that it reads, what runs it.
struct Command {
  std::string_view name;
  CommonOptions* common = nullptr;
  std::function<std::vector<std::string>()> inputs;
  std::function<int(Console&)> run;
};

// Everything that may fail is turned into a message, a failed report and an exit code here.
template <class Work>
int guarded(Console& console, const CommonOptions& common, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    return console.fail(error, common);
  } catch (const std::bad_alloc&) {
    return console.fail(
        over_limit("limit.memory", "out of memory", {}, "raise --max-memory or take fewer samples"),
        common);
  } catch (const std::exception& error) {
    return console.fail(Error(ExitCode::kInternal, "internal",
                              {escape_untrusted(error.what(), 1000),
                               {},
                               "this is a bug in lathe; please report it with the command line"}),
                        common);
  }
}

int run_command(CommandLine& line, const Command& command) {
  const CommonOptions& common = *command.common;
  {
    Console early(common);
    const int code = guarded(early, common, [&] {
      line.apply_config(*command.common);
      return 0;
    });
    if (code != 0) return code;
  }
  Console console(common);
  install_signal_handlers();
  return guarded(console, common, [&] {
    std::vector<std::string> inputs = command.inputs();
    for (const std::string& file : {common.config, common.profile}) inputs.push_back(file);
    std::erase_if(inputs, [](const std::string& file) { return file.empty(); });
    console.check_report(common, inputs);
    apply_limits(common);
    return console.finish(command.run(console));
  });
}

// A write to a closed descriptor must fail, and no file of ours may get its number.
void occupy_standard_descriptors() {
  for (int descriptor = open("/dev/null", O_RDONLY); descriptor >= 0; descriptor = dup(descriptor))
    if (descriptor > STDERR_FILENO) {
      close(descriptor);
      return;
    }
}

int run(int argc, char** argv) {
  Options options;
  CommandLine line(options);
  const Heavy heavy;
  std::vector<Command> commands{
      {"quantize", &options.quantize.common,
       [&] {
         return std::vector{options.quantize.model, options.quantize.data, options.quantize.eval};
       },
       [&](Console& console) { return heavy.quantize(options.quantize, console); }},
      {"prune", &options.prune.common,
       [&] {
         return std::vector{options.prune.model, options.prune.data, options.prune.eval};
       },
       [&](Console& console) { return heavy.prune(options.prune, console); }},
      {"distill", &options.distill.common,
       [&] {
         return std::vector{options.distill.teacher, options.distill.student,
                            options.distill.student_from_pruned, options.distill.data,
                            options.distill.eval};
       },
       [&](Console& console) { return heavy.distill(options.distill, console); }},
      {"compile", &options.compile.common,
       [&] {
         return std::vector{options.compile.model, options.compile.verify};
       },
       [&](Console& console) { return heavy.compile(options.compile, console); }},
      {"bench", &options.bench.common,
       [&] {
         std::vector<std::string> files = options.bench.models;
         files.insert(files.end(), {options.bench.against, options.bench.baseline,
                                    options.bench.data, options.bench.gates_file,
                                    options.bench.gate_profile.value_or(""), options.bench.resume});
         return files;
       },
       [&](Console& console) { return heavy.bench(options.bench, console); }},
      {"inspect", &options.inspect.common, [&] { return std::vector{options.inspect.model}; },
       [&](Console& console) { return run_inspect(options.inspect, console); }},
      {"run", &options.run.common,
       [&] {
         return std::vector{options.run.model, options.run.data};
       },
       [&](Console& console) { return heavy.run(options.run, console); }},
      {"compare", &options.compare.common,
       [&] {
         return std::vector{options.compare.first, options.compare.second, options.compare.data};
       },
       [&](Console& console) { return heavy.compare(options.compare, console); }},
      {"batch", &options.batch.common, [&] { return std::vector{options.batch.jobs}; },
       [&](Console& console) { return run_batch(options.batch, console); }},
      {"zoo", &options.zoo.common, [] { return std::vector<std::string>{}; },
       [&](Console& console) { return run_zoo(options.zoo, console); }},
      {"trace", &options.trace.common, [&] { return std::vector{options.trace.file}; },
       [&](Console& console) { return run_trace(options.trace, console); }},
      {"profiles", &options.profiles.common, [&] { return std::vector{options.profiles.name}; },
       [&](Console& console) { return run_profiles(options.profiles, console); }},
  };
  const auto named = [&] {
    return std::find_if(commands.begin(), commands.end(),
                        [&](const Command& command) { return command.name == line.command(); });
  };
  for (Command& command : commands) command.common->argv.assign(argv, argv + argc);
  try {
    if (!line.parse(argc, argv)) return 0;
  } catch (const Error& error) {
    if (named() == commands.end()) throw;
    return Console(*named()->common).fail(error, *named()->common);
  }
  if (named() == commands.end()) throw InternalError("no subcommand was parsed");
  return run_command(line, *named());
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  // libgomp reads it when it is loaded: idle workers give a busy neighbour its core back.
  setenv("GOMP_SPINCOUNT", "1000", 0);
  // The same for the workers of OpenBLAS, which spin 2^26 cycles by default.
  setenv("OPENBLAS_THREAD_TIMEOUT", "4", 0);
  lathe::occupy_standard_descriptors();
  try {
    // Not for users: the child process that opens TorchScript files (load_torchscript.h).
    if (argc > 1 && std::string_view(argv[1]) == "--torchscript-child")
      return lathe::Heavy().torchscript_child(argc, argv);
    return lathe::run(argc, argv);
  } catch (const lathe::Error& error) {
    std::cerr << lathe::error_text(error);
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << "internal error: " << lathe::escape_untrusted(error.what(), 1000)
              << "\n  This is a bug in lathe; please report it with the command line.\n";
    return static_cast<int>(lathe::ExitCode::kInternal);
  }
}

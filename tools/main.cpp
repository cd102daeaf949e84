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
  using Files = std::vector<std::string>;
  const auto heavy = [&](Console& console) { return run_heavy(line.command(), options, console); };
  std::vector<Command> commands{
      {"quantize", &options.quantize.common,
       [&o = options.quantize] {
         return Files{o.model, o.data, o.eval};
       },
       heavy},
      {"prune", &options.prune.common,
       [&o = options.prune] {
         return Files{o.model, o.data, o.eval};
       },
       heavy},
      {"distill", &options.distill.common,
       [&o = options.distill] {
         return Files{o.teacher, o.student, o.student_from_pruned, o.data, o.eval};
       },
       heavy},
      {"compile", &options.compile.common,
       [&o = options.compile] {
         return Files{o.model, o.verify};
       },
       heavy},
      {"bench", &options.bench.common,
       [&o = options.bench] {
         Files files = o.models;
         files.insert(files.end(), {o.against, o.baseline, o.data, o.gates_file,
                                    o.gate_profile.value_or(""), o.resume});
         return files;
       },
       heavy},
      {"inspect", &options.inspect.common, [&] { return Files{options.inspect.model}; },
       [&](Console& console) { return run_inspect(options.inspect, console); }},
      {"run", &options.run.common,
       [&o = options.run] {
         return Files{o.model, o.data};
       },
       heavy},
      {"compare", &options.compare.common,
       [&o = options.compare] {
         return Files{o.first, o.second, o.data};
       },
       heavy},
      {"batch", &options.batch.common, [&] { return Files{options.batch.jobs}; },
       [&](Console& console) { return run_batch(options.batch, console); }},
      {"zoo", &options.zoo.common, [] { return Files{}; },
       [&](Console& console) { return run_zoo(options.zoo, console); }},
      {"trace", &options.trace.common, [&] { return Files{options.trace.file}; },
       [&](Console& console) { return run_trace(options.trace, console); }},
      {"profiles", &options.profiles.common, [&] { return Files{options.profiles.name}; },
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
      return lathe::run_torchscript_child(argc, argv);
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

// lathe: the front end. It parses flags, opens the heavy library only when a command needs it, and
// turns errors into messages and exit codes.
#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <string_view>

#include "commands.h"
#include "console.h"
#include "flags.h"
#include "heavy.h"
#include "ir/error.h"
#include "model_facts.h"
#include "os/signals.h"
#include "usage_error.h"

namespace lathe {
namespace {

// One row a subcommand: its parser, its common flags, the files that it reads, what runs it.
struct Command {
  CLI::App* parser = nullptr;
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

int run_command(Command& command) {
  const CommonOptions& common = *command.common;
  {
    Console early(common);
    const int code = guarded(early, common, [&] {
      apply_config(*command.parser, *command.common);
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
    return command.run(console);
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
  CLI::App app("lathe: shapes trained networks for the device they must run on", "lathe");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("lathe ") + LATHE_VERSION);
  app.failure_message(CLI::FailureMessage::simple);

  QuantizeOptions quantize;
  InspectOptions inspect;
  RunOptionsCli run_model;
  CompareOptionsCli compare;
  BenchOptions bench;
  PruneOptions prune;
  DistillOptions distill;
  CompileOptions compile;
  BatchOptions batch;
  ZooOptions zoo;
  TraceOptionsCli trace;
  ProfilesOptions profiles;
  const Heavy heavy;
  std::vector<Command> commands{
      {add_quantize(app, quantize), &quantize.common,
       [&] {
         return std::vector{quantize.model, quantize.data, quantize.eval};
       },
       [&](Console& console) { return heavy.quantize(quantize, console); }},
      {add_prune(app, prune), &prune.common,
       [&] {
         return std::vector{prune.model, prune.data, prune.eval};
       },
       [&](Console& console) { return heavy.prune(prune, console); }},
      {add_distill(app, distill), &distill.common,
       [&] {
         return std::vector{distill.teacher, distill.student, distill.student_from_pruned,
                            distill.data, distill.eval};
       },
       [&](Console& console) { return heavy.distill(distill, console); }},
      {add_compile(app, compile), &compile.common,
       [&] {
         return std::vector{compile.model, compile.verify};
       },
       [&](Console& console) { return heavy.compile(compile, console); }},
      {add_bench(app, bench), &bench.common,
       [&] {
         std::vector<std::string> files = bench.models;
         files.insert(files.end(), {bench.against, bench.baseline, bench.data, bench.gates_file,
                                    bench.gate_profile.value_or(""), bench.resume});
         return files;
       },
       [&](Console& console) { return heavy.bench(bench, console); }},
      {add_inspect(app, inspect), &inspect.common, [&] { return std::vector{inspect.model}; },
       [&](Console& console) { return run_inspect(inspect, console); }},
      {add_run(app, run_model), &run_model.common,
       [&] {
         return std::vector{run_model.model, run_model.data};
       },
       [&](Console& console) { return heavy.run(run_model, console); }},
      {add_compare(app, compare), &compare.common,
       [&] {
         return std::vector{compare.first, compare.second, compare.data};
       },
       [&](Console& console) { return heavy.compare(compare, console); }},
      {add_batch(app, batch), &batch.common, [&] { return std::vector{batch.jobs}; },
       [&](Console& console) { return run_batch(batch, console); }},
      {add_zoo(app, zoo), &zoo.common, [] { return std::vector<std::string>{}; },
       [&](Console& console) { return run_zoo(zoo, console); }},
      {add_trace(app, trace), &trace.common, [&] { return std::vector{trace.file}; },
       [&](Console& console) { return run_trace(trace, console); }},
      {add_profiles(app, profiles), &profiles.common, [&] { return std::vector{profiles.name}; },
       [&](Console& console) { return run_profiles(profiles, console); }},
  };
  for (Command& command : commands) command.common->argv.assign(argv, argv + argc);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);
    if (std::cout.flush()) return 0;
    throw bad_output("output.stdout", "standard output cannot be written");
  } catch (const CLI::ParseError& error) {
    const Error converted = usage_error(app, error);
    for (const Command& command : commands)
      if (command.parser->parsed())
        return Console(*command.common).fail(converted, *command.common);
    throw converted;
  }
  for (Command& command : commands)
    if (command.parser->parsed()) return run_command(command);
  throw InternalError("no subcommand was parsed");
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

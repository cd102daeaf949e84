// The command line, read into options. Nothing outside this folder knows CLI11.
#pragma once

#include <memory>
#include <string>

#include "options.h"

namespace lathe {

class CommandLine {
 public:
  /// Flags are bound to `options`, which outlives it.
  explicit CommandLine(Options& options);
  ~CommandLine();

  /// False: help or the version was asked for, and is on standard output. Throws Error: exit 2
  /// naming the nearest flag or command, exit 9 when help cannot be written.
  bool parse(int argc, const char* const* argv);

  /// Name of the subcommand that was named, even where its flags were wrong; empty: none.
  std::string command() const;

  /// Takes from the named subcommand's --config what the command line left out; see apply_config().
  void apply_config(CommonOptions& common);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace lathe

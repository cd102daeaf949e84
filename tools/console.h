// The only place that talks to the user. Results go to stdout, everything else to stderr; with
// --json the report alone is on stdout.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "ir/error.h"
#include "options.h"
#include "os/progress.h"
#include "os/terminal.h"
#include "report/report.h"
#include "stopwatch.h"

namespace lathe {

/// "error[model.truncated]: where: message\n  hint\n", untrusted text escaped.
std::string error_text(const Error& error);

class Console {
 public:
  explicit Console(const CommonOptions& common);

  /// Human output: stdout, or stderr with --json. Nothing with --quiet. Held back until files are
  /// written (deliver, finish), so that a stdout that somebody closed costs none of them.
  void print(const std::string& text);
  /// A step's detail, printed with -v.
  void detail(const std::string& text);
  void warn(const std::string& code, const std::string& message, const std::string& hint = {});
  /// Checks --report before the work starts: Error (exit 2 or 9) when it cannot be written or is
  /// one of `inputs`; the files of --html and --export, too. Until then fail() writes no file.
  void check_report(const CommonOptions& common, const std::vector<std::string>& inputs);
  /// Prints the error, and the failed report where one was asked for. Returns the exit code.
  int fail(const Error& error, const CommonOptions& common);
  /// Writes the exports, then the report, with all warnings, to --report; then prints what was held
  /// back and, with --json, the report. Throws Error (exit 9) for a file. A stdout that cannot be
  /// written is a warning and exit code 9 in a report that is otherwise as it was.
  void deliver(nlohmann::json report, const CommonOptions& common);
  /// Prints what is still held back. Returns what the process ends with: `code`, or the worse of it
  /// and 9 when stdout could not be written.
  int finish(int code);

  Progress& progress() { return *progress_; }
  std::string bold(const std::string& text) const;
  std::string good(const std::string& text) const;
  std::string bad(const std::string& text) const;
  std::string dim(const std::string& text) const;

 private:
  std::string paint(const std::string& text, Color color) const;
  void add_warnings(nlohmann::json& report) const;
  void write_report(const nlohmann::json& report, const CommonOptions& common);
  void show_held();
  void write_stdout(const std::string& text);

  bool json_;
  bool quiet_;
  int verbosity_;
  bool color_;
  bool report_checked_ = false;
  bool stdout_failed_ = false;
  std::string held_;               // of print()
  std::set<std::string> written_;  // files of ours: a second attempt may replace them
  std::unique_ptr<Progress> progress_;
  std::vector<WarningRow> warnings_;
  Stopwatch clock_;
};

/// Columns aligned by their widest cell; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::string& indent = "  ");

}  // namespace lathe

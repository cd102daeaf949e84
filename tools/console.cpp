#include "console.h"

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>
#include <utility>

#include "export_report.h"
#include "model_facts.h"
#include "os/check_output.h"
#include "os/publish.h"
#include "report/json_text.h"

namespace lathe {
namespace {

ColorChoice color_choice(const std::string& name) {
  if (name == "always") return ColorChoice::kAlways;
  return name == "never" ? ColorChoice::kNever : ColorChoice::kAuto;
}

ProgressMode progress_mode(const CommonOptions& common) {
  if (common.quiet) return ProgressMode::kQuiet;
  return can_redraw(terminal_facts(STDERR_FILENO)) ? ProgressMode::kTerminal : ProgressMode::kPlain;
}

// Columns that a UTF-8 text takes, as far as lathe's own output goes.
size_t width(const std::string& text) {
  size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\x1b')
      escape = true;
    else if (escape)
      escape = c != 'm';
    else
      columns += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  }
  return columns;
}

}  // namespace

std::string error_text(const Error& error) {
  constexpr size_t kMaxShown = 2000;
  const ErrorText& text = error.text();
  std::string message;
  // The caret under a gate needs its line. What the gate says is escaped already: it makes none.
  const bool has_lines = error.id() == "gate.syntax";
  for (size_t at = 0; at <= text.message.size();) {
    const size_t end = has_lines ? std::min(text.message.find('\n', at), text.message.size())
                                 : text.message.size();
    message +=
        (at > 0 ? "\n" : "") + escape_untrusted(text.message.substr(at, end - at), kMaxShown);
    at = end + 1;
  }
  std::string out =
      fmt::format("error[{}]: {}{}{}\n", error.id(), escape_untrusted(text.where, kMaxShown),
                  text.where.empty() ? "" : ": ", message);
  if (!text.hint.empty()) out += "  " + escape_untrusted(text.hint, kMaxShown) + "\n";
  return out;
}

Console::Console(const CommonOptions& common)
    : json_(common.json),
      quiet_(common.quiet),
      verbosity_(common.verbosity),
      color_(use_color(color_choice(common.color),
                       terminal_facts(common.json ? STDERR_FILENO : STDOUT_FILENO))),
      progress_(std::make_unique<Progress>(
          progress_mode(common), [](std::string_view text) { std::cerr << text << std::flush; })) {}

void Console::print(const std::string& text) {
  if (!quiet_) held_ += text;
}

void Console::detail(const std::string& text) {
  if (verbosity_ > 0 && !quiet_) std::cerr << text << "\n";
}

void Console::warn(const std::string& code, const std::string& message, const std::string& hint) {
  const auto same = [&](const WarningRow& old) {
    return old.code == code && old.message == message;
  };
  // Data that serve for repair and evaluation are opened twice.
  if (std::any_of(warnings_.begin(), warnings_.end(), same)) return;
  warnings_.push_back({code, message, hint});
  if (quiet_) return;
  std::cerr << paint("warning", Color::kYellow) << "[" << code << "]: " << message << "\n";
  if (!hint.empty()) std::cerr << "  " << hint << "\n";
}

void Console::check_report(const CommonOptions& common, const std::vector<std::string>& inputs) {
  if (!common.report.empty()) {
    check_output(common.report, common.force, inputs);
    if (!common.output.empty() && same_file(common.report, common.output))
      throw bad_usage("output.twice", "--report and --output name the same file",
                      escape_untrusted(common.report), "give them different names");
  }
  check_exports(common, inputs);
  report_checked_ = true;
}

int Console::fail(const Error& error, const CommonOptions& common) {
  progress_->finish();
  show_held();
  std::cerr << error_text(error);
  const ExitCode code = error.code();
  CommonOptions where = common;
  if (!report_checked_) {
    where.report.clear();
    where.html.clear();
    where.exports.clear();
  }
  if (where.report.empty() && where.html.empty() && where.exports.empty() && !where.json)
    return static_cast<int>(code);
  Report report = start_report(common.argv.size() > 1 ? common.argv[1] : "", common);
  set_error(report, error);
  note_usage(report, clock_.seconds());
  nlohmann::json document = to_json(report);
  add_warnings(document);
  ExitCode worst = code;
  // An export that cannot be written costs itself, not the report.
  for (const bool exports : {true, false}) {
    try {
      if (exports)
        write_exports(document, where, written_);
      else
        write_report(document, where);
    } catch (const Error& second) {
      if (second.id() != error.id()) std::cerr << error_text(second);
      worst = worse(worst, second.code());
    }
  }
  write_stdout(printed_export(document, where));
  if (common.json) write_stdout(json_text(document));
  return finish(static_cast<int>(worst));
}

void Console::deliver(nlohmann::json report, const CommonOptions& common) {
  const auto write_files = [&] {
    add_warnings(report);
    // The report last: where it says that all went well, the exports are there.
    write_exports(report, common, written_);
    write_report(report, common);
  };
  write_files();
  show_held();
  write_stdout(printed_export(report, common));
  if (common.json) write_stdout(json_text(report));
  if (!stdout_failed_) return;
  report["exit_code"] = finish(report["exit_code"].get<int>());
  write_files();
}

int Console::finish(int code) {
  show_held();
  if (!stdout_failed_) return code;
  return static_cast<int>(worse(static_cast<ExitCode>(code), ExitCode::kOutput));
}

// Some are in the report already: of a stored part of a run.
void Console::add_warnings(nlohmann::json& report) const {
  nlohmann::json& rows = report["warnings"];
  for (const WarningRow& warning : warnings_) {
    const auto same = [&](const nlohmann::json& row) {
      return row.at("code") == warning.code && row.at("message") == warning.message;
    };
    if (std::none_of(rows.begin(), rows.end(), same)) rows.push_back(to_json(warning));
  }
}

void Console::write_report(const nlohmann::json& report, const CommonOptions& common) {
  if (common.report.empty()) return;
  publish_file(common.report, json_text(report), common.force || written_.contains(common.report));
  written_.insert(common.report);
}

void Console::show_held() {
  const std::string text = std::exchange(held_, {});
  if (json_)
    std::cerr << text << std::flush;
  else
    write_stdout(text);
}

void Console::write_stdout(const std::string& text) {
  if (text.empty() || stdout_failed_) return;
  std::cout << text << std::flush;
  if (std::cout) return;
  stdout_failed_ = true;
  const Error error = bad_output("output.stdout", "standard output cannot be written");
  std::cerr << error_text(error);
  warnings_.push_back({error.id(), error.text().message, error.text().hint});
}

std::string Console::paint(const std::string& text, Color color) const {
  return painted(text, color, color_);
}
std::string Console::bold(const std::string& text) const { return paint(text, Color::kBold); }
std::string Console::good(const std::string& text) const { return paint(text, Color::kGreen); }
std::string Console::bad(const std::string& text) const { return paint(text, Color::kRed); }
std::string Console::dim(const std::string& text) const { return paint(text, Color::kDim); }

std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& indent) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i >= widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  std::string out;
  for (const auto& row : rows) {
    std::string line = indent;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - width(row[i]) + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace lathe

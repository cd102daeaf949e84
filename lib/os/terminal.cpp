#include "os/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace lathe {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

bool dumb(const TerminalFacts& facts) { return facts.term && *facts.term == "dumb"; }

}  // namespace

TerminalFacts terminal_facts(int descriptor) {
  return {.is_terminal = ::isatty(descriptor) == 1,
          .no_color = environment("NO_COLOR"),
          .clicolor_force = environment("CLICOLOR_FORCE"),
          .clicolor = environment("CLICOLOR"),
          .term = environment("TERM")};
}

bool use_color(ColorChoice choice, const TerminalFacts& facts) {
  if (choice != ColorChoice::kAuto) return choice == ColorChoice::kAlways;
  if (facts.no_color && !facts.no_color->empty()) return false;
  if (facts.clicolor_force && !facts.clicolor_force->empty() && *facts.clicolor_force != "0")
    return true;
  if (facts.clicolor && *facts.clicolor == "0") return false;
  return can_redraw(facts);
}

bool can_redraw(const TerminalFacts& facts) { return facts.is_terminal && !dumb(facts); }

int terminal_columns(int descriptor) {
  struct winsize size {};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string painted(std::string_view text, Color color, bool in_color) {
  if (!in_color) return std::string(text);
  const int code = color == Color::kRed      ? 31
                   : color == Color::kGreen  ? 32
                   : color == Color::kYellow ? 33
                   : color == Color::kBold   ? 1
                                             : 2;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

}  // namespace lathe

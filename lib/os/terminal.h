// Whether output may be coloured or redrawn.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe {

enum class ColorChoice { kAuto, kAlways, kNever };

/// What decides about colour, apart from the --color flag.
struct TerminalFacts {
  bool is_terminal = false;
  std::optional<std::string> no_color;        // environment NO_COLOR
  std::optional<std::string> clicolor_force;  // CLICOLOR_FORCE
  std::optional<std::string> clicolor;        // CLICOLOR
  std::optional<std::string> term;            // TERM
};

/// Facts of a file descriptor and of the environment.
TerminalFacts terminal_facts(int descriptor);

/// --color always and never decide alone. On auto, a non-empty NO_COLOR beats CLICOLOR_FORCE
/// (neither empty nor "0"), which beats CLICOLOR=0; then colour needs a terminal other than "dumb".
bool use_color(ColorChoice choice, const TerminalFacts& facts);

/// Redrawing a line needs a terminal other than "dumb".
bool can_redraw(const TerminalFacts& facts);

/// Columns of the terminal behind `descriptor`, 80 when it is none.
int terminal_columns(int descriptor);

enum class Color { kRed, kGreen, kYellow, kBold, kDim };

/// `text` in the colour, or as it is.
std::string painted(std::string_view text, Color color, bool in_color);

}  // namespace lathe
